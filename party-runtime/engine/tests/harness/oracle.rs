//! The library's hash, computed as its parties do: with it a liar can commit to whatever it likes
//! and have proofs whose challenge is right.
//!
//! synedrion 0.3 feeds Shake256 by the shape of a value: bytes as they are, a number as four bytes,
//! lists and structs behind their length.

#![allow(clippy::unwrap_used, reason = "test code fails by panicking")]
// Each test binary uses its part of the harness.
#![allow(dead_code, unreachable_pub)]

use super::value::Value;
use k256::AffinePoint;
use k256::elliptic_curve::sec1::ToEncodedPoint;
use mpc_wire::PartyId;
use sha3::Shake256;
use sha3::digest::{ExtendableOutput, Update, XofReader};

/// secp256k1's order, in limbs from the lowest.
const ORDER: [u64; 4] =
    [0xbfd2_5e8c_d036_4141, 0xbaae_dce6_af48_a03b, 0xffff_ffff_ffff_fffe, 0xffff_ffff_ffff_ffff];

/// Twice the 112 bits of security, in bytes.
const COMMITMENT: usize = 28;

pub struct Oracle(Shake256);

impl Oracle {
    pub fn new(domain: &str) -> Self {
        Self(Shake256::default()).prefixed(domain.as_bytes())
    }

    fn prefixed(self, bytes: &[u8]) -> Self {
        self.raw(&(bytes.len() as u64).to_be_bytes()).raw(bytes)
    }

    fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.update(bytes);
        self
    }

    fn length(self, length: usize) -> Self {
        self.raw(&(length as u128).to_be_bytes())
    }

    /// Bytes that the library holds as a plain list.
    fn listed(self, bytes: &[u8]) -> Self {
        self.length(bytes.len()).raw(bytes)
    }

    pub fn chain(self, value: &Value) -> Self {
        match value {
            Value::Bool(flag) => self.raw(&[u8::from(*flag)]),
            Value::Number(number) => self.raw(&number.to_be_bytes()),
            Value::Bytes(bytes) => self.raw(bytes),
            Value::List(items) => items.iter().fold(self.length(items.len()), Self::chain),
            Value::Fields(fields) => {
                let values = fields.iter().map(|(_, value)| value);
                values.fold(self.length(fields.len()), Self::chain)
            }
        }
    }

    pub fn party(self, party: PartyId) -> Self {
        self.raw(party.as_bytes())
    }

    pub fn commitment(self) -> Vec<u8> {
        self.bytes(COMMITMENT)
    }

    pub fn bytes(self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.0.finalize_xof().read(&mut bytes);
        bytes
    }

    /// The library's id of a session of `parties`, in their order.
    pub fn sid(session_id: &[u8], parties: &[PartyId]) -> Value {
        let generator = AffinePoint::GENERATOR.to_encoded_point(true);
        let curve = ORDER.iter().fold(Self::new("SID"), |h, limb| h.listed(&limb.to_le_bytes()));
        let parameters = [1024_u32, 112, 256, 256, 5 * 256, 2 * 256];
        let sid = parameters
            .iter()
            .fold(curve.listed(generator.as_bytes()), |h, p| h.prefixed(&p.to_be_bytes()))
            .listed(session_id)
            .length(parties.len());
        Value::Bytes(parties.iter().fold(sid, |h, party| h.party(*party)).commitment())
    }
}
