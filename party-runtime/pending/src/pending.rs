//! The machine.

use crate::early::drop_strange;
use crate::effect::{DropCause, Effect};
use crate::entry::{Consent, Entry, Joining, Life, Purpose};
use crate::event::{Event, Now};
use crate::join::{Joiner, PreparedJoin};
use crate::limits::MAX_SESSIONS;
use crate::record::{Record, StoredConsent};
use crate::settle::{persist, settle};
use mpc_wire::{
    Attempt, AttemptOutcome, AttemptPlan, DeclineReason, Intent, Objection, PartyId, RequestId,
    SessionId,
};
use std::collections::BTreeMap;

/// Every session that a party knows of.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pending {
    pub(crate) me: PartyId,
    pub(crate) entries: BTreeMap<SessionId, Entry>,
    /// Which session each request belongs to, for as long as the session is known.
    requests: BTreeMap<RequestId, SessionId>,
}

impl Pending {
    /// The machine of the party `me`, with no sessions.
    pub fn new(me: PartyId) -> Self {
        Self { me, entries: BTreeMap::new(), requests: BTreeMap::new() }
    }

    /// Takes an event and says what is to be done, in that order.
    pub fn handle(&mut self, event: Event, now: Now, joiner: &mut dyn Joiner) -> Vec<Effect> {
        let mut effects = Vec::new();
        match event {
            Event::Intend(intent) => self.intend(intent, now, joiner, &mut effects),
            Event::Invited { intent, plan } => {
                self.invited(intent, plan, now, joiner, &mut effects);
            }
            Event::Pondering(session) => {
                let consent = Consent::Pondered { told: Attempt::default() };
                self.decided(session, consent, now, joiner, &mut effects);
            }
            Event::Approved(session) => {
                let consent = Consent::Given(StoredConsent::Approved);
                self.decided(session, consent, now, joiner, &mut effects);
            }
            Event::Refused { session, reason } => {
                self.decided(session, Consent::Refused(reason), now, joiner, &mut effects);
            }
            Event::Started { session, attempt, joins } => {
                self.started(session, attempt, joins, now, joiner, &mut effects);
            }
            Event::RoundMessage(envelope) => {
                self.round_message(envelope, now, joiner, &mut effects);
            }
            Event::Unverified { session, attempt, objection } => {
                self.unverified(session, attempt, objection, now, joiner, &mut effects);
            }
            Event::RunnerEnded { session, attempt, outcome } => {
                self.runner_ended(session, attempt, outcome, now, &mut effects);
            }
            Event::Aborted { session, attempt } => {
                self.aborted(session, attempt, now, &mut effects);
            }
            Event::Finished(session) => self.finished(session, now, &mut effects),
            Event::Connected => self.connected(&mut effects),
            Event::Tick => self.tick(now, &mut effects),
            Event::Restored(records) => self.restored(records, now, joiner, &mut effects),
        }
        effects
    }

    /// How many sessions are under way.
    pub fn live(&self) -> usize {
        self.entries.values().filter(|entry| entry.is_under_way()).count()
    }

    /// The consent that was given to a session under way; none as long as it was not, or was refused.
    pub fn consent(&self, session: SessionId) -> Option<StoredConsent> {
        let entry = self.entries.get(&session).filter(|entry| entry.is_under_way())?;
        match entry.consent {
            Consent::Given(consent) => Some(consent),
            Consent::Unasked | Consent::Asked | Consent::Pondered { .. } | Consent::Refused(_) => {
                None
            }
        }
    }

    /// How many sessions are known at all, with those that are over or known by early messages.
    pub fn known(&self) -> usize {
        self.entries.len()
    }

    /// Bytes of round messages that wait for a launch.
    pub(crate) fn held_bytes(&self) -> usize {
        self.entries.values().map(Entry::held_bytes).sum()
    }

    fn intend(
        &mut self,
        intent: Intent,
        now: Now,
        joiner: &mut dyn Joiner,
        effects: &mut Vec<Effect>,
    ) {
        let session = intent.session;
        if self.admit(&intent, now).is_err() {
            effects.push(Effect::Over(session));
            return;
        }
        self.requests.insert(intent.request, session);
        let entry = self.entries.entry(session).or_insert_with(|| Entry::new(Life::Live));
        match &entry.consent {
            Consent::Unasked | Consent::Asked | Consent::Pondered { .. } => {}
            Consent::Given(_) => {
                effects.push(Effect::Drop { session, cause: DropCause::Repeated });
                return;
            }
            Consent::Refused(_) => {
                effects.push(Effect::Over(session));
                return;
            }
        }
        entry.life = Life::Live;
        entry.consent = Consent::Given(StoredConsent::Intended);
        let is_invited = entry.attempts.values().any(|facts| facts.plan.is_some());
        entry.purpose.get_or_insert_with(|| Purpose::new(intent.clone(), now));
        // The intent is durable before the request leaves: whatever comes back finds it.
        persist(entry, effects);
        if !is_invited {
            effects.push(Effect::SendRequest(Box::new(intent)));
        }
        settle(session, entry, now, joiner, effects);
    }

    fn invited(
        &mut self,
        intent: Intent,
        plan: AttemptPlan,
        now: Now,
        joiner: &mut dyn Joiner,
        effects: &mut Vec<Effect>,
    ) {
        let session = intent.session;
        let attempt = plan.attempt;
        let verdict = check_plan(&intent, &plan, self.me).and_then(|()| self.admit(&intent, now));
        if let Err(reason) = verdict {
            effects.push(Effect::SendDecline { session, attempt, reason });
            return;
        }
        self.requests.insert(intent.request, session);
        let entry = self.entries.entry(session).or_insert_with(|| Entry::new(Life::Live));
        entry.life = Life::Live;
        entry.purpose.get_or_insert_with(|| Purpose::new(intent, now));
        let facts = match entry.invited_mut(attempt) {
            Ok(facts) => facts,
            Err(cause) => {
                effects.push(entry.answer_for_dead(session, attempt, cause));
                return;
            }
        };
        let plan_hash = plan.hash();
        match (&facts.plan, &facts.joining) {
            (None, _) => {
                // What came before the plan was known could be from anybody.
                let strange = facts.keep_members_only(&plan.quorum);
                facts.plan = Some((plan, plan_hash));
                drop_strange(session, strange, effects);
            }
            (Some((_, known)), _) if *known != plan_hash => {
                let reason = DeclineReason::PlanMismatch;
                effects.push(Effect::SendDecline { session, attempt, reason });
                return;
            }
            // The coordinator asks again: it gets the very same join.
            (Some(_), Joining::Joined(PreparedJoin { join, .. }) | Joining::Launched(join)) => {
                let join = Box::new(join.clone());
                effects.push(Effect::SendJoin { session, attempt, join });
            }
            (Some(_), Joining::Not) => {
                effects.push(Effect::Drop { session, cause: DropCause::Repeated });
            }
        }
        settle(session, entry, now, joiner, effects);
    }

    /// Whether a session may be taken up: new or known, its intent alive and its own.
    fn admit(&self, intent: &Intent, now: Now) -> Result<(), DeclineReason> {
        if intent.expires_at <= now.wall {
            return Err(DeclineReason::Expired);
        }
        if self.requests.get(&intent.request).is_some_and(|session| *session != intent.session) {
            return Err(DeclineReason::RequestReused);
        }
        match self.entries.get(&intent.session) {
            Some(Entry { life: Life::Over { .. } | Life::Finishing, .. }) => {
                Err(DeclineReason::Expired)
            }
            Some(Entry { purpose: Some(purpose), .. }) if purpose.hash != intent.hash() => {
                Err(DeclineReason::IntentMismatch)
            }
            Some(_) => Ok(()),
            None if self.live() >= MAX_SESSIONS => Err(DeclineReason::Overloaded),
            None => Ok(()),
        }
    }

    fn decided(
        &mut self,
        session: SessionId,
        consent: Consent,
        now: Now,
        joiner: &mut dyn Joiner,
        effects: &mut Vec<Effect>,
    ) {
        match self.entries.get_mut(&session) {
            Some(entry) if entry.awaits(&consent) => {
                entry.consent = consent;
                settle(session, entry, now, joiner, effects);
            }
            Some(_) => effects.push(Effect::Drop { session, cause: DropCause::Repeated }),
            None => effects.push(Effect::Drop { session, cause: DropCause::NoSession }),
        }
    }

    /// The shell has found something wrong that it will not hand on. Of an attempt that the party
    /// was not invited to nobody wants to hear.
    fn unverified(
        &mut self,
        session: SessionId,
        attempt: Attempt,
        objection: Objection,
        now: Now,
        joiner: &mut dyn Joiner,
        effects: &mut Vec<Effect>,
    ) {
        effects.push(Effect::Drop { session, cause: DropCause::Unverified });
        if let Some(entry) = self.entries.get_mut(&session)
            && entry.find_objectionable(attempt, objection)
        {
            settle(session, entry, now, joiner, effects);
        }
    }

    fn runner_ended(
        &mut self,
        session: SessionId,
        attempt: Attempt,
        outcome: AttemptOutcome,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        match self.entries.get_mut(&session) {
            Some(entry) if entry.launched() == Some(attempt) => {
                entry.kill_up_to(attempt);
                if entry.life == Life::Finishing {
                    entry.set_over(now);
                    persist(entry, effects);
                    effects.push(Effect::Report { session, attempt, outcome: Box::new(outcome) });
                    effects.push(Effect::Over(session));
                    return;
                }
                entry.outcome = Some((attempt, outcome.clone()));
                // The outcome is durable before it is told: it can be told again.
                persist(entry, effects);
                effects.push(Effect::Report { session, attempt, outcome: Box::new(outcome) });
            }
            Some(_) => effects.push(Effect::Drop { session, cause: DropCause::StaleAttempt }),
            None => effects.push(Effect::Drop { session, cause: DropCause::NoSession }),
        }
    }

    fn aborted(
        &mut self,
        session: SessionId,
        attempt: Attempt,
        now: Now,
        effects: &mut Vec<Effect>,
    ) {
        let Some(entry) = self.entries.get_mut(&session) else {
            effects.push(Effect::Drop { session, cause: DropCause::NoSession });
            return;
        };
        if attempt <= entry.floor || !entry.is_under_way() {
            effects.push(Effect::Drop { session, cause: DropCause::StaleAttempt });
            return;
        }
        if entry.life == Life::Finishing {
            // The end was heard before, and only the runner kept the session.
            self.over(session, now, effects);
            return;
        }
        if let Some(attempt) = entry.kill_up_to(attempt) {
            effects.push(Effect::Kill { session, attempt });
        }
        persist(entry, effects);
    }

    /// The coordinator is done with the session. A runner that is still at work may end by itself.
    fn finished(&mut self, session: SessionId, now: Now, effects: &mut Vec<Effect>) {
        match self.entries.get_mut(&session) {
            Some(entry) if entry.life == Life::Live && entry.launched().is_some() => {
                entry.life = Life::Finishing;
            }
            Some(entry) if entry.life == Life::Live => self.over(session, now, effects),
            Some(_) | None => effects.push(Effect::Drop { session, cause: DropCause::NoSession }),
        }
    }

    fn over(&mut self, session: SessionId, now: Now, effects: &mut Vec<Effect>) {
        match self.entries.get_mut(&session) {
            Some(entry) if entry.is_under_way() => {
                let running = entry.launched();
                let was_stored = entry.is_stored();
                entry.set_over(now);
                if was_stored {
                    persist(entry, effects);
                }
                if let Some(attempt) = running {
                    effects.push(Effect::Kill { session, attempt });
                }
                effects.push(Effect::Over(session));
            }
            Some(_) | None => effects.push(Effect::Drop { session, cause: DropCause::NoSession }),
        }
    }

    /// Sends again what the coordinator may not have got.
    fn connected(&mut self, effects: &mut Vec<Effect>) {
        for (session, entry) in &self.entries {
            let (Life::Live, Some(purpose)) = (&entry.life, &entry.purpose) else { continue };
            let session = *session;
            for (attempt, facts) in &entry.attempts {
                if let Joining::Joined(prepared) = &facts.joining {
                    let join = Box::new(prepared.join.clone());
                    effects.push(Effect::SendJoin { session, attempt: *attempt, join });
                }
            }
            if let Some((attempt, outcome)) = &entry.outcome {
                let outcome = Box::new(outcome.clone());
                effects.push(Effect::Report { session, attempt: *attempt, outcome });
            }
            if let (Consent::Pondered { .. }, Some(attempt)) =
                (&entry.consent, entry.newest_invited())
            {
                effects.push(Effect::SendAwaitingApproval { session, attempt });
            }
            let is_untouched = entry.attempts.is_empty() && entry.floor == Attempt::default();
            if is_untouched && entry.consent == Consent::Given(StoredConsent::Intended) {
                effects.push(Effect::SendRequest(Box::new(purpose.intent.clone())));
            }
        }
    }

    fn tick(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let is_expired = |entry: &Entry| match &entry.life {
            Life::Live | Life::Finishing => entry.is_expired(now),
            Life::Orphan { .. } | Life::Over { .. } => false,
        };
        let expired: Vec<_> = self
            .entries
            .iter()
            .filter(|(_, entry)| is_expired(entry))
            .map(|(session, _)| *session)
            .collect();
        expired.into_iter().for_each(|session| self.over(session, now, effects));
        self.entries.retain(|session, entry| match entry.life {
            Life::Live | Life::Finishing => true,
            Life::Orphan { until } if until > now.monotonic => true,
            Life::Orphan { .. } => {
                effects.push(Effect::Drop { session: *session, cause: DropCause::NoSession });
                false
            }
            Life::Over { until } if until > now.monotonic => true,
            Life::Over { .. } => {
                effects.push(Effect::Forget(*session));
                false
            }
        });
        self.requests.retain(|_, session| self.entries.contains_key(session));
    }

    fn restored(
        &mut self,
        records: Vec<Record>,
        now: Now,
        joiner: &mut dyn Joiner,
        effects: &mut Vec<Effect>,
    ) {
        for record in records {
            let session = record.intent.session;
            self.requests.insert(record.intent.request, session);
            let mut entry = Entry::restore(record, now);
            if let Some(early) = self.entries.remove(&session) {
                let strange = entry.absorb_early(early);
                drop_strange(session, strange, effects);
            }
            persist(&entry, effects);
            if let Some((attempt, outcome)) = &entry.outcome {
                let outcome = Box::new(outcome.clone());
                effects.push(Effect::Report { session, attempt: *attempt, outcome });
            }
            settle(session, &mut entry, now, joiner, effects);
            self.entries.insert(session, entry);
        }
    }
}

/// Whether the plan is a plan for this intent and this party.
fn check_plan(intent: &Intent, plan: &AttemptPlan, me: PartyId) -> Result<(), DeclineReason> {
    intent.check().map_err(|_| DeclineReason::IntentMismatch)?;
    let fits = plan.session == intent.session
        && plan.intent_hash == intent.hash()
        && plan.attempt > Attempt::default()
        && plan.quorum.len() == intent.quorum_size()
        && plan.quorum.is_subset(&intent.eligible)
        && plan.quorum.contains(&me);
    if fits { Ok(()) } else { Err(DeclineReason::PlanMismatch) }
}
