//! Persons who take their time, and parties that are asked in their stead.

use crate::harness::{DEADLINE, Harness, PARTIES, Purpose};
use crate::ops::{Joined, Op};
use crate::{awaits, joins};
use mpc_session::{
    DropCause, Effect, Event, JOIN_PATIENCE, MAX_DETOURS, Millis, Phase, SessionEnd,
};
use mpc_wire::{Attempt, DeclineReason, FailureKind, PartyId};
use std::collections::BTreeSet;

/// The party that the newest attempt does without.
fn outsider(harness: &Harness) -> usize {
    let quorum = harness.session().status().quorum;
    (0..PARTIES).find(|n| !quorum.contains(&harness.party(*n))).unwrap()
}

fn parties<const N: usize>(harness: &Harness, numbers: [usize; N]) -> BTreeSet<PartyId> {
    numbers.map(|n| harness.party(n)).into()
}

/// One member waits for a person, the other one has joined.
fn one_awaits(online: &[usize]) -> (Harness, usize, usize) {
    let mut harness = Harness::open(Purpose::Sign, online);
    let (asked, prompt) = (harness.member(0), harness.member(1));
    harness.step(&awaits(asked));
    harness.step(&joins(prompt));
    (harness, asked, prompt)
}

#[test]
fn others_are_asked_once_a_person_has_had_some_time() {
    let (mut harness, asked, prompt) = one_awaits(&[0, 1, 2]);
    let third = outsider(&harness);
    harness.step(&Op::Tick(JOIN_PATIENCE - 1));
    assert_eq!(harness.session().status().phase, Phase::WaitingForApproval);
    assert_eq!(harness.session().wake_at(), Some(Millis(JOIN_PATIENCE)));
    harness.step(&Op::Tick(1));
    let status = harness.session().status();
    assert_eq!((status.phase, status.attempt), (Phase::Joining, Attempt(2)));
    assert_eq!(status.quorum, parties(&harness, [prompt, third]));
    let [past] = &harness.durable().past[..] else { panic!("{:?}", harness.session()) };
    assert_eq!((past.attempt, past.kind), (Attempt(1), FailureKind::PeerMissing));
    assert!(past.parties.is_empty(), "nobody is blamed: {past:?}");
    assert!(past.detail.contains("approval"), "{past:?}");

    // An approval of the first attempt comes too late.
    let before = (harness.durable().clone(), harness.session().status());
    harness.step(&Op::Join { from: asked, stale: true, plan: Joined::Named });
    assert_eq!((harness.durable().clone(), harness.session().status()), before);
    harness.run_honestly();
    assert!(matches!(harness.session().ended(), Some(SessionEnd::Completed(_))));
}

#[test]
fn persons_are_waited_for_while_too_few_others_are_there() {
    let mut harness = Harness::open(Purpose::Sign, &[0, 1, 2]);
    let (first, second) = (harness.member(0), harness.member(1));
    harness.step(&awaits(first));
    harness.step(&awaits(second));
    harness.step(&Op::Tick(JOIN_PATIENCE));
    assert_eq!(harness.session().status().attempt, Attempt(1));
    assert_eq!(harness.session().wake_at(), Some(DEADLINE));
    // Of two approvals the first one is not given up for a party that was never asked, not even if
    // that one comes back.
    harness.step(&joins(first));
    let third = outsider(&harness);
    harness.step(&Op::Offline(third));
    harness.step(&Op::Online(third));
    harness.step(&Op::Tick(JOIN_PATIENCE));
    let status = harness.session().status();
    assert_eq!((status.phase, status.attempt), (Phase::WaitingForApproval, Attempt(1)));
    assert_eq!(status.waiting_for, parties(&harness, [second]));
    harness.step(&joins(second));
    assert_eq!(harness.session().status().phase, Phase::Running);
}

#[test]
fn a_party_that_comes_back_is_asked_instead_of_a_person() {
    let (mut harness, asked, prompt) = one_awaits(&[0, 1]);
    let third = outsider(&harness);
    harness.step(&Op::Tick(3 * JOIN_PATIENCE));
    assert_eq!(harness.session().status().attempt, Attempt(1));
    harness.step(&Op::Online(third));
    let status = harness.session().status();
    assert_eq!((status.phase, status.attempt), (Phase::Joining, Attempt(2)));
    assert_eq!(status.quorum, parties(&harness, [prompt, third]));
    assert!(!status.quorum.contains(&harness.party(asked)));
}

#[test]
fn the_person_is_asked_again_when_the_others_are_gone() {
    let (mut harness, asked, prompt) = one_awaits(&[0, 1, 2]);
    let third = outsider(&harness);
    harness.step(&Op::Tick(JOIN_PATIENCE));
    harness.step(&Op::Decline { from: third, reason: DeclineReason::Refused, stale: false });
    assert_eq!(harness.session().status().quorum, parties(&harness, [asked, prompt]));
    harness.step(&awaits(asked));
    harness.step(&joins(prompt));
    harness.step(&Op::Tick(5 * JOIN_PATIENCE));
    let status = harness.session().status();
    assert_eq!((status.phase, status.attempt), (Phase::WaitingForApproval, Attempt(3)));
    harness.step(&joins(asked));
    assert_eq!(harness.session().status().phase, Phase::Running);
}

/// Who asks a person has no fault by that: it is preferred to a party that has spoilt an attempt,
/// and among parties without a fault it is the last choice.
#[test]
fn a_person_comes_before_a_fault_and_after_everybody_else() {
    let (mut harness, asked, prompt) = one_awaits(&[0, 1, 2]);
    harness.step(&Op::Tick(JOIN_PATIENCE));
    let silent = harness.member(usize::from(harness.member(0) == prompt));
    harness.step(&joins(prompt));
    harness.step(&Op::Tick(JOIN_PATIENCE));
    let past = harness.durable().past.last().unwrap();
    assert_eq!(past.parties, parties(&harness, [silent]));
    assert_eq!(harness.session().status().quorum, parties(&harness, [asked, prompt]));

    let (mut harness, asked, prompt) = one_awaits(&[0, 1, 2]);
    let third = outsider(&harness);
    // Each spoils one attempt: all are equal then, and the person is the last choice, wherever the
    // party stands in the order of preference.
    for from in [prompt, third, asked] {
        assert!(harness.session().status().quorum.contains(&harness.party(asked)));
        harness.step(&Op::Decline { from, reason: DeclineReason::Overloaded, stale: false });
    }
    assert_eq!(harness.session().status().attempt, Attempt(4));
    assert_eq!(harness.session().status().quorum, parties(&harness, [prompt, third]));
}

#[test]
fn who_has_approved_is_asked_with_others_like_anybody_else() {
    let mut harness = Harness::open(Purpose::Sign, &[0, 1, 2]);
    let (approved, asked) = (harness.member(0), harness.member(1));
    let third = outsider(&harness);
    harness.step(&awaits(approved));
    harness.step(&awaits(asked));
    harness.step(&joins(approved));
    harness.step(&Op::Tick(JOIN_PATIENCE));
    assert_eq!(harness.session().status().quorum, parties(&harness, [approved, third]));
}

/// Of the others one never joins: the session asks them as long as it can spare attempts, and then
/// waits for the person. It does not fail for want of attempts.
#[test]
fn others_who_fail_do_not_use_up_the_persons_chance() {
    let (mut harness, asked, prompt) = one_awaits(&[0, 1, 2]);
    while harness.session().wake_at() != Some(DEADLINE) {
        let status = harness.session().status();
        if status.quorum.contains(&harness.party(asked)) {
            harness.step(&awaits(asked));
        }
        harness.step(&joins(prompt));
        harness.step(&Op::Tick(JOIN_PATIENCE));
        assert!(harness.session().ended().is_none(), "{:?}", harness.session().ended());
    }
    let status = harness.session().status();
    assert_eq!(
        (status.phase, status.attempt),
        (Phase::WaitingForApproval, Attempt(2 * MAX_DETOURS as u32 + 1))
    );
    harness.step(&joins(asked));
    assert_eq!(harness.session().status().phase, Phase::Running);
}

#[test]
fn who_may_not_ask_for_patience_is_told_why() {
    let (harness, asked, prompt) = one_awaits(&[0, 1, 2]);
    let cause = |n: usize, attempt: Attempt| {
        let from = harness.party(n);
        let event = Event::AwaitingApproval { from, attempt };
        match &harness.session().clone().handle(event, Millis(0))[..] {
            [] => None,
            [Effect::Drop { from: dropped, cause }] if *dropped == from => Some(*cause),
            effects => panic!("{effects:?}"),
        }
    };
    assert_eq!(cause(asked, Attempt(1)), None);
    assert_eq!(cause(outsider(&harness), Attempt(1)), Some(DropCause::NotAMember));
    assert_eq!(cause(asked, Attempt(2)), Some(DropCause::OtherAttempt));
    // It has joined already.
    assert_eq!(cause(prompt, Attempt(1)), Some(DropCause::OutOfPhase));
}
