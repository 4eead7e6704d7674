//! What every process of a world has around it.

use crate::cast::Order;
use crate::dice::{Dice, Span};
use crate::happening::{AtCoordinator, AtParty, Death, Happening, Life, Who};
use crate::ledger::Ledger;
use crate::network::{Connection, Network};
use crate::profile::Weather;
use crate::script::{Message, Script, Turn};
use crate::time::{Moment, Queue};
use mpc_wire::{PartyId, SessionId, SignedJoin, ToCoordinator, ToParty, VerifiedJoin};
use std::collections::BTreeMap;

/// How long a process is gone that a script lets die.
const SCRIPTED_DOWN: Span = Span(100, 2_000);

/// Clock, network, dice, and the ledger that outlives every process.
#[derive(Debug)]
pub struct Around {
    /// The time.
    pub now: Moment,
    /// What is going to happen.
    pub queue: Queue,
    /// What carries messages.
    pub network: Network,
    /// What decides.
    pub dice: Dice,
    /// What it is like now.
    pub weather: Weather,
    /// What happens beside the weather.
    pub script: Script,
    /// What has happened.
    pub ledger: Ledger,
    /// What is wanted, in the order of its number.
    pub orders: Vec<Order>,
    /// Joins that were verified: each is looked at often, and its signature once.
    verified: BTreeMap<SessionId, Vec<VerifiedJoin>>,
}

impl Around {
    /// The surroundings at the beginning.
    pub fn new(
        network: Network,
        weather: Weather,
        script: Script,
        orders: Vec<Order>,
        dice: Dice,
    ) -> Self {
        Self {
            now: Moment::default(),
            queue: Queue::default(),
            network,
            dice,
            weather,
            script,
            ledger: Ledger::default(),
            orders,
            verified: BTreeMap::new(),
        }
    }

    /// Foresees something in `millis`.
    pub fn later(&mut self, millis: u64, what: Happening) {
        self.queue.add(self.now.after(millis), what);
    }

    /// Foresees something at the coordinator.
    pub fn later_at_coordinator(&mut self, millis: u64, life: Life, what: AtCoordinator) {
        self.later(millis, Happening::Coordinator(life, what));
    }

    /// Foresees something at a party.
    pub fn later_at_party(&mut self, millis: u64, party: PartyId, life: Life, what: AtParty) {
        self.later(millis, Happening::Party(party, life, what));
    }

    /// How long a commit takes.
    pub fn commit(&mut self) -> u64 {
        self.dice.within(self.weather.commit)
    }

    /// How many rounds the engines of a session need.
    pub fn rounds(&self, session: SessionId) -> u16 {
        let case = self.ledger.case(session);
        let order = case.and_then(|case| self.orders.get(usize::try_from(case.order.0).ok()?));
        order.map_or(1, |order| order.rounds)
    }

    /// Sends a party's message to the coordinator.
    pub fn send_up(&mut self, party: PartyId, message: ToCoordinator) {
        let Some((connection, arrivals)) = self.send(party, Message::Up(&message)) else { return };
        match arrivals {
            [Some(first), None] => {
                self.queue.add(first, Happening::Up(connection, Box::new(message)));
            }
            [first, second] => {
                for at in [first, second].into_iter().flatten() {
                    self.queue.add(at, Happening::Up(connection, Box::new(message.clone())));
                }
            }
        }
    }

    /// Sends the coordinator's message to a party.
    pub fn send_down(&mut self, party: PartyId, message: Box<ToParty>) {
        let Some((connection, arrivals)) = self.send(party, Message::Down(&message)) else {
            return;
        };
        match arrivals {
            [Some(first), None] => self.queue.add(first, Happening::Down(connection, message)),
            [first, second] => {
                for at in [first, second].into_iter().flatten() {
                    self.queue.add(at, Happening::Down(connection, message.clone()));
                }
            }
        }
    }

    /// Says when copies of a message arrive, and over which connection.
    fn send(
        &mut self,
        party: PartyId,
        message: Message<'_>,
    ) -> Option<(Connection, [Option<Moment>; 2])> {
        let Some(connection) = self.network.connection(party) else {
            self.ledger.disturb(self.now);
            return None;
        };
        let Self { now, dice, weather, .. } = self;
        let mut arrivals = self.network.send(connection, message.way(), *now, weather, dice);
        match self.script.turn(party, message, || dice.chance(500)) {
            Turn::Passes => {}
            Turn::IsLost => arrivals = [None; 2],
            Turn::IsLate(span) => {
                let late = dice.within(span);
                arrivals = arrivals.map(|at| at.map(|at| at.after(late)));
                self.ledger.disturb(now.after(late));
            }
            Turn::Kills(who) => {
                self.queue.add(*now, Happening::Crash(who, Death::Now));
                let down = dice.within(SCRIPTED_DOWN);
                self.queue.add(now.after(1 + down), Happening::Start(who));
            }
            Turn::Isolates(ways, millis) => {
                for way in ways {
                    self.queue.add(*now, Happening::Cut(party, *way, millis));
                }
                // With neither way open its link is gone at once.
                if ways.len() > 1 {
                    self.queue.add(*now, Happening::Break(party));
                }
            }
            Turn::SetsClock(error) => self.queue.add(*now, Happening::Clock(party, error)),
        }
        if arrivals == [None; 2] {
            self.ledger.disturb(self.now);
        }
        Some((connection, arrivals))
    }

    /// Verifies a join, once.
    pub fn verify(&mut self, session: SessionId, join: &SignedJoin) -> Option<VerifiedJoin> {
        let known = self.verified.entry(session).or_default();
        if let Some(found) = known.iter().find(|known| known.as_join() == join) {
            return Some(found.clone());
        }
        let fresh = join.verify().ok()?;
        known.push(fresh.clone());
        Some(fresh)
    }

    /// Foresees the death of a process, unless that is too late.
    pub fn crash_later(&mut self, who: Who, in_millis: Span, too_late: Moment) {
        let at = self.now.after(self.dice.within(in_millis));
        let effects = self.dice.below(6);
        let in_the_midst = self.dice.chance(500);
        if at < too_late {
            let death = if in_the_midst { Death::Behind(effects) } else { Death::Now };
            self.queue.add(at, Happening::Crash(who, death));
        }
    }
}
