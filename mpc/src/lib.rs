//! The command `mpc`: an all-in-one node, the demo, operator commands and the bench.
//!
//! This library holds what others can use too: [`node`] (gateway, coordinator and parties in one
//! process), [`api`] (what the backend API takes and answers), [`client`] (who speaks it),
//! [`requester`] (who signs what it asks for),
//! [`tls`] (certificates and keys from files) and [`audit`] (checks audit logs).
//!
//! The command itself is made of, in reading order: `main`, `cli` (every argument and environment
//! variable), `encryption`, `logging`, `hardening`, `secret`, `key_file`, `api_key`, `door` and
//! `signals`; `serve` (`mpc node`); `operate` with `table` (`mpc account`, `sign`, `session`,
//! `party`), `apikey`, `requesting` and `approvals`; `inspect` (`mpc audit`); `own_node` with `steps` (a node that a command runs for itself) and what
//! stands on it, `demo` with `verify` and `report`, and `bench`.

pub mod api;
pub mod audit;
pub mod client;
pub mod node;
pub mod requester;
pub mod tls;
