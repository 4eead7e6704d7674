//! A party: the real machine, and what its shell does between events.
//!
//! This models `party-runtime`'s pending actor, runner and link, as far as sessions are concerned:
//! what is stored before what, what is said again when, what a restart finds.

mod reminding;
mod running;

use crate::around::Around;
use crate::cast::{StubJoiner, name};
use crate::dice::Span;
use crate::engine::StubRun;
use crate::happening::{AtParty, Happening, Life, Who};
use crate::time::{Clock, Moment};
use mpc_pending::record::StoredProgress;
use mpc_pending::reminders::{REMINDER, Reminders};
use mpc_pending::{Batch, Delivery, Effect, Event, Now, Pending, Record};
use mpc_wire::{
    Attempt, DeclineReason, Identity, Intent, Objection, PartyId, SessionId, ToCoordinator,
    ToParty, UnixMillis,
};
use std::collections::{BTreeMap, VecDeque};

/// How often the machine is told the time.
const TICK: u64 = 1_000;

/// How long policy needs for a decision, at most.
const DECISION: u64 = 4;

/// How long a party is gone that dies in the midst of something.
const DOWN: Span = Span(50, 4_000);

/// One party.
#[derive(Debug)]
pub struct Party {
    id: PartyId,
    joiner: StubJoiner,
    clock: Clock,
    life: Life,
    /// What a crash leaves.
    disk: BTreeMap<SessionId, Record>,
    /// None while the process does not run.
    process: Option<Process>,
}

/// What a crash takes.
#[derive(Debug)]
struct Process {
    machine: Pending,
    delivery: Delivery,
    runs: BTreeMap<(SessionId, Attempt), StubRun>,
    standings: BTreeMap<SessionId, ToCoordinator>,
    reminders: Reminders,
    waiting: VecDeque<Effect>,
    storing: Option<Batch>,
    /// When it is looked for what is due.
    pulse: Option<Moment>,
    /// Behind how many more effects it dies.
    dies_behind: Option<u64>,
}

impl Process {
    fn new(me: PartyId) -> Self {
        Self {
            machine: Pending::new(me),
            delivery: Delivery::new(me),
            runs: BTreeMap::new(),
            standings: BTreeMap::new(),
            reminders: Reminders::default(),
            waiting: VecDeque::new(),
            storing: None,
            pulse: None,
            dies_behind: None,
        }
    }

    /// Counts an effect; false if the process dies before it.
    fn survives(&mut self) -> bool {
        match &mut self.dies_behind {
            Some(0) => false,
            Some(left) => {
                *left -= 1;
                true
            }
            None => true,
        }
    }
}

impl Party {
    /// A party whose process does not run yet.
    pub fn new(identity: &'static Identity, joiner: StubJoiner, error: i64) -> Self {
        Self {
            id: identity.party(),
            joiner,
            clock: Clock { error, ..Clock::default() },
            life: Life::default(),
            disk: BTreeMap::new(),
            process: None,
        }
    }

    /// Its present life.
    pub fn life(&self) -> Life {
        self.life
    }

    /// Whether its process runs.
    pub fn is_up(&self) -> bool {
        self.process.is_some()
    }

    /// Sets the wall clock, as an operator or a time server may at any time.
    pub fn set_clock(&mut self, error: i64) {
        self.clock.error = error;
    }

    /// Whether nothing is left of any session.
    pub fn has_forgotten(&self) -> bool {
        let process_has = self.process.as_ref().is_none_or(|process| {
            process.machine.known() == 0
                && process.delivery.wake_at().is_none()
                && process.delivery.unacked_bytes() == 0
                && process.runs.is_empty()
                && process.standings.is_empty()
                && process.waiting.is_empty()
        });
        self.disk.is_empty() && process_has
    }

    /// What is left, for people.
    pub fn left(&self) -> String {
        let known = self.process.as_ref().map_or(0, |process| process.machine.known());
        let runs = self.process.as_ref().map_or(0, |process| process.runs.len());
        let stored = self.disk.values().next().map(|record| &record.progress);
        format!(
            "{} knows {known} sessions, runs {runs}, and has stored {}: {stored:?}",
            name(self.id),
            self.disk.len()
        )
    }

    /// The process starts, and reads its store before anything else.
    pub fn start(&mut self, around: &mut Around) {
        if self.process.is_some() {
            return;
        }
        self.life = self.life.next();
        self.clock.born = around.now;
        self.process = Some(Process::new(self.id));
        let records = self.disk.values().cloned().collect();
        for (wait, what) in [(TICK, AtParty::Tick), (REMINDER, AtParty::Reminder)] {
            around.later_at_party(wait, self.id, self.life, what);
        }
        around.later(0, Happening::Connect(self.id, self.life));
        self.apply(Event::Restored(records), around);
    }

    /// The process dies. What is being stored may be durable or not.
    pub fn die(&mut self, around: &mut Around) {
        let Some(process) = self.process.take() else { return };
        if let Some(batch) = process.storing
            && around.dice.chance(500)
        {
            self.write(batch.records, batch.forgotten, around);
        }
        if let Some(connection) = around.network.disconnect(self.id) {
            around.later(1, Happening::Gone(connection));
        }
    }

    /// Lets the process die behind some effects of what it does next.
    pub fn die_behind(&mut self, effects: u64) {
        if let Some(process) = &mut self.process {
            process.dies_behind = Some(effects);
        }
    }

    fn now(&self, around: &Around) -> Now {
        let monotonic = self.clock.monotonic(around.now);
        Now { monotonic, wall: self.clock.wall(around.now) }
    }

    fn apply(&mut self, event: Event, around: &mut Around) {
        let now = self.now(around);
        let Some(process) = &mut self.process else { return };
        process.waiting.extend(process.machine.handle(event, now, &mut self.joiner));
        self.perform_waiting(around);
    }

    /// Performs effects up to the first that must be durable, then stores all that is to be stored by
    /// now; the effects behind are performed once that is done. This is the one place where the order
    /// "persist, then send" is kept.
    fn perform_waiting(&mut self, around: &mut Around) {
        loop {
            let Some(process) = &mut self.process else { return };
            if process.storing.is_some() {
                return;
            }
            match process.waiting.front() {
                None => return,
                Some(Effect::Persist(_) | Effect::Forget(_)) => break,
                Some(_) => {
                    let effect = process.waiting.pop_front();
                    if !self.perform(effect, around) {
                        return;
                    }
                }
            }
        }
        let wait = around.commit();
        let Some(process) = &mut self.process else { return };
        process.storing = Some(Batch::collect(std::mem::take(&mut process.waiting)));
        if wait == 0 {
            self.stored(around);
        } else {
            around.later_at_party(wait, self.id, self.life, AtParty::Stored);
        }
    }

    fn stored(&mut self, around: &mut Around) {
        let Some(process) = &mut self.process else { return };
        let Some(batch) = process.storing.take() else { return };
        self.write(batch.records, batch.forgotten, around);
        for effect in batch.behind {
            if !self.perform(Some(effect), around) {
                return;
            }
        }
        self.perform_waiting(around);
    }

    fn write(&mut self, records: Vec<Record>, forgotten: Vec<SessionId>, around: &mut Around) {
        for record in records {
            let session = record.intent.session;
            around.ledger.party_stored(self.id, self.disk.get(&session), &record, around.now);
            self.disk.insert(session, record);
        }
        for session in forgotten {
            self.disk.remove(&session);
        }
    }

    /// Performs an effect; false if the process dies before it.
    fn perform(&mut self, effect: Option<Effect>, around: &mut Around) -> bool {
        let (Some(process), Some(effect)) = (&mut self.process, effect) else { return false };
        if !process.survives() {
            self.die(around);
            let down = around.dice.within(DOWN);
            around.ledger.disturb(around.now.after(down));
            around.later(down, Happening::Start(Who::Party(self.id)));
            return false;
        }
        match effect {
            // Collected by `Batch` before.
            Effect::Persist(_) | Effect::Forget(_) => {}
            Effect::SendRequest(intent) => {
                around.send_up(self.id, ToCoordinator::RequestSession { intent: *intent });
            }
            Effect::Ask(intent) => self.ask(&intent, around),
            Effect::SendJoin { session, attempt, join } => {
                let says_so = |progress: &StoredProgress| match progress {
                    StoredProgress::Joined { plan, prepared } => {
                        plan.attempt == attempt && prepared.join == *join
                    }
                    StoredProgress::Launched { plan, join: stored } => {
                        plan.attempt == attempt && *stored == *join
                    }
                    StoredProgress::Ended { attempt: ended, .. } => *ended == attempt,
                    StoredProgress::Idle | StoredProgress::Over => true,
                };
                let stored = self.disk.get(&session);
                let key = (session, attempt);
                around.ledger.party_told(self.id, key, stored, says_so, around.now);
                around.send_up(self.id, ToCoordinator::Join { session, attempt, join: *join });
            }
            Effect::SendDecline { session, attempt, reason } => {
                around.send_up(self.id, ToCoordinator::Decline { session, attempt, reason });
            }
            Effect::SendAwaitingApproval { session, attempt } => {
                around.send_up(self.id, ToCoordinator::AwaitingApproval { session, attempt });
            }
            Effect::Object { session, attempt, objection } => {
                around.ledger.objected(self.id, session, objection, around.now);
                around.send_up(self.id, ToCoordinator::Objected { session, attempt, objection });
            }
            Effect::Launch(launch) => self.launch(*launch, around),
            Effect::Kill { session, attempt } => {
                process.delivery.over(session);
                process.standings.remove(&session);
                process.runs.remove(&(session, attempt));
            }
            Effect::Deliver { session, attempt, messages } => {
                self.deliver((session, attempt), &messages, around);
            }
            Effect::Refuse(header) => {
                around.send_up(self.id, ToCoordinator::RoundRefused { header });
            }
            Effect::Report { session, attempt, outcome } => {
                let says_so = |progress: &StoredProgress| match progress {
                    StoredProgress::Ended { attempt: ended, outcome: how } => {
                        *ended == attempt && *how == *outcome
                    }
                    StoredProgress::Idle | StoredProgress::Over => true,
                    StoredProgress::Joined { .. } | StoredProgress::Launched { .. } => false,
                };
                let stored = self.disk.get(&session);
                let key = (session, attempt);
                around.ledger.party_told(self.id, key, stored, says_so, around.now);
                let outcome = *outcome;
                around.send_up(self.id, ToCoordinator::Outcome { session, attempt, outcome });
            }
            Effect::Over(session) => {
                process.delivery.over(session);
                process.standings.remove(&session);
            }
            Effect::Drop { .. } => {}
        }
        true
    }

    /// Policy, or a person behind it, is asked.
    fn ask(&mut self, intent: &Intent, around: &mut Around) {
        let session = intent.session;
        let wait = 1 + around.dice.below(DECISION);
        around.later_at_party(wait, self.id, self.life, AtParty::Decided(session));
    }

    fn decided(&mut self, session: SessionId, around: &mut Around) {
        if around.dice.chance(around.weather.habits.persons) {
            let wait = around.dice.within(around.weather.habits.pondering);
            around.later_at_party(wait, self.id, self.life, AtParty::PersonDecided(session));
            self.apply(Event::Pondering(session), around);
        } else {
            self.answer(session, around);
        }
    }

    fn answer(&mut self, session: SessionId, around: &mut Around) {
        if around.dice.chance(around.weather.habits.refusals) {
            self.apply(Event::Refused { session, reason: DeclineReason::Refused }, around);
        } else {
            around.ledger.consented(self.id, session);
            self.apply(Event::Approved(session), around);
        }
    }

    /// A local caller wants a session.
    pub fn intend(&mut self, intent: Intent, around: &mut Around) {
        around.ledger.consented(self.id, intent.session);
        self.apply(Event::Intend(intent), around);
    }

    /// The time of day, by this party's clock.
    pub fn wall(&self, around: &Around) -> UnixMillis {
        self.clock.wall(around.now)
    }

    /// A message of the coordinator's has arrived.
    pub fn told(&mut self, message: ToParty, around: &mut Around) {
        let now = self.now(around);
        let Some(process) = &mut self.process else { return };
        match message {
            ToParty::Invite { intent, plan } => self.apply(Event::Invited { intent, plan }, around),
            ToParty::Started { session, attempt, joins } => {
                let joins = joins.iter().map(|join| around.verify(session, join)).collect();
                let event = match joins {
                    Some(joins) => Event::Started { session, attempt, joins },
                    None => {
                        Event::Unverified { session, attempt, objection: Objection::ForgedJoin }
                    }
                };
                self.apply(event, around);
            }
            ToParty::Round(envelope) => {
                process.delivery.heard(&envelope.header, now);
                let is_due = process.delivery.wake_at().map(|at| self.clock.moment(at));
                if let Some(at) = is_due {
                    self.pulse_by(at, around);
                }
                self.apply(Event::RoundMessage(envelope), around);
            }
            ToParty::Ack(ack) => process.delivery.acknowledged(&ack, now),
            ToParty::Abort { session, attempt, .. } => {
                self.apply(Event::Aborted { session, attempt }, around);
            }
            ToParty::Finished { session }
            | ToParty::SessionRequested { session, result: Err(_), .. } => {
                self.apply(Event::Finished(session), around);
            }
            ToParty::SessionRequested { result: Ok(()), .. } => {}
            // Nobody here says these.
            ToParty::Challenge(_)
            | ToParty::Welcome { .. }
            | ToParty::AuditHead(_)
            | ToParty::Inquiry(_)
            | ToParty::Testimony(_)
            | ToParty::Ban(_)
            | ToParty::Error { .. }
            | ToParty::Activate { .. }
            | ToParty::Attest { .. }
            | ToParty::Discard(_) => {}
        }
    }

    /// Something happens that was foreseen in the process.
    pub fn meet(&mut self, what: AtParty, around: &mut Around) {
        match what {
            AtParty::Stored => self.stored(around),
            AtParty::Tick => {
                around.later_at_party(TICK, self.id, self.life, AtParty::Tick);
                self.apply(Event::Tick, around);
            }
            AtParty::Reminder => {
                around.later_at_party(REMINDER, self.id, self.life, AtParty::Reminder);
                self.say_again(around);
            }
            AtParty::Pulse => {
                let now = self.now(around);
                let Some(process) = &mut self.process else { return };
                // Another pulse was foreseen for an earlier time, and has been.
                if process.pulse.is_some_and(|pulse| pulse <= around.now) {
                    process.pulse = None;
                    let due = process.delivery.due(now);
                    self.dispatch(due, around);
                }
            }
            AtParty::Decided(session) => self.decided(session, around),
            AtParty::PersonDecided(session) => self.answer(session, around),
            AtParty::Worked(session, attempt) => {
                let key = (session, attempt);
                let steps = self
                    .process
                    .as_mut()
                    .and_then(|process| process.runs.get_mut(&key).map(StubRun::worked));
                self.take_steps(key, steps.unwrap_or_default(), around);
            }
        }
    }
}
