//! What survives a restart.

use crate::join::PreparedJoin;
use mpc_wire::{Attempt, AttemptOutcome, AttemptPlan, Intent, SignedJoin};
use serde::{Deserialize, Serialize};

/// A session as it is stored. It may hold an [`crate::AttemptSecret`]: seal it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Record {
    /// What the session is for.
    pub intent: Intent,
    /// Who in this party wants it.
    pub consent: StoredConsent,
    /// No attempt up to this one may be joined (again).
    pub floor: Attempt,
    /// How far the party went with its newest attempt.
    pub progress: StoredProgress,
}

/// A consent that was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum StoredConsent {
    /// A local caller wants the session.
    Intended,
    /// Policy, or a person, accepted it.
    Approved,
}

/// How far the party went.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum StoredProgress {
    /// It has not joined, or its attempt was aborted before an end.
    Idle,
    /// It has joined this attempt, which has not launched.
    Joined {
        /// The attempt.
        plan: AttemptPlan,
        /// The join, to be sent again verbatim.
        prepared: PreparedJoin,
    },
    /// The attempt was launched. The secret is gone: it served one launch.
    Launched {
        /// The attempt.
        plan: AttemptPlan,
        /// The join.
        join: SignedJoin,
    },
    /// The attempt ended here; the coordinator has not acknowledged it.
    Ended {
        /// The attempt.
        attempt: Attempt,
        /// How.
        outcome: AttemptOutcome,
    },
    /// The session is over.
    Over,
}
