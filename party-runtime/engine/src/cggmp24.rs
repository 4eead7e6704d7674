//! ECDSA over secp256k1 by CGGMP'24, as synedrion implements it over manul's sessions.
//!
//! Reading order: [`session`] (keys, digest and encoding that manul runs with), [`peek`] and
//! [`message`] (what is checked of a message before and by manul), [`rounds`] (the driver of one
//! protocol) with its [`guard`], then the tasks: [`keygen`] with its [`introduction`], [`aux_set`],
//! [`sign`]; [`stored`] and [`polynomial`] hold the shares and their checks.

mod aux_set;
#[cfg(feature = "dealer")]
pub mod dealer;
mod guard;
mod introduction;
mod keygen;
mod message;
mod peek;
mod polynomial;
#[cfg(feature = "bench")]
pub mod raw;
mod rounds;
mod session;
mod sign;
mod stored;

use crate::attempt::{Attempt, Stages, Turn};
use crate::engine::{Engine, Product, RunContext, Task};
use crate::failure::EngineFailure;
use crate::job::Done;
pub(crate) use guard::Guarding;
use mpc_wire::{PartyId, Round, Stage};
use rounds::{Conclude, Open, Rounds};
use session::ProtocolOf;
use synedrion::k256::ProductionParams112 as Params;

/// The only stage of a task that runs one protocol.
const ONLY_STAGE: Stage = Stage(1);

/// Makes the engine for one attempt. The context has been checked.
pub(crate) fn engine(
    task: Task,
    context: RunContext,
    guarding: Guarding,
) -> Result<Box<dyn Engine>, EngineFailure> {
    match task {
        Task::Keygen { threshold } => keygen::engine(threshold, context, guarding),
        Task::Aux => Ok(aux_set::engine(&context, guarding)),
        Task::Sign { share, aux, public_key, message } => {
            let aux = aux.ok_or_else(|| EngineFailure::internal("the plan names no aux set"))?;
            let digest = message
                .try_into()
                .map_err(|_| EngineFailure::internal("the scheme signs a digest of 32 bytes"))?;
            let signing = sign::Signing { share, aux, public_key, digest };
            Ok(sign::engine(signing, &context, guarding))
        }
    }
}

/// A task that is one protocol among all members.
struct OneStage<P: ProtocolOf> {
    rounds: Rounds<P, Product>,
    /// Taken when the stage opens.
    plan: Option<(Open<P>, Conclude<P, Product>)>,
}

impl<P: ProtocolOf> OneStage<P> {
    fn engine(
        rounds: Rounds<P, Product>,
        open: Open<P>,
        conclude: Conclude<P, Product>,
    ) -> Box<dyn Engine> {
        Box::new(Attempt::new(Self { rounds, plan: Some((open, conclude)) }))
    }
}

impl<P: ProtocolOf> Stages for OneStage<P> {
    fn start(&mut self) -> Result<Turn<Product>, EngineFailure> {
        let (open, conclude) =
            self.plan.take().ok_or_else(|| EngineFailure::internal("started a second time"))?;
        Ok(Turn::steps(self.rounds.open(open, conclude)))
    }

    fn receive(
        &mut self,
        from: PartyId,
        stage: Stage,
        round: Round,
        payload: Vec<u8>,
    ) -> Result<Turn<Product>, EngineFailure> {
        if stage != ONLY_STAGE {
            return Err(unknown_stage(from, stage));
        }
        self.rounds.receive(from, round, payload).map(Turn::steps)
    }

    fn complete(&mut self, done: Done) -> Result<Turn<Product>, EngineFailure> {
        self.rounds.complete(done)
    }
}

fn unknown_stage(from: PartyId, stage: Stage) -> EngineFailure {
    EngineFailure::misbehaved(from, format!("a message for stage {stage}, which does not exist"))
}
