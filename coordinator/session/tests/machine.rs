//! The session machine under arbitrary events, crashes and restarts, its invariants checked after
//! every effect.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code fails by panicking"
)]

#[path = "machine/harness.rs"]
mod harness;
#[path = "machine/ops.rs"]
mod ops;

use harness::{Harness, KINDS, PARTIES, Purpose};
use mpc_session::{FailureReason, MAX_ATTEMPTS, Phase, SessionEnd, SessionProduct};
use mpc_wire::{Attempt, DeclineReason, FailureKind};
use ops::{Op, ops};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

/// `PROPTEST_CASES` sets how many cases are tried; 256 without it.
fn config() -> ProptestConfig {
    let failure_persistence = Some(Box::new(FileFailurePersistence::Off) as Box<_>);
    ProptestConfig { failure_persistence, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    /// Whatever happens, in whatever order: every invariant of the harness holds, and a tick at
    /// the deadline ends it.
    #[test]
    fn invariants_hold_under_arbitrary_events(
        purpose in prop::sample::select(KINDS),
        online in prop::collection::vec(0..PARTIES, 0..=PARTIES),
        ops in ops(1..120),
    ) {
        let mut harness = Harness::open(purpose, &online);
        for op in &ops {
            harness.step(op);
        }
        // The first tick may meet a crash.
        harness.step(&Op::Tick(u64::MAX));
        harness.step(&Op::Tick(0));
        prop_assert!(harness.session().ended().is_some());
    }

    /// Parties that do what they should are enough, from any state that is not over.
    #[test]
    fn honest_parties_complete_whatever_came_before(
        purpose in prop::sample::select(KINDS),
        ops in ops(0..40),
    ) {
        let mut harness = Harness::open(purpose, &[]);
        for op in ops.iter().filter(|op| !op.ends_or_declines()) {
            harness.step(op);
        }
        prop_assume!(harness.session().ended().is_none());
        (0..PARTIES).for_each(|party| harness.step(&Op::Online(party)));
        harness.run_honestly();
        let is_completed =
            matches!(harness.session().ended(), Some(SessionEnd::Completed(_)));
        prop_assert!(is_completed, "{:?}", harness.session());
    }
}

#[test]
fn a_signing_goes_from_invitation_to_signature() {
    let mut harness = Harness::open(Purpose::Sign, &[0, 1, 2]);
    assert_eq!(harness.session().status().phase, Phase::Joining);
    harness.run_honestly();
    let Some(SessionEnd::Completed(SessionProduct::Signature { signers, .. })) =
        harness.session().ended()
    else {
        panic!("{:?}", harness.session());
    };
    assert_eq!(signers.len(), 2);
    assert_eq!(harness.session().status().attempt, Attempt(1));
}

#[test]
fn attempts_are_bounded() {
    let mut harness = Harness::open(Purpose::Sign, &[0, 1, 2]);
    for attempt in 1..=MAX_ATTEMPTS {
        assert_eq!(harness.session().status().attempt, Attempt(attempt));
        let member = harness.member(0);
        harness.step(&Op::JoinAll);
        harness.step(&Op::Fail { from: member, guilty: None });
    }
    let Some(SessionEnd::Failed(failure)) = harness.session().ended() else {
        panic!("{:?}", harness.session());
    };
    let reason = FailureReason::AttemptsExhausted(FailureKind::PeerMisbehaved);
    assert_eq!(failure.reason, reason);
}

#[test]
fn a_party_held_guilty_is_left_out_while_others_are_there() {
    let mut harness = Harness::open(Purpose::Sign, &[0, 1, 2]);
    let (reporter, guilty) = (harness.member(0), harness.member(1));
    harness.step(&Op::JoinAll);
    harness.step(&Op::Fail { from: reporter, guilty: Some(guilty) });
    let quorum = harness.session().status().quorum;
    assert!(!quorum.contains(&harness.party(guilty)) && quorum.contains(&harness.party(reporter)));
}

#[test]
fn it_fails_once_too_many_decline() {
    let mut harness = Harness::open(Purpose::Sign, &[0, 1, 2]);
    for _ in 0..2 {
        let from = harness.member(0);
        harness.step(&Op::Decline { from, reason: DeclineReason::Refused, stale: false });
    }
    let Some(SessionEnd::Failed(failure)) = harness.session().ended() else {
        panic!("{:?}", harness.session());
    };
    assert_eq!(failure.reason, FailureReason::Declined(DeclineReason::Refused));
    assert_eq!(failure.parties.len(), 2);
}

#[test]
fn a_key_generation_waits_for_every_party() {
    let mut harness = Harness::open(Purpose::Keygen, &[0, 1]);
    assert_eq!(harness.session().status().phase, Phase::WaitingForParties);
    assert_eq!(harness.session().status().waiting_for, [harness.party(2)].into());
    harness.step(&Op::Online(2));
    harness.run_honestly();
    assert!(matches!(harness.session().ended(), Some(SessionEnd::Completed(_))));
}

#[test]
fn products_that_differ_are_no_product() {
    let mut harness = Harness::open(Purpose::Aux, &[0, 1, 2]);
    harness.step(&Op::JoinAll);
    for (from, differs) in [(0, false), (1, true), (2, false)] {
        assert!(harness.session().ended().is_none());
        harness.step(&Op::Product { from, valid: !differs, stale: false });
    }
    let Some(SessionEnd::Failed(failure)) = harness.session().ended() else {
        panic!("{:?}", harness.session());
    };
    assert_eq!(failure.reason, FailureReason::ResultsDiffer);
}

#[test]
fn a_crash_before_the_record_is_durable_leaves_the_attempts_number_unused() {
    // The first effect of the failure is the record of attempt 2: it never gets durable.
    let mut harness = Harness::open(Purpose::Sign, &[0, 1, 2]);
    harness.step(&Op::JoinAll);
    let member = harness.member(0);
    harness.step(&Op::CrashAfter(0));
    harness.step(&Op::Fail { from: member, guilty: None });
    // Only attempt 1 was known, so 2 is the restored machine's.
    assert_eq!(harness.session().status().attempt, Attempt(2));
    // Once it is durable but nobody was told, the number is spent all the same.
    let member = harness.member(0);
    harness.step(&Op::JoinAll);
    let effects_until_durable = harness.effects_until_durable_of_failure(member);
    harness.step(&Op::CrashAfter(effects_until_durable));
    harness.step(&Op::Fail { from: member, guilty: None });
    assert_eq!(harness.session().status().attempt, Attempt(4));
}
