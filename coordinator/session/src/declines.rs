//! Members that will not join, or not before a person has said so.

use crate::Millis;
use crate::attempt::{Fault, MAX_ATTEMPTS, abort};
use crate::effect::{DropCause, Effect};
use crate::end::{FailureReason, SessionEnd, SessionFailure};
use crate::record::PastAttempt;
use crate::session::Session;
use crate::state::{Patience, State};
use mpc_wire::{AbortReason, Attempt, DeclineReason, DeclineScope, FailureKind, PartyId};
use std::collections::BTreeSet;

/// How often others are asked in the stead of members that wait for a person. Behind that the persons
/// have until the session's deadline.
pub const MAX_DETOURS: usize = 2;

impl Session {
    pub(crate) fn declined(
        &mut self,
        from: PartyId,
        attempt: Attempt,
        reason: DeclineReason,
        now: Millis,
        effects: &mut Vec<Effect>,
    ) {
        let asked = match &self.state {
            State::Joining(joining) if attempt == joining.plan.attempt => &joining.plan.quorum,
            State::Gathering(_) | State::Joining(_) | State::Running(_) | State::Ended(_) => {
                self.declined_late(from, attempt, reason, effects);
                return;
            }
        };
        if !asked.contains(&from) {
            effects.push(Effect::Drop { from, cause: DropCause::NotAMember });
            return;
        }
        match reason.scope() {
            DeclineScope::Session => self.candidates.decline(from, reason),
            // It is asked again in another quorum only.
            DeclineScope::Quorum => {}
            DeclineScope::Attempt => {
                let is_alike = |past: &&PastAttempt| {
                    past.is_declined_for(DeclineScope::Attempt) && past.suspects.contains(&from)
                };
                let times = self.past.iter().filter(is_alike).count();
                self.candidates.rest(from, times, now);
            }
        }
        self.attempt_failed(Fault::declined(from, reason), now, effects);
    }

    /// Takes a decline of an attempt that another member's decline has ended before: it holds for
    /// the session all the same, and the caller is to hear of it.
    fn declined_late(
        &mut self,
        from: PartyId,
        attempt: Attempt,
        reason: DeclineReason,
        effects: &mut Vec<Effect>,
    ) {
        let was_asked =
            self.past.iter().any(|past| past.attempt == attempt && past.quorum.contains(&from));
        let is_over = matches!(self.state, State::Ended(_));
        let is_known = self.candidates.declined().contains_key(&from);
        let is_for_the_session = reason.scope() == DeclineScope::Session;
        if !was_asked || is_over || is_known || !is_for_the_session {
            effects.push(Effect::Drop { from, cause: DropCause::OutOfPhase });
            return;
        }
        self.candidates.decline(from, reason);
        match (&self.state, self.declined_by_too_many()) {
            (State::Gathering(_), Some(end)) => self.end(end, effects),
            // Whatever runs now does without this party, or will hear the same from it.
            (State::Gathering(_), None)
            | (State::Joining(_) | State::Running(_) | State::Ended(_), Some(_) | None) => {
                effects.push(self.persist());
            }
        }
    }

    /// Notes that a member waits for a person, who may take until the session's deadline as long
    /// as there is nobody to ask instead.
    pub(crate) fn awaiting_approval(
        &mut self,
        from: PartyId,
        attempt: Attempt,
        effects: &mut Vec<Effect>,
    ) {
        let cause = match &mut self.state {
            State::Joining(joining) if attempt != joining.plan.attempt => DropCause::OtherAttempt,
            State::Joining(joining) if !joining.plan.quorum.contains(&from) => {
                DropCause::NotAMember
            }
            // It has joined: nobody is waited for any more.
            State::Joining(joining) if joining.joins.contains_key(&from) => DropCause::OutOfPhase,
            State::Joining(joining) => {
                joining.awaiting_approval.insert(from);
                self.candidates.ponder(from);
                return;
            }
            State::Gathering(_) | State::Running(_) | State::Ended(_) => DropCause::OutOfPhase,
        };
        effects.push(Effect::Drop { from, cause });
    }

    /// Plans the next attempt without the parties in which a person has yet to approve, if there
    /// are enough others; else the persons are waited for. Nobody is at fault: an approval that
    /// comes now serves the next attempt that includes the party, if there is one.
    pub(crate) fn ask_others(&mut self, now: Millis, effects: &mut Vec<Effect>) {
        // Nor is the last attempt spent on others: if they failed, the session would have failed
        // although a person might still approve.
        let may_spare_one = self.past.iter().filter(|past| past.made_way()).count() < MAX_DETOURS
            && self.faults() + 1 < self.max_faults()
            && self.attempt.0 + 1 < MAX_ATTEMPTS;
        let size = self.intent.quorum_size();
        let others = self.candidates.quorum_of_prompt(size, &self.past);
        let State::Joining(joining) = &mut self.state else {
            return;
        };
        let Some(quorum) = others.filter(|_| may_spare_one) else {
            joining.patience = Patience::WithPersons;
            return;
        };
        let plan = joining.plan.clone();
        self.past.push(PastAttempt {
            attempt: plan.attempt,
            quorum: plan.quorum.clone(),
            kind: FailureKind::PeerMissing,
            parties: BTreeSet::new(),
            reported_by: None,
            suspects: BTreeSet::new(),
            declined: None,
            detail: "a member waits for a person's approval, others are asked instead".into(),
        });
        self.plan_attempt(quorum, now, effects);
        effects.extend(abort(&plan, AbortReason::Superseded));
    }

    /// The end of a session of whose parties none that would do are willing, were they all online.
    pub(crate) fn declined_by_too_many(&self) -> Option<SessionEnd> {
        if self.candidates.can_reach(self.intent.quorum_size(), &self.past) {
            return None;
        }
        let declined = self.record().declined();
        let for_the_session = self.candidates.declined().values().next();
        let reason = *for_the_session.or_else(|| declined.values().next())?;
        Some(SessionEnd::Failed(SessionFailure {
            reason: FailureReason::Declined(reason),
            parties: declined.into_keys().collect(),
            detail: reason.to_string(),
        }))
    }
}
