//! Who is online, and how much each party has to do.

use mpc_wire::PartyId;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// The parties that can be reached and their running sessions. Clones share one state; the hub
/// alone changes who is online or revoked.
#[derive(Debug, Clone)]
pub(crate) struct Roster {
    online: Arc<watch::Sender<BTreeSet<PartyId>>>,
    /// They are never online, whatever a gateway says.
    revoked: Arc<Mutex<BTreeSet<PartyId>>>,
    load: Arc<Mutex<Load>>,
}

#[derive(Debug, Default)]
struct Load {
    /// How many running attempts each party takes part in.
    attempts: BTreeMap<PartyId, usize>,
    /// Grows with each ranking, so that equals take turns.
    turn: usize,
}

impl Roster {
    /// Nobody is online, and these never will be.
    pub(crate) fn new(revoked: BTreeSet<PartyId>) -> Self {
        Self {
            online: Arc::new(watch::Sender::new(BTreeSet::new())),
            revoked: Arc::new(Mutex::new(revoked)),
            load: Arc::default(),
        }
    }

    pub(crate) fn set_online(&self, party: PartyId) {
        if !self.is_revoked(party) {
            self.online.send_if_modified(|online| online.insert(party));
        }
    }

    /// Puts a party out of reach for good.
    pub(crate) fn revoke(&self, party: PartyId) {
        lock(&self.revoked).insert(party);
        self.set_offline(party);
    }

    pub(crate) fn is_revoked(&self, party: PartyId) -> bool {
        lock(&self.revoked).contains(&party)
    }

    pub(crate) fn set_offline(&self, party: PartyId) {
        self.online.send_if_modified(|online| online.remove(&party));
    }

    pub(crate) fn is_online(&self, party: PartyId) -> bool {
        self.online.borrow().contains(&party)
    }

    pub(crate) fn online(&self) -> BTreeSet<PartyId> {
        self.online.borrow().clone()
    }

    /// Tells of every change of who is online.
    pub(crate) fn subscribe(&self) -> watch::Receiver<BTreeSet<PartyId>> {
        self.online.subscribe()
    }

    /// The online parties among `eligible`: those of `preferred` first, then those with the least
    /// to do; equals take turns.
    pub(crate) fn rank(
        &self,
        eligible: &BTreeSet<PartyId>,
        preferred: &BTreeSet<PartyId>,
    ) -> Vec<PartyId> {
        let mut ranked: Vec<_> = {
            let online = self.online.borrow();
            eligible.intersection(&online).copied().collect()
        };
        let mut load = self.load();
        load.turn = load.turn.wrapping_add(1);
        let shift = load.turn.checked_rem(ranked.len()).unwrap_or(0);
        ranked.rotate_left(shift);
        ranked.sort_by_key(|party| {
            (!preferred.contains(party), load.attempts.get(party).copied().unwrap_or(0))
        });
        ranked
    }

    /// Counts an attempt of these parties as running until the engagement is dropped.
    pub(crate) fn engage(&self, parties: BTreeSet<PartyId>) -> Engagement {
        let mut load = self.load();
        for party in &parties {
            *load.attempts.entry(*party).or_default() += 1;
        }
        Engagement { parties, load: Arc::clone(&self.load) }
    }

    fn load(&self) -> MutexGuard<'_, Load> {
        lock(&self.load)
    }
}

/// A running attempt of some parties. Dropping it releases them, after a panic too.
#[derive(Debug)]
pub(crate) struct Engagement {
    parties: BTreeSet<PartyId>,
    load: Arc<Mutex<Load>>,
}

impl Engagement {
    pub(crate) fn parties(&self) -> &BTreeSet<PartyId> {
        &self.parties
    }
}

impl Drop for Engagement {
    fn drop(&mut self) {
        let mut load = lock(&self.load);
        for party in &self.parties {
            if let Some(attempts) = load.attempts.get_mut(party) {
                *attempts = attempts.saturating_sub(1);
                if *attempts == 0 {
                    load.attempts.remove(party);
                }
            }
        }
    }
}

/// Counters and sets stay sound whatever panicked while they were held.
fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn party(n: u8) -> PartyId {
        PartyId::new([n; 32])
    }

    fn parties(all: &[u8]) -> BTreeSet<PartyId> {
        all.iter().map(|n| party(*n)).collect()
    }

    #[test]
    fn ranks_only_online_parties_by_load() {
        let roster = Roster::new(BTreeSet::new());
        [1, 2, 3].iter().for_each(|n| roster.set_online(party(*n)));
        let busy = roster.engage(parties(&[1, 2]));
        let more = roster.engage(parties(&[2]));
        let none = BTreeSet::new();
        assert_eq!(roster.rank(&parties(&[1, 2, 3, 4]), &none), [party(3), party(1), party(2)]);
        drop((busy, more));
        roster.set_offline(party(3));
        assert_eq!(roster.rank(&parties(&[1, 2, 3]), &none).len(), 2);
        assert!(roster.load().attempts.is_empty());
    }

    #[test]
    fn a_revoked_party_is_never_online_again() {
        let roster = Roster::new(parties(&[1]));
        [1, 2, 3].iter().for_each(|n| roster.set_online(party(*n)));
        assert_eq!(roster.online(), parties(&[2, 3]));
        roster.revoke(party(2));
        roster.set_online(party(2));
        assert_eq!(roster.online(), parties(&[3]));
        assert_eq!(roster.rank(&parties(&[1, 2, 3]), &parties(&[2])), [party(3)]);
        assert!(roster.is_revoked(party(2)) && !roster.is_revoked(party(3)));
    }

    #[test]
    fn equals_take_turns_and_the_preferred_come_first() {
        let roster = Roster::new(BTreeSet::new());
        [1, 2, 3].iter().for_each(|n| roster.set_online(party(*n)));
        let all = parties(&[1, 2, 3]);
        let firsts: BTreeSet<_> = (0..3).map(|_| roster.rank(&all, &BTreeSet::new())[0]).collect();
        assert_eq!(firsts, all);
        let _busy = roster.engage(parties(&[2]));
        for _ in 0..3 {
            assert_eq!(roster.rank(&all, &parties(&[2]))[0], party(2));
        }
    }
}
