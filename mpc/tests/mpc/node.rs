//! `mpc node` and those who speak with it.

use crate::command::{Demo, failure, mpc, stdout};
use crate::running::{KEY, RunningNode, node};
use crate::second_opinion::{Claim, second_opinions};
use serde_json::Value;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;

/// SHA-256 of `hello`.
const HELLO: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("{name} in {value}"))
}

/// Signs and has others check the signature.
fn sign(node: &RunningNode, account: &str, message: &[&str], digest: &str) {
    let session = node.ask(&[&["sign", "--account", account, "--message"], message].concat());
    assert_eq!(text(&session, "state"), "completed");
    assert_eq!(text(&session, "message"), digest);
    let (public_key, signature) = (text(&session, "public_key"), &session["signature"]);
    second_opinions(&Claim::from_hex(
        public_key,
        digest,
        text(signature, "r"),
        text(signature, "s"),
    ));
}

#[test]
fn a_killed_node_comes_back_with_its_accounts() {
    let demo = Demo::shared();
    let data = demo.copy();
    let old = demo.report()["account_id"].as_str().unwrap().to_owned();

    let node = RunningNode::start(data.path());
    node.await_parties(3);
    let account = node.ask(&["account", "create", "--user-id", "alice"]);
    assert_eq!(text(&account, "state"), "active");
    // The second account of these parties: its aux set is there.
    let keygen = account["timings_ms"]["keygen"].as_u64().unwrap();
    assert!(keygen < 500, "a second account's key took {keygen} ms");
    let new = text(&account, "account_id").to_owned();
    sign(&node, &new, &["hello", "--hash", "sha256"], HELLO);
    wrong_requests_are_told_apart(&node, &new);
    node.kill();

    let node = RunningNode::start(data.path());
    node.await_parties(3);
    sign(&node, &new, &[HELLO], HELLO);
    sign(&node, &old, &[HELLO], HELLO);
    let accounts = node.ask(&["account", "list"]);
    let ids: Vec<_> =
        accounts["accounts"].as_array().unwrap().iter().map(|it| text(it, "account_id")).collect();
    assert_eq!(ids, [&new, &old], "newest first, and no other");
    tables_show_them(&node, &new);
    assert_eq!(node.terminate().code(), Some(0));
}

fn wrong_requests_are_told_apart(node: &RunningNode, account: &str) {
    let unknown = "0198c6a0-0000-7000-8000-000000000000";
    for (args, code) in [
        (&["sign", "--account", account, "--message", "abc"][..], "invalid_message"),
        (&["sign", "--account", unknown, "--message", HELLO], "account_not_found"),
        (&["account", "show", unknown], "account_not_found"),
        (&["session", "show", unknown], "session_not_found"),
        (
            &["account", "create", "--user-id", "bob", "--threshold", "4", "--parties", "3"],
            "invalid_threshold",
        ),
        (&["account", "create", "--user-id", "bob", "--parties", "4"], "not_enough_parties"),
    ] {
        let said = failure(node.client(args).output().unwrap(), 1);
        assert!(said.contains(&format!("[{code}, HTTP ")), "{args:?}: {said}");
    }
    let mut list = node.client(&["party", "list"]);
    let said = failure(list.env("MPC_API_KEY", "another-key-than-that").output().unwrap(), 1);
    assert!(said.contains("[unauthorized, HTTP "), "{said}");
}

fn tables_show_them(node: &RunningNode, account: &str) {
    let table = |args: &[&str]| stdout(node.client(args).output().unwrap());
    let list = table(&["account", "list"]);
    assert!(list.starts_with("ACCOUNT ") && list.contains(account), "{list}");
    let shown = table(&["account", "show", account]);
    assert!(shown.contains("2 of 3") && shown.contains("party-3"), "{shown}");
    let parties = table(&["party", "list"]);
    assert_eq!(parties.lines().count(), 4, "{parties}");
    let signed = table(&["sign", "--account", account, "--message", HELLO]);
    let session = signed.lines().next().unwrap().split_whitespace().last().unwrap();
    let again = table(&["session", "show", session]);
    assert!(again.contains(HELLO) && again.contains("Ethereum"), "{again}");
}

#[test]
fn a_folder_belongs_to_one_process_at_a_time() {
    let data = tempfile::tempdir().unwrap();
    let data = data.path().join("made by the node");
    let mut first = node(&data);
    let first = RunningNode::spawn(first.args(["--parties", "2"]));
    let key = data.join("api.key");
    assert!(first.greeting().contains(key.to_str().unwrap()), "{}", first.greeting());
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(&data).unwrap().permissions().mode() & 0o777, 0o700);

    let said = failure(node(&data).output().unwrap(), 1);
    assert!(said.contains("another process runs a node"), "{said}");

    assert_eq!(first.terminate().code(), Some(0));
    let before = fs::read(&key).unwrap();
    let again = RunningNode::spawn(&mut node(&data));
    assert!(again.greeting().contains("parties  2"), "{}", again.greeting());
    assert_eq!(fs::read(&key).unwrap(), before);
}

#[test]
fn a_first_start_that_fails_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let file = |name: &str, text: &str| {
        let file = folder.path().join(name);
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let (policy, passphrase) = (file("policy.toml", "payloads = 5"), file("passphrase", "short"));
    let hex = "0c".repeat(32);
    let given = [
        ("MPC_API_KEY", KEY),
        ("MPC_COORDINATOR_KEY", &hex),
        ("CRYPTO_MASTER_KEY", &hex),
        ("MPC_TLS_CERT", ""),
    ];
    // Each time all is given, but for this.
    for (name, value, expected) in [
        ("MPC_API_KEY", "", "MPC_API_KEY"),
        ("MPC_API_KEY", "short", "too short"),
        ("MPC_COORDINATOR_KEY", "", "MPC_COORDINATOR_KEY"),
        ("MPC_COORDINATOR_KEY", "0c", "64 hexadecimal digits"),
        ("JWT_SECRET_KEY", "short", "32"),
        ("JWT_SECRET_KEY_FILE", "/not/there", "/not/there"),
        ("CRYPTO_MASTER_KEY", "", "mpc keys init"),
        ("CRYPTO_MASTER_KEY", "0c", "64 hexadecimal digits"),
        ("MPC_MASTER_KEY_FILE", "/not/there", "several master keys"),
        ("MPC_POLICY", &policy, "policy.toml"),
        ("MPC_API_LISTEN", "192.0.2.1:0", "--allow-plaintext"),
        ("MPC_TLS_CERT", "/not/there", "--tls-key"),
    ] {
        let mut command = mpc(&["node", "--environment", "production", "--data"]);
        command.arg(&data).envs(given).env(name, value);
        let said = failure(command.output().unwrap(), 1);
        assert!(said.contains(expected), "{name}={value}: {said}");
        assert!(!data.exists(), "{name}={value}: {said}");
    }
    let mut weak = mpc(&["node", "--environment", "production", "--data"]);
    weak.arg(&data).envs([given[0], given[1]]).env("MPC_PASSPHRASE_FILE", passphrase);
    failure(weak.output().unwrap(), 1);
    assert!(!data.exists());
    // In development, where secrets are made, not before the others were looked at either.
    let mut command = node(&data);
    failure(command.env("JWT_SECRET_KEY", "short").output().unwrap(), 1);
    assert!(!data.exists());
}

#[test]
fn a_party_that_is_gone_is_not_replaced_without_a_word() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let first = RunningNode::spawn(&mut node(data));
    assert_eq!(first.terminate().code(), Some(0));
    let id = |party: &str| {
        stdout(mpc(&["party", "id", "--data"]).arg(data.join(party)).output().unwrap())
    };
    let gone = id("party-2");
    fs::rename(data.join("party-2"), folder.path().join("kept")).unwrap();
    let said = failure(node(data).output().unwrap(), 1);
    for expected in [gone.trim(), "mpc party restore --data", "mpc party init --data"] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    assert!(!data.join("party-2").exists());
    // The node that does not run it does not miss it.
    let alone = RunningNode::spawn(node(data).args(["--parties", "0"]));
    assert_eq!(alone.terminate().code(), Some(0));

    // It comes back; or another one is made on purpose.
    fs::rename(folder.path().join("kept"), data.join("party-2")).unwrap();
    let again = RunningNode::spawn(&mut node(data));
    assert!(again.greeting().contains("parties  3"), "{}", again.greeting());
    assert_eq!(again.terminate().code(), Some(0));
    fs::remove_dir_all(data.join("party-2")).unwrap();
    stdout(mpc(&["party", "init", "--data"]).arg(data.join("party-2")).output().unwrap());
    let log = data.join("log");
    let mut other = node(data);
    let other = RunningNode::spawn(other.stderr(File::create(&log).unwrap()));
    assert_eq!(other.terminate().code(), Some(0));
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains("another party lives here than before"), "{log}");
    assert_ne!(id("party-2"), gone);
}

#[test]
fn a_nodes_folder_is_no_partys() {
    let folder = tempfile::tempdir().unwrap();
    let node = RunningNode::spawn(node(folder.path()).args(["--parties", "0"]));
    assert_eq!(node.terminate().code(), Some(0));
    for verb in [["party", "init"], ["keys", "init"]] {
        let mut command = mpc(&verb);
        let said = failure(command.env("MPC_DATA", folder.path()).output().unwrap(), 1);
        assert!(said.contains("is the data folder of a node"), "{said}");
    }
    assert!(!folder.path().join("vault.sqlite").exists());
}

#[test]
fn a_node_of_development_that_other_hosts_reach_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let open = ("0.0.0.0:0", "127.0.0.1:0");
    for (number, ((api, gateway), environment, lines)) in [
        (("127.0.0.1:0", "[::1]:0"), "development", 0),
        (open, "development", 1),
        (("127.0.0.1:0", "0.0.0.0:0"), "development", 1),
        (("0.0.0.0:0", "0.0.0.0:0"), "development", 1),
        (open, "production", 0),
    ]
    .into_iter()
    .enumerate()
    {
        let log = folder.path().join("log");
        let mut command = mpc(&["--log", "warn", "node", "--parties", "0", "--allow-plaintext"]);
        command.args(["--api", api, "--gateway", gateway]).env("ENVIRONMENT", environment);
        command.arg("--data").arg(folder.path().join(number.to_string()));
        command.env("MPC_API_KEY", KEY).env("MPC_COORDINATOR_KEY", "ab".repeat(32));
        let node = RunningNode::spawn(command.stderr(File::create(&log).unwrap()));
        assert_eq!(node.terminate().code(), Some(0));
        let log = fs::read_to_string(log).unwrap();
        assert_eq!(log.matches("ENVIRONMENT=production").count(), lines, "{number}: {log}");
    }
}

#[test]
fn a_wrong_master_key_is_refused() {
    let data = tempfile::tempdir().unwrap();
    let with_key = |key: &str| {
        let mut command = node(data.path());
        command.env("CRYPTO_MASTER_KEY", key);
        command
    };
    let first = RunningNode::spawn(&mut with_key(&"11".repeat(32)));
    assert_eq!(first.terminate().code(), Some(0));
    let said = failure(with_key(&"22".repeat(32)).output().unwrap(), 1);
    assert!(said.contains("wrong master key"), "{said}");
    assert!(!said.contains("2222") && !said.contains("1111"), "{said}");
}
