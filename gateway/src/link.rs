//! What router and watchdog know of a connection, and how they close it from outside.
//!
//! `actix-web-actors` stops polling an actor whose socket does not drain and buffers what it was
//! given without a bound. So nothing that protects the gateway may depend on the actor: the bytes
//! handed to it are counted here, and the socket can be shut down from here.

use crate::config::Timings;
use mpc_wire::Uplink;
use mpc_wire::limits::MAX_FRAME;
use socket2::Socket;
use std::net::{IpAddr, Shutdown};
use std::sync::{Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::OwnedPermit;

/// Most bytes handed to a connection that its party has not acknowledged: eight of the largest
/// frames, a round of AuxGen with every party of the largest set and head room. Acknowledgements
/// of what was not written yet are not believed, so this bounds the actor's mailbox even if a
/// party lies; what was taken out of the mailbox at once is bounded by the same number again.
pub(crate) const MAX_UNACKNOWLEDGED: u64 = 8 * MAX_FRAME as u64;

/// Distinguishes the connections of this process; a later one has a greater id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ConnectionId(pub(crate) u64);

/// Why the watchdog cuts a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Overdue {
    #[error("the handshake did not end in time")]
    Handshake,
    #[error("no sign of life for too long")]
    Silent,
    #[error("nothing of what was sent was acknowledged for too long")]
    Slow,
    #[error("a closed connection did not end in time")]
    Lingering,
}

/// More was sent to a party than it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many bytes are unacknowledged")]
pub(crate) struct TooSlow;

/// One connection, seen from outside its actor.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) id: ConnectionId,
    /// As caps count it.
    pub(crate) ip: IpAddr,
    // Weak, since a strong handle would keep the descriptor, and so the TCP connection, open after
    // the server has dropped it.
    socket: Weak<Socket>,
    phase: Mutex<Phase>,
}

#[derive(Debug)]
enum Phase {
    Joining { since: Instant },
    Open(Window),
    Closing { since: Instant },
}

/// Counts of message bytes since the connection opened: `acknowledged` ≤ `pinged` ≤ `handed`.
#[derive(Debug)]
struct Window {
    /// Handed to the actor.
    handed: u64,
    /// Written before the last ping.
    pinged: u64,
    /// Named by the last pong.
    acknowledged: u64,
    /// When a pong last said something new.
    progress_at: Instant,
    reading: Reading,
}

/// Whether the gateway reads from the socket. While it does not, it cannot see pongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    Running,
    Held,
}

impl Link {
    pub(crate) fn new(id: ConnectionId, ip: IpAddr, socket: Weak<Socket>, now: Instant) -> Self {
        Self { id, ip, socket, phase: Mutex::new(Phase::Joining { since: now }) }
    }

    /// Opens the connection for messages both ways; an error if it is closing already.
    pub(crate) fn open(&self, now: Instant) -> Result<(), Closing> {
        let mut phase = self.phase();
        match *phase {
            Phase::Joining { .. } => {
                *phase = Phase::Open(Window {
                    handed: 0,
                    pinged: 0,
                    acknowledged: 0,
                    progress_at: now,
                    reading: Reading::Running,
                });
                Ok(())
            }
            Phase::Open(_) | Phase::Closing { .. } => Err(Closing),
        }
    }

    /// Ends the connection's right to speak, at once and for good.
    pub(crate) fn close(&self, now: Instant) {
        let mut phase = self.phase();
        if !matches!(*phase, Phase::Closing { .. }) {
            *phase = Phase::Closing { since: now };
        }
    }

    /// Sends a message up, unless the connection's right to speak has ended. The lock is held over
    /// the sending: once [`Self::close`] has returned, nothing of this connection follows.
    pub(crate) fn speak(&self, permit: OwnedPermit<Uplink>, message: Uplink) {
        let phase = self.phase();
        if matches!(*phase, Phase::Open(_)) {
            permit.send(message);
        }
    }

    /// Counts bytes that are about to be handed to the actor.
    pub(crate) fn charge(&self, bytes: usize) -> Result<(), TooSlow> {
        self.with_window(|window| {
            window.handed = window.handed.saturating_add(bytes as u64);
            if window.handed.saturating_sub(window.acknowledged) > MAX_UNACKNOWLEDGED {
                return Err(TooSlow);
            }
            Ok(())
        })
        .unwrap_or(Ok(()))
    }

    /// Notes a ping that carries the count of bytes written before it.
    pub(crate) fn pinged(&self, written: u64) {
        self.with_window(|window| window.pinged = window.pinged.max(written));
    }

    /// Takes a pong. It counts as a sign of life only if it says something new, or that
    /// everything has arrived.
    pub(crate) fn ponged(&self, count: u64, now: Instant) {
        self.with_window(|window| {
            let is_believable = count <= window.pinged && count >= window.acknowledged;
            if is_believable && (count > window.acknowledged || count == window.pinged) {
                window.acknowledged = count;
                window.progress_at = now;
            }
        });
    }

    /// Notes that reading stops until the uplink has room: silence is our own doing now.
    pub(crate) fn hold(&self) {
        self.with_window(|window| window.reading = Reading::Held);
    }

    /// Notes that reading goes on; the party gets its full time to be heard.
    pub(crate) fn resume(&self, now: Instant) {
        self.with_window(|window| {
            window.reading = Reading::Running;
            window.progress_at = now;
        });
    }

    /// What deadline the connection has missed, if any.
    pub(crate) fn overdue(&self, now: Instant, timings: &Timings) -> Option<Overdue> {
        let is_past =
            |since: Instant, limit: Duration| now.saturating_duration_since(since) > limit;
        match &*self.phase() {
            // The actor has its own timer and better manners; this is for the one that is stuck.
            Phase::Joining { since } => {
                is_past(*since, timings.handshake + timings.farewell).then_some(Overdue::Handshake)
            }
            Phase::Open(window) => match window.reading {
                Reading::Held => None,
                Reading::Running if !is_past(window.progress_at, timings.silence) => None,
                Reading::Running if window.handed > window.acknowledged => Some(Overdue::Slow),
                Reading::Running => Some(Overdue::Silent),
            },
            // Twice, since the server itself lingers for the first period.
            Phase::Closing { since } => {
                is_past(*since, timings.farewell * 2).then_some(Overdue::Lingering)
            }
        }
    }

    /// Shuts the socket down both ways: the server notices and drops the connection, whether or
    /// not its actor is being polled.
    pub(crate) fn cut(&self) {
        if let Some(socket) = self.socket.upgrade()
            && let Err(error) = socket.shutdown(Shutdown::Both)
        {
            // The peer was faster; the socket is as dead as it was to be.
            tracing::debug!(connection = self.id.0, %error, "socket was shut down already");
        }
    }

    fn with_window<T>(&self, act: impl FnOnce(&mut Window) -> T) -> Option<T> {
        match &mut *self.phase() {
            Phase::Open(window) => Some(act(window)),
            Phase::Joining { .. } | Phase::Closing { .. } => None,
        }
    }

    // Every change under this lock is a few assignments: a panic cannot leave half of one.
    fn phase(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The connection is closing already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the connection is closing")]
pub(crate) struct Closing;

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;
    use tokio::sync::mpsc;

    const ONE: usize = 1 << 20;

    fn link(now: Instant) -> Link {
        Link::new(ConnectionId(1), Ipv4Addr::LOCALHOST.into(), Weak::new(), now)
    }

    fn open_link(now: Instant) -> Link {
        let link = link(now);
        link.open(now).unwrap();
        link
    }

    #[test]
    fn unacknowledged_bytes_are_bounded_and_acknowledged_ones_are_not() {
        let now = Instant::now();
        let link = open_link(now);
        let mut written = 0;
        for _ in 0..100 {
            link.charge(ONE).unwrap();
            written += ONE as u64;
            link.pinged(written);
            link.ponged(written, now);
        }
        for _ in 0..8 {
            link.charge(ONE).unwrap();
        }
        assert_eq!(link.charge(1), Err(TooSlow));
    }

    #[test]
    fn what_was_not_pinged_cannot_be_acknowledged() {
        let now = Instant::now();
        let link = open_link(now);
        (0..8).for_each(|_| link.charge(ONE).unwrap());
        link.ponged(8 * ONE as u64, now);
        assert_eq!(link.charge(1), Err(TooSlow));
    }

    #[test]
    fn silence_counts_from_the_last_pong_that_says_something_new() {
        let timings = Timings::default();
        let start = Instant::now();
        let late = start + timings.silence + Duration::from_millis(1);
        let link = open_link(start);
        link.charge(ONE).unwrap();
        link.pinged(10);
        assert_eq!(link.overdue(start + timings.silence, &timings), None);
        assert_eq!(link.overdue(late, &timings), Some(Overdue::Slow));
        link.ponged(0, late);
        assert_eq!(link.overdue(late, &timings), Some(Overdue::Slow));
        link.ponged(10, late);
        assert_eq!(link.overdue(late, &timings), None);
    }

    #[test]
    fn an_idle_party_lives_by_its_pongs_alone() {
        let timings = Timings::default();
        let start = Instant::now();
        let late = start + timings.silence * 2;
        let link = open_link(start);
        assert_eq!(link.overdue(late, &timings), Some(Overdue::Silent));
        link.pinged(0);
        link.ponged(0, late);
        assert_eq!(link.overdue(late, &timings), None);
    }

    #[test]
    fn silence_is_excused_while_nothing_is_read() {
        let timings = Timings::default();
        let start = Instant::now();
        let late = start + timings.silence * 2;
        let link = open_link(start);
        link.hold();
        assert_eq!(link.overdue(late, &timings), None);
        link.resume(late);
        assert_eq!(link.overdue(late + timings.silence, &timings), None);
        let later = late + timings.silence * 2;
        assert_eq!(link.overdue(later, &timings), Some(Overdue::Silent));
    }

    #[test]
    fn joining_and_closing_have_deadlines() {
        let timings = Timings::default();
        let start = Instant::now();
        let hour = start + Duration::from_secs(3600);
        let link = link(start);
        assert_eq!(link.overdue(start + timings.handshake, &timings), None);
        assert_eq!(link.overdue(hour, &timings), Some(Overdue::Handshake));
        link.close(hour);
        assert_eq!(link.overdue(hour + timings.farewell, &timings), None);
        let late = hour + timings.farewell * 3;
        assert_eq!(link.overdue(late, &timings), Some(Overdue::Lingering));
        assert_eq!(link.open(late), Err(Closing));
    }

    #[tokio::test]
    async fn a_closed_link_speaks_no_more() {
        let (sender, mut uplink) = mpsc::channel(2);
        let party = mpc_wire::PartyId::new([1; 32]);
        let now = Instant::now();
        let link = open_link(now);
        let first = sender.clone().reserve_owned().await.unwrap();
        let second = sender.reserve_owned().await.unwrap();
        link.speak(first, Uplink::Offline { party });
        link.close(now);
        link.speak(second, Uplink::Offline { party });
        assert_eq!(uplink.recv().await, Some(Uplink::Offline { party }));
        assert_eq!(uplink.recv().await, None);
    }
}
