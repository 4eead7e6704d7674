//! What differs between the schemes.

use super::failed;
use crate::failure::EngineFailure;
use frost_core::keys::VerifyingShare;
use frost_core::{Ciphersuite, Signature as FrostSignature, VerifyingKey};
use frost_ed25519::Ed25519Sha512;
use frost_secp256k1_tr::Secp256K1Sha256TR;
use mpc_wire::{PublicKey, Scheme, Signature};

/// A ciphersuite, with the forms that keys and signatures have outside.
pub(crate) trait Suite: Ciphersuite + Send + Sync + 'static {
    /// Its scheme.
    const SCHEME: Scheme;

    /// The account's key: what signatures verify under.
    fn key(key: &VerifyingKey<Self>) -> Result<PublicKey, EngineFailure>;

    /// A signature.
    fn signature(bytes: [u8; 64]) -> Signature;
}

impl Suite for Ed25519Sha512 {
    const SCHEME: Scheme = Scheme::EddsaFrostEd25519;

    fn key(key: &VerifyingKey<Self>) -> Result<PublicKey, EngineFailure> {
        key.serialize().map(PublicKey::new).map_err(failed::<Self>)
    }

    fn signature(bytes: [u8; 64]) -> Signature {
        Signature::Eddsa(bytes)
    }
}

impl Suite for Secp256K1Sha256TR {
    const SCHEME: Scheme = Scheme::SchnorrFrostSecp256k1Tr;

    /// The 32 bytes of x (BIP 340).
    fn key(key: &VerifyingKey<Self>) -> Result<PublicKey, EngineFailure> {
        let compressed = key.serialize().map_err(failed::<Self>)?;
        let (_, x) = compressed
            .split_first()
            .ok_or_else(|| EngineFailure::internal("an empty public key"))?;
        Ok(PublicKey::new(x))
    }

    fn signature(bytes: [u8; 64]) -> Signature {
        Signature::Schnorr(bytes)
    }
}

/// A member's public share, in the group's encoding.
pub(super) fn public_share<C: Suite>(
    share: &VerifyingShare<C>,
) -> Result<PublicKey, EngineFailure> {
    share.serialize().map(PublicKey::new).map_err(failed::<C>)
}

/// A signature as it goes out.
pub(super) fn encode<C: Suite>(signature: &FrostSignature<C>) -> Result<Signature, EngineFailure> {
    let bytes = signature.serialize().map_err(failed::<C>)?;
    let bytes = bytes.try_into();
    bytes.map(C::signature).map_err(|_| EngineFailure::internal("a signature of another length"))
}
