//! Turns one HTTP request into one signature.
//!
//! Floor 2: actors around the pure session machine of `mpc-session`. A request comes in through
//! `http`, opens a session with the `supervisor`, and its `session_actor` invites parties
//! through the downlink; what they say comes in through the `hub`, until the session ends, is
//! stored, and the request is answered.
//!
//! Reading order: `config` and `coordinator` (what it is put together from), `http`
//! and `signing` (the way in), `supervisor` with `opening`, `session_actor` with `decode`,
//! `hub` with `requests`, `pool` (aux sets), `accounts` with `life` (from order to first use),
//! `store` (what survives), `roster`, `post`, `clock`, `backoff`, `names`, `failure`.

mod accounts;
mod backoff;
mod clock;
mod config;
mod coordinator;
mod decode;
mod failure;
mod http;
mod hub;
mod life;
mod names;
mod opening;
mod pool;
mod post;
mod requests;
mod roster;
mod session_actor;
mod signing;
mod store;
mod supervisor;

pub use config::{ApiKey, ApiKeyTooShort, CoordinatorConfig, Limits, MIN_API_KEY};
pub use coordinator::{Coordinator, StartError, start};
pub use names::{Role, UnknownName};
pub use store::party::RegisterError;
pub use store::{Store, StoreError};
