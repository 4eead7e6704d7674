//! What ops count.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// The number now.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, amount: usize) {
        // usize is at most 64 bits wide on every platform Rust has.
        self.0.fetch_add(amount as u64, Ordering::Relaxed);
    }

    pub(crate) fn increment(&self) {
        self.add(1);
    }
}

/// Counters since the start of the gateway.
#[derive(Debug, Default)]
pub struct Stats {
    /// Sockets that got a seat.
    pub connections: Counter,
    /// Sockets and upgrades refused for want of a seat.
    pub refused: Counter,
    /// Sockets cut before they had proven anything, to make room for others.
    pub evicted: Counter,
    /// TLS handshakes that failed or took too long.
    pub handshakes_failed: Counter,
    /// Parties admitted after their handshake.
    pub admitted: Counter,
    /// Connections ended by the gateway for what the party did.
    pub dismissed: Counter,
    /// Messages from parties.
    pub messages_in: Counter,
    /// Messages written to parties' sockets.
    pub messages_out: Counter,
    /// Bytes of messages from parties.
    pub bytes_in: Counter,
    /// Bytes of messages written to parties' sockets.
    pub bytes_out: Counter,
    /// Connections that the watchdog cut: slow, silent or never finished.
    pub cut: Counter,
    /// Of those cut, the ones that took too little of what was sent to them.
    pub slow_consumers: Counter,
    /// Messages for parties that are not connected, or that could not be encoded.
    pub undeliverable: Counter,
    /// Actors that died of a panic.
    pub panics: Counter,
}
