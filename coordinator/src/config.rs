//! What the coordinator is told at its start.

mod door;
mod networks;
mod secret;

pub use door::{DoorLimits, Rate};
pub use networks::{BadNetwork, Networks};
pub(crate) use secret::keyed;
pub use secret::{CoordinatorSecret, NotASecret};

use crate::enrolment::EnrolmentSecret;
use mpc_wire::Transport;
use rustls::ServerConfig;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

/// Shortest API key in bytes: below 16 a key could be guessed over the network.
pub const MIN_API_KEY: usize = 16;

/// The coordinator's configuration, read once by whoever starts it.
#[derive(Debug, Clone)]
pub struct CoordinatorConfig {
    /// Where the HTTP API listens; port 0 takes any free one.
    pub listen: SocketAddr,
    /// How the API's bytes travel.
    pub transport: Transport<Arc<ServerConfig>>,
    /// The bootstrap key: it opens everything below `/api/v1`, and is never stored.
    pub api_key: ApiKey,
    /// What the coordinator's own keys come from.
    pub secret: CoordinatorSecret,
    /// What enrolment tokens are signed with; without it none can be made or used.
    pub enrolment: Option<EnrolmentSecret>,
    /// Who may speak to the API; with an empty list, everybody.
    pub allowed: Networks,
    /// The proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Networks,
    /// Deadlines, waits and bounds.
    pub limits: Limits,
}

impl CoordinatorConfig {
    /// A coordinator for everybody on this host, behind no proxy, with default limits.
    pub fn new(listen: SocketAddr, api_key: ApiKey, secret: CoordinatorSecret) -> Self {
        Self {
            listen,
            transport: Transport::Loopback,
            api_key,
            secret,
            enrolment: None,
            allowed: Networks::default(),
            trusted_proxies: Networks::default(),
            limits: Limits::default(),
        }
    }
}

/// A key that opens the HTTP API. Zeroizes on drop and is never formatted.
#[derive(Clone)]
pub struct ApiKey(Zeroizing<String>);

/// A key that is too short to be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the API key is too short: give at least {MIN_API_KEY} bytes")]
pub struct ApiKeyTooShort;

impl ApiKey {
    /// The key's bytes, for comparison only.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl TryFrom<String> for ApiKey {
    type Error = ApiKeyTooShort;

    fn try_from(key: String) -> Result<Self, Self::Error> {
        let key = Zeroizing::new(key);
        if key.len() < MIN_API_KEY { Err(ApiKeyTooShort) } else { Ok(Self(key)) }
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(redacted)")
    }
}

/// Deadlines, waits and bounds.
#[derive(Debug, Clone)]
pub struct Limits {
    /// How long a signing session may take.
    pub sign_deadline: Duration,
    /// How long a key generation may take.
    pub keygen_deadline: Duration,
    /// How long the generation of an aux set may take.
    pub aux_deadline: Duration,
    /// How long a canary session may take.
    pub canary_deadline: Duration,
    /// How long a sign request waits for its signature, unless it says otherwise.
    pub sign_wait: Duration,
    /// How long the creation of an account waits for it to be active, unless it says otherwise.
    pub account_wait: Duration,
    /// The longest wait that a request can ask for.
    pub max_wait: Duration,
    /// How far ahead the expiry of a session that a party asks for may lie.
    pub max_requested_life: Duration,
    /// The first pause before failed background work is tried again; it doubles with each failure.
    pub retry_pause: Duration,
    /// Most sessions that run at a time.
    pub max_running_sessions: usize,
    /// Most accounts that are on their way to being active at a time.
    pub max_pending_accounts: usize,
    /// What the door of the API lets through.
    pub door: DoorLimits,
}

impl Limits {
    /// A signing takes a second or two; the rest leaves room for attempts with other quorums.
    pub const SIGN_DEADLINE: Duration = Duration::from_secs(60);
    /// Key generation is as quick as signing, but needs every party.
    pub const KEYGEN_DEADLINE: Duration = Duration::from_secs(120);
    /// About eleven seconds of CPU a party for a set of three, growing with the square of the set.
    pub const AUX_DEADLINE: Duration = Duration::from_secs(900);
    /// As for any signing.
    pub const CANARY_DEADLINE: Duration = Self::SIGN_DEADLINE;
    /// Half of the deadline: who still waits then does better by polling.
    pub const SIGN_WAIT: Duration = Duration::from_secs(30);
    /// Long enough for the first account of a new set of parties, which waits for its aux set.
    pub const ACCOUNT_WAIT: Duration = Duration::from_secs(120);
    /// Beyond this proxies cut connections anyway.
    pub const MAX_WAIT: Duration = Duration::from_secs(300);
    /// A person may take a while to approve; a forgotten intent must not lie around for days.
    pub const MAX_REQUESTED_LIFE: Duration = Duration::from_secs(3600);
    /// Long enough not to load a party in trouble, short enough to go unnoticed.
    pub const RETRY_PAUSE: Duration = Duration::from_secs(2);
    /// Some tens of kilobytes each at their peak, all sharing the CPUs of the same parties.
    pub const MAX_RUNNING_SESSIONS: usize = 1024;
    /// Each is a small task, but may wait for weeks for a phone to come back.
    pub const MAX_PENDING_ACCOUNTS: usize = 4096;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sign_deadline: Self::SIGN_DEADLINE,
            keygen_deadline: Self::KEYGEN_DEADLINE,
            aux_deadline: Self::AUX_DEADLINE,
            canary_deadline: Self::CANARY_DEADLINE,
            sign_wait: Self::SIGN_WAIT,
            account_wait: Self::ACCOUNT_WAIT,
            max_wait: Self::MAX_WAIT,
            max_requested_life: Self::MAX_REQUESTED_LIFE,
            retry_pause: Self::RETRY_PAUSE,
            max_running_sessions: Self::MAX_RUNNING_SESSIONS,
            max_pending_accounts: Self::MAX_PENDING_ACCOUNTS,
            door: DoorLimits::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_keys_are_refused_and_no_key_is_formatted() {
        assert_eq!(ApiKey::try_from("x".repeat(15)).unwrap_err(), ApiKeyTooShort);
        let key = ApiKey::try_from("correct-horse-battery".to_owned()).unwrap();
        assert_eq!(format!("{key:?}"), "ApiKey(redacted)");
    }
}
