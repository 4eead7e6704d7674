//! `mpc audit verify` where whole logs, or all that spoke of them, are gone.

use crate::audit::{audit, check, copy, damaged, database, each_log, reports, with_keys};
use crate::command::{Demo, copy_folder, mpc, stdout};
use crate::tampering::{Tampering, tamper};
use mpc::audit::{Problem, logs_in};

#[test]
fn audit_verify_finds_an_emptied_log() {
    each_log(|data, log| {
        let copy = copy(data);
        tamper(&database(copy.path(), log), &Tampering::Empty);
        for report in reports(copy.path(), log) {
            let first = report.first().unwrap();
            let is_known = matches!(first.problem, Problem::Missing | Problem::Unentered);
            assert!(first.number == 1 && is_known, "{first:?}");
        }
        // With all who could contradict it silenced, what else its database holds still does.
        for other in ["coordinator", "party-1", "party-2", "party-3"] {
            tamper(&database(copy.path(), other), &Tampering::ForgetOthers);
        }
        for logs in [with_keys(copy.path()), logs_in(copy.path()).unwrap()] {
            let report = check(&logs);
            let report = report.log(log).unwrap();
            assert!(report.findings.iter().any(|found| found.problem == Problem::Unentered));
        }
    });
    // A party that has never run has no entries, and nobody can say that it never had.
    let party = tempfile::tempdir().unwrap();
    let mut init = mpc(&["party", "init", "--data"]);
    stdout(init.arg(party.path()).output().unwrap());
    let report = check(&logs_in(party.path()).unwrap());
    let report = report.log("party").unwrap();
    assert_eq!(report.findings, []);
    assert!(report.unchecked.iter().any(|what| what.contains("ever was an entry")), "{report:?}");
}

#[test]
fn audit_verify_finds_a_log_that_is_gone() {
    let data = Demo::shared().copy();
    let of_party = with_keys(data.path())[2].clone();
    let whole = check(&logs_in(data.path()).unwrap());
    let keeper = whole.log("party-2").unwrap().keeper;
    for (log, path) in [
        ("party-2", "party-2/vault.sqlite"),
        ("party-2", "party-2"),
        ("coordinator", "coordinator.sqlite"),
    ] {
        let copy = copy(data.path());
        let path = copy.path().join(path);
        if path.is_dir() {
            std::fs::remove_dir_all(path).unwrap();
        } else {
            std::fs::remove_file(path).unwrap();
        }
        for report in reports(copy.path(), log) {
            let first = report.first().unwrap();
            assert_eq!((first.number, first.problem), (1, Problem::LogLost), "{first:?}");
            let witness = if log == "coordinator" { "party-1 (" } else { "coordinator (" };
            assert!(first.detail.contains(witness), "{first:?}");
            assert_eq!(report.keeper, keeper.filter(|_| log == "party-2"));
        }
        let report = damaged(audit(copy.path(), &["verify", "--output", "json"]));
        let logs = report["logs"].as_array().unwrap();
        assert_eq!((logs.len(), &report["unchecked"]), (4, &serde_json::json!([])));
        // What is left is shown.
        let shown = audit(copy.path(), &["show"]).output().unwrap();
        assert!(String::from_utf8_lossy(&shown.stderr).contains(&format!("{log}: its database")));
        assert!(stdout(shown).contains("party-3"));
    }
    // Where nothing says that a party was here, it may as well live elsewhere.
    let copy = copy(data.path());
    std::fs::remove_dir_all(copy.path().join("party-2")).unwrap();
    std::fs::remove_file(copy.path().join("parties")).unwrap();
    let told = stdout(audit(copy.path(), &["verify", "--allow-unchecked"]).output().unwrap());
    let id = keeper.unwrap().to_string();
    assert!(told.contains(&format!("not looked at: the log of {}", &id[..16])), "{told}");
    assert_eq!(audit(copy.path(), &["verify"]).output().unwrap().status.code(), Some(2));
    // Of another party than lived there it is no log.
    let folder = of_party.database.parent().unwrap();
    std::fs::remove_dir_all(folder).unwrap();
    copy_folder(&data.path().join("party-3"), folder);
    let report = check(&logs_in(data.path()).unwrap());
    let found = &report.log("party-2").unwrap().findings;
    assert!(found.iter().any(|found| found.problem == Problem::OtherKeeper), "{found:?}");
}

#[test]
fn audit_verify_finds_witnesses_that_were_silenced() {
    let data = Demo::shared().copy();
    let parties = ["party-1", "party-2", "party-3"];
    for party in parties {
        tamper(&database(data.path(), party), &Tampering::ForgetOthers);
    }
    for logs in [with_keys(data.path()), logs_in(data.path()).unwrap()] {
        let report = check(&logs);
        for party in parties {
            let found = &report.log(party).unwrap().findings;
            let problems: Vec<_> = found.iter().map(|found| found.problem).collect();
            assert_eq!(problems, [Problem::WitnessLost], "{found:?}");
        }
        let coordinator = report.log("coordinator").unwrap();
        assert_eq!(coordinator.findings, []);
        assert!(coordinator.unchecked.iter().any(|what| what.contains("nobody else here")));
    }
    let data = Demo::shared().copy();
    tamper(&database(data.path(), "coordinator"), &Tampering::ForgetOthers);
    for report in reports(data.path(), "coordinator") {
        assert_eq!(report.first().unwrap().problem, Problem::WitnessLost, "{report:?}");
    }
}
