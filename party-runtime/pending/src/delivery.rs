//! Round messages between parties: acknowledged end to end, and sent again until they are.
//!
//! Gateways and coordinator may lose what they carry, and die at any time; the parties see to it
//! themselves that every round message arrives. What the runner of an attempt has sealed is kept,
//! byte for byte, until the recipient has acknowledged it, and sent again after a pause that grows,
//! and at once when a lost link is there again. The recipient's inbox drops duplicates and restores
//! order ([`crate::Pending`]), so a runner gets each message once and in order, however often it was
//! sent.
//!
//! Acknowledgements count: "I have everything below `next`". They wait for [`ACK_DELAY`], so that an
//! attempt that is quicker than that costs none at all. They are not signed: who could forge one
//! could as well keep the message back.

use crate::event::Now;
use crate::limits::{ACK_DELAY, FIRST_RESEND, MAX_RESEND, MAX_UNACKED_BYTES, MAX_UNACKED_MESSAGES};
use mpc_wire::{Attempt, PartyId, RoundAck, RoundEnvelope, RoundHeader, Seq, SessionId};
use std::collections::{BTreeMap, VecDeque};

/// Every attempt of this party in which messages are on their way.
#[derive(Debug)]
pub struct Delivery {
    me: PartyId,
    flows: BTreeMap<(SessionId, Attempt), Flow>,
    unacked_bytes: usize,
}

/// What is on its way within one attempt.
#[derive(Debug, Default)]
struct Flow(BTreeMap<PartyId, Peer>);

#[derive(Debug, Default)]
struct Peer {
    /// What this party has sent and the peer has not acknowledged, in order.
    unacked: VecDeque<RoundEnvelope>,
    /// When it is sent again, and the pause that led there.
    resend: Option<Resend>,
    /// The sequence number that is expected of the peer next: everything below has arrived.
    next: Seq,
    /// When that is told.
    ack_at: Option<u64>,
}

#[derive(Debug, Clone, Copy)]
struct Resend {
    at: u64,
    pause: u64,
}

/// What is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dispatch {
    /// A round message, for the first time or once more.
    Round(RoundEnvelope),
    /// An acknowledgement.
    Ack(RoundAck),
}

/// Why a round message was not taken: the attempt cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// A peer has acknowledged nothing for too long.
    #[error("too many round messages to one member wait for its acknowledgement")]
    TooMany,
    /// All peers together have.
    #[error("too many bytes of round messages wait for their acknowledgement")]
    TooMuch,
    /// The attempt is not under way.
    #[error("the attempt is over")]
    Over,
}

impl Delivery {
    /// Nothing is on its way from or to the party `me`.
    pub fn new(me: PartyId) -> Self {
        Self { me, flows: BTreeMap::new(), unacked_bytes: 0 }
    }

    /// An attempt is launched; what was on its way in an older one of its session is given up.
    pub fn launched(&mut self, session: SessionId, attempt: Attempt) {
        self.over(session);
        self.flows.insert((session, attempt), Flow::default());
    }

    /// The session is over: nobody waits for what was on its way.
    pub fn over(&mut self, session: SessionId) {
        let range = (session, Attempt(0))..=(session, Attempt(u32::MAX));
        let attempts: Vec<_> = self.flows.range(range).map(|(key, _)| *key).collect();
        for key in attempts {
            let Some(flow) = self.flows.remove(&key) else { continue };
            self.unacked_bytes -= flow.0.values().map(Peer::unacked_bytes).sum::<usize>();
        }
    }

    /// Whether everything that was sent is acknowledged, or nobody waits for it any more.
    pub fn is_idle(&self) -> bool {
        self.unacked_bytes == 0
    }

    /// Takes a message that the runner has sealed, to be sent now and kept until it is acknowledged.
    ///
    /// # Errors
    /// [`NotTaken`] if there is no room for it, or no such attempt.
    pub fn send(&mut self, envelope: RoundEnvelope, now: Now) -> Result<(), NotTaken> {
        let RoundHeader { session, attempt, to, .. } = envelope.header;
        let flow = self.flows.get_mut(&(session, attempt)).ok_or(NotTaken::Over)?;
        let peer = flow.0.entry(to).or_default();
        if peer.unacked.len() >= MAX_UNACKED_MESSAGES {
            return Err(NotTaken::TooMany);
        }
        let bytes = self.unacked_bytes + envelope.sealed.len();
        if bytes > MAX_UNACKED_BYTES {
            return Err(NotTaken::TooMuch);
        }
        self.unacked_bytes = bytes;
        peer.unacked.push_back(envelope);
        peer.resend.get_or_insert(Resend {
            at: now.monotonic.saturating_add(FIRST_RESEND),
            pause: FIRST_RESEND,
        });
        Ok(())
    }

    /// A message has arrived, perhaps once more: a sender that repeats what is here already has not
    /// heard so.
    pub fn heard(&mut self, header: &RoundHeader, now: Now) {
        let Some(flow) = self.flows.get_mut(&(header.session, header.attempt)) else { return };
        if let Some(peer) = flow.0.get_mut(&header.from)
            && header.seq < peer.next
        {
            peer.ack_at = Some(now.monotonic);
        }
    }

    /// Messages were handed to the runner, in their sender's order.
    pub fn delivered(&mut self, messages: &[RoundEnvelope], now: Now) {
        for RoundEnvelope { header, .. } in messages {
            let key = (header.session, header.attempt);
            let Some(flow) = self.flows.get_mut(&key) else { continue };
            let peer = flow.0.entry(header.from).or_default();
            peer.next = peer.next.max(header.seq.next());
            peer.ack_at.get_or_insert(now.monotonic.saturating_add(ACK_DELAY));
        }
    }

    /// A peer says what has arrived there.
    pub fn acknowledged(&mut self, ack: &RoundAck, now: Now) {
        if ack.to != self.me {
            return;
        }
        let Some(flow) = self.flows.get_mut(&(ack.session, ack.attempt)) else { return };
        let Some(peer) = flow.0.get_mut(&ack.from) else { return };
        let before = peer.unacked.len();
        while peer.unacked.front().is_some_and(|envelope| envelope.header.seq < ack.next) {
            if let Some(envelope) = peer.unacked.pop_front() {
                self.unacked_bytes -= envelope.sealed.len();
            }
        }
        if peer.unacked.is_empty() {
            peer.resend = None;
        } else if peer.unacked.len() < before {
            // The peer is there: what it still lacks need not wait long.
            let at = now.monotonic.saturating_add(FIRST_RESEND);
            peer.resend = Some(Resend { at, pause: FIRST_RESEND });
        }
    }

    /// The way to the coordinator is open again: what was on its way over the old one may be lost.
    pub fn connected(&mut self, now: Now) -> Vec<Dispatch> {
        for peer in self.flows.values_mut().flat_map(|flow| flow.0.values_mut()) {
            if !peer.unacked.is_empty() {
                peer.resend = Some(Resend { at: now.monotonic, pause: FIRST_RESEND });
            }
            if peer.next > Seq::default() {
                peer.ack_at = Some(now.monotonic);
            }
        }
        self.due(now)
    }

    /// What is to be sent by now.
    pub fn due(&mut self, now: Now) -> Vec<Dispatch> {
        let mut due = Vec::new();
        for ((session, attempt), flow) in &mut self.flows {
            for (party, peer) in &mut flow.0 {
                if peer.ack_at.is_some_and(|at| at <= now.monotonic) {
                    peer.ack_at = None;
                    due.push(Dispatch::Ack(RoundAck {
                        session: *session,
                        attempt: *attempt,
                        from: self.me,
                        to: *party,
                        next: peer.next,
                    }));
                }
                if let Some(resend) = &mut peer.resend
                    && resend.at <= now.monotonic
                {
                    due.extend(peer.unacked.iter().cloned().map(Dispatch::Round));
                    resend.pause = resend.pause.saturating_mul(2).min(MAX_RESEND);
                    resend.at = now.monotonic.saturating_add(resend.pause);
                }
            }
        }
        due
    }

    /// When something is due next, in monotonic milliseconds.
    pub fn wake_at(&self) -> Option<u64> {
        let peers = self.flows.values().flat_map(|flow| flow.0.values());
        peers.filter_map(Peer::wake_at).min()
    }

    /// Bytes of round messages that are kept until they are acknowledged.
    pub fn unacked_bytes(&self) -> usize {
        self.unacked_bytes
    }
}

impl Peer {
    fn unacked_bytes(&self) -> usize {
        self.unacked.iter().map(|envelope| envelope.sealed.len()).sum()
    }

    fn wake_at(&self) -> Option<u64> {
        let resend = self.resend.map(|resend| resend.at);
        self.ack_at.into_iter().chain(resend).min()
    }
}
