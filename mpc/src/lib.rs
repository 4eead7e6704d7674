//! The command `mpc`: an all-in-one node, the demo, operator commands and the bench.
//!
//! This library holds what others can use too: [`node`] (gateway, coordinator and parties in one
//! process), [`api`] (what the backend API takes and answers) and [`client`] (who speaks it).
//!
//! The command itself is made of, in reading order: `main`, `cli` (every argument and environment
//! variable), `logging`, `secret`, `api_key` and `signals`; `serve` (`mpc node`); `operate` with
//! `table` (`mpc account`, `sign`, `session`, `party`); `own_node` with `steps` (a node that a
//! command runs for itself) and what stands on it, `demo` with `verify` and `report`, and `bench`.

pub mod api;
pub mod client;
pub mod node;
