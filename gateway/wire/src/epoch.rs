//! What the holders of an epoch's shares sign about them, so that no coordinator can have one holder
//! take an epoch up and another drop it.
//!
//! Of each attempt that was to make shares of an epoch, a holder says [`Verdict::Stored`] or
//! [`Verdict::Refused`], never both. Once it has signed a canary with a stored share it says
//! [`Verdict::Proven`], of one attempt for each account and epoch at most. An epoch is active where
//! all holders have said `Stored` and `Proven` of one attempt: so no two attempts of one epoch can
//! ever be active anywhere, as long as one holder is honest.

use crate::canonical::{Canonical, CanonicalWriter};
use crate::identity::Identity;
use crate::ids::{AccountId, Epoch, PartyId, PlanHash, SharesHash};
use crate::outcome::PublicKey;
use crate::signature::{InvalidSignature, PartySignature, ProvenKey};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Which shares are spoken of: those that one attempt made of one account at one epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpochPlan {
    /// The account.
    pub account: AccountId,
    /// The epoch.
    pub epoch: Epoch,
    /// The hash of the attempt's plan.
    pub plan: PlanHash,
}

/// What everybody may know of an epoch's shares. Equal for all holders of one attempt.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpochKey {
    /// The account's public key.
    pub public_key: PublicKey,
    /// All public shares under one hash.
    pub shares: SharesHash,
}

impl EpochKey {
    /// The key and its public shares, encoded as the key is.
    pub fn new(public_key: PublicKey, public_shares: &BTreeMap<PartyId, PublicKey>) -> Self {
        Self { public_key, shares: shares_hash(public_shares) }
    }
}

/// The hash of all public shares: SHA-256 over the domain `mpc.v1/public-shares` and a list of
/// holder and public share, in the order of the holders.
fn shares_hash(public_shares: &BTreeMap<PartyId, PublicKey>) -> SharesHash {
    SharesHash::new(CanonicalWriter::hash("mpc.v1/public-shares", |out| {
        out.list(public_shares.iter(), |out, (holder, share)| {
            out.fixed(holder.as_bytes()).bytes(share.as_bytes());
        });
    }))
}

/// What a holder says. The number at each variant is its canonical tag.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// 1: its share is checked, written and read back; it will never refuse it.
    Stored(EpochKey),
    /// 2: it has no share of this attempt and will never store one.
    Refused,
    /// 3: it took part in a canary signature with its share, and the signature verified. It says so
    /// of no other attempt of the epoch.
    Proven(EpochKey),
}

impl Verdict {
    /// The verdict's name in texts.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Stored(_) => "stored",
            Self::Refused => "refused",
            Self::Proven(_) => "proven",
        }
    }

    /// The key that it is about; none where there is no share.
    pub const fn key(&self) -> Option<&EpochKey> {
        match self {
            Self::Stored(key) | Self::Proven(key) => Some(key),
            Self::Refused => None,
        }
    }
}

/// A holder's word on shares of an epoch. The signature is over the canonical bytes (domain
/// `mpc.v1/epoch`): by, account, epoch, plan hash, and the verdict with its tag; behind the tags 1
/// and 3 follow public key and hash of the public shares.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpochStatement {
    /// Who says it.
    pub by: PartyId,
    /// Of which shares.
    pub of: EpochPlan,
    /// What.
    pub verdict: Verdict,
    /// The holder's signature.
    pub signature: PartySignature,
}

impl Canonical for EpochStatement {
    const DOMAIN: &'static str = "mpc.v1/epoch";

    fn write_fields(&self, out: &mut CanonicalWriter) {
        out.fixed(self.by.as_bytes())
            .fixed(self.of.account.as_bytes())
            .u32(self.of.epoch.0)
            .fixed(self.of.plan.as_bytes());
        let (tag, key) = match &self.verdict {
            Verdict::Stored(key) => (1, Some(key)),
            Verdict::Refused => (2, None),
            Verdict::Proven(key) => (3, Some(key)),
        };
        out.u8(tag);
        if let Some(EpochKey { public_key, shares }) = key {
            out.bytes(public_key.as_bytes()).fixed(shares.as_bytes());
        }
    }
}

impl EpochStatement {
    /// Says something of shares of an epoch.
    pub fn sign(identity: &Identity, of: EpochPlan, verdict: Verdict) -> Self {
        let signature = PartySignature::from([0; 64]);
        let mut statement = Self { by: identity.party(), of, verdict, signature };
        statement.signature = identity.sign(&statement.canonical_bytes());
        statement
    }

    /// Checks the signature.
    ///
    /// # Errors
    /// [`InvalidSignature`] if it is not that of who speaks.
    pub fn verify(&self) -> Result<ProvenKey, InvalidSignature> {
        self.by.verify(&self.canonical_bytes(), &self.signature)
    }
}

/// Why a party does not take an epoch up: a closed list.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    thiserror::Error,
)]
#[serde(rename_all = "snake_case")]
pub enum ActivationRefusal {
    /// It holds no share that this attempt made.
    #[error("the party holds no share that this attempt made")]
    NotPrepared,
    /// Another attempt's shares are active at this epoch.
    #[error("shares of another attempt are active at this epoch")]
    OtherActive,
    /// A newer epoch is active.
    #[error("a newer epoch of the account is active")]
    StaleEpoch,
    /// A statement is about other shares, or about another key.
    #[error("a statement is about other shares, or about another key")]
    Mismatch,
    /// Somebody speaks who holds no share.
    #[error("a statement is by somebody who holds no share")]
    NotAHolder,
    /// A statement is not signed by who speaks.
    #[error("a statement is not signed by who speaks in it")]
    Forged,
    /// A statement is signed with a key that the holder has replaced.
    #[error("a statement is signed with a key that its holder has replaced")]
    SupersededKey,
    /// A holder has refused these shares.
    #[error("a holder has refused the shares of this attempt")]
    Refused,
    /// Not every holder has said that its share is stored, and proven.
    #[error("not every holder has said that its share is stored and proven")]
    Incomplete,
    /// The party was restored from a backup and waits for its peers' word on the account.
    #[error("the party was restored from a backup, and its peers have not confirmed it yet")]
    Quarantined,
    /// The party has all it can carry.
    #[error("the party has all it can carry")]
    Overloaded,
    /// The party cannot read or write what it has stored.
    #[error("the party cannot use what it has stored")]
    Storage,
}
