//! `mpc apikey`: keys of the backend API, by a key with the scope `admin`.

use crate::cli::{ApikeyCommand, Output};
use crate::operate::{open, print};
use crate::secret::Secret;
use anyhow::Context;
use mpc::api::{ApiKeyId, NewApiKey};
use std::str::FromStr;

/// Runs `mpc apikey`.
pub(crate) async fn run(command: ApikeyCommand) -> anyhow::Result<()> {
    match command {
        ApikeyCommand::Create { name, scopes, expires_in, client } => {
            let (client, output) = open(client)?;
            let request = NewApiKey {
                name,
                scopes: scopes.into_iter().map(Into::into).collect(),
                expires_in: expires_in.map(|Lifetime(seconds)| seconds),
            };
            let key = client.create_api_key(&request).await?;
            print(&key, output)?;
            match output {
                Output::Table => eprintln!("the key is told this once: keep it now"),
                Output::Json => {}
            }
            Ok(())
        }
        ApikeyCommand::List { client } => {
            let (client, output) = open(client)?;
            print(&client.api_keys().await?, output)
        }
        ApikeyCommand::Revoke { id, client } => {
            let id = key_id(&id)?;
            let (client, output) = open(client)?;
            print(&client.revoke_api_key(&id).await?, output)
        }
    }
}

/// The id of a key; who gives the key itself means its id. What was given is not told again: it
/// may be most of a key.
fn key_id(given: &Secret) -> anyhow::Result<ApiKeyId> {
    let text = given.expose().as_str();
    let id = text.strip_prefix("mpc_").and_then(|key| key.split('_').next()).unwrap_or(text);
    id.parse().context("see `mpc apikey list` for the ids")
}

/// How long a key lives, in seconds: a number with `s`, `m`, `h`, `d` or `w`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lifetime(u64);

impl Lifetime {
    pub(crate) fn seconds(self) -> u64 {
        self.0
    }
}

/// A text that is no lifetime.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a time: give a whole number with s, m, h, d or w, as in 90d")]
pub(crate) struct NotALifetime;

impl FromStr for Lifetime {
    type Err = NotALifetime;

    fn from_str(text: &str) -> Result<Self, NotALifetime> {
        let unit = text.chars().next_back().ok_or(NotALifetime)?;
        let seconds = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            'w' => 7 * 86_400,
            _ => return Err(NotALifetime),
        };
        let number: u64 = text.trim_end_matches(unit).parse().map_err(|_| NotALifetime)?;
        if number == 0 || text.len() != number.to_string().len() + 1 {
            return Err(NotALifetime);
        }
        number.checked_mul(seconds).map(Self).ok_or(NotALifetime)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_are_numbers_with_a_unit() {
        for (text, seconds) in
            [("45s", 45), ("30m", 1800), ("12h", 43_200), ("90d", 7_776_000), ("2w", 1_209_600)]
        {
            assert_eq!(text.parse(), Ok(Lifetime(seconds)), "{text}");
        }
        for bad in ["", "d", "90", "0d", "-1d", "+1d", "1.5d", "90dd", "1y", "090d", "9 d", "é"] {
            assert_eq!(bad.parse::<Lifetime>(), Err(NotALifetime), "{bad}");
        }
        assert!(format!("{}w", u64::MAX).parse::<Lifetime>().is_err());
    }

    #[test]
    fn an_id_may_be_given_as_the_key_and_no_key_is_told() {
        let id = "0123456789abcdef";
        let of = |text: &str| key_id(&text.parse().unwrap());
        assert_eq!(of(id).unwrap().to_string(), id);
        assert_eq!(of(&format!("mpc_{id}_{}", "ab".repeat(32))).unwrap().to_string(), id);
        let error = format!("{:#}", of("mpc_0123_correct-horse").unwrap_err());
        assert!(error.contains("16") && !error.contains("horse"), "{error}");
        assert!(of("correct-horse").is_err() && of("").is_err() && of("../accounts").is_err());
    }
}
