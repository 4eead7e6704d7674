//! What the door of the API lets through.

use std::num::NonZeroU32;
use std::time::Duration;

/// So many requests a second in the long run, and so many at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Requests a second in the long run.
    pub per_second: NonZeroU32,
    /// Requests at once, after a pause.
    pub burst: NonZeroU32,
}

/// Rates, and when too many wrong keys lock a source out.
#[derive(Debug, Clone)]
pub struct DoorLimits {
    /// Requests of one source.
    pub source_rate: Rate,
    /// Requests under one key, from all sources together.
    pub key_rate: Rate,
    /// Wrong keys within `window` that lock their source out.
    pub wrong_of_source: u32,
    /// Wrong secrets within `window` that put a key on guard, from all sources together. A key on
    /// guard still opens for who has it, wherever he is; but who shows a wrong secret for it is
    /// locked out at once, not only after `wrong_of_source`.
    pub wrong_of_key: u32,
    /// The time within which wrong keys are counted.
    pub window: Duration,
    /// How long a source is locked out, and a key on guard after the last wrong secret.
    pub lock_out: Duration,
}

impl DoorLimits {
    /// Twice what a backend needs that asks for each of [`super::Limits::MAX_RUNNING_SESSIONS`]
    /// once a second; some ten times less than what would keep the HTTP workers from others.
    pub const SOURCE_RATE: Rate = Rate { per_second: at_least_1(2_000), burst: at_least_1(4_000) };
    /// As much: most keys are used from one source. It bounds a key that leaked to many.
    pub const KEY_RATE: Rate = Self::SOURCE_RATE;
    /// A person mistypes a key a few times; a program that is set up wrongly shows the same one for
    /// ever and may well be told to wait.
    pub const WRONG_OF_SOURCE: u32 = 10;
    /// Ten sources that were locked out over the same key: no mistake any more.
    pub const WRONG_OF_KEY: u32 = 100;
    /// Long enough to see somebody type, short enough to forget mistakes of the morning.
    pub const WINDOW: Duration = Duration::from_secs(60);
    /// A thousand guesses a day and source: nothing, even against the shortest bootstrap key.
    pub const LOCK_OUT: Duration = Duration::from_secs(15 * 60);
}

impl Default for DoorLimits {
    fn default() -> Self {
        Self {
            source_rate: Self::SOURCE_RATE,
            key_rate: Self::KEY_RATE,
            wrong_of_source: Self::WRONG_OF_SOURCE,
            wrong_of_key: Self::WRONG_OF_KEY,
            window: Self::WINDOW,
            lock_out: Self::LOCK_OUT,
        }
    }
}

const fn at_least_1(count: u32) -> NonZeroU32 {
    match NonZeroU32::new(count) {
        Some(count) => count,
        None => NonZeroU32::MIN,
    }
}
