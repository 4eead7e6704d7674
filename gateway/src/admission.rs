//! Who gets a seat: the caps on sockets, and the list of all connections that have one.
//!
//! A seat lasts as long as its socket, longer than the connection's actor: a socket that lingers
//! still costs descriptors and memory, and is still under the watchdog's eye. Until a socket has a
//! seat it has a place, from the moment in which it is accepted: slow handshakes and idle sockets
//! count against their address too. Those that have not proven whose they are, with a place or a
//! seat, are bounded all together (see [`crate::unproven`]) and make room for whoever comes next.

use crate::config::GatewayConfig;
use crate::link::{ConnectionId, Link, Overdue};
use crate::stats::Stats;
use crate::unproven::{Evicted, Unproven};
use socket2::Socket;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;
use tokio::sync::Notify;

/// Sockets that an address may have without a seat even when all of its seats are taken: enough
/// for health checks, and to be told why there is no seat.
const PLACES: usize = 16;

/// Why there is no seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoSeat {
    #[error("the gateway has all the connections it can carry: come again later")]
    Full,
    #[error("too many connections from this address: close some first")]
    AddressFull,
    #[error("the gateway goes away: connect elsewhere or later")]
    GoingAway,
}

#[derive(Debug)]
pub(crate) struct Admission {
    max: usize,
    max_per_ip: usize,
    room: Mutex<Room>,
    freed: Notify,
    stats: Arc<Stats>,
}

#[derive(Debug)]
struct Room {
    door: Door,
    last_id: u64,
    links: BTreeMap<ConnectionId, Arc<Link>>,
    per_ip: BTreeMap<IpAddr, Taken>,
    unproven: Unproven,
}

/// What the sockets of one address have.
#[derive(Debug, Clone, Copy, Default)]
struct Taken {
    seats: usize,
    places: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    Open,
    Closed,
}

impl Admission {
    pub(crate) fn new(config: &GatewayConfig, stats: Arc<Stats>) -> Self {
        Self {
            max: config.max_connections,
            max_per_ip: config.max_connections_per_ip,
            room: Mutex::new(Room {
                door: Door::Open,
                last_id: 0,
                links: BTreeMap::new(),
                per_ip: BTreeMap::new(),
                unproven: Unproven::new(config.max_unproven),
            }),
            freed: Notify::new(),
            stats,
        }
    }

    /// Gives a place to a socket that was just accepted, until the place is dropped.
    pub(crate) fn let_in(
        self: &Arc<Self>,
        ip: IpAddr,
        socket: Weak<Socket>,
    ) -> Result<Place, NoSeat> {
        let ip = network(ip);
        let mut room = self.room();
        if room.door == Door::Closed {
            return Err(NoSeat::GoingAway);
        }
        let taken = room.per_ip.get(&ip).copied().unwrap_or_default();
        if taken.places >= self.max_per_ip.saturating_sub(taken.seats).max(PLACES) {
            return Err(NoSeat::AddressFull);
        }
        room.last_id += 1;
        let id = ConnectionId(room.last_id);
        let evicted = room.unproven.enter(id, ip, socket).map_err(|_| NoSeat::Full)?;
        room.per_ip.entry(ip).or_default().places += 1;
        drop(room);
        self.cut(evicted);
        Ok(Place { admission: Arc::clone(self), id, ip, is_left: false })
    }

    /// Gives a seat to a socket in exchange for its place, until the seat is dropped.
    pub(crate) fn admit(
        self: &Arc<Self>,
        mut place: Place,
        socket: Weak<Socket>,
        now: Instant,
    ) -> Result<Seat, (NoSeat, Place)> {
        let mut room = self.room();
        let evicted = match self.find_seat(&mut room, &place) {
            Ok(evicted) => evicted,
            Err(no_seat) => {
                drop(room);
                return Err((no_seat, place));
            }
        };
        let Place { id, ip, .. } = place;
        let taken = room.per_ip.entry(ip).or_default();
        taken.seats += 1;
        taken.places -= 1;
        room.unproven.seated(id);
        let link = Arc::new(Link::new(id, ip, socket, now));
        room.links.insert(id, Arc::clone(&link));
        drop(room);
        place.is_left = true;
        self.cut(evicted);
        Ok(Seat { admission: Arc::clone(self), link })
    }

    /// Whether there is a seat for the socket at this place, and whom to cut for it.
    fn find_seat(&self, room: &mut Room, place: &Place) -> Result<Option<Evicted>, NoSeat> {
        if room.door == Door::Closed {
            return Err(NoSeat::GoingAway);
        }
        if room.per_ip.get(&place.ip).is_some_and(|taken| taken.seats >= self.max_per_ip) {
            return Err(NoSeat::AddressFull);
        }
        if room.unproven.was_cut(place.id) {
            return Err(NoSeat::Full);
        }
        if room.links.len().saturating_sub(room.unproven.cut_seats()) < self.max {
            return Ok(None);
        }
        room.unproven.free_seat().map(Some).map_err(|_| NoSeat::Full)
    }

    /// A connection has proven whose it is: nobody takes its seat any more.
    pub(crate) fn proven(&self, link: &Link) {
        self.room().unproven.leave(link.id);
    }

    /// Outside the lock, since it is a system call.
    fn cut(&self, evicted: Option<Evicted>) {
        if let Some(evicted) = evicted {
            self.stats.evicted.increment();
            evicted.cut();
        }
    }

    /// Gives no more seats.
    pub(crate) fn close(&self) {
        self.room().door = Door::Closed;
    }

    /// Cuts every connection that has missed a deadline.
    pub(crate) fn cut_overdue(&self, now: Instant, config: &GatewayConfig) {
        for link in self.links() {
            let Some(overdue) = link.overdue(now, &config.timings) else {
                continue;
            };
            tracing::info!(connection = link.id.0, reason = %overdue, "connection cut");
            self.stats.cut.increment();
            if overdue == Overdue::Slow {
                self.stats.slow_consumers.increment();
            }
            link.close(now);
            link.cut();
        }
    }

    /// Cuts every connection.
    pub(crate) fn cut_all(&self, now: Instant) {
        for link in self.links() {
            link.close(now);
            link.cut();
        }
    }

    /// Waits until every seat is free.
    pub(crate) async fn emptied(&self) {
        loop {
            // Made before the look, so that a seat freed right after it is not missed.
            let freed = self.freed.notified();
            if self.room().links.is_empty() {
                return;
            }
            freed.await;
        }
    }

    // A copy, so that nobody in want of a seat waits for system calls.
    fn links(&self) -> Vec<Arc<Link>> {
        self.room().links.values().cloned().collect()
    }

    fn leave(&self, link: &Link) {
        let mut room = self.room();
        room.links.remove(&link.id);
        room.unproven.leave(link.id);
        room.give_back(link.ip, |taken| taken.seats -= 1);
        drop(room);
        self.freed.notify_one();
    }

    // Every change under this lock is a few map operations on plain keys, which do not panic.
    fn room(&self) -> MutexGuard<'_, Room> {
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Room {
    fn give_back(&mut self, ip: IpAddr, give: impl FnOnce(&mut Taken)) {
        if let Some(taken) = self.per_ip.get_mut(&ip) {
            give(taken);
            if taken.seats == 0 && taken.places == 0 {
                self.per_ip.remove(&ip);
            }
        }
    }
}

/// What counts as one address: of IPv6 the first half, since whoever has one address there has all
/// that begin with it.
fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.into(),
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & (u128::MAX << 64)).into(),
    }
}

/// The place of a socket without a seat; dropped when it gets one, or together with the socket.
#[derive(Debug)]
pub(crate) struct Place {
    admission: Arc<Admission>,
    id: ConnectionId,
    ip: IpAddr,
    /// Whether it was exchanged for a seat.
    is_left: bool,
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.is_left {
            let mut room = self.admission.room();
            room.unproven.leave(self.id);
            room.give_back(self.ip, |taken| taken.places -= 1);
        }
    }
}

/// A socket's seat; dropped together with the socket.
#[derive(Debug)]
pub(crate) struct Seat {
    admission: Arc<Admission>,
    pub(crate) link: Arc<Link>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.admission.leave(&self.link);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::BROADCAST);

    fn admission(max: usize, max_per_ip: usize) -> Arc<Admission> {
        let mut config = GatewayConfig::new(([127, 0, 0, 1], 0).into(), "test");
        config.max_connections = max;
        config.max_connections_per_ip = max_per_ip;
        Arc::new(Admission::new(&config, Arc::default()))
    }

    fn let_in(admission: &Arc<Admission>, ip: IpAddr) -> Result<Place, NoSeat> {
        admission.let_in(ip, Weak::new())
    }

    fn admit(admission: &Arc<Admission>, ip: IpAddr) -> Result<Seat, NoSeat> {
        let place = let_in(admission, ip)?;
        admission.admit(place, Weak::new(), Instant::now()).map_err(|(no_seat, _)| no_seat)
    }

    fn prove(admission: &Arc<Admission>, ip: IpAddr) -> Seat {
        let seat = admit(admission, ip).unwrap();
        admission.proven(&seat.link);
        seat
    }

    #[test]
    fn caps_hold_in_all_and_per_address_and_seats_come_back() {
        let admission = admission(3, 2);
        let first = prove(&admission, HERE);
        let _second = prove(&admission, HERE);
        assert_eq!(admit(&admission, HERE).unwrap_err(), NoSeat::AddressFull);
        let _third = prove(&admission, THERE);
        assert_eq!(admit(&admission, THERE).unwrap_err(), NoSeat::Full);
        drop(first);
        admit(&admission, HERE).unwrap();
    }

    #[test]
    fn the_last_seat_goes_to_who_comes_unless_its_holder_is_proven() {
        let admission = admission(2, 2);
        let _proven = prove(&admission, HERE);
        let unproven = admit(&admission, HERE).unwrap();
        let newer = admit(&admission, THERE).unwrap();
        assert_eq!(admission.stats.evicted.value(), 1);
        // Its socket ends a moment after it was cut.
        drop(unproven);
        assert_eq!(admission.room().links.len(), 2);
        admission.proven(&newer.link);
        assert_eq!(admit(&admission, HERE).unwrap_err(), NoSeat::Full);
    }

    #[test]
    fn a_closed_door_admits_nobody() {
        let admission = admission(3, 3);
        admission.close();
        assert_eq!(admit(&admission, HERE).unwrap_err(), NoSeat::GoingAway);
        assert_eq!(let_in(&admission, HERE).unwrap_err(), NoSeat::GoingAway);
    }

    #[test]
    fn sockets_without_a_seat_count_against_their_address() {
        let admission = admission(100, 20);
        let mut places: Vec<_> = (0..20).map(|_| let_in(&admission, HERE).unwrap()).collect();
        assert_eq!(let_in(&admission, HERE).unwrap_err(), NoSeat::AddressFull);
        drop(let_in(&admission, THERE).unwrap());
        places.pop();
        let seat = admit(&admission, HERE).unwrap();
        assert_eq!(let_in(&admission, HERE).unwrap_err(), NoSeat::AddressFull);
        drop(seat);
        places.push(let_in(&admission, HERE).unwrap());
        drop(places);

        let _seats: Vec<_> = (0..20).map(|_| admit(&admission, HERE).unwrap()).collect();
        let _places: Vec<_> = (0..PLACES).map(|_| let_in(&admission, HERE).unwrap()).collect();
        assert_eq!(let_in(&admission, HERE).unwrap_err(), NoSeat::AddressFull);
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one_address() {
        let admission = admission(9, 1);
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let _seat = prove(&admission, ip("2001:db8:0:1::1"));
        let neighbour = admit(&admission, ip("2001:db8:0:1:ffff::2"));
        assert_eq!(neighbour.unwrap_err(), NoSeat::AddressFull);
        drop(admit(&admission, ip("2001:db8:0:2::1")).unwrap());
        let _seat = prove(&admission, HERE);
        assert_eq!(admit(&admission, ip("::ffff:127.0.0.1")).unwrap_err(), NoSeat::AddressFull);
    }

    #[test]
    fn an_address_without_seats_leaves_no_trace() {
        let admission = admission(3, 1);
        drop(let_in(&admission, HERE).unwrap());
        drop(admit(&admission, HERE).unwrap());
        drop(admit(&admission, THERE).unwrap());
        assert!(admission.room().per_ip.is_empty());
    }
}
