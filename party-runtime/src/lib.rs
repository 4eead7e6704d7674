//! A party: holds shares and speaks the protocols.
//!
//! The way of a session through this crate: the `link` actor brings the coordinator's messages in,
//! the `pending_actor` shell feeds them to the pure `mpc-pending` and performs its effects, a
//! `runner` actor drives one attempt's engine with the CPU pool, and what it makes goes into the
//! vault and back out the same road.
//!
//! Reading order: [`party`] (the whole, started and stopped), `supervisor`, `link` with
//! `dial`, `frames` and `standing`, `pending_actor` with `peer_keys` and `peer_rooms`, `runner`, [`seal`], [`vault`], [`epochs`]
//! (which share is an account's), `audit`, [`policy`],
//! [`control`] (how the party's own people speak to it), [`cpu`].

mod audit;
pub mod backup;
mod bans;
pub mod control;
pub mod cpu;
mod dial;
pub mod epochs;
mod frames;
mod link;
pub mod party;
mod peer_keys;
mod peer_rooms;
mod peers;
mod pending_actor;
pub mod policy;
pub mod quarantine;
pub mod runner;
pub mod seal;
mod standing;
mod supervisor;
pub mod vault;

pub use cpu::{CpuPool, Lane};
pub use dial::{AddressError, LinkTls};
pub use link::{NotSent, Outgoing};
pub use party::{Party, PartyConfig, RequestError, Requested, RotateError, StartError};
pub use peer_rooms::Delivered;
pub use pending_actor::NEW_BACKUP_NEEDED;
pub use policy::{LivePolicy, Policy};
pub use runner::{RunnerCommand, RunnerEnded, RunnerHandle, Runners};
pub use standing::{LinkStatus, Refusal, RefusalReason};
pub use vault::{KeySource, Vault, VaultError, sealed_audit_head, signed_audit_head};
