//! Joins whose signature somebody on the way has broken.

use crate::harness::{Harness, Purpose};
use crate::joins;
use crate::ops::{Joined, Op};
use mpc_session::{JOIN_PATIENCE, Phase, SessionEnd};
use mpc_wire::{Attempt, FailureKind, ToParty};

fn broken(from: usize) -> Op {
    Op::Join { from, stale: false, plan: Joined::Broken }
}

/// How many invitations the broken join of a member brings it.
fn invitations(harness: &mut Harness, member: usize) -> usize {
    harness.clear_told();
    harness.step(&broken(member));
    let told = harness.told_to(member);
    told.iter().filter(|told| matches!(told, ToParty::Invite { .. })).count()
}

#[test]
fn who_sent_it_is_asked_again_at_once_and_not_without_end() {
    let mut harness = Harness::open(Purpose::Sign, &[0, 1]);
    let (member, other) = (harness.member(0), harness.member(1));
    let asked: usize = (0..100).map(|_| invitations(&mut harness, member)).sum();
    assert_eq!(asked, 3);
    // One that is whole is taken all the same.
    harness.step(&joins(member));
    assert_eq!(invitations(&mut harness, member), 0, "it has joined");
    harness.step(&joins(other));
    assert_eq!(harness.session().status().phase, Phase::Running);
    assert_eq!(invitations(&mut harness, member), 0, "the attempt runs");
    harness.run_honestly();
    assert!(matches!(harness.session().ended(), Some(SessionEnd::Completed(_))));
}

#[test]
fn nobody_is_named_where_joins_stay_broken() {
    let mut harness = Harness::open(Purpose::Sign, &[0, 1, 2]);
    let (member, other) = (harness.member(0), harness.member(1));
    harness.step(&joins(other));
    harness.step(&broken(member));
    harness.step(&Op::Tick(JOIN_PATIENCE));
    let [past] = &harness.durable().past[..] else { panic!("{:?}", harness.session()) };
    assert_eq!((past.attempt, past.kind), (Attempt(1), FailureKind::Transport));
    assert!(past.parties.is_empty(), "{past:?}");
    // Another is asked in its stead.
    let status = harness.session().status();
    assert!(!status.quorum.contains(&harness.party(member)));
    assert!(status.quorum.contains(&harness.party(other)));
}

#[test]
fn who_is_silent_is_named_beside_one_whose_join_is_broken() {
    let mut harness = Harness::open(Purpose::Sign, &[0, 1, 2]);
    let (member, silent) = (harness.member(0), harness.member(1));
    harness.step(&broken(member));
    harness.step(&Op::Tick(JOIN_PATIENCE));
    let [past] = &harness.durable().past[..] else { panic!("{:?}", harness.session()) };
    assert_eq!(past.kind, FailureKind::PeerMissing);
    assert!(past.parties.iter().eq([&harness.party(silent)]), "{past:?}");
}
