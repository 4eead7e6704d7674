//! From the choice of a quorum to its start, and what follows a failed attempt.

use crate::Millis;
use crate::effect::{DropCause, Effect};
use crate::end::{FailureReason, SessionEnd, SessionFailure};
use crate::record::{PastAttempt, RaisedObjection};
use crate::session::Session;
use crate::state::{Gathering, Joining, Origin, Running, State};
use mpc_wire::limits::bounded_detail;
use mpc_wire::{
    AbortReason, Attempt, AttemptFailure, AttemptPlan, DeclineReason, FailureKind, Objection,
    PartyId, PlanHash, ToParty, VerifiedJoin,
};
use std::collections::BTreeSet;

/// How many attempts of a session may fail by a fault, or as many as it has parties if these are more:
/// enough to leave each of them out once, few enough that a session which cannot work says so before
/// its deadline. Members that go away are no fault: with time left the session goes on.
pub const MAX_FAULTS: usize = 5;

/// How many attempts a session may take, whatever they fail by. Its record keeps what became of
/// each; a party keeps as many of a key generation.
pub const MAX_ATTEMPTS: u32 = 32;

/// How often a member is asked again at once in an attempt because its join came broken: behind
/// that only in the rhythm of reminders, or who alters all joins would have a message for each.
const MAX_BROKEN_JOINS: u32 = 3;

/// Most objections that a session keeps: one of each kind by every member of a usual quorum in each
/// attempt. More of them say nothing new.
pub const MAX_OBJECTIONS: usize = 64;

/// A failed attempt, and whom that speaks against.
#[derive(Debug)]
pub(crate) struct Fault {
    failure: AttemptFailure,
    reported_by: Option<PartyId>,
    suspects: BTreeSet<PartyId>,
    declined: Option<DeclineReason>,
}

impl Fault {
    /// A failure that the coordinator saw itself.
    pub(crate) fn seen(failure: AttemptFailure) -> Self {
        let suspects = failure.guilty.clone();
        Self { failure, reported_by: None, suspects, declined: None }
    }

    /// As [`Self::seen`], where others than the named are rather not asked again.
    pub(crate) fn suspecting(suspects: BTreeSet<PartyId>, failure: AttemptFailure) -> Self {
        Self { suspects, ..Self::seen(failure) }
    }

    /// A failure by a member's word. If it names others, the word speaks against itself as well.
    pub(crate) fn reported(by: PartyId, failure: AttemptFailure) -> Self {
        let is_of_itself = failure.guilty == BTreeSet::from([by]);
        let reported_by = (!is_of_itself).then_some(by);
        let mut fault = Self { reported_by, ..Self::seen(failure) };
        if !fault.suspects.is_empty() {
            fault.suspects.insert(by);
        }
        fault
    }

    /// A member's decline.
    pub(crate) fn declined(by: PartyId, reason: DeclineReason) -> Self {
        // That its attempt is dead, or another one, is what it may have been told itself.
        let is_its_own =
            !matches!(reason, DeclineReason::AttemptOver | DeclineReason::PlanMismatch);
        let failure = AttemptFailure {
            kind: FailureKind::PeerMissing,
            guilty: is_its_own.then_some(by).into_iter().collect(),
            detail: format!("a member declined: {reason}"),
        };
        let suspects = BTreeSet::from([by]);
        Self { failure, reported_by: None, suspects, declined: Some(reason) }
    }
}

impl Session {
    /// Plans the next attempt if a quorum can be reached; else the session waits for parties.
    pub(crate) fn try_attempt(&mut self, now: Millis, effects: &mut Vec<Effect>) {
        let size = self.intent.quorum_size();
        let Some(quorum) = self.candidates.quorum(size, &self.past) else {
            self.state = State::Gathering(Gathering);
            return;
        };
        self.plan_attempt(quorum, now, effects);
    }

    pub(crate) fn plan_attempt(
        &mut self,
        quorum: BTreeSet<PartyId>,
        now: Millis,
        effects: &mut Vec<Effect>,
    ) {
        self.attempt = self.attempt.next();
        let plan = self.plan(self.attempt, quorum);
        self.state = State::Joining(Joining::new(plan.clone(), Origin::Planned, now));
        // The attempt's number is durable before anybody hears of it: after a crash no other plan
        // can carry the same number.
        effects.push(self.persist());
        effects.extend(plan.quorum.iter().map(|party| self.invitation(*party)));
    }

    /// Takes up the attempt that was under way when the process ended.
    pub(crate) fn take_up(
        &mut self,
        quorum: BTreeSet<PartyId>,
        now: Millis,
        effects: &mut Vec<Effect>,
    ) {
        let plan = self.plan(self.attempt, quorum);
        self.state = State::Joining(Joining::new(plan.clone(), Origin::TakenUp, now));
        effects.extend(plan.quorum.iter().map(|party| self.invitation(*party)));
    }

    /// Invites a party to the attempt that is being joined.
    pub(crate) fn invitation(&self, to: PartyId) -> Effect {
        let plan = match &self.state {
            State::Joining(joining) => joining.plan.clone(),
            State::Gathering(_) | State::Running(_) | State::Ended(_) => {
                self.plan(self.attempt, self.status().quorum)
            }
        };
        let message = Box::new(ToParty::Invite { intent: self.intent.clone(), plan });
        Effect::Send { to, message }
    }

    /// The attempt's plan, if it has this quorum.
    pub(crate) fn plan(&self, attempt: Attempt, quorum: BTreeSet<PartyId>) -> AttemptPlan {
        AttemptPlan {
            session: self.intent.session,
            intent_hash: self.intent.hash(),
            attempt,
            quorum,
            aux_id: self.aux_id,
        }
    }

    pub(crate) fn joined(
        &mut self,
        attempt: Attempt,
        join: VerifiedJoin,
        now: Millis,
        effects: &mut Vec<Effect>,
    ) {
        let from = join.member();
        // It says so again because it has not heard of the start.
        if let State::Running(running) = &self.state
            && attempt == running.plan.attempt
            && running.joins.get(&from) == Some(join.as_join())
        {
            self.start_again(from, effects);
            return;
        }
        if let Some(cause) = self.misfit(attempt, &join) {
            effects.push(Effect::Drop { from, cause });
            if cause == DropCause::OtherPlan {
                self.misled(from, now, effects);
            }
            return;
        }
        let State::Joining(joining) = &mut self.state else {
            return;
        };
        joining.joins.insert(from, join.as_join().clone());
        self.candidates.approve(from);
        self.start_if_all_have_answered(now, effects);
    }

    /// Asks a member again at once whose join came broken: if somebody on the way altered it, the
    /// next one may come whole.
    pub(crate) fn join_was_broken(
        &mut self,
        from: PartyId,
        attempt: Attempt,
        effects: &mut Vec<Effect>,
    ) {
        let State::Joining(joining) = &mut self.state else {
            effects.push(Effect::Drop { from, cause: DropCause::OutOfPhase });
            return;
        };
        let cause = if attempt != joining.plan.attempt {
            DropCause::OtherAttempt
        } else if !joining.plan.quorum.contains(&from) {
            DropCause::NotAMember
        } else if joining.joins.contains_key(&from) {
            DropCause::OutOfPhase
        } else {
            let times = joining.broken.entry(from).or_default();
            *times = times.saturating_add(1);
            if *times <= MAX_BROKEN_JOINS {
                effects.push(self.invitation(from));
                return;
            }
            DropCause::BrokenJoin
        };
        effects.push(Effect::Drop { from, cause });
    }

    /// Starts the attempt once every member has joined, or has reported how the attempt that is
    /// taken up ended there.
    pub(crate) fn start_if_all_have_answered(&mut self, now: Millis, effects: &mut Vec<Effect>) {
        let stuck_at = self.stuck_at(now);
        let State::Joining(joining) = &self.state else { return };
        if !joining.missing().is_empty() {
            return;
        }
        let mut running = Running::new(joining.clone(), stuck_at);
        let is_away = |party: &&PartyId| !self.candidates.is_online(**party);
        running.away = running.plan.quorum.iter().filter(is_away).map(|p| (*p, now)).collect();
        if let Some(started) = running.started() {
            effects.extend(
                running
                    .plan
                    .quorum
                    .iter()
                    .map(|party| Effect::Send { to: *party, message: Box::new(started.clone()) }),
            );
        }
        let have_all_reported = running.unreported().is_empty();
        self.state = State::Running(running);
        if have_all_reported {
            self.all_reported(effects);
        }
    }

    /// Tells a member of the start once more.
    pub(crate) fn start_again(&self, to: PartyId, effects: &mut Vec<Effect>) {
        if let State::Running(running) = &self.state
            && let Some(started) = running.started()
        {
            effects.push(Effect::Send { to, message: Box::new(started) });
        }
    }

    /// Why a join has no place, if it has none.
    fn misfit(&self, attempt: Attempt, join: &VerifiedJoin) -> Option<DropCause> {
        if attempt != self.attempt {
            return Some(DropCause::OtherAttempt);
        }
        let State::Joining(joining) = &self.state else {
            return Some(DropCause::OutOfPhase);
        };
        if !joining.plan.quorum.contains(&join.member()) {
            Some(DropCause::NotAMember)
        } else if joining.joins.contains_key(&join.member()) {
            // Its consent to this plan stands, whatever else turns up in its name.
            Some(DropCause::Repeated)
        } else if join.plan_hash() == joining.plan_hash {
            None
        } else if self.was_planned_before(join.plan_hash()) {
            // The signature does not cover the number that the message names: this is an old
            // answer, delayed or replayed on its way, and the one to this attempt may still come.
            Some(DropCause::OtherAttempt)
        } else {
            Some(DropCause::OtherPlan)
        }
    }

    /// Whether an earlier attempt had the plan with this hash.
    fn was_planned_before(&self, hash: PlanHash) -> bool {
        self.past.iter().any(|past| self.plan(past.attempt, past.quorum.clone()).hash() == hash)
    }

    /// Ends an attempt whose member consented to something that nobody here has planned. The right
    /// consent will not come: a party joins one plan an attempt. Whether it was shown another plan
    /// on the way, was given an old join out or signed what it liked cannot be told, so nobody is
    /// named; but the next attempt does without it if others are there.
    fn misled(&mut self, member: PartyId, now: Millis, effects: &mut Vec<Effect>) {
        let failure = AttemptFailure {
            kind: FailureKind::Transport,
            guilty: BTreeSet::new(),
            detail: "a member joined another plan than the one that it was invited to".into(),
        };
        let fault = Fault::suspecting(BTreeSet::from([member]), failure);
        self.attempt_failed(fault, now, effects);
    }

    /// Takes note of an objection. If a member refuses the start of the attempt, the attempt
    /// cannot go on: somebody on the way has spoiled it, and nobody is blamed.
    pub(crate) fn objected(
        &mut self,
        from: PartyId,
        attempt: Attempt,
        objection: Objection,
        now: Millis,
        effects: &mut Vec<Effect>,
    ) {
        let is_current = attempt == self.attempt && self.status().quorum.contains(&from);
        if !is_current {
            effects.push(Effect::Drop { from, cause: DropCause::OtherAttempt });
            return;
        }
        let is_new = self.objections.len() < MAX_OBJECTIONS
            && self.objections.insert(RaisedObjection { attempt, by: from, objection });
        let spoils_the_start = match objection {
            Objection::ForgedJoin | Objection::SupersededKey | Objection::WrongJoins => {
                matches!(self.state, State::Running(_))
            }
            Objection::Misrouted => false,
        };
        if spoils_the_start {
            let failure = AttemptFailure {
                kind: FailureKind::Transport,
                guilty: BTreeSet::new(),
                detail: format!("a member objected: {objection}"),
            };
            self.attempt_failed(Fault::reported(from, failure), now, effects);
        } else if is_new {
            effects.push(self.persist());
        }
    }

    /// Ends the attempt and plans the next one, unless no further one can help.
    pub(crate) fn attempt_failed(&mut self, fault: Fault, now: Millis, effects: &mut Vec<Effect>) {
        let plan = match &self.state {
            State::Joining(joining) => joining.plan.clone(),
            State::Running(running) => running.plan.clone(),
            State::Gathering(_) | State::Ended(_) => return,
        };
        let Fault { failure, reported_by, suspects, declined } = fault;
        let AttemptFailure { kind, guilty, detail } = failure;
        // Where nobody can be suspected every member equally is: the next quorum is another one as
        // far as there are others.
        let suspects = if suspects.is_empty() { plan.quorum.clone() } else { suspects };
        self.past.push(PastAttempt {
            attempt: plan.attempt,
            quorum: plan.quorum.clone(),
            kind,
            parties: guilty.clone(),
            reported_by,
            suspects,
            declined,
            detail: bounded_detail(detail.clone()),
        });
        if let Some(end) = self.hopeless(kind, guilty, detail) {
            self.end(end, effects);
            return;
        }
        self.state = State::Gathering(Gathering);
        // What became of the attempt is durable before its members hear of it: after a crash they
        // are not invited again to what is dead.
        self.go_on(now, effects);
        effects.extend(abort(&plan, AbortReason::Superseded));
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

    /// How many attempts may fail by a fault.
    pub(crate) fn max_faults(&self) -> usize {
        MAX_FAULTS.max(self.intent.eligible.len())
    }

    /// How many attempts have failed by a fault.
    pub(crate) fn faults(&self) -> usize {
        self.past.iter().filter(|past| !past.kind.is_passing()).count()
    }

    fn hopeless(
        &self,
        kind: FailureKind,
        parties: BTreeSet<PartyId>,
        detail: String,
    ) -> Option<SessionEnd> {
        self.declined_by_too_many().or_else(|| {
            (self.faults() >= self.max_faults() || self.attempt.0 >= MAX_ATTEMPTS).then(|| {
                SessionEnd::Failed(SessionFailure {
                    reason: FailureReason::AttemptsExhausted(kind),
                    parties,
                    detail: bounded_detail(detail),
                })
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
