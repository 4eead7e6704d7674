//! What runners send, and what is sent again because it may have been lost.

use super::{LinkUp, PendingActor};
use crate::link::{NotSent, Outgoing};
use actix::prelude::*;
use mpc_pending::{Dispatch, Effect, Event, NotTaken, Unanswered};
use mpc_wire::{RoundEnvelope, RoundHeader, SessionId, ToCoordinator};
use std::time::Duration;

/// How often it is looked for round messages and acknowledgements that are due: a fraction of
/// [`mpc_pending::limits::ACK_DELAY`]. An attempt that loses nothing waits for none of them.
pub(super) const PULSE: Duration = Duration::from_millis(50);

/// Whatever was said over the connection before may be lost.
impl Handler<LinkUp> for PendingActor {
    type Result = ();

    fn handle(&mut self, LinkUp(link): LinkUp, ctx: &mut Self::Context) {
        self.link = Some(link);
        self.auditor.reconnected();
        self.reminders.reconnected();
        self.say_again(ctx);
        let due = self.delivery.connected(self.now());
        self.dispatch(due);
        self.speak_to_peers(ctx);
        self.remind(ctx);
    }
}

/// What a runner sends. Round messages are kept until they are acknowledged, whether there is a
/// connection or not.
impl Handler<Outgoing> for PendingActor {
    type Result = Result<(), NotSent>;

    fn handle(&mut self, Outgoing(message): Outgoing, ctx: &mut Self::Context) -> Self::Result {
        if let ToCoordinator::Round(envelope) = message {
            return self.send_round(envelope, ctx);
        }
        // Not of a runner that was killed since: nothing would take that out again.
        if let ToCoordinator::Progress { session, attempt, .. } = &message
            && self.running.contains_key(&(*session, *attempt))
        {
            self.standings.insert(*session, message.clone());
        }
        self.send(message);
        Ok(())
    }
}

impl PendingActor {
    fn send_round(
        &mut self,
        envelope: RoundEnvelope,
        ctx: &mut Context<Self>,
    ) -> Result<(), NotSent> {
        let RoundHeader { session, attempt, .. } = envelope.header;
        match self.delivery.send(envelope.clone(), self.now()) {
            Ok(()) => {
                self.send(ToCoordinator::Round(envelope));
                Ok(())
            }
            // A runner that was killed, and has not heard of it.
            Err(NotTaken::Over) => Ok(()),
            Err(full @ (NotTaken::TooMany | NotTaken::TooMuch)) => {
                tracing::warn!(%session, %attempt, %full, "a round message found no room");
                self.overwhelmed(session, attempt, "its messages are not acknowledged", ctx);
                Err(NotSent::Full)
            }
        }
    }

    /// Says again what the coordinator may not have heard, as far as it is due, and where the runners
    /// stand.
    pub(super) fn say_again(&mut self, ctx: &mut Context<Self>) {
        if self.link.is_none() {
            return;
        }
        let now = self.now();
        let said = self.machine.handle(Event::Connected, now, &mut self.joiner);
        let standing = self.standings.keys().map(|session| (*session, Unanswered::Standing));
        let unanswered = said.iter().filter_map(Unanswered::of).chain(standing).collect();
        let due = self.reminders.due(unanswered, now);
        let is_due =
            |effect: &Effect| Unanswered::of(effect).is_none_or(|what| due.contains(&what));
        self.waiting.extend(said.into_iter().filter(is_due));
        self.perform_waiting(ctx);
        let is_due = |session: &SessionId| due.contains(&(*session, Unanswered::Standing));
        let standings = self.standings.iter().filter(|(session, _)| is_due(session));
        for standing in standings.map(|(_, standing)| standing.clone()).collect::<Vec<_>>() {
            self.send(standing);
        }
    }

    /// Sends the round messages and acknowledgements that are due.
    pub(super) fn dispatch_due(&mut self) {
        let due = self.delivery.due(self.now());
        self.dispatch(due);
        self.tell_if_drained();
    }

    pub(super) fn dispatch(&mut self, due: Vec<Dispatch>) {
        for dispatch in due {
            self.send(match dispatch {
                Dispatch::Round(envelope) => ToCoordinator::Round(envelope),
                Dispatch::Ack(ack) => ToCoordinator::Ack(ack),
            });
        }
    }
}
