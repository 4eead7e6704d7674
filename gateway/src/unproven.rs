//! The sockets that have not proven whose they are, and which of them goes when there are too many.
//!
//! Whoever has not proven anything can be anybody, with as many addresses as there are to rent, so
//! caps by address do not bound them all together. A bound on all of them that refused the newest
//! would let a flood lock everybody else out for as long as it lasts; this one cuts the oldest of
//! the address that has the most instead. A party with an address of its own loses its socket only
//! to a flood from as many addresses as there are places.

use crate::link::ConnectionId;
use socket2::Socket;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Shutdown};
use std::sync::Weak;

/// Most sockets at a time that have not proven anything, and as many again that were cut and are
/// not gone yet. A handshake takes some round trips, so this is room for hundreds of parties each
/// second, as after a restart; and memory of some tens of megabytes at most.
pub(crate) const MAX_UNPROVEN: usize = 1024;

/// A socket that is to be shut down to make room.
#[derive(Debug)]
pub(crate) struct Evicted {
    pub(crate) id: ConnectionId,
    socket: Weak<Socket>,
}

impl Evicted {
    /// Shuts the socket down; whoever serves it notices and drops it.
    pub(crate) fn cut(self) {
        tracing::debug!(connection = self.id.0, "cut unproven, to make room");
        if let Some(socket) = self.socket.upgrade()
            && let Err(error) = socket.shutdown(Shutdown::Both)
        {
            tracing::debug!(connection = self.id.0, %error, "socket was shut down already");
        }
    }
}

/// All places are taken, also those for sockets that were cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoRoom;

#[derive(Debug)]
pub(crate) struct Unproven {
    max: usize,
    sockets: BTreeMap<ConnectionId, Entry>,
    /// By address, the oldest first: ids grow.
    by_ip: BTreeMap<IpAddr, BTreeSet<ConnectionId>>,
    /// Those that were shut down and are not gone yet.
    cut: BTreeMap<ConnectionId, Hold>,
}

#[derive(Debug)]
struct Entry {
    ip: IpAddr,
    socket: Weak<Socket>,
    hold: Hold,
}

/// What a socket holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hold {
    Place,
    Seat,
}

impl Unproven {
    pub(crate) fn new(max: usize) -> Self {
        Self { max, sockets: BTreeMap::new(), by_ip: BTreeMap::new(), cut: BTreeMap::new() }
    }

    /// Enters a socket, which must leave again; and says whom to cut for it.
    pub(crate) fn enter(
        &mut self,
        id: ConnectionId,
        ip: IpAddr,
        socket: Weak<Socket>,
    ) -> Result<Option<Evicted>, NoRoom> {
        let evicted = if self.sockets.len() >= self.max {
            Some(self.evict(|_| true).ok_or(NoRoom)?)
        } else {
            None
        };
        self.sockets.insert(id, Entry { ip, socket, hold: Hold::Place });
        self.by_ip.entry(ip).or_default().insert(id);
        Ok(evicted)
    }

    /// A socket has got a seat.
    pub(crate) fn seated(&mut self, id: ConnectionId) {
        if let Some(entry) = self.sockets.get_mut(&id) {
            entry.hold = Hold::Seat;
        }
    }

    /// Takes the seat of one that has not proven anything.
    pub(crate) fn free_seat(&mut self) -> Result<Evicted, NoRoom> {
        self.evict(|hold| hold == Hold::Seat).ok_or(NoRoom)
    }

    /// Seats that come back in a moment: their sockets were cut.
    pub(crate) fn cut_seats(&self) -> usize {
        self.cut.values().filter(|hold| **hold == Hold::Seat).count()
    }

    /// Whether a socket was cut.
    pub(crate) fn was_cut(&self, id: ConnectionId) -> bool {
        self.cut.contains_key(&id)
    }

    /// A socket has proven whose it is, or is gone.
    pub(crate) fn leave(&mut self, id: ConnectionId) {
        if self.remove(id).is_none() {
            self.cut.remove(&id);
        }
    }

    /// The oldest socket of the address that has the most.
    fn evict(&mut self, may_go: impl Fn(Hold) -> bool) -> Option<Evicted> {
        if self.cut.len() >= self.max {
            return None;
        }
        let may_go =
            |id: &&ConnectionId| self.sockets.get(*id).is_some_and(|entry| may_go(entry.hold));
        let oldest = |ids: &BTreeSet<_>| ids.iter().find(may_go).copied();
        let id = self
            .by_ip
            .values()
            .filter_map(|ids| Some((ids.len(), oldest(ids)?)))
            // Of several with as many, the oldest.
            .max_by_key(|(count, id)| (*count, Reverse(*id)))
            .map(|(_, id)| id)?;
        let Entry { socket, hold, .. } = self.remove(id)?;
        self.cut.insert(id, hold);
        Some(Evicted { id, socket })
    }

    fn remove(&mut self, id: ConnectionId) -> Option<Entry> {
        let entry = self.sockets.remove(&id)?;
        if let Some(ids) = self.by_ip.get_mut(&entry.ip) {
            ids.remove(&id);
            if ids.is_empty() {
                self.by_ip.remove(&entry.ip);
            }
        }
        Some(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn ip(last: u8) -> IpAddr {
        Ipv4Addr::new(127, 0, 0, last).into()
    }

    /// Lets sockets of these addresses in; says which were cut for them.
    fn enter(unproven: &mut Unproven, ips: impl IntoIterator<Item = (u64, u8)>) -> Vec<u64> {
        let mut cut = Vec::new();
        for (id, last) in ips {
            let evicted = unproven.enter(ConnectionId(id), ip(last), Weak::new()).unwrap();
            cut.extend(evicted.map(|evicted| evicted.id.0));
        }
        cut
    }

    #[test]
    fn the_oldest_of_the_greediest_address_goes_first() {
        let mut unproven = Unproven::new(4);
        assert!(enter(&mut unproven, [(1, 1), (2, 2), (3, 2), (4, 3)]).is_empty());
        assert_eq!(enter(&mut unproven, [(5, 4)]), [2]);
        // All have one: the oldest of all.
        assert_eq!(enter(&mut unproven, [(6, 5)]), [1]);
    }

    #[test]
    fn a_flood_from_few_addresses_leaves_the_single_socket_of_another_alone() {
        let mut unproven = Unproven::new(64);
        enter(&mut unproven, [(1, 1)]);
        for id in 2..=10_000 {
            for evicted in enter(&mut unproven, [(id, 2 + (id % 31) as u8)]) {
                assert_ne!(evicted, 1);
                unproven.leave(ConnectionId(evicted));
            }
        }
        assert_eq!(unproven.sockets.len(), 64);
        assert!(unproven.sockets.contains_key(&ConnectionId(1)));
    }

    #[test]
    fn those_that_were_cut_are_bounded_too() {
        let mut unproven = Unproven::new(2);
        assert_eq!(enter(&mut unproven, [(1, 1), (2, 1), (3, 1), (4, 1)]), [1, 2]);
        let refused = unproven.enter(ConnectionId(5), ip(1), Weak::new()).unwrap_err();
        assert_eq!(refused, NoRoom);
        unproven.leave(ConnectionId(1));
        assert_eq!(enter(&mut unproven, [(6, 1)]), [3]);
    }

    #[test]
    fn only_who_has_a_seat_gives_one_up() {
        let mut unproven = Unproven::new(4);
        enter(&mut unproven, [(1, 1), (2, 1), (3, 2)]);
        assert!(unproven.free_seat().is_err());
        unproven.seated(ConnectionId(3));
        assert_eq!(unproven.free_seat().unwrap().id, ConnectionId(3));
        assert_eq!(unproven.cut_seats(), 1);
        assert!(unproven.was_cut(ConnectionId(3)));
        unproven.leave(ConnectionId(3));
        assert_eq!(unproven.cut_seats(), 0);
    }

    #[test]
    fn who_has_gone_leaves_no_trace() {
        let mut unproven = Unproven::new(2);
        enter(&mut unproven, [(1, 1), (2, 1), (3, 2)]);
        (1..=3).for_each(|id| unproven.leave(ConnectionId(id)));
        assert!(unproven.sockets.is_empty() && unproven.by_ip.is_empty());
        assert!(unproven.cut.is_empty());
    }
}
