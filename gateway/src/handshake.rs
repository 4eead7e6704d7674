//! A connection whose party has not proven its identity yet.

use crate::farewell::Farewell;
use mpc_wire::handshake::{Challenge, Hello};
use mpc_wire::limits::{MAX_LABEL, VERSION};
use mpc_wire::{Canonical, Nonce, PartyId, ToCoordinator, codec};

/// Largest frame of an unproven party. An honest proof takes some 250 bytes; strangers get no more
/// of our memory than that needs.
pub(crate) const MAX_PROOF_FRAME: usize = 1 << 10;

/// Waits for the answer to its challenge.
#[derive(Debug)]
pub(crate) struct AwaitingProof {
    challenge: Challenge,
}

/// Holds the identity that was proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Proven {
    pub(crate) party: PartyId,
    pub(crate) label: String,
}

impl AwaitingProof {
    /// Makes a fresh challenge under this gateway's name.
    pub(crate) fn new(server: String) -> Self {
        let challenge = Challenge { version: VERSION, server, nonce: Nonce::generate() };
        Self { challenge }
    }

    pub(crate) fn challenge(&self) -> &Challenge {
        &self.challenge
    }

    /// Takes the first frame of the party. The challenge is used up, whatever comes of it.
    pub(crate) fn prove(self, frame: &[u8]) -> Result<Proven, Farewell> {
        let ToCoordinator::Prove { party, label, signature } =
            codec::decode(frame).map_err(Farewell::Malformed)?
        else {
            return Err(Farewell::NotProven);
        };
        if label.len() > MAX_LABEL {
            return Err(Farewell::LabelTooLong);
        }
        let hello = Hello { challenge: &self.challenge, party, label: &label };
        party.verify(&hello.canonical_bytes(), &signature).map_err(|_| Farewell::BadProof)?;
        Ok(Proven { party, label })
    }
}
