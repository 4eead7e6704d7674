//! Links that are cut, or fall silent one way.

use super::judge::Judge;
use super::link::Way;
use super::site::{Site, UP};
use actix_rt::System;
use mpc::api::SessionState;
use std::time::{Duration, Instant};

/// By how much a session may miss its deadline.
pub(super) const SLACK: Duration = Duration::from_secs(1);

async fn a_member_is_offline(away: Duration) {
    // Two of three are there, so nobody can take the place of the one that goes.
    let site = Site::start(2).await;
    let mut judge = Judge::default();
    for round in [1, 3, 5] {
        let request = site.request(away.as_secs() + 60);
        let id = site.backend.place(&request, UP).await;
        site.backend
            .until(id, UP, |session| {
                session.position.is_some_and(|position| position.round.0 >= round)
            })
            .await;
        site.link(1).cut();
        tokio::time::sleep(away).await;
        let waiting = site.backend.until(id, UP, |_| true).await;
        site.link(1).mend();
        let session = site.backend.end(id, UP).await;
        judge.completed(&request, &session);
        assert_eq!(session.attempt.0, 1, "the same attempt goes on: {session:#?}");
        if !waiting.state.has_ended() {
            assert_eq!(waiting.waiting_for, [site.party(1)], "{waiting:#?}");
        }
        site.backend.await_parties(2, UP).await;
    }

    // Without time left the failure names the party.
    let request = site.request(8);
    let asked = Instant::now();
    let id = site.backend.place(&request, UP).await;
    site.backend.until(id, UP, |session| session.position.is_some()).await;
    site.link(1).cut();
    let session = site.backend.end(id, UP).await;
    assert!(asked.elapsed() < Duration::from_secs(8) + SLACK, "{:?}", asked.elapsed());
    judge.ended(&request, &session);
    let failure = session.failure.as_ref().expect("the session shows why");
    assert_eq!(failure.parties, [site.party(1)], "{session:#?}");
}

#[test]
fn row_03_a_member_is_offline_for_5_seconds() {
    System::new().block_on(a_member_is_offline(Duration::from_secs(5)));
}

#[test]
#[ignore = "the full figure of row 3"]
fn row_03_a_member_is_offline_for_30_seconds() {
    System::new().block_on(a_member_is_offline(Duration::from_secs(30)));
}

#[test]
fn row_04_a_one_way_partition_never_heals() {
    System::new().block_on(async {
        let life = 12;
        let mut judge = Judge::default();
        let site = Site::start(2).await;
        for way in [Way::Up, Way::Down] {
            let request = site.request(life);
            let asked = Instant::now();
            let id = site.backend.place(&request, UP).await;
            site.backend.until(id, UP, |session| session.position.is_some()).await;
            site.link(1).silence(way);
            let session = site.backend.end(id, UP).await;
            let took = asked.elapsed();
            println!("{way:?} silent: {:?} after {took:?}", session.state);
            assert!(took < Duration::from_secs(life) + SLACK, "{took:?}: {session:#?}");
            judge.ended(&request, &session);
            assert_ne!(session.state, SessionState::Completed, "{session:#?}");
            let failure = session.failure.as_ref().expect("the session shows why");
            assert_eq!(failure.parties, [site.party(1)], "{session:#?}");
            site.link(1).mend();
            site.backend.await_parties(2, UP).await;
        }
    });
}
