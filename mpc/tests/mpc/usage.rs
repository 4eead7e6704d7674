//! What the command says to wrong arguments.

use crate::command::{failure, mpc};

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
}

#[test]
fn a_filter_that_is_none_is_refused() {
    let text = said(&["--log", "mpc=loud", "party", "list"], FAILED);
    assert!(text.contains("no filter"), "{text}");
}
