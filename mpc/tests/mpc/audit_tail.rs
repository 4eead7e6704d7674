//! `mpc audit verify` where the end of a log was taken away together with its keeper's word on it:
//! by the heads that others were shown since, and by what is stored without its entry.

use crate::audit::{audit, check, copy, database, secret, with_keys};
use crate::command::{Demo, stdout};
use crate::running::RunningNode;
use crate::tampering::{Tampering, head_at, numbers, put_head, sign, tamper, witnessed};
use coordinator::audit_keeper;
use mpc::audit::{Finding, LogReport, Problem, logs_in};
use mpc_wire::SignedHead;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a head may take from its entry to who witnesses it: an interval of the coordinator's, one
/// of the party's, and what a busy machine adds.
const PATIENCE: Duration = Duration::from_secs(30);

const PARTIES: [&str; 3] = ["party-1", "party-2", "party-3"];

/// A node that has worked, and whose logs are witnessed to their last entry; and the head of the
/// coordinator's log that a party had witnessed before.
fn worked(work: impl FnOnce(&RunningNode)) -> (tempfile::TempDir, SignedHead) {
    let data = Demo::shared().copy();
    let node = RunningNode::start(data.path());
    node.await_parties(3);
    await_witnesses(data.path());
    let keeper = audit_keeper(&secret(data.path())).party();
    let before = witnessed(&database(data.path(), "party-1"), &keeper);
    work(&node);
    await_witnesses(data.path());
    assert!(node.terminate().success());
    assert!(check(&with_keys(data.path())).is_whole());
    (data, before)
}

fn await_witnesses(data: &Path) {
    let deadline = Instant::now() + PATIENCE;
    while let Some(log) = unwitnessed(data) {
        assert!(Instant::now() < deadline, "{log:#?}");
    }
}

/// A log whose last entry nobody else has witnessed.
fn unwitnessed(data: &Path) -> Option<LogReport> {
    let report = check(&logs_in(data).unwrap());
    assert!(report.is_whole(), "{report:#?}");
    report.logs.into_iter().find(|log| {
        let (others, all) = (["coordinator", "party-"], format!("({} entries)", log.entries));
        let is_others = |held: &str| others.iter().any(|other| held.starts_with(other));
        !log.agrees_with.iter().any(|held| is_others(held) && held.ends_with(&all))
    })
}

/// Cuts the coordinator's log, and puts a head from before in the place of its own.
fn cut_back(data: &Path, to: &SignedHead) {
    let log = database(data, "coordinator");
    tamper(&log, &Tampering::CutBehind { number: to.head.count });
    put_head(&log, to);
}

/// What is found in a log, with all keys and without.
fn findings(data: &Path, log: &str) -> [Vec<Finding>; 2] {
    [with_keys(data), logs_in(data).unwrap()]
        .map(|logs| check(&logs).log(log).unwrap().findings.clone())
}

fn silence(data: &Path) {
    for party in PARTIES {
        tamper(&database(data, party), &Tampering::ForgetOthers);
    }
}

#[test]
fn a_tail_is_missed_by_who_was_shown_its_head_apart_from_sessions() {
    let (data, older) = worked(|node| {
        let key = node.ask(&["apikey", "create", "--name", "one", "--scope", "read"]);
        node.ask(&["apikey", "revoke", key["id"].as_str().unwrap()]);
    });
    cut_back(data.path(), &older);
    // With all that the lost entries told of.
    tamper(
        &database(data.path(), "coordinator"),
        &Tampering::Sql("DELETE FROM idempotency_keys; DELETE FROM api_keys"),
    );
    for found in findings(data.path(), "coordinator") {
        let [Finding { number, problem, detail }] = &found[..] else { panic!("{found:?}") };
        assert_eq!((*number, *problem), (older.head.count + 1, Problem::Missing));
        assert!(PARTIES.iter().all(|party| detail.contains(party)), "{detail}");
    }
}

#[test]
fn a_log_that_was_cut_and_has_grown_again_while_a_party_was_away_is_found_by_what_it_saw_before() {
    let (data, older) = worked(|node| {
        let key = node.ask(&["apikey", "create", "--name", "one", "--scope", "read"]);
        node.ask(&["apikey", "revoke", key["id"].as_str().unwrap()]);
    });
    let keeper = audit_keeper(&secret(data.path())).party();
    let held = || witnessed(&database(data.path(), "party-1"), &keeper);
    let seen = held();
    // Whoever has the coordinator's secret cuts the log, lets it grow beyond what was seen, and lets
    // nobody in until then.
    let log = database(data.path(), "coordinator");
    cut_back(data.path(), &older);
    tamper(
        &log,
        &Tampering::Sql(
            "DELETE FROM idempotency_keys; DELETE FROM api_keys; DELETE FROM witnessed_heads",
        ),
    );
    let end = older.head.count;
    for _ in end..=seen.head.count {
        tamper(&log, &Tampering::Append);
    }
    sign(&log, &audit_keeper(&secret(data.path())));
    // Nothing that a party is shown contradicts what it saw.
    let node = RunningNode::start(data.path());
    node.await_parties(3);
    let deadline = Instant::now() + PATIENCE;
    while held().head.count <= seen.head.count {
        assert!(Instant::now() < deadline, "{:?}", held());
    }
    assert!(node.terminate().success());
    for found in findings(data.path(), "coordinator") {
        let rewritten: Vec<_> =
            found.iter().filter(|found| found.problem == Problem::Rewritten).collect();
        let [Finding { number, detail, .. }] = &rewritten[..] else { panic!("{found:?}") };
        // Where exactly it was cut between two heads that were kept cannot be told.
        assert!((end - 2..=end + 1).contains(number), "{number}: {detail}");
        assert!(detail.contains(&format!("at the latest at {}", seen.head.count)), "{detail}");
        assert!(detail.contains(&format!("party-1 ({} entries)", seen.head.count)), "{detail}");
    }
}

#[test]
fn a_tail_that_nobody_has_witnessed_is_missed_by_what_it_told_of() {
    let (data, older) = worked(|node| {
        let key = node.ask(&["apikey", "create", "--name", "one", "--scope", "read"]);
        node.ask(&["apikey", "revoke", key["id"].as_str().unwrap()]);
    });
    cut_back(data.path(), &older);
    silence(data.path());
    for found in findings(data.path(), "coordinator") {
        assert!(found.iter().all(|found| found.problem == Problem::Unentered), "{found:?}");
        assert!(found.iter().all(|found| found.number == older.head.count + 1), "{found:?}");
        let told: Vec<_> = found.iter().map(|found| found.detail.as_str()).collect();
        for event in ["api_key_created", "api_key_revoked"] {
            assert!(told.iter().any(|told| told.contains(event)), "{event}: {told:?}");
        }
    }
    let output = audit(data.path(), &["verify"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains("unentered: no entry api_key_created"), "{told}");
}

#[test]
fn an_entry_that_is_taken_out_of_a_log_that_is_signed_anew_is_missed() {
    // Whoever has the coordinator's secret signs what he likes.
    let demo = Demo::shared();
    for event in ["session_ended", "session_opened", "account_activated", "party_registered"] {
        let data = demo.copy();
        let log = database(data.path(), "coordinator");
        tamper(&log, &Tampering::Forget { event });
        sign(&log, &audit_keeper(&secret(data.path())));
        for found in findings(data.path(), "coordinator") {
            let has = |problem| found.iter().any(|found| found.problem == problem);
            assert!(has(Problem::Unentered), "{event}: {found:?}");
            assert!(has(Problem::Rewritten) || has(Problem::Missing), "{event}: {found:?}");
        }
        silence(data.path());
        for found in findings(data.path(), "coordinator") {
            let [Finding { problem: Problem::Unentered, detail, .. }] = &found[..] else {
                panic!("{event}: {found:?}")
            };
            assert!(detail.contains(event), "{event}: {detail}");
        }
    }
}

#[test]
fn a_party_that_is_set_back_to_its_last_join_is_missed_by_the_coordinator() {
    let (data, _) = worked(|node| {
        let accounts = node.ask(&["account", "list"]);
        let account = accounts["accounts"][0]["account_id"].as_str().unwrap().to_owned();
        let message = "5a".repeat(32);
        // A quorum of two of three takes turns.
        for _ in 0..3 {
            node.ask(&["sign", "--account", &account, "--message", &message]);
        }
    });
    for party in PARTIES {
        let data = copy(data.path());
        let log = database(data.path(), party);
        let shown = stdout(
            audit(data.path(), &["show", "--last", "1000", "--only", party, "--output", "json"])
                .output()
                .unwrap(),
        );
        let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
        let entries = shown["logs"][0]["entries"].as_array().unwrap();
        let joined = entries.iter().rfind(|entry| entry["event"] == "joined").unwrap();
        let number = joined["number"].as_u64().unwrap();
        let end = *numbers(&log).last().unwrap();
        assert!(number < end, "{party} has an outcome behind its join");
        // That head it has shown, with its join; without the key nothing else speaks against it.
        assert_eq!(head_at(&log, number).count, number);
        tamper(&log, &Tampering::CutBehind { number });
        let [_, found] = findings(data.path(), party);
        let [Finding { number: first, problem: Problem::Missing, detail }] = &found[..] else {
            panic!("{party}: {found:?}")
        };
        assert_eq!(*first, number + 1);
        assert!(detail.contains(&format!("coordinator ({end} entries)")), "{detail}");
    }
}

#[test]
fn every_deed_without_its_entry_is_told() {
    let demo = Demo::shared();
    let of_coordinator: [(&str, &[&str]); 13] = [
        ("UPDATE sessions SET state = 'failed'", &["session_ended"]),
        (
            "UPDATE sessions SET session_id = 'x' WHERE kind = 'sign'",
            &["session_opened", "session_ended"],
        ),
        ("UPDATE aux_sets SET aux_id = 'x'", &["session_ended"]),
        ("UPDATE accounts SET public_key = '02' || public_key", &["account_key_generated"]),
        ("UPDATE accounts SET state = 'failed'", &["account_failed"]),
        (
            "INSERT INTO accounts SELECT 'x', user_id, scheme, threshold, epoch, 'active', NULL, \
             keygen_session, NULL, 0, NULL, NULL, NULL FROM accounts",
            &["account_created", "account_activated"],
        ),
        (
            "INSERT INTO api_keys VALUES ('0000000000000000', '', '', '', '', 0, NULL, NULL)",
            &["api_key_created"],
        ),
        (
            "INSERT INTO api_keys VALUES ('0000000000000000', '', '', '', '', 0, NULL, 1)",
            &["api_key_created", "api_key_revoked"],
        ),
        ("UPDATE parties SET role = 'device'", &["party_registered or party_enrolled"]),
        ("UPDATE parties SET key_number = 1", &["party_key_rotated or party_enrolled"]),
        ("UPDATE parties SET revoked_at = 1", &["party_revoked"]),
        (
            "INSERT INTO enrolment_tokens VALUES ('0000000000000000', '', NULL, 0, 0, 'x', 1)",
            &["enrolment_token_created", "party_enrolled"],
        ),
        (
            "INSERT INTO witnessed_heads SELECT keeper, 1, 1, hash, signature, at FROM witnessed_heads",
            &["audit_head_contradicts or audit_log_in_doubt"],
        ),
    ];
    for (sql, events) in of_coordinator {
        let told = unentered(demo, "coordinator", sql);
        let expected: Vec<_> =
            events.iter().map(|event| format!("no entry {event} tells")).collect();
        assert!(
            told.len() == events.len()
                && expected.iter().all(|event| told.iter().any(|told| told.contains(event))),
            "{sql}: {told:?}"
        );
    }
    for (sql, event) in [
        ("UPDATE sealed_records SET epoch = 7 WHERE kind = 'share'", "share_activated"),
        (
            "UPDATE sealed_records SET kind = 'prepared', epoch = 7 WHERE kind = 'share'",
            "share_prepared",
        ),
        ("UPDATE sealed_records SET name = 'x' WHERE kind = 'aux'", "aux_stored"),
    ] {
        let told = unentered(demo, "party-1", sql);
        assert!(told.len() == 1 && told[0].contains(event), "{sql}: {told:?}");
    }
}

/// What is told of a log as unentered once its database was changed so.
fn unentered(demo: &Demo, log: &str, sql: &'static str) -> Vec<String> {
    let data = demo.copy();
    tamper(&database(data.path(), log), &Tampering::Sql(sql));
    let [_, found] = findings(data.path(), log);
    let found = found.into_iter().filter(|found| found.problem == Problem::Unentered);
    found.map(|found| found.detail).collect()
}

/// What was revoked, used up or made stays so, whatever somebody writes into the database.
#[test]
fn what_was_undone_past_the_coordinator_is_told() {
    let (data, _) = worked(|node| {
        let key = node.ask(&["apikey", "create", "--name", "one", "--scope", "read"]);
        node.ask(&["apikey", "revoke", key["id"].as_str().unwrap()]);
        let parties = node.ask(&["party", "list"]);
        let party = parties["parties"][0]["party_id"].as_str().unwrap().to_owned();
        stdout(node.client(&["party", "revoke", &party]).output().unwrap());
    });
    for (sql, what) in [
        ("UPDATE api_keys SET revoked_at = NULL", "an API key's revocation is not"),
        ("DELETE FROM api_keys", "an API key is not"),
        ("UPDATE parties SET revoked_at = NULL", "a party's revocation is not"),
        ("DELETE FROM parties WHERE revoked_at IS NOT NULL", "a party is not"),
        ("DELETE FROM sessions WHERE kind = 'sign'", "a session is not"),
        ("UPDATE sessions SET state = 'failed' WHERE kind = 'sign'", "a session's end is not"),
        ("DELETE FROM accounts", "an account is not"),
        (
            "INSERT INTO audit_log SELECT MAX(number) + 1, 1, 'party_key_rotated', '', \
             (SELECT party_id FROM parties LIMIT 1), '', '', '{\"number\":7}', '' FROM audit_log",
            "a party's newer key is not",
        ),
        (
            "INSERT INTO enrolment_tokens VALUES ('00', '', NULL, 0, 0, NULL, NULL); \
             INSERT INTO audit_log SELECT MAX(number) + 1, 1, 'party_enrolled', '', 'x', '', '', \
             '{\"token\":\"00\"}', '' FROM audit_log",
            "the use of an enrolment token is not",
        ),
        (
            "INSERT INTO enrolment_tokens VALUES ('00', '', NULL, 0, 0, NULL, NULL); \
             INSERT INTO audit_log SELECT MAX(number) + 1, 1, 'enrolment_token_cancelled', '', \
             '00', '', '', '', '' FROM audit_log",
            "the cancellation of an enrolment token is not",
        ),
    ] {
        let data = copy(data.path());
        tamper(&database(data.path(), "coordinator"), &Tampering::Sql(sql));
        let [_, found] = findings(data.path(), "coordinator");
        let undone = found.iter().filter(|found| found.problem == Problem::Undone);
        let undone: Vec<_> = undone.collect();
        assert!(undone.iter().any(|found| found.detail.contains(what)), "{sql}: {found:?}");
        assert!(undone.iter().all(|found| found.number > 0), "{sql}: {found:?}");
    }
}

#[test]
fn a_kept_head_that_cannot_be_read_is_told_and_keeps_no_node_from_starting() {
    let data = Demo::shared().copy();
    let log = database(data.path(), "coordinator");
    let row = "UPDATE witnessed_heads SET hash = 'scrawl' WHERE rowid = \
               (SELECT MIN(rowid) FROM witnessed_heads)";
    tamper(&log, &Tampering::Sql(row));
    for is_before in [true, false] {
        for found in findings(data.path(), "coordinator") {
            let [Finding { problem: Problem::WitnessAltered, detail, .. }] = &found[..] else {
                panic!("{found:?}")
            };
            assert!(detail.contains("1 of the heads"), "{detail}");
        }
        let shown = ["show", "--last", "1000", "--only", "coordinator"];
        let shown = stdout(audit(data.path(), &shown).output().unwrap());
        assert_eq!(shown.contains("decision=witness_unreadable"), !is_before, "{shown}");
        if is_before {
            let node = RunningNode::start(data.path());
            node.await_parties(3);
            assert!(node.terminate().success());
        }
    }
}
