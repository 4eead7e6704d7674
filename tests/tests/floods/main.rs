//! Floods: of sockets, of frames, of nonsense, of requests. Each is poured over a house in a process
//! of its own, so that what the house holds is seen apart from what its attackers hold.
//!
//! `MPC_SEED` repeats a flood with a seed that was printed. What takes minutes runs with `--ignored`.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking"
)]

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod house;
#[cfg(test)]
mod nonsense;
#[cfg(test)]
mod row_05_nonsense;
#[cfg(test)]
mod row_06_frames;
#[cfg(test)]
mod row_07_sockets;
#[cfg(test)]
mod row_24_requests;
