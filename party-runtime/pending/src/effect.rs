//! What comes out of the machine.

use crate::join::AttemptSecret;
use crate::record::Record;
use mpc_wire::{
    Attempt, AttemptOutcome, AttemptPlan, DeclineReason, Intent, Objection, PartyId, RoundEnvelope,
    RoundHeader, SessionId, SignedJoin, VerifiedJoin,
};
use std::collections::BTreeMap;

/// Something to be done, in the order given. What stands behind a [`Effect::Persist`] must not
/// happen before that record is durable.
#[derive(Debug, Clone)]
pub enum Effect {
    /// Store the session's record in place of the one before.
    Persist(Box<Record>),
    /// Ask the coordinator for the session that a local caller wants.
    SendRequest(Box<Intent>),
    /// Ask policy, or a person, whether the party takes part.
    Ask(Box<Intent>),
    /// Send the party's consent to an attempt.
    SendJoin {
        /// The session.
        session: SessionId,
        /// The attempt.
        attempt: Attempt,
        /// The consent.
        join: Box<SignedJoin>,
    },
    /// Say that the party will not join an attempt.
    SendDecline {
        /// The session.
        session: SessionId,
        /// The attempt.
        attempt: Attempt,
        /// Why.
        reason: DeclineReason,
    },
    /// Say that a person has been asked, so that the coordinator waits for the answer. Repeated for
    /// each newer attempt, and after the way to the coordinator was lost.
    SendAwaitingApproval {
        /// The session.
        session: SessionId,
        /// The attempt.
        attempt: Attempt,
    },
    /// Refuse, in so many words, what somebody on the way has forged or mixed up. Happens at most
    /// once for a (session, attempt, objection) in the life of a process, so that nobody can make
    /// the party flood the coordinator.
    Object {
        /// The session.
        session: SessionId,
        /// The attempt: one that the party was invited to.
        attempt: Attempt,
        /// To what.
        objection: Objection,
    },
    /// Start the runner of an attempt. Happens at most once for a (session, attempt), ever.
    Launch(Box<Launch>),
    /// Stop the runner of an attempt.
    Kill {
        /// The session.
        session: SessionId,
        /// The attempt.
        attempt: Attempt,
    },
    /// Hand round messages to the runner: each exactly once, in the order of each sender.
    Deliver {
        /// The session.
        session: SessionId,
        /// The attempt.
        attempt: Attempt,
        /// The messages.
        messages: Vec<RoundEnvelope>,
    },
    /// Tell the sender that its message found no room.
    Refuse(RoundHeader),
    /// Report how the attempt ended here, to the coordinator and to a local caller. Repeated
    /// until the session is finished.
    Report {
        /// The session.
        session: SessionId,
        /// The attempt.
        attempt: Attempt,
        /// How it ended.
        outcome: Box<AttemptOutcome>,
    },
    /// The session is over for this party: a local caller need wait no longer.
    Over(SessionId),
    /// Delete the session's record.
    Forget(SessionId),
    /// Something arrived that has no place here; it may be counted.
    Drop {
        /// The session.
        session: SessionId,
        /// Why it has no place.
        cause: DropCause,
    },
}

/// All that a runner needs to know of its attempt.
#[derive(Debug, Clone)]
pub struct Launch {
    /// What the session is for.
    pub intent: Intent,
    /// The attempt.
    pub plan: AttemptPlan,
    /// Every member's join.
    pub joins: BTreeMap<PartyId, VerifiedJoin>,
    /// The secret half of the party's own join.
    pub secret: AttemptSecret,
}

/// Why an event had no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DropCause {
    /// The session is over or unknown.
    NoSession,
    /// The attempt is over, or a newer one is joined.
    StaleAttempt,
    /// Seen before.
    Repeated,
    /// The joins are not those of the plan that this party joined.
    WrongJoins,
    /// The message is not for this party, or not from a member.
    NotAMember,
    /// The shell could not verify it.
    Unverified,
    /// No room.
    Overflow,
}
