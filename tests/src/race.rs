//! The proofs that the order of arrival does not matter to a party (crate `mpc-pending`).
//!
//! A [`world::World`] is one party's real machine over a simulated durable store. A
//! [`stimulus::Step`] happens to it: an event, perhaps cut short by a crash after its k-th effect.
//! Beside the machine the world keeps [`facts`]: what has arrived and is still valid, by the rules
//! of the design and without the machine's help. After every step each of the [`invariants`]
//! compares the two. [`model`] makes a search space of it.
//!
//! Reading order: [`cast`], [`stimulus`], [`facts`], [`world`], [`hearing`], [`invariants`],
//! [`promises`], [`model`]; [`shared`] keeps a search fast.

pub mod cast;
pub mod facts;
pub mod hearing;
pub mod invariants;
pub mod model;
pub mod promises;
pub mod shared;
pub mod stimulus;
pub mod world;
