//! Turns one HTTP request into one signature.
//!
//! Floor 2: actors around the pure session machine of `mpc-session`. A request comes in through
//! `http`, opens a session with the `supervisor`, and its `session_actor` invites parties
//! through the downlink; what they say comes in through the `hub`, until the session ends, is
//! stored, and the request is answered.
//!
//! Reading order: `config`, `coordinator` and `staff` (what it is put together from), `http`
//! with `api_key` and `signing` (the way in), `supervisor` with `opening`, `session_actor` with `decode`,
//! `enrolment` (who is let in), `hub` with `requests`, `pool` (aux sets), `accounts` with `life` (from order to first use),
//! `store` (what survives), `audit` (what is entered of it) with `herald` (who is shown its head), `roster`, `post`, `clock`, `backoff`, `names`, `failure`.

mod accounts;
mod activation;
mod api_key;
mod audit;
mod backoff;
mod clock;
mod config;
mod coordinator;
mod decode;
mod enrolment;
mod failure;
mod herald;
mod http;
mod hub;
mod life;
mod names;
mod opening;
mod pool;
mod post;
mod relay;
mod requests;
mod roster;
mod session_actor;
mod signing;
mod staff;
mod store;
mod supervisor;

pub use audit::audit_keeper;
pub use config::{
    ApiKey, ApiKeyTooShort, BadNetwork, CoordinatorConfig, CoordinatorSecret, DoorLimits, Limits,
    MIN_API_KEY, Networks, NotASecret, Rate,
};
pub use coordinator::{Coordinator, StartError, start};
pub use enrolment::{
    Admissions, Arrival, EnrolmentSecret, EnrolmentSecretTooShort, MIN_ENROLMENT_SECRET, Verdict,
};
pub use http::{DoorStats, ListenError, RouteInfo, routes};
pub use names::{Role, Scope, UnknownName};
pub use store::party::RegisterError;
pub use store::{Store, StoreError};
