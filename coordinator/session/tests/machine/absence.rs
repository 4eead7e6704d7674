//! Members that go away, fall silent or come back, and a coordinator that has lost its memory.

use crate::harness::{DEADLINE, Harness, PARTIES, Purpose};
use crate::ops::{Joined, Op};
use mpc_session::{
    ABSENCE_PATIENCE, Event, JOIN_PATIENCE, Millis, Phase, REMINDER, ROUND_PATIENCE, SessionEnd,
    SessionProduct,
};
use mpc_wire::{Attempt, DeclineReason, FailureKind, Round, Stage, ToParty};

/// A signing that runs with two members, the third party online or not.
fn running(online: &[usize]) -> (Harness, [usize; 2]) {
    let mut harness = Harness::open(Purpose::Sign, online);
    harness.step(&Op::JoinAll);
    assert_eq!(harness.session().status().phase, Phase::Running);
    let members = [harness.member(0), harness.member(1)];
    (harness, members)
}

fn says(from: usize, to: usize) -> Op {
    Op::Round { from, to, stale: false }
}

fn is_completed(harness: &Harness) -> bool {
    matches!(harness.session().ended(), Some(SessionEnd::Completed(_)))
}

#[test]
fn a_member_that_is_back_in_time_goes_on_in_the_same_attempt() {
    let (mut harness, [member, _]) = running(&[0, 1, 2]);
    harness.step(&Op::Offline(member));
    harness.step(&Op::Tick(ABSENCE_PATIENCE - 1));
    harness.clear_told();
    harness.step(&Op::Online(member));
    // It may have missed the start.
    assert!(matches!(harness.told_to(member)[..], [ToParty::Started { .. }]));
    harness.step(&Op::Tick(ABSENCE_PATIENCE));
    let status = harness.session().status();
    assert_eq!((status.phase, status.attempt), (Phase::Running, Attempt(1)));
}

#[test]
fn a_member_that_stays_away_makes_way_for_another() {
    let (mut harness, [member, _]) = running(&[0, 1, 2]);
    harness.step(&Op::Offline(member));
    harness.step(&Op::Tick(ABSENCE_PATIENCE));
    let status = harness.session().status();
    assert_eq!(status.attempt, Attempt(2));
    assert!(!status.quorum.contains(&harness.party(member)));
    assert_eq!(harness.durable().past[0].parties, [harness.party(member)].into());
}

#[test]
fn without_others_a_member_is_waited_for_until_the_deadline() {
    let (mut harness, [member, other]) = running(&[0, 1]);
    harness.step(&Op::Offline(member));
    harness.step(&Op::Tick(DEADLINE.0 - ROUND_PATIENCE));
    let status = harness.session().status();
    assert_eq!((status.phase, status.attempt), (Phase::Running, Attempt(1)));
    harness.step(&Op::Online(member));
    harness.step(&says(member, other));
    harness.run_honestly();
    assert!(is_completed(&harness));
    assert_eq!(harness.durable().attempt, Attempt(1));
}

#[test]
fn another_party_that_comes_takes_the_place_of_one_that_has_been_away_for_long() {
    let (mut harness, [member, _]) = running(&[0, 1]);
    let third = (0..PARTIES).find(|n| ![0, 1].contains(n)).unwrap();
    harness.step(&Op::Offline(member));
    harness.step(&Op::Tick(2 * ABSENCE_PATIENCE));
    harness.step(&Op::Online(third));
    let status = harness.session().status();
    assert_eq!(status.attempt, Attempt(2));
    assert!(status.quorum.contains(&harness.party(third)));
}

#[test]
fn an_attempt_in_which_nobody_goes_on_names_who_is_waited_for() {
    let (mut harness, [silent, other]) = running(&[0, 1, 2]);
    harness.step(&says(other, silent));
    harness.step(&Op::Progress { from: other, lacks: silent, stale: false });
    harness.step(&Op::Tick(DEADLINE.0 / 2));
    let [past] = &harness.durable().past[..] else { panic!("{:?}", harness.session()) };
    assert_eq!(
        (past.kind, past.parties.clone()),
        (FailureKind::PeerMissing, [harness.party(silent)].into())
    );
    assert!(!harness.session().status().quorum.contains(&harness.party(silent)));
}

#[test]
fn a_member_that_lacks_what_was_said_is_itself_hard_to_reach() {
    let (mut harness, [deaf, other]) = running(&[0, 1, 2]);
    harness.step(&says(other, deaf));
    harness.step(&says(deaf, other));
    // It goes on saying so, since nothing reaches it.
    let lacks = Event::Progress {
        from: harness.party(deaf),
        attempt: Attempt(1),
        stage: Stage(1),
        round: Round(1),
        waiting_for: [harness.party(other)].into(),
    };
    let mut session = harness.session().clone();
    session.handle(lacks, Millis(0));
    assert_eq!(session.status().waiting_for, [harness.party(deaf)].into());
}

#[test]
fn a_repeated_word_is_no_progress_and_a_new_one_is() {
    let (mut harness, [one, other]) = running(&[0, 1, 2]);
    harness.step(&Op::Progress { from: one, lacks: other, stale: false });
    let stuck_at = harness.session().wake_at();
    harness.step(&Op::Tick(DEADLINE.0 / 4));
    harness.step(&Op::Progress { from: one, lacks: other, stale: false });
    harness.step(&says(one, other));
    assert_eq!(harness.session().wake_at(), stuck_at);
    harness.step(&says(other, one));
    assert!(harness.session().wake_at() > stuck_at);
}

/// A member says its outcome until the session is over; another one that is stuck must not be
/// waited for any longer by that.
#[test]
fn a_repeated_outcome_is_no_progress() {
    for purpose in [Purpose::Aux, Purpose::Keygen, Purpose::Canary] {
        let mut harness = Harness::open(purpose, &[0, 1, 2]);
        harness.step(&Op::JoinAll);
        let reports = Op::Product { from: harness.member(0), valid: true, stale: false };
        harness.step(&reports);
        let stuck_at = harness.session().wake_at().unwrap();
        for _ in 0..3 {
            harness.step(&Op::Tick(DEADLINE.0 / 8));
            harness.step(&reports);
            assert_eq!(harness.session().wake_at(), Some(stuck_at), "{purpose:?}");
        }
        harness.step(&Op::Tick(DEADLINE.0 / 8));
        assert_eq!(harness.session().status().attempt, Attempt(2), "{purpose:?}");
    }
}

#[test]
fn who_has_not_answered_is_invited_again() {
    let mut harness = Harness::open(Purpose::Sign, &[0, 1, 2]);
    let (prompt, silent) = (harness.member(0), harness.member(1));
    harness.step(&Op::Join { from: prompt, stale: false, plan: Joined::Named });
    harness.clear_told();
    harness.step(&Op::Tick(REMINDER));
    assert!(matches!(harness.told_to(silent)[..], [ToParty::Invite { .. }]));
    assert!(harness.told_to(prompt).is_empty());
}

#[test]
fn a_member_that_repeats_its_join_hears_of_the_start_again() {
    let (mut harness, [one, other]) = running(&[0, 1]);
    harness.clear_told();
    harness.step(&Op::Join { from: one, stale: false, plan: Joined::Named });
    assert!(matches!(harness.told_to(one)[..], [ToParty::Started { .. }]));
    assert!(harness.told_to(other).is_empty());
    // One of another plan is no repetition.
    harness.clear_told();
    harness.step(&Op::Join { from: one, stale: false, plan: Joined::Strange });
    assert!(harness.told_to(one).is_empty());
}

#[test]
fn an_attempt_that_ran_when_the_coordinator_died_goes_on() {
    let (mut harness, [one, other]) = running(&[0, 1, 2]);
    harness.clear_told();
    harness.restart_with(|_| ());
    for member in [one, other] {
        assert!(matches!(harness.told_to(member)[..], [ToParty::Invite { .. }]));
    }
    harness.clear_told();
    harness.step(&Op::JoinAll);
    assert!(matches!(harness.told_to(one)[..], [ToParty::Started { .. }]));
    harness.step(&says(one, other));
    harness.run_honestly();
    assert!(is_completed(&harness));
    assert_eq!((harness.durable().attempt, harness.durable().past.len()), (Attempt(1), 0));
}

#[test]
fn what_parties_have_to_report_is_heard_before_another_attempt_is_planned() {
    for purpose in [Purpose::Keygen, Purpose::Aux] {
        let mut harness = Harness::open(purpose, &[0, 1, 2]);
        harness.step(&Op::JoinAll);
        harness.restart_with(|_| ());
        for from in 0..PARTIES {
            assert_eq!(harness.session().status().attempt, Attempt(1));
            harness.step(&Op::Product { from, valid: true, stale: false });
        }
        assert!(is_completed(&harness), "{purpose:?}");
    }
    // One has ended, the others still run: they need no start, only their messages.
    let mut harness = Harness::open(Purpose::Keygen, &[0, 1, 2]);
    harness.step(&Op::JoinAll);
    harness.restart_with(|_| ());
    harness.step(&Op::Product { from: 0, valid: true, stale: false });
    harness.clear_told();
    for from in [1, 2] {
        harness.step(&Op::Join { from, stale: false, plan: Joined::Named });
    }
    harness.step(&says(1, 2));
    assert!(matches!(harness.told_to(2)[..], [ToParty::Round(_)]));
    for from in [1, 2] {
        harness.step(&Op::Product { from, valid: true, stale: false });
    }
    assert!(is_completed(&harness));
}

/// Its makers are known although not all of them have joined once more.
#[test]
fn a_signature_of_an_attempt_that_is_taken_up_names_all_its_signers() {
    let (mut harness, [one, other]) = running(&[0, 1, 2]);
    harness.restart_with(|_| ());
    assert_eq!(harness.session().status().phase, Phase::Joining);
    harness.step(&Op::Product { from: one, valid: true, stale: false });
    let Some(SessionEnd::Completed(SessionProduct::Signature { signers, .. })) =
        harness.session().ended()
    else {
        panic!("{:?}", harness.session());
    };
    assert_eq!(*signers, [one, other].map(|n| harness.party(n)).into());
}

#[test]
fn an_attempt_that_is_dead_in_a_party_is_followed_by_another_and_nobody_is_blamed() {
    let (mut harness, [one, _]) = running(&[0, 1]);
    harness.restart_with(|_| ());
    let reason = DeclineReason::AttemptOver;
    harness.step(&Op::Decline { from: one, reason, stale: false });
    assert_eq!(harness.session().status().attempt, Attempt(2));
    assert!(harness.durable().past[0].parties.is_empty());
    assert!(harness.durable().declines.is_empty(), "it will join another one");
}

#[test]
fn parties_that_were_away_when_the_coordinator_came_back_are_waited_for() {
    let (mut harness, [one, other]) = running(&[0, 1]);
    for member in [one, other] {
        harness.step(&Op::Offline(member));
    }
    harness.restart_with(|_| ());
    harness.step(&Op::Tick(JOIN_PATIENCE - 1));
    harness.clear_told();
    for member in [one, other] {
        harness.step(&Op::Online(member));
        assert!(matches!(harness.told_to(member)[..], [ToParty::Invite { .. }]));
    }
    harness.run_honestly();
    assert!(is_completed(&harness));
    assert_eq!(harness.durable().attempt, Attempt(1));
}

/// After a restart nobody is connected, and a stranger may be the first.
#[test]
fn a_stranger_that_connects_first_takes_nobodys_place_in_what_is_taken_up() {
    let (mut harness, members) = running(&[0, 1, 2]);
    let stranger = (0..PARTIES).find(|n| !members.contains(n)).unwrap();
    for party in 0..PARTIES {
        harness.step(&Op::Offline(party));
    }
    harness.restart_with(|_| ());
    for party in [stranger, members[0], members[1]] {
        harness.step(&Op::Tick(500));
        harness.step(&Op::Online(party));
    }
    let status = harness.session().status();
    assert_eq!((status.attempt, status.phase), (Attempt(1), Phase::Joining));
    assert!(harness.durable().past.is_empty());
    harness.run_honestly();
    assert!(is_completed(&harness));
}

/// A member is away that waits for a person: others are asked as soon as there are enough.
#[test]
fn who_is_away_and_waits_for_a_person_makes_way_for_another() {
    let mut harness = Harness::open(Purpose::Sign, &[0, 1]);
    for from in [0, 1] {
        harness.step(&Op::AwaitApproval { from, stale: false });
    }
    harness.step(&Op::Tick(JOIN_PATIENCE));
    harness.step(&Op::Offline(0));
    harness.step(&Op::Online(2));
    let status = harness.session().status();
    assert_eq!(status.attempt, Attempt(2));
    assert_eq!(status.quorum, [harness.party(1), harness.party(2)].into());
}

/// A member that has missed the end of an attempt says where it stands in it, and hears of that.
#[test]
fn who_works_on_a_dead_attempt_is_stopped() {
    let (mut harness, [one, other]) = running(&[0, 1, 2]);
    harness.step(&Op::Fail { from: one, guilty: Some(other) });
    harness.clear_told();
    harness.step(&Op::Progress { from: other, lacks: one, stale: true });
    assert!(matches!(harness.told_to(other)[..], [ToParty::Abort { attempt: Attempt(1), .. }]));
    harness.clear_told();
    let stranger = (0..PARTIES).find(|n| ![one, other].contains(n)).unwrap();
    harness.step(&Op::Progress { from: stranger, lacks: one, stale: true });
    assert!(harness.told_to(stranger).is_empty());
}
