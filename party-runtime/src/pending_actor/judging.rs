//! Has intents judged, some at a time.
//!
//! Not each in a future of the actor's: an actor polls all of its futures whenever one of them wakes
//! it, so a thousand that wait for the vault would cost a million looks, and the sessions their time.

use super::PendingActor;
use crate::policy::PolicyDecision;
use crate::policy::gate::Gate;
use crate::vault::VaultError;
use actix::prelude::*;
use futures_util::StreamExt;
use futures_util::stream::unfold;
use mpc_pending::limits::MAX_SESSIONS;
use mpc_wire::Intent;
use tokio::sync::mpsc;

/// Intents that are judged at a time: as many as share a commit of the ledger. The vault has one
/// connection, for which more of them would only wait.
const AT_ONCE: usize = 64;

/// An intent, and what the party's gate says to it.
pub(super) struct Judged {
    pub(super) intent: Intent,
    pub(super) decision: Result<PolicyDecision, VaultError>,
}

/// The way to the gate.
#[derive(Debug)]
pub(super) struct Judging {
    queue: mpsc::Sender<Intent>,
    waiting: Option<mpsc::Receiver<Intent>>,
}

impl Judging {
    pub(super) fn new() -> Self {
        // Each session is asked about once at a time.
        let (queue, waiting) = mpsc::channel(MAX_SESSIONS);
        Self { queue, waiting: Some(waiting) }
    }

    /// Judges what comes from now on. It ends with the actor.
    pub(super) fn start(&mut self, gate: Gate, ctx: &mut Context<PendingActor>) {
        let Some(waiting) = self.waiting.take() else { return };
        let intents =
            unfold(waiting, |mut waiting| async { Some((waiting.recv().await?, waiting)) });
        let judged = intents.map(move |intent| {
            let gate = gate.clone();
            async move {
                let decision = gate.judge(&intent).await;
                Judged { intent, decision }
            }
        });
        ctx.add_stream(judged.buffer_unordered(AT_ONCE));
    }

    /// Has an intent judged.
    pub(super) fn judge(&self, intent: Intent, ctx: &mut Context<PendingActor>) {
        match self.queue.try_send(intent) {
            // Closed only when the actor is stopping.
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => {}
            // Sessions whose policy was replaced while they waited.
            Err(mpsc::error::TrySendError::Full(intent)) => {
                let queue = self.queue.clone();
                let queued = async move {
                    if queue.send(intent).await.is_err() {
                        tracing::debug!("an intent was not judged: the party is stopping");
                    }
                };
                ctx.spawn(fut::wrap_future(queued));
            }
        }
    }
}
