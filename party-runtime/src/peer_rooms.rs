//! What each peer's messages may take in memory while they wait for a runner, or for the rest of their
//! payload: one that leaves payloads unfinished, in as many attempts as it likes, spends its own room
//! and nobody else's. What an engine has been given is bounded by the engine: one message for each
//! peer and round, of the next two.

use crate::seal::MAX_PAYLOAD;
use mpc_wire::{PartyId, RoundEnvelope};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes that one peer's messages may take in all runners: two payloads of the longest kind.
pub(crate) const PEER_ROOM: usize = 2 * MAX_PAYLOAD;

/// A round message on its way to a runner, with the room that it takes.
#[derive(Debug)]
pub struct Delivered {
    /// The message.
    pub envelope: RoundEnvelope,
    /// Free again when this is dropped.
    pub room: OwnedSemaphorePermit,
}

/// The rooms of all peers that ever had a place in an attempt: those with whom the party shares keys.
#[derive(Debug, Default)]
pub(crate) struct PeerRooms(BTreeMap<PartyId, Arc<Semaphore>>);

impl PeerRooms {
    /// Gives each message its room; none if one of them finds too little.
    pub(crate) fn admit(&mut self, messages: Vec<RoundEnvelope>) -> Option<Vec<Delivered>> {
        messages.into_iter().map(|envelope| self.admit_one(envelope)).collect()
    }

    fn admit_one(&mut self, envelope: RoundEnvelope) -> Option<Delivered> {
        let room = self.0.entry(envelope.header.from);
        let room = Arc::clone(room.or_insert_with(|| Arc::new(Semaphore::new(PEER_ROOM))));
        let bytes = u32::try_from(envelope.sealed.len()).ok()?;
        let room = room.try_acquire_many_owned(bytes).ok()?;
        Some(Delivered { envelope, room })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use mpc_wire::{Attempt, Round, RoundHeader, Seq, SessionId, Stage};

    fn message(from: u8, bytes: usize) -> RoundEnvelope {
        let header = RoundHeader {
            session: SessionId::generate(),
            attempt: Attempt::FIRST,
            from: PartyId::new([from; 32]),
            to: PartyId::new([0; 32]),
            stage: Stage(1),
            round: Round(1),
            seq: Seq(0),
        };
        RoundEnvelope { header, sealed: vec![0; bytes] }
    }

    #[test]
    fn a_peer_that_fills_its_room_leaves_others_theirs() {
        let mut rooms = PeerRooms::default();
        let half = PEER_ROOM / 2;
        let first = rooms.admit(vec![message(1, half)]).unwrap();
        let second = rooms.admit(vec![message(1, half)]).unwrap();
        assert!(rooms.admit(vec![message(1, 1)]).is_none());
        assert!(rooms.admit(vec![message(2, half), message(2, half)]).is_some());
        drop(first);
        assert!(rooms.admit(vec![message(1, half + 1)]).is_none());
        assert!(rooms.admit(vec![message(1, half)]).is_some());
        drop(second);
    }
}
