//! How many requests come from one source, or under one key.

use crate::config;
use governor::clock::{Clock, MonotonicClock};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Most that a limiter counts at a time: some megabytes. Beyond it those are forgotten that have
/// their whole burst again, which changes nothing; and if that does not help, because so many
/// sources are at work at the same moment, all are: each begins with a fresh burst then.
const MAX_COUNTED: usize = 1 << 16;

type Limiter<K, C> = RateLimiter<K, HashMapStateStore<K>, C, NoOpMiddleware<<C as Clock>::Instant>>;

/// Limits requests (GCRA: a burst, then evenly).
pub(crate) struct RateLimit<K, C = MonotonicClock>
where
    K: Hash + Eq + Clone,
    C: Clock,
{
    quota: Quota,
    clock: C,
    limiter: Mutex<Limiter<K, C>>,
}

impl<K, C> RateLimit<K, C>
where
    K: Hash + Eq + Clone,
    C: Clock + Clone,
{
    pub(crate) fn new(rate: config::Rate, clock: C) -> Self {
        let quota = Quota::per_second(rate.per_second).allow_burst(rate.burst);
        let limiter = Mutex::new(RateLimiter::hashmap_with_clock(quota, clock.clone()));
        Self { quota, clock, limiter }
    }

    /// Takes a request into account.
    ///
    /// # Errors
    /// If it is one too many: after which time the next one may come.
    pub(crate) fn take(&self, key: &K) -> Result<(), Duration> {
        let mut limiter = self.limiter.lock().unwrap_or_else(PoisonError::into_inner);
        if limiter.len() >= MAX_COUNTED {
            limiter.retain_recent();
            // Well below, or the next request would look through all of them again.
            if limiter.len() > MAX_COUNTED / 2 {
                *limiter = RateLimiter::hashmap_with_clock(self.quota, self.clock.clone());
            }
        }
        limiter.check_key(key).map_err(|not_until| not_until.wait_time_from(self.clock.now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use governor::clock::FakeRelativeClock;
    use std::num::NonZeroU32;

    fn limit(clock: &FakeRelativeClock) -> RateLimit<usize, FakeRelativeClock> {
        let of = |count| NonZeroU32::new(count).unwrap();
        RateLimit::new(config::Rate { per_second: of(10), burst: of(3) }, clock.clone())
    }

    #[test]
    fn a_burst_then_evenly_and_each_for_itself() {
        let clock = FakeRelativeClock::default();
        let limit = limit(&clock);
        for _ in 0..3 {
            limit.take(&1).unwrap();
        }
        assert_eq!(limit.take(&1), Err(Duration::from_millis(100)));
        limit.take(&2).unwrap();
        clock.advance(Duration::from_millis(100));
        limit.take(&1).unwrap();
        assert_eq!(limit.take(&1), Err(Duration::from_millis(100)));
        clock.advance(Duration::from_secs(10));
        for _ in 0..3 {
            limit.take(&1).unwrap();
        }
        assert!(limit.take(&1).is_err());
    }

    #[test]
    fn memory_is_bounded() {
        let clock = FakeRelativeClock::default();
        let limit = limit(&clock);
        for key in 0..3 * MAX_COUNTED {
            limit.take(&key).unwrap();
            assert!(limit.limiter.lock().unwrap().len() <= MAX_COUNTED);
        }
        // With time those that rest go first: who is at its limit stays there.
        clock.advance(Duration::from_secs(10));
        let mut others = 3 * MAX_COUNTED..;
        limit.take(&others.next().unwrap()).unwrap();
        while limit.limiter.lock().unwrap().len() < MAX_COUNTED - 1 {
            limit.take(&others.next().unwrap()).unwrap();
        }
        clock.advance(Duration::from_secs(10));
        while limit.take(&usize::MAX).is_ok() {}
        limit.take(&others.next().unwrap()).unwrap();
        assert!(limit.limiter.lock().unwrap().len() <= 2);
        assert!(limit.take(&usize::MAX).is_err());
    }
}
