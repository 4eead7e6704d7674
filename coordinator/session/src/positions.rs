//! Where the members of a running attempt stand, and whether it goes on.

use crate::Millis;
use crate::state::{Position, Running};
use mpc_wire::{PartyId, Round, Stage};
use std::collections::BTreeSet;

impl Running {
    /// Notes where a member says that it stands. If the attempt goes on by that, it counts as stuck
    /// at `stuck_at`.
    pub(crate) fn stands(&mut self, member: PartyId, position: Position, stuck_at: Millis) {
        let Position { at, waiting_for } = position;
        if self.positions.get(&member).is_some_and(|before| before.at > at) {
            return;
        }
        // A member can only wait for members. One that waits for what has passed through here is
        // itself the one that is hard to reach.
        let waiting_for = waiting_for.intersection(&self.plan.quorum);
        let has_passed = |other| self.spoken.get(other).is_some_and(|spoken| *spoken >= at);
        let waiting_for = waiting_for.map(|other| if has_passed(other) { member } else { *other });
        let position = Position { at, waiting_for: waiting_for.collect() };
        let rear = self.rear();
        self.positions.insert(member, position);
        self.goes_on_behind(rear, stuck_at);
    }

    /// Notes that a member has spoken in a round: it is at least there, and nobody who reported
    /// from that round or before lacks it any more.
    pub(crate) fn has_spoken(&mut self, member: PartyId, at: (Stage, Round), stuck_at: Millis) {
        let rear = self.rear();
        let position =
            self.positions.entry(member).or_insert(Position { at, waiting_for: BTreeSet::new() });
        position.at = position.at.max(at);
        let spoken = self.spoken.entry(member).or_insert(at);
        *spoken = at.max(*spoken);
        for other in self.positions.values_mut().filter(|other| other.at <= at) {
            other.waiting_for.remove(&member);
        }
        self.goes_on_behind(rear, stuck_at);
    }

    /// The attempt goes on.
    pub(crate) fn goes_on(&mut self, stuck_at: Millis) {
        self.stuck_at = stuck_at;
        self.absences.clear();
    }

    /// The attempt goes on if the member furthest behind does: rounds are in lock step, and no
    /// member alone can make it seem to go on.
    fn goes_on_behind(&mut self, rear: Option<(Stage, Round)>, stuck_at: Millis) {
        if self.rear() > rear {
            self.goes_on(stuck_at);
        }
    }

    /// Where the member stands that is furthest behind of those that have not reported; none if it
    /// has said nothing yet.
    fn rear(&self) -> Option<(Stage, Round)> {
        let position = |party| self.positions.get(&party).map(|position| position.at);
        self.unreported().into_iter().map(position).min().flatten()
    }

    /// Who holds the attempt up, as far as that can be told: where the start cannot be told again,
    /// nobody can be held to have heard of it.
    pub(crate) fn stuck_for(&self) -> BTreeSet<PartyId> {
        if self.started().is_some() { self.waiting_for() } else { BTreeSet::new() }
    }

    /// By whose word others hold the attempt up.
    pub(crate) fn complaining(&self) -> impl Iterator<Item = PartyId> {
        let complains =
            |position: &Position, member| position.waiting_for.iter().any(|other| other != member);
        let positions = self.positions.iter();
        positions.filter(move |(member, position)| complains(position, *member)).map(|(m, _)| *m)
    }

    /// Whose messages or outcomes the attempt waits for: what the members lack, and otherwise
    /// those that have not reported an outcome.
    pub(crate) fn waiting_for(&self) -> BTreeSet<PartyId> {
        let lacked: BTreeSet<_> =
            self.positions.values().flat_map(|position| &position.waiting_for).copied().collect();
        if lacked.is_empty() { self.unreported() } else { lacked }
    }

    /// Who has not reported an outcome.
    pub(crate) fn unreported(&self) -> BTreeSet<PartyId> {
        self.plan.quorum.iter().filter(|p| !self.outcomes.contains_key(p)).copied().collect()
    }

    /// The position of the member furthest behind of those that have said where they are.
    pub(crate) fn hindmost(&self) -> Option<(Stage, Round)> {
        self.positions.values().map(|position| position.at).min()
    }
}
