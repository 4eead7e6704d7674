//! Members that lie, alone among honest ones: whatever they say, the session does without them
//! before long, and nobody keeps an attempt alive by itself.

use crate::harness::{DEADLINE, Harness, PARTIES, Purpose};
use crate::ops::Op;
use mpc_session::{ABSENCE_PATIENCE, Event, MAX_FAULTS, Millis, Phase, SessionEnd};
use mpc_wire::{Attempt, PartyId, Round, Stage};
use std::collections::BTreeSet;

/// Every order in which the parties can be preferred.
const ORDERS: [[usize; PARTIES]; 6] =
    [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];

const LIAR: usize = 0;

/// A signing in which the liar spoils each attempt that it is asked to. Says how many that were.
fn spoiled(order: &[usize], spoil: impl Fn(&mut Harness, usize)) -> usize {
    let mut harness = Harness::open(Purpose::Sign, order);
    let liar = harness.party(LIAR);
    let mut spoilt = 0;
    while harness.session().status().quorum.contains(&liar) {
        spoilt += 1;
        assert!(spoilt < MAX_FAULTS, "{:?}", harness.session());
        let other = (0..2).map(|n| harness.member(n)).find(|member| *member != LIAR).unwrap();
        harness.step(&Op::JoinAll);
        spoil(&mut harness, other);
    }
    harness.run_honestly();
    assert!(matches!(harness.session().ended(), Some(SessionEnd::Completed(_))));
    spoilt
}

#[test]
fn a_member_that_accuses_the_others_is_left_out() {
    for order in ORDERS {
        let spoilt = spoiled(&order, |harness, other| {
            harness.step(&Op::Fail { from: LIAR, guilty: Some(other) });
            let past = harness.durable().past.last().unwrap();
            assert_eq!(past.reported_by, Some(harness.party(LIAR)));
            assert_eq!(past.parties, [harness.party(other)].into());
        });
        assert!(spoilt <= 2, "{order:?}: {spoilt}");
    }
}

#[test]
fn a_member_that_objects_to_every_start_is_left_out() {
    for order in ORDERS {
        let objection = mpc_wire::Objection::WrongJoins;
        let spoilt = spoiled(&order, |harness, _| {
            harness.step(&Op::Object { from: LIAR, objection, stale: false });
            assert!(harness.durable().past.last().unwrap().parties.is_empty());
        });
        assert!(spoilt <= 2, "{order:?}: {spoilt}");
    }
}

#[test]
fn a_member_that_stands_still_and_says_that_it_waits_for_another_one_is_left_out() {
    for order in ORDERS {
        let spoilt = spoiled(&order, |harness, other| {
            harness.step(&Op::Progress { from: LIAR, lacks: other, stale: false });
            wait_for_the_next_attempt(harness);
        });
        assert!(spoilt <= 2, "{order:?}: {spoilt}");
    }
}

/// What a member says when it stands in this round and lacks what another one has to send.
fn lacks(harness: &Harness, member: usize, other: usize, round: u16) -> Event {
    Event::Progress {
        from: harness.party(member),
        attempt: harness.session().status().attempt,
        stage: Stage(1),
        round: Round(round),
        waiting_for: [harness.party(other)].into(),
    }
}

fn wait_for_the_next_attempt(harness: &mut Harness) {
    let attempt = harness.session().status().attempt;
    while harness.session().status().attempt == attempt {
        harness.step(&Op::Tick(1_000));
    }
}

/// Headers are all that is seen of a message: it may be a part of a payload that is never finished,
/// or lie behind a gap.
#[test]
fn a_member_whose_messages_are_worth_nothing_is_left_out() {
    for order in ORDERS {
        let spoilt = spoiled(&order, |harness, other| {
            harness.step(&Op::Round { from: LIAR, to: other, stale: false });
            harness.step(&Op::Round { from: other, to: LIAR, stale: false });
            harness.take(lacks(harness, other, LIAR, 1));
            wait_for_the_next_attempt(harness);
            // Whether the one is deaf or the other one's message empty cannot be told.
            assert!(harness.durable().past.last().unwrap().parties.is_empty());
        });
        assert!(spoilt <= 2, "{order:?}: {spoilt}");
    }
}

/// It speaks in a round that is far ahead, so that nobody seems to lack anything of it.
#[test]
fn a_member_that_speaks_ahead_of_itself_is_left_out() {
    for order in ORDERS {
        let spoilt = spoiled(&order, |harness, other| {
            harness.take(lacks(harness, other, LIAR, 1));
            harness.step(&Op::Round { from: LIAR, to: other, stale: false });
            wait_for_the_next_attempt(harness);
            let past = harness.durable().past.last().unwrap();
            assert_ne!(past.parties, [harness.party(other)].into());
        });
        assert!(spoilt <= 2, "{order:?}: {spoilt}");
    }
}

/// What a peer can bring about in an honest member is not held against that member alone.
#[test]
fn a_member_that_makes_others_fail_is_left_out() {
    use mpc_wire::{AttemptFailure, AttemptOutcome, FailureKind};
    for kind in [FailureKind::Internal, FailureKind::Panicked, FailureKind::Transport] {
        for order in ORDERS {
            let spoilt = spoiled(&order, |harness, other| {
                let detail = String::new();
                let failure = AttemptFailure { kind, guilty: BTreeSet::new(), detail };
                let attempt = harness.session().status().attempt;
                let outcome = AttemptOutcome::Failed(failure);
                harness.take(harness.outcome(other, attempt, outcome, true));
                assert!(harness.durable().past.last().unwrap().parties.is_empty());
            });
            assert!(spoilt <= 2, "{kind:?}, {order:?}: {spoilt}");
        }
    }
}

/// One that has reported is not the one that is waited for, whatever it said before.
#[test]
fn who_has_reported_is_not_named() {
    let mut harness = Harness::open(Purpose::Aux, &[0, 1, 2]);
    harness.step(&Op::JoinAll);
    for member in 0..PARTIES {
        let other = (member + 1) % PARTIES;
        harness.step(&Op::Round { from: member, to: other, stale: false });
    }
    harness.take(lacks(&harness, 1, LIAR, 1));
    harness.step(&Op::Product { from: 1, valid: true, stale: false });
    harness.step(&Op::Product { from: 2, valid: true, stale: false });
    assert_eq!(harness.session().status().waiting_for, [harness.party(LIAR)].into());
    wait_for_the_next_attempt(&mut harness);
    assert_eq!(harness.durable().past[0].parties, [harness.party(LIAR)].into());
}

/// Whom an attempt speaks against is not forgotten with the process.
#[test]
fn a_restart_does_not_ask_the_liar_again() {
    for order in ORDERS {
        let spoilt = spoiled(&order, |harness, other| {
            harness.step(&Op::Fail { from: LIAR, guilty: Some(other) });
            harness.restart_with(|_| ());
        });
        assert!(spoilt <= 2, "{order:?}: {spoilt}");
    }
}

/// A signing that runs with the liar, its other member, and a third party that could take a place.
fn running(online: &[usize]) -> (Harness, usize) {
    let mut harness = Harness::open(Purpose::Sign, online);
    harness.step(&Op::JoinAll);
    let quorum = harness.session().status().quorum;
    assert!(quorum.contains(&harness.party(LIAR)));
    let other = (0..2).map(|n| harness.member(n)).find(|member| *member != LIAR).unwrap();
    (harness, other)
}

#[test]
fn absences_add_up_while_the_attempt_stands_still() {
    let (mut harness, _) = running(&[0, 1, 2]);
    let short = ABSENCE_PATIENCE / 3;
    for _ in 0..3 {
        assert_eq!(harness.session().status().attempt, Attempt(1));
        harness.step(&Op::Offline(LIAR));
        harness.step(&Op::Tick(short));
        harness.step(&Op::Online(LIAR));
    }
    harness.step(&Op::Offline(LIAR));
    harness.step(&Op::Tick(0));
    let status = harness.session().status();
    assert_eq!(status.attempt, Attempt(2));
    assert!(!status.quorum.contains(&harness.party(LIAR)));
}

#[test]
fn who_comes_and_goes_keeps_no_attempt_alive() {
    let (mut harness, _) = running(&[0, 1, 2]);
    let patience = harness.session().wake_at().unwrap();
    let mut now = 0;
    while harness.session().status().attempt == Attempt(1) {
        assert!(now <= patience.0 + ABSENCE_PATIENCE, "{:?}", harness.session());
        harness.step(&Op::Offline(LIAR));
        harness.step(&Op::Tick(1));
        harness.step(&Op::Online(LIAR));
        harness.step(&Op::Tick(1_000));
        now += 1_001;
    }
}

#[test]
fn who_runs_ahead_or_goes_back_and_forth_keeps_no_attempt_alive() {
    let (harness, other) = running(&[0, 1, 2]);
    let mut session = harness.session().clone();
    let at = |from: usize, round: u16, waiting_for: BTreeSet<PartyId>| Event::Progress {
        from: harness.party(from),
        attempt: Attempt(1),
        stage: Stage(1),
        round: Round(round),
        waiting_for,
    };
    session.handle(at(other, 1, [harness.party(LIAR)].into()), Millis(1));
    session.handle(at(LIAR, 1, BTreeSet::new()), Millis(1));
    let patience = session.wake_at();
    for round in (2..100).chain([3, 2, 50, 1, 99]) {
        session.handle(at(LIAR, round, [harness.party(other)].into()), Millis(u64::from(round)));
        assert_eq!(session.wake_at(), patience, "round {round}");
    }
    // The other one goes on, and the attempt with it.
    session.handle(at(other, 2, [harness.party(LIAR)].into()), Millis(200));
    assert!(session.wake_at() > patience);
    assert_eq!(session.status().phase, Phase::Running);
    assert!(session.wake_at() < Some(DEADLINE));
}

/// One that has reported is not waited for, and gets no time for its absences.
#[test]
fn who_has_reported_keeps_no_attempt_alive_by_coming_and_going() {
    let mut harness = Harness::open(Purpose::Aux, &[0, 1, 2]);
    harness.step(&Op::JoinAll);
    harness.step(&Op::Product { from: LIAR, valid: true, stale: false });
    let patience = harness.session().wake_at().unwrap();
    let mut now = 0;
    while harness.session().status().attempt == Attempt(1) {
        assert!(now <= patience.0, "{:?}", harness.session());
        harness.step(&Op::Offline(LIAR));
        harness.step(&Op::Tick(2_000));
        harness.step(&Op::Online(LIAR));
        harness.step(&Op::Tick(1));
        now += 2_001;
    }
}

/// Absences count only where somebody could have taken the place.
#[test]
fn a_member_that_was_rightly_waited_for_is_not_given_up_for_a_blip() {
    let (mut harness, _) = running(&[0, 1]);
    harness.step(&Op::Offline(LIAR));
    harness.step(&Op::Tick(2 * ABSENCE_PATIENCE));
    harness.step(&Op::Online(LIAR));
    harness.step(&Op::Online(2));
    harness.step(&Op::Offline(LIAR));
    harness.step(&Op::Tick(ABSENCE_PATIENCE - 1));
    harness.step(&Op::Online(LIAR));
    assert_eq!(harness.session().status().attempt, Attempt(1));
}
