//! How an attempt ended, as a party reports it.

use crate::epoch::EpochStatement;
use crate::ids::{AuxId, Epoch, PartyId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// An account's public key in the usual encoding of its scheme: for ECDSA over secp256k1 the
/// 33 bytes of the compressed point (SEC 1, 2.3.3), for Ed25519 the 32 of RFC 8032, for BIP 340 the 32
/// of x.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey(Vec<u8>);

impl PublicKey {
    /// Wraps an encoded key. Whether it is a point of its curve is for the engine to say.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// The encoded key.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl Serialize for PublicKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_bytes(&self.0)
        }
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            hex::decode(text).map(Self).map_err(serde::de::Error::custom)
        } else {
            serde_bytes::ByteBuf::deserialize(deserializer).map(|bytes| Self(bytes.into_vec()))
        }
    }
}

/// An ECDSA signature over secp256k1, with `s` in the lower half of the order (BIP 146).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EcdsaSignature {
    /// `r`, 32 bytes, big-endian.
    #[serde(with = "serde_bytes")]
    pub r: [u8; 32],
    /// `s`, 32 bytes, big-endian.
    #[serde(with = "serde_bytes")]
    pub s: [u8; 32],
    /// Which of the candidate points of `r` the nonce point is, 0 to 3 (SEC 1, 4.1.6).
    pub recovery_id: u8,
}

/// A signature of any scheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signature {
    /// ECDSA.
    Ecdsa(EcdsaSignature),
    /// Ed25519: `R ‖ S`, 64 bytes (RFC 8032, 5.1.6).
    Eddsa(#[serde(with = "serde_bytes")] [u8; 64]),
    /// Schnorr over secp256k1: `R ‖ s`, 64 bytes (BIP 340).
    Schnorr(#[serde(with = "serde_bytes")] [u8; 64]),
}

/// Why an attempt failed: a closed list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The party was restarted or its runner died: the attempt is gone.
    RunnerLost,
    /// A peer sent what the protocol forbids; `guilty` names it.
    PeerMisbehaved,
    /// A message could not be opened or authenticated; nobody can be blamed for it.
    Transport,
    /// What was expected from peers did not come in time; `guilty` names who was missing.
    PeerMissing,
    /// A library panicked.
    Panicked,
    /// The result did not stand its verification.
    ResultInvalid,
    /// The party could not read or write its own store.
    Storage,
    /// Something else went wrong inside the party.
    Internal,
}

impl FailureKind {
    /// Whether the fault lies with the party that reports it, if it names no other.
    pub const fn is_the_reporters_own(self) -> bool {
        match self {
            Self::RunnerLost | Self::Storage => true,
            // What a party cannot take any more, and what makes its libraries panic, may be a
            // peer's doing.
            Self::Panicked
            | Self::Internal
            | Self::PeerMisbehaved
            | Self::Transport
            | Self::PeerMissing
            | Self::ResultInvalid => false,
        }
    }

    /// Whether it says nothing against another attempt of the same members: somebody was away for a
    /// while, or was restarted.
    pub const fn is_passing(self) -> bool {
        match self {
            Self::RunnerLost | Self::PeerMissing => true,
            Self::PeerMisbehaved
            | Self::Transport
            | Self::Panicked
            | Self::ResultInvalid
            | Self::Storage
            | Self::Internal => false,
        }
    }

    /// The kind's name in texts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RunnerLost => "runner_lost",
            Self::PeerMisbehaved => "peer_misbehaved",
            Self::Transport => "transport",
            Self::PeerMissing => "peer_missing",
            Self::Panicked => "panicked",
            Self::ResultInvalid => "result_invalid",
            Self::Storage => "storage",
            Self::Internal => "internal",
        }
    }
}

/// A failed attempt.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AttemptFailure {
    /// Why.
    pub kind: FailureKind,
    /// Whom the reporter holds responsible, or misses; empty if nobody can be named.
    pub guilty: BTreeSet<PartyId>,
    /// For people: what happened. At most [`crate::limits::MAX_DETAIL`] bytes, nothing secret.
    pub detail: String,
}

/// How an attempt ended in one party.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptOutcome {
    /// A key was generated and this party's share of it is stored, but not active yet.
    Keygen {
        /// The account's public key.
        public_key: PublicKey,
        /// The epoch of the stored share.
        epoch: Epoch,
        /// The public share of every party, in the encoding of the scheme's group.
        public_shares: BTreeMap<PartyId, PublicKey>,
        /// The party's word that its share is stored.
        stored: EpochStatement,
    },
    /// An aux set was generated and this party's part of it is stored.
    Aux {
        /// The set's id.
        aux_id: AuxId,
    },
    /// A signature was made and stood its verification.
    Signed(Signature),
    /// The attempt failed.
    Failed(AttemptFailure),
    /// A canary was signed and stood its verification.
    Proven {
        /// The signature.
        signature: Signature,
        /// The party's word that its share has proven itself.
        proven: EpochStatement,
    },
}
