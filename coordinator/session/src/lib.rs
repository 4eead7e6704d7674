//! The session state machine of the coordinator, pure.
//!
//! Floor 1: an event and the time go in, effects come out; no socket, no database, no clock. One
//! [`Session`] turns one intent into one end, over as many attempts as that takes.
//!
//! Reading order: [`event`] and [`effect`] (what goes in and out), [`session`] (the machine), its
//! parts `attempt`, `declines` and `running`, [`patience`] (how long is waited for what), `state`
//! (one struct a state), `positions` (how far an attempt is), `quorum` (who takes part), [`end`] and [`status`] (what is told), [`record`] (what survives a restart).

mod attempt;
mod declines;
pub mod effect;
pub mod end;
pub mod event;
pub mod patience;
mod positions;
mod quorum;
pub mod record;
mod running;
pub mod session;
mod state;
pub mod status;

pub use attempt::{MAX_ATTEMPTS, MAX_FAULTS, MAX_OBJECTIONS};
pub use declines::MAX_DETOURS;
pub use effect::{DropCause, Effect};
pub use end::{FailureReason, SessionEnd, SessionFailure, SessionProduct};
pub use event::{CheckedOutcome, Event};
pub use patience::{ABSENCE_PATIENCE, JOIN_PATIENCE, REMINDER, ROUND_PATIENCE};
pub use record::{PastAttempt, RaisedObjection, Record};
pub use session::{Order, Session};
pub use status::{Phase, Status};

use serde::{Deserialize, Serialize};

/// Monotonic milliseconds on the caller's clock; only differences have a meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Millis(pub u64);

impl Millis {
    /// The time `millis` after this one.
    pub fn after(self, millis: u64) -> Self {
        Self(self.0.saturating_add(millis))
    }
}
