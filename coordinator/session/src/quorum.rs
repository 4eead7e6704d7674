//! Who takes part in an attempt.
//!
//! Who is rather not asked again follows from the attempts that failed. A member's word against
//! another one speaks against both: one of them has lied, and which of them cannot be told from
//! outside. Whoever spoils attempt after attempt so collects more than anybody else, whomever it
//! names, and is left out.

use crate::Millis;
use crate::record::PastAttempt;
use itertools::Itertools;
use mpc_wire::{DeclineReason, DeclineScope, PartyId};
use std::collections::{BTreeMap, BTreeSet};

/// How long, in milliseconds, a party is left alone that declines an attempt for a reason that
/// passes by itself, for the second time; doubled with each further time. The first time it is asked
/// again at once.
const REST: u64 = 500;

/// How often that is doubled at most: then it is 8 seconds.
const MAX_DOUBLINGS: usize = 4;

/// What the session knows of its eligible parties.
#[derive(Debug, Clone)]
pub(crate) struct Candidates {
    eligible: BTreeSet<PartyId>,
    /// The reachable ones, the preferred first.
    online: Vec<PartyId>,
    /// Those that will not take part in this session.
    declined: BTreeMap<PartyId, DeclineReason>,
    /// Those in which a person has yet to approve. That is no fault: at worst they come after
    /// others that are as good.
    pondering: BTreeSet<PartyId>,
    /// Those that are left alone until then.
    resting: BTreeMap<PartyId, Millis>,
}

impl Candidates {
    /// The candidates among `eligible`, of which `online` can be reached, the preferred first.
    pub(crate) fn new(eligible: BTreeSet<PartyId>, online: Vec<PartyId>) -> Self {
        let mut candidates = Self {
            eligible,
            online: Vec::new(),
            declined: BTreeMap::new(),
            pondering: BTreeSet::new(),
            resting: BTreeMap::new(),
        };
        online.into_iter().for_each(|party| candidates.set_online(party));
        candidates
    }

    pub(crate) fn is_eligible(&self, party: PartyId) -> bool {
        self.eligible.contains(&party)
    }

    pub(crate) fn set_online(&mut self, party: PartyId) {
        if self.is_eligible(party) && !self.online.contains(&party) {
            self.online.push(party);
        }
    }

    pub(crate) fn is_online(&self, party: PartyId) -> bool {
        self.online.contains(&party)
    }

    pub(crate) fn set_offline(&mut self, party: PartyId) {
        self.online.retain(|other| *other != party);
    }

    pub(crate) fn decline(&mut self, party: PartyId, reason: DeclineReason) {
        self.pondering.remove(&party);
        // The first reason stays: it has been told.
        self.declined.entry(party).or_insert(reason);
    }

    pub(crate) fn ponder(&mut self, party: PartyId) {
        self.pondering.insert(party);
    }

    pub(crate) fn approve(&mut self, party: PartyId) {
        self.pondering.remove(&party);
    }

    pub(crate) fn declined(&self) -> &BTreeMap<PartyId, DeclineReason> {
        &self.declined
    }

    /// Leaves a party alone that has declined in passing so many times before.
    pub(crate) fn rest(&mut self, party: PartyId, times: usize, now: Millis) {
        let Some(doublings) = times.checked_sub(1) else { return };
        self.resting.insert(party, now.after(REST << doublings.min(MAX_DOUBLINGS)));
    }

    /// Lets those be asked again whose rest is over.
    pub(crate) fn wake(&mut self, now: Millis) {
        self.resting.retain(|_, until| *until > now);
    }

    /// When the next rest is over.
    pub(crate) fn next_wake(&self) -> Option<Millis> {
        self.resting.values().min().copied()
    }

    /// Whether `size` parties could still be found, were all online.
    pub(crate) fn can_reach(&self, size: usize, past: &[PastAttempt]) -> bool {
        let willing = self.eligible.iter().filter(|party| !self.declined.contains_key(party));
        first_possible(willing.copied(), size, past).is_some()
    }

    /// The parties whose return a quorum would need, or the end of whose rest.
    pub(crate) fn missing(&self) -> BTreeSet<PartyId> {
        let is_here =
            |party: &PartyId| self.online.contains(party) && !self.resting.contains_key(party);
        self.eligible
            .iter()
            .filter(|party| !is_here(party) && !self.declined.contains_key(party))
            .copied()
            .collect()
    }

    /// The `size` reachable, willing parties that speak for themselves best: with the fewest failed
    /// attempts, among equals rather those that were named less often, then those that wait for
    /// nobody; none if there are fewer.
    pub(crate) fn quorum(&self, size: usize, past: &[PastAttempt]) -> Option<BTreeSet<PartyId>> {
        let is_willing = |party: &&PartyId| {
            !self.declined.contains_key(party) && !self.resting.contains_key(party)
        };
        let mut willing: Vec<_> = self.online.iter().filter(is_willing).copied().collect();
        let count = |is_in: &dyn Fn(&PastAttempt) -> bool| past.iter().filter(|p| is_in(p)).count();
        // Stable: among equals the order of preference stays.
        willing.sort_by_cached_key(|party| {
            let suspected = count(&|past| past.suspects.contains(party));
            let named = count(&|past| past.parties.contains(party));
            (suspected, named, self.pondering.contains(party))
        });
        first_possible(willing.into_iter(), size, past)
    }

    /// As [`Self::quorum`], of parties that wait for nobody's approval, as far as is known.
    pub(crate) fn quorum_of_prompt(
        &self,
        size: usize,
        past: &[PastAttempt],
    ) -> Option<BTreeSet<PartyId>> {
        let mut prompt = self.clone();
        prompt.online.retain(|party| !self.pondering.contains(party));
        prompt.quorum(size, past)
    }
}

/// The first `size` of the parties that no member has refused to be together with.
fn first_possible(
    parties: impl Iterator<Item = PartyId>,
    size: usize,
    past: &[PastAttempt],
) -> Option<BTreeSet<PartyId>> {
    let refused: BTreeSet<_> = past
        .iter()
        .filter(|past| past.is_declined_for(DeclineScope::Quorum))
        .map(|past| &past.quorum)
        .collect();
    parties
        .combinations(size)
        .map(|quorum| quorum.into_iter().collect::<BTreeSet<_>>())
        .find(|quorum| !refused.contains(quorum))
}
