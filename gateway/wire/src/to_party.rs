//! What a gateway sends to a party.

use crate::audit::SignedHead;
use crate::epoch::{EpochPlan, EpochStatement};
use crate::handshake::Challenge;
use crate::ids::{Attempt, PartyId, RequestId, SessionId};
use crate::intent::Intent;
use crate::plan::{AttemptPlan, SignedJoin};
use crate::round::{RoundAck, RoundEnvelope};
use crate::testimony::{Inquiry, SignedBan, Testimony};
use serde::{Deserialize, Serialize};

/// Messages from the coordinator's side to a party.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToParty {
    /// The gateway asks for a proof of identity.
    Challenge(Challenge),
    /// The proof was accepted; the connection is open for everything else.
    Welcome {
        /// The party, as the gateway knows it.
        party: PartyId,
        /// Milliseconds between the gateway's pings.
        heartbeat_ms: u64,
    },
    /// The party is asked to join an attempt.
    Invite {
        /// What the session is for.
        intent: Intent,
        /// The attempt.
        plan: AttemptPlan,
    },
    /// Every member has joined: the attempt starts.
    Started {
        /// The session.
        session: SessionId,
        /// The attempt.
        attempt: Attempt,
        /// Every member's join.
        joins: Vec<SignedJoin>,
    },
    /// A round message from another member.
    Round(RoundEnvelope),
    /// Which of the party's round messages have arrived at another member.
    Ack(RoundAck),
    /// An attempt is over without a result.
    Abort {
        /// The session.
        session: SessionId,
        /// The attempt.
        attempt: Attempt,
        /// Why.
        reason: AbortReason,
    },
    /// The session is over: its outcome is stored, the party may forget it.
    Finished {
        /// The session.
        session: SessionId,
    },
    /// Where the coordinator's audit log stands. Comes before every invitation and every end of an
    /// attempt or session, and when something else was entered; the party keeps the newest one.
    AuditHead(SignedHead),
    /// A restored party asks what has happened to the accounts that it shares with this one.
    Inquiry(Inquiry),
    /// Another party's answer to this party's inquiry.
    Testimony(Testimony),
    /// Another party has banned a third one; this party keeps that, should the other forget.
    Ban(SignedBan),
    /// Answers [`crate::ToCoordinator::RequestSession`].
    SessionRequested {
        /// The session that was asked for.
        session: SessionId,
        /// The requester's name for its request.
        request: RequestId,
        /// Whether it was accepted.
        result: Result<(), SessionRefusal>,
    },
    /// Something that the party sent could not be accepted.
    Error {
        /// What kind of thing went wrong.
        code: ErrorCode,
        /// For people: what to do next. Nothing secret.
        detail: String,
    },
    /// All holders have stored their shares of an epoch and proven them: the party takes the epoch
    /// up. Said until the party answers with [`crate::ToCoordinator::Activated`].
    Activate {
        /// The shares.
        of: EpochPlan,
        /// Every holder's words, at most [`crate::limits::MAX_STATEMENTS`].
        statements: Vec<EpochStatement>,
    },
    /// The party is to say, for good, what it has of an attempt that was to make shares of an epoch.
    /// It answers with [`crate::ToCoordinator::Statement`] if it has taken part in it.
    Attest {
        /// The attempt.
        plan: AttemptPlan,
    },
    /// A holder has refused an attempt's shares: the party erases its own, unless it has proven it.
    Discard(EpochStatement),
}

/// Why an attempt was aborted: a closed list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AbortReason {
    /// The requester cancelled.
    Cancelled,
    /// The session's deadline passed.
    Expired,
    /// A member failed or was lost; another attempt may follow.
    Superseded,
    /// The session failed.
    Failed,
}

/// Why a session that a party asked for was not accepted: a closed list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum SessionRefusal {
    /// The account is not known or not active.
    #[error("the account is not known, or not active")]
    UnknownAccount,
    /// The intent does not fit the account.
    #[error("the intent does not fit the account")]
    IntentMismatch,
    /// The asking party may not ask for this.
    #[error("this party may not ask for such a session")]
    NotAllowed,
    /// A session with this id, or a request with this id, exists with other content.
    #[error("the session or request id was used before for something else")]
    Duplicate,
    /// Not enough holders are connected.
    #[error("too few holders of the account are connected")]
    NotEnoughParties,
    /// The coordinator has all it can carry, or cannot reach its store: try again later.
    #[error("the coordinator cannot take the session now, try again later")]
    Unavailable,
}

/// What kind of thing was wrong: a closed list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The subprotocol or version is not spoken here.
    UnsupportedVersion,
    /// The frame is not a message of this protocol.
    Malformed,
    /// The frame is larger than [`crate::limits::MAX_FRAME`].
    TooLarge,
    /// The proof of identity is missing, late or wrong.
    NotAuthenticated,
    /// The identity is not registered, and no valid enrolment token came with it.
    NotEnrolled,
    /// The enrolment token is not valid: wrong, expired or used.
    TokenRefused,
    /// The identity was revoked.
    Revoked,
    /// The identity's key was rotated: this is an older one.
    KeySuperseded,
    /// The message names a sender other than the connection's party.
    WrongSender,
    /// The same identity connected again; this connection is closed.
    Replaced,
    /// Too much is queued; the message was not taken.
    Overloaded,
    /// The server is shutting down; reconnect elsewhere or later.
    GoingAway,
}
