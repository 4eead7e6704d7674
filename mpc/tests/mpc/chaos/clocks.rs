//! Clocks that disagree by ten minutes.

use super::judge::Judge;
use super::links::SLACK;
use super::site::{Setting, Site, UP, clock, clocks_can_differ};
use crate::command::{failure, mpc, stdout};
use crate::running::KEY;
use actix_rt::System;
use mpc::api::SessionState;
use std::time::{Duration, Instant};

/// What a session may take, in seconds.
const LIFE: u64 = 30;

/// Deadlines are kept by a clock that nobody sets: who has another time of day takes no part, and
/// says why; the session ends in its own time.
#[test]
fn row_21_clocks_ten_minutes_apart() {
    if !clocks_can_differ() {
        return;
    }
    System::new().block_on(async {
        let [right, behind, ahead] = [0, 1, 2];
        let setting = Setting { party_clocks: [0, -10, 10], ..Setting::default() };
        let mut site = Site::start_as(setting, 3).await;
        let mut judge = Judge::default();
        for _ in 0..3 {
            let request = site.request(LIFE);
            let id = site.backend.place(&request, UP).await;
            let session = site.backend.end(id, UP).await;
            judge.completed(&request, &session);
            assert!(!session.signers.contains(&site.party(ahead)), "{session:#?}");
        }

        // For the one that is ahead the request has expired. Without it nobody signs.
        site.kill_party(right);
        site.backend.await_parties(2, UP).await;
        let request = site.request(LIFE);
        let asked = Instant::now();
        let id = site.backend.place(&request, UP).await;
        let session = site.backend.end(id, UP).await;
        judge.ended(&request, &session);
        assert_ne!(session.state, SessionState::Completed, "{session:#?}");
        assert!(asked.elapsed() < Duration::from_secs(LIFE) + SLACK, "{session:#?}");
        let [declined] = &session.declines[..] else { panic!("{session:#?}") };
        assert_eq!((declined.party_id, &*declined.reason), (site.party(ahead), "expired"));

        // A member that goes leaves the session to its deadline, by the office's own clock.
        site.start_party(right);
        site.kill_party(ahead);
        site.backend.await_parties(2, UP).await;
        let request = site.request(8);
        let asked = Instant::now();
        let id = site.backend.place(&request, UP).await;
        site.backend.until(id, UP, |session| session.position.is_some()).await;
        site.link(behind).cut();
        let session = site.backend.end(id, UP).await;
        let took = asked.elapsed();
        assert!(took > Duration::from_secs(8) - SLACK && took < Duration::from_secs(8) + SLACK);
        assert_eq!(session.state, SessionState::Expired, "{session:#?}");
    });
}

/// An office whose clock is behind lets an authorization pass that has expired; the parties do not.
#[test]
fn row_21_an_expired_authorization_is_refused_whatever_the_coordinators_clock_says() {
    if !clocks_can_differ() {
        return;
    }
    System::new().block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("requester.pem");
        let public = stdout(mpc(&["requester", "keygen", "--out"]).arg(&key).output().unwrap());
        let policy = format!(
            "require_requester_signature = true\n\
             [[requester]]\nname = \"backend\"\npublic_key = \'\'\'{public}\'\'\'\n"
        );
        let setting = Setting { office_clock: -10, policy: Some(policy), ..Setting::default() };
        let site = Site::start_as(setting, 3).await;
        let request = site.request(LIFE);
        let mut sign = mpc(&["sign", "--account", &request.account, "--message", &request.digest]);
        sign.args(["--valid-for", "5m", "--requester", "backend", "--requester-key"]).arg(&key);
        sign.env("MPC_URL", site.url()).env("MPC_API_KEY", KEY);
        // The requester's clock is the office's.
        let said = failure(sign.envs(clock(-10)).output().unwrap(), 1);
        // Two of three are enough for the session to be over.
        assert!(said.matches(": the intent has expired").count() >= 2, "{said}");
    });
}
