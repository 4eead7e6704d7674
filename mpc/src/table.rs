//! Answers of the API as tables for people.

use mpc::api::{
    Account, Accounts, ApiKey, ApiKeyText, ApiKeys, EnrolmentToken, Failure, Parties, Party,
    PastAttempt, Session,
};
use mpc_wire::PartyId;
use party_runtime::vault::VaultStatus;
use std::fmt::Display;

/// What can be shown as a table.
pub(crate) trait Table {
    fn table(&self) -> String;
}

impl Table for Accounts {
    fn table(&self) -> String {
        let header = ["ACCOUNT", "USER", "SCHEME", "SIGN", "STATE", "PUBLIC KEY"];
        let rows = self.accounts.iter().map(|account| {
            [
                account.account_id.to_string(),
                account.user_id.clone(),
                account.scheme.to_string(),
                quorum(account),
                account.state.to_string(),
                text(account.public_key.as_ref()),
            ]
        });
        columns(header, rows)
    }
}

impl Table for Account {
    fn table(&self) -> String {
        let mut fields = Fields::default();
        fields
            .one("account", self.account_id)
            .one("user", &self.user_id)
            .one("scheme", self.scheme)
            .one("sign", quorum(self))
            .one("epoch", self.epoch)
            .one("state", self.state)
            .some("public key", self.public_key.as_ref())
            .one("created", &self.created_at)
            .all(
                "parties",
                self.parties.iter().map(|holder| {
                    let label = holder.label.as_deref().unwrap_or_default();
                    format!("{}  {label}", holder.party_id)
                }),
            )
            .some("keygen ms", self.timings_ms.keygen)
            .some("aux wait ms", self.timings_ms.aux_wait)
            .some("canary ms", self.timings_ms.canary)
            .failure(self.failure.as_ref());
        fields.finish()
    }
}

impl Table for Session {
    fn table(&self) -> String {
        let mut fields = Fields::default();
        fields
            .one("session", self.session_id)
            .one("kind", &self.kind)
            .some("account", self.account_id)
            .one("state", self.state)
            .one("attempt", self.attempt)
            .some(
                "position",
                self.position.map(|at| format!("stage {}, round {}", at.stage, at.round)),
            )
            .one("created", &self.created_at)
            .one("deadline", &self.deadline)
            .some("took ms", self.duration_ms)
            .all("waiting for", &self.waiting_for)
            .all("signers", &self.signers)
            .some("digest", self.message.as_ref())
            .some("public key", self.public_key.as_ref());
        if let Some(signature) = &self.signature {
            fields.one("r", &signature.r).one("s", &signature.s);
            if let Some(ecdsa) = &signature.ecdsa {
                fields
                    .one("recovery id", ecdsa.recovery_id)
                    .one("DER", &ecdsa.der)
                    .one("Ethereum", &ecdsa.ethereum);
            }
        }
        fields.all(
            "past attempts",
            self.past_attempts
                .iter()
                .map(|past| format!("{}: {}", past.attempt, past_attempt(past))),
        );
        fields.all(
            "declined by",
            self.declines
                .iter()
                .map(|decline| format!("{}: {}", decline.party_id, printable(&decline.detail))),
        );
        fields.failure(self.failure.as_ref());
        fields.finish()
    }
}

impl Table for Parties {
    fn table(&self) -> String {
        let header = ["PARTY", "LABEL", "ROLE", "STATE", "KEY", "ONLINE", "REGISTERED"];
        let rows = self.parties.iter().map(|party| {
            [
                party.party_id.to_string(),
                party.label.clone(),
                party.role.to_string(),
                party.state.to_string(),
                party.key_number.to_string(),
                yes_or_no(party.online),
                party.registered_at.clone(),
            ]
        });
        columns(header, rows)
    }
}

impl Table for Party {
    fn table(&self) -> String {
        let mut fields = Fields::default();
        fields
            .one("party", self.party_id)
            .one("label", &self.label)
            .one("role", self.role)
            .one("state", self.state)
            .one("key number", self.key_number)
            .one("online", yes_or_no(self.online))
            .one("registered", &self.registered_at)
            .some("revoked", self.revoked_at.as_ref());
        fields.finish()
    }
}

impl Table for EnrolmentToken {
    fn table(&self) -> String {
        let mut fields = Fields::default();
        fields
            .one("id", self.token_id)
            .one("role", self.role)
            .some("label", self.label.as_ref())
            .one("expires", &self.expires_at)
            .one("token", self.token.expose());
        fields.finish()
    }
}

fn yes_or_no(is_so: bool) -> String {
    if is_so { "yes" } else { "no" }.to_owned()
}

impl Table for ApiKeys {
    fn table(&self) -> String {
        let header = ["KEY", "NAME", "SCOPES", "STATE", "CREATED", "EXPIRES"];
        let rows = self.api_keys.iter().map(|key| {
            [
                key.id.to_string(),
                key.name.clone(),
                scopes(key),
                key.state.to_string(),
                key.created_at.clone(),
                text(key.expires_at.as_ref()),
            ]
        });
        columns(header, rows)
    }
}

impl Table for ApiKey {
    fn table(&self) -> String {
        let mut fields = Fields::default();
        fields
            .one("id", &self.id)
            .one("name", &self.name)
            .one("scopes", scopes(self))
            .one("state", self.state)
            .one("created", &self.created_at)
            .some("expires", self.expires_at.as_ref())
            .some("revoked", self.revoked_at.as_ref())
            .some("key", self.key.as_ref().map(ApiKeyText::expose));
        fields.finish()
    }
}

impl Table for VaultStatus {
    fn table(&self) -> String {
        let mut fields = Fields::default();
        fields
            .one("party", self.party)
            .one("key from", self.provider)
            .one("key", &self.key_id)
            .some("rotating from", self.rotating_from.as_ref())
            .all(
                "records by key",
                self.records_by_key.iter().map(|(key, count)| format!("{key}  {count}")),
            )
            .all(
                "records by kind",
                self.records_by_kind.iter().map(|(kind, count)| format!("{kind}  {count}")),
            );
        fields.finish()
    }
}

fn scopes(key: &ApiKey) -> String {
    let scopes: Vec<_> = key.scopes.iter().map(ToString::to_string).collect();
    scopes.join(",")
}

fn quorum(account: &Account) -> String {
    format!("{} of {}", account.threshold, account.parties.len())
}

fn failure(failure: &Failure) -> String {
    let parties: Vec<_> = failure.parties.iter().map(PartyId::to_string).collect();
    let by = if parties.is_empty() { String::new() } else { format!(" ({})", parties.join(", ")) };
    format!("{}: {}{by}", failure.reason, printable(&failure.detail))
}

fn past_attempt(past: &PastAttempt) -> String {
    let reporter = past.reported_by.filter(|reporter| !past.failure.parties.contains(reporter));
    let says = reporter.map_or_else(String::new, |reporter| format!(", says {reporter}"));
    format!("{}{says}", failure(&past.failure))
}

fn text(value: Option<impl Display>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// Without control characters: a label or user id must not steer the reader's terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Names and values, one a line; further values of a name below its first.
#[derive(Default)]
struct Fields(Vec<[String; 2]>);

impl Fields {
    fn one(&mut self, name: &str, value: impl Display) -> &mut Self {
        self.0.push([name.to_owned(), value.to_string()]);
        self
    }

    fn some(&mut self, name: &str, value: Option<impl Display>) -> &mut Self {
        match value {
            Some(value) => self.one(name, value),
            None => self,
        }
    }

    fn all(&mut self, name: &str, values: impl IntoIterator<Item = impl Display>) -> &mut Self {
        for (index, value) in values.into_iter().enumerate() {
            self.one(if index == 0 { name } else { "" }, value);
        }
        self
    }

    fn failure(&mut self, value: Option<&Failure>) -> &mut Self {
        self.some("failure", value.map(failure))
    }

    fn finish(self) -> String {
        lines(self.0)
    }
}

fn columns<const N: usize>(header: [&str; N], rows: impl Iterator<Item = [String; N]>) -> String {
    lines(std::iter::once(header.map(str::to_owned)).chain(rows).collect())
}

/// Lines of columns, each as wide as its widest cell.
fn lines<const N: usize>(rows: Vec<[String; N]>) -> String {
    let rows: Vec<_> = rows.into_iter().map(|row| row.map(|cell| printable(&cell))).collect();
    let mut widths = [0; N];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    rows.iter()
        .map(|row| {
            let cells: Vec<_> =
                row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
            format!("{}\n", cells.join("  ").trim_end())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["a", "bcd"], ["efghij", ""], ["ü", "x\u{1b}[31m"]];
        let rows = rows.into_iter().map(|row| row.map(str::to_owned));
        assert_eq!(
            columns(["ONE", "TWO"], rows),
            "ONE     TWO\na       bcd\nefghij\nü       x\u{fffd}[31m\n"
        );
    }

    #[test]
    fn further_values_stand_below_the_first() {
        let mut fields = Fields::default();
        fields.one("x", 1).some("gone", None::<u8>).all("many", ["a", "b"]);
        assert_eq!(fields.finish(), "x     1\nmany  a\n      b\n");
    }
}
