//! The end of a party that is asked to stop: what it works on may end first.

use super::PendingActor;
use actix::prelude::*;
use std::rc::Rc;
use std::time::Duration;
use tokio::time::timeout;

/// How long the attempts under way have: several signatures' time. What takes longer, an aux set,
/// is tried again without this party or once it is back.
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// Has the party take up nothing new. Answered once no attempt is under way, or its time is over.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Drain;

impl Handler<Drain> for PendingActor {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, Drain: Drain, _: &mut Self::Context) -> Self::Result {
        let drained = Rc::clone(self.draining.get_or_insert_default());
        let (party, running) = (self.vault.party(), self.running.len());
        tracing::info!(%party, running, "draining");
        self.tell_if_drained();
        Box::pin(async move {
            if timeout(DRAIN_TIME, drained.notified()).await.is_err() {
                tracing::warn!(%party, "stopping with attempts under way: they are lost");
            }
        })
    }
}

impl PendingActor {
    /// Whether an invitation is left without an answer: it comes again when the party is back.
    pub(super) fn is_draining(&self) -> bool {
        self.draining.is_some()
    }

    /// Tells whoever waits once nothing is under way, nothing waits for a commit, and the peers have
    /// what they were sent.
    pub(super) fn tell_if_drained(&self) {
        if let Some(drained) = &self.draining
            && self.running.is_empty()
            && self.waiting.is_empty()
            && self.storing.is_none()
            && self.delivery.is_idle()
        {
            drained.notify_one();
        }
    }
}
