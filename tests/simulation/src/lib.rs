//! A deterministic simulation of the runtime: the real session machines of the coordinator and the
//! real pending machines of five parties, over a simulated network, clock and disk.
//!
//! Everything that goes wrong is decided by a seed, so that what was found once is found again. What
//! the shells do between events (store before they send, say again what was not answered, notice
//! that a connection is gone) is modelled here; engines are stubs, so that thousands of sessions run
//! in a second. Invariants are checked with every event that touches them.
//!
//! Reading order: [`invariant`] (what must hold), [`profile`] (how bad the weather is), [`cast`]
//! (who there is, and what they are asked for), [`time`] and [`happening`] (what happens next),
//! [`network`] and [`script`] (what is lost on the way), [`engine`], [`party`] and [`coordinator`]
//! (the processes), [`around`] (what they have around them), [`ledger`] (what has happened, and
//! whether it may), [`world`] (all of it together), [`dice`], [`rows`]
//! (faults with the results that they must have), [`run`] (many worlds).

pub mod around;
pub mod cast;
pub mod coordinator;
pub mod dice;
pub mod engine;
pub mod happening;
pub mod invariant;
pub mod ledger;
pub mod network;
pub mod party;
pub mod profile;
pub mod rows;
pub mod run;
pub mod script;
pub mod time;
pub mod world;
