//! What a new key's founders tell the members who were not there.

use super::stored::members_have_shares_of;
use crate::failure::EngineFailure;
use mpc_wire::codec::{decode, encode};
use mpc_wire::{PartyId, PublicKey};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A new key and the founders' public shares of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Introduction {
    pub(crate) public_key: PublicKey,
    pub(crate) public_shares: BTreeMap<PartyId, PublicKey>,
}

impl Introduction {
    /// The message for a newcomer.
    pub(crate) fn encode(&self) -> Result<Vec<u8>, EngineFailure> {
        encode(self).map_err(|error| EngineFailure::internal(error.to_string()))
    }

    /// Reads `from`'s message and checks that it is consistent in itself: a share for every
    /// founder, all of them needed, and together of the key. CPU-heavy: for jobs.
    pub(crate) fn check(
        from: PartyId,
        founders: &BTreeSet<PartyId>,
        payload: &[u8],
    ) -> Result<Self, EngineFailure> {
        let introduction: Self = decode(payload)
            .map_err(|_| EngineFailure::misbehaved(from, "an introduction cannot be decoded"))?;
        let Self { public_key, public_shares } = &introduction;
        if !members_have_shares_of(founders, public_shares, founders.len(), public_key) {
            return Err(EngineFailure::misbehaved(
                from,
                "the shares of an introduction do not belong to its key",
            ));
        }
        Ok(introduction)
    }

    /// The one introduction that all founders sent.
    pub(crate) fn agreed(heard: impl IntoIterator<Item = Self>) -> Result<Self, EngineFailure> {
        let mut heard = heard.into_iter();
        let first =
            heard.next().ok_or_else(|| EngineFailure::internal("nobody introduced the key"))?;
        if heard.all(|other| other == first) {
            Ok(first)
        } else {
            // At least one founder lies, but each has only its word.
            Err(EngineFailure::misbehaviour(
                BTreeSet::new(),
                "the founders introduce different keys",
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k256::{ProjectivePoint, Scalar};
    use mpc_wire::FailureKind;

    const FROM: PartyId = PartyId::new([9; 32]);

    fn key(scalar: u64) -> PublicKey {
        let point = ProjectivePoint::GENERATOR * Scalar::from(scalar);
        let key = k256::ecdsa::VerifyingKey::from_affine(point.to_affine()).unwrap();
        PublicKey::new(key.to_sec1_bytes().to_vec())
    }

    /// Of the polynomial 5 + 7x.
    fn honest() -> (BTreeSet<PartyId>, Introduction) {
        let founders = [PartyId::new([1; 32]), PartyId::new([2; 32])];
        let public_shares = founders.into_iter().zip([key(12), key(19)]).collect();
        (BTreeSet::from(founders), Introduction { public_key: key(5), public_shares })
    }

    #[test]
    fn honest_introduction_passes() {
        let (founders, honest) = honest();
        let payload = honest.encode().unwrap();
        assert_eq!(Introduction::check(FROM, &founders, &payload), Ok(honest));
    }

    #[test]
    fn inconsistent_introductions_name_their_sender() {
        let (founders, honest) = honest();
        let mut wrong_key = honest.clone();
        wrong_key.public_key = key(6);
        let mut missing = honest.clone();
        missing.public_shares.pop_first();
        let mut stranger = missing.clone();
        stranger.public_shares.insert(PartyId::new([3; 32]), key(12));
        let mut no_point = honest.clone();
        no_point.public_shares.insert(PartyId::new([1; 32]), PublicKey::new([2; 33]));
        for wrong in [wrong_key, missing, stranger, no_point] {
            let failure =
                Introduction::check(FROM, &founders, &wrong.encode().unwrap()).unwrap_err();
            assert_eq!(failure.kind, FailureKind::PeerMisbehaved);
            assert_eq!(failure.guilty, BTreeSet::from([FROM]));
        }
        let mut trailing = honest.encode().unwrap();
        trailing.push(0);
        assert!(Introduction::check(FROM, &founders, &trailing).is_err());
        assert!(Introduction::check(FROM, &founders, b"garbage").is_err());
    }

    #[test]
    fn disagreement_names_nobody() {
        let (_, honest) = honest();
        let other = Introduction { public_key: key(6), ..honest.clone() };
        assert_eq!(Introduction::agreed([honest.clone(), honest.clone()]), Ok(honest.clone()));
        let failure = Introduction::agreed([honest, other]).unwrap_err();
        assert_eq!(failure.kind, FailureKind::PeerMisbehaved);
        assert!(failure.guilty.is_empty());
        assert_eq!(Introduction::agreed([]).unwrap_err().kind, FailureKind::Internal);
    }
}
