//! The session machine under arbitrary events, crashes and restarts, its invariants checked after
//! every effect.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code fails by panicking"
)]

#[path = "machine/absence.rs"]
mod absence;
#[path = "machine/approval.rs"]
mod approval;
#[path = "machine/broken_joins.rs"]
mod broken_joins;
#[path = "machine/declines.rs"]
mod declines;
#[path = "machine/events.rs"]
mod events;
#[path = "machine/harness.rs"]
mod harness;
#[path = "machine/late_declines.rs"]
mod late_declines;
#[path = "machine/liars.rs"]
mod liars;
#[path = "machine/ops.rs"]
mod ops;
#[path = "machine/other_plans.rs"]
mod other_plans;

use harness::{DEADLINE, Harness, KINDS, PARTIES, Purpose};
use mpc_session::{
    ABSENCE_PATIENCE, FailureReason, JOIN_PATIENCE, MAX_FAULTS, MAX_OBJECTIONS, Phase, REMINDER,
    RaisedObjection, SessionEnd, SessionProduct,
};
use mpc_wire::{Attempt, DeclineReason, FailureKind, Objection};
use ops::{Joined, Op, ops};
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
        // Whoever declined in passing is asked again by then.
        harness.step(&Op::Tick(8_000));
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
fn attempts_that_fail_by_a_fault_are_bounded() {
    let mut harness = Harness::open(Purpose::Sign, &[0, 1, 2]);
    for _ in 0..MAX_FAULTS {
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
fn members_that_go_away_end_no_session_that_has_time_left() {
    let mut harness = Harness::open(Purpose::Sign, &[0, 1, 2]);
    for _ in 0..2 * MAX_FAULTS {
        harness.step(&Op::JoinAll);
        let member = harness.member(0);
        harness.step(&Op::Offline(member));
        harness.step(&Op::Tick(ABSENCE_PATIENCE));
        harness.step(&Op::Online(member));
    }
    assert_eq!(harness.durable().past.len(), 2 * MAX_FAULTS);
    harness.run_honestly();
    assert!(matches!(harness.session().ended(), Some(SessionEnd::Completed(_))));
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
    // Only attempt 1 was known, and is taken up again.
    assert_eq!(harness.session().status().attempt, Attempt(1));
    // Once attempt 2 is durable but nobody was told, that is the one that is taken up.
    harness.step(&Op::JoinAll);
    let effects_until_durable = harness.effects_until_durable_of_failure(member);
    harness.step(&Op::CrashAfter(effects_until_durable));
    harness.step(&Op::Fail { from: member, guilty: None });
    assert_eq!(harness.session().status().attempt, Attempt(2));
    harness.run_honestly();
    assert!(matches!(harness.session().ended(), Some(SessionEnd::Completed(_))));
}

fn joins(from: usize) -> Op {
    Op::Join { from, stale: false, plan: Joined::Named }
}

fn awaits(from: usize) -> Op {
    Op::AwaitApproval { from, stale: false }
}

fn objects(from: usize, objection: Objection) -> Op {
    Op::Object { from, objection, stale: false }
}

#[test]
fn a_late_approval_joins_the_attempt_that_waited_for_it() {
    // There is nobody to ask instead.
    let mut harness = Harness::open(Purpose::Sign, &[0, 1]);
    let (asked, prompt) = (harness.member(0), harness.member(1));
    harness.step(&awaits(asked));
    // The other one is still expected soon.
    assert_eq!(harness.session().status().phase, Phase::Joining);
    assert_eq!(harness.session().wake_at(), Some(mpc_session::Millis(REMINDER)));
    harness.step(&joins(prompt));
    let status = harness.session().status();
    assert_eq!(status.phase, Phase::WaitingForApproval);
    assert_eq!(status.waiting_for, [harness.party(asked)].into());
    harness.step(&Op::Tick(9 * JOIN_PATIENCE));
    assert_eq!(harness.session().status(), status, "a person may take longer than a machine");
    harness.step(&joins(asked));
    assert_eq!(harness.session().status().phase, Phase::Running);
    assert_eq!(harness.session().status().attempt, Attempt(1));
    harness.run_honestly();
    assert!(matches!(harness.session().ended(), Some(SessionEnd::Completed(_))));
}

#[test]
fn the_order_in_which_a_member_joins_and_another_asks_a_person_does_not_matter() {
    let phase = |first: fn(usize, usize) -> [Op; 2]| {
        let mut harness = Harness::open(Purpose::Sign, &[0, 1, 2]);
        for op in first(harness.member(0), harness.member(1)) {
            harness.step(&op);
        }
        harness.session().status().phase
    };
    assert_eq!(phase(|asked, prompt| [awaits(asked), joins(prompt)]), Phase::WaitingForApproval);
    assert_eq!(phase(|asked, prompt| [joins(prompt), awaits(asked)]), Phase::WaitingForApproval);
}

#[test]
fn a_person_who_never_answers_is_named_at_the_deadline() {
    let mut harness = Harness::open(Purpose::Sign, &[0, 1]);
    let (asked, prompt) = (harness.member(0), harness.member(1));
    harness.step(&awaits(asked));
    harness.step(&joins(prompt));
    harness.step(&Op::Tick(DEADLINE.0 - 1));
    assert!(harness.session().ended().is_none());
    harness.step(&Op::Tick(1));
    let waiting_for = [harness.party(asked)].into();
    assert_eq!(harness.session().ended(), Some(&SessionEnd::Expired { waiting_for }));
}

#[test]
fn patience_with_a_person_is_no_patience_with_the_others() {
    let mut harness = Harness::open(Purpose::Sign, &[0, 1, 2]);
    let (asked, silent) = (harness.member(0), harness.member(1));
    harness.step(&awaits(asked));
    harness.step(&Op::Tick(JOIN_PATIENCE));
    let [past] = &harness.durable().past[..] else { panic!("{:?}", harness.session()) };
    assert_eq!(past.parties, [harness.party(silent)].into());
    let status = harness.session().status();
    assert_eq!(status.attempt, Attempt(2));
    assert!(status.quorum.contains(&harness.party(asked)), "the person is still asked");
    // In a new attempt it has to say so again.
    assert_eq!(status.phase, Phase::Joining);
}

#[test]
fn a_person_who_refuses_ends_the_patience() {
    let mut harness = Harness::open(Purpose::Sign, &[0, 1, 2]);
    let asked = harness.member(0);
    harness.step(&awaits(asked));
    harness.step(&Op::Decline { from: asked, reason: DeclineReason::Refused, stale: false });
    let status = harness.session().status();
    assert_eq!(status.attempt, Attempt(2));
    assert!(!status.quorum.contains(&harness.party(asked)));
}

/// A share whose activation is under way, and a party with too much to do, are asked again; whoever
/// has no share is not.
#[test]
fn what_passes_by_itself_is_not_held_against_a_party() {
    for (reason, is_over) in [
        (DeclineReason::NotActive, false),
        (DeclineReason::Overloaded, false),
        (DeclineReason::NoShare, true),
    ] {
        let mut harness = Harness::open(Purpose::Keygen, &[0, 1, 2]);
        let from = harness.member(0);
        harness.step(&Op::Decline { from, reason, stale: false });
        assert_eq!(harness.session().ended().is_some(), is_over, "{reason}");
    }
}

#[test]
fn only_members_of_the_attempt_can_ask_for_patience() {
    let mut harness = Harness::open(Purpose::Sign, &[0, 1, 2]);
    let outsider = (0..PARTIES)
        .find(|n| !harness.session().status().quorum.contains(&harness.party(*n)))
        .unwrap();
    let member = harness.member(0);
    for op in [awaits(outsider), Op::AwaitApproval { from: member, stale: true }] {
        harness.step(&op);
    }
    harness.step(&joins(harness.member(1)));
    assert_eq!(harness.session().status().phase, Phase::Joining);
    harness.step(&Op::Tick(JOIN_PATIENCE));
    assert_eq!(harness.session().status().attempt, Attempt(2));
}

#[test]
fn an_objection_to_the_start_ends_the_attempt_and_blames_nobody() {
    for objection in [Objection::ForgedJoin, Objection::SupersededKey, Objection::WrongJoins] {
        let mut harness = Harness::open(Purpose::Sign, &[0, 1, 2]);
        let by = harness.member(1);
        harness.step(&Op::JoinAll);
        harness.step(&objects(by, objection));
        let durable = harness.durable();
        let [past] = &durable.past[..] else { panic!("{objection}: {durable:?}") };
        assert_eq!((past.attempt, past.kind), (Attempt(1), FailureKind::Transport));
        assert!(past.parties.is_empty() && durable.declines.is_empty(), "{past:?}");
        assert!(past.detail.contains(&objection.to_string()), "{past:?}");
        let raised = RaisedObjection { attempt: Attempt(1), by: harness.party(by), objection };
        assert_eq!(durable.objections, [raised].into());
        // The next attempt can do what this one could not.
        assert_eq!(harness.session().status().attempt, Attempt(2));
        harness.run_honestly();
        assert!(matches!(harness.session().ended(), Some(SessionEnd::Completed(_))));
    }
}

#[test]
fn an_objection_that_spoils_nothing_is_kept_once() {
    let mut harness = Harness::open(Purpose::Sign, &[0, 1, 2]);
    let (one, two) = (harness.member(0), harness.member(1));
    // While members join there is no start to be spoilt.
    harness.step(&objects(one, Objection::WrongJoins));
    harness.step(&Op::JoinAll);
    assert_eq!(harness.session().status().phase, Phase::Running);
    // (The harness fails if something is stored again without news.)
    for _ in 0..3 {
        harness.step(&objects(one, Objection::Misrouted));
        harness.step(&objects(two, Objection::Misrouted));
    }
    let raised: Vec<_> = harness.durable().objections.iter().map(|o| o.objection).collect();
    assert_eq!(raised.len(), 3);
    assert_eq!(harness.session().status().phase, Phase::Running);
    assert!(harness.durable().past.is_empty());
}

#[test]
fn an_objection_of_another_attempt_or_of_an_outsider_does_nothing() {
    let mut harness = Harness::open(Purpose::Sign, &[0, 1, 2]);
    harness.step(&Op::JoinAll);
    let outsider = (0..PARTIES)
        .find(|n| !harness.session().status().quorum.contains(&harness.party(*n)))
        .unwrap();
    let before = (harness.durable().clone(), harness.session().status());
    harness.step(&objects(outsider, Objection::ForgedJoin));
    let from = harness.member(0);
    harness.step(&Op::Object { from, objection: Objection::ForgedJoin, stale: true });
    assert_eq!((harness.durable().clone(), harness.session().status()), before);
}

/// The list is bounded by the attempts and the quorum long before its own bound; a record that is
/// full all the same takes no more, and an objection still ends what it spoils.
#[test]
fn objections_are_bounded_and_still_heard() {
    let mut harness = Harness::open(Purpose::Keygen, &[0, 1, 2]);
    let by = harness.party(0);
    let full =
        (0..).map(|n| RaisedObjection { attempt: Attempt(n), by, objection: Objection::Misrouted });
    harness.restart_with(|record| record.objections = full.take(MAX_OBJECTIONS).collect());
    harness.step(&Op::JoinAll);
    let attempt = harness.session().status().attempt;
    harness.step(&objects(1, Objection::Misrouted));
    harness.step(&objects(1, Objection::WrongJoins));
    assert_eq!(harness.durable().objections.len(), MAX_OBJECTIONS);
    assert_eq!(harness.session().status().attempt, attempt.next());
}

#[test]
fn declines_and_objections_survive_a_restart() {
    let mut harness = Harness::open(Purpose::Sign, &[0, 1, 2]);
    let declined = harness.member(0);
    harness.step(&Op::Decline { from: declined, reason: DeclineReason::NotAllowed, stale: false });
    let by = harness.member(0);
    harness.step(&objects(by, Objection::Misrouted));
    let before = harness.durable().clone();
    assert_eq!((before.declines.len(), before.objections.len()), (1, 1));
    harness.restart_with(|_| ());
    let after = harness.durable();
    assert_eq!((&after.declines, &after.objections), (&before.declines, &before.objections));
    // Who has declined is not asked again, and the reason is still known when it counts.
    let status = harness.session().status();
    assert_eq!(status.attempt, Attempt(2));
    assert!(!status.quorum.contains(&harness.party(declined)));
    let from = harness.member(0);
    harness.step(&Op::Decline { from, reason: DeclineReason::NotAllowed, stale: false });
    let Some(SessionEnd::Failed(failure)) = harness.session().ended() else {
        panic!("{:?}", harness.session());
    };
    assert_eq!(failure.reason, FailureReason::Declined(DeclineReason::NotAllowed));
    assert_eq!(failure.parties, [declined, from].map(|n| harness.party(n)).into());
}

/// Too much of one member, or gaps that somebody on the way has left: that cannot be told.
#[test]
fn nobody_is_named_where_a_member_has_no_room_for_a_round_message() {
    let mut harness = Harness::open(Purpose::Sign, &[0, 1, 2]);
    let (from, to) = (harness.member(0), harness.member(1));
    harness.step(&Op::JoinAll);
    harness.step(&Op::RoundRefused { from, to, stale: false });
    let [past] = &harness.durable().past[..] else { panic!("{:?}", harness.session()) };
    assert_eq!(past.kind, FailureKind::Transport);
    assert!(past.parties.is_empty(), "{past:?}");
}
