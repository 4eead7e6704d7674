//! `mpc apikey`, and what its keys open.

use crate::command::{failure, mpc, stdout};
use crate::running::{KEY, RunningNode, node};
use serde_json::Value;
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

/// A node without parties, which logs all there is to `log`.
fn talkative(data: &Path, log: &Path) -> Command {
    let addresses = ["--api", "127.0.0.1:0", "--gateway", "127.0.0.1:0"];
    let mut command = mpc(&["node", "--log", "trace", "--parties", "0", "--data"]);
    command.arg(data).args(addresses).env("MPC_API_KEY", KEY);
    command.stderr(File::create(log).unwrap());
    command
}

/// A client's command with this key.
fn with(node: &RunningNode, key: &str, args: &[&str]) -> Command {
    let mut command = node.client(args);
    command.env("MPC_API_KEY", key);
    command
}

#[test]
fn keys_are_made_used_listed_and_revoked_and_never_logged() {
    let folder = tempfile::tempdir().unwrap();
    let (data, log) = (folder.path().join("data"), folder.path().join("log"));
    let node = RunningNode::spawn(&mut talkative(&data, &log));
    let mut said = String::new();
    let mut run = |command: &mut Command| {
        let output = command.args(["--log", "trace"]).output().unwrap();
        said += &String::from_utf8_lossy(&output.stderr);
        output
    };

    let args = ["apikey", "create", "--name", "backend", "--scope", "read", "--scope", "sign"];
    let made = run(node.client(&args).args(["--expires-in", "90d", "--output", "json"]));
    let made: Value = serde_json::from_str(&stdout(made)).unwrap();
    let (id, key) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap().to_owned());
    assert_eq!(made["scopes"], serde_json::json!(["read", "sign"]));
    assert!(made["expires_at"].is_string(), "{made}");

    stdout(run(&mut with(&node, &key, &["party", "list"])));
    let refused = run(&mut with(&node, &key, &["apikey", "list"]));
    assert!(failure(refused, 1).contains("[insufficient_scope, HTTP 403]"));
    let wrong = format!("{}{}", &key[..84], if key.ends_with('0') { '1' } else { '0' });
    let refused = run(&mut with(&node, &wrong, &["party", "list"]));
    assert!(failure(refused, 1).contains("[unauthorized, HTTP 401]"));

    let list = stdout(run(&mut node.client(&["apikey", "list"])));
    assert!(list.contains(id) && list.contains("read,sign") && list.contains("active"), "{list}");
    assert!(!list.contains(&key[21..]), "{list}");
    let revoked = stdout(run(&mut node.client(&["apikey", "revoke", id])));
    assert!(revoked.contains("revoked"), "{revoked}");
    let refused = run(&mut with(&node, &key, &["party", "list"]));
    assert!(failure(refused, 1).contains("[unauthorized, HTTP 401]"));
    assert_eq!(node.terminate().code(), Some(0));

    // Neither side told a key, the coordinator's secret, or most of either, at any level.
    let secret = fs::read_to_string(data.join("coordinator.key")).unwrap();
    let log = fs::read_to_string(&log).unwrap();
    for (name, text) in [("node", &log), ("client", &said)] {
        assert!(text.contains("TRACE"), "the {name} logs all there is");
        for canary in [&key[21..], &key[53..], &wrong[21..], KEY, &secret, &secret[..32]] {
            let line = text.lines().find(|line| line.contains(canary));
            assert!(line.is_none(), "{name}: {line:?}");
        }
    }
    assert!(log.contains(id), "the node tells which keys are made and revoked");
}

#[test]
fn keys_and_their_coordinators_secret_belong_together() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let start = |secret: &str| {
        let mut command = node(&data);
        command.args(["--parties", "0"]).env("MPC_API_KEY", KEY);
        RunningNode::spawn(command.env("MPC_COORDINATOR_KEY", secret))
    };
    let first = start(&"0a".repeat(32));
    let made = first.ask(&["apikey", "create", "--name", "n", "--scope", "read"]);
    let key = made["key"].as_str().unwrap();
    assert_eq!(first.terminate().code(), Some(0));

    let other = start(&"0b".repeat(32));
    let refused = with(&other, key, &["party", "list"]).output().unwrap();
    assert!(failure(refused, 1).contains("[unauthorized, HTTP 401]"));
    other.ask(&["party", "list"]);
    assert_eq!(other.terminate().code(), Some(0));

    let again = start(&"0a".repeat(32));
    stdout(with(&again, key, &["party", "list"]).output().unwrap());
    assert!(!data.join("coordinator.key").exists());
}

#[test]
fn what_a_node_will_not_start_with() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let production = |change: &dyn Fn(&mut Command)| {
        let mut command = node(&data);
        command.env("ENVIRONMENT", "production").env("MPC_API_KEY", KEY);
        change(&mut command);
        failure(command.output().unwrap(), 1)
    };
    let said = production(&|_| {});
    assert!(said.contains("MPC_COORDINATOR_KEY"), "{said}");
    let said = production(&|command| {
        command.env("MPC_COORDINATOR_KEY", "correct-horse");
    });
    assert!(said.contains("64 hexadecimal digits") && !said.contains("horse"), "{said}");
    for name in ["ALLOWED_IPS", "TRUSTED_PROXIES"] {
        let mut command = node(&data);
        let said = failure(command.env(name, "10.0.0.0/8,localhost").output().unwrap(), 2);
        assert!(said.contains("`localhost` is no network"), "{said}");
    }
}

#[test]
fn only_allowed_addresses_are_served() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut command = node(&data);
    command.args(["--parties", "0"]).env("MPC_API_KEY", KEY);
    let node = RunningNode::spawn(command.env("ALLOWED_IPS", "192.0.2.0/24, 198.51.100.7"));
    let refused = node.client(&["party", "list"]).output().unwrap();
    assert!(failure(refused, 1).contains("[source_not_allowed, HTTP 403]"));
    assert_eq!(node.terminate().code(), Some(0));
}

#[test]
fn wrong_arguments_tell_no_key() {
    let mut revoke = mpc(&["apikey", "revoke", "mpc_0123_correct-horse"]);
    let said = failure(revoke.env("MPC_API_KEY", "any-key-at-all").output().unwrap(), 1);
    assert!(said.contains("16 lowercase") && !said.contains("horse"), "{said}");
    for (args, expected) in [
        (&["apikey", "create", "--scope", "read"][..], "--name"),
        (&["apikey", "create", "--name", "n"], "--scope"),
        (&["apikey", "create", "--name", "n", "--scope", "write"], "read, sign, admin"),
        (
            &["apikey", "create", "--name", "n", "--scope", "read", "--expires-in", "1y"],
            "as in 90d",
        ),
    ] {
        let said = failure(mpc(args).output().unwrap(), 2);
        assert!(said.contains(expected), "{args:?}: {said}");
    }
}
