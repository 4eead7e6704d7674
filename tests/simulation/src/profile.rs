//! How bad the weather is.

use crate::dice::Span;
use std::fmt;
use std::str::FromStr;

/// A kind of weather.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Profile {
    /// Nothing goes wrong.
    Calm,
    /// Everything arrives, in any order.
    Reordering,
    /// Much is lost, much arrives twice.
    Lossy,
    /// Connections break, and ways are cut without anybody being told.
    Partitions,
    /// Processes die and start again.
    Crashes,
    /// All of it, and persons, refusals and cancellations.
    Everything,
}

/// Not a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownProfile;

impl fmt::Display for UnknownProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no such profile; there are")?;
        Profile::ALL.iter().try_for_each(|profile| write!(f, " {profile}"))
    }
}

impl std::error::Error for UnknownProfile {}

/// What goes wrong, and how often.
#[derive(Debug, Clone, Copy)]
pub struct Weather {
    /// How long a message is on its way, in milliseconds.
    pub delay: Span,
    /// How many of a thousand messages take longer, and how long.
    pub stragglers: (u32, Span),
    /// Whether messages may overtake each other.
    pub order: Arrival,
    /// How many of a thousand messages are lost.
    pub loss: u32,
    /// How many of a thousand arrive twice.
    pub twice: u32,
    /// How long it is until a connection breaks; none if none does.
    pub breaks: Option<Span>,
    /// How long it is until a way is cut, and for how long.
    pub cuts: Option<(Span, Span)>,
    /// How long it is until a party dies, and how long it is gone.
    pub party_crashes: Option<(Span, Span)>,
    /// The same of the coordinator.
    pub coordinator_crashes: Option<(Span, Span)>,
    /// How long a commit takes, in milliseconds.
    pub commit: Span,
    /// What people do.
    pub habits: Habits,
}

/// In which order messages arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// In that of their sending, as over one connection.
    InOrder,
    /// In any.
    Free,
}

/// What people do, and what the engines are like. What is no span is how many of a thousand.
#[derive(Debug, Clone, Copy)]
pub struct Habits {
    /// The pause between two orders, in milliseconds.
    pub pause: Span,
    /// How long a session may take.
    pub life: Span,
    /// The rounds of an engine.
    pub rounds: Span,
    /// How long a job of an engine takes.
    pub work: Span,
    /// How many parties an account has and how many of them sign; of several kinds if there is none.
    pub shape: Option<(usize, u16)>,
    /// Sessions that make an aux set, and so need every party.
    pub aux: u32,
    /// Sessions that a party asks for.
    pub initiators: u32,
    /// Sessions that their requester cancels.
    pub cancels: u32,
    /// Questions of a party that a person has to answer.
    pub persons: u32,
    /// How long a person takes.
    pub pondering: Span,
    /// Questions that are answered with no.
    pub refusals: u32,
}

const USUAL: Habits = Habits {
    pause: Span(0, 60),
    life: Span(60_000, 120_000),
    rounds: Span(1, 4),
    work: Span(1, 15),
    shape: None,
    aux: 60,
    initiators: 120,
    cancels: 0,
    persons: 0,
    pondering: Span(500, 8_000),
    refusals: 0,
};

const CALM: Weather = Weather {
    delay: Span(1, 8),
    stragglers: (0, Span(0, 0)),
    order: Arrival::InOrder,
    loss: 0,
    twice: 0,
    breaks: None,
    cuts: None,
    party_crashes: None,
    coordinator_crashes: None,
    commit: Span(0, 2),
    habits: USUAL,
};

impl Profile {
    /// Every profile.
    pub const ALL: [Self; 6] = [
        Self::Calm,
        Self::Reordering,
        Self::Lossy,
        Self::Partitions,
        Self::Crashes,
        Self::Everything,
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Calm => "calm",
            Self::Reordering => "reordering",
            Self::Lossy => "lossy",
            Self::Partitions => "partitions",
            Self::Crashes => "crashes",
            Self::Everything => "everything",
        }
    }

    /// Its weather.
    pub const fn weather(self) -> Weather {
        match self {
            Self::Calm => CALM,
            Self::Reordering => Weather {
                delay: Span(1, 150),
                stragglers: (20, Span(150, 2_500)),
                order: Arrival::Free,
                twice: 10,
                ..CALM
            },
            Self::Lossy => Weather {
                delay: Span(1, 30),
                stragglers: (20, Span(30, 1_000)),
                order: Arrival::Free,
                loss: 150,
                twice: 150,
                ..CALM
            },
            Self::Partitions => Weather {
                breaks: Some(Span(100, 8_000)),
                cuts: Some((Span(100, 8_000), Span(200, 15_000))),
                ..CALM
            },
            Self::Crashes => Weather {
                party_crashes: Some((Span(50, 4_000), Span(20, 2_000))),
                coordinator_crashes: Some((Span(50, 4_000), Span(20, 1_500))),
                commit: Span(0, 5),
                ..CALM
            },
            Self::Everything => Weather {
                delay: Span(1, 40),
                stragglers: (20, Span(40, 1_500)),
                order: Arrival::Free,
                loss: 20,
                twice: 20,
                breaks: Some(Span(100, 20_000)),
                cuts: Some((Span(100, 20_000), Span(200, 15_000))),
                party_crashes: Some((Span(100, 10_000), Span(20, 8_000))),
                coordinator_crashes: Some((Span(100, 10_000), Span(20, 4_000))),
                commit: Span(0, 20),
                habits: Habits {
                    cancels: 20,
                    persons: 30,
                    refusals: 5,
                    life: Span(30_000, 120_000),
                    ..USUAL
                },
            },
        }
    }
}

impl Weather {
    /// What it is like once nothing goes wrong any more. Habits stay.
    pub const fn cleared(self) -> Self {
        Self { habits: self.habits, ..CALM }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Profile {
    type Err = UnknownProfile;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|profile| profile.name() == text).ok_or(UnknownProfile)
    }
}
