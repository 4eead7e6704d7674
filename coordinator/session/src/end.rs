//! How a session ended.

use mpc_wire::{
    AbortReason, AuxId, DeclineReason, Epoch, EpochStatement, FailureKind, PartyId, PublicKey,
    Signature,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The end of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionEnd {
    /// It made what it was for.
    Completed(SessionProduct),
    /// It cannot be completed.
    Failed(SessionFailure),
    /// The requester cancelled it.
    Cancelled,
    /// Its deadline passed.
    Expired {
        /// Who was missing at that time.
        waiting_for: BTreeSet<PartyId>,
    },
}

impl SessionEnd {
    /// The end's name in texts.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Completed(_) => "completed",
            Self::Failed(_) => "failed",
            Self::Cancelled => "cancelled",
            Self::Expired { .. } => "expired",
        }
    }

    /// Why an attempt that is under way at this end is to be stopped; none if its members may end
    /// it by themselves.
    pub const fn abort_reason(&self) -> Option<AbortReason> {
        match self {
            Self::Completed(_) => None,
            Self::Failed(_) => Some(AbortReason::Failed),
            Self::Cancelled => Some(AbortReason::Cancelled),
            Self::Expired { .. } => Some(AbortReason::Expired),
        }
    }
}

/// What a session made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionProduct {
    /// A key; every party has stored its share.
    Key {
        /// The public key.
        public_key: PublicKey,
        /// The epoch of the shares.
        epoch: Epoch,
        /// Every party's public share.
        public_shares: BTreeMap<PartyId, PublicKey>,
        /// Every party's word that its share is stored.
        stored: BTreeMap<PartyId, EpochStatement>,
    },
    /// An aux set; every party has stored its part.
    Aux {
        /// Its id.
        aux_id: AuxId,
    },
    /// A signature that verified.
    Signature {
        /// The signature.
        signature: Signature,
        /// Who made it.
        signers: BTreeSet<PartyId>,
    },
    /// A canary's signature that verified.
    Canary {
        /// The signature.
        signature: Signature,
        /// Who made it, each with its word that its share has proven itself.
        proven: BTreeMap<PartyId, EpochStatement>,
    },
}

/// Why a session failed, with the parties concerned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionFailure {
    /// The reason.
    pub reason: FailureReason,
    /// The missing, unwilling or guilty parties.
    pub parties: BTreeSet<PartyId>,
    /// For people.
    pub detail: String,
}

/// Why a session failed: a closed list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureReason {
    /// So many parties declined that no quorum is left.
    Declined(DeclineReason),
    /// [`crate::MAX_FAULTS`] attempts, or one for each party, failed by a fault, or [`crate::MAX_ATTEMPTS`] in all, the last
    /// one like this.
    AttemptsExhausted(FailureKind),
    /// The members report different results.
    ResultsDiffer,
}

impl FailureReason {
    /// The reason's stable code in texts.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Declined(_) => "declined",
            Self::AttemptsExhausted(_) => "attempts_exhausted",
            Self::ResultsDiffer => "results_differ",
        }
    }
}
