//! From the choice of a quorum to its start, and what follows a failed attempt.

use crate::Millis;
use crate::effect::{DropCause, Effect};
use crate::end::{FailureReason, SessionEnd, SessionFailure};
use crate::record::PastAttempt;
use crate::session::Session;
use crate::state::{Gathering, Joining, Running, State};
use mpc_wire::limits::bounded_detail;
use mpc_wire::{
    AbortReason, Attempt, AttemptFailure, AttemptPlan, DeclineReason, FailureKind, PartyId,
    ToParty, VerifiedJoin,
};
use std::collections::{BTreeMap, BTreeSet};

/// How many attempts a session may take: enough to leave every party of a usual set out once, few
/// enough that a session which cannot work says so before its deadline.
pub const MAX_ATTEMPTS: u32 = 5;

/// How long, in milliseconds, invited parties have to join: a join costs them a signature and one
/// durable write.
pub const JOIN_PATIENCE: u64 = 10_000;

impl Session {
    /// Plans the next attempt if a quorum can be reached; else the session waits for parties.
    pub(crate) fn try_attempt(&mut self, now: Millis, effects: &mut Vec<Effect>) {
        let size = self.intent.quorum_size();
        let Some(quorum) = self.candidates.quorum(size) else {
            self.state = State::Gathering(Gathering);
            return;
        };
        self.attempt = self.attempt.next();
        let plan = AttemptPlan {
            session: self.intent.session,
            intent_hash: self.intent.hash(),
            attempt: self.attempt,
            quorum,
            aux_id: self.aux_id,
        };
        self.state = State::Joining(Joining {
            plan_hash: plan.hash(),
            plan: plan.clone(),
            joins: BTreeMap::new(),
            patience_ends: now.after(JOIN_PATIENCE),
        });
        // The attempt's number is durable before anybody hears of it: after a crash no other plan
        // can carry the same number.
        effects.push(self.persist());
        effects.extend(plan.quorum.iter().map(|party| Effect::Send {
            to: *party,
            message: Box::new(ToParty::Invite { intent: self.intent.clone(), plan: plan.clone() }),
        }));
    }

    pub(crate) fn joined(
        &mut self,
        attempt: Attempt,
        join: VerifiedJoin,
        effects: &mut Vec<Effect>,
    ) {
        let from = join.member();
        let State::Joining(joining) = &mut self.state else {
            let cause = if attempt == self.attempt {
                DropCause::OutOfPhase
            } else {
                DropCause::OtherAttempt
            };
            effects.push(Effect::Drop { from, cause });
            return;
        };
        let cause = if attempt != joining.plan.attempt {
            Some(DropCause::OtherAttempt)
        } else if !joining.plan.quorum.contains(&from) {
            Some(DropCause::NotAMember)
        } else if join.plan_hash() != joining.plan_hash {
            Some(DropCause::OtherPlan)
        } else if joining.joins.contains_key(&from) {
            Some(DropCause::Repeated)
        } else {
            None
        };
        if let Some(cause) = cause {
            effects.push(Effect::Drop { from, cause });
            return;
        }
        joining.joins.insert(from, join.as_join().clone());
        if joining.joins.len() < joining.plan.quorum.len() {
            return;
        }
        let plan = joining.plan.clone();
        let joins: Vec<_> = joining.joins.values().cloned().collect();
        effects.extend(plan.quorum.iter().map(|party| Effect::Send {
            to: *party,
            message: Box::new(ToParty::Started {
                session: plan.session,
                attempt: plan.attempt,
                joins: joins.clone(),
            }),
        }));
        self.state = State::Running(Running::new(plan));
    }

    pub(crate) fn declined(
        &mut self,
        from: PartyId,
        attempt: Attempt,
        reason: DeclineReason,
        now: Millis,
        effects: &mut Vec<Effect>,
    ) {
        let State::Joining(joining) = &self.state else {
            effects.push(Effect::Drop { from, cause: DropCause::OutOfPhase });
            return;
        };
        let cause = if attempt != joining.plan.attempt {
            Some(DropCause::OtherAttempt)
        } else if !joining.plan.quorum.contains(&from) {
            Some(DropCause::NotAMember)
        } else {
            None
        };
        if let Some(cause) = cause {
            effects.push(Effect::Drop { from, cause });
            return;
        }
        // Overload passes; every other reason would be given again.
        if reason != DeclineReason::Overloaded {
            self.candidates.decline(from, reason);
        }
        let failure = AttemptFailure {
            kind: FailureKind::PeerMissing,
            guilty: BTreeSet::from([from]),
            detail: format!("a member declined: {reason}"),
        };
        self.attempt_failed(failure, now, effects);
    }

    /// Ends the attempt and plans the next one, unless no further one can help.
    pub(crate) fn attempt_failed(
        &mut self,
        failure: AttemptFailure,
        now: Millis,
        effects: &mut Vec<Effect>,
    ) {
        let plan = match &self.state {
            State::Joining(joining) => joining.plan.clone(),
            State::Running(running) => running.plan.clone(),
            State::Gathering(_) | State::Ended(_) => return,
        };
        let AttemptFailure { kind, guilty, detail } = failure;
        // Where nobody can be named every member is equally suspect: nobody is blamed, and the next
        // quorum is another one as far as there are others.
        let suspects = if guilty.is_empty() { &plan.quorum } else { &guilty };
        suspects.iter().for_each(|party| self.candidates.fault(*party));
        self.past.push(PastAttempt {
            attempt: plan.attempt,
            quorum: plan.quorum.clone(),
            kind,
            parties: guilty.clone(),
            detail: bounded_detail(detail.clone()),
        });
        if let Some(end) = self.hopeless(kind, guilty, detail) {
            self.end(end, effects);
            return;
        }
        effects.extend(abort(&plan, AbortReason::Superseded));
        self.state = State::Gathering(Gathering);
        self.go_on(now, effects);
    }

    /// Plans the next attempt, or waits for parties. Either way what became of the last one is
    /// stored.
    pub(crate) fn go_on(&mut self, now: Millis, effects: &mut Vec<Effect>) {
        let before = effects.len();
        self.try_attempt(now, effects);
        if effects.len() == before {
            effects.push(self.persist());
        }
    }

    pub(crate) fn hopeless(
        &self,
        kind: FailureKind,
        parties: BTreeSet<PartyId>,
        detail: String,
    ) -> Option<SessionEnd> {
        let declined = self.candidates.declined();
        if let Some(reason) = declined.values().next()
            && !self.candidates.can_reach(self.intent.quorum_size())
        {
            return Some(SessionEnd::Failed(SessionFailure {
                reason: FailureReason::Declined(*reason),
                parties: declined.keys().copied().collect(),
                detail: reason.to_string(),
            }));
        }
        (self.attempt.0 >= MAX_ATTEMPTS).then(|| {
            SessionEnd::Failed(SessionFailure {
                reason: FailureReason::AttemptsExhausted(kind),
                parties,
                detail: bounded_detail(detail),
            })
        })
    }
}

pub(crate) fn abort(plan: &AttemptPlan, reason: AbortReason) -> impl Iterator<Item = Effect> + '_ {
    plan.quorum.iter().map(move |party| Effect::Send {
        to: *party,
        message: Box::new(ToParty::Abort { session: plan.session, attempt: plan.attempt, reason }),
    })
}
