//! The runners of the attempts that the machine has launched.

use super::PendingActor;
use crate::peer_keys::PeerKeyFault;
use crate::runner::{RunnerCommand, RunnerEnded, RunnerHandle};
use actix::prelude::*;
use mpc_pending::record::{Record, StoredProgress};
use mpc_pending::{Event, Launch};
use mpc_wire::{
    Attempt, AttemptFailure, AttemptOutcome, FailureKind, Objection, RoundEnvelope, SessionId,
    ToCoordinator,
};
use std::collections::BTreeSet;

impl PendingActor {
    /// A message of a runner, or to it, that counts as delivered has found no room: its attempt
    /// ends.
    pub(super) fn overwhelmed(
        &mut self,
        session: SessionId,
        attempt: Attempt,
        detail: &'static str,
        ctx: &mut Context<Self>,
    ) {
        if let Some(runner) = self.running.remove(&(session, attempt)) {
            kill(&runner, session);
        }
        ctx.notify(failed(session, attempt, FailureKind::Internal, detail));
    }

    /// Hands round messages to their runner.
    pub(super) fn deliver(
        &mut self,
        session: SessionId,
        attempt: Attempt,
        messages: Vec<RoundEnvelope>,
        ctx: &mut Context<Self>,
    ) {
        let Some(runner) = self.running.get(&(session, attempt)) else { return };
        let delivered =
            self.rooms.admit(messages).map(|it| runner.command(RunnerCommand::Deliver(it)));
        let detail = match delivered {
            Some(true) => return,
            Some(false) => "the runner could not keep up with its messages",
            None => "a peer's messages take all the room that they may",
        };
        self.overwhelmed(session, attempt, detail, ctx);
    }

    pub(super) fn launch(&mut self, launch: Launch, ctx: &mut Context<Self>) {
        let (session, attempt) = (launch.plan.session, launch.plan.attempt);
        // Once more: a start may have waited while a newer key of a member was seen elsewhere.
        if let Err(fault) = self.peer_keys.check(launch.joins.values()) {
            self.refuse_to_start(session, attempt, fault, ctx);
            return;
        }
        let (party, kind) = (self.vault.party(), launch.intent.kind.name());
        tracing::info!(%party, %session, %attempt, kind, "session started, runner triggered");
        self.delivery.launched(session, attempt);
        let address = ctx.address();
        let runner = self.runners.start(launch, address.clone().recipient(), address.recipient());
        self.running.insert((session, attempt), runner);
    }

    fn refuse_to_start(
        &mut self,
        session: SessionId,
        attempt: Attempt,
        fault: PeerKeyFault,
        ctx: &mut Context<Self>,
    ) {
        tracing::warn!(party = %self.vault.party(), %session, %attempt, %fault, "not started");
        let kind = match fault {
            PeerKeyFault::Superseded => {
                let objection = Objection::SupersededKey;
                self.send(ToCoordinator::Objected { session, attempt, objection });
                FailureKind::Transport
            }
            PeerKeyFault::Full => FailureKind::Internal,
        };
        ctx.notify(failed(session, attempt, kind, "the key of a member is not accepted"));
    }

    /// Says in the log how an attempt ended, once: the coordinator is told until it has heard.
    fn log_end(&self, session: SessionId, attempt: Attempt, outcome: &AttemptOutcome) {
        let party = self.vault.party();
        match outcome {
            AttemptOutcome::Failed(AttemptFailure { kind, detail, .. }) => {
                let kind = kind.name();
                tracing::warn!(%party, %session, %attempt, kind, detail, "attempt failed");
            }
            AttemptOutcome::Keygen { .. }
            | AttemptOutcome::Aux { .. }
            | AttemptOutcome::Signed(_)
            | AttemptOutcome::Proven { .. } => {
                tracing::info!(%party, %session, %attempt, "attempt completed");
            }
        }
    }
}

impl Handler<RunnerEnded> for PendingActor {
    type Result = ();

    fn handle(&mut self, ended: RunnerEnded, ctx: &mut Self::Context) {
        let RunnerEnded { session, attempt, outcome } = ended;
        self.log_end(session, attempt, &outcome);
        self.running.remove(&(session, attempt));
        self.standings.remove(&session);
        self.apply(Event::RunnerEnded { session, attempt, outcome }, ctx);
    }
}

/// Says in the log that an attempt was lost with the process that ran it.
pub(super) fn log_loss(record: &Record) {
    if let StoredProgress::Launched { plan, .. } = &record.progress {
        let (session, attempt) = (plan.session, plan.attempt);
        tracing::warn!(%session, %attempt, "the attempt was lost with the process before");
    }
}

/// The end of an attempt whose runner cannot report it.
fn failed(
    session: SessionId,
    attempt: Attempt,
    kind: FailureKind,
    detail: &'static str,
) -> RunnerEnded {
    let failure = AttemptFailure { kind, guilty: BTreeSet::new(), detail: detail.into() };
    RunnerEnded { session, attempt, outcome: AttemptOutcome::Failed(failure) }
}

pub(super) fn kill(runner: &RunnerHandle, session: SessionId) {
    if !runner.command(RunnerCommand::Kill) {
        tracing::warn!(%session, "a runner has no room for its end; its engine ends unheard");
    }
}
