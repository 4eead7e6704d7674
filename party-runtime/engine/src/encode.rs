//! The encodings in which the world takes an ECDSA signature.

use crate::verify::{VerifyError, backend_signature};
use mpc_wire::EcdsaSignature;

/// `r ‖ s`, 64 bytes, both big-endian (IEEE P1363, JWS `ES256K`).
pub fn compact(signature: &EcdsaSignature) -> [u8; 64] {
    let mut out = [0; 64];
    let (r, s) = out.split_at_mut(32);
    r.copy_from_slice(&signature.r);
    s.copy_from_slice(&signature.s);
    out
}

/// `ECDSA-Sig-Value`, a DER sequence of two integers (RFC 3279, 2.2.3): what Bitcoin and X.509 use.
///
/// # Errors
/// [`VerifyError::Range`] if `r` or `s` is zero or not below the group's order.
pub fn der(signature: &EcdsaSignature) -> Result<Vec<u8>, VerifyError> {
    Ok(backend_signature(signature)?.to_der().as_bytes().to_vec())
}

/// `r ‖ s ‖ v`, 65 bytes, with `v` = 27 + recovery id: what Ethereum's `ecrecover` takes. It knows
/// only `v` = 27 and 28; recovery ids 2 and 3 appear with probability 2⁻¹²⁷ and it refuses them.
pub fn ethereum(signature: &EcdsaSignature) -> [u8; 65] {
    let mut out = [0; 65];
    let (compact_part, v) = out.split_at_mut(64);
    compact_part.copy_from_slice(&compact(signature));
    v.fill(signature.recovery_id.saturating_add(27));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signature(s_first: u8) -> EcdsaSignature {
        let mut s = [0x22; 32];
        s[0] = s_first;
        EcdsaSignature { r: [0x11; 32], s, recovery_id: 1 }
    }

    #[test]
    fn compact_and_ethereum_are_fixed_width() {
        let signature = signature(0x22);
        assert_eq!(compact(&signature), [[0x11; 32], [0x22; 32]].concat().as_slice());
        assert_eq!(ethereum(&signature)[..64], compact(&signature));
        assert_eq!(ethereum(&signature)[64], 28);
    }

    #[test]
    fn der_pads_and_strips_as_integers_do() {
        let plain = [&[0x30, 68, 2, 32][..], &[0x11; 32], &[2, 32], &[0x22; 32]].concat();
        assert_eq!(der(&signature(0x22)).unwrap(), plain);
        let padded = [&[0x30, 69, 2, 32][..], &[0x11; 32], &[2, 33, 0, 0x80], &[0x22; 31]].concat();
        assert_eq!(der(&signature(0x80)).unwrap(), padded);
        let stripped = [&[0x30, 67, 2, 32][..], &[0x11; 32], &[2, 31], &[0x22; 31]].concat();
        assert_eq!(der(&signature(0)).unwrap(), stripped);
    }

    #[test]
    fn der_of_no_signature_is_refused() {
        let zero = EcdsaSignature { r: [0; 32], s: [1; 32], recovery_id: 0 };
        assert_eq!(der(&zero), Err(VerifyError::Range));
    }
}
