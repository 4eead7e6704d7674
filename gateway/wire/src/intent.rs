//! What a session is for.

use crate::authorization::Authorization;
use crate::canonical::{Canonical, CanonicalWriter};
use crate::ids::{
    AccountId, AuxId, Epoch, IntentHash, PartyId, RequestId, SessionId, Threshold, UnixMillis,
};
use crate::limits::{MAX_PARTIES, MAX_PUBLIC_KEY};
use crate::outcome::PublicKey;
use crate::path::DerivationPath;
use crate::payload::{Payload, PayloadTooLong, UnfitPayload};
use crate::scheme::Scheme;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What a session is for. Canonical domain `mpc.v1/intent`; fields in the order given here.
///
/// A field that is not known here is refused: a party would hash less than was meant.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Intent {
    /// The session.
    pub session: SessionId,
    /// The requester's name for its request.
    pub request: RequestId,
    /// The parties that may take part.
    pub eligible: BTreeSet<PartyId>,
    /// When the intent loses its force.
    pub expires_at: UnixMillis,
    /// The kind, with its fields.
    pub kind: IntentKind,
}

/// The kinds of session. The number at each variant is its canonical tag.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum IntentKind {
    /// 1: a new account's key is generated among all eligible parties.
    Keygen {
        /// The account to be.
        account: AccountId,
        /// Its scheme.
        scheme: Scheme,
        /// How many of the eligible parties will sign together.
        threshold: Threshold,
    },
    /// 2: an aux set is generated among all eligible parties.
    Aux {
        /// The scheme that the set serves.
        scheme: Scheme,
    },
    /// 3: `threshold` of the eligible parties sign.
    Sign {
        /// The account.
        account: AccountId,
        /// The epoch whose shares sign.
        epoch: Epoch,
        /// The account's scheme.
        scheme: Scheme,
        /// How many sign together.
        threshold: Threshold,
        /// The account's public key.
        public_key: PublicKey,
        /// The derivation of the key that signs.
        path: DerivationPath,
        /// What is signed.
        payload: Payload,
        /// The requester's own consent, for parties that ask for it.
        authorization: Option<Authorization>,
    },
    /// 4: the same parties get new shares of the same key.
    Refresh {
        /// The account.
        account: AccountId,
        /// The epoch to leave.
        epoch: Epoch,
        /// The account's scheme.
        scheme: Scheme,
        /// How many sign together.
        threshold: Threshold,
        /// The aux set of the new epoch, for schemes that need one.
        aux_id: Option<AuxId>,
    },
    /// 5: the shares move to another set of parties or another threshold.
    Reshare {
        /// The account.
        account: AccountId,
        /// The epoch to leave.
        epoch: Epoch,
        /// The account's scheme.
        scheme: Scheme,
        /// The threshold of the epoch to leave.
        old_threshold: Threshold,
        /// The threshold of the new epoch.
        new_threshold: Threshold,
        /// The holders in the new epoch.
        new_holders: BTreeSet<PartyId>,
    },
    /// 6: one holder's lost share is made again.
    Replace {
        /// The account.
        account: AccountId,
        /// The epoch to leave.
        epoch: Epoch,
        /// The account's scheme.
        scheme: Scheme,
        /// How many sign together.
        threshold: Threshold,
        /// Whose share is lost.
        lost: PartyId,
    },
}

impl IntentKind {
    /// The kind's name in texts.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Keygen { .. } => "keygen",
            Self::Aux { .. } => "aux",
            Self::Sign { .. } => "sign",
            Self::Refresh { .. } => "refresh",
            Self::Reshare { .. } => "reshare",
            Self::Replace { .. } => "replace",
        }
    }

    /// The account concerned, if the kind has one.
    pub const fn account(&self) -> Option<AccountId> {
        match self {
            Self::Keygen { account, .. }
            | Self::Sign { account, .. }
            | Self::Refresh { account, .. }
            | Self::Reshare { account, .. }
            | Self::Replace { account, .. } => Some(*account),
            Self::Aux { .. } => None,
        }
    }

    /// The scheme.
    pub const fn scheme(&self) -> Scheme {
        match self {
            Self::Keygen { scheme, .. }
            | Self::Aux { scheme }
            | Self::Sign { scheme, .. }
            | Self::Refresh { scheme, .. }
            | Self::Reshare { scheme, .. }
            | Self::Replace { scheme, .. } => *scheme,
        }
    }
}

/// An intent that contradicts itself or a bound.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidIntent {
    /// Too few or too many parties.
    #[error("{0} eligible parties; an intent names 2 to {MAX_PARTIES}")]
    Parties(usize),
    /// A threshold that is no threshold of the parties.
    #[error("threshold {threshold} of {parties} parties; it must be at least 2 and at most all")]
    Threshold {
        /// The threshold.
        threshold: Threshold,
        /// How many parties there are.
        parties: usize,
    },
    /// A public key that no scheme has.
    #[error("public key of {0} bytes; no scheme has one longer than {MAX_PUBLIC_KEY}")]
    PublicKey(usize),
    /// The lost share's holder is none of the parties.
    #[error("the party whose share is lost is not among the eligible parties")]
    NotAHolder,
    /// A payload beyond its bound.
    #[error(transparent)]
    Payload(#[from] PayloadTooLong),
    /// A payload that the scheme does not sign.
    #[error(transparent)]
    UnfitPayload(#[from] UnfitPayload),
}

impl Intent {
    /// SHA-256 of the canonical bytes.
    pub fn hash(&self) -> IntentHash {
        IntentHash::new(self.canonical_hash())
    }

    /// How many parties an attempt needs: the threshold where any quorum will do, else all.
    pub fn quorum_size(&self) -> usize {
        match &self.kind {
            IntentKind::Sign { threshold, .. } => usize::from(threshold.0),
            IntentKind::Keygen { .. }
            | IntentKind::Aux { .. }
            | IntentKind::Refresh { .. }
            | IntentKind::Reshare { .. }
            | IntentKind::Replace { .. } => self.eligible.len(),
        }
    }

    /// Checks what can be checked without knowing the account.
    ///
    /// # Errors
    /// [`InvalidIntent`] names the field that is out of bounds.
    pub fn check(&self) -> Result<(), InvalidIntent> {
        check_parties(self.eligible.len())?;
        let parties = self.eligible.len();
        match &self.kind {
            IntentKind::Aux { .. } => Ok(()),
            IntentKind::Keygen { threshold, .. } | IntentKind::Refresh { threshold, .. } => {
                check_threshold(*threshold, parties)
            }
            IntentKind::Replace { threshold, lost, .. } => {
                if !self.eligible.contains(lost) {
                    return Err(InvalidIntent::NotAHolder);
                }
                check_threshold(*threshold, parties)
            }
            IntentKind::Sign { threshold, payload, public_key, scheme, .. } => {
                payload.check()?;
                payload.check_fits(*scheme)?;
                if public_key.as_bytes().len() > MAX_PUBLIC_KEY {
                    return Err(InvalidIntent::PublicKey(public_key.as_bytes().len()));
                }
                check_threshold(*threshold, parties)
            }
            IntentKind::Reshare { old_threshold, new_threshold, new_holders, .. } => {
                check_parties(new_holders.len())?;
                check_threshold(*old_threshold, parties)?;
                check_threshold(*new_threshold, new_holders.len())
            }
        }
    }
}

fn check_parties(parties: usize) -> Result<(), InvalidIntent> {
    if (2..=MAX_PARTIES).contains(&parties) { Ok(()) } else { Err(InvalidIntent::Parties(parties)) }
}

fn check_threshold(threshold: Threshold, parties: usize) -> Result<(), InvalidIntent> {
    if (2..=parties).contains(&usize::from(threshold.0)) {
        Ok(())
    } else {
        Err(InvalidIntent::Threshold { threshold, parties })
    }
}

impl Canonical for Intent {
    const DOMAIN: &'static str = "mpc.v1/intent";

    fn write_fields(&self, out: &mut CanonicalWriter) {
        out.fixed(self.session.as_bytes())
            .fixed(self.request.as_bytes())
            .parties(&self.eligible)
            .u64(self.expires_at.0);
        match &self.kind {
            IntentKind::Keygen { account, scheme, threshold } => {
                out.u8(1).fixed(account.as_bytes()).u8(scheme.tag()).u16(threshold.0);
            }
            IntentKind::Aux { scheme } => {
                out.u8(2).u8(scheme.tag());
            }
            IntentKind::Sign {
                account,
                epoch,
                scheme,
                threshold,
                public_key,
                path,
                payload,
                authorization,
            } => {
                out.u8(3)
                    .fixed(account.as_bytes())
                    .u32(epoch.0)
                    .u8(scheme.tag())
                    .u16(threshold.0)
                    .bytes(public_key.as_bytes());
                path.write(out);
                payload.write(out);
                out.option(authorization.as_ref(), |out, authorization| authorization.write(out));
            }
            IntentKind::Refresh { account, epoch, scheme, threshold, aux_id } => {
                out.u8(4)
                    .fixed(account.as_bytes())
                    .u32(epoch.0)
                    .u8(scheme.tag())
                    .u16(threshold.0)
                    .option(aux_id.as_ref(), |out, id| {
                        out.fixed(id.as_bytes());
                    });
            }
            IntentKind::Reshare {
                account,
                epoch,
                scheme,
                old_threshold,
                new_threshold,
                new_holders,
            } => {
                out.u8(5)
                    .fixed(account.as_bytes())
                    .u32(epoch.0)
                    .u8(scheme.tag())
                    .u16(old_threshold.0)
                    .u16(new_threshold.0)
                    .parties(new_holders);
            }
            IntentKind::Replace { account, epoch, scheme, threshold, lost } => {
                out.u8(6)
                    .fixed(account.as_bytes())
                    .u32(epoch.0)
                    .u8(scheme.tag())
                    .u16(threshold.0)
                    .fixed(lost.as_bytes());
            }
        }
    }
}

impl CanonicalWriter {
    /// A set of parties, sorted by their bytes.
    pub(crate) fn parties(&mut self, parties: &BTreeSet<PartyId>) -> &mut Self {
        self.list(parties.iter(), |out, party| {
            out.fixed(party.as_bytes());
        })
    }
}
