//! What the vault keeps.

use mpc_engine::SecretBytes;
use mpc_wire::{
    Epoch, EpochKey, PartyId, PlanHash, PublicKey, Scheme, SessionId, SharesHash, Threshold,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;

/// The kinds of record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The party's Ed25519 seed.
    Identity,
    /// An active share of an account's key, named by account.
    Share,
    /// A party's part of an aux set, named by aux id.
    Aux,
    /// A session's record, named by session.
    Session,
    /// A party that must never be met again, named by that party.
    Ban,
    /// The least that is accepted of something, such as an account's epoch; named by it.
    Floor,
    /// The newest key of a peer, named by that party.
    PeerKey,
    /// That the vault was made from a backup, and what its peers have said about it since.
    Restoration,
    /// Shares of an epoch that is not active yet, and what the party has said about its attempts;
    /// named by account.
    Prepared,
    /// What the rows of the used requests add up to.
    Ledger,
}

/// What it means that a record is not the one that the manifest lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protection {
    /// The vault does not open without all records of this kind.
    Vital,
    /// One that is damaged is refused when it is read, the others serve.
    Durable,
}

impl Kind {
    /// Every kind.
    pub(super) const ALL: [Self; 10] = [
        Self::Identity,
        Self::Share,
        Self::Aux,
        Self::Session,
        Self::Ban,
        Self::Floor,
        Self::PeerKey,
        Self::Restoration,
        Self::Prepared,
        Self::Ledger,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Share => "share",
            Self::Aux => "aux",
            Self::Session => "session",
            Self::Ban => "ban",
            Self::Floor => "floor",
            Self::PeerKey => "peer-key",
            Self::Restoration => "restoration",
            Self::Prepared => "prepared",
            Self::Ledger => "ledger",
        }
    }

    /// Whether a backup holds records of this kind. Sessions are left out, since a restored party
    /// must never go on with an attempt; an earlier restoration and the used requests belong to one
    /// vault.
    pub(super) const fn is_backed_up(self) -> bool {
        match self {
            Self::Identity
            | Self::Share
            | Self::Aux
            | Self::Ban
            | Self::Floor
            | Self::PeerKey
            | Self::Prepared => true,
            Self::Session | Self::Restoration | Self::Ledger => false,
        }
    }

    pub(super) const fn protection(self) -> Protection {
        match self {
            Self::Identity | Self::Ban | Self::Floor | Self::PeerKey | Self::Restoration => {
                Protection::Vital
            }
            // Without the ledger no request is admitted, but a backup can be made.
            Self::Share | Self::Aux | Self::Session | Self::Prepared | Self::Ledger => {
                Protection::Durable
            }
        }
    }

    /// The protection of a kind by its stored name; none for what is no kind.
    pub(super) fn protection_of(name: &str) -> Option<Protection> {
        Self::named(name).map(Self::protection)
    }

    /// The kind with this stored name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// Where a record lies in the vault.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    kind: String,
    name: String,
    epoch: u32,
}

impl Place {
    pub(super) fn new(kind: &str, name: &str, epoch: Epoch) -> Self {
        Self { kind: kind.to_owned(), name: name.to_owned(), epoch: epoch.0 }
    }

    /// The kind's stored name.
    pub(crate) fn kind(&self) -> &str {
        &self.kind
    }

    /// The record's name within its kind.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The record's epoch; 0 for kinds without.
    pub fn epoch(&self) -> Epoch {
        Epoch(self.epoch)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.kind)?;
        if !self.name.is_empty() {
            write!(f, " {}", self.name)?;
        }
        if self.epoch != 0 {
            write!(f, " of epoch {}", self.epoch)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Place({self})")
    }
}

/// A party's share of an account's key at one epoch, with what the party needs to judge a request
/// for that account by itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ShareRecord {
    /// The session that made it.
    pub session: SessionId,
    /// The hash of the plan of the attempt that made it.
    pub plan: PlanHash,
    /// The account's scheme.
    pub scheme: Scheme,
    /// How many sign together.
    pub threshold: Threshold,
    /// Every holder.
    pub holders: BTreeSet<PartyId>,
    /// The account's public key.
    pub public_key: PublicKey,
    /// The hash of all holders' public shares.
    pub public_shares: SharesHash,
    /// The share, in its engine's own form.
    #[serde(with = "secret_bytes")]
    pub share: SecretBytes,
}

impl ShareRecord {
    /// What everybody may know of it.
    pub fn key(&self) -> EpochKey {
        EpochKey { public_key: self.public_key.clone(), shares: self.public_shares }
    }
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

/// The party's Ed25519 key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct IdentityRecord {
    /// The newest key's seed.
    #[serde(with = "secret_bytes")]
    pub(super) seed: SecretBytes,
    /// The rotations that led to it, public.
    #[serde(with = "serde_bytes")]
    pub(super) rotations: Vec<u8>,
}

/// Secret bytes as a byte string. Only what the vault seals serializes them.
pub(crate) mod secret_bytes {
    use mpc_engine::SecretBytes;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        secret: &SecretBytes,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(secret.expose())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<SecretBytes, D::Error> {
        serde_bytes::ByteBuf::deserialize(deserializer)
            .map(|bytes| SecretBytes::new(bytes.into_vec()))
    }
}
