//! Checks of keys and signatures, for parties and the coordinator alike.

use k256::ecdsa::signature::hazmat::PrehashVerifier;
use k256::ecdsa::{RecoveryId, Signature as BackendSignature, VerifyingKey};
use mpc_wire::{EcdsaSignature, PublicKey, Scheme, Signature};

/// A key or signature that is not what it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The key is not a compressed point of the curve.
    #[error("not a public key of the scheme")]
    PublicKey,
    /// `r` or `s` is zero or not below the group's order.
    #[error("r or s of the signature is out of range")]
    Range,
    /// `s` is in the upper half of the order: the twin that low-s rules out.
    #[error("s of the signature is in the upper half of the order")]
    HighS,
    /// The signature is not one of this key over this digest.
    #[error("the signature does not verify under the key")]
    Signature,
    /// The recovery id leads to another key.
    #[error("the recovery id of the signature does not lead to the key")]
    RecoveryId,
}

/// Checks that a public key is one of the scheme, in its one encoding (for ECDSA over secp256k1
/// the 33 bytes of a compressed point, SEC 1, 2.3.3).
///
/// # Errors
/// [`VerifyError::PublicKey`] if it is not.
pub fn check_public_key(scheme: Scheme, public_key: &PublicKey) -> Result<(), VerifyError> {
    match scheme {
        Scheme::EcdsaCggmp24 => verifying_key(public_key).map(drop),
    }
}

/// Checks a signature over a digest. An ECDSA signature must verify (SEC 1, 4.1.4), have `s` in
/// the lower half of the order (BIP 146), and its recovery id must lead to the same key.
///
/// # Errors
/// [`VerifyError`] says what is wrong.
pub fn verify_signature(
    scheme: Scheme,
    public_key: &PublicKey,
    digest: &[u8; 32],
    signature: &Signature,
) -> Result<(), VerifyError> {
    match (scheme, signature) {
        (Scheme::EcdsaCggmp24, Signature::Ecdsa(signature)) => {
            verify_ecdsa(&verifying_key(public_key)?, digest, signature)
        }
    }
}

fn verify_ecdsa(
    key: &VerifyingKey,
    digest: &[u8; 32],
    signature: &EcdsaSignature,
) -> Result<(), VerifyError> {
    let backend = backend_signature(signature)?;
    if backend.normalize_s().is_some() {
        return Err(VerifyError::HighS);
    }
    key.verify_prehash(digest, &backend).map_err(|_| VerifyError::Signature)?;
    let recovered = RecoveryId::from_byte(signature.recovery_id)
        .and_then(|id| VerifyingKey::recover_from_prehash(digest, &backend, id).ok());
    if recovered.as_ref() == Some(key) { Ok(()) } else { Err(VerifyError::RecoveryId) }
}

/// Parses the one encoding of a key: [`VerifyingKey::from_sec1_bytes`] alone would take the
/// uncompressed form too, and one account would have two names.
pub(crate) fn verifying_key(public_key: &PublicKey) -> Result<VerifyingKey, VerifyError> {
    const COMPRESSED_POINT: usize = 33;
    if public_key.as_bytes().len() != COMPRESSED_POINT {
        return Err(VerifyError::PublicKey);
    }
    VerifyingKey::from_sec1_bytes(public_key.as_bytes()).map_err(|_| VerifyError::PublicKey)
}

/// The library's form of a signature.
pub(crate) fn backend_signature(
    signature: &EcdsaSignature,
) -> Result<BackendSignature, VerifyError> {
    BackendSignature::from_scalars(signature.r, signature.s).map_err(|_| VerifyError::Range)
}

#[cfg(test)]
mod tests {
    use super::*;
    use k256::ecdsa::SigningKey;

    const DIGEST: [u8; 32] = [0x5a; 32];

    fn signed() -> (PublicKey, EcdsaSignature) {
        let key = SigningKey::from_slice(&[7; 32]).unwrap();
        let (signature, id) = key.sign_prehash_recoverable(&DIGEST).unwrap();
        let (r, s) = signature.split_bytes();
        let public_key = PublicKey::new(key.verifying_key().to_sec1_bytes().to_vec());
        (public_key, EcdsaSignature { r: r.into(), s: s.into(), recovery_id: id.to_byte() })
    }

    fn verify(
        key: &PublicKey,
        digest: &[u8; 32],
        signature: EcdsaSignature,
    ) -> Result<(), VerifyError> {
        verify_signature(Scheme::EcdsaCggmp24, key, digest, &Signature::Ecdsa(signature))
    }

    #[test]
    fn honest_signature_passes() {
        let (key, signature) = signed();
        assert_eq!(verify(&key, &DIGEST, signature), Ok(()));
    }

    #[test]
    fn high_twin_is_refused() {
        let (key, signature) = signed();
        let s = k256::ecdsa::Signature::from_scalars(signature.r, signature.s).unwrap().s();
        let twin = EcdsaSignature {
            s: (-*s.as_ref()).to_bytes().into(),
            recovery_id: signature.recovery_id ^ 1,
            ..signature
        };
        assert_eq!(verify(&key, &DIGEST, twin), Err(VerifyError::HighS));
    }

    #[test]
    fn other_recovery_ids_are_refused() {
        let (key, signature) = signed();
        for recovery_id in (0..=u8::MAX).filter(|id| *id != signature.recovery_id) {
            let wrong = EcdsaSignature { recovery_id, ..signature };
            assert_eq!(verify(&key, &DIGEST, wrong), Err(VerifyError::RecoveryId));
        }
    }

    #[test]
    fn other_digest_key_and_scalars_are_refused() {
        let (key, signature) = signed();
        assert_eq!(verify(&key, &[1; 32], signature), Err(VerifyError::Signature));
        let other = SigningKey::from_slice(&[8; 32]).unwrap();
        let other = PublicKey::new(other.verifying_key().to_sec1_bytes().to_vec());
        assert_eq!(verify(&other, &DIGEST, signature), Err(VerifyError::Signature));
        for zero in [
            EcdsaSignature { r: [0; 32], ..signature },
            EcdsaSignature { s: [0; 32], ..signature },
            EcdsaSignature { s: [0xff; 32], ..signature },
        ] {
            assert_eq!(verify(&key, &DIGEST, zero), Err(VerifyError::Range));
        }
    }

    #[test]
    fn only_compressed_points_of_the_curve_are_keys() {
        let (key, _) = signed();
        assert_eq!(check_public_key(Scheme::EcdsaCggmp24, &key), Ok(()));
        let full = verifying_key(&key).unwrap().to_encoded_point(false);
        let mut off_curve = [0xff; 33];
        off_curve[0] = 2;
        for bad in [full.as_bytes(), &off_curve, &[0; 33], &[0], &[]] {
            assert_eq!(
                check_public_key(Scheme::EcdsaCggmp24, &PublicKey::new(bad)),
                Err(VerifyError::PublicKey)
            );
        }
    }
}
