//! Processes that are killed in the middle of a signature.

use super::backend::Request;
use super::judge::Judge;
use super::site::{Site, UP};
use actix_rt::System;
use mpc::api::Session;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

/// What a session may take, in seconds, when something is killed meanwhile.
const LIFE: u64 = 60;

/// By when a session must have ended after its coordinator was killed.
const RECOVERY: Duration = Duration::from_secs(30);

/// The rounds of a signature in which something is killed. In round 0 its members join.
const ROUNDS: RangeInclusive<u16> = 0..=7;

/// A session that was seen in a round too late, or not at all, is not counted, and another is
/// begun, so often.
const TRIES: usize = 20;

/// Whether the session is in this round, or beyond it.
fn has_come_to(session: &Session, round: u16) -> bool {
    let position = session.position.map_or(0, |position| position.round.0);
    session.state.has_ended() || (!session.quorum.is_empty() && position >= round)
}

/// Begins sessions until one is seen in this round.
async fn session_in(site: &Site, judge: &mut Judge, round: u16) -> (Request, Session) {
    for _ in 0..TRIES {
        let request = site.request(LIFE);
        let id = site.backend.place(&request, UP).await;
        let seen = site.backend.until(id, UP, |session| has_come_to(session, round)).await;
        if !seen.state.has_ended() {
            return (request, seen);
        }
        judge.completed(&request, &seen);
    }
    panic!("no session is seen in round {round}");
}

/// Says when the kill came, and what followed.
fn tell(seen: &Session, session: &Session) {
    let round = seen.position.map_or(0, |position| position.round.0);
    println!("killed in round {round}: ended in attempt {}", session.attempt);
}

async fn the_coordinator_is_killed(times: usize) {
    let mut site = Site::start(3).await;
    let mut judge = Judge::default();
    let mut slowest = Duration::ZERO;
    for round in ROUNDS {
        for _ in 0..times {
            let (request, seen) = session_in(&site, &mut judge, round).await;
            let id = seen.session_id;
            site.kill_office();
            let killed = Instant::now();
            site.open_office();
            let session = site.backend.end(id, RECOVERY).await;
            slowest = slowest.max(killed.elapsed());
            tell(&seen, &session);
            judge.completed(&request, &session);
            judge.replayed(&site.backend, &request, id).await;
        }
    }
    let (sessions, signatures) = judge.count();
    println!("{sessions} sessions, {signatures} signatures, the slowest {slowest:?} after a kill");
}

#[test]
fn row_01_the_coordinator_is_killed_in_each_round() {
    System::new().block_on(the_coordinator_is_killed(1));
}

#[test]
#[ignore = "takes many minutes: the full figure of row 1"]
fn row_01_the_coordinator_is_killed_in_each_round_20_times() {
    System::new().block_on(the_coordinator_is_killed(20));
}

async fn a_party_is_killed(times: usize) {
    let mut site = Site::start(3).await;
    let mut judge = Judge::default();
    let mut slowest = Duration::ZERO;
    for round in ROUNDS {
        for time in 0..times {
            let (request, seen) = session_in(&site, &mut judge, round).await;
            let id = seen.session_id;
            let victim = site.number(seen.quorum[time % 2]);
            site.kill_party(victim);
            let killed = Instant::now();
            let session = site.backend.end(id, RECOVERY).await;
            slowest = slowest.max(killed.elapsed());
            tell(&seen, &session);
            judge.completed(&request, &session);
            // Whoever was killed before its result was there is not among those who signed; the
            // attempt in which it was is over, for a reason that the session shows.
            if session.signers.contains(&site.party(victim)) {
                assert_eq!(session.attempt, seen.attempt, "{session:#?}");
            } else {
                assert!(session.attempt > seen.attempt, "{session:#?}");
                assert!(!session.past_attempts.is_empty(), "{session:#?}");
            }
            site.start_party(victim);
            site.backend.await_parties(3, UP).await;
        }
    }
    let (sessions, signatures) = judge.count();
    println!("{sessions} sessions, {signatures} signatures, the slowest {slowest:?} after a kill");
}

#[test]
fn row_02_a_party_is_killed_in_each_round() {
    System::new().block_on(a_party_is_killed(1));
}

#[test]
#[ignore = "takes many minutes: the full figure of row 2"]
fn row_02_a_party_is_killed_in_each_round_20_times() {
    System::new().block_on(a_party_is_killed(20));
}
