//! When what was not answered is said again.
//!
//! The first time soon, since it may have been lost; then after pauses that grow: what is not answered
//! for long has found somebody busy, and must not keep him so. A thousand sessions that say everything
//! again every two seconds are a load that no coordinator works off.

use mpc_pending::Effect;
use mpc_wire::{Attempt, SessionId};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// How often it is looked for what is due, and the first pause: a message that is lost holds a session
/// up for no longer. An attempt that loses nothing is over before.
pub(super) const REMINDER: Duration = Duration::from_secs(2);

/// The longest pause: whoever was away goes on within this time after it is back, even if nobody has
/// noticed that it was away.
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// What a timer may be early by.
const EARLY: Duration = Duration::from_millis(200);

/// Something of a session that the coordinator has not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Unanswered {
    Request,
    Join(Attempt),
    AwaitingApproval(Attempt),
    Outcome(Attempt),
    /// Where the runner stands.
    Standing,
}

impl Unanswered {
    /// What an effect says to the coordinator, if it is something that is said until it is answered.
    pub(super) fn of(effect: &Effect) -> Option<(SessionId, Self)> {
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
    length: Duration,
    ends: Instant,
}

/// The pauses of all that is not answered.
#[derive(Debug, Default)]
pub(super) struct Reminders(BTreeMap<(SessionId, Unanswered), Pause>);

impl Reminders {
    /// Of what is not answered now, what is to be said again. What is not among it any more was
    /// answered.
    pub(super) fn due(
        &mut self,
        unanswered: BTreeSet<(SessionId, Unanswered)>,
        now: Instant,
    ) -> BTreeSet<(SessionId, Unanswered)> {
        self.0.retain(|known, _| unanswered.contains(known));
        unanswered.into_iter().filter(|what| self.is_due(*what, now)).collect()
    }

    fn is_due(&mut self, what: (SessionId, Unanswered), now: Instant) -> bool {
        let Some(pause) = self.0.get_mut(&what) else {
            self.0.insert(what, Pause { length: REMINDER, ends: now + REMINDER });
            return true;
        };
        if now + EARLY < pause.ends {
            return false;
        }
        pause.length = (pause.length * 2).min(LONGEST_PAUSE);
        pause.ends = now + pause.length;
        true
    }

    /// The connection is a new one: what was said over the old one may be lost.
    pub(super) fn reconnected(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(reminders: &mut Reminders, what: Unanswered, session: SessionId) -> Vec<u64> {
        let start = Instant::now();
        (0..40)
            .filter(|second| second % REMINDER.as_secs() == 0)
            .filter(|second| {
                let unanswered = BTreeSet::from([(session, what)]);
                !reminders.due(unanswered, start + Duration::from_secs(*second)).is_empty()
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
        let (session, now) = (SessionId::generate(), Instant::now());
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
        reminders.due([join].into(), Instant::now());
        assert!(reminders.due(BTreeSet::new(), Instant::now()).is_empty());
        assert!(reminders.0.is_empty());
    }
}
