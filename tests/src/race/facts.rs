//! What has arrived at a party and is still valid: the rules of the design in a few lines each,
//! followed without a look at the machine. The invariants compare the machine with it.
//!
//! A crash takes every fact that was not durable: such a fact has then *not* arrived, and whoever
//! brought it has to bring it again. What the store holds has arrived for good.

use mpc_pending::Record;
use mpc_pending::limits::{MAX_EARLY_STARTS, MAX_OPEN_ATTEMPTS};
use mpc_pending::record::StoredProgress;
use mpc_wire::{
    Attempt, AttemptPlan, Intent, PartyId, RoundEnvelope, Seq, SignedJoin, VerifiedJoin,
};
use std::collections::{BTreeMap, BTreeSet};

/// The facts about one session.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Facts {
    /// What it is for, once that is known.
    pub intent: Option<Intent>,
    /// When that expires, on the monotonic clock.
    pub deadline: u64,
    /// Whether the party takes part.
    pub consent: Consent,
    /// Attempts up to this one are over.
    pub dead: Attempt,
    /// The attempt that ended here last, if nothing has come after it.
    pub ended: Option<Attempt>,
    /// The plans that the party was invited to.
    pub plans: BTreeMap<Attempt, AttemptPlan>,
    /// The `Started` messages of attempts that have not launched.
    pub starts: BTreeMap<Attempt, Vec<Vec<VerifiedJoin>>>,
    /// The round messages that wait, with their sizes.
    pub held: BTreeMap<Attempt, BTreeMap<PartyId, BTreeMap<Seq, usize>>>,
    /// Whether the coordinator is done with the session while the runner is still at work here: it
    /// may end by itself, and nothing else begins.
    pub is_finishing: bool,
    /// Until when an ended session is remembered.
    pub over_until: Option<u64>,
    /// Until when early messages of an unknown session are kept.
    pub orphan_until: u64,
}

/// Whether the party takes part.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Consent {
    /// Nobody was asked.
    #[default]
    Unasked,
    /// Somebody was asked.
    Asked,
    /// It is a person who was asked, and that is to be said.
    Pondered,
    /// It does: intended or approved.
    Given,
    /// It does not.
    Refused,
}

/// What has to become of a round message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is dropped, for a reason that has nothing to do with room.
    Dropped(mpc_pending::DropCause),
    /// It goes to the runner at once.
    Flows,
    /// It is held, or refused if there is no room.
    Held,
}

impl Facts {
    /// What the store says.
    pub fn from_record(record: &Record, monotonic: u64, wall: u64, grace: u64) -> Self {
        let left = record.intent.expires_at.0.saturating_sub(wall);
        let mut facts = Self {
            intent: Some(record.intent.clone()),
            deadline: monotonic + left,
            consent: Consent::Given,
            dead: record.floor,
            ..Self::default()
        };
        match &record.progress {
            StoredProgress::Idle => {}
            StoredProgress::Joined { plan, .. } => {
                facts.plans.insert(plan.attempt, plan.clone());
            }
            StoredProgress::Launched { plan: AttemptPlan { attempt, .. }, .. }
            | StoredProgress::Ended { attempt, .. } => facts.end(*attempt),
            StoredProgress::Over => facts.finish(monotonic, grace),
        }
        facts
    }

    /// Whether nothing but early messages is known.
    pub fn is_orphan(&self) -> bool {
        self.intent.is_none()
    }

    /// Whether the session is known and not over.
    pub fn is_under_way(&self) -> bool {
        self.intent.is_some() && self.over_until.is_none()
    }

    /// Whether anything can still begin in the session.
    pub fn is_live(&self) -> bool {
        self.is_under_way() && !self.is_finishing
    }

    /// The newest attempt that the party was invited to and that is not over.
    pub fn newest(&self) -> Option<(Attempt, &AttemptPlan)> {
        self.plans.iter().next_back().map(|(attempt, plan)| (*attempt, plan))
    }

    /// Whether the attempt is over, or a newer one is the only one that can still be joined.
    pub fn is_superseded(&self, attempt: Attempt) -> bool {
        attempt <= self.dead || self.newest().is_some_and(|(newest, _)| attempt < newest)
    }

    /// Every attempt up to this one is over.
    pub fn kill(&mut self, attempt: Attempt) {
        self.dead = self.dead.max(attempt);
        let dead = self.dead;
        self.plans.retain(|attempt, _| *attempt > dead);
        self.starts.retain(|attempt, _| *attempt > dead);
        self.held.retain(|attempt, _| *attempt > dead);
    }

    /// This attempt has ended here: that is to be reported until a newer one is joined.
    pub fn end(&mut self, attempt: Attempt) {
        self.kill(attempt);
        self.ended = Some(attempt);
    }

    /// The session is over.
    pub fn finish(&mut self, monotonic: u64, grace: u64) {
        self.kill(Attempt(u32::MAX));
        self.ended = None;
        self.is_finishing = false;
        self.over_until = Some(self.deadline.max(monotonic + grace));
    }

    /// What consent and invitation call for: the newest attempt is the only one.
    pub fn supersede(&mut self) {
        let Some((newest, _)) = self.newest() else { return };
        match self.consent {
            Consent::Unasked | Consent::Asked | Consent::Pondered => {}
            Consent::Refused => self.kill(newest),
            Consent::Given => self.kill(Attempt(newest.0 - 1)),
        }
    }

    /// An invitation supersedes what is older and not joined.
    pub fn make_way_for(&mut self, attempt: Attempt) {
        let joined = (self.consent == Consent::Given).then(|| self.newest().map(|newest| newest.0));
        let stays = |of: &Attempt| *of >= attempt || Some(Some(*of)) == joined;
        self.plans.retain(|of, _| stays(of));
        self.starts.retain(|of, _| stays(of));
        self.held.retain(|of, _| stays(of));
    }

    /// The attempts of which anything is known.
    pub fn open(&self) -> BTreeSet<Attempt> {
        let starts = self.starts.iter().filter(|(_, starts)| !starts.is_empty());
        let held = self.held.iter().filter(|(_, held)| held.values().any(|seqs| !seqs.is_empty()));
        let early = starts.map(|(of, _)| of).chain(held.map(|(of, _)| of));
        self.plans.keys().chain(early).copied().collect()
    }

    /// Whether there is no room for facts of one more attempt.
    pub fn is_full_for(&self, attempt: Attempt) -> bool {
        let open = self.open();
        !open.contains(&attempt) && open.len() >= MAX_OPEN_ATTEMPTS
    }

    /// Whether there is no room for one more early `Started`.
    pub fn is_full_of_starts(&self, attempt: Attempt) -> bool {
        self.starts.get(&attempt).is_some_and(|starts| starts.len() >= MAX_EARLY_STARTS)
    }

    /// Bytes of round messages that wait.
    pub fn held_bytes(&self) -> usize {
        let senders = self.held.values().flat_map(BTreeMap::values);
        senders.flat_map(BTreeMap::values).sum()
    }

    /// What has to become of a round message, given how much of its sender was delivered in the
    /// attempt, if that runs.
    pub fn fate(&self, envelope: &RoundEnvelope, me: PartyId, delivered: Option<Seq>) -> Fate {
        use mpc_pending::DropCause::{NoSession, NotAMember, Repeated, StaleAttempt};
        let header = &envelope.header;
        let from = header.from;
        if header.to != me || from == me {
            return Fate::Dropped(NotAMember);
        }
        if self.over_until.is_some() {
            return Fate::Dropped(NoSession);
        }
        if self.is_superseded(header.attempt) {
            return Fate::Dropped(StaleAttempt);
        }
        if self.plans.get(&header.attempt).is_some_and(|plan| !plan.quorum.contains(&from)) {
            return Fate::Dropped(NotAMember);
        }
        let waiting = self.held.get(&header.attempt).and_then(|senders| senders.get(&from));
        if delivered.is_some_and(|next| header.seq < next)
            || waiting.is_some_and(|seqs| seqs.contains_key(&header.seq))
        {
            return Fate::Dropped(Repeated);
        }
        if delivered == Some(header.seq) { Fate::Flows } else { Fate::Held }
    }
}

/// Whether these are the joins of exactly the plan's quorum, this party's own one among them.
pub fn is_start_of(joins: &[VerifiedJoin], plan: &AttemptPlan, own: &SignedJoin) -> bool {
    let hash = plan.hash();
    let members: BTreeSet<_> = joins.iter().map(VerifiedJoin::member).collect();
    members == plan.quorum
        && members.len() == joins.len()
        && joins.iter().all(|join| join.plan_hash() == hash)
        && joins.iter().any(|join| join.as_join() == own)
}
