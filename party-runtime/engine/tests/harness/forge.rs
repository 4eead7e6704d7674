//! Messages opened, changed and signed again by their sender.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code fails by panicking")]
// Each test binary uses its part of the harness.
#![allow(dead_code, unreachable_pub)]

use mpc_wire::Identity;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use sha2_010::{Digest, Sha256};

/// A manul message, taken apart.
#[derive(Serialize, Deserialize)]
pub struct Opened {
    pub destination: ByteBuf,
    pub direct_message: Part,
    pub echo_broadcast: Part,
    pub normal_broadcast: Part,
}

#[derive(Serialize, Deserialize)]
pub struct Part {
    signature: ByteBuf,
    pub message_with_metadata: Body,
}

#[derive(Serialize, Deserialize)]
pub struct Body {
    pub metadata: Metadata,
    pub message: Option<ByteBuf>,
}

#[derive(Serialize, Deserialize)]
pub struct Metadata {
    session_id: ByteBuf,
    round_id: RoundId,
}

#[derive(Serialize, Deserialize)]
pub struct RoundId {
    round_nums: Vec<u8>,
    is_echo: bool,
}

/// What manul hashes to tell the parts of a message from each other.
pub const ECHO: u8 = 0;
pub const NORMAL: u8 = 1;
pub const DIRECT: u8 = 2;

pub fn write<T: Serialize>(value: &T) -> Vec<u8> {
    rmp_serde::to_vec_named(value).unwrap()
}

impl Part {
    /// Changes the content and signs it again.
    pub fn forge<T: Serialize + DeserializeOwned>(
        &mut self,
        kind: u8,
        signer: &Identity,
        change: impl FnOnce(&mut T),
    ) {
        self.forge_bytes(kind, signer, |payload| {
            let mut content: T = rmp_serde::from_slice(payload).unwrap();
            change(&mut content);
            *payload = write(&content);
        });
    }

    /// Changes the content's bytes and signs them again.
    pub fn forge_bytes(&mut self, kind: u8, signer: &Identity, change: impl FnOnce(&mut Vec<u8>)) {
        let body = &mut self.message_with_metadata;
        let payload = body.message.as_mut().unwrap();
        change(payload);
        let part_hash = Sha256::new_with_prefix(b"ProtocolMessagePart")
            .chain_update([kind, 1])
            .chain_update((payload.len() as u64).to_be_bytes())
            .chain_update(&payload[..])
            .finalize();
        self.signature = sign(signer, &body.metadata, &part_hash);
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
