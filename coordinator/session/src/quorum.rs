//! Who takes part in an attempt.

use mpc_wire::{DeclineReason, PartyId};
use std::collections::{BTreeMap, BTreeSet};

/// What the session knows of its eligible parties.
#[derive(Debug, Clone)]
pub struct Candidates {
    eligible: BTreeSet<PartyId>,
    /// The reachable ones, the preferred first.
    online: Vec<PartyId>,
    /// Those that will not take part in this session.
    declined: BTreeMap<PartyId, DeclineReason>,
    /// How many attempts each party is held to have spoilt.
    faults: BTreeMap<PartyId, u32>,
    /// Those in which a person has yet to approve. That is no fault: at worst they come after
    /// others with as few faults.
    pondering: BTreeSet<PartyId>,
}

impl Candidates {
    /// The candidates among `eligible`, of which `online` can be reached, the preferred first.
    pub fn new(eligible: BTreeSet<PartyId>, online: Vec<PartyId>) -> Self {
        let mut candidates = Self {
            eligible,
            online: Vec::new(),
            declined: BTreeMap::new(),
            faults: BTreeMap::new(),
            pondering: BTreeSet::new(),
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
        self.declined.insert(party, reason);
    }

    pub(crate) fn ponder(&mut self, party: PartyId) {
        self.pondering.insert(party);
    }

    pub(crate) fn approve(&mut self, party: PartyId) {
        self.pondering.remove(&party);
    }

    pub(crate) fn fault(&mut self, party: PartyId) {
        *self.faults.entry(party).or_default() += 1;
    }

    pub(crate) fn declined(&self) -> &BTreeMap<PartyId, DeclineReason> {
        &self.declined
    }

    /// Whether `size` parties could still be found, were all online.
    pub(crate) fn can_reach(&self, size: usize) -> bool {
        self.eligible.len() - self.declined.len() >= size
    }

    /// The parties whose return a quorum would need.
    pub(crate) fn missing(&self) -> BTreeSet<PartyId> {
        self.eligible
            .iter()
            .filter(|party| !self.online.contains(party) && !self.declined.contains_key(party))
            .copied()
            .collect()
    }

    /// The `size` reachable, willing parties with the fewest faults, among equals rather those that
    /// wait for nobody; or none if there are fewer.
    pub fn quorum(&self, size: usize) -> Option<BTreeSet<PartyId>> {
        let mut willing: Vec<_> =
            self.online.iter().filter(|party| !self.declined.contains_key(party)).collect();
        // Stable: among equals the order of preference stays.
        willing.sort_by_key(|party| {
            (self.faults.get(party).copied().unwrap_or(0), self.pondering.contains(party))
        });
        (willing.len() >= size).then(|| willing.into_iter().take(size).copied().collect())
    }

    /// As [`Self::quorum`], of parties that wait for nobody's approval, as far as is known.
    pub(crate) fn quorum_of_prompt(&self, size: usize) -> Option<BTreeSet<PartyId>> {
        let mut prompt = self.clone();
        prompt.online.retain(|party| !self.pondering.contains(party));
        prompt.quorum(size)
    }
}
