//! CPU-heavy work, to be run away from the engine.

use crate::failure::EngineFailure;
use mpc_wire::PartyId;
use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

type Work = Box<dyn FnOnce() -> Box<dyn Any + Send> + Send>;

/// A piece of work that an engine asks for. Run it on any thread, once, and hand what it returns
/// to [`crate::Engine::complete`] of the same engine. Jobs of one engine may run in parallel.
pub struct Job {
    doing: &'static str,
    sender: Option<PartyId>,
    work: Work,
}

/// A job that has run.
pub struct Done {
    doing: &'static str,
    sender: Option<PartyId>,
    outcome: Result<Box<dyn Any + Send>, Panicked>,
}

/// The work panicked. The panic's text is not kept: it may hold what a library formatted.
struct Panicked;

impl Job {
    /// Wraps work that belongs to no single peer.
    pub(crate) fn new<R: Send + 'static>(
        doing: &'static str,
        work: impl FnOnce() -> R + Send + 'static,
    ) -> Self {
        Self { doing, sender: None, work: Box::new(move || Box::new(work())) }
    }

    /// Wraps work on what `sender` sent and no other peer, which is named if it panics.
    pub(crate) fn on_values_of<R: Send + 'static>(
        sender: PartyId,
        doing: &'static str,
        work: impl FnOnce() -> R + Send + 'static,
    ) -> Self {
        Self { sender: Some(sender), ..Self::new(doing, work) }
    }

    /// Does the work. Never panics: a panic inside is what the engine learns from the result.
    pub fn run(self) -> Done {
        // What the work shares with its engine is a round's accumulator, and a panic ends the
        // attempt before anybody looks into it again: nothing broken can be observed.
        let outcome = catch_unwind(AssertUnwindSafe(self.work)).map_err(|payload| {
            // The payload's own drop may panic too; what that throws is leaked, to end the chain.
            if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
                std::mem::forget(again);
            }
            Panicked
        });
        Done { doing: self.doing, sender: self.sender, outcome }
    }
}

impl Done {
    /// What the work returned.
    pub(crate) fn take<R: 'static>(self) -> Result<R, EngineFailure> {
        match self.outcome {
            Ok(value) => value.downcast().map(|value| *value).map_err(|_| {
                EngineFailure::internal(format!(
                    "a job came back to another engine: {}",
                    self.doing
                ))
            }),
            Err(Panicked) => Err(EngineFailure::panicked(
                self.sender,
                format!("a library panicked while {}", self.doing),
            )),
        }
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Job({})", self.doing)
    }
}

impl fmt::Debug for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Done({})", self.doing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mpc_wire::FailureKind;
    use std::collections::BTreeSet;

    const PEER: PartyId = PartyId::new([7; 32]);

    #[test]
    fn work_returns_its_value() {
        assert_eq!(Job::new("counting", || 7_u32).run().take::<u32>(), Ok(7));
    }

    #[test]
    fn panic_over_one_message_names_its_sender() {
        let done = Job::on_values_of(PEER, "reading", || -> u32 { panic!("secret 42") }).run();
        let failure = done.take::<u32>().unwrap_err();
        assert_eq!(failure.kind, FailureKind::Panicked);
        assert_eq!(failure.guilty, BTreeSet::from([PEER]));
        assert!(!failure.detail.contains("42"), "{}", failure.detail);
    }

    #[test]
    fn panic_elsewhere_names_nobody() {
        let failure = Job::new("adding", || -> u32 { panic!() }).run().take::<u32>().unwrap_err();
        assert_eq!(failure.kind, FailureKind::Panicked);
        assert!(failure.guilty.is_empty());
    }

    #[test]
    fn payload_that_panics_on_drop_is_survived() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("dropped");
            }
        }
        let done = Job::new("bombing", || -> u32 { std::panic::panic_any(Bomb) }).run();
        assert!(done.take::<u32>().is_err());
    }

    #[test]
    fn result_of_another_type_is_an_internal_failure() {
        let failure = Job::new("mixing", || 7_u32).run().take::<u64>().unwrap_err();
        assert_eq!(failure.kind, FailureKind::Internal);
    }
}
