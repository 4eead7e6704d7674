//! How the facts grow with each event, and what the machine then owes.

use super::cast::Member;
use super::facts::{Consent, Facts, Fate, is_start_of};
use super::shared::Shared;
use super::world::World;
use mpc_pending::limits::{
    GRACE, MAX_HELD_BYTES, MAX_HELD_BYTES_IN_ALL, MAX_HELD_MESSAGES, MAX_ORPHANS, ORPHAN_PATIENCE,
};
use mpc_pending::record::StoredProgress;
use mpc_pending::{DropCause, Effect, Event};
use mpc_wire::Objection as O;
use mpc_wire::{Attempt, AttemptPlan, Intent, Objection, RoundEnvelope, SessionId};

/// What an event obliges the machine to, by the facts before it.
#[derive(Debug, Clone, Default)]
pub struct Due {
    /// What has to become of the round message that the event is.
    pub fate: Option<Fate>,
    /// Whether there is no room for it.
    pub is_full: bool,
    /// What is to be dropped in so many words: with nothing less it would vanish.
    pub drops: Vec<(SessionId, DropCause)>,
    /// Whether the event is an invitation that has to be declined.
    pub declines: bool,
    /// Whether somebody has to be asked.
    pub asks: bool,
    /// What the party has to have objected to when the event is over.
    pub objections: Vec<(SessionId, Attempt, Objection)>,
}

impl World {
    /// What the event will oblige the machine to.
    pub(crate) fn due(&self, event: &Event) -> Due {
        let mut due = Due::default();
        match event {
            Event::RoundMessage(envelope) => {
                let header = &envelope.header;
                let running = self.ledger.running.get(&header.session);
                let running = running.filter(|running| running.attempt == header.attempt);
                let next = |running: &super::world::Running| {
                    running.next.get(&header.from).copied().unwrap_or_default()
                };
                let facts = self.facts.get(&header.session).cloned().unwrap_or_default();
                due.fate = Some(facts.fate(envelope, Member::Me.party(), running.map(next)));
                due.is_full = self.is_full(envelope, &facts);
                if due.fate == Some(Fate::Dropped(DropCause::NotAMember)) {
                    self.due_to_wrong(header.session, header.attempt, O::Misrouted, &mut due);
                }
            }
            Event::Invited { intent, plan } => self.due_to_invitation(intent, plan, &mut due),
            Event::Tick => {
                let patience =
                    |facts: &Facts| facts.is_orphan() && facts.orphan_until <= self.monotonic;
                let stale = self.facts.iter().filter(|(_, facts)| patience(facts));
                due.drops = stale.map(|(session, _)| (*session, DropCause::NoSession)).collect();
            }
            Event::Restored(records) => {
                for record in records {
                    if let StoredProgress::Joined { plan, .. } = &record.progress {
                        self.due_to_plan(plan, &mut due);
                    }
                }
            }
            Event::Started { session, attempt, joins } => {
                let facts = self.facts.get(session);
                let plan = facts.and_then(|facts| facts.plans.get(attempt));
                let running = self.ledger.running.get(session).map(|running| running.attempt);
                let own = self.ledger.joined.get(session).filter(|(joined, _)| joined == attempt);
                if let (Some(plan), Some((_, own))) = (plan, own)
                    && running != Some(*attempt)
                    && !is_start_of(joins, plan, own)
                {
                    self.due_to_wrong(*session, *attempt, O::WrongJoins, &mut due);
                }
            }
            Event::Unverified { session, attempt, objection } => {
                self.due_to_wrong(*session, *attempt, *objection, &mut due);
            }
            Event::Intend(_)
            | Event::Pondering(_)
            | Event::Approved(_)
            | Event::Refused { .. }
            | Event::RunnerEnded { .. }
            | Event::Aborted { .. }
            | Event::Finished(_)
            | Event::Connected => {}
        }
        due
    }

    fn due_to_invitation(&self, intent: &Intent, plan: &AttemptPlan, due: &mut Due) {
        let facts = self.facts.get(&intent.session).cloned().unwrap_or_default();
        let rival = facts.plans.get(&plan.attempt).is_some_and(|known| known != plan);
        due.declines = !self.fits(intent, plan) || !self.admits(intent) || rival;
        let is_taken = !due.declines && !facts.is_superseded(plan.attempt);
        due.asks = is_taken && facts.consent == Consent::Unasked;
        if is_taken && !facts.plans.contains_key(&plan.attempt) {
            self.due_to_plan(plan, due);
        }
    }

    /// Once a plan is known, messages of others than its members have no place.
    fn due_to_plan(&self, plan: &AttemptPlan, due: &mut Due) {
        let facts = self.facts.get(&plan.session);
        let held = facts.and_then(|facts| facts.held.get(&plan.attempt));
        for (_, seqs) in held.into_iter().flatten().filter(|(from, _)| !plan.quorum.contains(from))
        {
            due.drops.extend(seqs.iter().map(|_| (plan.session, DropCause::NotAMember)));
            let is_any = !seqs.is_empty();
            due.objections.extend(is_any.then_some((plan.session, plan.attempt, O::Misrouted)));
        }
    }

    /// Something came that somebody forged or mixed up: that is to be said, if the party was
    /// invited to the attempt.
    fn due_to_wrong(&self, session: SessionId, attempt: Attempt, what: Objection, due: &mut Due) {
        let facts = self.facts.get(&session).filter(|facts| facts.is_live());
        if facts.is_some_and(|facts| facts.plans.contains_key(&attempt)) {
            due.objections.push((session, attempt, what));
        }
    }

    /// Whether some bound stands against holding the message.
    fn is_full(&self, envelope: &RoundEnvelope, facts: &Facts) -> bool {
        let header = &envelope.header;
        let size = envelope.sealed.len();
        let in_all: usize = self.facts.values().map(|facts| facts.held_bytes()).sum();
        let senders = facts.held.get(&header.attempt);
        let of_sender = senders.and_then(|senders| senders.get(&header.from));
        let orphans = self.facts.values().filter(|facts| facts.is_orphan()).count();
        size + facts.held_bytes() > MAX_HELD_BYTES
            || size + in_all > MAX_HELD_BYTES_IN_ALL
            || of_sender.is_some_and(|seqs| seqs.len() >= MAX_HELD_MESSAGES)
            || facts.is_full_for(header.attempt)
            || (!self.facts.contains_key(&header.session) && orphans >= MAX_ORPHANS)
    }

    /// Whether the plan is one for this intent and this party.
    fn fits(&self, intent: &Intent, plan: &AttemptPlan) -> bool {
        intent.check().is_ok()
            && (plan.session, plan.intent_hash) == (intent.session, intent.hash())
            && plan.attempt >= Attempt::FIRST
            && plan.quorum.len() == intent.quorum_size()
            && plan.quorum.is_subset(&intent.eligible)
            && plan.quorum.contains(&Member::Me.party())
    }

    /// Whether the session may go on, or begin, with this intent.
    fn admits(&self, intent: &Intent) -> bool {
        let known = self.facts.get(&intent.session);
        let others = self.facts.iter().filter(|(session, _)| **session != intent.session);
        let mut requests = others.filter_map(|(_, facts)| facts.intent.as_ref()).map(|i| i.request);
        intent.expires_at.0 > self.wall
            && requests.all(|request| request != intent.request)
            && known.is_none_or(|facts| facts.is_orphan() || facts.is_live())
            && known.and_then(|facts| facts.intent.as_ref()).is_none_or(|known| known == intent)
    }

    /// Takes the event into the facts.
    pub(crate) fn hear(&mut self, event: &Event, due: &Due, effects: &[Effect]) {
        match event {
            Event::Intend(intent) if self.admits(intent) => {
                let facts = self.take_up(intent);
                if !matches!(facts.consent, Consent::Given | Consent::Refused) {
                    facts.consent = Consent::Given;
                    facts.supersede();
                }
            }
            Event::Intend(_) => {}
            Event::Invited { intent, plan } if !due.declines => {
                let facts = self.take_up(intent);
                if due.asks {
                    facts.consent = Consent::Asked;
                }
                if !facts.is_superseded(plan.attempt) {
                    facts.make_way_for(plan.attempt);
                    facts.plans.insert(plan.attempt, plan.clone());
                    if let Some(held) = facts.held.get_mut(&plan.attempt) {
                        held.retain(|from, _| plan.quorum.contains(from));
                    }
                    facts.supersede();
                }
            }
            Event::Invited { .. } | Event::Unverified { .. } | Event::Connected => {}
            Event::Pondering(session) => self.decide(*session, Consent::Pondered),
            Event::Approved(session) => self.decide(*session, Consent::Given),
            Event::Refused { session, .. } => self.decide(*session, Consent::Refused),
            Event::Started { session, attempt, joins } => {
                let running = self.ledger.running.get(session).map(|running| running.attempt);
                let is_launched = running == Some(*attempt);
                let own = self.ledger.joined.get(session).filter(|(joined, _)| joined == attempt);
                let own = own.map(|(_, join)| join.clone());
                let Some(facts) = self.early(*session) else { return };
                let is_right = facts
                    .plans
                    .get(attempt)
                    .zip(own.as_ref())
                    .map(|(plan, own)| is_start_of(joins, plan, own));
                let is_full = facts.is_full_for(*attempt)
                    || (is_right.is_none() && facts.is_full_of_starts(*attempt));
                if !is_launched
                    && !is_full
                    && !facts.is_superseded(*attempt)
                    && is_right != Some(false)
                {
                    let starts = facts.starts.entry(*attempt).or_default();
                    if !starts.contains(joins) {
                        starts.push(joins.clone());
                    }
                }
            }
            Event::RoundMessage(envelope) => {
                let refuses =
                    |effect: &Effect| matches!(effect, Effect::Refuse(_) | Effect::Drop { .. });
                let is_taken = !effects.iter().any(refuses);
                if is_taken && matches!(due.fate, Some(Fate::Held | Fate::Flows)) {
                    let header = envelope.header;
                    let Some(facts) = self.early(header.session) else { return };
                    let senders = facts.held.entry(header.attempt).or_default();
                    let seqs = senders.entry(header.from).or_default();
                    seqs.insert(header.seq, envelope.sealed.len());
                }
            }
            Event::RunnerEnded { session, attempt, .. } => {
                let running = self.ledger.running.get(session);
                if running.is_some_and(|running| running.attempt == *attempt) {
                    self.ledger.running.remove(session);
                    let facts = self.facts.entry(*session).or_default();
                    if facts.is_finishing {
                        facts.finish(self.monotonic, GRACE);
                    } else {
                        facts.end(*attempt);
                    }
                }
            }
            Event::Aborted { session, attempt } => {
                let known = self.facts.get_mut(session);
                let Some(facts) = known.filter(|facts| facts.is_under_way()) else { return };
                if !facts.is_finishing {
                    facts.kill(*attempt);
                } else if *attempt > facts.dead {
                    // Only the runner kept the session.
                    facts.finish(self.monotonic, GRACE);
                }
            }
            Event::Finished(session) => {
                let is_running = self.ledger.running.contains_key(session);
                if let Some(facts) = self.facts.get_mut(session).filter(|facts| facts.is_live()) {
                    if is_running {
                        facts.is_finishing = true;
                    } else {
                        facts.finish(self.monotonic, GRACE);
                    }
                }
            }
            Event::Tick => {
                let now = self.monotonic;
                self.facts.retain(|_, facts| !facts.is_orphan() || facts.orphan_until > now);
                let known = self.facts.values_mut().filter(|facts| facts.is_under_way());
                known.filter(|facts| facts.deadline <= now).for_each(|f| f.finish(now, GRACE));
            }
            Event::Restored(records) => {
                self.is_restored = true;
                for record in records {
                    let session = record.intent.session;
                    let mut facts = Facts::from_record(record, self.monotonic, self.wall, GRACE);
                    if let Some(early) = self.facts.remove(&session) {
                        facts.absorb(&early);
                    }
                    self.facts.insert(session, facts.into());
                }
            }
        }
    }

    /// The facts of a session that is now known for what it is.
    fn take_up(&mut self, intent: &Intent) -> &mut Shared<Facts> {
        let left = intent.expires_at.0.saturating_sub(self.wall);
        let deadline = self.monotonic + left;
        let facts = self.facts.entry(intent.session).or_default();
        if facts.intent.is_none() {
            facts.intent = Some(intent.clone());
            facts.deadline = deadline;
        }
        facts
    }

    /// Only who was asked can answer.
    fn decide(&mut self, session: SessionId, consent: Consent) {
        if let Some(facts) = self.facts.get_mut(&session)
            && facts.is_live()
            && (facts.consent == Consent::Asked
                || (facts.consent == Consent::Pondered && consent != Consent::Pondered))
        {
            facts.consent = consent;
            facts.supersede();
        }
    }

    /// The facts that an early message belongs to, if it may have a place at all.
    fn early(&mut self, session: SessionId) -> Option<&mut Shared<Facts>> {
        let orphans = self.facts.values().filter(|facts| facts.is_orphan()).count();
        let orphan_until = self.monotonic + ORPHAN_PATIENCE;
        match self.facts.get(&session) {
            Some(facts) if facts.over_until.is_some() => None,
            None if orphans >= MAX_ORPHANS => None,
            Some(_) | None => {
                let new = Facts { orphan_until, ..Facts::default() };
                Some(self.facts.entry(session).or_insert_with(|| new.into()))
            }
        }
    }
}

impl Facts {
    /// Takes over the early messages that came before the store was read.
    fn absorb(&mut self, early: &Self) {
        if self.over_until.is_some() {
            return;
        }
        let above = |attempt: &Attempt| *attempt > self.dead;
        let starts = early.starts.iter().filter(|(attempt, _)| above(attempt));
        self.starts.extend(starts.map(|(attempt, starts)| (*attempt, starts.clone())));
        for (attempt, senders) in early.held.iter().filter(|(attempt, _)| above(attempt)) {
            let mut senders = senders.clone();
            if let Some(plan) = self.plans.get(attempt) {
                senders.retain(|from, _| plan.quorum.contains(from));
            }
            self.held.insert(*attempt, senders);
        }
    }
}
