//! The party's half of an attempt's key agreement.

use mpc_wire::{AttemptPlan, SignedJoin};
use serde::{Deserialize, Serialize};
use std::fmt;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// The secret half of a join: the party's X25519 private key for one attempt. It zeroizes on drop
/// and is never formatted; serialized it must be sealed.
#[derive(Clone, PartialEq, Eq, Hash, Zeroize, ZeroizeOnDrop, Serialize, Deserialize)]
pub struct AttemptSecret(#[serde(with = "serde_bytes")] [u8; 32]);

impl AttemptSecret {
    /// Wraps the 32 bytes of the private key (RFC 7748).
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for AttemptSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AttemptSecret(redacted)")
    }
}

/// A join with its secret half.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PreparedJoin {
    /// What is sent.
    pub join: SignedJoin,
    /// What stays.
    pub secret: AttemptSecret,
}

/// Makes joins: with a fresh nonce, a fresh key pair and the party's signature. The machine itself
/// has no randomness and no identity key.
pub trait Joiner {
    /// Joins the plan.
    fn join(&mut self, plan: &AttemptPlan) -> PreparedJoin;
}
