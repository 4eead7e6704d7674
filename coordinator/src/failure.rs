//! Why a session or an account has not become what it was to be.

use mpc_session::{FailureReason, Record, SessionEnd};
use mpc_wire::{DeclineReason, PartyId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A reason with a stable name, the parties concerned, and words for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failure {
    pub(crate) reason: Reason,
    pub(crate) parties: BTreeSet<PartyId>,
    pub(crate) detail: String,
}

/// The reasons: a closed list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reason {
    Declined,
    AttemptsExhausted,
    ResultsDiffer,
    Cancelled,
    Expired,
}

impl Reason {
    /// The reason's stable code in texts.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Declined => "declined",
            Self::AttemptsExhausted => "attempts_exhausted",
            Self::ResultsDiffer => "results_differ",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }
}

impl From<FailureReason> for Reason {
    fn from(reason: FailureReason) -> Self {
        match reason {
            FailureReason::Declined(_) => Self::Declined,
            FailureReason::AttemptsExhausted(_) => Self::AttemptsExhausted,
            FailureReason::ResultsDiffer => Self::ResultsDiffer,
        }
    }
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
                reason: failure.reason.into(),
                parties: failure.parties.clone(),
                detail: failure.detail.clone(),
            }),
            SessionEnd::Cancelled => Some(Self {
                reason: Reason::Cancelled,
                parties: BTreeSet::new(),
                detail: "the session was cancelled".to_owned(),
            }),
            SessionEnd::Expired { waiting_for } => Some(Self {
                reason: Reason::Expired,
                parties: waiting_for.clone(),
                detail: "the session's deadline passed".to_owned(),
            }),
        }
    }
}

/// Why parties refused a session's request, if that is what ended it: the reason of the first one
/// that did. Others may have declined because they could not have signed whatever was asked.
pub(crate) fn refusal(record: &Record) -> Option<DeclineReason> {
    let failure = Failure::of_record(record)?;
    let has_declined = failure.reason == Reason::Declined;
    record.declined().into_values().find(|reason| has_declined && refuses_request(*reason))
}

/// Whether a party that declines like this has judged the request, by its policy or its person, and
/// is itself fit to sign another one.
const fn refuses_request(reason: DeclineReason) -> bool {
    match reason {
        DeclineReason::RequestReused
        | DeclineReason::Refused
        | DeclineReason::AuthorizationMissing
        | DeclineReason::AuthorizationInvalid
        | DeclineReason::AuthorizationExpired
        | DeclineReason::UnknownRequester
        | DeclineReason::NotAllowed
        | DeclineReason::LimitReached
        | DeclineReason::OutsideHours => true,
        DeclineReason::NoShare
        | DeclineReason::AccountExists
        | DeclineReason::NoAux
        | DeclineReason::IntentMismatch
        | DeclineReason::PlanMismatch
        | DeclineReason::Expired
        | DeclineReason::LedgerDamaged
        | DeclineReason::Banned
        | DeclineReason::Quarantined
        | DeclineReason::StaleEpoch
        | DeclineReason::Unsupported
        | DeclineReason::Overloaded
        | DeclineReason::NotActive
        | DeclineReason::AttemptOver => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mpc_session::SessionFailure;
    use mpc_wire::FailureKind;

    /// Stored accounts, the audit log and the API name reasons as the machine names its ends.
    #[test]
    fn reasons_have_one_name_everywhere() {
        let failed = [
            FailureReason::Declined(DeclineReason::Refused),
            FailureReason::AttemptsExhausted(FailureKind::Panicked),
            FailureReason::ResultsDiffer,
        ]
        .map(|reason| {
            let (parties, detail) = (BTreeSet::new(), String::new());
            (reason.name(), SessionEnd::Failed(SessionFailure { reason, parties, detail }))
        });
        let others = [SessionEnd::Cancelled, SessionEnd::Expired { waiting_for: BTreeSet::new() }]
            .map(|end| (end.name(), end));
        for (name, end) in failed.into_iter().chain(others) {
            let reason = Failure::of(&end).unwrap().reason;
            assert_eq!(reason.name(), name);
            assert_eq!(serde_json::to_value(reason).unwrap(), name);
        }
    }
}
