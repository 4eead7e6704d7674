//! What comes out of the machine.

use crate::end::SessionEnd;
use crate::record::Record;
use mpc_wire::{PartyId, ToParty};

/// Something to be done, in the order given. What stands behind a [`Effect::Persist`] must not
/// happen before that record is durable: state is written before it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Store the record.
    Persist(Box<Record>),
    /// Send a message to a party.
    Send {
        /// To whom.
        to: PartyId,
        /// What.
        message: Box<ToParty>,
    },
    /// Tell the requester how the session ended. Comes once.
    End(SessionEnd),
    /// Something arrived that has no place here. Nobody is blamed; ops may count it.
    Drop {
        /// From whom.
        from: PartyId,
        /// Why it has no place.
        cause: DropCause,
    },
}

/// Why an event had no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DropCause {
    /// It belongs to an attempt that is over, or that never was.
    OtherAttempt,
    /// It comes from, or goes to, a party outside the quorum.
    NotAMember,
    /// It comes too early or too late in this attempt.
    OutOfPhase,
    /// It is for a plan that nobody here has made: the attempt ends, and nobody is blamed.
    OtherPlan,
    /// It has been seen before.
    Repeated,
    /// A join whose signature is broken, as those before it were.
    BrokenJoin,
}
