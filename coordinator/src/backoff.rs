//! Growing pauses between failures.

use std::time::Duration;

/// The longest pause: what has failed for so long can wait this much longer.
const LONGEST: Duration = Duration::from_secs(300);

/// Doubles its pause with every failure.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Backoff {
    next: Duration,
    first: Duration,
}

impl Backoff {
    pub(crate) fn new(first: Duration) -> Self {
        Self { next: first, first }
    }

    /// The pause to make after another failure.
    pub(crate) fn pause(&mut self) -> Duration {
        let pause = self.next;
        self.next = pause.saturating_mul(2).min(LONGEST);
        pause
    }

    /// Something worked: the next pause is short again.
    pub(crate) fn reset(&mut self) {
        self.next = self.first;
    }
}
