//! What the command says to wrong arguments.

use crate::command::{failure, mpc};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

const ACCOUNT: &str = "0198c6a0-0000-7000-8000-000000000000";

/// The exit code of wrong usage.
const USAGE: i32 = 2;

/// The exit code of everything else that fails.
const FAILED: i32 = 1;

fn said(args: &[&str], code: i32) -> String {
    failure(mpc(args).output().unwrap(), code)
}

#[test]
fn without_arguments_it_prints_its_help() {
    let help = said(&[], USAGE);
    for command in ["demo", "node", "account", "sign", "session", "party"] {
        assert!(help.contains(command), "{help}");
    }
}

#[test]
fn wrong_arguments_are_named() {
    for (args, expected) in [
        (&["demo", "--scheme", "rot13"][..], "known are: ecdsa-cggmp24"),
        (&["demo", "--message", "abc"], "64 hexadecimal digits"),
        (&["node"], "--data"),
        (&["node", "--data", "x", "--api", "localhost"], "--api"),
        (&["node", "--data", "x", "--parties", "1"], "give 2 to 20"),
        (&["node", "--data", "x", "--parties", "21"], "give 2 to 20"),
        (&["account", "create"], "--user-id"),
        (&["account", "show", "alice"], "give a UUID"),
        (&["sign", "--account", ACCOUNT], "--message"),
        (&["sign", "--account", ACCOUNT, "--message", "m", "--hash", "md5"], "keccak256, sha256"),
        (&["session", "show"], "SESSION"),
        (&["party", "list", "--output", "xml"], "table, json"),
    ] {
        let text = said(args, USAGE);
        assert!(text.contains(expected), "{args:?}: {text}");
    }
}

#[test]
fn a_client_needs_a_key_and_an_address() {
    let text = said(&["party", "list"], FAILED);
    assert!(text.contains("MPC_API_KEY") && text.contains("--api-key-file"), "{text}");

    let mut command = mpc(&["party", "list", "--url", "ftp://127.0.0.1:4000"]);
    let text = failure(command.env("MPC_API_KEY", "some-key-or-other").output().unwrap(), FAILED);
    assert!(text.contains("https://host:port"), "{text}");
}

#[test]
fn secrets_of_the_environment_are_in_no_help() {
    let mut command = mpc(&["node", "--help"]);
    command.env("MPC_API_KEY", "correct-horse").env("CRYPTO_MASTER_KEY", "battery-staple");
    let help = String::from_utf8(command.output().unwrap().stdout).unwrap();
    assert!(help.contains("CRYPTO_MASTER_KEY"), "{help}");
    assert!(!help.contains("horse") && !help.contains("staple"), "{help}");
    let secrets = ["MPC_API_KEY", "MPC_COORDINATOR_KEY", "JWT_SECRET_KEY", "MPC_PASSPHRASE"];
    assert!(secrets.iter().all(|name| help.contains(&format!("{name}  "))), "{help}");
    for option in ["--api-key ", "--coordinator-key ", "--jwt-secret-key ", "--crypto-master-key"] {
        assert!(!help.contains(option), "{option}: {help}");
    }
    let help = mpc(&["keys", "rotate", "--help"]).output().unwrap().stdout;
    assert!(String::from_utf8(help).unwrap().contains("CRYPTO_NEW_MASTER_KEY  "));
}

/// As compose files pass what is not set.
#[test]
fn empty_variables_are_none() {
    let empty = |command: &mut Command, variables: &[&str]| {
        command.envs(variables.iter().map(|name| (name, "")));
        failure(command.output().unwrap(), FAILED)
    };
    let variables = ["MPC_API_KEY", "MPC_API_KEY_FILE", "MPC_TLS_CA", "MPC_URL"];
    let said = empty(&mut mpc(&["party", "list"]), &variables);
    assert!(said.contains("no API key"), "{said}");

    let data = tempfile::tempdir().unwrap();
    let mut node = mpc(&["node", "--data"]);
    node.arg(data.path()).env("ENVIRONMENT", "production");
    let variables = [
        &variables[..],
        &["MPC_API_LISTEN", "MPC_GATEWAY_LISTEN", "MPC_PARTIES", "MPC_POLICY", "RUST_LOG"],
        &["MPC_COORDINATOR_KEY", "MPC_COORDINATOR_KEY_FILE", "JWT_SECRET_KEY"],
        &["JWT_SECRET_KEY_FILE", "CRYPTO_MASTER_KEY", "MPC_MASTER_KEY_FILE", "MPC_PASSPHRASE"],
        &["MPC_PASSPHRASE_FILE", "ALLOWED_IPS", "TRUSTED_PROXIES", "MPC_TLS_CERT", "MPC_TLS_KEY"],
    ]
    .concat();
    let said = empty(&mut node, &variables);
    assert!(said.contains("API key must be given"), "{said}");

    let vault = data.path().to_str().unwrap();
    let mut rotate = mpc(&["keys", "rotate", "--to-key-file", "key", "--data", vault]);
    let said = empty(&mut rotate, &["CRYPTO_NEW_MASTER_KEY", "MPC_MASTER_KEY_FILE"]);
    assert!(said.contains("there is no vault"), "{said}");
    let mut run = mpc(&["party", "run", "--gateway", "none", "--data"]);
    let run = run.arg(data.path().join("party"));
    let variables = ["MPC_ENROLMENT_TOKEN_FILE", "MPC_POLICY", "MPC_LABEL", "MPC_SERVER_NAME"];
    let said = empty(run, &variables);
    assert!(said.contains("no address of a gateway"), "{said}");
    let mut show = mpc(&["audit", "show", "--database", "not there"]);
    let said = empty(&mut show, &["MPC_DATA", "MPC_COORDINATOR_KEY_FILE"]);
    assert!(said.contains("not there"), "{said}");
    let mut sign = mpc(&["sign", "--account", ACCOUNT, "--message", "m"]);
    let said = empty(&mut sign, &["MPC_REQUESTER_KEY", "MPC_REQUESTER"]);
    assert!(said.contains("no API key"), "{said}");

    // What would silently make a production node one of development.
    let mut node = mpc(&["node", "--data", "x"]);
    let said = failure(node.env("ENVIRONMENT", "").output().unwrap(), USAGE);
    assert!(said.contains("production, development"), "{said}");
}

/// Else the command would look for another key, and find or make one.
#[cfg(not(feature = "tpm"))]
#[test]
fn a_build_without_tpms_does_not_pass_over_one() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    for args in [
        &["node"][..],
        &["keys", "init"],
        &["party", "init"],
        &["party", "run", "--gateway", "ws://127.0.0.1:9/"],
        &["party", "rotate-identity"],
    ] {
        let mut command = mpc(args);
        command.arg("--data").arg(&data);
        let refused = command.env("MPC_TPM", "device:/dev/tpmrm0").output().unwrap();
        let said = failure(refused, FAILED);
        assert!(said.contains("MPC_TPM") && said.contains("--features tpm"), "{args:?}: {said}");
        assert!(!data.exists(), "{args:?}");
    }
    let mut init = mpc(&["keys", "init", "--data"]);
    assert!(init.arg(&data).env("MPC_TPM", "").output().unwrap().status.success());
}

#[test]
fn a_secret_that_is_no_text_is_refused() {
    let mut list = mpc(&["party", "list"]);
    let said =
        failure(list.env("MPC_API_KEY", OsStr::from_bytes(b"\xff")).output().unwrap(), FAILED);
    assert!(said.contains("MPC_API_KEY is no text"), "{said}");
}

#[test]
fn a_filter_that_is_none_is_refused() {
    let text = said(&["--log", "mpc=loud", "party", "list"], FAILED);
    assert!(text.contains("no filter"), "{text}");
}
