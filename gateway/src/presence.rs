//! What the coordinator was told about who is connected.
//!
//! Presence is reconciled, not queued: when the uplink has room, the next party whose announced
//! state differs from its real one is announced. So a stalled coordinator and a flapping party
//! together cost one entry, and the order `Online`, `Offline` cannot be broken.

use crate::link::ConnectionId;
use mpc_wire::PartyId;
use std::collections::{BTreeMap, BTreeSet};

/// What to tell the coordinator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// This connection is the party's now.
    Online(PartyId),
    /// The party has no connection.
    Offline(PartyId),
}

/// What was told, and about whom there may be news.
#[derive(Debug, Default)]
pub(crate) struct Presence {
    announced: BTreeMap<PartyId, ConnectionId>,
    changed: BTreeSet<PartyId>,
}

impl Presence {
    /// Notes that there may be news about a party.
    pub(crate) fn touch(&mut self, party: PartyId) {
        self.changed.insert(party);
    }

    /// Notes that there may be news about everybody who was announced: their router is gone.
    pub(crate) fn touch_all(&mut self) {
        self.changed.extend(self.announced.keys());
    }

    /// Whether there may be something to tell.
    pub(crate) fn has_news(&self) -> bool {
        !self.changed.is_empty()
    }

    /// Takes the next thing to tell. The caller must tell it: it counts as announced from here.
    pub(crate) fn next(
        &mut self,
        current: impl Fn(&PartyId) -> Option<ConnectionId>,
    ) -> Option<Change> {
        while let Some(party) = self.changed.pop_first() {
            let real = current(&party);
            if real == self.announced.get(&party).copied() {
                continue;
            }
            return Some(match real {
                Some(connection) => {
                    self.announced.insert(party, connection);
                    Change::Online(party)
                }
                None => {
                    self.announced.remove(&party);
                    Change::Offline(party)
                }
            });
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARTY: PartyId = PartyId::new([1; 32]);
    const FIRST: ConnectionId = ConnectionId(1);
    const SECOND: ConnectionId = ConnectionId(2);

    fn next(presence: &mut Presence, current: Option<ConnectionId>) -> Option<Change> {
        presence.touch(PARTY);
        presence.next(|_| current)
    }

    #[test]
    fn tells_what_changed_and_only_that() {
        let mut presence = Presence::default();
        assert_eq!(next(&mut presence, Some(FIRST)), Some(Change::Online(PARTY)));
        assert_eq!(next(&mut presence, Some(FIRST)), None);
        assert_eq!(next(&mut presence, None), Some(Change::Offline(PARTY)));
        assert_eq!(next(&mut presence, None), None);
    }

    #[test]
    fn a_replacement_is_online_again_without_offline() {
        let mut presence = Presence::default();
        next(&mut presence, Some(FIRST));
        assert_eq!(next(&mut presence, Some(SECOND)), Some(Change::Online(PARTY)));
    }

    #[test]
    fn flapping_while_nothing_can_be_told_leaves_one_piece_of_news() {
        let mut presence = Presence::default();
        for _ in 0..1000 {
            presence.touch(PARTY);
        }
        assert_eq!(presence.next(|_| None), None);
        assert!(!presence.has_news());
    }

    #[test]
    fn a_lost_router_leaves_everybody_offline() {
        let mut presence = Presence::default();
        next(&mut presence, Some(FIRST));
        presence.touch_all();
        assert_eq!(presence.next(|_| None), Some(Change::Offline(PARTY)));
    }
}
