//! A signature by exactly as many members as the key's threshold (CGGMP'24, figures 8 to 10).

use super::guard::{Guard, Guarding};
use super::message::Siblings;
use super::rounds::{Cast, Rounds};
use super::session::{Running, Seat, Verifier, local_failure, verifiers};
use super::stored::{ShareView, encode_key, load_aux, load_share};
use super::{ONLY_STAGE, OneStage, Params};
use crate::engine::{Engine, Product, RunContext};
use crate::failure::EngineFailure;
use crate::secret::SecretBytes;
use crate::verify::verify_signature;
use mpc_wire::{EcdsaSignature, PartyId, PublicKey, Scheme, Signature};
use std::collections::BTreeSet;
use std::sync::Arc;
use synedrion::{InteractiveSigning, InteractiveSigningProtocol, RecoverableSignature};

/// The protocol of signing.
pub(crate) type SigningProtocol = InteractiveSigningProtocol<Params, Verifier>;

/// The last round, and the error rounds that may take its place. Into 5 leads the sum of the deltas,
/// which are echoed, against that of the Deltas, of which each member can prove only one. Into 6
/// leads the sum of the S, which nothing binds a member to tell all others alike.
const LAST_ROUNDS: Siblings = Siblings { rounds: &[4, 5, 6], common: &[5] };

/// What a member signs, and with what.
pub(crate) struct Signing {
    pub(crate) share: SecretBytes,
    pub(crate) aux: SecretBytes,
    pub(crate) public_key: PublicKey,
    pub(crate) digest: [u8; 32],
}

pub(crate) fn engine(
    signing: Signing,
    context: &RunContext,
    guarding: Guarding,
) -> Box<dyn Engine> {
    let (me, members) = (context.me(), context.members());
    let seat = Seat::new(context, ONLY_STAGE);
    let cast = Cast { siblings: LAST_ROUNDS, ..Cast::symmetric(ONLY_STAGE, &members, context) };
    let (public_key, digest) = (signing.public_key.clone(), signing.digest);
    OneStage::<SigningProtocol>::engine(
        Rounds::new(cast),
        Box::new(move || {
            let session = open(&signing, seat, me, &members)?;
            Ok((session, Guard::signing(guarding, me, members, &signing.aux)?))
        }),
        Arc::new(move |signature| product(signature, &public_key, &digest)),
    )
}

fn open(
    signing: &Signing,
    seat: Seat,
    me: PartyId,
    members: &BTreeSet<PartyId>,
) -> Result<Running<SigningProtocol>, EngineFailure> {
    // The library only asserts these, and an assertion would say nothing to anybody.
    let view = ShareView::of(&signing.share)?;
    if view.owner != me {
        return Err(EngineFailure::internal("the share is another party's"));
    }
    if view.threshold as usize != members.len() {
        return Err(EngineFailure::internal("the members are not as many as the threshold"));
    }
    let share = load_share(&signing.share)?;
    if encode_key(&share.verifying_key().map_err(local_failure)?) != signing.public_key {
        return Err(EngineFailure::internal("the share belongs to another public key"));
    }
    let ids = verifiers(members);
    let key_share = share.to_key_share(&ids).map_err(local_failure)?;
    let aux = load_aux(&signing.aux)?.subset(&ids).map_err(local_failure)?;
    seat.open(
        InteractiveSigning::new(signing.digest.into(), key_share, aux).map_err(local_failure)?,
    )
}

fn product(
    signature: RecoverableSignature<Params>,
    public_key: &PublicKey,
    digest: &[u8; 32],
) -> Result<Product, EngineFailure> {
    let (signature, recovery_id) = signature.to_backend();
    let (r, s) = signature.split_bytes();
    let signature = Signature::Ecdsa(EcdsaSignature {
        r: r.into(),
        s: s.into(),
        recovery_id: recovery_id.to_byte(),
    });
    verify_signature(Scheme::EcdsaCggmp24, public_key, digest, &signature)
        .map_err(|error| EngineFailure::invalid_result(error.to_string()))?;
    Ok(Product::Signature(signature))
}
