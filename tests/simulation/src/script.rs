//! Faults that happen at a certain point, beside those of the weather.

use crate::dice::Span;
use crate::happening::{Way, Who};
use mpc_wire::{Attempt, PartyId, Round, SessionId, ToCoordinator, ToParty};
use std::collections::BTreeSet;

/// What happens beside the weather.
#[derive(Debug, Clone, Default)]
pub enum Script {
    /// Nothing.
    #[default]
    Nothing,
    /// Each member's first start of an attempt is lost, or late by that, as the dice say.
    Starts {
        /// By how many milliseconds the late ones are late.
        late: Span,
        /// The starts that were spoiled.
        spoiled: BTreeSet<(SessionId, Attempt, PartyId)>,
    },
    /// A process dies when a session first comes to a point.
    Crash {
        /// Which; the sender or recipient of what marks the point, if it is to be a party.
        who: Victim,
        /// The point.
        at: Mark,
        /// The sessions that have come there.
        passed: BTreeSet<SessionId>,
    },
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
    /// What becomes of a message of, or to, this party. `coin` decides between the ways to spoil it.
    pub fn turn(
        &mut self,
        party: PartyId,
        message: Message<'_>,
        coin: impl FnOnce() -> bool,
    ) -> Turn {
        match self {
            Self::Nothing => Turn::Passes,
            Self::Starts { late, spoiled } => {
                let Message::Down(ToParty::Started { session, attempt, .. }) = message else {
                    return Turn::Passes;
                };
                if !spoiled.insert((*session, *attempt, party)) {
                    Turn::Passes
                } else if coin() {
                    Turn::IsLost
                } else {
                    Turn::IsLate(*late)
                }
            }
            Self::Crash { who, at, passed } => {
                let Some((_, session)) = message.mark().filter(|(mark, _)| mark == at) else {
                    return Turn::Passes;
                };
                if !passed.insert(session) {
                    return Turn::Passes;
                }
                Turn::Kills(match who {
                    Victim::Coordinator => Who::Coordinator,
                    Victim::Party => Who::Party(party),
                })
            }
        }
    }
}
