//! Wrong keys, counted by source and by key, and what follows from them. Pure: the time goes in.
//!
//! Who shows too many wrong keys is locked out. A key for which too many wrong secrets are shown,
//! by whomever, is not locked: its holder would pay for what strangers do. It is put on guard, and
//! a source that shows a wrong secret for such a key is locked out at once.

use super::auth::KeyName;
use super::source::SourceNetwork;
use crate::config::DoorLimits;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Most that one tally counts at a time, and most that it has over the limit, each: with some 100
/// bytes for each it takes a few megabytes at most, however many addresses an attacker has. Beyond
/// it the oldest goes: an attacker with more networks than these gets a few guesses more.
const MAX_COUNTED: usize = 1 << 15;

/// What came of a wrong key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is counted.
    Counted,
    /// It was one too many: its source is locked out from now on.
    LockedOut,
}

/// Who is locked out, and who is on the way there.
#[derive(Debug)]
pub(crate) struct LockOuts {
    sources: Tally<SourceNetwork>,
    keys: Tally<KeyName>,
}

impl LockOuts {
    pub(crate) fn new(limits: &DoorLimits) -> Self {
        let tally = (limits.window, limits.lock_out);
        Self {
            sources: Tally::new(limits.wrong_of_source, tally),
            keys: Tally::new(limits.wrong_of_key, tally),
        }
    }

    /// How long a source has still to wait, if it is locked out.
    pub(crate) fn wait(&self, source: SourceNetwork, now: Instant) -> Option<Duration> {
        self.sources.over_for(&source, now)
    }

    /// Takes a wrong secret for `key` into account. Keys that do not exist are counted as those
    /// that do: nobody learns from a lock-out which is which.
    pub(crate) fn wrong(&mut self, source: SourceNetwork, key: KeyName, now: Instant) -> Verdict {
        let was_locked = self.wait(source, now).is_some();
        let is_on_guard = self.keys.over_for(&key, now).is_some();
        self.keys.count(key, now);
        if is_on_guard {
            self.sources.put_over(source, now);
        } else {
            self.sources.count(source, now);
        }
        let is_locked = self.wait(source, now).is_some();
        if is_locked && !was_locked { Verdict::LockedOut } else { Verdict::Counted }
    }
}

/// Counts events by what they concern; what has `limit` of them within `window` is over the limit
/// for `period`, counted from its last event.
#[derive(Debug)]
struct Tally<K> {
    limit: u32,
    window: Duration,
    period: Duration,
    known: BTreeMap<K, Standing>,
    /// By the time when their window ends.
    counting: BTreeSet<(Instant, K)>,
    /// By the time when their period ends.
    over: BTreeSet<(Instant, K)>,
}

#[derive(Debug, Clone, Copy)]
enum Standing {
    Counting { count: u32, until: Instant },
    Over { until: Instant },
}

impl<K: Ord + Copy> Tally<K> {
    fn new(limit: u32, (window, period): (Duration, Duration)) -> Self {
        Self {
            limit,
            window,
            period,
            known: BTreeMap::new(),
            counting: BTreeSet::new(),
            over: BTreeSet::new(),
        }
    }

    fn over_for(&self, key: &K, now: Instant) -> Option<Duration> {
        match self.known.get(key) {
            Some(Standing::Over { until }) if *until > now => Some(*until - now),
            Some(Standing::Over { .. } | Standing::Counting { .. }) | None => None,
        }
    }

    fn count(&mut self, key: K, now: Instant) {
        self.forget_past(now);
        let (count, until) = match self.known.get(&key) {
            Some(Standing::Over { .. }) => return self.put_over(key, now),
            Some(Standing::Counting { count, until }) => (count.saturating_add(1), *until),
            None => (1, now + self.window),
        };
        if count >= self.limit {
            return self.put_over(key, now);
        }
        self.forget(&key);
        if self.counting.len() >= MAX_COUNTED
            && let Some((_, oldest)) = self.counting.pop_first()
        {
            self.known.remove(&oldest);
        }
        self.known.insert(key, Standing::Counting { count, until });
        self.counting.insert((until, key));
    }

    fn put_over(&mut self, key: K, now: Instant) {
        self.forget_past(now);
        self.forget(&key);
        if self.over.len() >= MAX_COUNTED
            && let Some((_, oldest)) = self.over.pop_first()
        {
            self.known.remove(&oldest);
        }
        let until = now + self.period;
        self.known.insert(key, Standing::Over { until });
        self.over.insert((until, key));
    }

    fn forget(&mut self, key: &K) {
        match self.known.remove(key) {
            Some(Standing::Counting { until, .. }) => self.counting.remove(&(until, *key)),
            Some(Standing::Over { until }) => self.over.remove(&(until, *key)),
            None => false,
        };
    }

    /// Forgets whose time has passed. Each is forgotten once, so it costs what counting it did.
    fn forget_past(&mut self, now: Instant) {
        for order in [&mut self.counting, &mut self.over] {
            while let Some((until, key)) = order.first().copied()
                && until <= now
            {
                order.pop_first();
                self.known.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api_key::Key;
    use crate::config::Networks;
    use crate::http::source::Source;
    use std::net::{IpAddr, Ipv4Addr};

    const LIMITS: DoorLimits = DoorLimits {
        source_rate: DoorLimits::SOURCE_RATE,
        key_rate: DoorLimits::KEY_RATE,
        wrong_of_source: 3,
        wrong_of_key: 7,
        window: Duration::from_secs(60),
        lock_out: Duration::from_secs(900),
    };

    fn source(number: u32) -> SourceNetwork {
        let address = IpAddr::V4(Ipv4Addr::from_bits(number));
        Source::of(address, std::iter::empty(), &Networks::default()).unwrap().network()
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_source_is_locked_out_by_its_own_wrong_keys_only() {
        let (mut locks, start) = (LockOuts::new(&LIMITS), Instant::now());
        for _ in 0..2 {
            assert_eq!(locks.wrong(source(1), KeyName::Bootstrap, start), Verdict::Counted);
        }
        assert_eq!(locks.wrong(source(2), KeyName::Bootstrap, start), Verdict::Counted);
        assert_eq!(locks.wait(source(1), start), None);
        assert_eq!(locks.wrong(source(1), KeyName::Bootstrap, start), Verdict::LockedOut);
        assert_eq!(locks.wait(source(1), start), Some(seconds(900)));
        assert_eq!(locks.wait(source(2), start), None);
        assert_eq!(locks.wait(source(1), start + seconds(899)), Some(seconds(1)));
        assert_eq!(locks.wait(source(1), start + seconds(900)), None);
        // It begins anew then.
        let later = start + seconds(900);
        assert_eq!(locks.wrong(source(1), KeyName::Bootstrap, later), Verdict::Counted);
    }

    #[test]
    fn wrong_keys_of_long_ago_do_not_count() {
        let (mut locks, start) = (LockOuts::new(&LIMITS), Instant::now());
        for minute in 0..100 {
            let now = start + seconds(60 * minute);
            for _ in 0..2 {
                assert_eq!(locks.wrong(source(1), KeyName::Bootstrap, now), Verdict::Counted);
            }
        }
    }

    #[test]
    fn a_key_on_guard_locks_strangers_out_at_once_and_nobody_else() {
        let (mut locks, start) = (LockOuts::new(&LIMITS), Instant::now());
        let key = KeyName::Stored(Key::generate().unwrap().id);
        let other = KeyName::Stored(Key::generate().unwrap().id);
        for number in 0..7 {
            assert_eq!(locks.wrong(source(number), key, start), Verdict::Counted);
        }
        assert_eq!(locks.wrong(source(100), key, start), Verdict::LockedOut);
        assert_eq!(locks.wrong(source(101), other, start), Verdict::Counted);
        assert_eq!(locks.wrong(source(102), KeyName::Bootstrap, start), Verdict::Counted);
        // Who has shown nothing wrong is not locked out: neither the holder, nor anybody else.
        assert_eq!(locks.wait(source(103), start), None);
        // The guard lasts as long as the attack, and a while longer.
        let later = start + seconds(800);
        assert_eq!(locks.wrong(source(104), key, later), Verdict::LockedOut);
        let later = later + seconds(899);
        assert_eq!(locks.wrong(source(105), key, later), Verdict::LockedOut);
        let later = later + seconds(900);
        assert_eq!(locks.wrong(source(106), key, later), Verdict::Counted);
    }

    #[test]
    fn many_sources_take_no_more_than_their_room_and_free_nobody() {
        let (mut locks, start) = (LockOuts::new(&LIMITS), Instant::now());
        let max = u32::try_from(MAX_COUNTED).unwrap();
        for _ in 0..3 {
            locks.wrong(source(0), KeyName::Bootstrap, start);
        }
        // Others, none of which comes to its limit.
        for number in 1..=3 * max {
            locks.sources.count(source(number), start + seconds(1));
        }
        assert_eq!(locks.sources.counting.len(), MAX_COUNTED);
        assert!(locks.wait(source(0), start + seconds(1)).is_some());
        // Others that are all locked out: the one whose time is nearest goes first.
        for number in 1..=max {
            locks.sources.put_over(source(number), start + seconds(2));
        }
        assert_eq!(locks.sources.over.len(), MAX_COUNTED);
        assert_eq!(locks.wait(source(0), start + seconds(2)), None);
        assert!(locks.wait(source(1), start + seconds(2)).is_some());
        // New ones are counted all the same.
        for _ in 0..3 {
            locks.wrong(source(u32::MAX), KeyName::Bootstrap, start + seconds(3));
        }
        assert!(locks.wait(source(u32::MAX), start + seconds(3)).is_some());
        let size = |locks: &LockOuts| locks.sources.counting.len() + locks.sources.over.len();
        assert_eq!(locks.sources.known.len(), size(&locks));
        // All is forgotten in time.
        locks.wrong(source(1), KeyName::Bootstrap, start + seconds(2000));
        assert_eq!((size(&locks), locks.sources.known.len()), (1, 1));
    }
}
