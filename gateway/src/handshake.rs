//! A connection whose party has not proven its identity yet.

use crate::farewell::Farewell;
use crate::roster::Claim;
use mpc_wire::handshake::{Challenge, Hello};
use mpc_wire::limits::{MAX_LABEL, VERSION};
use mpc_wire::{Canonical, Nonce, ToCoordinator, codec};

/// Largest frame of an unproven party: a proof takes some 250 bytes, and up to 96 more for each
/// rotation of the key and [`mpc_wire::limits::MAX_TOKEN`] for an enrolment token; strangers get no
/// more of our memory than that needs.
pub(crate) const MAX_PROOF_FRAME: usize = 5 << 10;

/// Waits for the answer to its challenge.
#[derive(Debug)]
pub(crate) struct AwaitingProof {
    challenge: Challenge,
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
    pub(crate) fn prove(self, frame: &[u8]) -> Result<Claim, Farewell> {
        let ToCoordinator::Prove { party, label, token, signature } =
            codec::decode(frame).map_err(Farewell::Malformed)?
        else {
            return Err(Farewell::NotProven);
        };
        if label.len() > MAX_LABEL {
            return Err(Farewell::LabelTooLong);
        }
        let hello =
            Hello { challenge: &self.challenge, party, label: &label, token: token.as_ref() };
        let key =
            party.verify(&hello.canonical_bytes(), &signature).map_err(|_| Farewell::BadProof)?;
        Ok(Claim { party, key, signature, label, token })
    }
}
