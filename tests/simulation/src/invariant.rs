//! What must hold, by name.

use mpc_wire::SessionId;
use std::fmt;

/// Something that must hold whatever goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    /// A session ends once, and stays as it has ended.
    OneEnd,
    /// A signature is for what was asked for, and by those that it is said to be by.
    TrueProduct,
    /// An attempt's number belongs to one plan.
    OnePlan,
    /// A party launches an attempt at most once, restarts included.
    LaunchedOnce,
    /// What is launched was consented to and started, for the same plan.
    LaunchedAsAgreed,
    /// Engines get every round message once and in order.
    OnceAndInOrder,
    /// What is told is durable before.
    StoredBeforeTold,
    /// What was durable is not undone.
    NothingUndone,
    /// A session is over by its deadline.
    EndsInTime,
    /// What is said again is no news: it makes nobody wait any longer.
    RepeatedIsNoNews,
    /// Nobody is blamed: everybody here is honest.
    NobodyBlamed,
    /// A session that has time left behind the last fault completes.
    Recovers,
    /// It does so soon.
    RecoversSoon,
    /// If nothing goes wrong every session completes, in its first attempt.
    CalmCompletes,
    /// The fault has the result that its row demands.
    Demanded,
    /// Behind the end and a grace time nothing is left of a session.
    Forgotten,
}

impl Invariant {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OneEnd => "one end",
            Self::TrueProduct => "true product",
            Self::OnePlan => "one plan a number",
            Self::LaunchedOnce => "launched once",
            Self::LaunchedAsAgreed => "launched as agreed",
            Self::OnceAndInOrder => "once and in order",
            Self::StoredBeforeTold => "stored before told",
            Self::NothingUndone => "nothing durable is undone",
            Self::EndsInTime => "ends in time",
            Self::RepeatedIsNoNews => "a repetition is no news",
            Self::NobodyBlamed => "nobody is blamed",
            Self::Recovers => "recovers",
            Self::RecoversSoon => "recovers soon",
            Self::CalmCompletes => "calm completes",
            Self::Demanded => "as the row demands",
            Self::Forgotten => "forgotten after the end",
        }
    }
}

/// An invariant that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breach {
    /// Which.
    pub invariant: Invariant,
    /// For which session, if it is about one.
    pub session: Option<SessionId>,
    /// How, for people.
    pub how: String,
    /// Behind how many events of the world.
    pub step: u64,
    /// After how many milliseconds.
    pub at: u64,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { invariant, session, how, step, at } = self;
        write!(f, "\"{}\" does not hold at step {step} ({at} ms)", invariant.name())?;
        if let Some(session) = session {
            write!(f, ", session {session}")?;
        }
        write!(f, ": {how}")
    }
}
