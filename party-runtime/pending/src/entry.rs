//! The facts that a party holds about one session.

use crate::effect::{DropCause, Effect};
use crate::event::Now;
use crate::inbox::Inbox;
use crate::join::PreparedJoin;
use crate::limits::{GRACE, MAX_OPEN_ATTEMPTS};
use crate::record::{Record, StoredConsent, StoredProgress};
use mpc_wire::{
    Attempt, AttemptFailure, AttemptOutcome, AttemptPlan, DeclineReason, FailureKind, Intent,
    IntentHash, Objection, PartyId, PlanHash, RoundHeader, SessionId, SignedJoin, VerifiedJoin,
};
use std::collections::{BTreeMap, BTreeSet};

/// All facts about one session. Facts are only ever added, until the session is over.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Entry {
    pub(crate) purpose: Option<Purpose>,
    pub(crate) consent: Consent,
    /// Attempts up to this one are dead.
    pub(crate) floor: Attempt,
    /// What is known of the attempts above the floor.
    pub(crate) attempts: BTreeMap<Attempt, AttemptFacts>,
    /// How the newest launched attempt ended, until that is acknowledged.
    pub(crate) outcome: Option<(Attempt, AttemptOutcome)>,
    pub(crate) life: Life,
}

/// What the session is for, once that is known.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Purpose {
    pub(crate) intent: Intent,
    pub(crate) hash: IntentHash,
    /// When the intent expires, on the monotonic clock.
    pub(crate) deadline: u64,
}

impl Purpose {
    pub(crate) fn new(intent: Intent, now: Now) -> Self {
        let left = intent.expires_at.0.saturating_sub(now.wall.0);
        let deadline = now.monotonic.saturating_add(left);
        Self { hash: intent.hash(), intent, deadline }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Consent {
    Unasked,
    Asked,
    /// A person was asked; the coordinator knows that of the attempts up to this one.
    Pondered {
        told: Attempt,
    },
    Given(StoredConsent),
    Refused(DeclineReason),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Life {
    /// Only early messages are known; they wait until then for what they belong to.
    Orphan { until: u64 },
    /// Under way.
    Live,
    /// Finished for the coordinator, which has what it wants from another member. The runner here
    /// may end what it is doing: a local caller may wait for its outcome.
    Finishing,
    /// Over, and remembered until then.
    Over { until: u64 },
}

/// What is known of one attempt.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct AttemptFacts {
    pub(crate) plan: Option<(AttemptPlan, PlanHash)>,
    pub(crate) joining: Joining,
    /// The `Started` messages seen while it was not launched; at most one can be the right one.
    pub(crate) starts: Vec<Vec<VerifiedJoin>>,
    pub(crate) inbox: Inbox,
    /// What is wrong with what came for it, and what of that the coordinator was told: each once,
    /// however often it comes.
    pub(crate) objectionable: BTreeSet<Objection>,
    pub(crate) objected: BTreeSet<Objection>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) enum Joining {
    #[default]
    Not,
    Joined(PreparedJoin),
    Launched(SignedJoin),
}

impl Entry {
    pub(crate) fn new(life: Life) -> Self {
        Self {
            purpose: None,
            consent: Consent::Unasked,
            floor: Attempt::default(),
            attempts: BTreeMap::new(),
            outcome: None,
            life,
        }
    }

    /// Takes up a stored session. A launched attempt has lost its runner with the process: it
    /// ends here, so that the coordinator hears of it.
    pub(crate) fn restore(record: Record, now: Now) -> Self {
        let mut entry = Self::new(Life::Live);
        entry.purpose = Some(Purpose::new(record.intent, now));
        entry.consent = Consent::Given(record.consent);
        entry.floor = record.floor;
        match record.progress {
            StoredProgress::Idle => {}
            StoredProgress::Joined { plan, prepared } => {
                entry.attempts.insert(
                    plan.attempt,
                    AttemptFacts {
                        plan: Some((plan.clone(), plan.hash())),
                        joining: Joining::Joined(prepared),
                        ..AttemptFacts::default()
                    },
                );
            }
            StoredProgress::Launched { plan, join: _ } => {
                entry.floor = entry.floor.max(plan.attempt);
                entry.outcome = Some((plan.attempt, runner_lost()));
            }
            StoredProgress::Ended { attempt, outcome } => {
                entry.floor = entry.floor.max(attempt);
                entry.outcome = Some((attempt, outcome));
            }
            StoredProgress::Over => entry.set_over(now),
        }
        entry
    }

    /// Takes over the early messages that came before the stored session was read. Says how many
    /// of them came from others than the members.
    pub(crate) fn absorb_early(&mut self, early: Entry) -> usize {
        let mut strange = 0;
        for (attempt, mut facts) in early.attempts {
            if self.is_superseded(attempt) {
                continue;
            }
            let mine = self.attempts.entry(attempt).or_default();
            mine.starts.append(&mut facts.starts);
            mine.inbox = facts.inbox;
            if let Some(quorum) = mine.plan.as_ref().map(|(plan, _)| plan.quorum.clone()) {
                strange += mine.keep_members_only(&quorum);
            }
        }
        strange
    }

    /// The session as it is to be stored; none while its purpose or consent is open.
    pub(crate) fn record(&self) -> Option<Record> {
        let intent = self.purpose.as_ref()?.intent.clone();
        let consent = match &self.consent {
            Consent::Given(consent) => *consent,
            // A session that ends before anybody consented is stored as over, and only so.
            Consent::Unasked | Consent::Asked | Consent::Pondered { .. } | Consent::Refused(_) => {
                StoredConsent::Approved
            }
        };
        Some(Record { intent, consent, floor: self.floor, progress: self.progress() })
    }

    fn progress(&self) -> StoredProgress {
        if matches!(self.life, Life::Over { .. }) {
            return StoredProgress::Over;
        }
        for facts in self.attempts.values().rev() {
            match (&facts.joining, &facts.plan) {
                (Joining::Joined(prepared), Some((plan, _))) => {
                    return StoredProgress::Joined {
                        plan: plan.clone(),
                        prepared: prepared.clone(),
                    };
                }
                (Joining::Launched(join), Some((plan, _))) => {
                    return StoredProgress::Launched { plan: plan.clone(), join: join.clone() };
                }
                (Joining::Not | Joining::Joined(_) | Joining::Launched(_), _) => {}
            }
        }
        match &self.outcome {
            Some((attempt, outcome)) => {
                StoredProgress::Ended { attempt: *attempt, outcome: outcome.clone() }
            }
            None => StoredProgress::Idle,
        }
    }

    /// The facts of an attempt, new ones if there is room for them: what comes early must not push
    /// out what is known already.
    pub(crate) fn attempt_mut(&mut self, attempt: Attempt) -> Result<&mut AttemptFacts, DropCause> {
        if self.is_superseded(attempt) {
            return Err(DropCause::StaleAttempt);
        }
        if !self.attempts.contains_key(&attempt) && self.attempts.len() >= MAX_OPEN_ATTEMPTS {
            return Err(DropCause::Overflow);
        }
        Ok(self.attempts.entry(attempt).or_default())
    }

    /// The facts of an attempt to which the party is invited: the newest always has room. It is
    /// the only one that can still be joined, so the older ones that are not joined make way.
    pub(crate) fn invited_mut(&mut self, attempt: Attempt) -> Result<&mut AttemptFacts, DropCause> {
        if self.is_superseded(attempt) {
            return Err(DropCause::StaleAttempt);
        }
        self.attempts.retain(|older, facts| *older >= attempt || facts.joining != Joining::Not);
        Ok(self.attempts.entry(attempt).or_default())
    }

    /// What is answered to an invitation to an attempt that cannot be joined any more. The
    /// coordinator may ask because it has lost the answer, or its memory.
    pub(crate) fn answer_for_dead(
        &self,
        session: SessionId,
        attempt: Attempt,
        cause: DropCause,
    ) -> Effect {
        match (&self.outcome, &self.consent) {
            (Some((ended, outcome)), _) if *ended == attempt => {
                let outcome = Box::new(outcome.clone());
                Effect::Report { session, attempt, outcome }
            }
            (_, Consent::Refused(reason)) => {
                Effect::SendDecline { session, attempt, reason: *reason }
            }
            _ if attempt == self.floor && self.attempts.is_empty() => {
                let reason = DeclineReason::AttemptOver;
                Effect::SendDecline { session, attempt, reason }
            }
            // It was invited to a newer one meanwhile.
            _ => Effect::Drop { session, cause },
        }
    }

    /// Whether the attempt is dead, or as good as that: only the newest can still be joined.
    fn is_superseded(&self, attempt: Attempt) -> bool {
        attempt <= self.floor || self.newest_invited().is_some_and(|newest| attempt < newest)
    }

    /// The highest attempt that the party was invited to.
    pub(crate) fn newest_invited(&self) -> Option<Attempt> {
        let invited = self.attempts.iter().rev().find(|(_, facts)| facts.plan.is_some());
        invited.map(|(attempt, _)| *attempt)
    }

    /// Lets every attempt up to this one die. Returns the launched one among them, whose runner
    /// has to be stopped.
    pub(crate) fn kill_up_to(&mut self, attempt: Attempt) -> Option<Attempt> {
        let running = self.launched().filter(|launched| *launched <= attempt);
        self.attempts.retain(|number, _| *number > attempt);
        self.floor = self.floor.max(attempt);
        running
    }

    /// The attempt that was launched and has not ended.
    pub(crate) fn launched(&self) -> Option<Attempt> {
        self.attempts
            .iter()
            .find(|(_, facts)| matches!(facts.joining, Joining::Launched(_)))
            .map(|(attempt, _)| *attempt)
    }

    /// Whether the session has begun and is not over.
    pub(crate) fn is_under_way(&self) -> bool {
        matches!(self.life, Life::Live | Life::Finishing)
    }

    /// Whether the intent has lost its force.
    pub(crate) fn is_expired(&self, now: Now) -> bool {
        self.purpose.as_ref().is_some_and(|purpose| purpose.deadline <= now.monotonic)
    }

    /// Whether this answer to the question for consent is still open. That a person ponders it is
    /// said once.
    pub(crate) fn awaits(&self, answer: &Consent) -> bool {
        let is_open = match self.consent {
            Consent::Asked => true,
            Consent::Pondered { .. } => !matches!(answer, Consent::Pondered { .. }),
            Consent::Unasked | Consent::Given(_) | Consent::Refused(_) => false,
        };
        is_open && self.life == Life::Live
    }

    /// Whether the sender is known to be no member of the attempt.
    pub(crate) fn is_strange(&self, header: &RoundHeader) -> bool {
        let plan = self.attempts.get(&header.attempt).and_then(|facts| facts.plan.as_ref());
        plan.is_some_and(|(plan, _)| !plan.quorum.contains(&header.from))
    }

    /// Notes that something objectionable came for an attempt, if the party was invited to that.
    pub(crate) fn find_objectionable(&mut self, attempt: Attempt, objection: Objection) -> bool {
        let facts = self.attempts.get_mut(&attempt).filter(|facts| facts.plan.is_some());
        facts.is_some_and(|facts| facts.objectionable.insert(objection))
    }

    /// Whether the message is one that a runner waits for: it is handed on and needs no room.
    pub(crate) fn is_awaited(&self, header: &RoundHeader) -> bool {
        let facts = self.attempts.get(&header.attempt);
        facts.is_some_and(|facts| {
            matches!(facts.joining, Joining::Launched(_)) && facts.inbox.is_next(header)
        })
    }

    /// Whether the party has done something that a restart must not undo.
    pub(crate) fn is_stored(&self) -> bool {
        matches!(self.consent, Consent::Given(_)) || matches!(self.life, Life::Over { .. })
    }

    /// Ends the session: everything goes but its name, which stays known for a while, at least
    /// until the intent can no longer be used again.
    pub(crate) fn set_over(&mut self, now: Now) {
        let deadline = self.purpose.as_ref().map_or(0, |purpose| purpose.deadline);
        self.attempts.clear();
        self.outcome = None;
        self.life = Life::Over { until: deadline.max(now.monotonic.saturating_add(GRACE)) };
    }

    pub(crate) fn held_bytes(&self) -> usize {
        self.attempts.values().map(|facts| facts.inbox.held_bytes()).sum()
    }
}

impl AttemptFacts {
    /// Throws out the round messages of others than these, which somebody on the way mixed up or
    /// made up, and says how many they were.
    pub(crate) fn keep_members_only(&mut self, quorum: &BTreeSet<PartyId>) -> usize {
        let strange = self.inbox.keep_only(quorum);
        if strange > 0 {
            self.objectionable.insert(Objection::Misrouted);
        }
        strange
    }

    /// The `Started` that fits the plan and the party's own join, as joins by member.
    pub(crate) fn matching_start(&self) -> Option<BTreeMap<PartyId, VerifiedJoin>> {
        self.starts.iter().find_map(|joins| self.matching(joins))
    }

    /// The joins by member, if they fit the plan and the party's own join.
    pub(crate) fn matching(
        &self,
        joins: &[VerifiedJoin],
    ) -> Option<BTreeMap<PartyId, VerifiedJoin>> {
        let (plan, plan_hash) = self.plan.as_ref()?;
        let Joining::Joined(own) = &self.joining else { return None };
        let by_member: BTreeMap<_, _> =
            joins.iter().map(|join| (join.member(), join.clone())).collect();
        let members: BTreeSet<_> = by_member.keys().copied().collect();
        let fits = joins.len() == plan.quorum.len()
            && members == plan.quorum
            && joins.iter().all(|join| join.plan_hash() == *plan_hash)
            && by_member.get(&own.join.member).map(VerifiedJoin::as_join) == Some(&own.join);
        fits.then_some(by_member)
    }
}

fn runner_lost() -> AttemptOutcome {
    AttemptOutcome::Failed(AttemptFailure {
        kind: FailureKind::RunnerLost,
        guilty: BTreeSet::new(),
        detail: "the party was restarted while the attempt ran".into(),
    })
}
