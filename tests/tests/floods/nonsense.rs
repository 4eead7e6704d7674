//! Messages that are none, of every kind, from a seed.

use crate::hostile::{BINARY, Hostile, TEXT};
use mpc_wire::handshake::Challenge;
use mpc_wire::{Attempt, DeclineReason, Identity, SessionId, ToCoordinator, codec};
use std::collections::BTreeSet;

/// A generator of numbers (SplitMix64): the same seed, the same numbers.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }
}

/// What can be wrong with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Noise,
    Truncated,
    UnknownVariant,
    WrongTypes,
    HugeLengths,
    DeepNesting,
    Text,
    OtherVersion,
    NotWebSocket,
}

impl Kind {
    pub(crate) const ALL: [Self; 9] = [
        Self::Noise,
        Self::Truncated,
        Self::UnknownVariant,
        Self::WrongTypes,
        Self::HugeLengths,
        Self::DeepNesting,
        Self::Text,
        Self::OtherVersion,
        Self::NotWebSocket,
    ];

    /// What the gateway may close with.
    pub(crate) fn codes(self) -> BTreeSet<u16> {
        match self {
            // Before the proof whatever is no proof is one reason, whatever it is besides.
            Self::Noise
            | Self::Truncated
            | Self::UnknownVariant
            | Self::WrongTypes
            | Self::HugeLengths => [1007, 1008].into(),
            // A proof is short, so before it a frame may be too large as well.
            Self::DeepNesting => [1007, 1008, 1009].into(),
            Self::Text => [1003].into(),
            Self::OtherVersion => [1008].into(),
            Self::NotWebSocket => [1002].into(),
        }
    }

    /// Says it to the gateway. `challenge` is what it has asked.
    pub(crate) fn say(
        self,
        socket: &mut Hostile,
        challenge: &Challenge,
        identity: &Identity,
        numbers: &mut Numbers,
    ) {
        match self {
            Self::Noise => {
                let len = 1 + numbers.below(2000);
                // No value begins with this byte.
                let noise = [vec![0xc1], numbers.bytes(len)].concat();
                socket.send(BINARY, &noise);
            }
            Self::Truncated => {
                let whole = honest();
                socket.send(BINARY, &whole[..1 + numbers.below(whole.len() - 1)]);
            }
            Self::UnknownVariant => {
                let (name, id) = (format!("Variant{}", numbers.next()), numbers.next());
                let message = std::collections::BTreeMap::from([(name, id)]);
                socket.send(BINARY, &rmp_serde::to_vec_named(&message).unwrap());
            }
            Self::WrongTypes => {
                let fields = serde_json::json!({
                    "session": numbers.next(), "attempt": "the first", "reason": [1, 2, 3]
                });
                let message = serde_json::json!({ "Decline": fields });
                socket.send(BINARY, &rmp_serde::to_vec_named(&message).unwrap());
            }
            Self::HugeLengths => {
                // Of text, bytes, a list, a map: four thousand million, and none of them follows.
                let kind = [0xdb, 0xc6, 0xdd, 0xdf][numbers.below(4)];
                let message = [&[0x81, 0xa7][..], b"Decline", &[kind], &[0xff; 4]].concat();
                socket.send(BINARY, &message);
            }
            Self::DeepNesting => {
                let depth = 100 + numbers.below(50_000);
                socket.send(BINARY, &vec![[0x91, 0x81][numbers.below(2)]; depth]);
            }
            Self::Text => socket.send(TEXT, b"{\"Decline\":{}}"),
            Self::OtherVersion => {
                let version = challenge.version.wrapping_add(1 + numbers.below(100) as u16);
                let challenge = Challenge { version, ..challenge.clone() };
                socket.prove(&challenge, identity);
            }
            Self::NotWebSocket => {
                // Reserved bits, or a kind of frame that there is not.
                let first = [0xf2, 0xa2, 0x83, 0x8f][numbers.below(4)];
                socket.send(first, &[1, 2, 3]);
            }
        }
    }
}

/// A message that an honest party could send.
fn honest() -> Vec<u8> {
    let decline = ToCoordinator::Decline {
        session: SessionId::generate(),
        attempt: Attempt::FIRST,
        reason: DeclineReason::NoShare,
    };
    codec::encode(&decline).unwrap()
}
