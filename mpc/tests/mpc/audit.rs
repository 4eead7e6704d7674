//! `mpc audit`: every way to tamper with a log, in the logs of a real node.

use crate::command::{Demo, failure, mpc, stdout};
use crate::running::RunningNode;
use crate::tampering::{Tampering, head_at, numbers, tamper};
use coordinator::{CoordinatorSecret, audit_keeper};
use mpc::audit::{
    CannotCheck, LogKey, LogReport, LogSource, Problem, Report, WitnessedHead, logs_in, verify,
};
use mpc_wire::audit::{Head, Note};
use mpc_wire::{AccountId, Epoch, SignedHead};
use party_runtime::KeySource;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long a node may take to do something.
const PATIENCE: Duration = Duration::from_secs(60);

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

pub(crate) fn secret(data: &Path) -> CoordinatorSecret {
    std::fs::read_to_string(data.join("coordinator.key")).unwrap().trim().parse().unwrap()
}

/// The logs of a data folder, with all keys.
pub(crate) fn with_keys(data: &Path) -> Vec<LogSource> {
    let mut logs = logs_in(data).unwrap();
    for log in &mut logs {
        log.key = Some(match log.name.as_str() {
            "coordinator" => LogKey::Coordinator(secret(data)),
            _ => LogKey::Party(KeySource::ExistingFile(
                log.database.parent().unwrap().join("master.key"),
            )),
        });
    }
    logs
}

pub(crate) fn check(logs: &[LogSource]) -> Report {
    block_on(verify(logs, Vec::new())).unwrap()
}

pub(crate) fn database(data: &Path, log: &str) -> PathBuf {
    match log {
        "coordinator" => data.join("coordinator.sqlite"),
        party => data.join(party).join("vault.sqlite"),
    }
}

/// The same report, with and without keys, about one log of a folder; the others must be whole.
pub(crate) fn reports(data: &Path, log: &str) -> [LogReport; 2] {
    [with_keys(data), logs_in(data).unwrap()].map(|logs| {
        let report = check(&logs);
        for other in report.logs.iter().filter(|other| other.log != log) {
            assert_eq!(other.findings, [], "{}", other.log);
        }
        report.log(log).unwrap().clone()
    })
}

#[test]
fn audit_verify_finds_nothing_wrong_with_an_intact_node() {
    let data = Demo::shared().copy();
    let report = check(&with_keys(data.path()));
    assert!(report.is_whole(), "{report:#?}");
    assert_eq!(report.logs.len(), 4);
    for log in &report.logs {
        assert!(log.entries > 5, "{log:?}");
        assert_eq!((log.entries, &log.unchecked), (log.head.count, &Vec::new()), "{log:?}");
        // Its own word, and at least one other's.
        assert!(log.agrees_with.len() >= 2, "{log:?}");
    }
    let report = check(&logs_in(data.path()).unwrap());
    assert!(report.is_whole());
    for log in &report.logs {
        assert_eq!(log.unchecked.len(), 1, "what needs a key is named: {log:?}");
    }
}

#[test]
fn audit_verify_finds_an_altered_row() {
    const COLUMNS: [&str; 8] =
        ["at", "event", "actor", "subject", "decision", "policy", "detail", "hash"];
    each_log(|data, log| {
        let last = numbers(&database(data, log)).last().copied().unwrap();
        let anywhere = COLUMNS.map(|column| (last / 2, column));
        for (number, column) in anywhere.into_iter().chain([(1, "actor"), (last, "decision")]) {
            let copy = copy(data);
            tamper(&database(copy.path(), log), &Tampering::Alter { number, column });
            for report in reports(copy.path(), log) {
                let first = report.first().unwrap_or_else(|| panic!("{log} {number} {column}"));
                assert_eq!((first.number, first.problem), (number, Problem::Altered));
            }
        }
    });
}

#[test]
fn audit_verify_finds_a_deleted_row() {
    each_log(|data, log| {
        let last = numbers(&database(data, log)).last().copied().unwrap();
        for number in [1, last / 2] {
            let gone = copy(data);
            tamper(&database(gone.path(), log), &Tampering::Delete { number });
            let closed = copy(data);
            tamper(&database(closed.path(), log), &Tampering::DeleteAndCloseUp { number });
            for (data, expected) in [(&gone, Problem::Missing), (&closed, Problem::Altered)] {
                for report in reports(data.path(), log) {
                    let first = report.first().unwrap();
                    assert_eq!((first.number, first.problem), (number, expected), "{log}");
                }
            }
        }
    });
}

#[test]
fn audit_verify_finds_two_swapped_rows() {
    each_log(|data, log| {
        let last = numbers(&database(data, log)).last().copied().unwrap();
        for (a, b) in [(1, 2), (2, last), (last - 1, last)] {
            let copy = copy(data);
            tamper(&database(copy.path(), log), &Tampering::Swap { a, b });
            for report in reports(copy.path(), log) {
                let first = report.first().unwrap();
                assert_eq!((first.number, first.problem), (a, Problem::Moved), "{first:?}");
                assert!(first.detail.contains(&b.to_string()), "{first:?}");
            }
        }
    });
}

#[test]
fn audit_verify_finds_a_deleted_last_row() {
    each_log(|data, log| {
        let last = numbers(&database(data, log)).last().copied().unwrap();
        let copy = copy(data);
        tamper(&database(copy.path(), log), &Tampering::Delete { number: last });
        let [with_keys, without] = reports(copy.path(), log);
        let first = with_keys.first().unwrap();
        assert_eq!((first.number, first.problem), (last, Problem::Missing), "{first:?}");
        // The coordinator's head is signed, which everybody can see; a party's is sealed.
        if log == "coordinator" {
            assert_eq!(without.first().unwrap().number, last);
        }
        // So many that the heads which others hold were cut off as well: nobody needs a key.
        for number in (2..last).rev() {
            tamper(&database(copy.path(), log), &Tampering::Delete { number });
        }
        for report in reports(copy.path(), log) {
            let first = report.first().unwrap();
            assert_eq!((first.number, first.problem), (2, Problem::Missing), "{first:?}");
        }
    });
}

#[test]
fn audit_verify_finds_a_recomputed_chain() {
    each_log(|data, log| {
        let last = numbers(&database(data, log)).last().copied().unwrap();
        for from in [1, last / 2, last] {
            let copy = copy(data);
            let before = head_at(&database(copy.path(), log), from - 1);
            tamper(&database(copy.path(), log), &Tampering::Recompute { from });
            // Whoever holds a head from just before knows where it begins.
            let logs = with_keys(copy.path());
            let kept = kept_head(&logs, log, before);
            let report = block_on(verify(&logs, vec![kept])).unwrap();
            let first = report.log(log).unwrap().first().unwrap();
            assert_eq!((first.number, first.problem), (from, Problem::Rewritten), "{first:?}");
            // Without it the beginning lies after the last head that agrees.
            let first = check(&logs).log(log).unwrap().first().unwrap().clone();
            assert!(first.number <= from && first.problem == Problem::Rewritten, "{first:?}");
        }
        // Without keys, by what others hold alone.
        let copy = copy(data);
        tamper(&database(copy.path(), log), &Tampering::Recompute { from: 1 });
        let [_, report] = reports(copy.path(), log);
        let first = report.first().unwrap();
        assert_eq!((first.number, first.problem), (1, Problem::Rewritten), "{first:?}");
    });
}

#[test]
fn audit_verify_finds_a_tail_that_is_put_back_with_the_sealed_head() {
    let data = Demo::shared().copy();
    let path = database(data.path(), "party-1");
    tamper(&path, &Tampering::Keep);
    // The party goes on: an entry, and something that its vault must not forget.
    let key = KeySource::ExistingFile(path.parent().unwrap().join("master.key"));
    block_on(async {
        let vault = party_runtime::Vault::open(&path, &key).await.unwrap();
        let mut transaction = vault.begin().await.unwrap();
        transaction.raise_floor(AccountId::generate(), Epoch(2)).await.unwrap();
        transaction.enter(Note { event: "test", ..Note::default() });
        transaction.commit().await.unwrap();
        vault.close().await.unwrap();
    });
    assert!(check(&with_keys(data.path())).is_whole());
    tamper(&path, &Tampering::PutBack);
    let [report, without_key] = reports(data.path(), "party-1");
    let first = report.first().unwrap();
    assert_eq!((first.number, first.problem), (1, Problem::HeadLost), "{first:?}");
    assert_eq!(without_key.findings, [], "only the key shows it");
}

#[test]
fn audit_verify_finds_rows_that_were_added_without_a_key() {
    each_log(|data, log| {
        let last = numbers(&database(data, log)).last().copied().unwrap();
        let copy = copy(data);
        tamper(&database(copy.path(), log), &Tampering::Append);
        let [report, _] = reports(copy.path(), log);
        let first = report.first().unwrap();
        assert_eq!((first.number, first.problem), (last + 1, Problem::Unsigned), "{first:?}");
    });
}

#[test]
fn audit_verify_finds_a_coordinators_log_that_another_key_has_signed() {
    let data = Demo::shared().copy();
    let log = database(data.path(), "coordinator");
    tamper(&log, &Tampering::Recompute { from: 2 });
    tamper(&log, &Tampering::SignWithAnotherKey);
    // All three parties know the right one.
    for logs in [with_keys(data.path()), logs_in(data.path()).unwrap()] {
        let report = check(&logs);
        let findings = &report.log("coordinator").unwrap().findings;
        let count = |problem| findings.iter().filter(|found| found.problem == problem).count();
        let has_secret = logs.iter().all(|log| log.key.is_some());
        if has_secret {
            assert_eq!(count(Problem::HeadLost), 1, "{findings:?}");
            assert_eq!(count(Problem::Rewritten), 1, "{findings:?}");
        } else {
            assert_eq!(count(Problem::OtherKeeper), 3, "{findings:?}");
        }
    }
}

#[test]
fn a_head_that_was_kept_elsewhere_shows_that_an_older_copy_was_put_back() {
    let older = Demo::shared().copy();
    let newer = copy(older.path());
    let node = RunningNode::start(newer.path());
    node.await_parties(3);
    // Each log has an entry of this start: a party's may come a moment after its connection.
    let before = check(&with_keys(older.path()));
    let deadline = Instant::now() + Duration::from_secs(30);
    let has_grown = |report: &Report| {
        report.logs.iter().zip(&before.logs).all(|(log, before)| log.entries > before.entries)
    };
    while !has_grown(&check(&with_keys(newer.path()))) {
        assert!(Instant::now() < deadline, "not every log has grown");
    }
    assert!(node.terminate().success());
    let kept = stdout(audit(newer.path(), &["head"]).output().unwrap());
    let heads: Value = serde_json::from_str(&kept).unwrap();
    assert_eq!(heads["heads"].as_array().unwrap().len(), 4);
    let file = newer.path().join("kept.json");
    std::fs::write(&file, &kept).unwrap();
    let file = file.to_str().unwrap();
    stdout(audit(newer.path(), &["verify", "--head", file]).output().unwrap());

    // Inside of the older copy all is well, and whoever made it had no key to need.
    let inside = check(&with_keys(older.path()));
    assert!(inside.is_whole(), "{inside:#?}");
    let report = damaged(audit(older.path(), &["verify", "--head", file, "--output", "json"]));
    for (log, inside) in report["logs"].as_array().unwrap().iter().zip(inside.logs) {
        let found = &log["findings"][0];
        assert_eq!(
            (&found["problem"], &found["number"]),
            (&"missing".into(), &(inside.entries + 1).into())
        );
    }
    // A kept head that was altered says nothing, and that is said.
    std::fs::write(file, kept.replace("\"count\": ", "\"count\": 1")).unwrap();
    let error = failure(audit(newer.path(), &["verify", "--head", file]).output().unwrap(), 2);
    assert!(error.contains("not signed by its keeper"), "{error}");
}

#[test]
fn the_command_says_what_it_found_and_ends_accordingly() {
    let demo = Demo::shared();
    let data = demo.copy();
    let before = contents(data.path());
    let told = stdout(audit(data.path(), &["verify"]).output().unwrap());
    for log in ["coordinator", "party-1", "party-2", "party-3"] {
        assert!(told.contains(&format!("{log}: whole")), "{told}");
    }
    assert_eq!(contents(data.path()), before, "it only reads");
    let only = data.path().join("party-2/vault.sqlite");
    let one = || mpc(&["audit", "verify", "--database", only.to_str().unwrap()]);
    assert!(stdout(one().arg("--allow-unchecked").output().unwrap()).contains("whole"));
    // Nobody here holds a head of it: what could not be looked at is not taken for whole.
    let incomplete = one().output().unwrap();
    assert_eq!(incomplete.status.code(), Some(2));
    let told = String::from_utf8(incomplete.stdout).unwrap();
    assert!(told.contains("whole") && told.contains("not looked at: nobody else here"), "{told}");
    let advice = String::from_utf8(incomplete.stderr).unwrap();
    assert!(advice.contains("--allow-unchecked"), "{advice}");

    let number = 3;
    tamper(&database(data.path(), "party-2"), &Tampering::Alter { number, column: "decision" });
    let report = damaged(audit(data.path(), &["verify", "--output", "json"]));
    let found = &report["logs"][2]["findings"][0];
    assert_eq!((&found["number"], &found["problem"]), (&3.into(), &"altered".into()), "{report}");
    // Damage is damage, whatever else could not be looked at.
    let lenient = one().arg("--allow-unchecked").output().unwrap();
    assert_eq!((lenient.status.code(), one().output().unwrap().status.code()), (Some(1), Some(1)));
    let output = audit(data.path(), &["verify"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains("party-2: DAMAGED") && told.contains("entry 3: altered"), "{told}");

    let empty = tempfile::tempdir().unwrap();
    let error = failure(audit(empty.path(), &["verify"]).output().unwrap(), 2);
    assert!(error.contains("no audit log in"), "{error}");
    std::fs::write(empty.path().join("coordinator.sqlite"), "not a database").unwrap();
    failure(audit(empty.path(), &["verify"]).output().unwrap(), 2);
    let wrong = audit(data.path(), &["verify"]).env("CRYPTO_MASTER_KEY", "0c".repeat(32)).output();
    let error = failure(wrong.unwrap(), 2);
    assert!(error.contains("wrong master key"), "{error}");
}

#[test]
fn the_last_entries_are_shown_and_cannot_write_on_the_terminal() {
    let data = Demo::shared().copy();
    let shown = stdout(audit(data.path(), &["show", "--last", "1000"]).output().unwrap());
    for event in ["coordinator_started", "account_created", "session_opened", "session_ended"] {
        assert!(shown.contains(event), "{event}: {shown}");
    }
    let of_parties = [
        "intent_judged",
        "joined",
        "launched",
        "share_prepared",
        "share_proven",
        "share_activated",
        "outcome_reported",
    ];
    for event in of_parties {
        assert!(shown.matches(event).count() >= 3, "{event}: {shown}");
    }
    let only = ["show", "--last", "2", "--only", "party-1", "--output", "json"];
    let shown: Value =
        serde_json::from_str(&stdout(audit(data.path(), &only).output().unwrap())).unwrap();
    let entries = shown["logs"][0]["entries"].as_array().unwrap();
    assert_eq!((shown["logs"].as_array().unwrap().len(), entries.len()), (1, 2));
    let log = database(data.path(), "party-1");
    tamper(&log, &Tampering::Set { number: 1, column: "actor", value: "\u{1b}[2J\u{202e}x\n" });
    let shown = audit(data.path(), &["show", "--last", "1000", "--only", "party-1"]).output();
    let shown = stdout(shown.unwrap());
    assert!(shown.contains(r"\u{1b}[2J\u{202e}x\n"), "{shown}");
    assert!(!shown.contains('\u{1b}') && !shown.contains('\u{202e}'));
}

#[test]
fn nothing_secret_is_in_an_audit_log() {
    let demo = Demo::shared();
    let data = demo.copy();
    let shown = stdout(audit(data.path(), &["show", "--last", "100000"]).output().unwrap());
    let mut secrets = vec![
        std::fs::read_to_string(data.path().join("coordinator.key")).unwrap(),
        std::fs::read_to_string(data.path().join("api.key")).unwrap_or_default(),
        // What was signed is nobody's business but the requester's.
        demo.report()["message"].as_str().unwrap().to_owned(),
    ];
    for party in 1..=3 {
        let file = data.path().join(format!("party-{party}/master.key"));
        secrets.push(std::fs::read_to_string(file).unwrap());
    }
    for secret in secrets.iter().map(|secret| secret.trim()).filter(|secret| !secret.is_empty()) {
        assert!(secret.len() >= 32 && !shown.contains(secret), "{shown}");
    }
}

#[test]
fn a_running_node_is_checked_while_it_works() {
    let data = tempfile::tempdir().unwrap();
    let node = RunningNode::start(data.path());
    node.await_parties(3);
    // Its key generation and its aux set go on in the background.
    let mut client = node.client(&["account", "create", "--user-id", "alice"]);
    let mut client = client.stderr(Stdio::null()).spawn().unwrap();
    let deadline = Instant::now() + PATIENCE;
    let mut checks = 0;
    loop {
        let report = check(&with_keys(data.path()));
        assert!(report.is_whole(), "{report:#?}");
        checks += 1;
        let entries = report.log("party-1").unwrap().entries;
        if entries > 8 && report.logs.iter().all(|log| log.agrees_with.len() >= 2) {
            break;
        }
        assert!(Instant::now() < deadline, "{report:#?}");
    }
    assert!(checks > 1);
    // As a power failure leaves it.
    node.kill();
    client.wait().unwrap();
    assert!(check(&with_keys(data.path())).is_whole());
}

pub(crate) fn audit(data: &Path, args: &[&str]) -> Command {
    let mut command = mpc(&["audit"]);
    command.args(args).arg("--data").arg(data);
    command
}

/// The report of a check that found something.
pub(crate) fn damaged(mut command: Command) -> Value {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Names and hashes of all files, but for the index that SQLite makes of a log of writes.
fn contents(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(contents(&path));
        } else if !path.to_string_lossy().ends_with("-shm") {
            let hash = hex::encode(Sha256::digest(std::fs::read(&path).unwrap()));
            found.push((path, hash));
        }
    }
    found.sort();
    found
}

/// A coordinator's and a party's log, each in the whole node.
pub(crate) fn each_log(test: impl Fn(&Path, &str)) {
    let data = Demo::shared().copy();
    for log in ["coordinator", "party-1"] {
        test(data.path(), log);
    }
}

pub(crate) fn copy(data: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    crate::command::copy_folder(data, copy.path());
    copy
}

/// A head of the log as somebody could have kept it, signed by its keeper.
fn kept_head(logs: &[LogSource], log: &str, head: Head) -> WitnessedHead {
    let source = logs.iter().find(|source| source.name == log).unwrap();
    let keeper = match source.key.as_ref().unwrap() {
        LogKey::Coordinator(secret) => audit_keeper(secret),
        LogKey::Party(key) => {
            let vault = block_on(party_runtime::Vault::open(&source.database, key)).unwrap();
            vault.identity().clone()
        }
    };
    let head = SignedHead::sign(&keeper, head);
    WitnessedHead { witness: "an operator".to_owned(), log: Some(log.to_owned()), head }
}

#[test]
fn what_is_no_database_of_ours_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let nothing = LogSource::of("x", folder.path().join("x"));
    assert!(matches!(block_on(verify(&[nothing], Vec::new())), Err(CannotCheck::File { .. })));
    assert!(matches!(logs_in(folder.path()), Err(CannotCheck::NoLog(_))));
}
