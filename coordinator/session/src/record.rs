//! What survives a restart.

use crate::end::SessionEnd;
use mpc_wire::{
    Attempt, AttemptPlan, AuxId, DeclineReason, DeclineScope, FailureKind, Intent, Objection,
    PartyId, ToParty,
};
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

impl Record {
    /// The plan of the attempt under way, if one is.
    pub fn plan(&self) -> Option<AttemptPlan> {
        (!self.quorum.is_empty()).then(|| AttemptPlan {
            session: self.intent.session,
            intent_hash: self.intent.hash(),
            attempt: self.attempt,
            quorum: self.quorum.clone(),
            aux_id: self.aux_id,
        })
    }

    /// The parties that declined, and why: the session, or else to be together with a quorum.
    pub fn declined(&self) -> BTreeMap<PartyId, DeclineReason> {
        let past = self.past.iter().filter(|past| past.is_declined_for(DeclineScope::Quorum));
        let mut declined: BTreeMap<_, _> = past
            .filter_map(|past| past.declined.map(|reason| (&past.parties, reason)))
            .flat_map(|(parties, reason)| parties.iter().map(move |party| (*party, reason)))
            .collect();
        declined.extend(&self.declines);
        declined
    }

    /// What stops the attempts of a session that ended without having made what it was for.
    pub fn abort(&self) -> Option<ToParty> {
        let reason = self.end.as_ref()?.abort_reason()?;
        Some(ToParty::Abort { session: self.intent.session, attempt: self.attempt, reason })
    }
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
    /// The member whose word that is, if it names others, or nobody.
    #[serde(default)]
    pub reported_by: Option<PartyId>,
    /// Who is rather not asked again: one of them has spoilt it.
    #[serde(default)]
    pub suspects: BTreeSet<PartyId>,
    /// Why a member declined, if one did.
    #[serde(default)]
    pub declined: Option<DeclineReason>,
    /// For people.
    pub detail: String,
}

impl PastAttempt {
    /// Whether it did not fail, but made way for others because a member waited for a person.
    pub fn made_way(&self) -> bool {
        // Of a failure nobody is suspected only in records that older versions wrote, which name
        // somebody, or say what failed.
        self.suspects.is_empty() && self.parties.is_empty() && self.kind == FailureKind::PeerMissing
    }

    /// Whether a member declined for a reason that holds for this.
    pub(crate) fn is_declined_for(&self, scope: DeclineScope) -> bool {
        self.declined.is_some_and(|reason| reason.scope() == scope)
    }
}
