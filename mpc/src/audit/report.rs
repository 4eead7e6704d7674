//! What a check came to.

use mpc_wire::PartyId;
use mpc_wire::audit::Head;
use serde::Serialize;
use std::path::PathBuf;

/// What was checked, and what was found.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The logs.
    pub logs: Vec<LogReport>,
    /// Logs that others hold heads of and that are not here, so that nobody looked at them.
    pub unchecked: Vec<String>,
}

/// What was found in one log.
#[derive(Debug, Clone, Serialize)]
pub struct LogReport {
    /// Which.
    pub log: String,
    /// Where it lies.
    pub database: PathBuf,
    /// Whose it is, by the database.
    pub keeper: Option<PartyId>,
    /// How many rows there are.
    pub entries: u64,
    /// Where the part ends that holds together.
    pub head: Head,
    /// Whether something is wrong.
    pub verdict: Verdict,
    /// What is wrong, by the number of the entry.
    pub findings: Vec<Finding>,
    /// Whose heads of it agree.
    pub agrees_with: Vec<String>,
    /// What could not be looked at.
    pub unchecked: Vec<String>,
}

/// Whether something is wrong with a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing that could be looked at.
    Whole,
    /// See the findings.
    Damaged,
}

/// Something that is wrong with a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The first entry that it concerns.
    pub number: u64,
    /// What it is.
    pub problem: Problem,
    /// For people.
    pub detail: String,
}

/// What can be wrong with a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Problem {
    /// An entry is not what was written.
    Altered,
    /// An entry is gone.
    Missing,
    /// Something is stored, and the entry that was written with it is gone.
    Unentered,
    /// An entry tells of something that is for good, and it is not stored any more.
    Undone,
    /// An entry stands where another was written.
    Moved,
    /// The entries hold together, but are not those of which a head is held.
    Rewritten,
    /// Entries that the keeper has not signed or sealed.
    Unsigned,
    /// The keeper's own head is gone, altered or another's.
    HeadLost,
    /// Others know another keeper of this log.
    OtherKeeper,
    /// The keeper has shown a head that contradicts one that it showed before.
    Contradiction,
    /// What a log holds of others' heads was altered.
    WitnessAltered,
    /// The heads of others that a log's keeper was shown are gone.
    WitnessLost,
    /// The whole log is gone.
    LogLost,
}

impl Problem {
    /// Its stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Altered => "altered",
            Self::Missing => "missing",
            Self::Unentered => "unentered",
            Self::Undone => "undone",
            Self::Moved => "moved",
            Self::Rewritten => "rewritten",
            Self::Unsigned => "unsigned",
            Self::HeadLost => "head_lost",
            Self::OtherKeeper => "other_keeper",
            Self::Contradiction => "contradiction",
            Self::WitnessAltered => "witness_altered",
            Self::WitnessLost => "witness_lost",
            Self::LogLost => "log_lost",
        }
    }
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_whole(&self) -> bool {
        self.logs.iter().all(|log| log.verdict == Verdict::Whole)
    }

    /// Whether there was nothing that could not be looked at.
    pub fn is_complete(&self) -> bool {
        self.unchecked.is_empty() && self.logs.iter().all(|log| log.unchecked.is_empty())
    }

    /// The report on a log, by its name.
    pub fn log(&self, name: &str) -> Option<&LogReport> {
        self.logs.iter().find(|log| log.log == name)
    }
}

impl LogReport {
    /// The first thing that is wrong.
    pub fn first(&self) -> Option<&Finding> {
        self.findings.first()
    }
}
