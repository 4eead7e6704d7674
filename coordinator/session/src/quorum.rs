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

/// How often that is doubled at most: then it is 32 seconds.
const MAX_DOUBLINGS: usize = 6;

/// How many quorums are looked at for one whose members have not spoken against each other, the best
/// first: all that a usual set has.
const MAX_LOOKED_AT: usize = 1_000;

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

    /// Lets those be asked again whose rest is over; says whether there are any.
    pub(crate) fn wake(&mut self, now: Millis) -> bool {
        let before = self.resting.len();
        self.resting.retain(|_, until| *until > now);
        self.resting.len() < before
    }

    /// When the next rest is over.
    pub(crate) fn next_wake(&self) -> Option<Millis> {
        self.resting.values().min().copied()
    }

    /// Whether `size` parties could still be found, were all online.
    pub(crate) fn can_reach(&self, size: usize, past: &[PastAttempt]) -> bool {
        let willing = self.eligible.iter().filter(|party| !self.declined.contains_key(party));
        possible(willing.copied(), size, past).next().is_some()
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
    /// nobody; rather no two of which one has named the other. None if there are fewer.
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
        let possible = || possible(willing.iter().copied(), size, past);
        let named_by_another = |by: &PartyId, named: &PartyId| {
            past.iter().any(|past| past.reported_by == Some(*by) && past.parties.contains(named))
        };
        let is_at_peace = |quorum: &BTreeSet<PartyId>| {
            let mut pairs = quorum.iter().cartesian_product(quorum);
            !pairs.any(|(by, named)| by != named && named_by_another(by, named))
        };
        possible().take(MAX_LOOKED_AT).find(is_at_peace).or_else(|| possible().next())
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

/// The quorums of so many of the parties that no member has refused to be one of, the best first.
fn possible<'a>(
    parties: impl Iterator<Item = PartyId> + 'a,
    size: usize,
    past: &'a [PastAttempt],
) -> impl Iterator<Item = BTreeSet<PartyId>> + 'a {
    let refused: BTreeSet<_> = past
        .iter()
        .filter(|past| past.is_declined_for(DeclineScope::Quorum))
        .map(|past| &past.quorum)
        .collect();
    let quorums = parties.combinations(size).map(BTreeSet::from_iter);
    quorums.filter(move |quorum| !refused.contains(quorum))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attempt::MAX_FAULTS;
    use mpc_wire::{Attempt, FailureKind};

    fn party(number: u8) -> PartyId {
        PartyId::new([number; 32])
    }

    fn accusation(quorum: &BTreeSet<PartyId>, by: PartyId, named: PartyId) -> PastAttempt {
        PastAttempt {
            attempt: Attempt::FIRST,
            quorum: quorum.clone(),
            kind: FailureKind::PeerMisbehaved,
            parties: [named].into(),
            reported_by: Some(by),
            suspects: [by, named].into(),
            declined: None,
            detail: String::new(),
        }
    }

    /// The most attempts that the liars can spoil by accusing honest members of their quorum.
    fn spoilt(
        candidates: &Candidates,
        size: usize,
        liars: &[PartyId],
        past: &mut Vec<PastAttempt>,
    ) -> usize {
        assert!(past.len() < MAX_FAULTS, "{past:#?}");
        let quorum = candidates.quorum(size, past).expect("all are willing");
        let present = liars.iter().filter(|liar| quorum.contains(liar));
        let honest = quorum.iter().filter(|member| !liars.contains(member));
        let lies = present.cartesian_product(honest);
        let spoilt = lies.map(|(liar, honest)| {
            past.push(accusation(&quorum, *liar, *honest));
            let spoilt = 1 + spoilt(candidates, size, liars, past);
            past.pop();
            spoilt
        });
        spoilt.max().unwrap_or(0)
    }

    #[test]
    fn liars_use_no_session_up() {
        for (size, all, liars, most) in [(2, 3, 1, 2), (3, 5, 1, 2), (3, 5, 2, 4), (5, 6, 1, 2)] {
            let parties: Vec<_> = (1..=all).map(party).collect();
            for shift in 0..parties.len() {
                let mut preferred = parties.clone();
                preferred.rotate_left(shift);
                let candidates = Candidates::new(parties.iter().copied().collect(), preferred);
                for liars in parties.iter().copied().combinations(liars) {
                    let spoilt = spoilt(&candidates, size, &liars, &mut Vec::new());
                    assert!(spoilt <= most, "{spoilt} of {size} of {all} with {liars:?}");
                }
            }
        }
    }

    /// Where nobody is named each failure speaks against the whole quorum: the liar is left out once
    /// each party could have been.
    #[test]
    fn a_liar_that_nobody_names_is_left_out_in_time() {
        for (size, all) in [(2, 3), (3, 5), (5, 6), (6, 7), (11, 20)] {
            let parties: Vec<_> = (1..=all).map(party).collect();
            for liar in &parties {
                let mut preferred = parties.clone();
                preferred.sort_by_key(|party| party != liar);
                let candidates = Candidates::new(parties.iter().copied().collect(), preferred);
                let mut past = Vec::new();
                while let Some(quorum) = candidates.quorum(size, &past).filter(|q| q.contains(liar))
                {
                    let failed = accusation(&quorum, *liar, *liar);
                    past.push(PastAttempt { suspects: quorum, parties: BTreeSet::new(), ..failed });
                    assert!(past.len() < MAX_FAULTS.max(parties.len()), "{size} of {all}");
                }
            }
        }
    }

    /// All but one of a large set have refused each other; looking for the one is bounded.
    #[test]
    fn a_large_set_is_no_burden() {
        let parties: BTreeSet<_> = (0..20).map(party).collect();
        let candidates = Candidates::new(parties.clone(), parties.iter().copied().collect());
        let past: Vec<_> =
            (0..19).map(|number| accusation(&parties, party(number), party(number + 1))).collect();
        assert_eq!(candidates.quorum(11, &past).map(|quorum| quorum.len()), Some(11));
        assert!(candidates.can_reach(20, &past) && !candidates.can_reach(21, &past));
    }
}
