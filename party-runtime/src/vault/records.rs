//! What the vault keeps.

use mpc_engine::SecretBytes;
use mpc_wire::{PartyId, PublicKey, Scheme, SessionId, Threshold};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The kinds of record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The party's Ed25519 seed.
    Identity,
    /// A share of an account's key, named by account.
    Share,
    /// A party's part of an aux set, named by aux id.
    Aux,
    /// A session's record, named by session.
    Session,
}

impl Kind {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Share => "share",
            Self::Aux => "aux",
            Self::Session => "session",
        }
    }
}

/// A party's share of an account's key at one epoch, with what the party needs to judge a request
/// for that account by itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ShareRecord {
    /// The session that made it.
    pub session: SessionId,
    /// The account's scheme.
    pub scheme: Scheme,
    /// How many sign together.
    pub threshold: Threshold,
    /// Every holder.
    pub holders: BTreeSet<PartyId>,
    /// The account's public key.
    pub public_key: PublicKey,
    /// The share, in its engine's own form.
    #[serde(with = "secret_bytes")]
    pub share: SecretBytes,
}

/// A party's part of an aux set.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AuxRecord {
    /// The scheme that the set serves.
    pub scheme: Scheme,
    /// Every party of the set.
    pub parties: BTreeSet<PartyId>,
    /// The party's part, in its engine's own form.
    #[serde(with = "secret_bytes")]
    pub secret: SecretBytes,
}

/// The party's Ed25519 seed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct IdentityRecord {
    #[serde(with = "secret_bytes")]
    pub(super) seed: SecretBytes,
}

/// Secret bytes as a byte string. Only the vault serializes them, and only to seal the result.
mod secret_bytes {
    use mpc_engine::SecretBytes;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        secret: &SecretBytes,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(secret.expose())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<SecretBytes, D::Error> {
        serde_bytes::ByteBuf::deserialize(deserializer)
            .map(|bytes| SecretBytes::new(bytes.into_vec()))
    }
}
