//! The signature schemes that an account can have.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A threshold signature scheme. The number at each variant is its tag in canonical bytes.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum Scheme {
    /// 1: ECDSA over secp256k1 by CGGMP'24 (synedrion).
    #[default]
    #[serde(rename = "ecdsa-cggmp24")]
    EcdsaCggmp24,
    /// 3: EdDSA over Ed25519 (RFC 8032) by FROST (RFC 9591).
    #[serde(rename = "eddsa-frost-ed25519")]
    EddsaFrostEd25519,
    /// 4: Schnorr over secp256k1 (BIP 340), tweaked for Taproot's key path (BIP 341), by FROST.
    #[serde(rename = "schnorr-frost-secp256k1-tr")]
    SchnorrFrostSecp256k1Tr,
}

impl Scheme {
    /// Every scheme, in the order of its canonical tag.
    pub const ALL: &[Self] =
        &[Self::EcdsaCggmp24, Self::EddsaFrostEd25519, Self::SchnorrFrostSecp256k1Tr];

    /// The scheme's name in texts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::EcdsaCggmp24 => "ecdsa-cggmp24",
            Self::EddsaFrostEd25519 => "eddsa-frost-ed25519",
            Self::SchnorrFrostSecp256k1Tr => "schnorr-frost-secp256k1-tr",
        }
    }

    /// Whether its sessions use an aux set.
    pub const fn needs_aux(self) -> bool {
        match self {
            Self::EcdsaCggmp24 => true,
            Self::EddsaFrostEd25519 | Self::SchnorrFrostSecp256k1Tr => false,
        }
    }

    /// Whether it signs bytes of any length as they are; the others sign a digest of 32 bytes.
    pub const fn signs_bytes(self) -> bool {
        match self {
            Self::EddsaFrostEd25519 => true,
            Self::EcdsaCggmp24 | Self::SchnorrFrostSecp256k1Tr => false,
        }
    }

    /// The scheme's tag in canonical bytes.
    pub(crate) const fn tag(self) -> u8 {
        match self {
            Self::EcdsaCggmp24 => 1,
            Self::EddsaFrostEd25519 => 3,
            Self::SchnorrFrostSecp256k1Tr => 4,
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that no scheme has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown scheme; known are: {}", Scheme::ALL.iter().map(|s| s.name()).collect::<Vec<_>>().join(", "))]
pub struct UnknownScheme;

impl FromStr for Scheme {
    type Err = UnknownScheme;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.iter().copied().find(|scheme| scheme.name() == text).ok_or(UnknownScheme)
    }
}
