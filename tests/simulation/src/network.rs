//! What carries messages between the coordinator and the parties, and loses them.

use crate::dice::{Dice, Span};
use crate::happening::Way;
use crate::profile::{Arrival, Weather};
use crate::time::Moment;
use mpc_wire::PartyId;
use std::collections::BTreeMap;

/// One connection of a party. What was on its way over an earlier one does not arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connection {
    /// Whose.
    pub party: PartyId,
    /// Which.
    pub number: u32,
}

/// Every party's way to the coordinator and back.
#[derive(Debug)]
pub struct Network {
    links: BTreeMap<PartyId, Link>,
}

#[derive(Debug, Default)]
struct Link {
    number: u32,
    is_up: bool,
    up: Lane,
    down: Lane,
}

#[derive(Debug, Default)]
struct Lane {
    /// When the newest message arrives.
    newest: Moment,
    /// Nothing passes until then.
    cut_until: Moment,
}

/// When copies of a message arrive: none, one or two.
pub type Arrivals = [Option<Moment>; 2];

impl Network {
    /// A network in which nobody is connected.
    pub fn new(parties: impl Iterator<Item = PartyId>) -> Self {
        Self { links: parties.map(|party| (party, Link::default())).collect() }
    }

    /// The open connection of a party.
    pub fn connection(&self, party: PartyId) -> Option<Connection> {
        let link = self.links.get(&party).filter(|link| link.is_up)?;
        Some(Connection { party, number: link.number })
    }

    /// Whether the connection is still the party's.
    pub fn is_open(&self, connection: Connection) -> bool {
        self.connection(connection.party) == Some(connection)
    }

    /// Opens a connection, if nothing is in the way.
    pub fn connect(&mut self, party: PartyId, now: Moment) -> Option<Connection> {
        let link = self.links.get_mut(&party)?;
        if link.is_cut(now) {
            return None;
        }
        link.number += 1;
        link.is_up = true;
        Some(Connection { party, number: link.number })
    }

    /// Closes a party's connection; says which it was.
    pub fn disconnect(&mut self, party: PartyId) -> Option<Connection> {
        let connection = self.connection(party)?;
        if let Some(link) = self.links.get_mut(&party) {
            link.is_up = false;
        }
        Some(connection)
    }

    /// Lets nothing pass one way until then.
    pub fn cut(&mut self, party: PartyId, way: Way, until: Moment) {
        if let Some(link) = self.links.get_mut(&party) {
            let lane = link.lane(way);
            lane.cut_until = lane.cut_until.max(until);
        }
    }

    /// Whether something is in the way of a party's messages, or of those to it.
    pub fn is_cut(&self, party: PartyId, now: Moment) -> bool {
        self.links.get(&party).is_some_and(|link| link.is_cut(now))
    }

    /// Sends a message over the connection; says when it arrives.
    pub fn send(
        &mut self,
        connection: Connection,
        way: Way,
        now: Moment,
        weather: &Weather,
        dice: &mut Dice,
    ) -> Arrivals {
        let Some(link) = self.links.get_mut(&connection.party) else { return [None; 2] };
        let lane = link.lane(way);
        if lane.cut_until > now || dice.chance(weather.loss) {
            return [None; 2];
        }
        let first = lane.arrival(now, weather, dice);
        let second = dice.chance(weather.twice).then(|| {
            // Some time later, as what is sent again.
            let later = dice.within(Span(0, 500));
            lane.arrival(now, weather, dice).after(later)
        });
        [Some(first), second]
    }
}

impl Link {
    fn lane(&mut self, way: Way) -> &mut Lane {
        match way {
            Way::Up => &mut self.up,
            Way::Down => &mut self.down,
        }
    }

    fn is_cut(&self, now: Moment) -> bool {
        self.up.cut_until > now || self.down.cut_until > now
    }
}

impl Lane {
    fn arrival(&mut self, now: Moment, weather: &Weather, dice: &mut Dice) -> Moment {
        let (stragglers, long) = weather.stragglers;
        let delay = if dice.chance(stragglers) { long } else { weather.delay };
        let at = now.after(dice.within(delay));
        match weather.order {
            Arrival::Free => at,
            Arrival::InOrder => {
                self.newest = self.newest.max(at);
                self.newest
            }
        }
    }
}
