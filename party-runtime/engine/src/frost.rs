//! FROST (RFC 9591) as the Zcash Foundation implements it: Ed25519, and BIP-340 signatures over
//! secp256k1 with BIP-341's key-path tweak.
//!
//! Reading order: [`suite`] (what differs between the two), [`share`] (what is stored), [`keygen`],
//! [`sign`].

mod keygen;
mod share;
mod sign;
mod suite;

use crate::attempt::Attempt;
use crate::engine::{Engine, RunContext, Task};
use crate::failure::EngineFailure;
use crate::lockstep::{Lockstep, Script};
use frost_core::{Error, Identifier};
use mpc_wire::PartyId;
use std::collections::{BTreeMap, BTreeSet};

pub(crate) use suite::Suite;

/// Makes the engine for one attempt. The context has been checked.
pub(crate) fn engine<C: Suite>(
    task: Task,
    context: &RunContext,
) -> Result<Box<dyn Engine>, EngineFailure> {
    match task {
        Task::Keygen { threshold } => {
            Ok(run(keygen::Keygen::<C>::new(threshold, context)?, context))
        }
        Task::Aux => Err(EngineFailure::internal("the scheme has no aux sets")),
        Task::Sign { share, public_key, message, aux: _ } => {
            Ok(run(sign::Signing::<C>::new(share, public_key, message, context), context))
        }
    }
}

fn run<S: Script>(script: S, context: &RunContext) -> Box<dyn Engine> {
    Box::new(Attempt::new(Lockstep::new(script, context)))
}

/// The members' identifiers: the positions of the sorted parties, from 1.
#[derive(Clone)]
struct Ids<C: Suite>(BTreeMap<PartyId, Identifier<C>>);

impl<C: Suite> Ids<C> {
    fn of(members: &BTreeSet<PartyId>) -> Result<Self, EngineFailure> {
        let numbered = members.iter().zip(1_u16..);
        let ids = numbered.map(|(member, number)| {
            Identifier::try_from(number).map(|id| (*member, id)).map_err(failed::<C>)
        });
        ids.collect::<Result<_, _>>().map(Self)
    }

    fn id(&self, party: PartyId) -> Result<Identifier<C>, EngineFailure> {
        let id = self.0.get(&party).copied();
        id.ok_or_else(|| EngineFailure::internal("a member has no part of the key"))
    }

    fn party(&self, id: Identifier<C>) -> Option<PartyId> {
        self.0.iter().find(|(_, known)| **known == id).map(|(party, _)| *party)
    }

    /// Why the library refuses, with whom it names. Its texts are constants.
    fn failure(&self, error: &Error<C>) -> EngineFailure {
        let culprits = error.culprits();
        if culprits.is_empty() {
            return EngineFailure::internal(error.to_string());
        }
        let guilty = culprits.into_iter().filter_map(|id| self.party(id)).collect();
        EngineFailure::misbehaviour(guilty, error.to_string())
    }
}

/// Why the library refuses what is our own.
fn failed<C: Suite>(error: Error<C>) -> EngineFailure {
    EngineFailure::internal(error.to_string())
}

/// Why the library refuses what one member sent.
fn undecodable(from: PartyId) -> EngineFailure {
    EngineFailure::misbehaved(from, "a message could not be decoded")
}
