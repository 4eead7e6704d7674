//! Row 25, last clause: a canary in every secret type is found in no Debug, no Display and no
//! error. Logs, panics and core dumps of the whole command are in `mpc/tests/mpc/secrets.rs`.
//!
//! Reading order: `search` (the search finds what it is to find), `shown` (what a value and its
//! errors say), `wire`, `engine`, `party`, `office` and `command` (every secret type of a floor, around a canary),
//! `inventory` (no secret type is left out).

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod command;
mod engine;
mod inventory;
mod office;
mod party;
mod search;
mod shown;
mod wire;
