//! Many worlds, one after the other on each thread.

use crate::invariant::Breach;
use crate::ledger::Ledger;
use crate::profile::Profile;
use crate::rows::Row;
use crate::world::{Scene, World};
use mpc_session::SessionEnd;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

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
    /// Faults of a script that happened.
    pub faults: u64,
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
        self.faults += other.faults;
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
#[derive(Debug, Clone)]
pub struct Found {
    /// The seed.
    pub seed: u64,
    /// What the world is one of.
    pub kind: Kind,
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

/// What a world is one of.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// The weather of a profile.
    Weather(Profile),
    /// A fault of the list.
    Fault(Row),
}

impl Kind {
    /// Its name.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Weather(profile) => profile.name(),
            Self::Fault(row) => row.name,
        }
    }
}

/// Runs all worlds of a plan, up to the first breach.
///
/// # Errors
/// The first breach that is come to, and the world that it is in.
pub fn run(plan: &Plan) -> Result<BTreeMap<Profile, Tally>, Box<Found>> {
    let tallies = Mutex::new(BTreeMap::<Profile, Tally>::new());
    in_parallel(plan.seeds, plan.threads, |number| {
        let seed = plan.first.wrapping_add(number);
        let profile = plan.profile_of(seed);
        let kind = Kind::Weather(profile);
        let tally = timed(|| run_one(profile, seed, plan.sessions))
            .map_err(|breach| Box::new(Found { seed, kind, breach }))?;
        locked(&tallies).entry(profile).or_default().add(&tally);
        Ok(())
    })?;
    Ok(tallies.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Lets a fault happen in so many worlds, up to the first that has not the result it must have.
///
/// # Errors
/// As [`run`].
pub fn run_row(row: Row, first: u64, seeds: u64, threads: usize) -> Result<Tally, Box<Found>> {
    let total = Mutex::new(Tally::default());
    in_parallel(seeds, threads, |number| {
        let (seed, kind) = (first.wrapping_add(number), Kind::Fault(row));
        let tally =
            timed(|| row.play(seed)).map_err(|breach| Box::new(Found { seed, kind, breach }))?;
        locked(&total).add(&tally);
        Ok(())
    })?;
    Ok(total.into_inner().unwrap_or_else(PoisonError::into_inner))
}

fn timed(run: impl FnOnce() -> Result<Tally, Breach>) -> Result<Tally, Breach> {
    let started = Instant::now();
    let tally = run()?;
    let micros = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
    Ok(Tally { micros, ..tally })
}

/// Does work with each number below `count`, on some threads, up to the first that fails.
fn in_parallel(
    count: u64,
    threads: usize,
    work: impl Fn(u64) -> Result<(), Box<Found>> + Sync,
) -> Result<(), Box<Found>> {
    let next = AtomicU64::new(0);
    let failed = Mutex::new(None::<Box<Found>>);
    let work_off = || {
        while locked(&failed).is_none() {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                return;
            }
            if let Err(found) = work(number) {
                locked(&failed).get_or_insert(found);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(work_off);
        }
    });
    failed.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
