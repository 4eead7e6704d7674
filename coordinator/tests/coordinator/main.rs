//! The coordinator through its HTTP API and its channels, against scripted parties that sign with
//! a real key.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "test code fails by panicking"
)]

mod accounts;
mod activation;
mod api_keys;
mod audit;
mod authorization;
mod bad_input;
mod client;
mod door;
mod enrolment;
mod faults;
mod idempotency;
mod load;
mod parties;
mod requests;
mod restart;
mod revocation;
mod sign;
mod tls;
mod world;
