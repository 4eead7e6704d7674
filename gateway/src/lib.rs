//! The post office: a WebSocket endpoint that moves envelopes between parties and coordinator and
//! opens none.
//!
//! A party connects to [`CONNECT_PATH`], proves its identity, and is then reachable: what it says
//! goes up as [`mpc_wire::Uplink`], what the coordinator says goes down as [`mpc_wire::Downlink`],
//! both over bounded channels. Delivery is end to end between parties; the gateway may die at any
//! time and promises only order: for every party `Online`, then its messages as they came, then
//! `Offline`. A party that connects anew is announced by another `Online`, with no `Offline`
//! between, and nothing of its old connection follows that.
//!
//! Who may connect is asked of the [`Roster`]; who was revoked is cut off by a
//! [`mpc_wire::Downlink::Disconnect`], which every gateway must get: with several of them, the
//! downlink is their common bus, and a revocation goes to all.
//!
//! Reading order, along the way of a message:
//! - `config`, `roster`: what the composition gives;
//! - `server`: HTTP, start and graceful stop; `doorstep`: a socket before that, TLS included;
//!   `admission`: who gets a seat; `unproven`: who makes room for others;
//! - `socket`: the connection actor, one a socket; `gate`: what it reads, one frame at a time;
//!   `handshake`, `envelope`: what it makes of a frame; `farewell`: every reason to close;
//! - `link`: what others know of a connection, and how they close it when its actor cannot;
//! - `router`: which connection is a party's; `presence`: what the coordinator was told of it;
//! - `supervisor`: keeps a router alive; `office`: what all of these share; `stats`: what ops count.

mod admission;
mod config;
mod doorstep;
mod envelope;
mod farewell;
mod gate;
mod handshake;
mod link;
mod office;
mod presence;
mod roster;
mod router;
mod server;
mod socket;
mod stats;
mod supervisor;
mod unproven;

pub use config::{GatewayConfig, Timings};
pub use roster::{Admission, Answer, Claim, Roster, RosterUnavailable};
pub use server::{CONNECT_PATH, Gateway, GatewayError, HEALTH_PATH, start};
pub use stats::{Counter, Stats};
