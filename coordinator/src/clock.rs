//! The two clocks: wall time for what is stored or told, monotonic time for deadlines.

use mpc_session::Millis;
use mpc_wire::UnixMillis;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Reads both clocks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    started: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { started: Instant::now() }
    }

    /// Monotonic time since the start.
    pub(crate) fn now(&self) -> Millis {
        Millis(millis(self.started.elapsed()))
    }

    /// The time of day. A clock before 1970 counts as 1970: every deadline has passed then.
    pub(crate) fn wall(&self) -> UnixMillis {
        UnixMillis(millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()))
    }

    /// The time of day after `life`.
    pub(crate) fn wall_after(&self, life: Duration) -> UnixMillis {
        UnixMillis(self.wall().0.saturating_add(millis(life)))
    }

    /// The monotonic time at which the time of day `expires_at` will be reached.
    pub(crate) fn deadline(&self, expires_at: UnixMillis) -> Millis {
        self.now().after(expires_at.0.saturating_sub(self.wall().0))
    }

    /// How long it is until `at`.
    pub(crate) fn until(&self, at: Millis) -> Duration {
        Duration::from_millis(at.0.saturating_sub(self.now().0))
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
