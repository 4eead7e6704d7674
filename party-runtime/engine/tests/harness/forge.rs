//! Messages opened, changed and signed again by their sender.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code fails by panicking")]
// Each test binary uses its part of the harness.
#![allow(dead_code, unreachable_pub)]

use super::value::Value;
use mpc_wire::{Identity, PartyId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use sha2_010::{Digest, Sha256};

/// A manul message, taken apart.
#[derive(Clone, Serialize, Deserialize)]
pub struct Opened {
    pub destination: ByteBuf,
    direct_message: Part,
    echo_broadcast: Part,
    normal_broadcast: Part,
}

#[derive(Clone, Serialize, Deserialize)]
struct Part {
    signature: ByteBuf,
    message_with_metadata: Body,
}

#[derive(Clone, Serialize, Deserialize)]
struct Body {
    metadata: Metadata,
    message: Option<ByteBuf>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Metadata {
    session_id: ByteBuf,
    round_id: RoundId,
}

#[derive(Clone, Serialize, Deserialize)]
struct RoundId {
    round_nums: Vec<u8>,
    is_echo: bool,
}

/// The parts of a message, by what manul hashes to tell them from each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Echo = 0,
    Normal = 1,
    Direct = 2,
}

impl Kind {
    pub const ALL: [Self; 3] = [Self::Echo, Self::Normal, Self::Direct];
}

pub fn write<T: Serialize>(value: &T) -> Vec<u8> {
    rmp_serde::to_vec_named(value).unwrap()
}

impl Opened {
    pub fn read(payload: &[u8]) -> Self {
        Self::try_read(payload).unwrap()
    }

    pub fn try_read(payload: &[u8]) -> Option<Self> {
        rmp_serde::from_slice(payload).ok()
    }

    pub fn write(&self) -> Vec<u8> {
        write(self)
    }

    /// The protocol session that the message belongs to.
    pub fn session_id(&self) -> &[u8] {
        &self.direct_message.message_with_metadata.metadata.session_id
    }

    /// What a part says, if the round has such a part.
    pub fn content(&self, kind: Kind) -> Option<Value> {
        let message = self.part(kind).message_with_metadata.message.as_ref()?;
        Some(rmp_serde::from_slice(message).unwrap())
    }

    /// Changes what a part says and signs it again.
    pub fn forge(&mut self, kind: Kind, signer: &Identity, change: impl FnOnce(&mut Value)) {
        let mut content = self.content(kind).unwrap();
        change(&mut content);
        self.say(kind, signer, Some(&content));
    }

    /// As [`Self::forge`], of what has a type of its own.
    pub fn forge_as<T: Serialize + DeserializeOwned>(
        &mut self,
        kind: Kind,
        signer: &Identity,
        change: impl FnOnce(&mut T),
    ) {
        let part = self.part_mut(kind);
        let message = part.message_with_metadata.message.as_mut().unwrap();
        let mut content: T = rmp_serde::from_slice(message).unwrap();
        change(&mut content);
        *message = ByteBuf::from(write(&content));
        part.sign(kind, signer);
    }

    /// Has a part signed by another key.
    pub fn sign_again(&mut self, kind: Kind, signer: &Identity) {
        self.part_mut(kind).sign(kind, signer);
    }

    /// Has a part say something else, or nothing.
    pub fn say(&mut self, kind: Kind, signer: &Identity, content: Option<&Value>) {
        let part = self.part_mut(kind);
        part.message_with_metadata.message = content.map(|content| ByteBuf::from(write(content)));
        part.sign(kind, signer);
    }

    /// The same message in another round of the protocol.
    pub fn move_to(&mut self, round: u8, signer: &Identity) {
        for kind in Kind::ALL {
            let part = self.part_mut(kind);
            part.message_with_metadata.metadata.round_id.round_nums = vec![round];
            part.sign(kind, signer);
        }
    }

    /// The same message from somebody else.
    pub fn readdress(&mut self, signer: &Identity, to: PartyId) {
        self.destination = ByteBuf::from(to.as_bytes());
        for kind in Kind::ALL {
            self.part_mut(kind).sign(kind, signer);
        }
    }

    /// Whether the message is of an echo round.
    pub fn is_echo_round(&self) -> bool {
        self.direct_message.message_with_metadata.metadata.round_id.is_echo
    }

    /// The message's echo broadcast as an echo round quotes it.
    pub fn quoted_echo(&self) -> Value {
        let part = &self.echo_broadcast;
        let Metadata { session_id, round_id } = &part.message_with_metadata.metadata;
        let numbers = round_id.round_nums.iter().map(|number| Value::Number((*number).into()));
        let round_id = Value::fields([
            ("round_nums", Value::List(numbers.collect())),
            ("is_echo", Value::Bool(round_id.is_echo)),
        ]);
        let metadata =
            Value::fields([("session_id", Value::bytes(&session_id[..])), ("round_id", round_id)]);
        Value::fields([
            ("signature", Value::bytes(&part.signature[..])),
            ("metadata", metadata),
            ("message_part_hash", Value::bytes(part.hash(Kind::Echo))),
        ])
    }

    fn part(&self, kind: Kind) -> &Part {
        match kind {
            Kind::Echo => &self.echo_broadcast,
            Kind::Normal => &self.normal_broadcast,
            Kind::Direct => &self.direct_message,
        }
    }

    fn part_mut(&mut self, kind: Kind) -> &mut Part {
        match kind {
            Kind::Echo => &mut self.echo_broadcast,
            Kind::Normal => &mut self.normal_broadcast,
            Kind::Direct => &mut self.direct_message,
        }
    }
}

impl Part {
    fn hash(&self, kind: Kind) -> [u8; 32] {
        let hash = Sha256::new_with_prefix(b"ProtocolMessagePart");
        let hash = match &self.message_with_metadata.message {
            None => hash.chain_update([kind as u8, 0]),
            Some(message) => hash
                .chain_update([kind as u8, 1])
                .chain_update((message.len() as u64).to_be_bytes())
                .chain_update(&message[..]),
        };
        hash.finalize().into()
    }

    fn sign(&mut self, kind: Kind, signer: &Identity) {
        let metadata = &self.message_with_metadata.metadata;
        self.signature = sign(signer, metadata, &self.hash(kind));
    }
}

/// What a member says in an echo round.
#[derive(Serialize, Deserialize)]
pub struct EchoPack {
    pub message_hashes: Vec<(ByteBuf, Echo)>,
}

/// Of a part that a member was sent: its hash, and what its sender signed.
#[derive(Serialize, Deserialize)]
pub struct Echo {
    signature: ByteBuf,
    metadata: Metadata,
    message_part_hash: ByteBuf,
}

impl Echo {
    /// Makes it that of another part, which `signer` has signed.
    pub fn forge(&mut self, signer: &Identity) {
        self.message_part_hash[0] ^= 1;
        self.signature = sign(signer, &self.metadata, &self.message_part_hash);
    }
}

fn sign(signer: &Identity, metadata: &Metadata, part_hash: &[u8]) -> ByteBuf {
    let digest = Sha256::new_with_prefix(b"SignedMessagePartDigest")
        .chain_update(write(metadata))
        .chain_update(32_u64.to_be_bytes())
        .chain_update(part_hash)
        .finalize();
    let signature = signer.sign(&[b"mpc.v1/manul", &digest[..]].concat());
    ByteBuf::from(write(&ByteBuf::from(signature.to_bytes())))
}
