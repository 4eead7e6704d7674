//! A party that runs by itself, from its enrolment to its revocation, by the command line alone.

use crate::command::{failure, mpc, stdout};
use crate::running::{KEY, RunningNode, node, signal};
use serde_json::Value;
use std::fs::{self, File, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running `mpc party run`; killed when dropped.
struct RunningParty(Child);

impl RunningParty {
    /// Starts the party in this folder and waits until it says who it is.
    fn start(data: &Path, office: &RunningNode, more: &[&str]) -> (Self, String) {
        let gateway = office.greeting().split_whitespace().find(|word| word.starts_with("ws://"));
        Self::start_towards(gateway.unwrap(), data, more)
    }

    fn start_towards(gateway: &str, data: &Path, more: &[&str]) -> (Self, String) {
        let mut command = mpc(&["--log", "trace", "party", "run", "--label", "apart", "--data"]);
        command.arg(data).args(["--gateway", gateway]).args(more);
        let log = File::options().create(true).append(true).open(log_of(data)).unwrap();
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut next = || lines.next().expect("the party says who it is").unwrap();
        let id = next().strip_prefix("party    ").unwrap().to_owned();
        assert!(next().starts_with("gateway  "));
        (Self(child), id)
    }

    fn terminate(mut self) {
        signal("-TERM", &self.0);
        assert!(self.0.wait().unwrap().success());
    }
}

impl Drop for RunningParty {
    fn drop(&mut self) {
        // Both fail if the party has ended already.
        let _killed = self.0.kill();
        let _ended = self.0.wait();
    }
}

fn log_of(data: &Path) -> std::path::PathBuf {
    data.with_extension("log")
}

/// Coordinator and gateway alone.
fn office(data: &Path) -> RunningNode {
    RunningNode::spawn(node(data).args(["--parties", "0"]).env("MPC_API_KEY", KEY))
}

/// Waits until the party is listed so.
fn await_listed(office: &RunningNode, id: &str, is_so: impl Fn(&Value) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        let answer = office.ask(&["party", "list"]);
        let listed = answer["parties"].as_array().unwrap();
        if listed.iter().any(|party| party["party_id"] == id && is_so(party)) {
            return;
        }
    }
    panic!("{id} is never listed so");
}

fn run(command: &mut Command, data: &Path) -> String {
    stdout(command.arg("--data").arg(data).output().unwrap())
}

/// The name is one that RFC 6761 keeps from being anybody's.
#[test]
fn a_party_of_development_with_a_gateway_elsewhere_says_so() {
    let folder = tempfile::tempdir().unwrap();
    for (name, gateway, environment, lines) in [
        ("near", "ws://127.0.0.1:9/", "development", 0),
        ("far", "ws://gateway.invalid:9/", "development", 1),
        ("earnest", "ws://gateway.invalid:9/", "production", 0),
    ] {
        let data = folder.path().join(name);
        run(&mut mpc(&["party", "init"]), &data);
        let more = ["--allow-plaintext", "--environment", environment];
        let (party, _) = RunningParty::start_towards(gateway, &data, &more);
        party.terminate();
        let log = fs::read_to_string(log_of(&data)).unwrap();
        assert_eq!(log.matches("ENVIRONMENT=production").count(), lines, "{name}: {log}");
    }
}

#[test]
fn a_party_enrols_rotates_its_key_and_is_revoked() {
    let folder = tempfile::tempdir().unwrap();
    let office = office(&folder.path().join("office"));
    let data = folder.path().join("alice");
    let made = office.ask(&["party", "token", "--role", "server", "--ttl", "10m"]);
    let token = made["token"].as_str().unwrap();
    let file = folder.path().join("token");
    fs::write(&file, format!("{token}\n")).unwrap();
    let shown = ["--enrolment-token-file", file.to_str().unwrap()];

    // A token that others can read is refused before anything is made.
    let mut refused = mpc(&["party", "run", "--gateway", "ws://127.0.0.1:9/", "--data"]);
    let refused = failure(refused.arg(&data).args(shown).output().unwrap(), 1);
    assert!(refused.contains("chmod 600"), "{refused}");
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();

    let (party, id) = RunningParty::start(&data, &office, &shown);
    await_listed(&office, &id, |party| party["online"] == true && party["label"] == "apart");
    assert_eq!(run(&mut mpc(&["party", "id"]), &data).trim(), id);
    // The token is used up: cancelling it is too late.
    let cancel = ["party", "cancel-token", made["token_id"].as_str().unwrap()];
    let used = failure(office.client(&cancel).output().unwrap(), 1);
    assert!(used.contains("enrolment_token_used"), "{used}");

    // While it runs, and while it does not; nobody else runs it meanwhile.
    let rotated = run(&mut mpc(&["party", "rotate-identity"]), &data);
    assert!(rotated.contains("backup"), "{rotated}");
    await_listed(&office, &id, |party| party["key_number"] == 1 && party["online"] == true);
    let mut second = mpc(&["party", "run", "--gateway", "ws://127.0.0.1:9/", "--data"]);
    let second = failure(second.arg(&data).output().unwrap(), 1);
    assert!(second.contains("another process runs the party"), "{second}");
    party.terminate();
    await_listed(&office, &id, |party| party["online"] == false);
    let rotated = run(&mut mpc(&["party", "rotate-identity"]), &data);
    assert!(rotated.contains("2 times") && rotated.contains("backup"), "{rotated}");

    // Without the token: the party is known.
    fs::remove_file(&file).unwrap();
    let (party, again) = RunningParty::start(&data, &office, &shown);
    assert_eq!(again, id);
    await_listed(&office, &id, |party| party["key_number"] == 2 && party["online"] == true);
    let revoked = office.ask(&["party", "revoke", &id]);
    assert_eq!(revoked["state"], "revoked");
    await_listed(&office, &id, |party| party["state"] == "revoked" && party["online"] == false);
    let deadline = Instant::now() + PATIENCE;
    let log = || fs::read_to_string(log_of(&data)).unwrap();
    while !log().contains("the party was revoked") {
        assert!(Instant::now() < deadline, "{}", log());
    }
    party.terminate();
    assert_eq!(log().matches("not let in").count(), 1, "{}", log());

    // What was told at TRACE holds neither the token nor the files' secrets.
    let signature = token.rsplit('.').next().unwrap();
    let key = fs::read_to_string(data.join("master.key")).unwrap();
    for secret in [token, signature, key.trim()] {
        assert!(!log().contains(secret));
    }
}

#[test]
fn a_party_is_registered_by_its_id() {
    let folder = tempfile::tempdir().unwrap();
    let office = office(&folder.path().join("office"));
    let data = folder.path().join("bob");
    let id = run(&mut mpc(&["party", "init"]), &data).trim().to_owned();
    let there = failure(mpc(&["party", "init", "--data"]).arg(&data).output().unwrap(), 1);
    assert!(!there.is_empty());
    assert_eq!(run(&mut mpc(&["party", "id"]), &data).trim(), id);
    let registered =
        office.ask(&["party", "register", &id, "--role", "device", "--label", "phone"]);
    assert_eq!(
        (&registered["role"], &registered["state"]),
        (&"device".into(), &"registered".into())
    );
    let (party, again) = RunningParty::start(&data, &office, &[]);
    assert_eq!(again, id);
    await_listed(&office, &id, |party| party["online"] == true && party["label"] == "phone");
    party.terminate();
}

#[test]
fn a_node_in_production_without_a_secret_makes_no_tokens() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("office");
    let mut command = node(&data);
    command.args(["--parties", "0", "--environment", "production"]).env("MPC_API_KEY", KEY);
    command.env("MPC_COORDINATOR_KEY", "5a".repeat(32));
    let office = RunningNode::spawn(&mut command);
    let refused = office.client(&["party", "token", "--role", "server"]).output().unwrap();
    let refused = failure(refused, 1);
    assert!(refused.contains("enrolment_off") && refused.contains("JWT_SECRET_KEY"), "{refused}");
    assert!(!data.join("jwt.key").exists());
    drop(office);
    let office = RunningNode::spawn(command.env("JWT_SECRET_KEY", "x".repeat(32)));
    let made = office.ask(&["party", "token", "--role", "server"]);
    assert_eq!(made["role"], "server");
    drop(office);
    let short = command.env("JWT_SECRET_KEY", "correct-horse").output().unwrap();
    let short = failure(short, 1);
    assert!(short.contains("32") && !short.contains("horse"), "{short}");
}
