//! The door: who may knock at all, how often, and who has to wait outside.
//!
//! In this order: where a request comes from (`source`), whether it may come from there, how many
//! have come from there (`rate`), whether that source is locked out (`lockout`); then only is its
//! key looked at (`auth`).

use super::Api;
use super::auth::KeyName;
use super::lockout::{LockOuts, Verdict};
use super::problem::{Code, Problem};
use super::rate::RateLimit;
use super::source::{Source, SourceNetwork};
use crate::config::{CoordinatorConfig, Networks};
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::HeaderName;
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, web};
use governor::clock::MonotonicClock;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The path of who asks whether the coordinator is alive.
pub(crate) const HEALTH: &str = "/health";

/// Lock-outs that are logged within a minute; further ones are only counted. An attacker with many
/// addresses must not fill the disk.
const LOGGED_A_MINUTE: NonZeroU32 = match NonZeroU32::new(60) {
    Some(lines) => lines,
    None => NonZeroU32::MIN,
};

/// What the door has refused since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DoorStats {
    /// Wrong API keys that were looked at.
    pub wrong_keys: u64,
    /// Sources that were locked out.
    pub lock_outs: u64,
    /// Requests of locked-out sources.
    pub locked_out: u64,
    /// Requests beyond the rate of their source or key.
    pub rate_limited: u64,
    /// Requests from addresses that are not allowed.
    pub not_allowed: u64,
}

#[derive(Default)]
struct Counters {
    wrong_keys: AtomicU64,
    lock_outs: AtomicU64,
    locked_out: AtomicU64,
    rate_limited: AtomicU64,
    not_allowed: AtomicU64,
}

/// The door of the API.
pub(crate) struct Door {
    allowed: Networks,
    trusted_proxies: Networks,
    sources: RateLimit<SourceNetwork>,
    keys: RateLimit<KeyName>,
    lock_outs: Mutex<LockOuts>,
    counters: Counters,
    log: DefaultDirectRateLimiter,
}

impl Door {
    pub(crate) fn new(config: &CoordinatorConfig) -> Self {
        let limits = &config.limits.door;
        Self {
            allowed: config.allowed.clone(),
            trusted_proxies: config.trusted_proxies.clone(),
            sources: RateLimit::new(limits.source_rate, MonotonicClock),
            keys: RateLimit::new(limits.key_rate, MonotonicClock),
            lock_outs: Mutex::new(LockOuts::new(limits)),
            counters: Counters::default(),
            log: RateLimiter::direct(Quota::per_minute(LOGGED_A_MINUTE)),
        }
    }

    /// What it has refused so far.
    pub(crate) fn stats(&self) -> DoorStats {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Counters { wrong_keys, lock_outs, locked_out, rate_limited, not_allowed } =
            &self.counters;
        DoorStats {
            wrong_keys: of(wrong_keys),
            lock_outs: of(lock_outs),
            locked_out: of(locked_out),
            rate_limited: of(rate_limited),
            not_allowed: of(not_allowed),
        }
    }

    fn source(&self, request: &ServiceRequest) -> Result<Source, Problem> {
        let peer = request.peer_addr().ok_or_else(|| {
            Problem::new(Code::InvalidForwardedFor, "the connection has no peer address")
        })?;
        let values = request.headers().get_all(FORWARDED_FOR).map(|value| value.as_bytes());
        Source::of(peer.ip(), values, &self.trusted_proxies)
            .map_err(|error| Problem::new(Code::InvalidForwardedFor, error.to_string()))
    }

    /// A liveness probe comes from the node itself, so it needs no place on the list. From
    /// elsewhere `/health` is as closed as the rest.
    fn refuse_foreign(&self, source: Source, path: &str) -> Result<(), Problem> {
        let is_probe = path == HEALTH && source.is_local();
        if self.allowed.is_empty() || self.allowed.contains(source.address()) || is_probe {
            return Ok(());
        }
        count(&self.counters.not_allowed);
        let detail = format!("requests from {source} are not allowed: see ALLOWED_IPS");
        Err(Problem::new(Code::SourceNotAllowed, detail))
    }

    fn take_source(&self, source: Source) -> Result<(), Problem> {
        self.sources.take(&source.network()).map_err(|wait| {
            self.rate_limited(wait, "too many requests from your address at a time")
        })
    }

    /// Takes a request under this key into account.
    pub(crate) fn take_key(&self, key: KeyName) -> Result<(), Problem> {
        self.keys.take(&key).map_err(|wait| {
            self.rate_limited(wait, "too many requests under your API key at a time")
        })
    }

    fn rate_limited(&self, wait: Duration, detail: &str) -> Problem {
        count(&self.counters.rate_limited);
        Problem::new(Code::RateLimited, detail).retry_in(wait)
    }

    /// Refuses who has shown too many wrong keys.
    pub(crate) fn refuse_locked_out(&self, source: Source) -> Result<(), Problem> {
        let Some(wait) = self.lock_outs().wait(source.network(), Instant::now()) else {
            return Ok(());
        };
        count(&self.counters.locked_out);
        let detail = "too many wrong API keys came from your address: check your key and wait";
        Err(Problem::new(Code::LockedOut, detail).retry_in(wait))
    }

    /// Takes a wrong secret for this key into account. If that is one too many and to be entered
    /// into the log, says how many sources have been locked out so far.
    pub(crate) fn wrong_key(&self, source: Source, key: KeyName) -> Option<u64> {
        count(&self.counters.wrong_keys);
        let network = source.network();
        let verdict = self.lock_outs().wrong(network, key, Instant::now());
        match verdict {
            Verdict::Counted => None,
            Verdict::LockedOut => {
                let lock_outs = count(&self.counters.lock_outs);
                self.log.check().ok()?;
                tracing::warn!(source = %network, lock_outs, "locked out for wrong API keys");
                Some(lock_outs)
            }
        }
    }

    fn lock_outs(&self) -> MutexGuard<'_, LockOuts> {
        self.lock_outs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Door").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

fn count(counter: &AtomicU64) -> u64 {
    counter.fetch_add(1, Ordering::Relaxed) + 1
}

/// Lets a request in that may come from where it comes from, and notes where that is.
pub(crate) async fn enter(
    api: web::Data<Api>,
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let source = api.door.source(&request)?;
    api.door.refuse_foreign(source, request.path())?;
    api.door.take_source(source)?;
    request.extensions_mut().insert(source);
    next.call(request).await
}

/// Where a request comes from that has come in.
pub(crate) fn source_of(request: &ServiceRequest) -> Result<Source, Problem> {
    let source = request.extensions().get::<Source>().copied();
    source.ok_or_else(|| Problem::new(Code::SourceNotAllowed, "the request did not come in"))
}
