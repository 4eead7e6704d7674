//! When what was not answered is said again.
//!
//! The first time soon, since it may have been lost; then after pauses that grow: what is not answered
//! for long has found somebody busy, and must not keep him so. A thousand sessions that say everything
//! again every two seconds are a load that no coordinator works off.

use crate::effect::Effect;
use crate::event::Now;
use mpc_wire::{Attempt, SessionId};
use std::collections::{BTreeMap, BTreeSet};

/// How often, in milliseconds, it is looked for what is due, and the first pause: a message that is
/// lost holds a session up for no longer. An attempt that loses nothing is over before.
pub const REMINDER: u64 = 2_000;

/// The longest pause, in milliseconds: whoever was away goes on within this time after it is back, even if nobody has
/// noticed that it was away.
const LONGEST_PAUSE: u64 = 8_000;

/// What a timer may be early by, in milliseconds.
const EARLY: u64 = 200;

/// Something of a session that the coordinator has not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unanswered {
    /// It was asked for.
    Request,
    /// The party has joined the attempt.
    Join(Attempt),
    /// A person has to approve before it can.
    AwaitingApproval(Attempt),
    /// The attempt has ended.
    Outcome(Attempt),
    /// Where the runner stands.
    Standing,
}

impl Unanswered {
    /// What an effect says to the coordinator, if it is something that is said until it is answered.
    pub fn of(effect: &Effect) -> Option<(SessionId, Self)> {
        match effect {
            Effect::SendRequest(intent) => Some((intent.session, Self::Request)),
            Effect::SendJoin { session, attempt, .. } => Some((*session, Self::Join(*attempt))),
            Effect::SendAwaitingApproval { session, attempt } => {
                Some((*session, Self::AwaitingApproval(*attempt)))
            }
            Effect::Report { session, attempt, .. } => Some((*session, Self::Outcome(*attempt))),
            Effect::Persist(_)
            | Effect::Ask(_)
            | Effect::SendDecline { .. }
            | Effect::Object { .. }
            | Effect::Launch(_)
            | Effect::Kill { .. }
            | Effect::Deliver { .. }
            | Effect::Refuse(_)
            | Effect::Over(_)
            | Effect::Forget(_)
            | Effect::Drop { .. } => None,
        }
    }
}

#[derive(Debug)]
struct Pause {
    length: u64,
    /// On the monotonic clock.
    ends: u64,
}

/// The pauses of all that is not answered.
#[derive(Debug, Default)]
pub struct Reminders(BTreeMap<(SessionId, Unanswered), Pause>);

impl Reminders {
    /// Of what is not answered now, what is to be said again. What is not among it any more was
    /// answered.
    pub fn due(
        &mut self,
        unanswered: BTreeSet<(SessionId, Unanswered)>,
        now: Now,
    ) -> BTreeSet<(SessionId, Unanswered)> {
        self.0.retain(|known, _| unanswered.contains(known));
        unanswered.into_iter().filter(|what| self.is_due(*what, now)).collect()
    }

    fn is_due(&mut self, what: (SessionId, Unanswered), now: Now) -> bool {
        let Some(pause) = self.0.get_mut(&what) else {
            let ends = now.monotonic.saturating_add(REMINDER);
            self.0.insert(what, Pause { length: REMINDER, ends });
            return true;
        };
        if now.monotonic.saturating_add(EARLY) < pause.ends {
            return false;
        }
        pause.length = (pause.length * 2).min(LONGEST_PAUSE);
        pause.ends = now.monotonic.saturating_add(pause.length);
        true
    }

    /// The connection is a new one: what was said over the old one may be lost.
    pub fn reconnected(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mpc_wire::UnixMillis;

    fn at(monotonic: u64) -> Now {
        Now { monotonic, wall: UnixMillis(0) }
    }

    fn seconds(reminders: &mut Reminders, what: Unanswered, session: SessionId) -> Vec<u64> {
        (0..40)
            .step_by(2)
            .filter(|second| {
                let unanswered = BTreeSet::from([(session, what)]);
                !reminders.due(unanswered, at(1_000 * *second)).is_empty()
            })
            .collect()
    }

    #[test]
    fn what_is_not_answered_is_said_again_soon_and_then_less_and_less_often() {
        let session = SessionId::generate();
        let mut reminders = Reminders::default();
        let said = seconds(&mut reminders, Unanswered::Join(Attempt::FIRST), session);
        assert_eq!(said, [0, 2, 6, 14, 22, 30, 38]);
    }

    #[test]
    fn something_else_and_a_new_connection_begin_anew() {
        let (session, now) = (SessionId::generate(), at(0));
        let join = (session, Unanswered::Join(Attempt::FIRST));
        let outcome = (session, Unanswered::Outcome(Attempt::FIRST));
        let mut reminders = Reminders::default();
        assert_eq!(reminders.due([join].into(), now), [join].into());
        assert_eq!(reminders.due([join, outcome].into(), now), [outcome].into());
        reminders.reconnected();
        assert_eq!(reminders.due([join, outcome].into(), now), [join, outcome].into());
    }

    #[test]
    fn nothing_is_kept_of_what_was_answered() {
        let join = (SessionId::generate(), Unanswered::Join(Attempt::FIRST));
        let mut reminders = Reminders::default();
        reminders.due([join].into(), at(0));
        assert!(reminders.due(BTreeSet::new(), at(0)).is_empty());
        assert!(reminders.0.is_empty());
    }
}
