//! A party: holds shares and speaks the protocols.
//!
//! The way of a session through this crate: the `link` actor brings the coordinator's messages in,
//! the `pending_actor` shell feeds them to the pure `mpc-pending` and performs its effects, a
//! `runner` actor drives one attempt's engine with the CPU pool, and what it makes goes into the
//! vault and back out the same road.
//!
//! Reading order: [`party`] (the whole, started and stopped), `supervisor`, `link`,
//! `pending_actor`, `runner`, [`seal`], [`vault`], [`policy`], [`cpu`].

pub mod cpu;
mod link;
pub mod party;
mod pending_actor;
pub mod policy;
pub mod runner;
pub mod seal;
mod supervisor;
pub mod vault;

pub use cpu::{CpuPool, Lane};
pub use link::{NotSent, Outgoing};
pub use party::{Party, PartyConfig, RequestError, Requested, StartError};
pub use runner::{RunnerCommand, RunnerEnded, RunnerHandle, Runners};
pub use vault::{KeySource, Vault, VaultError};
