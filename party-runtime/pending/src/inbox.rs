//! Round messages of one attempt: held until the runner is there, put in order, freed of
//! duplicates.

use crate::limits::MAX_HELD_MESSAGES;
use mpc_wire::limits::MAX_PARTIES;
use mpc_wire::{PartyId, RoundEnvelope, RoundHeader, Seq};
use std::collections::{BTreeMap, BTreeSet};

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
    /// Takes a message if it is new and its sender has not too many here. Whether there is room for
    /// its bytes is for the caller to say, who knows of the other inboxes.
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
        if seq != sender.next && sender.held.len() >= MAX_HELD_MESSAGES {
            return Taken::Full;
        }
        self.held_bytes += envelope.sealed.len();
        sender.held.insert(seq, envelope);
        Taken::Held
    }

    /// Whether the message is the next of its sender.
    pub(crate) fn is_next(&self, header: &RoundHeader) -> bool {
        let next = self.senders.get(&header.from).map(|sender| sender.next);
        next.unwrap_or_default() == header.seq
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

    /// Throws out what came from others than these, and says how many messages that were.
    pub(crate) fn keep_only(&mut self, members: &BTreeSet<PartyId>) -> usize {
        let mut count = 0;
        self.senders.retain(|from, sender| {
            let is_member = members.contains(from);
            if !is_member {
                count += sender.held.len();
                self.held_bytes -= sender.held_bytes();
            }
            is_member
        });
        count
    }

    pub(crate) fn held_bytes(&self) -> usize {
        self.held_bytes
    }
}

impl Sender {
    fn held_bytes(&self) -> usize {
        self.held.values().map(|envelope| envelope.sealed.len()).sum()
    }
}
