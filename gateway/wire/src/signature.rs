//! What a party signs with its identity, and how its key is rotated.
//!
//! A party's name is the key that it was founded with. Each rotation is a statement, signed with the
//! key before, that names the next key. A signature carries all rotations that lead to the key it
//! was made with, so that it can be checked with nothing but the party's name. Whether a key is
//! still the newest is for the verifier to remember: [`ProvenKey`] says which one it was.

use crate::canonical::{Canonical, CanonicalWriter};
use crate::ids::{KeyNumber, PartyId, PartyKey};
use crate::limits::MAX_KEY_ROTATIONS;
use ed25519_dalek::{Signature as Ed25519Signature, VerifyingKey};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Length of an Ed25519 signature (RFC 8032).
const SIGNATURE_LEN: usize = 64;

/// Length of a rotation: the new key and a signature.
const ROTATION_LEN: usize = 32 + SIGNATURE_LEN;

/// A signature that is not the named party's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature is not the party's")]
pub struct InvalidSignature;

/// Bytes that have not the form of a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a signature of a party: 64 bytes, after 96 for each rotation of its key")]
pub struct MalformedSignature;

/// One change of a party's key. The signature, by the key before, is over the canonical bytes
/// (domain `mpc.v1/key-rotation`): party, number of the new key, key before, new key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Rotation {
    pub(crate) key: PartyKey,
    pub(crate) signature: [u8; SIGNATURE_LEN],
}

pub(crate) struct RotationStatement {
    pub(crate) party: PartyId,
    pub(crate) number: KeyNumber,
    pub(crate) before: PartyKey,
    pub(crate) key: PartyKey,
}

impl Canonical for RotationStatement {
    const DOMAIN: &'static str = "mpc.v1/key-rotation";

    fn write_fields(&self, out: &mut CanonicalWriter) {
        out.fixed(self.party.as_bytes())
            .u32(self.number.0)
            .fixed(self.before.as_bytes())
            .fixed(self.key.as_bytes());
    }
}

/// A party's signature: the rotations of its key, oldest first, then an Ed25519 signature by the
/// last key. As bytes: for each rotation the new key (32) and the signature of the one before (64),
/// then the signature (64).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PartySignature {
    pub(crate) rotations: Vec<Rotation>,
    pub(crate) signature: [u8; SIGNATURE_LEN],
}

impl PartySignature {
    /// The bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = encode_rotations(&self.rotations);
        bytes.extend_from_slice(&self.signature);
        bytes
    }

    /// Reads the bytes.
    ///
    /// # Errors
    /// [`MalformedSignature`] if their length is none that a signature has.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, MalformedSignature> {
        let (rotations, signature) =
            bytes.split_last_chunk::<SIGNATURE_LEN>().ok_or(MalformedSignature)?;
        let rotations = decode_rotations(rotations)?;
        Ok(Self { rotations, signature: *signature })
    }

    /// Whether the rotations lead over `known`, a key that was seen of the party before. Numbers
    /// alone would not do: who stole a key that was rotated away since could rotate it as often as
    /// he likes, but never over the key that replaced it. Ask it of a signature that
    /// [`PartyId::verify`] has accepted.
    pub fn descends_from(&self, party: PartyId, known: ProvenKey) -> bool {
        match known.number.0.checked_sub(1) {
            None => known == ProvenKey::founding(party),
            Some(before) => usize::try_from(before)
                .ok()
                .and_then(|index| self.rotations.get(index))
                .is_some_and(|rotation| rotation.key == known.key),
        }
    }

    /// Whether the rotations end at `key`, so that the signature is by it and by no other of the
    /// party's keys, if it is one. [`PartyId::verify`] says whether it is.
    pub fn is_by(&self, party: PartyId, key: ProvenKey) -> bool {
        let newest = self.rotations.last().map_or(ProvenKey::founding(party).key, |last| last.key);
        usize::try_from(key.number.0) == Ok(self.rotations.len()) && newest == key.key
    }
}

pub(crate) fn encode_rotations(rotations: &[Rotation]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(rotations.len() * ROTATION_LEN + SIGNATURE_LEN);
    for Rotation { key, signature } in rotations {
        bytes.extend_from_slice(key.as_bytes());
        bytes.extend_from_slice(signature);
    }
    bytes
}

pub(crate) fn decode_rotations(bytes: &[u8]) -> Result<Vec<Rotation>, MalformedSignature> {
    let (chunks, []) = bytes.as_chunks::<ROTATION_LEN>() else { return Err(MalformedSignature) };
    if chunks.len() > MAX_KEY_ROTATIONS {
        return Err(MalformedSignature);
    }
    let rotation = |chunk: &[u8; ROTATION_LEN]| {
        let (key, signature) = chunk.split_first_chunk::<32>()?;
        Some(Rotation { key: PartyKey::new(*key), signature: signature.try_into().ok()? })
    };
    chunks.iter().map(|chunk| rotation(chunk).ok_or(MalformedSignature)).collect()
}

impl From<[u8; SIGNATURE_LEN]> for PartySignature {
    /// A signature by the founding key.
    fn from(signature: [u8; SIGNATURE_LEN]) -> Self {
        Self { rotations: Vec::new(), signature }
    }
}

impl fmt::Debug for PartySignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PartySignature(key {}, …)", self.rotations.len())
    }
}

impl Serialize for PartySignature {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.to_bytes())
    }
}

impl<'de> Deserialize<'de> for PartySignature {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = serde_bytes::ByteBuf::deserialize(deserializer)?;
        Self::from_bytes(&bytes).map_err(serde::de::Error::custom)
    }
}

/// A key that has proven to be the party's: its founding key, or one that rotations lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProvenKey {
    /// How many rotations led to it.
    pub number: KeyNumber,
    /// The key.
    pub key: PartyKey,
}

impl ProvenKey {
    /// The key that a party is founded with.
    pub const fn founding(party: PartyId) -> Self {
        Self { number: KeyNumber(0), key: PartyKey::new(*party.as_bytes()) }
    }
}

impl PartyId {
    /// Checks this party's signature over canonical bytes, refusing keys and signatures that are
    /// not in their one strict form. Says which of the party's keys made it.
    ///
    /// # Errors
    /// [`InvalidSignature`] if the signature is not this party's.
    pub fn verify(
        &self,
        bytes: &[u8],
        signature: &PartySignature,
    ) -> Result<ProvenKey, InvalidSignature> {
        let proven = self.newest_key(&signature.rotations)?;
        verify(&proven.key, bytes, &signature.signature)?;
        Ok(proven)
    }

    /// The key that the rotations lead to.
    pub(crate) fn newest_key(&self, rotations: &[Rotation]) -> Result<ProvenKey, InvalidSignature> {
        rotations.iter().try_fold(ProvenKey::founding(*self), |before, rotation| {
            let statement = RotationStatement {
                party: *self,
                number: before.number.next(),
                before: before.key,
                key: rotation.key,
            };
            verify(&before.key, &statement.canonical_bytes(), &rotation.signature)?;
            Ok(ProvenKey { number: statement.number, key: rotation.key })
        })
    }

    /// Whether the id is the one encoding of a usable Ed25519 key: to be asked before it is
    /// enrolled, so that no identity can appear under two names.
    pub fn is_canonical(&self) -> bool {
        VerifyingKey::from_bytes(self.as_bytes())
            .is_ok_and(|key| !key.is_weak() && key.to_edwards().compress().0 == *self.as_bytes())
    }
}

fn verify(
    key: &PartyKey,
    bytes: &[u8],
    signature: &[u8; SIGNATURE_LEN],
) -> Result<(), InvalidSignature> {
    VerifyingKey::from_bytes(key.as_bytes())
        .and_then(|key| key.verify_strict(bytes, &Ed25519Signature::from_bytes(signature)))
        .map_err(|_| InvalidSignature)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Identity;

    fn accepts(signed: &Identity, known: ProvenKey) -> bool {
        let signature = signed.sign(b"text");
        let proven = signed.party().verify(b"text", &signature).unwrap();
        assert_eq!(proven, signed.proven_key());
        signature.descends_from(signed.party(), known)
    }

    #[test]
    fn a_key_descends_from_every_key_before_it_and_from_no_other() {
        let first = Identity::generate();
        let second = first.rotate().unwrap();
        let third = second.rotate().unwrap();
        for (newer, older) in
            [(&first, &first), (&second, &first), (&third, &first), (&third, &second)]
        {
            assert!(accepts(newer, older.proven_key()));
        }
        assert!(accepts(&third, third.proven_key()));
        for (older, newer) in [(&first, &second), (&first, &third), (&second, &third)] {
            assert!(!accepts(older, newer.proven_key()));
        }
        assert!(!accepts(&first, Identity::generate().proven_key()));
    }

    #[test]
    fn a_signature_is_by_the_last_of_its_keys_alone() {
        let first = Identity::generate();
        let second = first.rotate().unwrap();
        let fork = first.rotate().unwrap();
        let keys = [&first, &second, &fork];
        for (signer, signed) in keys.iter().enumerate() {
            for (other, key) in keys.iter().enumerate() {
                let signature = signed.sign(b"text");
                assert_eq!(signature.is_by(first.party(), key.proven_key()), signer == other);
            }
        }
    }

    #[test]
    fn a_stolen_older_key_cannot_outnumber_the_newer_one() {
        let stolen = Identity::generate();
        let rightful = stolen.rotate().unwrap();
        let mut forked = stolen.rotate().unwrap();
        for _ in 0..3 {
            assert!(!accepts(&forked, rightful.proven_key()));
            forked = forked.rotate().unwrap();
        }
        assert!(forked.proven_key().number > rightful.proven_key().number);
    }
}
