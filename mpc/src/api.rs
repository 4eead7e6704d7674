//! What the backend API takes and answers, as its clients see it.

mod keys;
mod parties;

pub use keys::{
    ApiKey, ApiKeyId, ApiKeyState, ApiKeyText, ApiKeys, NewApiKey, NotAnApiKeyId, Scope,
};
pub use parties::{
    EnrolmentToken, NewEnrolmentToken, NewParty, Parties, Party, PartyRole, PartyState,
};

use mpc_wire::{
    AccountId, Attempt, AuxId, Epoch, HashFunction, PartyId, PublicKey, RequestId, RequesterName,
    Round, Scheme, SessionId, Stage, Threshold, UnixMillis,
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A request for a new account.
#[derive(Debug, Clone, Serialize)]
pub struct NewAccount {
    /// The owner.
    pub user_id: String,
    /// The signature scheme.
    pub scheme: Scheme,
    /// How many parties sign together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<Threshold>,
    /// How many parties hold a share.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parties: Option<usize>,
}

/// A request for a signature.
#[derive(Debug, Clone, Serialize)]
pub struct SignRequest {
    /// The digest as 64 hexadecimal digits or, with a hash function, a text.
    pub message: String,
    /// What the runtime hashes the text with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash: Option<HashFunction>,
    /// The requester's name for its request, which can be used once; needed with an authorization.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<RequestId>,
    /// The requester's own consent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorization: Option<Authorization>,
    /// How many seconds the session may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<u64>,
}

impl SignRequest {
    /// A request that no requester signs.
    pub fn new(message: String, hash: Option<HashFunction>) -> Self {
        Self { message, hash, request_id: None, authorization: None, expires_in: None }
    }
}

/// A requester's signature under its request: see [`crate::requester`].
#[derive(Debug, Clone, Serialize)]
pub struct Authorization {
    /// By which name the parties know the requester.
    pub requester: RequesterName,
    /// When the signature loses its force, in milliseconds since the Unix epoch.
    pub expires_at: UnixMillis,
    /// The signature, 128 hexadecimal digits.
    pub signature: String,
}

/// Where an account stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountState {
    /// Its key is being generated.
    Generating,
    /// It has a key; that every party can sign has yet to be shown.
    Activating,
    /// It signs.
    Active,
    /// Its key could not be generated.
    Failed,
}

/// Where a session stands, or how it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionState {
    /// Too few parties are online.
    WaitingForParties,
    /// The parties of an attempt are being asked.
    Joining,
    /// Persons have yet to approve it.
    WaitingForApproval,
    /// An attempt runs.
    Running,
    /// It made what it was for.
    Completed,
    /// It could not be completed.
    Failed,
    /// Somebody cancelled it.
    Cancelled,
    /// Its deadline passed.
    Expired,
}

impl SessionState {
    /// Whether the session is over.
    pub const fn has_ended(self) -> bool {
        match self {
            Self::WaitingForParties | Self::Joining | Self::WaitingForApproval | Self::Running => {
                false
            }
            Self::Completed | Self::Failed | Self::Cancelled | Self::Expired => true,
        }
    }
}

/// Where an aux set stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuxState {
    /// Its session runs.
    Generating,
    /// Its parties have stored it.
    Ready,
}

/// States are written as the API writes them.
macro_rules! display_as_serialized {
    ($($name:ident),+) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.serialize(f)
            }
        }
    )+};
}

display_as_serialized!(
    AccountState,
    SessionState,
    AuxState,
    ApiKeyState,
    Scope,
    PartyRole,
    PartyState
);

/// An account.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Account {
    /// Its id.
    pub account_id: AccountId,
    /// Its owner.
    pub user_id: String,
    /// Its signature scheme.
    pub scheme: Scheme,
    /// How many parties sign together.
    pub threshold: Threshold,
    /// Who holds a share.
    pub parties: Vec<Holder>,
    /// The epoch of the shares.
    pub epoch: Epoch,
    /// Where it stands.
    pub state: AccountState,
    /// Its public key, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key: Option<PublicKey>,
    /// When it was asked for (RFC 3339).
    pub created_at: String,
    /// Why there will be no key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// The sessions that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sessions: Option<AccountSessions>,
    /// How long its making took.
    #[serde(default)]
    pub timings_ms: AccountTimings,
}

/// A party that holds a share of an account.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Holder {
    /// Its id.
    pub party_id: PartyId,
    /// Its label, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

/// The sessions that made an account.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AccountSessions {
    /// Made its key.
    pub keygen: SessionId,
    /// Showed that every party can sign.
    #[serde(default)]
    pub canaries: Vec<SessionId>,
}

/// How long the steps of an account's making took, in milliseconds, as far as they are done.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct AccountTimings {
    /// Its key generation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keygen: Option<u64>,
    /// Its wait for an aux set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aux_wait: Option<u64>,
    /// Its canary signatures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<u64>,
}

/// Why a session or an account has not become what it was to be.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Failure {
    /// The reason's stable name.
    pub reason: String,
    /// The parties that were missing, or to blame.
    #[serde(default)]
    pub parties: Vec<PartyId>,
    /// What happened, for people.
    #[serde(default)]
    pub detail: String,
}

/// A session.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Session {
    /// Its id.
    pub session_id: SessionId,
    /// What it is for.
    pub kind: String,
    /// The account that it concerns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_id: Option<AccountId>,
    /// Where it stands, or how it ended.
    pub state: SessionState,
    /// The newest attempt.
    pub attempt: Attempt,
    /// The members of the newest attempt.
    #[serde(default)]
    pub quorum: Vec<PartyId>,
    /// Whom it waits for.
    #[serde(default)]
    pub waiting_for: Vec<PartyId>,
    /// How far the attempt has come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    /// When it began (RFC 3339).
    pub created_at: String,
    /// By when it ends (RFC 3339).
    pub deadline: String,
    /// The attempts that failed.
    #[serde(default)]
    pub past_attempts: Vec<PastAttempt>,
    /// The parties that do not take part, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub declines: Vec<Decline>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// The signature that it made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<Signature>,
    /// The key that it made, or signed with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key: Option<PublicKey>,
    /// Who signed.
    #[serde(default)]
    pub signers: Vec<PartyId>,
    /// The digest that was signed, in hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// How long it took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
}

/// A party that does not take part in a session.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Decline {
    /// The party.
    pub party_id: PartyId,
    /// Its reason's stable name.
    pub reason: String,
    /// Its reason, for people.
    #[serde(default)]
    pub detail: String,
}

/// How far an attempt has come.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Position {
    /// The stage.
    pub stage: Stage,
    /// The stage's round.
    pub round: Round,
}

/// An attempt that failed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PastAttempt {
    /// Its number.
    pub attempt: Attempt,
    /// Why it failed.
    #[serde(flatten)]
    pub failure: Failure,
    /// The member whose word that is, if it names others, or nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reported_by: Option<PartyId>,
    /// The stable name of the reason for which a member declined, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declined: Option<String>,
}

/// A signature in its usual forms, each in hexadecimal digits.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Signature {
    /// `r`, 32 bytes; `R` of Schnorr's kind.
    pub r: String,
    /// `s`, 32 bytes.
    pub s: String,
    /// `r` ‖ `s`, 64 bytes: what Ed25519 and BIP 340 have.
    pub compact: String,
    /// What ECDSA has besides.
    #[serde(flatten)]
    pub ecdsa: Option<EcdsaForms>,
}

/// The forms of an ECDSA signature, each in hexadecimal digits.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EcdsaForms {
    /// Which of the candidate points of `r` the nonce point is, 0 to 3.
    pub recovery_id: u8,
    /// ASN.1 DER.
    pub der: String,
    /// `r` ‖ `s` ‖ `v`, 65 bytes, as Ethereum has it.
    pub ethereum: String,
}

/// The accounts, newest first.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Accounts {
    /// The accounts.
    pub accounts: Vec<Account>,
}

/// The aux sets.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AuxSets {
    /// The sets, newest first.
    pub aux_sets: Vec<AuxSet>,
}

/// An aux set, ready or on its way.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AuxSet {
    /// Its id, once it is ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aux_id: Option<AuxId>,
    /// The scheme that needs it.
    pub scheme: Scheme,
    /// Who has a part of it.
    pub parties: Vec<PartyId>,
    /// Where it stands.
    pub state: AuxState,
    /// The session that makes it.
    pub session_id: SessionId,
    /// How long its making took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
}

/// An error as the API tells it (RFC 9457).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Problem {
    /// The kind of error, for people.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong this time.
    #[serde(default)]
    pub detail: String,
    /// The stable name of the kind.
    pub code: String,
    /// The session that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionId>,
    /// The parties concerned.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parties: Vec<PartyId>,
    /// The parties that did not take part, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub declines: Vec<Decline>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.title)?;
        if !self.detail.is_empty() {
            write!(f, ": {}", self.detail)?;
        }
        write!(f, " [{}, HTTP {}]", self.code, self.status)?;
        if let Some(session) = self.session_id {
            write!(f, "; session {session}")?;
        }
        for party in &self.parties {
            match self.declines.iter().find(|decline| decline.party_id == *party) {
                Some(decline) => write!(f, "; party {party}: {}", decline.detail)?,
                None => write!(f, "; party {party}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_written_as_the_api_writes_them() {
        assert_eq!(SessionState::WaitingForParties.to_string(), "waiting_for_parties");
        assert_eq!(AccountState::Active.to_string(), "active");
        assert_eq!(AuxState::Ready.to_string(), "ready");
    }

    #[test]
    fn a_problem_shows_title_detail_and_code() {
        let problem: Problem = serde_json::from_str(
            r#"{"type": "about:blank", "title": "Unknown account", "status": 404,
                "detail": "no account has this id", "code": "account_not_found"}"#,
        )
        .unwrap();
        assert_eq!(
            problem.to_string(),
            "Unknown account: no account has this id [account_not_found, HTTP 404]"
        );
    }

    #[test]
    fn an_account_on_its_way_has_no_key() {
        let account: Account = serde_json::from_str(
            r#"{"account_id": "0198c6a0-0000-7000-8000-000000000000", "user_id": "alice",
                "scheme": "ecdsa-cggmp24", "threshold": 2, "parties": [], "epoch": 0,
                "state": "generating", "created_at": "2026-01-01T00:00:00Z"}"#,
        )
        .unwrap();
        assert_eq!((account.state, account.public_key), (AccountState::Generating, None));
    }
}
