//! A world: a coordinator, its parties, what is between them, and what goes wrong.

use crate::around::Around;
use crate::cast::{self, Order, OrderNo, StubJoiner};
use crate::coordinator::{Coordinator, NotOpened};
use crate::dice::{Dice, Span};
use crate::happening::{Death, Happening, Life, Way, Who};
use crate::invariant::{Breach, Invariant};
use crate::ledger::PUNCTUALITY;
use crate::network::Network;
use crate::party::Party;
use crate::profile::{Profile, Weather};
use crate::script::Script;
use crate::time::Moment;
use mpc_pending::limits::GRACE;
use mpc_session::SessionEnd;
use mpc_wire::limits::SILENCE;
use mpc_wire::{PartyId, SessionId};
use std::collections::{BTreeMap, VecDeque};

/// The pause before a refused or failed request is made again.
const RETRY: u64 = 500;

/// How long a backend waits to hear that its session is opened.
const ANSWER: u64 = 1_000;

/// The pause before a party tries again to connect.
const BACKOFF: Span = Span(50, 2_000);

/// How many things are remembered of a session that is watched, and how much of each.
const SEEN: usize = 60;
const SEEN_LINE: usize = 200;

/// How long the weather stays bad behind the last order, in milliseconds.
const STORM: u64 = 15_000;

/// What a world begins with.
#[derive(Debug, Clone)]
pub struct Scene {
    /// Decides everything that is left open.
    pub seed: u64,
    /// What it is like, until some time behind the last order.
    pub weather: Weather,
    /// What happens beside the weather.
    pub script: Script,
    /// What is wanted.
    pub orders: Vec<Order>,
    /// By how many milliseconds the wall clocks of parties are ahead, or behind if negative.
    pub clocks: BTreeMap<PartyId, i64>,
}

impl Scene {
    /// The usual scene of a profile.
    pub fn new(profile: Profile, seed: u64, sessions: u32) -> Self {
        Self::of(profile.weather(), seed, sessions)
    }

    /// A scene in this weather.
    pub fn of(weather: Weather, seed: u64, sessions: u32) -> Self {
        let mut dice = Dice::new(seed);
        let orders = cast::orders(sessions, &weather.habits, &mut dice);
        let (script, clocks) = (Script::nothing(), BTreeMap::new());
        Self { seed: dice.roll(), weather, script, orders, clocks }
    }
}

/// A world.
#[derive(Debug)]
pub struct World {
    /// What every process has around it.
    pub around: Around,
    coordinator: Coordinator,
    parties: BTreeMap<PartyId, Party>,
    /// When the weather clears.
    clears: Moment,
    /// Behind this nothing of interest happens.
    closes: Moment,
    watched: Option<Watched>,
}

/// A session that is looked at closely, and the last things that happened to it.
#[derive(Debug)]
struct Watched {
    session: SessionId,
    seen: VecDeque<String>,
}

impl Watched {
    fn see(&mut self, line: &str) {
        if self.seen.len() >= SEEN {
            self.seen.pop_front();
        }
        self.seen.push_back(line.chars().take(SEEN_LINE).collect());
    }
}

impl World {
    /// The world of a scene, before anything has happened.
    pub fn new(scene: Scene) -> Self {
        let Scene { seed, weather, script, orders, clocks } = scene;
        let mut dice = Dice::new(seed);
        let parties: BTreeMap<_, _> = cast::identities()
            .map(|identity| {
                let joiner = StubJoiner::new(identity, Dice::new(dice.roll()));
                let error = clocks.get(&identity.party()).copied().unwrap_or(0);
                (identity.party(), Party::new(identity, joiner, error))
            })
            .collect();
        let last = orders.iter().map(|order| order.at).max().unwrap_or_default();
        let longest = orders.iter().map(|order| order.life).max().unwrap_or_default();
        let clears = last.after(STORM);
        let are_wrong = !clocks.is_empty();
        let slowest = clocks.values().map(|error| error.unsigned_abs()).max().unwrap_or(0);
        let network = Network::new(cast::parties());
        let mut world = Self {
            around: Around::new(network, weather, script, orders, dice),
            coordinator: Coordinator::default(),
            parties,
            clears,
            // Whatever a party remembers it may remember for as long again if it restarts.
            closes: clears.after(2 * longest + 2 * GRACE + slowest),
            watched: None,
        };
        if are_wrong {
            world.around.ledger.disturb(Moment::default());
        }
        world.prepare();
        world
    }

    /// Remembers the last things that happen to a session.
    pub fn watch(&mut self, session: SessionId) {
        self.watched = Some(Watched { session, seen: VecDeque::new() });
    }

    /// What has happened to the session that is watched, for people.
    pub fn seen(&self) -> impl Iterator<Item = &str> {
        self.watched.iter().flat_map(|watched| watched.seen.iter().map(String::as_str))
    }

    fn prepare(&mut self) {
        let Around { orders, queue, .. } = &mut self.around;
        for (number, order) in (0..).zip(orders) {
            queue.add(order.at, Happening::Order(OrderNo(number)));
        }
        // The coordinator first, so that everybody finds it at once.
        let parties = self.parties.keys().map(|party| Who::Party(*party));
        for who in std::iter::once(Who::Coordinator).chain(parties).collect::<Vec<_>>() {
            self.around.later(0, Happening::Start(who));
            self.foresee_crash(who);
        }
        for party in cast::parties() {
            self.foresee_break(party);
            self.foresee_cut(party);
        }
    }

    /// Lets everything happen, and says whether every invariant has held.
    ///
    /// # Errors
    /// The first breach.
    pub fn run(&mut self) -> Result<(), Breach> {
        while let Some((now, what)) = self.around.queue.next(self.closes) {
            self.around.now = now;
            self.around.ledger.steps += 1;
            if let Some(watched) = &mut self.watched
                && what.session() == Some(watched.session)
            {
                watched.see(&format!("{:>8} {what:?}", now.0));
            }
            self.let_happen(what);
            if let Some(breach) = self.around.ledger.breach() {
                return Err(breach.clone());
            }
            if self.around.ledger.open == 0 && now > self.clears && self.is_quiet() {
                break;
            }
        }
        self.close();
        self.around.ledger.breach().map_or(Ok(()), |breach| Err(breach.clone()))
    }

    /// Whether everybody is there and nothing is left of any session.
    fn is_quiet(&self) -> bool {
        let is_at_rest = |party: &Party| party.is_up() && party.has_forgotten();
        self.coordinator.running() == 0 && self.parties.values().all(is_at_rest)
    }

    /// What must hold in the end.
    fn close(&mut self) {
        let Around { ledger, now, weather: Weather { habits, .. }, .. } = &mut self.around;
        let now = *now;
        for party in self.parties.values() {
            let left = (!party.has_forgotten()).then(|| party.left());
            ledger
                .must(left.is_none(), Invariant::Forgotten, None, now, || left.unwrap_or_default());
        }
        let missing = ledger.cases().find(|(_, case)| case.end.is_none() && !case.is_unheard);
        if let Some((session, how)) = missing.map(|(id, case)| (*id, format!("{case:?}"))) {
            ledger.must(false, Invariant::EndsInTime, session, now, || how);
        }
        let is_calm = !ledger.is_disturbed;
        let habits = *habits;
        let all_agree = habits.cancels + habits.persons + habits.refusals == 0;
        let unfinished = ledger.cases().find(|(_, case)| {
            let is_completed = matches!(case.end, Some((_, SessionEnd::Completed(_))));
            !is_completed || case.attempts.0 != 1
        });
        let unfinished = unfinished.map(|(session, case)| (*session, format!("{case:?}")));
        if let Some((session, how)) = unfinished
            && is_calm
            && all_agree
        {
            ledger.must(false, Invariant::CalmCompletes, session, now, || how);
        }
    }

    fn let_happen(&mut self, what: Happening) {
        let Self { around, coordinator, parties, .. } = self;
        if around.now >= self.clears {
            around.weather = around.weather.cleared();
        }
        match what {
            Happening::Order(number) => self.order(number),
            Happening::Cancel(session) => coordinator.cancel(session, around),
            Happening::Due(session) => self.due(session),
            Happening::Up(connection, message) => {
                if around.network.is_open(connection) && coordinator.is_up() {
                    coordinator.said(connection.party, *message, around);
                } else {
                    around.ledger.disturb(around.now);
                }
            }
            Happening::Down(connection, message) => match parties.get_mut(&connection.party) {
                Some(party) if around.network.is_open(connection) => {
                    party.told(*message, around);
                }
                Some(_) | None => around.ledger.disturb(around.now),
            },
            Happening::Connect(party, life) => self.connect(party, life),
            Happening::Gone(connection) => {
                // It may have come back over another one before this was noticed.
                if around.network.connection(connection.party).is_none() {
                    coordinator.offline(connection.party, around);
                }
            }
            Happening::Break(party) => self.break_off(party),
            Happening::Unplug(party) => {
                self.break_off(party);
                self.foresee_break(party);
            }
            Happening::Cut(party, way, millis) => self.cut(party, way, millis),
            Happening::Obstruct(party, way, millis) => {
                self.cut(party, way, millis);
                self.foresee_cut(party);
            }
            Happening::Silence(connection) => {
                let is_dead = around.network.is_open(connection)
                    && around.network.is_cut(connection.party, around.now);
                if is_dead {
                    self.break_off(connection.party);
                }
            }
            Happening::Coordinator(life, what) => {
                if coordinator.life() == life {
                    coordinator.meet(what, around);
                }
            }
            Happening::Party(party, life, what) => {
                if let Some(party) = parties.get_mut(&party)
                    && party.life() == life
                {
                    party.meet(what, around);
                }
            }
            Happening::Crash(who, death) => self.crash(who, death),
            Happening::Start(who) => self.start(who),
            Happening::Clock(party, error) => {
                around.ledger.disturb(around.now);
                if let Some(party) = parties.get_mut(&party) {
                    party.set_clock(error);
                }
            }
        }
    }

    fn order(&mut self, number: OrderNo) {
        let Self { around, coordinator, parties, .. } = self;
        let order = usize::try_from(number.0).ok().and_then(|number| around.orders.get(number));
        let Some(order) = order.cloned() else { return };
        let session = order.intent.session;
        match around.ledger.case(session) {
            None => around.ledger.ordered(session, number),
            Some(case) if case.opened.is_some() => return,
            Some(_) => {}
        }
        if let Some(initiator) = order.initiator.and_then(|initiator| parties.get_mut(&initiator)) {
            if initiator.is_up() {
                let intent = order.intent(initiator.wall(around));
                initiator.intend(intent, around);
                around.later(order.life + RETRY, Happening::Due(session));
            } else {
                around.later(RETRY, Happening::Order(number));
            }
            return;
        }
        match coordinator.order(number, around) {
            // Without an answer the backend asks again: the coordinator may have died before the
            // session was durable.
            Ok(()) => around.later(ANSWER, Happening::Order(number)),
            Err(NotOpened::Down | NotOpened::TooFew) => {
                around.later(RETRY, Happening::Order(number));
                return;
            }
        }
        if let Some(after) = order.cancelled_after {
            around.later(after, Happening::Cancel(session));
        }
    }

    /// A session's time is over.
    fn due(&mut self, session: SessionId) {
        let Self { around, coordinator, .. } = self;
        let Some(case) = around.ledger.case(session) else { return };
        if case.end.is_some() {
            return;
        }
        let Some((_, deadline)) = case.opened else {
            // A party had asked for it, and nobody has heard of that.
            around.ledger.unheard(session);
            return;
        };
        // A coordinator that was down has a second to notice.
        let since = coordinator.up_since().after(PUNCTUALITY).max(deadline);
        if !coordinator.is_up() || around.now <= since {
            around.later(RETRY, Happening::Due(session));
            return;
        }
        around.ledger.must(false, Invariant::EndsInTime, session, around.now, || {
            format!("its deadline was at {} ms, and it has not ended", deadline.0)
        });
    }

    fn connect(&mut self, party: PartyId, life: Life) {
        let Self { around, coordinator, parties, .. } = self;
        let Some(found) = parties.get_mut(&party).filter(|found| found.life() == life) else {
            return;
        };
        if !found.is_up() || around.network.connection(party).is_some() {
            return;
        }
        let now = around.now;
        if coordinator.is_up() && around.network.connect(party, now).is_some() {
            coordinator.online(party, around);
            found.connected(around);
        } else {
            let wait = around.dice.within(BACKOFF);
            around.later(wait, Happening::Connect(party, life));
        }
    }

    /// A party's connection breaks. Both sides notice, each in its time.
    fn break_off(&mut self, party: PartyId) {
        let Self { around, parties, .. } = self;
        let Some(connection) = around.network.disconnect(party) else { return };
        let noticed = around.dice.within(Span(0, 200));
        around.later(noticed, Happening::Gone(connection));
        let wait = around.dice.within(BACKOFF);
        around.ledger.disturb(around.now.after(wait));
        if let Some(party) = parties.get(&party).filter(|party| party.is_up()) {
            let life = party.life();
            around.later(wait, Happening::Connect(connection.party, life));
        }
    }

    /// Nothing passes one way for a time. Nobody is told, until the silence is noticed.
    fn cut(&mut self, party: PartyId, way: Way, millis: u64) {
        let around = &mut self.around;
        let until = around.now.after(millis);
        around.network.cut(party, way, until);
        around.ledger.disturb(until);
        if let Some(connection) = around.network.connection(party) {
            let silence = u64::try_from(SILENCE.as_millis()).unwrap_or(u64::MAX);
            around.later(silence, Happening::Silence(connection));
        }
    }

    fn crash(&mut self, who: Who, death: Death) {
        let Self { around, coordinator, parties, .. } = self;
        around.ledger.disturb(around.now);
        match (who, death) {
            (Who::Coordinator, Death::Now) => coordinator.die(around),
            (Who::Coordinator, Death::Behind(effects)) => coordinator.die_behind(effects),
            (Who::Party(party), Death::Now) => {
                if let Some(party) = parties.get_mut(&party) {
                    party.die(around);
                }
            }
            (Who::Party(party), Death::Behind(effects)) => {
                if let Some(party) = parties.get_mut(&party) {
                    party.die_behind(effects);
                }
            }
        }
        if death == Death::Now
            && let Some((_, down)) = self.crashes(who)
        {
            let around = &mut self.around;
            let down = around.dice.within(down);
            around.ledger.disturb(around.now.after(down));
            around.later(down, Happening::Start(who));
        }
        self.foresee_crash(who);
    }

    fn start(&mut self, who: Who) {
        let Self { around, coordinator, parties, .. } = self;
        match who {
            Who::Coordinator => coordinator.start(around),
            Who::Party(party) => {
                if let Some(party) = parties.get_mut(&party) {
                    party.start(around);
                }
            }
        }
    }

    fn crashes(&self, who: Who) -> Option<(Span, Span)> {
        match who {
            Who::Coordinator => self.around.weather.coordinator_crashes,
            Who::Party(_) => self.around.weather.party_crashes,
        }
    }

    fn foresee_crash(&mut self, who: Who) {
        if let Some((wait, _)) = self.crashes(who) {
            self.around.crash_later(who, wait, self.clears);
        }
    }

    fn foresee_break(&mut self, party: PartyId) {
        if let Some(wait) = self.around.weather.breaks {
            let wait = self.around.dice.within(wait);
            self.foresee(wait, Happening::Unplug(party));
        }
    }

    fn foresee_cut(&mut self, party: PartyId) {
        if let Some((wait, span)) = self.around.weather.cuts {
            let dice = &mut self.around.dice;
            let (wait, millis) = (dice.within(wait), dice.within(span));
            let way = if dice.chance(500) { Way::Up } else { Way::Down };
            self.foresee(wait, Happening::Obstruct(party, way, millis));
        }
    }

    /// Foresees something that only bad weather brings.
    fn foresee(&mut self, wait: u64, what: Happening) {
        if self.around.now.after(wait) < self.clears {
            self.around.later(wait, what);
        }
    }
}
