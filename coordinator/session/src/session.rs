//! The machine.

use crate::Millis;
use crate::attempt::abort;
use crate::effect::Effect;
use crate::end::SessionEnd;
use crate::event::Event;
use crate::quorum::Candidates;
use crate::record::{PastAttempt, RaisedObjection, Record};
use crate::state::{Ended, Gathering, Patience, Position, State};
use crate::status::{Phase, Status};
use mpc_wire::{Attempt, AuxId, Intent, PartyId, ToParty};
use std::collections::BTreeSet;

/// What a session starts from.
#[derive(Debug, Clone)]
pub struct Order {
    /// What it is for.
    pub intent: Intent,
    /// The aux set that its attempts use, for schemes that need one.
    pub aux_id: Option<AuxId>,
    /// When it ends at the latest.
    pub deadline: Millis,
    /// The eligible parties that can be reached, the preferred first.
    pub online: Vec<PartyId>,
}

/// One run that the coordinator supervises, from intent to end.
#[derive(Debug, Clone)]
pub struct Session {
    pub(crate) intent: Intent,
    pub(crate) aux_id: Option<AuxId>,
    pub(crate) deadline: Millis,
    pub(crate) candidates: Candidates,
    pub(crate) attempt: Attempt,
    pub(crate) past: Vec<PastAttempt>,
    pub(crate) objections: BTreeSet<RaisedObjection>,
    pub(crate) state: State,
}

impl Session {
    /// Opens a session. The first effect stores it; invitations follow if a quorum can be reached.
    pub fn open(order: Order, now: Millis) -> (Self, Vec<Effect>) {
        let mut session = Self::gathering(order, Attempt::default(), Vec::new());
        let mut effects = Vec::new();
        session.go_on(now, &mut effects);
        (session, effects)
    }

    /// Takes up a session that was running when the process ended. Its attempt may be alive in the
    /// parties: they are invited to it once more, and answer with the joins that they have stored,
    /// or with an outcome. What one of them has to report is heard before another attempt is planned.
    pub fn restore(
        record: Record,
        deadline: Millis,
        online: Vec<PartyId>,
        now: Millis,
    ) -> (Self, Vec<Effect>) {
        let Record { intent, aux_id, attempt, quorum, past, declines, objections, end } = record;
        let mut session =
            Self::gathering(Order { intent, aux_id, deadline, online }, attempt, past);
        session.objections = objections;
        for (party, reason) in declines {
            session.candidates.decline(party, reason);
        }
        let mut effects = Vec::new();
        match end {
            Some(end) => session.state = State::Ended(Ended { end }),
            // Nobody is invited to a session that is too late.
            None if now >= session.deadline => session.tick(now, &mut effects),
            None => match session.declined_by_too_many() {
                Some(end) => session.end(end, &mut effects),
                None if quorum.is_empty() => session.go_on(now, &mut effects),
                None => session.take_up(quorum, now, &mut effects),
            },
        }
        (session, effects)
    }

    /// Takes an event and says what is to be done.
    pub fn handle(&mut self, event: Event, now: Millis) -> Vec<Effect> {
        let mut effects = Vec::new();
        let has_woken = self.candidates.wake(now);
        match event {
            Event::Online(party) => self.online(party, now, &mut effects),
            Event::Offline(party) => self.offline(party, now, &mut effects),
            Event::Joined { attempt, join } => self.joined(attempt, join, now, &mut effects),
            Event::JoinBroken { from, attempt } => {
                self.join_was_broken(from, attempt, &mut effects);
            }
            Event::Declined { from, attempt, reason } => {
                self.declined(from, attempt, reason, now, &mut effects);
            }
            Event::AwaitingApproval { from, attempt } => {
                self.awaiting_approval(from, attempt, &mut effects);
            }
            Event::Objected { from, attempt, objection } => {
                self.objected(from, attempt, objection, now, &mut effects);
            }
            Event::Round(envelope) => self.round(envelope, now, &mut effects),
            Event::Acknowledged(ack) => self.acknowledged(ack, &mut effects),
            Event::RoundRefused(header) => self.round_refused(header, now, &mut effects),
            Event::Progress { from, attempt, stage, round, waiting_for } => {
                let position = Position::new((stage, round), waiting_for);
                self.progress(from, attempt, position, now, &mut effects);
            }
            Event::Outcome { from, attempt, outcome } => {
                self.outcome(from, attempt, outcome.into_outcome(), now, &mut effects);
            }
            Event::Cancelled => self.end(SessionEnd::Cancelled, &mut effects),
            Event::Tick => self.tick(now, &mut effects),
        }
        if has_woken {
            self.can_ask_more(now, &mut effects);
        }
        effects
    }

    /// What the session is for.
    pub fn intent(&self) -> &Intent {
        &self.intent
    }

    /// How the session ended, if it did.
    pub fn ended(&self) -> Option<&SessionEnd> {
        match &self.state {
            State::Ended(ended) => Some(&ended.end),
            State::Gathering(_) | State::Joining(_) | State::Running(_) => None,
        }
    }

    /// Where the session stands.
    pub fn status(&self) -> Status {
        let (phase, quorum, waiting_for, position) = match &self.state {
            State::Gathering(_) => {
                (Phase::WaitingForParties, BTreeSet::new(), self.candidates.missing(), None)
            }
            State::Joining(joining) => {
                let overdue = joining.overdue();
                let phase = if overdue.is_empty() {
                    Phase::WaitingForApproval
                } else if overdue.iter().all(|party| self.candidates.is_online(*party)) {
                    Phase::Joining
                } else {
                    Phase::WaitingForParties
                };
                (phase, joining.plan.quorum.clone(), joining.missing(), None)
            }
            State::Running(running) => (
                Phase::Running,
                running.plan.quorum.clone(),
                running.waiting_for(),
                running.hindmost(),
            ),
            State::Ended(_) => (Phase::Ended, BTreeSet::new(), BTreeSet::new(), None),
        };
        Status { phase, attempt: self.attempt, quorum, waiting_for, position }
    }

    /// The session as it is to be stored.
    pub fn record(&self) -> Record {
        Record {
            intent: self.intent.clone(),
            aux_id: self.aux_id,
            attempt: self.attempt,
            quorum: self.status().quorum,
            past: self.past.clone(),
            declines: self.candidates.declined().clone(),
            objections: self.objections.clone(),
            end: self.ended().cloned(),
        }
    }

    fn gathering(order: Order, attempt: Attempt, past: Vec<PastAttempt>) -> Self {
        let Order { intent, aux_id, deadline, online } = order;
        let candidates = Candidates::new(intent.eligible.clone(), online);
        let state = State::Gathering(Gathering);
        let objections = BTreeSet::new();
        Self { intent, aux_id, deadline, candidates, attempt, past, objections, state }
    }

    pub(crate) fn persist(&self) -> Effect {
        Effect::Persist(Box::new(self.record()))
    }

    fn online(&mut self, party: PartyId, now: Millis, effects: &mut Vec<Effect>) {
        // Before it counts itself among those that could take its place.
        let could_be_replaced = self.has_replacement();
        self.candidates.set_online(party);
        self.can_ask_more(now, effects);
        self.is_back(party, could_be_replaced, now, effects);
        self.lose_patience(now, effects);
    }

    /// Somebody can be asked who could not be before.
    fn can_ask_more(&mut self, now: Millis, effects: &mut Vec<Effect>) {
        self.replace_absent(now, effects);
        match &self.state {
            State::Gathering(_) => self.try_attempt(now, effects),
            // Once a person has approved, the attempt is not given up for a party whose own person
            // may have to be asked first.
            State::Joining(joining)
                if joining.patience == Patience::WithPersons
                    && !joining.is_approved_by_a_person() =>
            {
                self.ask_others(now, effects);
            }
            State::Joining(_) | State::Running(_) | State::Ended(_) => {}
        }
    }

    fn tick(&mut self, now: Millis, effects: &mut Vec<Effect>) {
        if self.ended().is_some() {
            return;
        }
        if now >= self.deadline {
            let waiting_for = self.status().waiting_for;
            self.end(SessionEnd::Expired { waiting_for }, effects);
            return;
        }
        self.lose_patience(now, effects);
    }

    /// Ends the session: stored first, then told to the requester and to every party that may
    /// hold something for it.
    pub(crate) fn end(&mut self, end: SessionEnd, effects: &mut Vec<Effect>) {
        let abort_reason = end.abort_reason();
        let plan =
            match std::mem::replace(&mut self.state, State::Ended(Ended { end: end.clone() })) {
                State::Ended(ended) => {
                    self.state = State::Ended(ended);
                    return;
                }
                State::Gathering(_) => None,
                State::Joining(joining) => Some(joining.plan),
                State::Running(running) => Some(running.plan),
            };
        effects.push(self.persist());
        effects.push(Effect::End(end));
        if let (Some(plan), Some(reason)) = (&plan, abort_reason) {
            effects.extend(abort(plan, reason));
        }
        let invited: BTreeSet<_> = self
            .past
            .iter()
            .flat_map(|past| &past.quorum)
            .chain(plan.iter().flat_map(|p| &p.quorum))
            .copied()
            .collect();
        effects.extend(invited.into_iter().map(|party| self.finished(party)));
    }

    pub(crate) fn finished(&self, to: PartyId) -> Effect {
        let message = Box::new(ToParty::Finished { session: self.intent.session });
        Effect::Send { to, message }
    }
}
