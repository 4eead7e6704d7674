//! Every profile for some seeds; `make sim` runs a thousand.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use mpc_simulation::profile::Profile;
use mpc_simulation::run::{Found, Kind, Plan, Tally, run, run_one};

fn run_some(profile: Profile) -> Tally {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let plan = Plan { first: 0, seeds: 20, sessions: 100, profile: Some(profile), threads };
    let tallies = run(&plan).unwrap_or_else(|found| {
        let Found { seed, kind, breach } = *found;
        assert!(matches!(kind, Kind::Weather(_)));
        panic!("{breach}; to see it again: make sim SEED={seed} PROFILE={profile} SESSIONS=100")
    });
    let tally = tallies[&profile];
    assert_eq!((tally.seeds, tally.sessions), (20, 2_000));
    tally
}

#[test]
fn calm() {
    let tally = run_some(Profile::Calm);
    assert_eq!((tally.completed, tally.again), (2_000, 0));
}

#[test]
fn reordering() {
    let tally = run_some(Profile::Reordering);
    assert_eq!((tally.completed, tally.again), (2_000, 0));
}

#[test]
fn lossy() {
    assert_eq!(run_some(Profile::Lossy).completed, 2_000);
}

#[test]
fn partitions() {
    let tally = run_some(Profile::Partitions);
    assert_eq!(tally.completed + tally.unheard, 2_000, "{tally:?}");
    assert!(tally.again > 0, "nothing that was cut mattered");
}

#[test]
fn crashes() {
    let tally = run_some(Profile::Crashes);
    assert_eq!(tally.completed + tally.unheard, 2_000, "{tally:?}");
    assert!(tally.again > 0, "no crash mattered");
}

#[test]
fn everything() {
    let tally = run_some(Profile::Everything);
    assert!(tally.completed > 1_600, "{tally:?}");
    assert!(tally.again > 0 && tally.cancelled > 0, "{tally:?}");
}

/// What was found once is found again.
#[test]
fn a_seed_decides_everything() {
    let tally = |seed| run_one(Profile::Everything, seed, 40).unwrap();
    assert_eq!(tally(3), tally(3));
    assert_ne!(tally(3).events, tally(4).events);
}
