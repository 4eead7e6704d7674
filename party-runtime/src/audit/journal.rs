//! Which of the machine's effects are entered, each once however often it is repeated.

use super::notes;
use mpc_pending::record::StoredProgress;
use mpc_pending::{Effect, Record};
use mpc_wire::audit::Note;
use mpc_wire::{Attempt, SessionId};
use std::collections::BTreeMap;

/// What was entered of the sessions that the machine knows.
#[derive(Debug, Default)]
pub(crate) struct Journal(BTreeMap<SessionId, Entered>);

#[derive(Debug, Default)]
struct Entered {
    is_requested: bool,
    /// The newest attempt whose join was entered.
    joined: Attempt,
    /// The newest attempt whose outcome was entered.
    reported: Attempt,
}

impl Journal {
    /// What is stored was entered with it.
    pub(super) fn restore(&mut self, records: &[Record]) {
        for record in records {
            let entered = self.0.entry(record.intent.session).or_default();
            entered.is_requested = true;
            match &record.progress {
                StoredProgress::Joined { plan, .. } | StoredProgress::Launched { plan, .. } => {
                    entered.joined = plan.attempt;
                }
                StoredProgress::Ended { attempt, .. } => entered.reported = *attempt,
                StoredProgress::Idle | StoredProgress::Over => {}
            }
        }
    }

    /// Whether the effect must wait for an entry.
    pub(crate) fn concerns(&self, effect: &Effect) -> bool {
        let entered = |session| self.0.get(session);
        match effect {
            Effect::SendRequest(intent) => {
                entered(&intent.session).is_none_or(|entered| !entered.is_requested)
            }
            Effect::SendJoin { session, attempt, .. } => {
                entered(session).is_none_or(|entered| entered.joined < *attempt)
            }
            Effect::Report { session, attempt, .. } => {
                entered(session).is_none_or(|entered| entered.reported < *attempt)
            }
            Effect::SendDecline { .. } | Effect::Object { .. } | Effect::Launch(_) => true,
            Effect::Persist(_)
            | Effect::Ask(_)
            | Effect::SendAwaitingApproval { .. }
            | Effect::Kill { .. }
            | Effect::Deliver { .. }
            | Effect::Refuse(_)
            | Effect::Over(_)
            | Effect::Forget(_)
            | Effect::Drop { .. } => false,
        }
    }

    /// The entry for an effect that is about to wait for it, if it has one.
    pub(crate) fn note(&mut self, effect: &Effect) -> Option<Note> {
        let is_new = self.concerns(effect);
        match effect {
            Effect::SendRequest(intent) => {
                self.0.entry(intent.session).or_default().is_requested = true;
                is_new.then(|| notes::requested(intent))
            }
            Effect::SendJoin { session, attempt, join } => {
                self.0.entry(*session).or_default().joined = *attempt;
                is_new.then(|| notes::joined(*session, *attempt, join))
            }
            Effect::Report { session, attempt, outcome } => {
                self.0.entry(*session).or_default().reported = *attempt;
                is_new.then(|| notes::reported(*session, *attempt, outcome))
            }
            Effect::SendDecline { session, attempt, reason } => {
                Some(notes::declined(*session, *attempt, *reason))
            }
            Effect::Object { session, attempt, objection } => {
                Some(notes::objected(*session, *attempt, *objection))
            }
            Effect::Launch(launch) => Some(notes::launched(launch)),
            Effect::Over(session) | Effect::Forget(session) => {
                self.0.remove(session);
                None
            }
            Effect::Persist(_)
            | Effect::Ask(_)
            | Effect::SendAwaitingApproval { .. }
            | Effect::Kill { .. }
            | Effect::Deliver { .. }
            | Effect::Refuse(_)
            | Effect::Drop { .. } => None,
        }
    }
}
