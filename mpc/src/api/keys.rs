//! API keys.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;
use zeroize::Zeroizing;

/// Digits of a key's id.
const ID_DIGITS: usize = 16;

/// What an API key may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Looking.
    Read,
    /// What a backend does.
    Sign,
    /// Keys of the API, parties and their enrolment.
    Admin,
}

/// Where an API key stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApiKeyState {
    /// It opens the API.
    Active,
    /// Its time is over.
    Expired,
    /// Somebody revoked it.
    Revoked,
}

/// A request for a new API key.
#[derive(Debug, Clone, Serialize)]
pub struct NewApiKey {
    /// What it is for.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// Seconds after which it no longer works.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<u64>,
}

/// The public name of an API key: 16 lowercase hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ApiKeyId(String);

/// A text that is no id of an API key. What it was is not told: it may have been a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the id of an API key: give {ID_DIGITS} lowercase hexadecimal digits")]
pub struct NotAnApiKeyId;

impl FromStr for ApiKeyId {
    type Err = NotAnApiKeyId;

    fn from_str(text: &str) -> Result<Self, NotAnApiKeyId> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() == ID_DIGITS && text.bytes().all(is_digit) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotAnApiKeyId)
        }
    }
}

impl fmt::Display for ApiKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An API key, with its text only in the answer to the request that made it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ApiKey {
    /// Its public name.
    pub id: ApiKeyId,
    /// What it is for.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// Where it stands.
    pub state: ApiKeyState,
    /// When it was made (RFC 3339).
    pub created_at: String,
    /// From when on it no longer works.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// When it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<String>,
    /// What its holder shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<ApiKeyText>,
}

/// The text of an API key. Zeroizes on drop, is serialized for its holder and never formatted.
#[derive(Clone)]
pub struct ApiKeyText(Zeroizing<String>);

impl ApiKeyText {
    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl Serialize for ApiKeyText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ApiKeyText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Zeroizing::new).map(Self)
    }
}

impl fmt::Debug for ApiKeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKeyText(redacted)")
    }
}

/// The API keys, newest first.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ApiKeys {
    /// The keys.
    pub api_keys: Vec<ApiKey>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_key_is_read_and_not_formatted() {
        let text = r#"{"id": "0123456789abcdef", "name": "n", "scopes": ["read", "sign"],
            "state": "active", "created_at": "2026-01-01T00:00:00.000Z", "key": "mpc_horse"}"#;
        let key: ApiKey = serde_json::from_str(text).unwrap();
        assert_eq!(key.key.as_ref().unwrap().expose(), "mpc_horse");
        assert_eq!(
            (key.state, &key.scopes[..]),
            (ApiKeyState::Active, &[Scope::Read, Scope::Sign][..])
        );
        assert!(!format!("{key:?}").contains("horse"));
        assert!(serde_json::to_string(&key).unwrap().contains("mpc_horse"));
    }

    #[test]
    fn ids_are_16_lowercase_digits() {
        assert!("0123456789abcdef".parse::<ApiKeyId>().is_ok());
        for bad in
            ["", "0123456789abcde", "0123456789abcdef0", "0123456789ABCDEF", "../accounts/1234"]
        {
            assert_eq!(bad.parse::<ApiKeyId>(), Err(NotAnApiKeyId), "{bad}");
        }
    }
}
