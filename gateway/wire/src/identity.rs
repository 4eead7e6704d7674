//! A party's long-lived identity: its name and the Ed25519 key that it signs with.

use crate::canonical::Canonical;
use crate::ids::{PartyId, PartyKey};
use crate::limits::MAX_KEY_ROTATIONS;
use crate::signature::{
    PartySignature, ProvenKey, Rotation, RotationStatement, decode_rotations, encode_rotations,
};
use ed25519_dalek::{Signer, SigningKey};
use getrandom::SysRng;
use rand_core::UnwrapErr;
use std::fmt;
use zeroize::Zeroizing;

pub use crate::signature::InvalidSignature;

/// A party's signing key, with the rotations that led to it. The key material zeroizes on drop and
/// is never formatted.
#[derive(Clone)]
pub struct Identity {
    party: PartyId,
    key: SigningKey,
    rotations: Vec<Rotation>,
}

/// A stored identity whose parts do not belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the key is not the one that the party's rotations lead to")]
pub struct NotItsKey;

/// A key that was rotated as often as can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the party's key was rotated {MAX_KEY_ROTATIONS} times: replace the party by a new one")]
pub struct RotatedTooOften;

impl Identity {
    /// Makes a new identity from the operating system's randomness.
    ///
    /// # Panics
    /// If the operating system gives no randomness: nothing can be done safely then.
    pub fn generate() -> Self {
        Self::founded(fresh_key())
    }

    /// The identity whose founding key has this 32-byte seed (RFC 8032, 5.1.5).
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self::founded(SigningKey::from_bytes(seed))
    }

    fn founded(key: SigningKey) -> Self {
        let party = PartyId::new(key.verifying_key().to_bytes());
        Self { party, key, rotations: Vec::new() }
    }

    /// Restores an identity from its name, its newest seed and its [`Self::rotations`].
    ///
    /// # Errors
    /// [`NotItsKey`] if the rotations do not lead from the name to the seed's key.
    pub fn restore(party: PartyId, seed: &[u8; 32], rotations: &[u8]) -> Result<Self, NotItsKey> {
        let rotations = decode_rotations(rotations).map_err(|_| NotItsKey)?;
        let newest = party.newest_key(&rotations).map_err(|_| NotItsKey)?;
        let identity = Self { party, key: SigningKey::from_bytes(seed), rotations };
        if identity.public_key() == newest.key { Ok(identity) } else { Err(NotItsKey) }
    }

    /// The same party with a new key, which the present one vouches for.
    ///
    /// # Errors
    /// [`RotatedTooOften`] if the party has no rotation left.
    ///
    /// # Panics
    /// If the operating system gives no randomness: nothing can be done safely then.
    pub fn rotate(&self) -> Result<Self, RotatedTooOften> {
        if self.rotations.len() >= MAX_KEY_ROTATIONS {
            return Err(RotatedTooOften);
        }
        let key = fresh_key();
        let public = PartyKey::new(key.verifying_key().to_bytes());
        let present = self.proven_key();
        let statement = RotationStatement {
            party: self.party,
            number: present.number.next(),
            before: present.key,
            key: public,
        };
        let signature = self.key.sign(&statement.canonical_bytes()).to_bytes();
        let mut rotations = self.rotations.clone();
        rotations.push(Rotation { key: public, signature });
        Ok(Self { party: self.party, key, rotations })
    }

    /// The newest key's 32-byte seed, to be stored sealed.
    pub fn seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.key.to_bytes())
    }

    /// The rotations of the key, to be stored beside the seed; empty for a founding key.
    pub fn rotations(&self) -> Vec<u8> {
        encode_rotations(&self.rotations)
    }

    /// The party's name.
    pub fn party(&self) -> PartyId {
        self.party
    }

    /// The public half of the newest key, and its number.
    pub fn proven_key(&self) -> ProvenKey {
        // At most MAX_KEY_ROTATIONS: the cast cannot truncate.
        let number = crate::ids::KeyNumber(self.rotations.len() as u32);
        ProvenKey { number, key: self.public_key() }
    }

    fn public_key(&self) -> PartyKey {
        PartyKey::new(self.key.verifying_key().to_bytes())
    }

    /// Signs canonical bytes (Ed25519, RFC 8032).
    pub fn sign(&self, bytes: &[u8]) -> PartySignature {
        PartySignature {
            rotations: self.rotations.clone(),
            signature: self.key.sign(bytes).to_bytes(),
        }
    }
}

fn fresh_key() -> SigningKey {
    SigningKey::generate(&mut UnwrapErr(SysRng))
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({:?}, secret redacted)", self.party)
    }
}
