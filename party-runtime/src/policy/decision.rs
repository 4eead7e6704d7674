//! What the party decided about a session, for whoever acts on it and for the audit.

use super::file::PolicyVersion;
use mpc_wire::{
    AccountId, DeclineReason, Intent, IntentHash, IntentKind, Payload, RequestId, RequesterName,
    SessionId,
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A decision about a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyDecision {
    /// The session.
    pub session: SessionId,
    /// The request.
    pub request: RequestId,
    /// The hash of what the session is for.
    pub intent: IntentHash,
    /// Its kind.
    pub kind: SessionKind,
    /// The account, if there is one.
    pub account: Option<AccountId>,
    /// The requester that the request names. Its signature is right unless the verdict says
    /// otherwise.
    pub requester: Option<RequesterName>,
    /// The policy that was in force.
    pub policy: PolicyVersion,
    /// What was decided.
    pub verdict: Verdict,
}

/// What was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The party takes part.
    Approved,
    /// A person is to decide.
    AsksPerson,
    /// A person lets the party take part.
    ApprovedByPerson {
        /// The person's user id on the party's host.
        uid: u32,
    },
    /// A person keeps the party from taking part.
    RefusedByPerson {
        /// The person's user id on the party's host.
        uid: u32,
    },
    /// The party does not take part.
    Declined {
        /// Why, for the coordinator.
        reason: DeclineReason,
        /// Which rule it was, for the party's own people; may be empty.
        detail: String,
    },
}

impl Verdict {
    /// The verdict's name in logs and in the audit.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::AsksPerson => "asks_person",
            Self::ApprovedByPerson { .. } => "approved_by_person",
            Self::RefusedByPerson { .. } => "refused_by_person",
            Self::Declined { .. } => "declined",
        }
    }
}

/// What a policy tells apart of the kinds of session.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum SessionKind {
    /// A signature that somebody asks for.
    #[default]
    Sign,
    /// The proof that an account's shares sign: its digest is one that the party computes by
    /// itself, so that it can authorize nothing.
    Canary,
    /// A new account's key.
    Keygen,
    /// An aux set.
    Aux,
    /// New shares of the same key for the same parties.
    Refresh,
    /// The same key for other parties, or under another threshold.
    Reshare,
    /// A lost share.
    Replace,
}

impl SessionKind {
    /// The kind of an intent.
    pub(crate) const fn of(intent: &Intent) -> Self {
        match &intent.kind {
            IntentKind::Sign { payload: Payload::Canary { .. }, .. } => Self::Canary,
            IntentKind::Sign {
                payload: Payload::Digest(_) | Payload::Bytes { .. } | Payload::Message(_),
                ..
            } => Self::Sign,
            IntentKind::Keygen { .. } => Self::Keygen,
            IntentKind::Aux { .. } => Self::Aux,
            IntentKind::Refresh { .. } => Self::Refresh,
            IntentKind::Reshare { .. } => Self::Reshare,
            IntentKind::Replace { .. } => Self::Replace,
        }
    }

    /// The kind's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sign => "sign",
            Self::Canary => "canary",
            Self::Keygen => "keygen",
            Self::Aux => "aux",
            Self::Refresh => "refresh",
            Self::Reshare => "reshare",
            Self::Replace => "replace",
        }
    }
}

impl fmt::Display for SessionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
