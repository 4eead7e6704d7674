//! What a party says again, because it may have been lost.

use super::Party;
use crate::around::Around;
use crate::happening::AtParty;
use crate::time::Moment;
use mpc_pending::{Dispatch, Event};
use mpc_wire::ToCoordinator;

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

    /// Says again whatever the coordinator may not have heard, and where the runners stand.
    pub(super) fn say_again(&mut self, around: &mut Around) {
        if around.network.connection(self.id).is_none() {
            return;
        }
        self.apply(Event::Connected, around);
        let standings = self.process.as_ref().map(|process| process.standings.clone());
        for standing in standings.unwrap_or_default().into_values() {
            around.send_up(self.id, standing);
        }
    }

    /// The way to the coordinator is open (again).
    pub fn connected(&mut self, around: &mut Around) {
        self.say_again(around);
        let now = self.now(around);
        let due = self.process.as_mut().map(|process| process.delivery.connected(now));
        self.dispatch(due.unwrap_or_default(), around);
    }
}
