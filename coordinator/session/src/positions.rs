//! Where the members of a running attempt stand, and whether it goes on.
//!
//! Headers and words are all that is seen here, and a hostile member makes both as it likes. So what
//! a member claims is kept as it was said, until the member itself is further on: nothing that
//! another one sends takes it back.

use crate::Millis;
use crate::state::{Position, Running};
use mpc_wire::{PartyId, Round, Stage};
use std::collections::BTreeSet;

impl Running {
    /// Notes where a member says that it stands. If the attempt goes on by that, it counts as stuck
    /// at `stuck_at`.
    pub(crate) fn stands(&mut self, member: PartyId, said: Position, stuck_at: Millis) {
        let Position { at, claims, .. } = said;
        if self.positions.get(&member).is_some_and(|before| before.at > at) {
            return;
        }
        // A member can only wait for members. One that waits for what has passed through here is
        // itself the one that is hard to reach.
        let claims: BTreeSet<_> = claims.intersection(&self.plan.quorum).copied().collect();
        let has_passed = |other| self.spoken.get(other).is_some_and(|spoken| *spoken >= at);
        let lacks = claims.iter().map(|other| if has_passed(other) { member } else { *other });
        let position = Position { at, lacks: lacks.collect(), claims };
        let rear = self.rear();
        self.positions.insert(member, position);
        self.goes_on_behind(rear, stuck_at);
    }

    /// Notes that a member has spoken in a round: it is at least there, and nobody who reported
    /// from that round or before lacks it any more, as far as can be seen.
    pub(crate) fn has_spoken(&mut self, member: PartyId, at: (Stage, Round), stuck_at: Millis) {
        let rear = self.rear();
        let position =
            self.positions.entry(member).or_insert_with(|| Position::new(at, BTreeSet::new()));
        position.at = position.at.max(at);
        let spoken = self.spoken.entry(member).or_insert(at);
        *spoken = at.max(*spoken);
        for other in self.positions.values_mut().filter(|other| other.at <= at) {
            other.lacks.remove(&member);
        }
        self.goes_on_behind(rear, stuck_at);
    }

    /// The attempt goes on.
    pub(crate) fn goes_on(&mut self, stuck_at: Millis) {
        self.stuck_at = stuck_at;
        self.absences.clear();
    }

    /// The attempt goes on if the member furthest behind does: rounds are in lock step, and no
    /// member alone can make it seem to go on. The last one that has not reported has all that it
    /// needs of the others.
    fn goes_on_behind(&mut self, rear: Option<(Stage, Round)>, stuck_at: Millis) {
        if self.rear() > rear && self.unreported().len() > 1 {
            self.goes_on(stuck_at);
        }
    }

    /// Where the member stands that is furthest behind of those that have not reported; none if it
    /// has said nothing yet.
    fn rear(&self) -> Option<(Stage, Round)> {
        let position = |party| self.positions.get(&party).map(|position| position.at);
        self.unreported().into_iter().map(position).min().flatten()
    }

    /// The same of those that have said where they are: what is shown of the attempt.
    pub(crate) fn hindmost(&self) -> Option<(Stage, Round)> {
        self.positions.values().map(|position| position.at).min()
    }

    /// Whose messages or outcomes the attempt waits for: what members lack that have not reported,
    /// and otherwise their outcomes.
    pub(crate) fn waiting_for(&self) -> BTreeSet<PartyId> {
        let unreported = self.unreported();
        let positions = unreported.iter().filter_map(|member| self.positions.get(member));
        let lacked: BTreeSet<_> = positions.flat_map(|position| &position.lacks).copied().collect();
        let lacked: BTreeSet<_> = lacked.intersection(&unreported).copied().collect();
        if lacked.is_empty() { unreported } else { lacked }
    }

    /// Who holds the attempt up, as far as that can be told. Where the start cannot be told again,
    /// nobody can be held to have heard of it; where a member lacks what has passed through here,
    /// it can as well be that its sender has sent something else.
    pub(crate) fn stuck_for(&self) -> BTreeSet<PartyId> {
        if self.started().is_none() {
            return BTreeSet::new();
        }
        let is_open = |member: &PartyId| {
            self.positions.get(member).is_some_and(|position| position.lacks.contains(member))
        };
        self.waiting_for().into_iter().filter(|member| !is_open(member)).collect()
    }

    /// Who claims that another one holds the attempt up, and who is claimed to: one of them does.
    pub(crate) fn at_odds(&self) -> BTreeSet<PartyId> {
        let unreported = self.unreported();
        let mut at_odds = BTreeSet::new();
        for member in &unreported {
            let claims = self.positions.get(member).into_iter().flat_map(|it| &it.claims);
            let others = claims.filter(|other| *other != member && unreported.contains(other));
            for other in others {
                at_odds.extend([*member, *other]);
            }
        }
        at_odds
    }

    /// Who has not reported an outcome.
    pub(crate) fn unreported(&self) -> BTreeSet<PartyId> {
        self.plan.quorum.iter().filter(|p| !self.outcomes.contains_key(p)).copied().collect()
    }
}
