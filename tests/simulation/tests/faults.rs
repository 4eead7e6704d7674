//! Faults with the results that they must have, in their fast form; `make sim` runs the full one.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use mpc_simulation::rows::{FIRST_WORDS, Row};
use mpc_simulation::run::{Found, Tally, run_row};

/// Lets the row's fault happen in as many worlds as its fast form has.
fn play(row: Row) -> Tally {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    run_row(row, 0, row.fast, threads).unwrap_or_else(|found| {
        let Found { seed, breach, .. } = *found;
        panic!("{breach}; to see it again: make sim SEED={seed} ROW={}", row.number)
    })
}

fn row(number: u16) -> Tally {
    play(Row::find(number).unwrap())
}

#[test]
fn row_01_coordinator_dies_at_each_round() {
    let tally = row(1);
    // At nine points, twenty times each.
    assert_eq!((tally.faults, tally.completed), (180, 180));
}

#[test]
fn row_02_party_dies_at_each_round() {
    let tally = row(2);
    assert_eq!((tally.faults, tally.completed), (180, 180));
    assert!(tally.again >= 60, "{tally:?}");
}

#[test]
fn row_03_party_is_away_for_30_s() {
    let tally = row(3);
    assert_eq!((tally.faults, tally.completed + tally.expired), (60, 60));
    assert_eq!(tally.expired, 20);
}

#[test]
fn row_04_one_way_is_cut_for_ever() {
    let tally = row(4);
    assert_eq!((tally.faults, tally.completed + tally.expired), (60, 60));
    assert!(tally.expired > 0 && tally.completed >= 30, "{tally:?}");
}

#[test]
fn row_08_every_message_comes_twice() {
    let tally = row(8);
    assert_eq!((tally.sessions, tally.completed, tally.again), (500, 500, 0));
}

#[test]
fn row_09_random_reordering_with_1000_seeds() {
    let tally = row(9);
    assert_eq!((tally.seeds, tally.sessions, tally.completed), (1000, 3000, 3000));
}

#[test]
fn row_21_clocks_are_ten_minutes_apart() {
    let tally = row(21);
    // Where every party is ahead nothing can be signed; else everything is.
    assert_eq!((tally.sessions, tally.failed, tally.completed), (390, 120, 270));
}

#[test]
fn row_23_starts_are_lost_or_late() {
    let tally = row(23);
    assert_eq!((tally.sessions, tally.completed, tally.again), (4_800, 4_800, 0));
    assert!(tally.faults > 10_000, "{tally:?}");
}

#[test]
fn the_first_word_of_each_kind_is_lost_or_late() {
    let tally = play(FIRST_WORDS);
    assert_eq!((tally.sessions, tally.completed, tally.again), (360, 360, 0));
    assert!(tally.faults > 700, "{tally:?}");
}
