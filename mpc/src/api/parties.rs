//! Parties, and what lets them in.

use super::keys::ApiKeyText;
use mpc_wire::{KeyNumber, PartyId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What a party is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartyRole {
    /// A server of the pool.
    Server,
    /// A user's device.
    Device,
    /// Acts for a user whose share it made.
    Delegate,
}

/// Whether a party may connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartyState {
    /// It may.
    Registered,
    /// It may no more, for good.
    Revoked,
}

/// The parties that were ever registered.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Parties {
    /// The parties.
    pub parties: Vec<Party>,
}

/// A party.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Party {
    /// Its id.
    pub party_id: PartyId,
    /// Its label; may be empty.
    #[serde(default)]
    pub label: String,
    /// What it is there for.
    pub role: PartyRole,
    /// Whether it may connect.
    pub state: PartyState,
    /// Whether it can be reached.
    pub online: bool,
    /// How often its key was rotated, as far as the coordinator has seen.
    pub key_number: KeyNumber,
    /// When it was registered (RFC 3339).
    pub registered_at: String,
    /// When it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<String>,
}

/// A party to be registered by its id.
#[derive(Debug, Clone, Serialize)]
pub struct NewParty {
    /// Its id.
    pub party_id: PartyId,
    /// What it is there for.
    pub role: PartyRole,
    /// Its label; may be empty.
    pub label: String,
}

/// A request for a token that lets a party in.
#[derive(Debug, Clone, Serialize)]
pub struct NewEnrolmentToken {
    /// What the party will be there for.
    pub role: PartyRole,
    /// The party's label; without it, the one that the party gives itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Seconds after which it no longer lets anybody in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<u64>,
}

/// A token that lets one party in.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EnrolmentToken {
    /// What the party shows.
    pub token: ApiKeyText,
    /// The token's public name.
    pub token_id: Uuid,
    /// What the party will be there for.
    pub role: PartyRole,
    /// The party's label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// From when on it lets nobody in.
    pub expires_at: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_and_not_formatted() {
        let text = r#"{"token": "horse.battery.staple", "role": "server",
            "token_id": "0198c6a0-0000-7000-8000-000000000000",
            "expires_at": "2026-01-01T00:00:00.000Z"}"#;
        let token: EnrolmentToken = serde_json::from_str(text).unwrap();
        assert_eq!(token.token.expose(), "horse.battery.staple");
        assert!(!format!("{token:?}").contains("horse"));
    }
}
