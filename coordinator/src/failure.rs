//! Why a session or an account has not become what it was to be.

use mpc_session::{Record, SessionEnd};
use mpc_wire::PartyId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A reason with a stable name, the parties concerned, and words for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failure {
    pub(crate) reason: String,
    pub(crate) parties: BTreeSet<PartyId>,
    pub(crate) detail: String,
}

impl Failure {
    /// The failure that a session came to, if it did.
    pub(crate) fn of_record(record: &Record) -> Option<Self> {
        record.end.as_ref().and_then(Self::of)
    }

    /// The failure that an end is, if it is one.
    pub(crate) fn of(end: &SessionEnd) -> Option<Self> {
        match end {
            SessionEnd::Completed(_) => None,
            SessionEnd::Failed(failure) => Some(Self {
                reason: failure.reason.name().to_owned(),
                parties: failure.parties.clone(),
                detail: failure.detail.clone(),
            }),
            SessionEnd::Cancelled => Some(Self {
                reason: end.name().to_owned(),
                parties: BTreeSet::new(),
                detail: "the session was cancelled".to_owned(),
            }),
            SessionEnd::Expired { waiting_for } => Some(Self {
                reason: end.name().to_owned(),
                parties: waiting_for.clone(),
                detail: "the session's deadline passed".to_owned(),
            }),
        }
    }
}
