//! Ends that somebody wants: a process that is asked to stop, a session that is cancelled.

use super::backend::Answer;
use super::judge::Judge;
use super::site::{Site, UP};
use actix_rt::System;
use mpc::api::SessionState;
use std::process::Command;
use std::time::{Duration, Instant};

/// How long a session may take, in seconds.
const LIFE: u64 = 60;

/// SIGTERM: what is under way is signed, nothing new is begun, and the process ends well.
#[test]
fn an_office_that_is_asked_to_stop_ends_what_is_under_way() {
    System::new().block_on(async {
        let mut site = Site::start(3).await;
        let mut judge = Judge::default();
        let request = site.request(LIFE);
        let id = site.backend.place(&request, UP).await;
        site.backend.until(id, UP, |session| session.position.is_some()).await;
        site.signal_office("-TERM");
        // It says so as soon as it has heard of it.
        let refused = loop {
            match site.backend.ask(&site.request(LIFE)).await {
                Answer::Refused(problem) => break problem,
                Answer::Session(_) => {}
                Answer::None(error) => panic!("{error}"),
            }
        };
        assert_eq!(refused.status, 503, "{refused:?}");
        assert_eq!(site.office_ends(), Some(0));
        site.open_office();
        // The signature was there before the process ended: no party has to come for it.
        for number in 0..3 {
            site.kill_party(number);
        }
        let session = site.backend.end(id, Duration::from_secs(5)).await;
        judge.completed(&request, &session);
        assert_eq!(session.attempt.0, 1, "{session:#?}");
    });
}

/// SIGTERM to one of two parties that sign: they sign to the end, what comes then waits for it to
/// be back, and the process ends well.
#[test]
fn a_party_that_is_asked_to_stop_ends_what_is_under_way() {
    System::new().block_on(async {
        let mut site = Site::start(2).await;
        let mut judge = Judge::default();
        let begun = site.request(LIFE);
        let id = site.backend.place(&begun, UP).await;
        site.backend.until(id, UP, |session| session.position.is_some()).await;
        site.signal_party(0, "-TERM");
        let later = site.request(LIFE);
        let placed = site.backend.place(&later, UP).await;
        let session = site.backend.end(id, UP).await;
        judge.completed(&begun, &session);
        assert_eq!(session.attempt.0, 1, "{session:#?}");
        assert_eq!(site.party_ends(0), Some(0));
        site.start_party(0);
        let session = site.backend.end(placed, UP).await;
        judge.completed(&later, &session);
    });
}

/// CPU time that a process has used, in clock ticks.
fn cpu_ticks(process: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// `DELETE` ends the work in the parties too, not only the session.
#[test]
fn a_session_that_is_cancelled_costs_the_parties_nothing_more() {
    System::new().block_on(async {
        let site = Site::start(3).await;
        let mut judge = Judge::default();
        // More at once than the machine can sign for a while.
        let mut begun = Vec::new();
        for _ in 0..20 {
            let request = site.request(LIFE);
            let id = site.backend.place(&request, UP).await;
            begun.push((request, id));
        }
        let cancelled = Instant::now();
        for (request, id) in &begun {
            let answer = site.backend.cancel(*id).await;
            if matches!(answer, Answer::Refused(_)) {
                let session = site.backend.end(*id, UP).await;
                judge.completed(request, &session);
                continue;
            }
            let session = site.backend.end(*id, UP).await;
            assert_eq!(session.state, SessionState::Cancelled, "{session:#?}");
            judge.ended(request, &session);
        }
        let (sessions, signatures) = judge.count();
        println!("{sessions} sessions, {signatures} signed, {:?} to cancel", cancelled.elapsed());
        assert!(signatures < sessions / 2);
        // The job that a thread was at when the word came is ended; after it there is silence.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let ids: Vec<_> = (0..3).map(|number| site.party_process(number)).collect();
        let before: u64 = ids.iter().map(|id| cpu_ticks(*id)).sum();
        tokio::time::sleep(Duration::from_secs(2)).await;
        let used = ids.iter().map(|id| cpu_ticks(*id)).sum::<u64>() - before;
        let a_second = clock_ticks();
        println!("{used} of {a_second} ticks a second used in 2 seconds by three parties");
        assert!(used < a_second / 2);
    });
}

fn clock_ticks() -> u64 {
    let output = Command::new("getconf").arg("CLK_TCK").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}
