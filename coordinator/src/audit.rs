//! What the coordinator enters into its audit log, and in whose name.
//!
//! Every text here is made of ids, hashes and stable codes: never of a payload, a key, or what
//! people call their users.

use crate::api_key::KeyId;
use crate::config::CoordinatorSecret;
use crate::enrolment::{Ticket, TokenId};
use crate::failure::Failure;
use crate::http::KeyName;
use crate::names::Role;
use crate::store::account::NewAccount;
use crate::store::api_key::StoredKey;
use crate::store::session::purpose;
use mpc_session::{Record, SessionEnd, SessionProduct};
use mpc_wire::audit::Note;
use mpc_wire::{AccountId, Identity, IntentKind, PartyId, ProvenKey, SessionId, SignedHead};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The label of the key that signs the heads of the audit log.
const SIGNING: &str = "mpc/audit/signing/v1";

/// Digits of a party's id in a list: twenty parties must fit an entry, and nobody makes a second
/// party with the same sixteen.
const ID_DIGITS: usize = 16;

/// The identity that signs the heads of the audit log of the coordinator with this secret.
pub fn audit_keeper(secret: &CoordinatorSecret) -> Identity {
    Identity::from_seed(&secret.subkey(SIGNING))
}

/// Who asked for something.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Asker {
    /// The holder of an API key.
    ApiKey {
        /// The key.
        key: KeyName,
        /// Its name for people.
        name: String,
    },
    /// A party.
    Party(PartyId),
    /// The coordinator, of itself.
    #[default]
    Coordinator,
    /// Who runs the coordinator's process.
    Operator,
}

impl fmt::Display for Asker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ApiKey { key: KeyName::Bootstrap, .. } => f.write_str("api_key:bootstrap"),
            Self::ApiKey { key, name } => write!(f, "api_key:{key} ({name})"),
            Self::Party(party) => write!(f, "party:{party}"),
            Self::Coordinator => f.write_str("coordinator"),
            Self::Operator => f.write_str("operator"),
        }
    }
}

fn note(event: &'static str, asker: &Asker, subject: impl fmt::Display) -> Note {
    Note { event, actor: asker.to_string(), subject: subject.to_string(), ..Note::default() }
}

/// The event of [`started`].
pub(crate) const STARTED: &str = "coordinator_started";

/// The coordinator, where it is the subject.
pub(crate) const COORDINATOR: &str = "coordinator";

/// The coordinator has started.
pub(crate) fn started() -> Note {
    let detail = json!({ "version": env!("CARGO_PKG_VERSION") }).to_string();
    Note { detail, ..note(STARTED, &Asker::Operator, COORDINATOR) }
}

/// The log was not as its keeper had left it; what was found in the place of that.
pub(crate) fn own_log_in_doubt(
    keeper: impl fmt::Display,
    fault: &'static str,
    found: &Value,
) -> Note {
    let (decision, detail) = (fault.to_owned(), found.to_string());
    Note { decision, detail, ..note("audit_log_in_doubt", &Asker::Coordinator, keeper) }
}

/// A session was opened: who asked, and for what.
pub(crate) fn session_opened(record: &Record, asker: &Asker) -> Note {
    let intent = &record.intent;
    let mut detail = json!({
        "kind": purpose(&intent.kind),
        "request": intent.request,
        "intent": intent.hash(),
    });
    add(&mut detail, "account", intent.kind.account());
    if let IntentKind::Sign { authorization: Some(authorization), .. } = &intent.kind {
        add(&mut detail, "requester", Some(&authorization.requester));
    }
    let decision = "accepted".to_owned();
    let detail = detail.to_string();
    Note { decision, detail, ..note("session_opened", asker, intent.session) }
}

/// A session has ended: how, and by whose doing.
pub(crate) fn session_ended(record: &Record, end: &SessionEnd) -> Note {
    let declined = record.declined();
    let mut detail = json!({
        "kind": purpose(&record.intent.kind),
        "attempts": record.attempt,
    });
    add(&mut detail, "account", record.intent.kind.account());
    match end {
        SessionEnd::Completed(SessionProduct::Signature { signers, .. }) => {
            add(&mut detail, "signers", Some(short(signers)));
        }
        SessionEnd::Completed(SessionProduct::Canary { proven, .. }) => {
            add(&mut detail, "signers", Some(short(&proven.keys().copied().collect())));
        }
        SessionEnd::Completed(SessionProduct::Key { .. }) => {}
        SessionEnd::Completed(SessionProduct::Aux { aux_id }) => {
            add(&mut detail, "aux", Some(aux_id));
        }
        SessionEnd::Failed(failure) => {
            add(&mut detail, "reason", Some(failure.reason));
            // Who declined is named below.
            if failure.parties.iter().any(|party| !declined.contains_key(party)) {
                add(&mut detail, "parties", Some(short(&failure.parties)));
            }
        }
        SessionEnd::Cancelled => {}
        SessionEnd::Expired { waiting_for } => {
            add(&mut detail, "parties", Some(short(waiting_for)));
        }
    }
    if !declined.is_empty() {
        let mut declines: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (party, reason) in &declined {
            let reason = json!(reason).as_str().unwrap_or_default().to_owned();
            declines.entry(reason).or_default().push(one(party));
        }
        add(&mut detail, "declines", Some(declines));
    }
    let (decision, detail) = (end.name().to_owned(), detail.to_string());
    let subject = record.intent.session;
    Note { decision, detail, ..note("session_ended", &Asker::Coordinator, subject) }
}

/// An account was ordered; its key is being generated.
pub(crate) fn account_created(account: &NewAccount, asker: &Asker) -> Note {
    let NewAccount { id, scheme, threshold, holders, .. } = account;
    let detail = json!({
        "scheme": scheme.name(),
        "threshold": threshold,
        "holders": short(holders),
    });
    Note { detail: detail.to_string(), ..note("account_created", asker, id) }
}

/// What an account's key generation came to.
pub(crate) fn key_generated(account: AccountId, end: &SessionEnd) -> Note {
    let base = |event| note(event, &Asker::Coordinator, account);
    match (end, Failure::of(end)) {
        (SessionEnd::Completed(SessionProduct::Key { public_key, epoch, .. }), _) => {
            let detail = json!({ "public_key": public_key.to_string(), "epoch": epoch });
            Note { detail: detail.to_string(), ..base("account_key_generated") }
        }
        (_, failure) => {
            let decision = failure.map_or("", |failure| failure.reason.name()).to_owned();
            Note { decision, ..base("account_failed") }
        }
    }
}

/// Every holder has stored its share and proven it, and those that can be reached have taken it up.
pub(crate) fn account_activated(account: AccountId) -> Note {
    note("account_activated", &Asker::Coordinator, account)
}

/// The end of a session was asked for.
pub(crate) fn cancel_asked(session: SessionId, asker: &Asker) -> Note {
    note("session_cancel_asked", asker, session)
}

/// An API key was made.
pub(crate) fn api_key_created(key: &StoredKey, asker: &Asker) -> Note {
    let expires_at = key.expires_at.map(|at| at.0);
    let detail = json!({ "name": key.name, "scopes": key.scopes, "expires_at": expires_at });
    Note { detail: detail.to_string(), ..note("api_key_created", asker, key.id) }
}

/// An API key was revoked.
pub(crate) fn api_key_revoked(key: KeyId, asker: &Asker) -> Note {
    note("api_key_revoked", asker, key)
}

/// A source was locked out for wrong API keys, `lock_outs` of them since the start. Not each one
/// has its entry.
pub(crate) fn locked_out(source: impl fmt::Display, key: KeyName, lock_outs: u64) -> Note {
    let detail = json!({ "key": key.to_string(), "lock_outs": lock_outs }).to_string();
    Note { detail, ..note("source_locked_out", &Asker::Coordinator, source) }
}

/// A party was registered by its id, or has another role or label.
pub(crate) fn party_registered(party: PartyId, role: Role, asker: &Asker) -> Note {
    let detail = json!({ "role": role }).to_string();
    Note { detail, ..note("party_registered", asker, party) }
}

/// A party was let in by a token, which is used up, with this key of its own.
pub(crate) fn party_enrolled(party: PartyId, key: ProvenKey, ticket: &Ticket) -> Note {
    let (token, role) = (ticket.id, ticket.role);
    let detail = json!({ "role": role, "token": token, "number": key.number, "key": key.key });
    Note { detail: detail.to_string(), ..note("party_enrolled", &Asker::Party(party), party) }
}

/// A party has proven a newer key of its own.
pub(crate) fn party_key_rotated(party: PartyId, key: ProvenKey) -> Note {
    let detail = json!({ "number": key.number, "key": key.key }).to_string();
    Note { detail, ..note("party_key_rotated", &Asker::Party(party), party) }
}

/// A party was revoked.
pub(crate) fn party_revoked(party: PartyId, asker: &Asker) -> Note {
    note("party_revoked", asker, party)
}

/// An enrolment token was made.
pub(crate) fn enrolment_token_created(ticket: &Ticket, asker: &Asker) -> Note {
    let detail = json!({ "role": ticket.role, "expires_at": ticket.expires_at }).to_string();
    Note { detail, ..note("enrolment_token_created", asker, ticket.id) }
}

/// An enrolment token was cancelled before anybody used it.
pub(crate) fn enrolment_token_cancelled(token: TokenId, asker: &Asker) -> Note {
    note("enrolment_token_cancelled", asker, token)
}

/// A party has shown a head that cannot follow one that it showed before.
pub(crate) fn head_contradicts(head: &SignedHead) -> Note {
    let detail = json!({ "count": head.head.count, "hash": head.head.hash }).to_string();
    Note { detail, ..note("audit_head_contradicts", &Asker::Party(head.keeper), head.keeper) }
}

fn add(detail: &mut Value, name: &str, value: Option<impl serde::Serialize>) {
    if let (Value::Object(fields), Some(value)) = (detail, value) {
        fields.insert(name.to_owned(), json!(value));
    }
}

fn short(parties: &BTreeSet<PartyId>) -> Vec<String> {
    parties.iter().map(one).collect()
}

fn one(party: &PartyId) -> String {
    let mut digits = party.to_string();
    digits.truncate(ID_DIGITS);
    digits
}

#[cfg(test)]
mod tests {
    use super::*;
    use mpc_session::{FailureReason, SessionFailure};
    use mpc_wire::limits::{MAX_AUDIT_TEXT, MAX_PARTIES};
    use mpc_wire::{Attempt, DeclineReason, Intent, RequestId, Scheme, UnixMillis};

    fn record(end: SessionEnd, declines: BTreeMap<PartyId, DeclineReason>) -> Record {
        Record {
            intent: Intent {
                session: SessionId::generate(),
                request: RequestId::generate(),
                eligible: BTreeSet::new(),
                expires_at: UnixMillis(0),
                kind: IntentKind::Aux { scheme: Scheme::EcdsaCggmp24 },
            },
            aux_id: None,
            attempt: Attempt(3),
            quorum: BTreeSet::new(),
            past: Vec::new(),
            declines,
            objections: BTreeSet::new(),
            end: Some(end),
        }
    }

    #[test]
    fn an_end_names_every_party_within_its_bound() {
        let parties: BTreeSet<_> = (0..MAX_PARTIES).map(|_| Identity::generate().party()).collect();
        let reasons = [DeclineReason::NotAllowed, DeclineReason::AuthorizationMissing];
        let declines = parties.iter().zip(reasons.iter().cycle());
        let declines = declines.map(|(party, reason)| (*party, *reason)).collect();
        let failed = SessionEnd::Failed(SessionFailure {
            reason: FailureReason::Declined(DeclineReason::NotAllowed),
            parties: parties.clone(),
            detail: "for people".to_owned(),
        });
        let expired = SessionEnd::Expired { waiting_for: parties.clone() };
        for record in [record(failed, declines), record(expired, BTreeMap::new())] {
            let note = session_ended(&record, record.end.as_ref().unwrap());
            assert!(note.detail.len() <= MAX_AUDIT_TEXT, "{}", note.detail.len());
            let detail: Value = serde_json::from_str(&note.detail).unwrap();
            let told = detail.to_string();
            assert!(parties.iter().all(|party| told.contains(&one(party))), "{told}");
        }
    }

    #[test]
    fn who_asks_has_one_name_each() {
        let party = Identity::generate().party();
        let stored = KeyName::Stored("00112233445566ff".parse().unwrap());
        let names = [
            (
                Asker::ApiKey { key: KeyName::Bootstrap, name: "bootstrap".into() },
                "api_key:bootstrap".to_owned(),
            ),
            (
                Asker::ApiKey { key: stored, name: "billing".into() },
                "api_key:00112233445566ff (billing)".to_owned(),
            ),
            (Asker::Party(party), format!("party:{party}")),
            (Asker::default(), "coordinator".to_owned()),
            (Asker::Operator, "operator".to_owned()),
        ];
        for (asker, name) in names {
            assert_eq!(asker.to_string(), name);
        }
    }
}
