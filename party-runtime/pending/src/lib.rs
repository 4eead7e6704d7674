//! The PendingSession state machine of a party, pure: what removes the `session_started` race.
//!
//! Floor 1: an event and the time go in, effects come out. The machine does not follow a script;
//! it collects facts about each session (intended, invited, approved, started, …), which may come
//! in any order and any number of times, and after each one asks what the facts it holds call for
//! ([`settle`]). A decision that depends on a set of facts cannot depend on their order, and no
//! timer takes part in it.
//!
//! Reading order: [`event`] and [`effect`] (what goes in and out), [`pending`] and `early` (the
//! machine), `entry` and [`settle`] (the facts of one session and what they call for), `inbox`
//! (early and unordered round messages), [`delivery`] (round messages until they are acknowledged),
//! [`join`] and [`record`] (what is stored), [`batch`] (in which portions), [`reminders`] (what is
//! said again when), [`limits`].

pub mod batch;
pub mod delivery;
mod early;
pub mod effect;
mod entry;
pub mod event;
mod inbox;
pub mod join;
pub mod limits;
pub mod pending;
pub mod record;
pub mod reminders;
pub mod settle;

pub use batch::Batch;
pub use delivery::{Delivery, Dispatch, NotTaken};
pub use effect::{DropCause, Effect, Launch};
pub use event::{Event, Now};
pub use join::{AttemptSecret, Joiner, PreparedJoin};
pub use pending::Pending;
pub use record::Record;
pub use reminders::{Reminders, Unanswered};
