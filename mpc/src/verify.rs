//! A check of signatures by libsecp256k1, which had no part in making them.

use mpc_wire::PublicKey;
use secp256k1::Message;
use secp256k1::ecdsa::{RecoverableSignature, RecoveryId};

/// Why a signature is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum VerifyError {
    #[error("the public key is no point of the curve")]
    PublicKey,
    #[error("the signature has not the form of one")]
    Form,
    #[error("the signature does not verify under the public key")]
    Signature,
    #[error("the public key that the signature recovers to is another one")]
    Recovery,
}

/// Checks that `compact` (64 bytes) is a signature of `digest` under `public_key`, with `s` in
/// the lower half, and recovers to it by `recovery_id`.
pub(crate) fn verify(
    public_key: &PublicKey,
    digest: [u8; 32],
    compact: &[u8],
    recovery_id: u8,
) -> Result<(), VerifyError> {
    let key = secp256k1::PublicKey::from_slice(public_key.as_bytes())
        .map_err(|_| VerifyError::PublicKey)?;
    let message = Message::from_digest(digest);
    let recovery_id =
        RecoveryId::try_from(i32::from(recovery_id)).map_err(|_| VerifyError::Form)?;
    let signature =
        RecoverableSignature::from_compact(compact, recovery_id).map_err(|_| VerifyError::Form)?;
    signature.to_standard().verify(message, &key).map_err(|_| VerifyError::Signature)?;
    match signature.recover(message) {
        Ok(recovered) if recovered == key => Ok(()),
        Ok(_) | Err(_) => Err(VerifyError::Recovery),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A signature of RFC 6979's kind over secp256k1: key 1, SHA-256 of "Satoshi Nakamoto".
    fn known() -> (PublicKey, [u8; 32], [u8; 64]) {
        let mut digest = [0; 32];
        let mut compact = [0; 64];
        let key = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
        hex::decode_to_slice(
            "a0dc65ffca799873cbea0ac274015b9526505daaaed385155425f7337704883e",
            &mut digest,
        )
        .unwrap();
        hex::decode_to_slice(
            "934b1ea10a4b3c1757e2b0c017d0b6143ce3c9a7e6a4a49860d7a6ab210ee3d8\
             2442ce9d2b916064108014783e923ec36b49743e2ffa1c4496f01a512aafd9e5",
            &mut compact,
        )
        .unwrap();
        (PublicKey::new(hex::decode(key).unwrap()), digest, compact)
    }

    #[test]
    fn a_known_signature_verifies_and_recovers_by_one_id_only() {
        let (key, digest, compact) = known();
        let good: Vec<u8> =
            (0..=5).filter(|id| verify(&key, digest, &compact, *id).is_ok()).collect();
        assert_eq!(good.len(), 1);
        assert_eq!(verify(&key, digest, &compact, 1 - good[0]), Err(VerifyError::Recovery));
    }

    #[test]
    fn anything_else_is_refused() {
        let (key, digest, compact) = known();
        let mut other = digest;
        other[0] ^= 1;
        assert_eq!(verify(&key, other, &compact, 0), Err(VerifyError::Signature));
        assert_eq!(verify(&key, digest, &compact[..63], 0), Err(VerifyError::Form));
        assert_eq!(verify(&key, digest, &[0xff; 64], 0), Err(VerifyError::Form));
        assert_eq!(
            verify(&PublicKey::new([2; 3]), digest, &compact, 0),
            Err(VerifyError::PublicKey)
        );
    }
}
