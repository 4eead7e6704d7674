//! What can happen in a world.

use crate::cast::OrderNo;
use crate::network::Connection;
use mpc_wire::{Attempt, PartyId, SessionId, ToCoordinator, ToParty};

/// One life of a process: what was foreseen for an earlier one does not happen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Life(pub u32);

impl Life {
    /// The life after this one.
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// Something happens.
#[derive(Debug)]
pub enum Happening {
    /// Somebody wants the session of this order.
    Order(OrderNo),
    /// A requester cancels its session.
    Cancel(SessionId),
    /// By now the session must be over.
    Due(SessionId),
    /// A message arrives at the coordinator.
    Up(Connection, Box<ToCoordinator>),
    /// A message arrives at a party.
    Down(Connection, Box<ToParty>),
    /// A party tries to connect.
    Connect(PartyId, Life),
    /// The coordinator notices that a connection is gone.
    Gone(Connection),
    /// A connection breaks.
    Break(PartyId),
    /// The weather breaks a connection.
    Unplug(PartyId),
    /// A way is cut for so many milliseconds, and nobody is told.
    Cut(PartyId, Way, u64),
    /// The weather cuts a way.
    Obstruct(PartyId, Way, u64),
    /// A party's wall clock is set, so many milliseconds ahead.
    Clock(PartyId, i64),
    /// If a way is still cut, the connection counts as dead.
    Silence(Connection),
    /// Something at the coordinator.
    Coordinator(Life, AtCoordinator),
    /// Something at a party.
    Party(PartyId, Life, AtParty),
    /// A process is to die.
    Crash(Who, Death),
    /// A process starts (again).
    Start(Who),
}

/// A process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// The coordinator, and with it the gateway.
    Coordinator,
    /// A party.
    Party(PartyId),
}

/// How a process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Death {
    /// Between events.
    Now,
    /// In the midst of what it does next, behind so many effects.
    Behind(u64),
}

/// Which of the two ways of a party's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From the party.
    Up,
    /// To the party.
    Down,
}

/// Something that only the coordinator's present process knows of.
#[derive(Debug)]
pub enum AtCoordinator {
    /// A session's record is durable.
    Stored(SessionId),
    /// A session wants to know the time.
    Timer(SessionId),
}

/// Something that only a party's present process knows of.
#[derive(Debug)]
pub enum AtParty {
    /// A commit is done.
    Stored,
    /// A second has passed.
    Tick,
    /// What was not answered is said again.
    Reminder,
    /// Round messages or acknowledgements are due.
    Pulse,
    /// Policy has decided.
    Decided(SessionId),
    /// A person has decided.
    PersonDecided(SessionId),
    /// An engine's job is done.
    Worked(SessionId, Attempt),
}

impl Happening {
    /// The session that it is about, if it is about one.
    pub fn session(&self) -> Option<SessionId> {
        match self {
            Self::Cancel(session) | Self::Due(session) => Some(*session),
            Self::Up(_, message) => session_said(message),
            Self::Down(_, message) => session_told(message),
            Self::Coordinator(
                _,
                AtCoordinator::Stored(session) | AtCoordinator::Timer(session),
            )
            | Self::Party(
                ..,
                AtParty::Decided(session)
                | AtParty::PersonDecided(session)
                | AtParty::Worked(session, _),
            ) => Some(*session),
            Self::Party(
                ..,
                AtParty::Stored | AtParty::Tick | AtParty::Reminder | AtParty::Pulse,
            )
            | Self::Order(_)
            | Self::Connect(..)
            | Self::Gone(_)
            | Self::Break(_)
            | Self::Unplug(_)
            | Self::Cut(..)
            | Self::Obstruct(..)
            | Self::Clock(..)
            | Self::Silence(_)
            | Self::Crash(..)
            | Self::Start(_) => None,
        }
    }
}

/// The session that a party speaks of.
pub fn session_said(message: &ToCoordinator) -> Option<SessionId> {
    match message {
        ToCoordinator::Join { session, .. }
        | ToCoordinator::Decline { session, .. }
        | ToCoordinator::AwaitingApproval { session, .. }
        | ToCoordinator::Objected { session, .. }
        | ToCoordinator::Progress { session, .. }
        | ToCoordinator::Outcome { session, .. } => Some(*session),
        ToCoordinator::Round(envelope) => Some(envelope.header.session),
        ToCoordinator::RoundRefused { header } => Some(header.session),
        ToCoordinator::Ack(ack) => Some(ack.session),
        ToCoordinator::RequestSession { intent } => Some(intent.session),
        ToCoordinator::Prove { .. }
        | ToCoordinator::AuditHead(_)
        | ToCoordinator::Inquiry(_)
        | ToCoordinator::Testimony(_)
        | ToCoordinator::Ban(_)
        | ToCoordinator::Activated { .. }
        | ToCoordinator::Statement(_) => None,
    }
}

/// The session that a party is told of.
pub fn session_told(message: &ToParty) -> Option<SessionId> {
    match message {
        ToParty::Invite { intent, .. } => Some(intent.session),
        ToParty::Started { session, .. }
        | ToParty::Abort { session, .. }
        | ToParty::Finished { session }
        | ToParty::SessionRequested { session, .. } => Some(*session),
        ToParty::Round(envelope) => Some(envelope.header.session),
        ToParty::Ack(ack) => Some(ack.session),
        ToParty::Challenge(_)
        | ToParty::Welcome { .. }
        | ToParty::AuditHead(_)
        | ToParty::Inquiry(_)
        | ToParty::Testimony(_)
        | ToParty::Ban(_)
        | ToParty::Error { .. }
        | ToParty::Activate { .. }
        | ToParty::Attest { .. }
        | ToParty::Discard(_) => None,
    }
}
