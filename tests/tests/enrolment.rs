//! How parties come, change their keys and go: over real sockets, with a real coordinator and
//! gateway.
//!
//! Reading order: `house` (what the tests share), `tokens`, `rotation`, `revocation`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "enrolment/house.rs"]
mod house;
#[path = "enrolment/revocation.rs"]
mod revocation;
#[path = "enrolment/rotation.rs"]
mod rotation;
#[path = "enrolment/tokens.rs"]
mod tokens;
