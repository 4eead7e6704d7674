//! What survives a restart.

use crate::end::SessionEnd;
use mpc_wire::{Attempt, AuxId, DeclineReason, FailureKind, Intent, Objection, PartyId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A session as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// What the session is for.
    pub intent: Intent,
    /// The aux set that its attempts use.
    pub aux_id: Option<AuxId>,
    /// The highest attempt that was ever planned; 0 if none was.
    pub attempt: Attempt,
    /// The parties of that attempt while it was neither over nor failed.
    pub quorum: BTreeSet<PartyId>,
    /// The attempts that failed, oldest first.
    pub past: Vec<PastAttempt>,
    /// The parties that will not take part, and why.
    #[serde(default)]
    pub declines: BTreeMap<PartyId, DeclineReason>,
    /// What parties refused because somebody on the way forged or mixed it up, at most
    /// [`crate::MAX_OBJECTIONS`].
    #[serde(default)]
    pub objections: BTreeSet<RaisedObjection>,
    /// How it ended, if it did.
    pub end: Option<SessionEnd>,
}

/// An objection, kept for people to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RaisedObjection {
    /// In which attempt.
    pub attempt: Attempt,
    /// By whom.
    pub by: PartyId,
    /// To what.
    pub objection: Objection,
}

/// A failed attempt, kept for people to see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastAttempt {
    /// Which.
    pub attempt: Attempt,
    /// Who took part.
    pub quorum: BTreeSet<PartyId>,
    /// Why it failed.
    pub kind: FailureKind,
    /// Who was named.
    pub parties: BTreeSet<PartyId>,
    /// For people.
    pub detail: String,
}
