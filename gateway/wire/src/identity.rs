//! A party's long-lived Ed25519 key.

use crate::ids::PartyId;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use getrandom::SysRng;
use rand_core::UnwrapErr;
use std::fmt;
use zeroize::Zeroizing;

/// A signature that is not the named party's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature is not the party's")]
pub struct InvalidSignature;

/// A party's signing key. The key material zeroizes on drop and is never formatted.
#[derive(Clone)]
pub struct Identity(SigningKey);

impl Identity {
    /// Makes a new identity from the operating system's randomness.
    ///
    /// # Panics
    /// If the operating system gives no randomness: nothing can be done safely then.
    pub fn generate() -> Self {
        Self(SigningKey::generate(&mut UnwrapErr(SysRng)))
    }

    /// Restores an identity from its 32-byte seed (RFC 8032, 5.1.5).
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// The 32-byte seed, to be stored sealed.
    pub fn seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// The public half: the party's id.
    pub fn party(&self) -> PartyId {
        PartyId::new(self.0.verifying_key().to_bytes())
    }

    /// Signs canonical bytes (Ed25519, RFC 8032).
    pub fn sign(&self, bytes: &[u8]) -> [u8; 64] {
        self.0.sign(bytes).to_bytes()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({:?}, secret redacted)", self.party())
    }
}

impl PartyId {
    /// Checks this party's Ed25519 signature over canonical bytes, refusing keys and signatures
    /// that are not in their one strict form.
    ///
    /// # Errors
    /// [`InvalidSignature`] if the signature is not this party's.
    pub fn verify(&self, bytes: &[u8], signature: &[u8; 64]) -> Result<(), InvalidSignature> {
        VerifyingKey::from_bytes(self.as_bytes())
            .and_then(|key| key.verify_strict(bytes, &Signature::from_bytes(signature)))
            .map_err(|_| InvalidSignature)
    }
}
