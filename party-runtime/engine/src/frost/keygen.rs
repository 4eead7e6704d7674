//! A new key, t of n, by Pedersen's DKG with proofs of possession (the FROST paper, figure 1). The
//! packages of the first round are echoed.

use super::share::store;
use super::suite::public_share;
use super::{Ids, Suite, failed, undecodable};
use crate::engine::{Product, RunContext};
use crate::failure::EngineFailure;
use crate::lockstep::{Heard, Move, Said, Script};
use frost_core::Identifier;
use frost_core::keys::dkg::{self, round1, round2};
use mpc_wire::{PartyId, Threshold};
use rand_core_06::OsRng;
use std::collections::{BTreeMap, BTreeSet};
use zeroize::Zeroizing;

pub(super) struct Keygen<C: Suite> {
    me: PartyId,
    members: BTreeSet<PartyId>,
    ids: Ids<C>,
    threshold: u16,
    phase: Phase<C>,
}

enum Phase<C: Suite> {
    Before,
    Committed(round1::SecretPackage<C>),
    Shared(round2::SecretPackage<C>, BTreeMap<Identifier<C>, round1::Package<C>>),
}

impl<C: Suite> Keygen<C> {
    pub(super) fn new(threshold: Threshold, context: &RunContext) -> Result<Self, EngineFailure> {
        let members = context.members();
        let threshold = threshold.0;
        if threshold < 2 || usize::from(threshold) > members.len() {
            return Err(EngineFailure::internal("the threshold is none of the members"));
        }
        let (me, ids, phase) = (context.me(), Ids::of(&members)?, Phase::Before);
        Ok(Self { me, members, ids, threshold, phase })
    }

    /// Shares the polynomial that was committed to, and checks everybody's proof of its own.
    fn share(
        self,
        secret: round1::SecretPackage<C>,
        heard: Heard,
    ) -> Result<Move<Self>, EngineFailure> {
        let mut packages = BTreeMap::new();
        for (from, words) in heard {
            let package: round1::Package<C> =
                round1::Package::deserialize(&words).map_err(|_| undecodable(from))?;
            if package.commitment().coefficients().len() != usize::from(self.threshold) {
                return Err(EngineFailure::misbehaved(from, "a polynomial of another degree"));
            }
            packages.insert(self.ids.id(from)?, package);
        }
        let (secret, shares) =
            dkg::part2(secret, &packages).map_err(|error| self.ids.failure(&error))?;
        let mut words = BTreeMap::new();
        for (id, share) in shares {
            let to = self.ids.party(id);
            let to = to.ok_or_else(|| EngineFailure::internal("a share for nobody"))?;
            words.insert(to, Zeroizing::new(share.serialize().map_err(failed::<C>)?));
        }
        let phase = Phase::Shared(secret, packages);
        Ok(Move::Say(Self { phase, ..self }, Said::ToEach(words)))
    }

    /// Adds the shares up.
    fn finish(
        &self,
        secret: &round2::SecretPackage<C>,
        packages: &BTreeMap<Identifier<C>, round1::Package<C>>,
        heard: Heard,
    ) -> Result<Product, EngineFailure> {
        let mut shares = BTreeMap::new();
        for (from, words) in heard {
            let share: round2::Package<C> =
                round2::Package::deserialize(&words).map_err(|_| undecodable(from))?;
            shares.insert(self.ids.id(from)?, share);
        }
        let (key, public) =
            dkg::part3(secret, packages, &shares).map_err(|error| self.ids.failure(&error))?;
        let public_shares = public.verifying_shares().iter().map(|(id, share)| {
            let party = self.ids.party(*id);
            let party = party.ok_or_else(|| EngineFailure::internal("a share of nobody"))?;
            Ok((party, public_share(share)?))
        });
        Ok(Product::Keygen {
            share: store(self.me, &self.members, &key, &public)?,
            public_key: C::key(public.verifying_key())?,
            public_shares: public_shares.collect::<Result<_, EngineFailure>>()?,
        })
    }
}

impl<C: Suite> Script for Keygen<C> {
    fn begin(self) -> Result<Move<Self>, EngineFailure> {
        let all = u16::try_from(self.members.len())
            .map_err(|_| EngineFailure::internal("too many members"))?;
        let id = self.ids.id(self.me)?;
        let (secret, package) =
            dkg::part1::<C, _>(id, all, self.threshold, OsRng).map_err(failed::<C>)?;
        let words = package.serialize().map_err(failed::<C>)?;
        Ok(Move::Say(Self { phase: Phase::Committed(secret), ..self }, Said::Echoed(words)))
    }

    fn hear(mut self, heard: Heard) -> Result<Move<Self>, EngineFailure> {
        match std::mem::replace(&mut self.phase, Phase::Before) {
            Phase::Before => Err(EngineFailure::internal("heard before it began")),
            Phase::Committed(secret) => self.share(secret, heard),
            Phase::Shared(secret, packages) => {
                self.finish(&secret, &packages, heard).map(Move::Make)
            }
        }
    }
}
