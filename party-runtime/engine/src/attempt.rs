//! The outer shell of every engine: ends once, and stays ended.

use crate::engine::{Engine, Product, Step};
use crate::failure::EngineFailure;
use crate::job::Done;
use mpc_wire::{PartyId, Round, Stage};

/// What one event led to: steps, and perhaps a result.
pub(crate) struct Turn<T> {
    pub(crate) steps: Vec<Step>,
    pub(crate) result: Option<T>,
}

impl<T> Turn<T> {
    /// Nothing but steps.
    pub(crate) fn steps(steps: Vec<Step>) -> Self {
        Self { steps, result: None }
    }

    /// The result.
    pub(crate) fn result(result: T) -> Self {
        Self { steps: Vec::new(), result: Some(result) }
    }
}

/// The stages of one task. After an error or a product no method is called again.
pub(crate) trait Stages: Send {
    fn start(&mut self) -> Result<Turn<Product>, EngineFailure>;

    fn receive(
        &mut self,
        from: PartyId,
        stage: Stage,
        round: Round,
        payload: Vec<u8>,
    ) -> Result<Turn<Product>, EngineFailure>;

    fn complete(&mut self, done: Done) -> Result<Turn<Product>, EngineFailure>;
}

/// An engine made of stages, which it drops, secrets and all, as soon as they are over.
pub(crate) struct Attempt<S>(Option<S>);

impl<S: Stages> Attempt<S> {
    pub(crate) fn new(stages: S) -> Self {
        Self(Some(stages))
    }

    fn turn(
        &mut self,
        event: impl FnOnce(&mut S) -> Result<Turn<Product>, EngineFailure>,
    ) -> Vec<Step> {
        let Some(stages) = &mut self.0 else { return Vec::new() };
        let (mut steps, end) = match event(stages) {
            Ok(Turn { steps, result }) => (steps, result.map(Ok)),
            Err(failure) => (Vec::new(), Some(Err(failure))),
        };
        if let Some(end) = end {
            self.0 = None;
            steps.push(Step::Finished(end));
        }
        steps
    }
}

impl<S: Stages> Engine for Attempt<S> {
    fn start(&mut self) -> Vec<Step> {
        self.turn(Stages::start)
    }

    fn receive(
        &mut self,
        from: PartyId,
        stage: Stage,
        round: Round,
        payload: Vec<u8>,
    ) -> Vec<Step> {
        self.turn(|stages| stages.receive(from, stage, round, payload))
    }

    fn complete(&mut self, done: Done) -> Vec<Step> {
        self.turn(|stages| stages.complete(done))
    }
}
