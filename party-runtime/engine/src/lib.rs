//! Threshold signature engines behind one step machine.
//!
//! Floor 1: pure. An [`Engine`] takes messages and finished jobs and yields [`Step`]s; it starts no
//! thread, opens no socket and reads no clock. CPU-heavy work leaves as a [`Job`], to be run
//! wherever the caller likes and handed back through [`Engine::complete`]. Randomness is the
//! operating system's: the libraries' rounds draw it inside jobs.
//!
//! Reading order: [`engine()`] and what it takes and yields, [`Job`], then the scheme modules:
//! `cggmp24`, and `frost` over `lockstep`; [`verify`] and [`encode`] serve whoever holds a signature, the coordinator included.

mod attempt;
mod cggmp24;
pub mod encode;
mod engine;
mod failure;
mod frost;
mod job;
mod lockstep;
mod secret;
pub mod verify;

#[cfg(feature = "dealer")]
pub use cggmp24::dealer;
#[cfg(feature = "bench")]
pub use cggmp24::raw;
#[cfg(feature = "attacks")]
pub use engine::engine_without_guard;
pub use engine::{Engine, Product, RunContext, Step, Task, engine};
pub use failure::EngineFailure;
pub use job::{Done, Job};
pub use secret::SecretBytes;
