//! Declines that hold for less than the session: for an attempt, or for a quorum.

use crate::harness::{Harness, Purpose};
use crate::ops::Op;
use mpc_session::{FailureReason, JOIN_PATIENCE, Phase, SessionEnd};
use mpc_wire::{Attempt, DeclineReason};

fn decline(from: usize, reason: DeclineReason) -> Op {
    Op::Decline { from, reason, stale: false }
}

/// Declines whatever it is asked for 10 seconds, a step of 50 ms at a time; says how often it was.
fn asked_in_ten_seconds(harness: &mut Harness, reason: DeclineReason) -> usize {
    let member = harness.member(0);
    let mut asked = 0;
    for _ in 0..200 {
        if harness.session().status().quorum.contains(&harness.party(member)) {
            asked += 1;
            harness.step(&decline(member, reason));
        }
        harness.step(&Op::Tick(50));
    }
    asked
}

#[test]
fn who_declines_in_passing_is_left_alone_for_longer_and_longer() {
    for reason in [DeclineReason::Overloaded, DeclineReason::NotActive, DeclineReason::AttemptOver]
    {
        let mut harness = Harness::open(Purpose::Sign, &[0, 1]);
        // At once, once more at once, and behind 0.5, 1, 2 and 4 seconds.
        assert_eq!(asked_in_ten_seconds(&mut harness, reason), 6, "{reason}");
        assert_eq!(harness.session().status().phase, Phase::WaitingForParties);
        assert!(!harness.session().status().waiting_for.is_empty());
        harness.step(&Op::Tick(8_000));
        harness.run_honestly();
        assert!(matches!(harness.session().ended(), Some(SessionEnd::Completed(_))));
    }
}

#[test]
fn others_are_asked_at_once_where_there_are_enough() {
    let mut harness = Harness::open(Purpose::Sign, &[0, 1, 2]);
    let member = harness.member(0);
    harness.step(&decline(member, DeclineReason::Overloaded));
    let status = harness.session().status();
    assert_eq!((status.phase, status.attempt), (Phase::Joining, Attempt(2)));
    assert!(!status.quorum.contains(&harness.party(member)));
}

#[test]
fn a_decline_that_was_told_keeps_its_reason() {
    let mut harness = Harness::open(Purpose::Sign, &[0, 1, 2]);
    let [one, other] = [harness.member(0), harness.member(1)];
    harness.step(&decline(one, DeclineReason::Overloaded));
    let late = Op::Decline { from: other, reason: DeclineReason::Refused, stale: true };
    harness.step(&late);
    // It is a member of the attempt that was planned meanwhile.
    assert!(harness.session().status().quorum.contains(&harness.party(other)));
    harness.step(&decline(other, DeclineReason::NoShare));
    let told = harness.durable().declines.get(&harness.party(other));
    assert_eq!(told, Some(&DeclineReason::Refused));
}

#[test]
fn a_party_that_will_not_work_with_another_one_is_asked_without_it() {
    let mut harness = Harness::open(Purpose::Sign, &[0, 1, 2]);
    let refused = harness.session().status().quorum;
    let [one, other] = [harness.member(0), harness.member(1)];
    harness.step(&decline(one, DeclineReason::Banned));
    let status = harness.session().status();
    assert_eq!((status.phase, status.attempt), (Phase::Joining, Attempt(2)));
    assert_ne!(status.quorum, refused);
    // Nor are the two asked together when nobody else is there, whatever is forgotten.
    let third = (0..3).find(|n| ![one, other].contains(n)).unwrap();
    harness.step(&Op::Offline(third));
    harness.step(&Op::Tick(JOIN_PATIENCE));
    assert_eq!(harness.session().status().phase, Phase::WaitingForParties);
    harness.restart_with(|_| ());
    harness.step(&Op::Offline(other));
    harness.step(&Op::Online(third));
    let status = harness.session().status();
    assert_eq!(status.quorum, [harness.party(one), harness.party(third)].into());
    assert!(harness.durable().declines.is_empty());
    harness.run_honestly();
    assert!(matches!(harness.session().ended(), Some(SessionEnd::Completed(_))));
}

#[test]
fn a_session_none_of_whose_quorums_is_wanted_says_so() {
    let mut harness = Harness::open(Purpose::Sign, &[0, 1, 2]);
    let mut unwilling = std::collections::BTreeSet::new();
    for _ in 0..3 {
        assert!(harness.session().ended().is_none());
        let member = harness.member(0);
        unwilling.insert(harness.party(member));
        harness.step(&decline(member, DeclineReason::Banned));
    }
    let Some(SessionEnd::Failed(failure)) = harness.session().ended() else {
        panic!("{:?}", harness.session());
    };
    assert_eq!(failure.reason, FailureReason::Declined(DeclineReason::Banned));
    assert_eq!(failure.parties, unwilling);
}
