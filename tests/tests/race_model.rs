//! An exhaustive search over the order of everything that can happen to a party. Every event can
//! come at every moment and any number of times; crashes can come everywhere.

use mpc_tests::race::cast::{Layout, Member, Purpose};
use mpc_tests::race::model::{Milestone, Race};
use mpc_tests::race::stimulus::{End, Joins, Letter, Stimulus};
use mpc_wire::Attempt;
use stateright::{Checker, Model};
use std::collections::BTreeSet;
use std::time::Instant;

const FIRST: Attempt = Attempt(1);
const SECOND: Attempt = Attempt(2);

/// Searches the whole space and prints how large it was.
fn search(
    name: &str,
    alphabet: Vec<Stimulus>,
    milestones: BTreeSet<Milestone>,
    crashes: u8,
    floor: usize,
) {
    let began = Instant::now();
    let race = Race { alphabet, crashes, milestones };
    let checker = race.checker().threads(2).spawn_bfs().join();
    println!(
        "{name}: {} unique states, {} transitions, depth {}, {:.1} s",
        checker.unique_state_count(),
        checker.state_count(),
        checker.max_depth(),
        began.elapsed().as_secs_f64()
    );
    checker.assert_properties();
    assert!(checker.unique_state_count() >= floor, "the search has lost states");
}

/// What two attempts at a session need, and a round message that may be early.
fn two_attempts(session: u16, consent: Stimulus) -> Vec<Stimulus> {
    let invited = |attempt| Stimulus::Invited(session, attempt, Purpose::Real, Layout::Real);
    let started = |attempt| Stimulus::Started(session, attempt, Joins::Real);
    vec![
        consent,
        invited(FIRST),
        invited(SECOND),
        started(FIRST),
        started(SECOND),
        Stimulus::Round(Letter::new(session, FIRST, Member::Alice, 0)),
    ]
}

/// Two sessions of two attempts each, one that the party wants itself and one that it is asked
/// to, in every order that they can have together, with a restart at every point.
#[test]
fn two_sessions_of_two_attempts() {
    let mut alphabet = two_attempts(0, Stimulus::Intend(0, Purpose::Real));
    alphabet.extend(two_attempts(1, Stimulus::Approved(1)));
    alphabet.push(Stimulus::Round(Letter::new(0, SECOND, Member::Bob, 0)));
    alphabet.push(Stimulus::Pondering(1));
    alphabet.push(Stimulus::Connected);
    // Nothing wrong comes: the other search is for that.
    let mut milestones = BTreeSet::from(Milestone::ALL);
    milestones.remove(&Milestone::Objected);
    search("two sessions of two attempts", alphabet, milestones, 1, 20_000);
}

/// One session of two attempts with all that can befall it, right and wrong, and two restarts. It
/// holds for every session of a party, since sessions do not feel each other
/// (`race_properties::sessions_are_independent`).
#[test]
fn one_session_with_all_that_can_befall_it() {
    let mut alphabet = two_attempts(0, Stimulus::Intend(0, Purpose::Real));
    alphabet.extend([
        Stimulus::Pondering(0),
        Stimulus::Approved(0),
        Stimulus::Refused(0),
        Stimulus::Invited(0, FIRST, Purpose::Real, Layout::Rival),
        Stimulus::Round(Letter::new(0, FIRST, Member::Alice, 1)),
        Stimulus::Round(Letter::new(0, SECOND, Member::Bob, 0)),
        Stimulus::Round(Letter::new(0, FIRST, Member::Stranger, 0)),
        Stimulus::RunnerEnded(0, FIRST, End::Failed),
        Stimulus::RunnerEnded(0, SECOND, End::Failed),
        Stimulus::Aborted(0, FIRST),
        Stimulus::Finished(0),
        Stimulus::Connected,
    ]);
    search("one session", alphabet, Milestone::ALL.into(), 2, 10_000);
}
