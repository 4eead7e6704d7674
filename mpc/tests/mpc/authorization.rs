//! Requesters' signatures, policies and approvals, as people use them: by the command alone.

use crate::command::{Demo, failure, mpc, stdout};
use crate::running::{KEY, RunningNode, node};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// SHA-256 of `hello`.
const HELLO: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

/// How long something may take that a signing waits for.
const PATIENCE: Duration = Duration::from_secs(30);

/// Asks a party's own people's commands.
fn control(data: &Path, party: usize, args: &[&str]) -> Command {
    let mut command = mpc(&["party"]);
    command.args(args).arg("--data").arg(data.join(format!("party-{party}")));
    command
}

fn json(mut command: Command) -> Value {
    serde_json::from_str(&stdout(command.args(["--output", "json"]).output().unwrap())).unwrap()
}

#[test]
fn a_node_with_a_policy_signs_what_its_requester_signs_and_its_people_approve() {
    let demo = Demo::shared();
    let data = demo.copy();
    let account = demo.report()["account_id"].as_str().unwrap().to_owned();
    let key = data.path().join("requester.pem");
    let make = || {
        let mut command = mpc(&["requester", "keygen", "--algorithm", "p256", "--out"]);
        command.arg(&key);
        command
    };
    let public = stdout(make().output().unwrap());
    assert!(public.starts_with("-----BEGIN PUBLIC KEY-----\n"), "{public}");
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    // A key is never overwritten.
    failure(make().output().unwrap(), 1);

    let policy = data.path().join("policy.toml");
    let requester = format!("[[requester]]\nname = \"backend\"\npublic_key = '''{public}'''\n");
    fs::write(&policy, "").unwrap();
    // In production nobody may ask unless the policy names a requester. The log says so.
    let mut command = node(data.path());
    command.env("MPC_POLICY", &policy).env("MPC_API_KEY", KEY);
    let log = data.path().join("node.log");
    command.args(["--environment", "production"]);
    command.env("MPC_COORDINATOR_KEY_FILE", data.path().join("coordinator.key"));
    command.stderr(fs::File::create(&log).unwrap());
    let node = RunningNode::spawn(&mut command);
    node.await_parties(3);
    assert!(fs::read_to_string(&log).unwrap().contains("sign nothing"));
    let sign = ["sign", "--account", &account, "--message", HELLO];
    let said = failure(node.client(&sign).output().unwrap(), 1);
    assert!(said.contains("asks for the requester's signature"), "{said}");
    assert!(said.contains("[declined, HTTP 403]"), "{said}");
    let status = json(control(data.path(), 1, &["status"]));
    assert_eq!((&status["requesters"], &status["open_approvals"]), (&0.into(), &0.into()));

    // With the requester in the policy, its signature counts and no other word does.
    fs::write(&policy, &requester).unwrap();
    for party in 1..=3 {
        let said = stdout(control(data.path(), party, &["reload-policy"]).output().unwrap());
        assert!(said.contains("is in force"), "{said}");
    }
    let key = key.to_str().unwrap();
    let signed = ["--requester", "backend", "--requester-key", key, "--valid-for", "10m"];
    let session = node.ask(&[&sign[..], &signed].concat());
    assert_eq!((&session["state"], &session["message"]), (&"completed".into(), &HELLO.into()));
    let text = ["sign", "--account", &account, "--message", "hello", "--hash", "sha256"];
    let session = node.ask(&[&text[..], &signed].concat());
    assert_eq!(session["message"], HELLO);
    failure(node.client(&sign).output().unwrap(), 1);
    fs::set_permissions(key, PermissionsExt::from_mode(0o644)).unwrap();
    let open = node.client(&[&sign[..], &signed].concat()).output().unwrap();
    assert!(failure(open, 1).contains("chmod 600"));
    fs::set_permissions(key, PermissionsExt::from_mode(0o600)).unwrap();

    // With people asked, the signature waits for two of them.
    fs::write(&policy, format!("{requester}[approval]\ndefault = \"always\"\n")).unwrap();
    for party in 1..=3 {
        stdout(control(data.path(), party, &["reload-policy"]).output().unwrap());
    }
    let waits = [&text[..], &signed, &["--expires-in", "5m", "--output", "json"]].concat();
    let waiting = node.client(&waits).stdout(Stdio::piped()).spawn().unwrap();
    let mut approved = 0;
    let deadline = Instant::now() + PATIENCE;
    while approved < 2 {
        assert!(Instant::now() < deadline, "no approval is asked for");
        for party in 1..=3 {
            let open = json(control(data.path(), party, &["approvals"]));
            for approval in open["approvals"].as_array().unwrap() {
                assert_eq!(
                    (&approval["digest"], &approval["requester"]),
                    (&HELLO.into(), &"backend".into())
                );
                let shown = stdout(control(data.path(), party, &["approvals"]).output().unwrap());
                assert!(shown.contains("SHA-256 of 5 bytes, \"hello\""), "{shown}");
                let session = approval["session"].as_str().unwrap();
                let done = control(data.path(), party, &["approve", session]).output().unwrap();
                assert_eq!(stdout(done), "approved\n");
                let again = control(data.path(), party, &["approve", session]).output().unwrap();
                assert!(failure(again, 1).contains("before"));
                approved += 1;
            }
        }
    }
    let session: Value =
        serde_json::from_str(&stdout(waiting.wait_with_output().unwrap())).unwrap();
    assert_eq!(session["state"], "completed");

    let nobody = control(data.path(), 9, &["status"]).output().unwrap();
    assert!(failure(nobody, 1).contains("no party answers"));
    assert_eq!(node.terminate().code(), Some(0));
}
