//! Who may ask, and how that is checked.

use super::span::Moment;
use ed25519_dalek::Signature as Ed25519Signature;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePublicKey, EncodePublicKey};
use mpc_wire::{AccountId, RequesterName, UnixMillis};
use p256::ecdsa::Signature as P256Signature;
use p256::ecdsa::signature::Verifier;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;

/// A requester, by one of its keys. Several entries may share a name: keys then overlap while they
/// are changed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requester {
    /// The name that requests give.
    pub name: RequesterName,
    /// The key.
    pub public_key: RequesterKey,
    /// The key counts from then on.
    #[serde(default)]
    pub not_before: Option<Moment>,
    /// The key counts until then.
    #[serde(default)]
    pub expires_at: Option<Moment>,
    /// The accounts that the requester may sign with; without the field, all.
    #[serde(default)]
    pub accounts: Option<BTreeSet<AccountId>>,
}

impl Requester {
    /// Whether the key counts at that time.
    pub(crate) fn is_valid_at(&self, now: UnixMillis) -> bool {
        self.not_before.is_none_or(|from| from.at() <= now)
            && self.expires_at.is_none_or(|to| now < to.at())
    }

    /// Whether the requester may sign with the account.
    pub(crate) fn may_use(&self, account: AccountId) -> bool {
        self.accounts.as_ref().is_none_or(|accounts| accounts.contains(&account))
    }
}

/// A requester's public key: PEM of a SubjectPublicKeyInfo (RFC 5280) that holds an Ed25519 key
/// (RFC 8410) or one on P-256 (RFC 5480). The key says which algorithm its signatures have.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum RequesterKey {
    /// Signs by Ed25519 (RFC 8032).
    Ed25519(ed25519_dalek::VerifyingKey),
    /// Signs by ECDSA with SHA-256, as `r ‖ s`.
    P256(p256::ecdsa::VerifyingKey),
}

/// A text that is no key, or not one of the kinds that can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a public key: give PEM (BEGIN PUBLIC KEY) of an Ed25519 or P-256 key, as \
     `openssl pkey -pubout` prints it"
)]
pub struct NotAKey;

impl RequesterKey {
    /// Whether the signature is this key's, over these bytes.
    pub(crate) fn is_signed(&self, bytes: &[u8], signature: &[u8; 64]) -> bool {
        match self {
            // Strict: one signature has one form, and keys of small order have none.
            Self::Ed25519(key) => {
                key.verify_strict(bytes, &Ed25519Signature::from_bytes(signature)).is_ok()
            }
            Self::P256(key) => P256Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(bytes, &signature).is_ok()),
        }
    }

    /// The key as PEM.
    pub fn to_pem(&self) -> String {
        let pem = match self {
            Self::Ed25519(key) => key.to_public_key_pem(LineEnding::LF),
            Self::P256(key) => key.to_public_key_pem(LineEnding::LF),
        };
        // A key that was read or made has an encoding.
        pem.unwrap_or_default()
    }
}

impl TryFrom<String> for RequesterKey {
    type Error = NotAKey;

    fn try_from(pem: String) -> Result<Self, NotAKey> {
        let pem = pem.trim();
        if let Ok(key) = ed25519_dalek::VerifyingKey::from_public_key_pem(pem) {
            // A key of small order would take a signature over anything.
            return if key.is_weak() { Err(NotAKey) } else { Ok(Self::Ed25519(key)) };
        }
        p256::ecdsa::VerifyingKey::from_public_key_pem(pem).map(Self::P256).map_err(|_| NotAKey)
    }
}

impl From<RequesterKey> for String {
    fn from(key: RequesterKey) -> Self {
        key.to_pem()
    }
}

impl fmt::Debug for RequesterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ed25519(_) => "RequesterKey(Ed25519)",
            Self::P256(_) => "RequesterKey(P-256)",
        })
    }
}
