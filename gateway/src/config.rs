//! What the composition decides.

use crate::unproven::MAX_UNPROVEN;
use mpc_wire::{Transport, limits};
use rustls::ServerConfig;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Most connections at a time. Each costs two file descriptors (see `admission`) and some 70 kB of
/// buffers; together with the sockets that have none (see `unproven`) this stays within a
/// container's usual limit of 16,384 descriptors.
const MAX_CONNECTIONS: usize = 4096;

/// Most sockets of one address, or of one /64 of IPv6. A pool of parties may sit behind one NAT or ingress, so this keeps
/// a single broken client from taking every seat, and no more.
const MAX_CONNECTIONS_PER_IP: usize = 256;

/// Threads that serve sockets. The work is copying bytes; a second one keeps a verification of
/// signatures from delaying rounds.
const WORKERS: usize = 2;

/// How the gateway is set up.
#[derive(Debug, Clone)]
pub struct GatewayConfig {
    /// Where to listen; port 0 picks a free one.
    pub listen: SocketAddr,
    /// How the sockets' bytes travel.
    pub transport: Transport<Arc<ServerConfig>>,
    /// The name that parties check in the challenge; 1 to [`limits::MAX_LABEL`] bytes.
    pub server_name: String,
    /// Most connections at a time.
    pub max_connections: usize,
    /// Most sockets at a time that have not proven whose they are, with a connection or without.
    pub max_unproven: usize,
    /// Most sockets of one address at a time.
    pub max_connections_per_ip: usize,
    /// Threads that serve sockets.
    pub workers: usize,
    /// How long to wait for what.
    pub timings: Timings,
}

impl GatewayConfig {
    /// The defaults, at this address and under this name; for this host only.
    pub fn new(listen: SocketAddr, server_name: impl Into<String>) -> Self {
        Self {
            listen,
            transport: Transport::Loopback,
            server_name: server_name.into(),
            max_connections: MAX_CONNECTIONS,
            max_unproven: MAX_UNPROVEN,
            max_connections_per_ip: MAX_CONNECTIONS_PER_IP,
            workers: WORKERS,
            timings: Timings::default(),
        }
    }
}

/// How long the gateway waits for what. The defaults are the wire's limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timings {
    /// For a TLS handshake; and again from the upgrade to an accepted proof of identity.
    pub handshake: Duration,
    /// Between two pings.
    pub heartbeat: Duration,
    /// How long a party may acknowledge nothing; longer than `heartbeat`.
    pub silence: Duration,
    /// How long a closed connection may take to send its last words.
    pub farewell: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            handshake: limits::HANDSHAKE,
            heartbeat: limits::HEARTBEAT,
            silence: limits::SILENCE,
            farewell: Duration::from_secs(1),
        }
    }
}

impl Timings {
    /// How often the watchdog looks: often enough that no deadline is overshot by more than a
    /// quarter of the shortest, never in a busy loop.
    pub(crate) fn watch_interval(&self) -> Duration {
        let shortest = self.handshake.min(self.silence).min(self.farewell);
        (shortest / 4).max(Duration::from_millis(10))
    }
}
