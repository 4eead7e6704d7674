//! The coordinator: the real machines, and what its shells do between events.
//!
//! This models `coordinator`'s session actors, supervisor and hub, as far as sessions are concerned:
//! a session takes no event while a record of it is on its way to the disk, one that is over leaves,
//! and a start takes up whatever had not ended.

mod decode;

use crate::around::Around;
use crate::cast::{AUX, OrderNo, parties};
use crate::dice::Span;
use crate::happening::{AtCoordinator, Happening, Life, Who, session_said, session_told};
use crate::invariant::Invariant;
use crate::ledger::PUNCTUALITY;
use crate::time::{Clock, Moment};
use decode::decode;
use mpc_session::{Effect, Event, Millis, Order, Record, Session};
use mpc_wire::{Attempt, Intent, PartyId, SessionId, SessionRefusal, ToCoordinator, ToParty};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// How long a coordinator is gone that dies in the midst of something.
const DOWN: Span = Span(50, 3_000);

/// The coordinator.
#[derive(Debug, Default)]
pub struct Coordinator {
    clock: Clock,
    life: Life,
    /// What a crash leaves.
    disk: BTreeMap<SessionId, Record>,
    /// None while the process does not run.
    process: Option<Process>,
}

/// What a crash takes.
#[derive(Debug, Default)]
struct Process {
    sessions: BTreeMap<SessionId, Running>,
    online: BTreeSet<PartyId>,
    /// Counts openings, so that parties take turns.
    turn: u64,
    /// Behind how many more effects it dies.
    dies_behind: Option<u64>,
}

/// A session under way.
#[derive(Debug)]
struct Running {
    machine: Session,
    /// What is behind a record that is being stored.
    storing: Option<Storing>,
    /// What has come meanwhile.
    mailbox: VecDeque<Event>,
    /// When it is told the time.
    timer: Option<Moment>,
    /// The party that has asked for it and has had no answer.
    asker: Option<PartyId>,
}

#[derive(Debug)]
struct Storing {
    record: Box<Record>,
    behind: VecDeque<Effect>,
}

/// Why a session was not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotOpened {
    /// The process does not run.
    Down,
    /// Too few parties can be reached.
    TooFew,
}

impl Coordinator {
    /// Its present life.
    pub fn life(&self) -> Life {
        self.life
    }

    /// Whether its process runs.
    pub fn is_up(&self) -> bool {
        self.process.is_some()
    }

    /// Since when it has run.
    pub fn up_since(&self) -> Moment {
        self.clock.born
    }

    /// How many sessions it carries.
    pub fn running(&self) -> usize {
        self.process.as_ref().map_or(0, |process| process.sessions.len())
    }

    fn now(&self, around: &Around) -> Millis {
        Millis(self.clock.monotonic(around.now))
    }

    fn deadline(&self, intent: &Intent, around: &Around) -> Millis {
        let left = intent.expires_at.0.saturating_sub(self.clock.wall(around.now).0);
        self.now(around).after(left)
    }

    /// The process starts, and takes up every session that had not ended.
    pub fn start(&mut self, around: &mut Around) {
        if self.process.is_some() {
            return;
        }
        self.life = self.life.next();
        self.clock.born = around.now;
        self.process = Some(Process::default());
        let running = self.disk.values().filter(|record| record.end.is_none());
        for record in running.cloned().collect::<Vec<_>>() {
            let deadline = self.deadline(&record.intent, around);
            let id = record.intent.session;
            // Nobody is connected yet.
            let (machine, effects) =
                Session::restore(record, deadline, Vec::new(), self.now(around));
            self.bear(id, machine, None);
            self.perform(id, effects.into(), around);
        }
    }

    /// The process dies, and every connection with it. A record on its way to the disk may be durable
    /// or not.
    pub fn die(&mut self, around: &mut Around) {
        let Some(process) = self.process.take() else { return };
        for running in process.sessions.into_values() {
            if let Some(storing) = running.storing
                && around.dice.chance(500)
            {
                self.write(*storing.record, around);
            }
        }
        for party in parties() {
            around.later(0, Happening::Break(party));
        }
    }

    /// Lets the process die behind some effects of what it does next.
    pub fn die_behind(&mut self, effects: u64) {
        if let Some(process) = &mut self.process {
            process.dies_behind = Some(effects);
        }
    }

    /// Opens the session of a backend's order.
    ///
    /// # Errors
    /// [`NotOpened`]; nothing of it is stored then.
    pub fn order(&mut self, number: OrderNo, around: &mut Around) -> Result<(), NotOpened> {
        let wall = self.clock.wall(around.now);
        let order = usize::try_from(number.0).ok().and_then(|number| around.orders.get(number));
        let Some(intent) = order.map(|order| order.intent(wall)) else { return Ok(()) };
        self.open(intent, None, around)
    }

    fn open(
        &mut self,
        intent: Intent,
        asker: Option<PartyId>,
        around: &mut Around,
    ) -> Result<(), NotOpened> {
        let process = self.process.as_mut().ok_or(NotOpened::Down)?;
        if process.sessions.contains_key(&intent.session) {
            return Ok(());
        }
        let mut online: Vec<_> = intent.eligible.intersection(&process.online).copied().collect();
        if online.len() < intent.quorum_size() {
            return Err(NotOpened::TooFew);
        }
        process.turn += 1;
        let shift = usize::try_from(process.turn).unwrap_or(0) % online.len();
        online.rotate_left(shift);
        let deadline = self.deadline(&intent, around);
        let id = intent.session;
        let order = Order { intent, aux_id: Some(AUX), deadline, online };
        let (machine, effects) = Session::open(order, self.now(around));
        self.bear(id, machine, asker);
        self.perform(id, effects.into(), around);
        Ok(())
    }

    fn bear(&mut self, id: SessionId, machine: Session, asker: Option<PartyId>) {
        let (storing, mailbox, timer) = (None, VecDeque::new(), None);
        if let Some(process) = &mut self.process {
            process.sessions.insert(id, Running { machine, storing, mailbox, timer, asker });
        }
    }

    /// Gives a session an event, now or once its record is durable.
    fn give(&mut self, id: SessionId, event: Event, around: &mut Around) {
        let now = self.now(around);
        let running = self.process.as_mut().and_then(|process| process.sessions.get_mut(&id));
        let Some(running) = running else { return };
        if running.storing.is_some() {
            running.mailbox.push_back(event);
            return;
        }
        let repeated = repeated_outcome(&event)
            .filter(|(from, attempt)| around.ledger.reported(id, *attempt, *from))
            .map(|_| (running.machine.status(), running.machine.wake_at()));
        let effects = running.machine.handle(event, now);
        if let Some((status, wake_at)) = repeated {
            let goes_on = running.machine.status() != status;
            let later = running.machine.wake_at() > wake_at;
            let holds = goes_on || !later || running.machine.ended().is_some();
            around.ledger.must(holds, Invariant::RepeatedIsNoNews, id, around.now, || {
                "an outcome that was said again makes the session wait for longer".to_owned()
            });
        }
        self.perform(id, effects.into(), around);
    }

    /// Performs effects in their order, up to the first that must be durable.
    fn perform(&mut self, id: SessionId, mut effects: VecDeque<Effect>, around: &mut Around) {
        while let Some(effect) = effects.pop_front() {
            let Some(process) = &mut self.process else { return };
            if let Some(left) = &mut process.dies_behind {
                let Some(fewer) = left.checked_sub(1) else {
                    self.die(around);
                    let down = around.dice.within(DOWN);
                    around.ledger.disturb(around.now.after(down));
                    around.later(down, Happening::Start(Who::Coordinator));
                    return;
                };
                *left = fewer;
            }
            match effect {
                // Nothing behind this happens before the record is durable.
                Effect::Persist(record) => {
                    let wait = around.commit();
                    let Some(running) = process.sessions.get_mut(&id) else { return };
                    running.storing = Some(Storing { record, behind: effects });
                    if wait == 0 {
                        self.stored(id, around);
                    } else {
                        let what = AtCoordinator::Stored(id);
                        around.later_at_coordinator(wait, self.life, what);
                    }
                    return;
                }
                Effect::Send { to, message } => self.tell(to, message, around),
                Effect::End(end) => {
                    around.ledger.heard(id, &end, self.disk.get(&id), around.now);
                }
                Effect::Drop { .. } => {}
            }
        }
        self.settle(id, around);
    }

    /// Behind its last effect: a session that is over leaves, another one sets its timer and takes
    /// what has come.
    fn settle(&mut self, id: SessionId, around: &mut Around) {
        let Some(process) = &mut self.process else { return };
        let Some(running) = process.sessions.get_mut(&id) else { return };
        if running.machine.ended().is_some() {
            process.sessions.remove(&id);
            return;
        }
        if let Some(event) = running.mailbox.pop_front() {
            self.give(id, event, around);
            return;
        }
        if let Some(Millis(at)) = running.machine.wake_at() {
            let at = self.clock.moment(at).max(around.now);
            if running.timer.is_none_or(|timer| at < timer) {
                running.timer = Some(at);
                let what = AtCoordinator::Timer(id);
                around.queue.add(at, Happening::Coordinator(self.life, what));
            }
        }
    }

    fn stored(&mut self, id: SessionId, around: &mut Around) {
        let running = self.process.as_mut().and_then(|process| process.sessions.get_mut(&id));
        let Some(running) = running else { return };
        let Some(Storing { record, behind }) = running.storing.take() else { return };
        let asker = running.asker.take();
        let request = record.intent.request;
        self.write(*record, around);
        if let Some(asker) = asker {
            let result = Ok(());
            let message = ToParty::SessionRequested { session: id, request, result };
            self.tell(asker, Box::new(message), around);
        }
        self.perform(id, behind, around);
    }

    fn write(&mut self, record: Record, around: &mut Around) {
        let id = record.intent.session;
        if !self.disk.contains_key(&id) {
            let left = record.intent.expires_at.0.saturating_sub(self.clock.wall(around.now).0);
            let deadline = around.now.after(left);
            around.ledger.opened(&record.intent, around.now, deadline);
            around.queue.add(deadline.after(PUNCTUALITY + 1), Happening::Due(id));
        }
        around.ledger.stored(self.disk.get(&id), &record, around.now);
        self.disk.insert(id, record);
    }

    fn tell(&mut self, to: PartyId, message: Box<ToParty>, around: &mut Around) {
        let session = session_told(&message);
        let stored = session.and_then(|session| self.disk.get(&session));
        around.ledger.told(to, &message, stored, around.now);
        around.send_down(to, message);
    }

    /// A connection is open.
    pub fn online(&mut self, party: PartyId, around: &mut Around) {
        let Some(process) = &mut self.process else { return };
        // One that is announced again was away for a moment.
        if !process.online.insert(party) {
            self.tell_all(party, Event::Offline, around);
        }
        self.tell_all(party, Event::Online, around);
    }

    /// A connection is gone.
    pub fn offline(&mut self, party: PartyId, around: &mut Around) {
        let Some(process) = &mut self.process else { return };
        if process.online.remove(&party) {
            self.tell_all(party, Event::Offline, around);
        }
    }

    fn tell_all(&mut self, party: PartyId, event: fn(PartyId) -> Event, around: &mut Around) {
        let Some(process) = &self.process else { return };
        let concerned = process
            .sessions
            .iter()
            .filter(|(_, running)| running.machine.intent().eligible.contains(&party));
        for id in concerned.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.give(id, event(party), around);
        }
    }

    /// The requester wants no more of a session.
    pub fn cancel(&mut self, session: SessionId, around: &mut Around) {
        self.give(session, Event::Cancelled, around);
    }

    /// A message of a party's has arrived.
    pub fn said(&mut self, from: PartyId, message: ToCoordinator, around: &mut Around) {
        if let ToCoordinator::RequestSession { intent } = message {
            self.requested(from, intent, around);
            return;
        }
        let Some(process) = &self.process else { return };
        let Some(session) = session_said(&message) else { return };
        let Some(running) = process.sessions.get(&session) else {
            self.look_up(from, session, &message, around);
            return;
        };
        let intent = running.machine.intent();
        if intent.eligible.contains(&from)
            && let Some(event) = decode(intent, from, message, around)
        {
            self.give(session, event, around);
        }
    }

    /// Tells a party that a session is over, or was never known, so that it can forget it.
    fn look_up(
        &mut self,
        party: PartyId,
        session: SessionId,
        message: &ToCoordinator,
        around: &mut Around,
    ) {
        let waits_for_an_answer = match message {
            ToCoordinator::Outcome { .. }
            | ToCoordinator::Join { .. }
            | ToCoordinator::Progress { .. } => true,
            ToCoordinator::Decline { .. }
            | ToCoordinator::AwaitingApproval { .. }
            | ToCoordinator::Objected { .. }
            | ToCoordinator::Round(_)
            | ToCoordinator::RoundRefused { .. }
            | ToCoordinator::Ack(_)
            | ToCoordinator::RequestSession { .. }
            | ToCoordinator::Prove { .. }
            | ToCoordinator::AuditHead(_)
            | ToCoordinator::Inquiry(_)
            | ToCoordinator::Testimony(_)
            | ToCoordinator::Ban(_)
            | ToCoordinator::Activated { .. }
            | ToCoordinator::Statement(_) => false,
        };
        let stored = self.disk.get(&session);
        let is_running = stored.is_some_and(|record| record.end.is_none());
        if waits_for_an_answer && !is_running {
            let abort = stored.and_then(Record::abort);
            for message in abort.into_iter().chain([ToParty::Finished { session }]) {
                self.tell(party, Box::new(message), around);
            }
        }
    }

    /// A party asks for a session.
    fn requested(&mut self, from: PartyId, intent: Intent, around: &mut Around) {
        let Some(process) = &self.process else { return };
        let (session, request) = (intent.session, intent.request);
        let result = match self.disk.get(&session) {
            Some(known) if known.intent == intent => Ok(()),
            Some(_) => Err(SessionRefusal::Duplicate),
            // It is being stored: the answer comes behind that.
            None if process.sessions.contains_key(&session) => return,
            None if intent.expires_at <= self.clock.wall(around.now) => {
                Err(SessionRefusal::IntentMismatch)
            }
            None => match self.open(intent, Some(from), around) {
                Ok(()) => return,
                Err(NotOpened::TooFew | NotOpened::Down) => Err(SessionRefusal::NotEnoughParties),
            },
        };
        let message = ToParty::SessionRequested { session, request, result };
        self.tell(from, Box::new(message), around);
    }

    /// Something happens that was foreseen in the process.
    pub fn meet(&mut self, what: AtCoordinator, around: &mut Around) {
        match what {
            AtCoordinator::Stored(id) => self.stored(id, around),
            AtCoordinator::Timer(id) => {
                let running =
                    self.process.as_mut().and_then(|process| process.sessions.get_mut(&id));
                let Some(running) = running.filter(|running| running.timer <= Some(around.now))
                else {
                    return;
                };
                running.timer = None;
                let is_due = running
                    .machine
                    .wake_at()
                    .is_some_and(|Millis(at)| self.clock.moment(at) <= around.now);
                if running.storing.is_some() {
                    // It is set again behind that.
                } else if is_due {
                    self.give(id, Event::Tick, around);
                } else {
                    self.settle(id, around);
                }
            }
        }
    }
}

fn repeated_outcome(event: &Event) -> Option<(PartyId, Attempt)> {
    if let Event::Outcome { from, attempt, .. } = event { Some((*from, *attempt)) } else { None }
}
