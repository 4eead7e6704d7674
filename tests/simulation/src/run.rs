//! Many worlds, one after the other on each thread.

use crate::invariant::Breach;
use crate::ledger::Ledger;
use crate::profile::Profile;
use crate::world::{Scene, World};
use mpc_session::SessionEnd;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// What is to be run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The first seed.
    pub first: u64,
    /// How many.
    pub seeds: u64,
    /// Sessions of each.
    pub sessions: u32,
    /// One profile; all of them in turn if there is none.
    pub profile: Option<Profile>,
    /// How many worlds run at a time.
    pub threads: usize,
}

impl Plan {
    /// The profile of a seed.
    pub fn profile_of(&self, seed: u64) -> Profile {
        let place = usize::try_from(seed % Profile::ALL.len() as u64).unwrap_or(0);
        let in_turn = Profile::ALL.get(place).copied().unwrap_or(Profile::Everything);
        self.profile.unwrap_or(in_turn)
    }
}

/// How the sessions of some worlds went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Worlds.
    pub seeds: u64,
    /// Sessions that were asked for.
    pub sessions: u64,
    /// Events.
    pub events: u64,
    /// Sessions that completed.
    pub completed: u64,
    /// Sessions that took more than one attempt.
    pub again: u64,
    /// Sessions that failed.
    pub failed: u64,
    /// Sessions that expired.
    pub expired: u64,
    /// Sessions that were cancelled.
    pub cancelled: u64,
    /// Sessions that a party asked for and of which the coordinator never heard.
    pub unheard: u64,
    /// The longest that a session took behind the last fault, in milliseconds.
    pub slowest: u64,
    /// The time that the worlds took, in microseconds.
    pub micros: u64,
}

impl Tally {
    /// Counts what a ledger says.
    pub fn of(ledger: &Ledger) -> Self {
        let mut tally = Self { seeds: 1, events: ledger.steps, ..Self::default() };
        for (_, case) in ledger.cases() {
            tally.sessions += 1;
            tally.unheard += u64::from(case.is_unheard);
            tally.again += u64::from(case.attempts.0 > 1);
            let Some((at, end)) = &case.end else { continue };
            let counter = match end {
                SessionEnd::Completed(_) => &mut tally.completed,
                SessionEnd::Failed(_) => &mut tally.failed,
                SessionEnd::Cancelled => &mut tally.cancelled,
                SessionEnd::Expired { .. } => &mut tally.expired,
            };
            *counter += 1;
            let opened = case.opened.map_or(*at, |(opened, _)| opened);
            if matches!(end, SessionEnd::Completed(_)) {
                tally.slowest = tally.slowest.max(at.since(ledger.disturbed.max(opened)));
            }
        }
        tally
    }

    /// Adds another one.
    pub fn add(&mut self, other: &Self) {
        self.seeds += other.seeds;
        self.sessions += other.sessions;
        self.events += other.events;
        self.completed += other.completed;
        self.again += other.again;
        self.failed += other.failed;
        self.expired += other.expired;
        self.cancelled += other.cancelled;
        self.unheard += other.unheard;
        self.slowest = self.slowest.max(other.slowest);
        self.micros += other.micros;
    }
}

/// A seed whose world breaks an invariant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The seed.
    pub seed: u64,
    /// The profile.
    pub profile: Profile,
    /// What is broken.
    pub breach: Breach,
}

/// Runs one world of a profile.
///
/// # Errors
/// The breach, if an invariant does not hold.
pub fn run_one(profile: Profile, seed: u64, sessions: u32) -> Result<Tally, Breach> {
    let mut world = World::new(Scene::new(profile, seed, sessions));
    world.run().map(|()| Tally::of(&world.around.ledger))
}

/// Runs all worlds of a plan, up to the first breach.
///
/// # Errors
/// The breach of the lowest seed that was come to.
pub fn run(plan: &Plan) -> Result<BTreeMap<Profile, Tally>, Found> {
    let next = AtomicU64::new(0);
    let tallies = Mutex::new(BTreeMap::<Profile, Tally>::new());
    let found = Mutex::new(None::<Found>);
    std::thread::scope(|scope| {
        for _ in 0..plan.threads.max(1) {
            scope.spawn(|| work(plan, &next, &tallies, &found));
        }
    });
    match locked(&found).take() {
        Some(found) => Err(found),
        None => Ok(std::mem::take(&mut *locked(&tallies))),
    }
}

fn work(
    plan: &Plan,
    next: &AtomicU64,
    tallies: &Mutex<BTreeMap<Profile, Tally>>,
    found: &Mutex<Option<Found>>,
) {
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= plan.seeds || locked(found).is_some() {
            return;
        }
        let seed = plan.first.wrapping_add(number);
        let profile = plan.profile_of(seed);
        let started = std::time::Instant::now();
        match run_one(profile, seed, plan.sessions) {
            Ok(mut tally) => {
                let micros = started.elapsed().as_micros();
                tally.micros = u64::try_from(micros).unwrap_or(u64::MAX);
                locked(tallies).entry(profile).or_default().add(&tally);
            }
            Err(breach) => {
                let mut found = locked(found);
                if found.as_ref().is_none_or(|other| seed < other.seed) {
                    *found = Some(Found { seed, profile, breach });
                }
            }
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
