//! A signature in two rounds (RFC 9591, 5). Every member aggregates for itself. Commitments are echoed
//! among three or more: a member that was told others would make a share that the rest refuses, and be
//! named for it.

use super::share::Share;
use super::suite::encode;
use super::{Suite, failed, undecodable};
use crate::engine::{Product, RunContext};
use crate::failure::EngineFailure;
use crate::lockstep::{Heard, Move, Said, Script};
use crate::secret::SecretBytes;
use crate::verify::verify_signature;
use frost_core::round1::{SigningCommitments, SigningNonces};
use frost_core::round2::SignatureShare;
use frost_core::{CheaterDetection, Identifier, SigningPackage, round1, round2};
use mpc_wire::{PartyId, PublicKey};
use rand_core_06::OsRng;
use std::collections::{BTreeMap, BTreeSet};

pub(super) struct Signing<C: Suite> {
    me: PartyId,
    members: BTreeSet<PartyId>,
    public_key: PublicKey,
    message: Vec<u8>,
    phase: Phase<C>,
}

enum Phase<C: Suite> {
    Before(SecretBytes),
    /// The nonces are used once: whatever comes next consumes them.
    Committed(Box<Share<C>>, Box<SigningNonces<C>>, SigningCommitments<C>),
    Shared(Box<Share<C>>, SigningPackage<C>, SignatureShare<C>),
    Over,
}

impl<C: Suite> Signing<C> {
    pub(super) fn new(
        share: SecretBytes,
        public_key: PublicKey,
        message: Vec<u8>,
        context: &RunContext,
    ) -> Self {
        let (me, members) = (context.me(), context.members());
        Self { me, members, public_key, message, phase: Phase::Before(share) }
    }

    fn commit(self, stored: &SecretBytes) -> Result<Move<Self>, EngineFailure> {
        let share = Box::new(Share::<C>::load(stored)?);
        let fault = if share.owner != self.me {
            "the share is another party's"
        } else if usize::from(*share.key.min_signers()) != self.members.len() {
            "the members are not as many as the threshold"
        } else if C::key(share.public.verifying_key())? != self.public_key {
            "the share belongs to another public key"
        } else {
            let (nonces, commitments) = round1::commit(share.key.signing_share(), &mut OsRng);
            let words = commitments.serialize().map_err(failed::<C>)?;
            let phase = Phase::Committed(share, Box::new(nonces), commitments);
            return Ok(Move::Say(Self { phase, ..self }, Said::Echoed(words)));
        };
        Err(EngineFailure::internal(fault))
    }

    fn sign(
        self,
        share: Box<Share<C>>,
        nonces: &SigningNonces<C>,
        own: SigningCommitments<C>,
        heard: Heard,
    ) -> Result<Move<Self>, EngineFailure> {
        let mut commitments = BTreeMap::from([(share.ids.id(self.me)?, own)]);
        for (from, words) in heard {
            let said = SigningCommitments::deserialize(&words).map_err(|_| undecodable(from))?;
            commitments.insert(share.ids.id(from)?, said);
        }
        let package = SigningPackage::new(commitments, &self.message);
        let own = round2::sign(&package, nonces, &share.key)
            .map_err(|error| share.ids.failure(&error))?;
        let words = own.serialize();
        let phase = Phase::Shared(share, package, own);
        Ok(Move::Say(Self { phase, ..self }, Said::ToAll(words)))
    }

    fn aggregate(
        &self,
        share: &Share<C>,
        package: &SigningPackage<C>,
        own: SignatureShare<C>,
        heard: Heard,
    ) -> Result<Product, EngineFailure> {
        let mut shares: BTreeMap<Identifier<C>, _> =
            BTreeMap::from([(share.ids.id(self.me)?, own)]);
        for (from, words) in heard {
            let said = SignatureShare::deserialize(&words).map_err(|_| undecodable(from))?;
            shares.insert(share.ids.id(from)?, said);
        }
        let all = CheaterDetection::AllCheaters;
        let signature = frost_core::aggregate_custom(package, &shares, &share.public, all)
            .map_err(|error| share.ids.failure(&error))?;
        let signature = encode(&signature)?;
        verify_signature(C::SCHEME, &self.public_key, &self.message, &signature)
            .map_err(|error| EngineFailure::invalid_result(error.to_string()))?;
        Ok(Product::Signature(signature))
    }
}

impl<C: Suite> Script for Signing<C> {
    fn begin(mut self) -> Result<Move<Self>, EngineFailure> {
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Before(stored) => self.commit(&stored),
            Phase::Committed(..) | Phase::Shared(..) | Phase::Over => {
                Err(EngineFailure::internal("begun a second time"))
            }
        }
    }

    fn hear(mut self, heard: Heard) -> Result<Move<Self>, EngineFailure> {
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Committed(share, nonces, own) => self.sign(share, &nonces, own, heard),
            Phase::Shared(share, package, own) => {
                self.aggregate(&share, &package, own, heard).map(Move::Make)
            }
            Phase::Before(_) | Phase::Over => Err(EngineFailure::internal("heard out of turn")),
        }
    }
}
