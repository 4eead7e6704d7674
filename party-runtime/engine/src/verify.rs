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
    /// The signature is another scheme's.
    #[error("the signature is another scheme's")]
    Scheme,
    /// The recovery id leads to another key.
    #[error("the recovery id of the signature does not lead to the key")]
    RecoveryId,
}

/// Checks that a public key is one of the scheme, in its one encoding (for ECDSA over secp256k1
/// the 33 bytes of a compressed point, SEC 1, 2.3.3; for Ed25519 those of RFC 8032; for BIP 340 the 32
/// of x).
///
/// # Errors
/// [`VerifyError::PublicKey`] if it is not.
pub fn check_public_key(scheme: Scheme, public_key: &PublicKey) -> Result<(), VerifyError> {
    match scheme {
        Scheme::EcdsaCggmp24 => verifying_key(public_key).map(drop),
        Scheme::EddsaFrostEd25519 => ed25519_key(public_key).map(drop),
        Scheme::SchnorrFrostSecp256k1Tr => schnorr_key(public_key).map(drop),
    }
}

/// Checks that a public share is one of the scheme: a point in the encoding of the group, which for BIP
/// 340 is not that of keys but the compressed point.
///
/// # Errors
/// [`VerifyError::PublicKey`] if it is not.
pub fn check_public_share(scheme: Scheme, share: &PublicKey) -> Result<(), VerifyError> {
    match scheme {
        Scheme::EcdsaCggmp24 | Scheme::SchnorrFrostSecp256k1Tr => verifying_key(share).map(drop),
        Scheme::EddsaFrostEd25519 => ed25519_key(share).map(drop),
    }
}

/// Checks a signature over what the scheme signs: a digest of 32 bytes, or bytes as they are. An ECDSA signature must verify (SEC 1, 4.1.4), have `s` in
/// the lower half of the order (BIP 146), and its recovery id must lead to the same key.
///
/// # Errors
/// [`VerifyError`] says what is wrong.
pub fn verify_signature(
    scheme: Scheme,
    public_key: &PublicKey,
    message: &[u8],
    signature: &Signature,
) -> Result<(), VerifyError> {
    match (scheme, signature) {
        (Scheme::EcdsaCggmp24, Signature::Ecdsa(signature)) => {
            let digest = message.try_into().map_err(|_| VerifyError::Signature)?;
            verify_ecdsa(&verifying_key(public_key)?, digest, signature)
        }
        (Scheme::EddsaFrostEd25519, Signature::Eddsa(signature)) => {
            let signature = ed25519_dalek::Signature::from_bytes(signature);
            let verified = ed25519_key(public_key)?.verify_strict(message, &signature);
            verified.map_err(|_| VerifyError::Signature)
        }
        (Scheme::SchnorrFrostSecp256k1Tr, Signature::Schnorr(signature)) => {
            let signature = k256::schnorr::Signature::try_from(&signature[..]);
            let signature = signature.map_err(|_| VerifyError::Range)?;
            let verified = schnorr_key(public_key)?.verify_raw(message, &signature);
            verified.map_err(|_| VerifyError::Signature)
        }
        (
            Scheme::EcdsaCggmp24 | Scheme::EddsaFrostEd25519 | Scheme::SchnorrFrostSecp256k1Tr,
            Signature::Ecdsa(_) | Signature::Eddsa(_) | Signature::Schnorr(_),
        ) => Err(VerifyError::Scheme),
    }
}

/// The 32 bytes of RFC 8032 in their one form, of a key that is not of small order.
fn ed25519_key(key: &PublicKey) -> Result<ed25519_dalek::VerifyingKey, VerifyError> {
    let bytes = key.as_bytes().try_into().map_err(|_| VerifyError::PublicKey)?;
    let key = ed25519_dalek::VerifyingKey::from_bytes(bytes).ok();
    // The library reads a y that is not reduced, too, and one account would have two names.
    let is_canonical = |key: &ed25519_dalek::VerifyingKey| {
        key.to_edwards().compress().as_bytes() == bytes && !key.is_weak()
    };
    key.filter(is_canonical).ok_or(VerifyError::PublicKey)
}

/// The 32 bytes of x (BIP 340).
fn schnorr_key(key: &PublicKey) -> Result<k256::schnorr::VerifyingKey, VerifyError> {
    // Of another length the library would panic.
    let bytes: [u8; 32] = key.as_bytes().try_into().map_err(|_| VerifyError::PublicKey)?;
    k256::schnorr::VerifyingKey::from_bytes(&bytes).map_err(|_| VerifyError::PublicKey)
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

    #[test]
    fn keys_and_shares_of_other_lengths_are_refused() {
        for length in 0..70 {
            for scheme in Scheme::ALL {
                // No curve has these bytes for a point.
                let strange = PublicKey::new(vec![0xff; length]);
                assert_eq!(check_public_key(*scheme, &strange), Err(VerifyError::PublicKey));
                assert_eq!(check_public_share(*scheme, &strange), Err(VerifyError::PublicKey));
            }
        }
    }

    /// BIP 340's test vectors 0 and 6 (https://github.com/bitcoin/bips/blob/master/bip-0340), the
    /// second of which must fail; and RFC 8032's test 2 of section 7.1.
    #[test]
    fn published_signatures() {
        let hex = |text: &str| hex::decode(text).unwrap();
        let verify = |scheme, key: &str, message: &str, signature| {
            verify_signature(scheme, &PublicKey::new(hex(key)), &hex(message), &signature)
        };
        let bytes = |text: &str| <[u8; 64]>::try_from(hex(text)).unwrap();
        let schnorr = Scheme::SchnorrFrostSecp256k1Tr;
        let good = verify(
            schnorr,
            "f9308a019258c31049344f85f89d5229b531c845836f99b08601f113bce036f9",
            &"00".repeat(32),
            Signature::Schnorr(bytes(
                "e907831f80848d1069a5371b402410364bdf1c5f8307b0084c55f1ce2dca8215\
                 25f66a4a85ea8b71e482a74f382d2ce5ebeee8fdb2172f477df4900d310536c0",
            )),
        );
        assert_eq!(good, Ok(()));
        let bad = verify(
            schnorr,
            "dff1d77f2a671c5f36183726db2341be58feae1da2deced843240f7b502ba659",
            "243f6a8885a308d313198a2e03707344a4093822299f31d0082efa98ec4e6c89",
            Signature::Schnorr(bytes(
                "fff97bd5755eeea420453a14355235d382f6472f8568a18b2f057a1460297556\
                 3cc27944640ac607cd107ae10923d9ef7a73c643e166be5ebeafa34b1ac553e2",
            )),
        );
        assert!(bad.is_err());
        let ed25519 = verify(
            Scheme::EddsaFrostEd25519,
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            Signature::Eddsa(bytes(
                "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
                 085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
            )),
        );
        assert_eq!(ed25519, Ok(()));
        let key = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
        let swapped = verify(Scheme::EddsaFrostEd25519, key, "72", Signature::Schnorr([1; 64]));
        assert_eq!(swapped, Err(VerifyError::Scheme));
    }
}
