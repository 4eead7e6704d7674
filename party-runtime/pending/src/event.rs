//! What goes into the machine.

use crate::record::Record;
use mpc_wire::{
    Attempt, AttemptOutcome, AttemptPlan, DeclineReason, Intent, Objection, RoundEnvelope,
    SessionId, UnixMillis, VerifiedJoin,
};

/// The time, on both clocks. Deadlines run on the monotonic one; the wall clock only says, once,
/// how much of an intent's life is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Monotonic milliseconds; only differences have a meaning.
    pub monotonic: u64,
    /// Wall clock.
    pub wall: UnixMillis,
}

/// Something happened. The variants may come in any order and any number of times, with one
/// exception: nothing but early messages may come before [`Event::Restored`] if there is anything
/// to restore.
#[derive(Debug, Clone)]
pub enum Event {
    /// A local caller wants this session. Its request leaves only after this is stored.
    Intend(Intent),
    /// The coordinator invites the party to an attempt.
    Invited {
        /// What the session is for.
        intent: Intent,
        /// The attempt.
        plan: AttemptPlan,
    },
    /// Policy leaves the session to a person, who has been asked: the answer may take long.
    Pondering(SessionId),
    /// Policy, or a person, accepts the session.
    Approved(SessionId),
    /// Policy, or a person, refuses the session.
    Refused {
        /// The session.
        session: SessionId,
        /// Why.
        reason: DeclineReason,
    },
    /// Every member has joined the attempt.
    Started {
        /// The session.
        session: SessionId,
        /// The attempt.
        attempt: Attempt,
        /// The joins, each with a valid signature.
        joins: Vec<VerifiedJoin>,
    },
    /// A round message has come, perhaps before the attempt has started here.
    RoundMessage(RoundEnvelope),
    /// Something came for an attempt that the shell could not verify, such as a `Started` with a
    /// forged join, and has thrown away.
    Unverified {
        /// The session.
        session: SessionId,
        /// The attempt.
        attempt: Attempt,
        /// What is wrong with it.
        objection: Objection,
    },
    /// The attempt's runner in this party has ended.
    RunnerEnded {
        /// The session.
        session: SessionId,
        /// The attempt.
        attempt: Attempt,
        /// How.
        outcome: AttemptOutcome,
    },
    /// An attempt is over without a result.
    Aborted {
        /// The session.
        session: SessionId,
        /// The attempt, and with it every lower one.
        attempt: Attempt,
    },
    /// The session is over for the coordinator and its outcome stored: this also acknowledges the
    /// party's outcome. A runner that is still at work may end by itself.
    Finished(SessionId),
    /// The way to the coordinator is open (again): what it may have missed is sent again.
    Connected,
    /// Time has passed.
    Tick,
    /// The process has started and found this in its store.
    Restored(Vec<Record>),
}
