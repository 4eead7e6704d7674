//! An aux set: Paillier and ring-Pedersen parameters of all members (CGGMP'24, figure 6).

use super::guard::{Guard, Guarding};
use super::rounds::{Cast, Rounds};
use super::session::{AuxInfo, Seat, Verifier, local_failure, verifiers};
use super::stored::{aux_id, store};
use super::{ONLY_STAGE, OneStage, Params};
use crate::engine::{Engine, Product, RunContext};
use crate::failure::EngineFailure;
use mpc_wire::PartyId;
use std::collections::BTreeSet;
use std::sync::Arc;
use synedrion::{AuxGen, AuxGenProtocol};

pub(crate) fn engine(context: &RunContext, guarding: Guarding) -> Box<dyn Engine> {
    let (me, members) = (context.me(), context.members());
    let seat = Seat::new(context, ONLY_STAGE);
    let rounds = Rounds::new(Cast::symmetric(ONLY_STAGE, &members, context));
    let ids = verifiers(&members);
    let guarded = members.clone();
    OneStage::<AuxGenProtocol<Params, Verifier>>::engine(
        rounds,
        Box::new(move || {
            let session = seat.open(AuxGen::new(ids).map_err(local_failure)?)?;
            Ok((session, Guard::aux_gen(guarding, me, guarded)))
        }),
        Arc::new(move |aux| product(&aux, me, &members)),
    )
}

fn product(
    aux: &AuxInfo,
    me: PartyId,
    members: &BTreeSet<PartyId>,
) -> Result<Product, EngineFailure> {
    let secret = store(aux, members.len())?;
    Ok(Product::Aux { aux_id: aux_id(&secret, me, members)?, secret })
}
