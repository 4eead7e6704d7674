//! Declines of an attempt that another member's decline has ended.

use crate::harness::{Harness, PARTIES, Purpose};
use crate::ops::Op;
use mpc_session::{FailureReason, JOIN_PATIENCE, MAX_ATTEMPTS, Phase, SessionEnd};
use mpc_wire::{Attempt, DeclineReason};

fn declines(from: usize, reason: DeclineReason) -> Op {
    Op::Decline { from, reason, stale: false }
}

fn declines_late(from: usize, reason: DeclineReason) -> Op {
    Op::Decline { from, reason, stale: true }
}

/// A signing whose first attempt one member has declined; the other one, and the party that was
/// not asked.
fn one_has_declined(online: &[usize]) -> (Harness, [usize; 3]) {
    let mut harness = Harness::open(Purpose::Sign, online);
    let (first, second) = (harness.member(0), harness.member(1));
    let third = (0..PARTIES).find(|n| *n != first && *n != second).unwrap();
    harness.step(&declines(first, DeclineReason::NotAllowed));
    (harness, [first, second, third])
}

#[track_caller]
fn failed_by_declines(harness: &Harness, parties: [usize; 2]) {
    let Some(SessionEnd::Failed(failure)) = harness.session().ended() else {
        panic!("{:?}", harness.session());
    };
    assert!(matches!(failure.reason, FailureReason::Declined(_)), "{failure:?}");
    assert_eq!(failure.parties, parties.map(|n| harness.party(n)).into());
}

#[test]
fn a_late_decline_is_recorded_and_survives_a_restart() {
    let (mut harness, [first, second, _]) = one_has_declined(&[0, 1, 2]);
    assert_eq!(harness.session().status().attempt, Attempt(2));
    harness.step(&declines_late(second, DeclineReason::Refused));
    let declined = [
        (harness.party(first), DeclineReason::NotAllowed),
        (harness.party(second), DeclineReason::Refused),
    ];
    assert_eq!(harness.durable().declines, declined.into());
    // What is under way hears the same from its member.
    let status = harness.session().status();
    assert_eq!((status.phase, status.attempt), (Phase::Joining, Attempt(2)));
    // After a restart nobody is left to be asked, and nobody to be waited for.
    harness.restart_with(|_| ());
    assert_eq!(harness.durable().declines, declined.into());
    failed_by_declines(&harness, [first, second]);
}

#[test]
fn a_late_decline_that_leaves_no_quorum_ends_a_session_that_waits() {
    let (mut harness, [first, second, third]) = one_has_declined(&[0, 1]);
    let status = harness.session().status();
    assert_eq!((status.phase, status.attempt), (Phase::WaitingForParties, Attempt(1)));
    assert!(status.waiting_for.contains(&harness.party(third)));
    harness.step(&declines(second, DeclineReason::Refused));
    failed_by_declines(&harness, [first, second]);
    assert_eq!(harness.durable().declines.len(), 2);
}

#[test]
fn a_late_decline_that_leaves_a_quorum_only_keeps_the_party_out() {
    let (mut harness, [silent, second, third]) = {
        let mut harness = Harness::open(Purpose::Sign, &[0, 1]);
        let (first, second) = (harness.member(0), harness.member(1));
        harness.step(&Op::Offline(first));
        let third = (0..PARTIES).find(|n| *n != first && *n != second).unwrap();
        (harness, [first, second, third])
    };
    // There is nobody to ask instead: it is waited for.
    assert_eq!(harness.session().status().phase, Phase::WaitingForParties);
    harness.step(&Op::Tick(JOIN_PATIENCE));
    assert_eq!(harness.session().status().phase, Phase::WaitingForParties);
    harness.step(&Op::Decline { from: second, reason: DeclineReason::Refused, stale: false });
    assert!(harness.session().ended().is_none());
    harness.step(&Op::Online(third));
    assert_eq!(harness.session().status().phase, Phase::WaitingForParties);
    harness.step(&Op::Online(silent));
    let quorum = [silent, third].map(|n| harness.party(n)).into();
    assert_eq!(harness.session().status().quorum, quorum);
}

#[test]
fn a_late_decline_of_somebody_who_was_not_asked_or_is_overloaded_is_dropped() {
    let (mut harness, [_, second, third]) = one_has_declined(&[0, 1, 2]);
    let before = (harness.durable().clone(), harness.session().status());
    harness.step(&declines_late(third, DeclineReason::Refused));
    // Overload passes.
    harness.step(&declines_late(second, DeclineReason::Overloaded));
    assert_eq!((harness.durable().clone(), harness.session().status()), before);
}

/// A restart may take the attempts past their bound; a late decline does not hold that against the
/// session.
#[test]
fn a_late_decline_is_not_about_the_number_of_attempts() {
    let (mut harness, [_, second, third]) = one_has_declined(&[0, 1]);
    harness.step(&Op::Offline(second));
    harness.restart_with(|record| {
        for past in &mut record.past {
            past.attempt = Attempt(MAX_ATTEMPTS);
        }
        record.attempt = Attempt(MAX_ATTEMPTS);
        record.declines.clear();
    });
    assert_eq!(harness.session().status().phase, Phase::WaitingForParties);
    harness.step(&declines(second, DeclineReason::Refused));
    assert!(harness.session().ended().is_none(), "{:?}", harness.session().ended());
    assert!(!harness.session().status().waiting_for.contains(&harness.party(second)));
    assert!(harness.session().status().waiting_for.contains(&harness.party(third)));
}
