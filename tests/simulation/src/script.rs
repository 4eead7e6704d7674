//! Faults that happen at a certain point, beside those of the weather.

use crate::dice::Span;
use crate::happening::{Way, Who};
use mpc_wire::{PartyId, Round, SessionId, ToCoordinator, ToParty};
use std::collections::{BTreeMap, BTreeSet};

/// What happens beside the weather: once in each session, when it first comes to a point, or once for
/// each party.
#[derive(Debug, Clone)]
pub struct Script {
    at: Option<Mark>,
    twist: Twist,
    passed: BTreeSet<(SessionId, Option<PartyId>)>,
    victims: BTreeMap<SessionId, PartyId>,
}

/// What a script does.
#[derive(Debug, Clone, Copy)]
pub enum Twist {
    /// The first such message of, or to, each party is lost, or late by that, as the dice say.
    Spoils(Span),
    /// A process dies.
    Kills(Victim),
    /// The party that has just spoken or is spoken to is cut off for so many milliseconds.
    Isolates(&'static [Way], u64),
    /// That party's wall clock is set, so many milliseconds ahead.
    SetsClock(i64),
}

/// Whom a script lets die.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Victim {
    /// The coordinator.
    Coordinator,
    /// The party that has just said or been told something.
    Party,
}

/// A point in the course of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// A party is invited.
    Invited,
    /// A party joins.
    Joined,
    /// A party is told of the start.
    Started,
    /// A party speaks in this round.
    Round(u16),
    /// A party reports a product.
    Reported,
    /// A party is told of the end.
    Finished,
}

/// What a script does about a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Nothing.
    Passes,
    /// It is lost.
    IsLost,
    /// It comes so much later.
    IsLate(Span),
    /// It goes its way, and somebody dies.
    Kills(Who),
    /// It goes its way, and its party is cut off.
    Isolates(&'static [Way], u64),
    /// It goes its way, and its party's clock is set.
    SetsClock(i64),
}

/// A message, either way.
#[derive(Debug, Clone, Copy)]
pub enum Message<'a> {
    /// To the coordinator.
    Up(&'a ToCoordinator),
    /// To a party.
    Down(&'a ToParty),
}

impl Message<'_> {
    /// Which way it goes.
    pub const fn way(&self) -> Way {
        match self {
            Self::Up(_) => Way::Up,
            Self::Down(_) => Way::Down,
        }
    }

    fn mark(&self) -> Option<(Mark, SessionId)> {
        match self {
            Self::Up(ToCoordinator::Join { session, .. }) => Some((Mark::Joined, *session)),
            Self::Up(ToCoordinator::Outcome { session, .. }) => Some((Mark::Reported, *session)),
            Self::Up(ToCoordinator::Round(envelope)) => {
                let Round(round) = envelope.header.round;
                Some((Mark::Round(round), envelope.header.session))
            }
            Self::Down(ToParty::Invite { plan, .. }) => Some((Mark::Invited, plan.session)),
            Self::Down(ToParty::Started { session, .. }) => Some((Mark::Started, *session)),
            Self::Down(ToParty::Finished { session }) => Some((Mark::Finished, *session)),
            Self::Up(_) | Self::Down(_) => None,
        }
    }
}

impl Script {
    /// Nothing happens.
    pub fn nothing() -> Self {
        Self {
            at: None,
            twist: Twist::SetsClock(0),
            passed: BTreeSet::new(),
            victims: BTreeMap::new(),
        }
    }

    /// What happens when a session comes to a point.
    pub fn new(at: Mark, twist: Twist) -> Self {
        Self { at: Some(at), twist, passed: BTreeSet::new(), victims: BTreeMap::new() }
    }

    /// What becomes of a message of, or to, this party. `coin` decides between the ways to spoil it.
    pub fn turn(
        &mut self,
        party: PartyId,
        message: Message<'_>,
        coin: impl FnOnce() -> bool,
    ) -> Turn {
        let Some(at) = self.at else { return Turn::Passes };
        let Some((_, session)) = message.mark().filter(|(mark, _)| *mark == at) else {
            return Turn::Passes;
        };
        let of = match self.twist {
            Twist::Spoils(_) => Some(party),
            Twist::Kills(_) | Twist::Isolates(..) | Twist::SetsClock(_) => None,
        };
        if !self.passed.insert((session, of)) {
            return Turn::Passes;
        }
        self.victims.entry(session).or_insert(party);
        match self.twist {
            Twist::Spoils(_) if coin() => Turn::IsLost,
            Twist::Spoils(late) => Turn::IsLate(late),
            Twist::Kills(Victim::Coordinator) => Turn::Kills(Who::Coordinator),
            Twist::Kills(Victim::Party) => Turn::Kills(Who::Party(party)),
            Twist::Isolates(ways, millis) => Turn::Isolates(ways, millis),
            Twist::SetsClock(error) => Turn::SetsClock(error),
        }
    }

    /// Which party was the first that it has happened to in a session.
    pub fn victim(&self, session: SessionId) -> Option<PartyId> {
        self.victims.get(&session).copied()
    }

    /// How often it has happened.
    pub fn count(&self) -> u64 {
        self.passed.len() as u64
    }
}
