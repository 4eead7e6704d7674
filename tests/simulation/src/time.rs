//! Simulated time, and what happens in it next.

use crate::happening::Happening;
use mpc_wire::UnixMillis;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

/// What every wall clock shows at the beginning, give or take its own error.
const BEGINNING: u64 = 1_800_000_000_000;

/// Milliseconds since the beginning of a world.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub u64);

impl Moment {
    /// The moment `millis` later.
    pub fn after(self, millis: u64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// Milliseconds from `earlier` to this moment.
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// The clocks of one process: the monotonic one starts with it, the wall clock may be wrong.
#[derive(Debug, Clone, Copy, Default)]
pub struct Clock {
    /// When the process was started.
    pub born: Moment,
    /// By how many milliseconds the wall clock is ahead; behind if negative.
    pub error: i64,
}

impl Clock {
    /// Milliseconds since the process was started.
    pub fn monotonic(&self, now: Moment) -> u64 {
        now.since(self.born)
    }

    /// The moment at which the monotonic clock shows `millis`.
    pub fn moment(&self, millis: u64) -> Moment {
        self.born.after(millis)
    }

    /// The time of day, as this clock has it.
    pub fn wall(&self, now: Moment) -> UnixMillis {
        UnixMillis(BEGINNING.saturating_add(now.0).saturating_add_signed(self.error))
    }
}

/// What is going to happen, the next first. Of things at one moment those that were foreseen first
/// happen first, so a world is the same each time.
#[derive(Debug, Default)]
pub struct Queue {
    ahead: BinaryHeap<Reverse<Foreseen>>,
    foreseen: u64,
}

#[derive(Debug)]
struct Foreseen {
    at: Moment,
    number: u64,
    what: Happening,
}

impl Queue {
    /// Foresees something.
    pub fn add(&mut self, at: Moment, what: Happening) {
        self.foreseen += 1;
        self.ahead.push(Reverse(Foreseen { at, number: self.foreseen, what }));
    }

    /// Takes what happens next, unless that is after `until`.
    pub fn next(&mut self, until: Moment) -> Option<(Moment, Happening)> {
        let next = self.ahead.peek_mut()?;
        if next.0.at > until {
            return None;
        }
        let Reverse(Foreseen { at, what, .. }) = PeekMut::pop(next);
        Some((at, what))
    }
}

impl PartialEq for Foreseen {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Foreseen {}

impl PartialOrd for Foreseen {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Foreseen {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}
