//! What parties keep about each other's accounts, so that a restored backup cannot bring back an
//! old share or forget a ban.

use crate::canonical::{Canonical, CanonicalWriter};
use crate::identity::Identity;
use crate::ids::{AccountId, Epoch, Nonce, PartyId};
use crate::limits::{MAX_BANS, MAX_INQUIRY};
use crate::signature::{InvalidSignature, PartySignature, ProvenKey};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A party's lasting refusal to run a protocol with another. The signature is over the canonical
/// bytes (domain `mpc.v1/ban`): by, banned.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedBan {
    /// Who refuses.
    pub by: PartyId,
    /// Whom.
    pub banned: PartyId,
    /// The signature of who refuses.
    pub signature: PartySignature,
}

impl Canonical for SignedBan {
    const DOMAIN: &'static str = "mpc.v1/ban";

    fn write_fields(&self, out: &mut CanonicalWriter) {
        out.fixed(self.by.as_bytes()).fixed(self.banned.as_bytes());
    }
}

impl SignedBan {
    /// Bans a party.
    pub fn sign(identity: &Identity, banned: PartyId) -> Self {
        let mut ban =
            Self { by: identity.party(), banned, signature: PartySignature::from([0; 64]) };
        ban.signature = identity.sign(&ban.canonical_bytes());
        ban
    }

    /// Checks the signature.
    ///
    /// # Errors
    /// [`InvalidSignature`] if it is not that of who refuses.
    pub fn verify(&self) -> Result<ProvenKey, InvalidSignature> {
        self.by.verify(&self.canonical_bytes(), &self.signature)
    }
}

/// A restored party asks the other holders of its accounts what has happened since its backup. The
/// signature is over the canonical bytes (domain `mpc.v1/inquiry`): by, nonce, accounts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inquiry {
    /// Who asks.
    pub by: PartyId,
    /// Fresh, so that an old answer cannot be given again.
    pub nonce: Nonce,
    /// The accounts, at most [`MAX_INQUIRY`].
    pub accounts: BTreeSet<AccountId>,
    /// The signature of who asks.
    pub signature: PartySignature,
}

impl Canonical for Inquiry {
    const DOMAIN: &'static str = "mpc.v1/inquiry";

    fn write_fields(&self, out: &mut CanonicalWriter) {
        out.fixed(self.by.as_bytes()).fixed(self.nonce.as_bytes()).list(
            self.accounts.iter(),
            |out, account| {
                out.fixed(account.as_bytes());
            },
        );
    }
}

impl Inquiry {
    /// Asks about accounts.
    pub fn sign(identity: &Identity, nonce: Nonce, accounts: BTreeSet<AccountId>) -> Self {
        let signature = PartySignature::from([0; 64]);
        let mut inquiry = Self { by: identity.party(), nonce, accounts, signature };
        inquiry.signature = identity.sign(&inquiry.canonical_bytes());
        inquiry
    }

    /// Checks bound and signature.
    ///
    /// # Errors
    /// [`InvalidSignature`] if it is not that of who asks, or if too much is asked.
    pub fn verify(&self) -> Result<ProvenKey, InvalidSignature> {
        if self.accounts.len() > MAX_INQUIRY {
            return Err(InvalidSignature);
        }
        self.by.verify(&self.canonical_bytes(), &self.signature)
    }
}

/// The answer to an [`Inquiry`]. The signature is over the canonical bytes (domain
/// `mpc.v1/testimony`): by, to, nonce, floors (a list of account and epoch), bans (a list of by,
/// banned and the signature's bytes).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Testimony {
    /// Who answers.
    pub by: PartyId,
    /// Who asked.
    pub to: PartyId,
    /// The inquiry's nonce.
    pub nonce: Nonce,
    /// The newest epoch known of each account that both hold shares of.
    pub floors: BTreeMap<AccountId, Epoch>,
    /// The bans that the asker once made, at most [`MAX_BANS`].
    pub bans: Vec<SignedBan>,
    /// The signature of who answers.
    pub signature: PartySignature,
}

impl Canonical for Testimony {
    const DOMAIN: &'static str = "mpc.v1/testimony";

    fn write_fields(&self, out: &mut CanonicalWriter) {
        out.fixed(self.by.as_bytes())
            .fixed(self.to.as_bytes())
            .fixed(self.nonce.as_bytes())
            .list(self.floors.iter(), |out, (account, epoch)| {
                out.fixed(account.as_bytes()).u32(epoch.0);
            })
            .list(self.bans.iter(), |out, ban| {
                out.fixed(ban.by.as_bytes())
                    .fixed(ban.banned.as_bytes())
                    .bytes(&ban.signature.to_bytes());
            });
    }
}

impl Testimony {
    /// Answers an inquiry.
    pub fn sign(
        identity: &Identity,
        inquiry: &Inquiry,
        floors: BTreeMap<AccountId, Epoch>,
        bans: Vec<SignedBan>,
    ) -> Self {
        let mut testimony = Self {
            by: identity.party(),
            to: inquiry.by,
            nonce: inquiry.nonce,
            floors,
            bans,
            signature: PartySignature::from([0; 64]),
        };
        testimony.signature = identity.sign(&testimony.canonical_bytes());
        testimony
    }

    /// Checks bounds and signature.
    ///
    /// # Errors
    /// [`InvalidSignature`] if it is not that of who answers, or if it holds too much.
    pub fn verify(&self) -> Result<ProvenKey, InvalidSignature> {
        if self.floors.len() > MAX_INQUIRY || self.bans.len() > MAX_BANS {
            return Err(InvalidSignature);
        }
        self.by.verify(&self.canonical_bytes(), &self.signature)
    }
}
