//! Round messages of one attempt: held until the runner is there, put in order, freed of
//! duplicates.

use crate::limits::{MAX_HELD_BYTES, MAX_HELD_MESSAGES};
use mpc_wire::limits::MAX_PARTIES;
use mpc_wire::{PartyId, RoundEnvelope, Seq};
use std::collections::BTreeMap;

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Inbox {
    senders: BTreeMap<PartyId, Sender>,
    held_bytes: usize,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Sender {
    /// The next sequence number to be delivered.
    next: Seq,
    held: BTreeMap<Seq, RoundEnvelope>,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    Held,
    Repeated,
    Full,
}

impl Inbox {
    pub(crate) fn take(&mut self, envelope: RoundEnvelope) -> Taken {
        let from = envelope.header.from;
        if !self.senders.contains_key(&from) && self.senders.len() >= MAX_PARTIES {
            return Taken::Full;
        }
        let sender = self.senders.entry(from).or_default();
        let seq = envelope.header.seq;
        if seq < sender.next || sender.held.contains_key(&seq) {
            return Taken::Repeated;
        }
        // The next message in order is what everything else waits for: a bound on what waits must
        // not shut it out.
        let is_next = seq == sender.next;
        let bytes = self.held_bytes + envelope.sealed.len();
        if !is_next && (sender.held.len() >= MAX_HELD_MESSAGES || bytes > MAX_HELD_BYTES) {
            return Taken::Full;
        }
        self.held_bytes = bytes;
        sender.held.insert(seq, envelope);
        Taken::Held
    }

    /// The messages that are next in their sender's order. Each is handed out once.
    pub(crate) fn drain_ready(&mut self) -> Vec<RoundEnvelope> {
        let mut ready = Vec::new();
        for sender in self.senders.values_mut() {
            while let Some(envelope) = sender.held.remove(&sender.next) {
                sender.next = sender.next.next();
                self.held_bytes -= envelope.sealed.len();
                ready.push(envelope);
            }
        }
        ready
    }

    pub(crate) fn held_bytes(&self) -> usize {
        self.held_bytes
    }
}
