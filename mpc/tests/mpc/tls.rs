//! A node over TLS, who believes it, and what is refused without.

use crate::certificates::{Authority, Validity, set_mode};
use crate::command::{Demo, failure, mpc, stdout};
use crate::running::{KEY, RunningNode, node};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

const DIGEST: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

/// How long a renewed certificate may take to be shown.
const PATIENCE: Duration = Duration::from_secs(20);

/// The command of a node with the authority's last certificate.
fn node_of(authority: &Authority, data: &Path) -> Command {
    let mut command = node(data);
    command.env("MPC_API_KEY", KEY);
    command.arg("--tls-cert").arg(authority.cert()).arg("--tls-key").arg(authority.key());
    command
}

/// Asks who is online, trusting this authority alone.
fn list(node: &RunningNode, url: &str, ca: &Path) -> Output {
    let mut command = node.client(&["party", "list", "--url", url, "--tls-ca"]);
    command.arg(ca).output().unwrap()
}

/// The address of a node's API under another host.
fn at(host: &str, node: &RunningNode) -> String {
    let port = node.url().rsplit(':').next().unwrap();
    format!("https://{host}:{port}")
}

#[test]
fn a_node_over_tls_signs_for_who_trusts_it() {
    let demo = Demo::shared();
    let data = demo.copy();
    let account = demo.report()["account_id"].as_str().unwrap().to_owned();
    let authority = Authority::new();
    authority.sign(&["localhost"], Validity::Now);
    // The own parties need the authority, which is not in the certificate's file.
    let said = failure(node_of(&authority, data.path()).output().unwrap(), 1);
    assert!(said.contains("UnknownIssuer") && said.contains("--tls-ca"), "{said}");

    let mut command = node_of(&authority, data.path());
    let node = RunningNode::spawn(command.arg("--tls-ca").arg(authority.ca()));
    assert!(node.url().starts_with("https://localhost:"), "{}", node.greeting());
    assert!(node.greeting().contains("wss://localhost:"), "{}", node.greeting());
    let node = node.trusting(&authority.ca());
    node.await_parties(3);
    let session = node.ask(&["sign", "--account", &account, "--message", DIGEST]);
    assert_eq!(session["state"], "completed", "{session}");

    who_does_not_trust_it_sends_nothing(&node, &authority);
    curl_speaks_with_it(&node, &authority);
    a_renewed_certificate_is_shown(&node, &authority);
    assert_eq!(node.terminate().code(), Some(0));
}

fn who_does_not_trust_it_sends_nothing(node: &RunningNode, authority: &Authority) {
    let said = failure(list(node, node.url(), &Authority::new().ca()), 1);
    assert!(said.contains("UnknownIssuer"), "{said}");
    let said = failure(list(node, &at("127.0.0.1", node), &authority.ca()), 1);
    assert!(said.contains("not valid for name"), "{said}");
    let plain = node.url().replace("https://", "http://");
    let said = failure(list(node, &plain, &authority.ca()), 1);
    assert!(said.contains("no answer"), "{said}");
}

fn curl_speaks_with_it(node: &RunningNode, authority: &Authority) {
    let curl = |args: &[&str]| {
        let mut command = Command::new("curl");
        command.env_clear().args(["--silent", "--show-error", "--max-time", "20"]).args(args);
        command.args(["--header", &format!("X-API-Key: {KEY}")]);
        command.arg(format!("{}/api/v1/parties", node.url()));
        match command.output() {
            Ok(output) => Some(output),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => panic!("{command:?}: {error}"),
        }
    };
    let ca = authority.ca();
    let ca = ["--cacert", ca.to_str().unwrap()];
    let Some(answer) = curl(&ca) else {
        assert!(std::env::var_os("CI").is_none(), "install the command `curl`");
        println!("SKIPPED: no `curl` here");
        return;
    };
    let answer: serde_json::Value = serde_json::from_str(&stdout(answer)).unwrap();
    assert_eq!(answer["parties"].as_array().unwrap().len(), 3, "{answer}");
    // Exit codes: 60, the certificate is not believed; 35, no handshake.
    let stranger = Authority::new().ca();
    let distrusting = curl(&["--cacert", stranger.to_str().unwrap()]).unwrap();
    assert!(matches!(distrusting.status.code(), Some(60 | 77)), "{distrusting:?}");
    let old = curl(&[&ca[..], &["--tlsv1.2", "--tls-max", "1.2"]].concat()).unwrap();
    assert_eq!(old.status.code(), Some(35), "{old:?}");
}

fn a_renewed_certificate_is_shown(node: &RunningNode, authority: &Authority) {
    authority.sign(&["localhost", "127.0.0.1"], Validity::Now);
    node.signal("-HUP");
    let url = at("127.0.0.1", node);
    let deadline = Instant::now() + PATIENCE;
    while !list(node, &url, &authority.ca()).status.success() {
        assert!(Instant::now() < deadline, "the old certificate is still shown");
    }
    // One that the own parties would not believe is not taken.
    authority.sign(&["elsewhere.test"], Validity::LongAgo);
    node.signal("-HUP");
    for _ in 0..3 {
        stdout(list(node, &url, &authority.ca()));
    }
}

#[test]
fn an_expired_certificate_is_refused() {
    let data = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    authority.sign(&["localhost"], Validity::LongAgo);
    let with = |parties: &str| {
        let mut command = node_of(&authority, data.path());
        command.args(["--parties", parties]).arg("--tls-ca").arg(authority.ca());
        command
    };
    let said = failure(with("2").output().unwrap(), 1);
    assert!(said.contains("expired") && said.contains("own parties"), "{said}");
    // Without parties of its own a node believes nobody and shows what it has.
    let node = RunningNode::spawn(&mut with("0"));
    let said = failure(list(&node, &at("localhost", &node), &authority.ca()), 1);
    assert!(said.contains("expired"), "{said}");
}

#[test]
fn a_certificate_that_nobody_signed_is_enough_for_a_node() {
    let data = tempfile::tempdir().unwrap();
    let files = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (cert, key) = (files.path().join("cert.pem"), files.path().join("key.pem"));
    fs::write(&cert, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    set_mode(&key, 0o600);
    let mut command = node(data.path());
    command.args(["--parties", "2"]).env("MPC_API_KEY", KEY);
    let node = RunningNode::spawn(command.env("MPC_TLS_CERT", &cert).env("MPC_TLS_KEY", &key));
    node.trusting(&cert).await_parties(2);
}

#[test]
fn what_cannot_be_used_is_named() {
    let data = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    authority.sign(&["localhost"], Validity::Now);
    let said = || failure(node_of(&authority, data.path()).output().unwrap(), 1);
    let good_key = fs::read(authority.key()).unwrap();

    set_mode(&authority.key(), 0o640);
    let text = said();
    assert!(text.contains("mode 640") && text.contains("chmod 600"), "{text}");

    set_mode(&authority.key(), 0o600);
    fs::write(authority.key(), rcgen::KeyPair::generate().unwrap().serialize_pem()).unwrap();
    assert!(said().contains("is not that of the first certificate"), "{}", said());

    fs::write(authority.key(), fs::read(authority.cert()).unwrap()).unwrap();
    assert!(said().contains("there is no private key"), "{}", said());

    // A key where a certificate belongs is not quoted.
    fs::write(authority.key(), &good_key).unwrap();
    fs::write(authority.cert(), &good_key).unwrap();
    let text = said();
    assert!(text.contains("there is no certificate"), "{text}");
    let secret = String::from_utf8(good_key).unwrap();
    assert!(!text.contains(secret.lines().nth(1).unwrap()), "{text}");

    fs::remove_file(authority.cert()).unwrap();
    assert!(said().contains("cannot read"), "{}", said());

    let mut command = node(data.path());
    let text = failure(command.arg("--tls-key").arg(authority.key()).output().unwrap(), 1);
    assert!(text.contains("give both --tls-cert and --tls-key"), "{text}");
    assert_eq!(fs::read_dir(data.path()).unwrap().count(), 0, "nothing was made");
}

#[test]
fn other_hosts_get_nothing_in_plain_text_unless_told_so() {
    let data = tempfile::tempdir().unwrap();
    for addresses in [["0.0.0.0:0", "127.0.0.1:0"], ["127.0.0.1:0", "[::]:0"], ["10.0.0.1:0"; 2]] {
        let [api, gateway] = addresses;
        let mut command = mpc(&["node", "--api", api, "--gateway", gateway, "--data"]);
        let text = failure(command.arg(data.path()).output().unwrap(), 1);
        assert!(text.contains("--tls-cert") && text.contains("--allow-plaintext"), "{text}");
    }
    let mut command = mpc(&["party", "list", "--url", "http://192.0.2.1:4000"]);
    let text = failure(command.env("MPC_API_KEY", KEY).output().unwrap(), 1);
    assert!(text.contains("192.0.2.1") && text.contains("--allow-plaintext"), "{text}");
    assert!(!text.contains(KEY), "{text}");

    let mut command = mpc(&["node", "--api", "0.0.0.0:0", "--gateway", "0.0.0.0:0", "--data"]);
    command.arg(data.path()).args(["--parties", "2", "--log", "warn"]);
    command.env("MPC_ALLOW_PLAINTEXT", "true").env("MPC_API_KEY", KEY);
    RunningNode::spawn(&mut command).await_parties(2);
    let mut command = mpc(&["node", "--data", "x"]);
    let text = failure(command.env("MPC_ALLOW_PLAINTEXT", "perhaps").output().unwrap(), 2);
    assert!(text.contains("give true or false"), "{text}");
}
