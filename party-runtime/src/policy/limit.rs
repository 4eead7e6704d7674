//! How much the party signs in a window of time.

use super::decision::SessionKind;
use super::span::Span;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Most requests that a limit can allow in its window: each new request reads as many rows of an
/// index as its limits allow.
pub const MAX_LIMIT: u32 = 100_000;

/// At most so many requests in any stretch of time as long as the window (a sliding window: there
/// is no boundary at which two windows' worth could be had at once). Counts requests that the party
/// has taken up, not attempts, and what was refused by a rule does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawLimit")]
pub struct Limit {
    pub(crate) window: Span,
    pub(crate) requests: u32,
    pub(crate) per: Per,
    pub(crate) sessions: SessionKind,
}

/// What a limit counts apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Per {
    /// Nothing: it holds for the party as a whole.
    Party,
    /// Each account.
    Account,
    /// Each requester; requests that no requester signed count together.
    Requester,
}

/// A limit that cannot be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadLimit {
    /// None, or too many.
    #[error("requests must be 1 to {MAX_LIMIT}; to allow none at all leave the requesters out")]
    Requests,
    /// Not every kind of session has what is to be counted.
    #[error("sessions of this kind have none to count per: give another `per`")]
    Per,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLimit {
    window: Span,
    requests: u32,
    per: Per,
    #[serde(default)]
    sessions: SessionKind,
}

impl TryFrom<RawLimit> for Limit {
    type Error = BadLimit;

    fn try_from(raw: RawLimit) -> Result<Self, BadLimit> {
        let RawLimit { window, requests, per, sessions } = raw;
        if !(1..=MAX_LIMIT).contains(&requests) {
            return Err(BadLimit::Requests);
        }
        let is_countable = match per {
            Per::Party => true,
            // An aux set has no account, and a new account's limit would count to one.
            Per::Account => !matches!(sessions, SessionKind::Keygen | SessionKind::Aux),
            Per::Requester => sessions == SessionKind::Sign,
        };
        if is_countable { Ok(Self { window, requests, per, sessions }) } else { Err(BadLimit::Per) }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { window, requests, per, sessions } = self;
        let per = match per {
            Per::Party => "party",
            Per::Account => "account",
            Per::Requester => "requester",
        };
        write!(f, "{requests} {sessions} requests in {window} per {per}")
    }
}
