//! One struct a state, each with only the fields that are legal then.

use crate::Millis;
use crate::end::SessionEnd;
use mpc_wire::{AttemptOutcome, AttemptPlan, PartyId, PlanHash, Round, SignedJoin, Stage};
use std::collections::{BTreeMap, BTreeSet};

/// The states of a session.
#[derive(Debug, Clone)]
pub(crate) enum State {
    Gathering(Gathering),
    Joining(Joining),
    Running(Running),
    Ended(Ended),
}

/// Too few parties can be reached for an attempt.
#[derive(Debug, Clone)]
pub(crate) struct Gathering;

/// The members of an attempt have been invited.
#[derive(Debug, Clone)]
pub(crate) struct Joining {
    pub(crate) plan: AttemptPlan,
    pub(crate) plan_hash: PlanHash,
    pub(crate) joins: BTreeMap<PartyId, SignedJoin>,
    /// Whose policy asks a person, also if that person has approved meanwhile.
    pub(crate) awaiting_approval: BTreeSet<PartyId>,
    pub(crate) patience: Patience,
}

/// For how long the members of an attempt are waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Who has not joined by then spoils the attempt, or makes way for others if it waits for a
    /// person.
    Until(Millis),
    /// Only persons are waited for, and there was nobody to ask in their stead: they have until the
    /// session's deadline.
    WithPersons,
}

impl Joining {
    pub(crate) fn missing(&self) -> BTreeSet<PartyId> {
        self.plan.quorum.iter().filter(|p| !self.joins.contains_key(p)).copied().collect()
    }

    /// Who should have joined by the end of the patience.
    pub(crate) fn overdue(&self) -> BTreeSet<PartyId> {
        self.missing().difference(&self.awaiting_approval).copied().collect()
    }

    /// Whether a person has approved the attempt.
    pub(crate) fn is_approved_by_a_person(&self) -> bool {
        self.awaiting_approval.iter().any(|party| self.joins.contains_key(party))
    }
}

/// Every member has joined and was told so.
#[derive(Debug, Clone)]
pub(crate) struct Running {
    pub(crate) plan: AttemptPlan,
    /// Where each member stands, by its own word or by the headers of what it sends.
    pub(crate) positions: BTreeMap<PartyId, Position>,
    pub(crate) outcomes: BTreeMap<PartyId, AttemptOutcome>,
}

/// Where a member stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) at: (Stage, Round),
    pub(crate) waiting_for: BTreeSet<PartyId>,
}

impl Running {
    pub(crate) fn new(plan: AttemptPlan) -> Self {
        Self { plan, positions: BTreeMap::new(), outcomes: BTreeMap::new() }
    }

    /// Whose messages or outcomes the attempt waits for: what the members lack, and otherwise
    /// those that have not reported an outcome.
    pub(crate) fn waiting_for(&self) -> BTreeSet<PartyId> {
        let lacked: BTreeSet<_> =
            self.positions.values().flat_map(|position| &position.waiting_for).copied().collect();
        if lacked.is_empty() { self.unreported() } else { lacked }
    }

    pub(crate) fn unreported(&self) -> BTreeSet<PartyId> {
        self.plan.quorum.iter().filter(|p| !self.outcomes.contains_key(p)).copied().collect()
    }

    /// The position of the member furthest behind.
    pub(crate) fn hindmost(&self) -> Option<(Stage, Round)> {
        self.positions.values().map(|position| position.at).min()
    }
}

/// It is over.
#[derive(Debug, Clone)]
pub(crate) struct Ended {
    pub(crate) end: SessionEnd,
}
