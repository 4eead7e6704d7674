//! What is signed.

use crate::canonical::CanonicalWriter;
use crate::ids::{AccountId, Epoch, PlanHash};
use crate::limits::MAX_PAYLOAD_BYTES;
use crate::outcome::PublicKey;
use crate::scheme::Scheme;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sha3::Keccak256;

/// A hash function that the runtime applies to the bytes to sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HashFunction {
    /// SHA-256 (FIPS 180-4).
    Sha256,
    /// Keccak-256 as Ethereum uses it (the padding before FIPS 202).
    Keccak256,
}

/// What is signed. The number at each variant is its tag in canonical bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Payload {
    /// 1: a digest that the requester computed, 32 bytes.
    Digest(#[serde(with = "serde_bytes")] [u8; 32]),
    /// 2: bytes that every party hashes for itself; the tag of the hash function (1 SHA-256,
    /// 2 Keccak-256), then the bytes with their length.
    Bytes {
        /// The message, at most [`MAX_PAYLOAD_BYTES`].
        #[serde(with = "serde_bytes")]
        bytes: Vec<u8>,
        /// How it is hashed.
        hash: HashFunction,
    },
    /// 3: the proof that an account's shares sign: carries nothing to be signed, because each party
    /// computes the digest from its own records ([`canary_digest`]), so that it can authorize
    /// nothing else.
    Canary {
        /// The plan of the attempt that made the shares: several may lie side by side before one of
        /// them is activated.
        plan: PlanHash,
    },
    /// 4: bytes that a scheme signs as they are, with their length; at most [`MAX_PAYLOAD_BYTES`].
    Message(#[serde(with = "serde_bytes")] Vec<u8>),
}

/// A payload that the scheme does not sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnfitPayload {
    /// It is a digest, or is to be hashed.
    #[error("the scheme signs bytes as they are: give no digest and no hash function")]
    Digest,
    /// It is bytes as they are.
    #[error("the scheme signs 32 bytes: give a digest, or bytes and a hash function")]
    Bytes,
}

/// A payload beyond its bound.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("message of {0} bytes; at most {MAX_PAYLOAD_BYTES} can be signed, hash it first")]
pub struct PayloadTooLong(usize);

impl Payload {
    /// What is signed for the account `account`, whose key at `epoch` is `public_key`: a digest of 32
    /// bytes, or bytes as they are.
    pub fn message(&self, account: AccountId, epoch: Epoch, public_key: &PublicKey) -> Vec<u8> {
        match self {
            Self::Digest(digest) => digest.to_vec(),
            Self::Bytes { bytes, hash: HashFunction::Sha256 } => Sha256::digest(bytes).to_vec(),
            Self::Bytes { bytes, hash: HashFunction::Keccak256 } => {
                <Keccak256 as sha3::Digest>::digest(bytes).to_vec()
            }
            Self::Canary { .. } => canary_digest(account, epoch, public_key).to_vec(),
            Self::Message(bytes) => bytes.clone(),
        }
    }

    /// Checks that the scheme signs such a payload.
    ///
    /// # Errors
    /// [`UnfitPayload`] if it does not.
    pub fn check_fits(&self, scheme: Scheme) -> Result<(), UnfitPayload> {
        match self {
            Self::Digest(_) | Self::Bytes { .. } if scheme.signs_bytes() => {
                Err(UnfitPayload::Digest)
            }
            Self::Message(_) if !scheme.signs_bytes() => Err(UnfitPayload::Bytes),
            Self::Digest(_) | Self::Bytes { .. } | Self::Message(_) | Self::Canary { .. } => Ok(()),
        }
    }

    /// Checks the payload's bound.
    ///
    /// # Errors
    /// [`PayloadTooLong`] if the bytes are more than [`MAX_PAYLOAD_BYTES`].
    pub fn check(&self) -> Result<(), PayloadTooLong> {
        match self {
            Self::Bytes { bytes, .. } | Self::Message(bytes) if bytes.len() > MAX_PAYLOAD_BYTES => {
                Err(PayloadTooLong(bytes.len()))
            }
            Self::Bytes { .. } | Self::Message(_) | Self::Digest(_) | Self::Canary { .. } => Ok(()),
        }
    }

    pub(crate) fn write(&self, out: &mut CanonicalWriter) {
        match self {
            Self::Digest(digest) => out.u8(1).fixed(digest),
            Self::Bytes { bytes, hash } => {
                let hash = match hash {
                    HashFunction::Sha256 => 1,
                    HashFunction::Keccak256 => 2,
                };
                out.u8(2).u8(hash).bytes(bytes)
            }
            Self::Canary { plan } => out.u8(3).fixed(plan.as_bytes()),
            Self::Message(bytes) => out.u8(4).bytes(bytes),
        };
    }
}

/// The digest of an account's canary at an epoch: SHA-256 over the domain `mpc.v1/canary`,
/// account, epoch and public key.
pub fn canary_digest(account: AccountId, epoch: Epoch, public_key: &PublicKey) -> [u8; 32] {
    CanonicalWriter::hash("mpc.v1/canary", |out| {
        out.fixed(account.as_bytes()).u32(epoch.0).bytes(public_key.as_bytes());
    })
}
