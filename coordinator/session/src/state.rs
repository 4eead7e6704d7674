//! One struct a state, each with only the fields that are legal then.

use crate::Millis;
use crate::end::SessionEnd;
use crate::patience::{JOIN_PATIENCE, REMINDER};
use mpc_wire::{AttemptOutcome, AttemptPlan, PartyId, PlanHash, Round, SignedJoin, Stage, ToParty};
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
    /// Whose joins came with a broken signature, and how often.
    pub(crate) broken: BTreeMap<PartyId, u32>,
    /// Whose policy asks a person, also if that person has approved meanwhile.
    pub(crate) awaiting_approval: BTreeSet<PartyId>,
    pub(crate) origin: Origin,
    /// What members of an attempt that was taken up report who have ended it already.
    pub(crate) outcomes: BTreeMap<PartyId, AttemptOutcome>,
    pub(crate) patience: Patience,
    /// When those that have not answered are invited again: an invitation can be lost.
    pub(crate) remind_at: Millis,
}

/// Where an attempt comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// It was planned just now: nobody can have started it.
    Planned,
    /// It was under way when the coordinator lost its memory of it.
    TakenUp,
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
    /// Begins to wait for the members.
    pub(crate) fn new(plan: AttemptPlan, origin: Origin, now: Millis) -> Self {
        Self {
            plan_hash: plan.hash(),
            plan,
            joins: BTreeMap::new(),
            broken: BTreeMap::new(),
            awaiting_approval: BTreeSet::new(),
            origin,
            outcomes: BTreeMap::new(),
            patience: Patience::Until(now.after(JOIN_PATIENCE)),
            remind_at: now.after(REMINDER),
        }
    }

    pub(crate) fn missing(&self) -> BTreeSet<PartyId> {
        let has_answered =
            |party: &PartyId| self.joins.contains_key(party) || self.outcomes.contains_key(party);
        self.plan.quorum.iter().filter(|party| !has_answered(party)).copied().collect()
    }

    /// Who should have joined by the end of the patience.
    pub(crate) fn overdue(&self) -> BTreeSet<PartyId> {
        self.missing().difference(&self.awaiting_approval).copied().collect()
    }

    /// When the members' time is over; never if only persons are waited for.
    pub(crate) fn patience_ends(&self) -> Option<Millis> {
        match self.patience {
            Patience::Until(end) => Some(end),
            Patience::WithPersons => None,
        }
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
    /// What the members were started with; a member that has not heard of it is told again. Not all
    /// are there if members had ended the attempt before it was taken up.
    pub(crate) joins: BTreeMap<PartyId, SignedJoin>,
    /// Where each member stands, by its own word or by the headers of what it sends.
    pub(crate) positions: BTreeMap<PartyId, Position>,
    /// The newest round in which each member's own messages have passed.
    pub(crate) spoken: BTreeMap<PartyId, (Stage, Round)>,
    pub(crate) outcomes: BTreeMap<PartyId, AttemptOutcome>,
    /// The members that cannot be reached, and since when.
    pub(crate) away: BTreeMap<PartyId, Millis>,
    /// For how long, in milliseconds, each member was away besides since the attempt last went on.
    pub(crate) absences: BTreeMap<PartyId, u64>,
    /// Until when time was given for absences: one during which several are away counts once.
    pub(crate) waited_until: Millis,
    /// When the attempt counts as stuck, unless a member has gone on by then.
    pub(crate) stuck_at: Millis,
}

/// Where a member stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) at: (Stage, Round),
    /// Whose messages it says that it lacks.
    pub(crate) claims: BTreeSet<PartyId>,
    /// Who is hard to reach by that, as far as can be seen here.
    pub(crate) lacks: BTreeSet<PartyId>,
}

impl Position {
    /// The position of a member that says that it lacks these.
    pub(crate) fn new(at: (Stage, Round), claims: BTreeSet<PartyId>) -> Self {
        Self { at, claims, lacks: BTreeSet::new() }
    }
}

impl Running {
    /// Begins to follow the members. `stuck_at` is when they count as stuck if none goes on.
    pub(crate) fn new(joining: Joining, stuck_at: Millis) -> Self {
        let Joining { plan, joins, outcomes, .. } = joining;
        Self {
            plan,
            joins,
            positions: BTreeMap::new(),
            spoken: BTreeMap::new(),
            outcomes,
            away: BTreeMap::new(),
            absences: BTreeMap::new(),
            waited_until: Millis(0),
            stuck_at,
        }
    }

    /// The start of the attempt, as its members are told it; none if not all joins are known.
    pub(crate) fn started(&self) -> Option<ToParty> {
        (self.joins.len() == self.plan.quorum.len()).then(|| ToParty::Started {
            session: self.plan.session,
            attempt: self.plan.attempt,
            joins: self.joins.values().cloned().collect(),
        })
    }
}

/// It is over.
#[derive(Debug, Clone)]
pub(crate) struct Ended {
    pub(crate) end: SessionEnd,
}
