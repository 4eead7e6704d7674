//! What local callers ask for.

use super::PendingActor;
use crate::audit::notes;
use crate::party::RequestError;
use crate::policy::Refusal;
use crate::vault::VaultError;
use actix::prelude::*;
use mpc_pending::Event;
use mpc_wire::{AttemptOutcome, DeclineReason, Intent, SessionId};
use tokio::sync::oneshot;

/// A local caller wants a session.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Request {
    pub(crate) intent: Intent,
    pub(crate) caller: Caller,
}

/// Where a local caller waits.
#[derive(Debug)]
pub(crate) struct Caller {
    /// For the coordinator's answer, or this party's own refusal.
    pub(crate) accepted: Option<oneshot::Sender<Result<(), RequestError>>>,
    /// For the result. Dropped without one if the session ends without one.
    pub(crate) outcome: oneshot::Sender<AttemptOutcome>,
}

impl Caller {
    /// Hands over the outcome. It may overtake the coordinator's answer, which it then implies.
    pub(super) fn tell(self, session: SessionId, outcome: AttemptOutcome) {
        let unheard_answer = self.accepted.is_some_and(|accepted| accepted.send(Ok(())).is_err());
        if self.outcome.send(outcome).is_err() || unheard_answer {
            tracing::debug!(%session, "the caller did not wait for the outcome");
        }
    }

    /// Says why nothing comes of it.
    fn refuse(self, session: SessionId, error: RequestError) {
        if self.accepted.is_some_and(|accepted| accepted.send(Err(error)).is_err()) {
            tracing::debug!(%session, "the caller did not wait for the answer");
        }
    }
}

impl Handler<Request> for PendingActor {
    type Result = ();

    /// Has the intent judged before the machine hears of it: what the party intends it joins
    /// without being asked again.
    fn handle(&mut self, Request { intent, caller }: Request, ctx: &mut Self::Context) {
        let (gate, banned) = (self.gate.clone(), self.banned.clone());
        let judge = async move {
            let judged = gate.judge_own(&intent, &banned).await;
            (intent, caller, judged)
        };
        ctx.spawn(judge.into_actor(self).map(|(intent, caller, judged), actor, ctx| {
            let session = intent.session;
            match judged {
                Ok(Ok(())) => {
                    actor.callers.insert(session, caller);
                    actor.apply(Event::Intend(intent), ctx);
                }
                Ok(Err(Refusal { reason, detail })) => {
                    let party = actor.vault.party();
                    tracing::info!(%party, %session, %reason, detail, "not requested");
                    actor.auditor.enter(notes::not_requested(session, reason));
                    actor.perform_waiting(ctx);
                    caller.refuse(session, RequestError::Declined(reason));
                }
                Err(error @ VaultError::Database(_)) => {
                    caller.refuse(session, RequestError::Restarting);
                    actor.give_up(&error, ctx);
                }
                Err(error) => {
                    tracing::error!(%session, %error, "the account's record cannot be used");
                    let reason = DeclineReason::NoShare;
                    actor.auditor.enter(notes::not_requested(session, reason));
                    actor.perform_waiting(ctx);
                    caller.refuse(session, RequestError::Declined(reason));
                }
            }
        }));
    }
}
