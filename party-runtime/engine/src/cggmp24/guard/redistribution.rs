//! Wong, Wang and Wing's verifiable secret redistribution, as far as the library leaves it to others:
//! what an old holder redistributes is its own share, by a polynomial of the new degree, and the
//! sub-share that it sends is that polynomial's.

use super::Contents;
use crate::failure::EngineFailure;
use crate::verify::verifying_key;
use k256::elliptic_curve::PrimeField;
use k256::{ProjectivePoint, Scalar};
use mpc_wire::{PartyId, PublicKey};
use serde::Deserialize;
use serde_bytes::ByteArray;
use std::collections::{BTreeMap, BTreeSet};
use zeroize::Zeroizing;

/// What is known of the old holders before they redistribute.
#[derive(Debug)]
pub(crate) struct Redistribution {
    /// Of the new key shares, and so the length of the polynomials.
    threshold: usize,
    /// The old holders' share ids and public shares.
    holders: BTreeMap<PartyId, (u64, PublicKey)>,
    /// This party's new share id, where it is to have a share.
    own_id: u64,
}

#[derive(Deserialize)]
struct Broadcast {
    public_polynomial: Vec<ByteArray<33>>,
    old_share_id: ByteArray<32>,
}

#[derive(Deserialize)]
struct Direct {
    subshare: ByteArray<32>,
}

impl Redistribution {
    /// A redistribution by the holders of these shares, all of the key's, among `members`, to whom
    /// `me` belongs. Ids are the positions of the sorted parties, from 1.
    pub(crate) fn of(
        threshold: usize,
        old_shares: BTreeMap<PartyId, PublicKey>,
        me: PartyId,
        members: &BTreeSet<PartyId>,
    ) -> Result<Self, EngineFailure> {
        let holders = old_shares.into_iter().zip(1_u64..);
        let holders = holders.map(|((holder, share), id)| (holder, (id, share))).collect();
        let own = members.iter().zip(1_u64..).find(|(member, _)| **member == me);
        let (_, own_id) =
            own.ok_or_else(|| EngineFailure::internal("this party is to have no share"))?;
        Ok(Self { threshold, holders, own_id })
    }

    pub(super) fn threshold(&self) -> usize {
        self.threshold
    }

    /// Checks what an old holder says, whose shape is right.
    pub(super) fn check(&self, from: PartyId, contents: Contents<'_>) -> Result<(), String> {
        let Some((id, share)) = self.holders.get(&from) else {
            return Err("it is of a party that has nothing to redistribute".to_owned());
        };
        let undecodable = |_| "it could not be decoded".to_owned();
        let broadcast: Broadcast =
            rmp_serde::from_slice(contents.echo.unwrap_or_default()).map_err(undecodable)?;
        if scalar(&broadcast.old_share_id) != Some(Scalar::from(*id)) {
            return Err("old_share_id: not that of its sender".to_owned());
        }
        let polynomial: Option<Vec<_>> =
            broadcast.public_polynomial.iter().map(|term| point(&**term)).collect();
        let polynomial = polynomial.ok_or("public_polynomial: no points of the curve")?;
        if polynomial.first() != point(share.as_bytes()).as_ref() {
            return Err("public_polynomial: not of the share that its sender has".to_owned());
        }
        let direct: Direct =
            rmp_serde::from_slice(contents.direct.unwrap_or_default()).map_err(undecodable)?;
        let subshare = Zeroizing::new(direct.subshare.into_array());
        let subshare = Zeroizing::new(scalar(&subshare).ok_or("subshare: no scalar")?);
        let at = Scalar::from(self.own_id);
        let expected =
            polynomial.iter().rev().fold(ProjectivePoint::IDENTITY, |sum, term| sum * at + term);
        if ProjectivePoint::GENERATOR * *subshare != expected {
            return Err("subshare: not of the polynomial".to_owned());
        }
        Ok(())
    }
}

fn scalar(bytes: &[u8; 32]) -> Option<Scalar> {
    Option::from(Scalar::from_repr((*bytes).into()))
}

fn point(bytes: &[u8]) -> Option<ProjectivePoint> {
    let key = verifying_key(&PublicKey::new(bytes)).ok()?;
    Some(ProjectivePoint::from(*key.as_affine()))
}
