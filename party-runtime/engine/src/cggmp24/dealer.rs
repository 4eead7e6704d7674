//! A trusted dealer, for tests and benches only: whoever runs it knows every key that it deals.
//! Nothing that guards money may ever come from here.

use super::session::{AuxInfo, ThresholdKeyShare, local_failure, verifiers};
use super::stored::{aux_id, encode_key, store};
use crate::failure::EngineFailure;
use crate::secret::SecretBytes;
use mpc_wire::{AuxId, PartyId, PublicKey, Threshold};
use rand_core_06::OsRng;
use std::collections::{BTreeMap, BTreeSet};

/// What the dealer gives one party.
#[derive(Debug, Clone)]
pub struct Dealt {
    /// The share, as [`crate::Product::Keygen`] has it.
    pub share: SecretBytes,
    /// The aux part, as [`crate::Product::Aux`] has it.
    pub aux: SecretBytes,
    /// The aux set's id.
    pub aux_id: AuxId,
    /// The key.
    pub public_key: PublicKey,
}

/// Deals a key and an aux set to the parties. Takes seconds: the aux set needs safe primes.
///
/// # Errors
/// [`EngineFailure`] if the threshold is none of the parties.
pub fn deal(
    parties: &BTreeSet<PartyId>,
    threshold: Threshold,
) -> Result<BTreeMap<PartyId, Dealt>, EngineFailure> {
    let aux = AuxInfo::new_centralized(&mut OsRng, &verifiers(parties));
    let keys = deal_key(parties, threshold)?;
    aux.into_iter()
        .zip(keys)
        .map(|((owner, aux), (party, (share, public_key)))| {
            let aux = store(&aux, parties.len())?;
            let aux_id = aux_id(&aux, owner.0, parties)?;
            Ok((party, Dealt { share, aux, aux_id, public_key }))
        })
        .collect()
}

/// Deals a key alone.
///
/// # Errors
/// [`EngineFailure`] if the threshold is none of the parties.
pub fn deal_key(
    parties: &BTreeSet<PartyId>,
    threshold: Threshold,
) -> Result<BTreeMap<PartyId, (SecretBytes, PublicKey)>, EngineFailure> {
    let threshold = usize::from(threshold.0);
    if threshold < 2 || threshold > parties.len() {
        return Err(EngineFailure::internal("the threshold is none of the parties"));
    }
    let shares =
        ThresholdKeyShare::new_centralized(&mut OsRng, &verifiers(parties), threshold, None)
            .map_err(local_failure)?;
    shares
        .into_iter()
        .map(|(owner, share)| {
            let public_key = encode_key(&share.verifying_key().map_err(local_failure)?);
            Ok((owner.0, (store(&share, parties.len())?, public_key)))
        })
        .collect()
}
