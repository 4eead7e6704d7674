//! What a party sends to its gateway.

use crate::ids::{Attempt, PartyId, Round, SessionId, Stage};
use crate::intent::Intent;
use crate::outcome::AttemptOutcome;
use crate::plan::SignedJoin;
use crate::round::{RoundEnvelope, RoundHeader};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Messages from a party to the coordinator's side.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToCoordinator {
    /// Answers the challenge. The signature is over [`crate::handshake::Hello`].
    Prove {
        /// Who is connecting.
        party: PartyId,
        /// A free-form label, at most [`crate::limits::MAX_LABEL`] bytes; may be empty.
        label: String,
        /// Ed25519 signature.
        #[serde(with = "serde_bytes")]
        signature: [u8; 64],
    },
    /// The party joins an attempt.
    Join {
        /// The session.
        session: SessionId,
        /// The attempt.
        attempt: Attempt,
        /// The signed consent.
        join: SignedJoin,
    },
    /// The party will not join an attempt.
    Decline {
        /// The session.
        session: SessionId,
        /// The attempt.
        attempt: Attempt,
        /// Why.
        reason: DeclineReason,
    },
    /// A round message to another member.
    Round(RoundEnvelope),
    /// A round message could not be taken: the party's buffers are full.
    RoundRefused {
        /// The message refused.
        header: RoundHeader,
    },
    /// Where the party's runner stands.
    Progress {
        /// The session.
        session: SessionId,
        /// The attempt.
        attempt: Attempt,
        /// The stage.
        stage: Stage,
        /// The round.
        round: Round,
        /// From whom it still needs messages.
        waiting_for: BTreeSet<PartyId>,
    },
    /// How the attempt ended in this party.
    Outcome {
        /// The session.
        session: SessionId,
        /// The attempt.
        attempt: Attempt,
        /// The end.
        outcome: AttemptOutcome,
    },
    /// The party asks for a session. It has stored the intent before it sends this.
    RequestSession {
        /// What the session is to be for.
        intent: Intent,
    },
}

/// Why a party will not join: a closed list.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    thiserror::Error,
)]
#[serde(rename_all = "snake_case")]
pub enum DeclineReason {
    /// The party holds no share of the account at that epoch.
    #[error("the party holds no share of the account at that epoch")]
    NoShare,
    /// The account exists already.
    #[error("the party holds a share of that account already")]
    AccountExists,
    /// The party has no part of the aux set.
    #[error("the party has no part of the aux set")]
    NoAux,
    /// The intent does not fit what the party knows of the account.
    #[error("the intent does not fit what the party knows of the account")]
    IntentMismatch,
    /// The plan does not fit the intent.
    #[error("the plan does not fit the intent")]
    PlanMismatch,
    /// The intent has expired.
    #[error("the intent has expired")]
    Expired,
    /// The request was seen before in another session.
    #[error("the request was seen before in another session")]
    RequestReused,
    /// The party's policy, or a person, said no.
    #[error("refused by the party's policy")]
    Refused,
    /// The party does not support what is asked.
    #[error("the party does not support this kind of session or scheme")]
    Unsupported,
    /// The party has all it can carry.
    #[error("the party has all it can carry")]
    Overloaded,
}
