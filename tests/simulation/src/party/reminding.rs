//! What a party says again, because it may have been lost.

use super::Party;
use crate::around::Around;
use crate::happening::AtParty;
use crate::time::Moment;
use mpc_pending::{Dispatch, Effect, Event, Unanswered};
use mpc_wire::{SessionId, ToCoordinator};

/// How finely it is looked for what is due, in milliseconds.
const PULSE: u64 = 50;

impl Party {
    /// Sees to it that it is looked for what is due at that time.
    pub(super) fn pulse_by(&mut self, at: Moment, around: &mut Around) {
        let Some(process) = &mut self.process else { return };
        // The shell looks at fixed times.
        let at = Moment(at.0.next_multiple_of(PULSE));
        if process.pulse.is_none_or(|pulse| at < pulse) {
            process.pulse = Some(at);
            let wait = at.since(around.now);
            around.later_at_party(wait, self.id, self.life, AtParty::Pulse);
        }
    }

    pub(super) fn dispatch(&mut self, due: Vec<Dispatch>, around: &mut Around) {
        for dispatch in due {
            let message = match dispatch {
                Dispatch::Round(envelope) => ToCoordinator::Round(envelope),
                Dispatch::Ack(ack) => ToCoordinator::Ack(ack),
            };
            around.send_up(self.id, message);
        }
        let next = self.process.as_ref().and_then(|process| process.delivery.wake_at());
        if let Some(next) = next {
            self.pulse_by(self.clock.moment(next), around);
        }
    }

    /// Says again what the coordinator may not have heard, as far as it is due, and where the runners
    /// stand.
    pub(super) fn say_again(&mut self, around: &mut Around) {
        if around.network.connection(self.id).is_none() {
            return;
        }
        let now = self.now(around);
        let Some(process) = &mut self.process else { return };
        let said = process.machine.handle(Event::Connected, now, &mut self.joiner);
        let standing = process.standings.keys().map(|session| (*session, Unanswered::Standing));
        let unanswered = said.iter().filter_map(Unanswered::of).chain(standing).collect();
        let due = process.reminders.due(unanswered, now);
        let is_due =
            |effect: &Effect| Unanswered::of(effect).is_none_or(|what| due.contains(&what));
        process.waiting.extend(said.into_iter().filter(is_due));
        self.perform_waiting(around);
        let is_due = |session: &SessionId| due.contains(&(*session, Unanswered::Standing));
        let Some(process) = &self.process else { return };
        let standings = process.standings.iter().filter(|(session, _)| is_due(session));
        for standing in standings.map(|(_, standing)| standing.clone()).collect::<Vec<_>>() {
            around.send_up(self.id, standing);
        }
    }

    /// The way to the coordinator is open (again).
    pub fn connected(&mut self, around: &mut Around) {
        if let Some(process) = &mut self.process {
            process.reminders.reconnected();
        }
        self.say_again(around);
        let now = self.now(around);
        let due = self.process.as_mut().map(|process| process.delivery.connected(now));
        self.dispatch(due.unwrap_or_default(), around);
    }
}
