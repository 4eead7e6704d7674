//! Joins to something else than the attempt that their message names.

use crate::harness::{Harness, PARTIES, Purpose};
use crate::joins;
use crate::ops::{Joined, Op};
use mpc_session::{FailureReason, MAX_FAULTS, Phase, SessionEnd};
use mpc_wire::{Attempt, FailureKind};

fn joins_as(from: usize, plan: Joined) -> Op {
    Op::Join { from, stale: false, plan }
}

/// The first attempt, with one member that consented to what nobody has planned.
fn one_is_misled(online: &[usize]) -> (Harness, usize, usize) {
    let mut harness = Harness::open(Purpose::Sign, online);
    let (misled, other) = (harness.member(0), harness.member(1));
    harness.step(&joins_as(misled, Joined::Strange));
    (harness, misled, other)
}

#[test]
fn a_join_to_a_plan_of_somebody_elses_ends_the_attempt_at_once_and_names_nobody() {
    let (mut harness, misled, other) = one_is_misled(&[0, 1, 2]);
    let [past] = &harness.durable().past[..] else { panic!("{:?}", harness.session()) };
    assert_eq!((past.attempt, past.kind), (Attempt(1), FailureKind::Transport));
    assert!(past.parties.is_empty(), "{past:?}");
    let status = harness.session().status();
    assert_eq!((status.attempt, status.phase), (Attempt(2), Phase::Joining));
    // Nothing is held against the other one.
    assert!(!status.quorum.contains(&harness.party(misled)));
    assert!(status.quorum.contains(&harness.party(other)));
    harness.run_honestly();
    assert!(matches!(harness.session().ended(), Some(SessionEnd::Completed(_))));
}

#[test]
fn who_was_misled_is_asked_again_where_there_is_nobody_else() {
    let (mut harness, misled, _) = one_is_misled(&[0, 1]);
    assert!(harness.session().status().quorum.contains(&harness.party(misled)));
    harness.run_honestly();
    assert!(matches!(harness.session().ended(), Some(SessionEnd::Completed(_))));
}

#[test]
fn a_session_that_is_misled_to_its_end_names_nobody() {
    let (mut harness, misled, _) = one_is_misled(&[0, 1]);
    for _ in 1..MAX_FAULTS {
        harness.step(&joins_as(misled, Joined::Strange));
    }
    let Some(SessionEnd::Failed(failure)) = harness.session().ended() else {
        panic!("{:?}", harness.session());
    };
    assert_eq!(failure.reason, FailureReason::AttemptsExhausted(FailureKind::Transport));
    assert!(failure.parties.is_empty(), "{failure:?}");
}

/// Whoever carries messages can put the number of the newest attempt on a join to an older one.
#[test]
fn an_old_join_under_a_new_number_is_passed_over() {
    for restart in [false, true] {
        let mut harness = Harness::open(Purpose::Sign, &[0, 1]);
        let (replayed, other) = (harness.member(0), harness.member(1));
        harness.step(&Op::JoinAll);
        harness.step(&Op::Fail { from: other, guilty: None });
        if restart {
            // The plan whose attempt the restart has ended is as old as the others.
            harness.step(&Op::JoinAll);
            harness.restart_with(|_| ());
        }
        let before = (harness.durable().clone(), harness.session().status());
        for stale in [false, true] {
            harness.step(&Op::Join { from: replayed, stale, plan: Joined::Earlier });
        }
        assert_eq!((harness.durable().clone(), harness.session().status()), before);
        // The party's own answer comes behind, and is taken.
        harness.step(&joins(replayed));
        harness.step(&joins(other));
        assert_eq!(harness.session().status().phase, Phase::Running);
        assert_eq!(harness.session().status().attempt, before.1.attempt);
    }
}

#[test]
fn a_consent_stands_whatever_comes_behind_it() {
    for plan in [Joined::Named, Joined::Strange] {
        let mut harness = Harness::open(Purpose::Sign, &[0, 1, 2]);
        let (member, other) = (harness.member(0), harness.member(1));
        harness.step(&joins(member));
        harness.step(&joins_as(member, plan));
        harness.step(&joins(other));
        let status = harness.session().status();
        assert_eq!((status.attempt, status.phase), (Attempt(1), Phase::Running));
        // Nor does anything that comes once the attempt runs.
        harness.step(&joins_as(member, plan));
        assert_eq!(harness.session().status(), status);
    }
}

#[test]
fn an_outsiders_join_to_another_plan_is_nothing_to_the_attempt() {
    let mut harness = Harness::open(Purpose::Sign, &[0, 1, 2]);
    let before = (harness.durable().clone(), harness.session().status());
    let is_outside = |n: &usize| !before.1.quorum.contains(&harness.party(*n));
    let outsider = (0..PARTIES).find(is_outside).unwrap();
    harness.step(&joins_as(outsider, Joined::Strange));
    assert_eq!((harness.durable().clone(), harness.session().status()), before);
}
