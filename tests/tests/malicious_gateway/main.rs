//! Real parties and a real coordinator behind a gateway that drops, alters, replays, redirects and
//! reorders what crosses it: nothing that was tampered with reaches an engine, nobody is blamed,
//! and the parties sign all the same, at the latest in the next attempt.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

// The attributes tell clippy that what helps the tests is test code too.
#[cfg(test)]
mod flips;
#[cfg(test)]
mod lies;
#[cfg(test)]
mod order;
#[cfg(test)]
mod replays;
#[cfg(test)]
mod routes;
