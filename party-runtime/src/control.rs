//! The party's control socket: how the people of its own host speak to a running party.
//!
//! A Unix domain socket in the party's folder, for its owner only. One request is one line of JSON,
//! one answer too. [`server`] is the party's side, [`client`] that of the command line.

pub mod client;
pub(crate) mod server;

use crate::policy::PolicyVersion;
use mpc_wire::{
    AccountId, HashFunction, PartyId, PublicKey, RequestId, RequesterName, SessionId, UnixMillis,
};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;

/// The socket's name in the party's folder.
pub const SOCKET: &str = "control.sock";

/// Longest line of a request: each is a command with an id or a path.
pub(crate) const MAX_REQUEST: usize = 16 << 10;

/// Most sessions that one list of open approvals shows.
pub(crate) const MAX_LISTED: usize = 256;

/// Longest line of an answer: a full list of approvals with the longest texts.
pub(crate) const MAX_ANSWER: usize = 2 << 20;

/// What is asked of a party.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum ControlRequest {
    /// How is the party?
    Status,
    /// What waits for a person?
    Approvals {
        /// Only this session, with all that is to be signed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        session: Option<SessionId>,
    },
    /// Take part in this session.
    Approve {
        /// The session.
        session: SessionId,
    },
    /// Do not take part in this session.
    Refuse {
        /// The session.
        session: SessionId,
    },
    /// Read the policy file again.
    ReloadPolicy,
    /// Seal the vault with another key, while the party works on.
    RotateKey {
        /// Where the new key comes from.
        to: KeyChoice,
    },
    /// Give the party itself a new key, while it works on.
    RotateIdentity,
    /// Never again work with this party.
    Ban {
        /// Whom.
        party: PartyId,
    },
}

/// Where a vault's new key comes from. Paths are those of the party's host; the key itself never
/// travels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "from", rename_all = "snake_case", deny_unknown_fields)]
pub enum KeyChoice {
    /// A key file, made if it is missing.
    KeyFile {
        /// The file.
        path: PathBuf,
    },
    /// A passphrase in a file.
    PassphraseFile {
        /// The file.
        path: PathBuf,
    },
}

/// What a party answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum ControlAnswer {
    /// How the party is.
    Status(StatusReport),
    /// What waits for a person.
    Approvals {
        /// The sessions, oldest first.
        approvals: Vec<OpenApproval>,
        /// How many more wait.
        more: usize,
    },
    /// It is done.
    Done {
        /// What was done, for people.
        detail: String,
    },
    /// It is not done.
    Refused {
        /// Why, by a stable name.
        error: ControlError,
        /// Why, for people.
        detail: String,
    },
}

impl ControlAnswer {
    pub(crate) fn done(detail: impl Into<String>) -> Self {
        Self::Done { detail: detail.into() }
    }

    pub(crate) fn refused(error: ControlError) -> Self {
        Self::Refused { error, detail: error.to_string() }
    }

    pub(crate) fn failed(error: ControlError, detail: impl fmt::Display) -> Self {
        Self::Refused { error, detail: detail.to_string() }
    }
}

/// How a party is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusReport {
    /// The party.
    pub party: PartyId,
    /// Sessions under way.
    pub sessions: usize,
    /// Sessions that wait for a person.
    pub open_approvals: usize,
    /// The policy in force.
    pub policy: PolicyVersion,
    /// Whether a request must carry a requester's signature.
    pub requester_signature_required: bool,
    /// How many requesters the policy knows.
    pub requesters: usize,
    /// Whom the party has banned.
    pub banned: Vec<PartyId>,
}

/// A session that waits for a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenApproval {
    /// The session.
    pub session: SessionId,
    /// The request.
    pub request: RequestId,
    /// The account that is to sign.
    pub account: AccountId,
    /// Its public key.
    pub public_key: PublicKey,
    /// The derivation of the key that signs.
    pub path: String,
    /// Who asks, if it has signed the request.
    pub requester: Option<RequesterName>,
    /// The digest that would be signed, in hexadecimal digits; none where bytes are signed as they
    /// are.
    pub digest: Option<String>,
    /// Where it comes from.
    pub payload: PayloadView,
    /// When it is too late.
    pub expires_at: UnixMillis,
}

/// Where a digest comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum PayloadView {
    /// The requester computed it: what it stands for cannot be told here.
    Digest,
    /// The party sees these bytes.
    Bytes {
        /// How it hashed them, if it did.
        hash: Option<HashFunction>,
        /// How many they are.
        length: usize,
        /// Whether some of them are not shown here. Asking for the session by itself shows all.
        truncated: bool,
        /// The beginning, or all, escaped, if they are a text.
        text: Option<String>,
        /// All of them in hexadecimal digits, if they are no text and the session was asked for by
        /// itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hex: Option<String>,
    },
}

/// Why a command was not carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum ControlError {
    /// Nothing waits under this session.
    #[error("no approval is open for this session: see `mpc party approvals`")]
    NoApproval,
    /// The session was decided before.
    #[error("the session was decided before")]
    ApprovalDecided,
    /// The session's intent has expired.
    #[error("too late: the session has expired; the requester can ask again")]
    ApprovalExpired,
    /// The session ended in another way.
    #[error("too late: the session has ended without this party")]
    ApprovalEnded,
    /// The rules, as they are now, do not let the session pass whatever a person says.
    #[error("the policy does not allow it any more")]
    NoLongerAllowed,
    /// The policy file cannot be used.
    #[error("the policy cannot be loaded; the one before stays in force")]
    PolicyUnusable,
    /// The key cannot be changed.
    #[error("the key cannot be changed")]
    KeyRotation,
    /// A party cannot ban itself.
    #[error("a party cannot ban itself")]
    OwnBan,
    /// The party's store failed.
    #[error("the party's store failed")]
    Store,
    /// The line is no request.
    #[error("not a request: send one line of JSON")]
    BadRequest,
    /// The other end of the socket belongs to somebody else.
    #[error("only the user that runs the party, and root, may control it")]
    NotAllowed,
    /// The party's actors are being made again.
    #[error("the party is restarting: try again")]
    Restarting,
    /// The answer is longer than its reader takes.
    #[error(
        "the answer is too long to be told: see the party's audit log with `mpc audit show`; a \
         command that changes something may have been carried out"
    )]
    AnswerTooLong,
}
