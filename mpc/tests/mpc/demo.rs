//! `mpc demo`.

use crate::command::{Demo, mpc};
use crate::running::signal;
use crate::second_opinion::{Claim, second_opinions};
use serde_json::{Map, Value};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

fn keys(object: &Value) -> Vec<&str> {
    object.as_object().unwrap().keys().map(String::as_str).collect()
}

fn hex_of<'a>(object: &'a Map<String, Value>, name: &str, bytes: usize) -> &'a str {
    let text = object[name].as_str().unwrap();
    assert_eq!(hex::decode(text).unwrap().len(), bytes, "{name}");
    text
}

#[test]
fn its_json_has_every_field_and_a_signature_that_others_believe() {
    let demo = Demo::shared();
    assert_eq!(demo.stdout.lines().count(), 1, "one object, and nothing else, on stdout");
    let report = demo.report();
    let names =
        ["account_id", "message", "public_key", "scheme", "signature", "signers", "timings_ms"];
    assert_eq!(keys(&report), [&names[..], &["verified"]].concat());
    let fields = report.as_object().unwrap();

    let account = fields["account_id"].as_str().unwrap();
    assert!(account.parse::<mpc_wire::AccountId>().is_ok(), "{account}");
    assert_eq!(fields["scheme"], "ecdsa-cggmp24");
    assert_eq!(fields["verified"], true);
    let public_key = hex_of(fields, "public_key", 33);
    let message = hex_of(fields, "message", 32);

    let signature = fields["signature"].as_object().unwrap();
    assert_eq!(keys(&fields["signature"]), ["compact", "r", "recovery_id", "s"]);
    let (r, s) = (hex_of(signature, "r", 32), hex_of(signature, "s", 32));
    assert_eq!(signature["compact"], format!("{r}{s}"));
    assert!(signature["recovery_id"].as_u64().unwrap() <= 3);

    let signers: Vec<mpc_wire::PartyId> =
        serde_json::from_value(fields["signers"].clone()).unwrap();
    assert_eq!(signers.len(), 2);
    assert_ne!(signers[0], signers[1]);

    let timings = &fields["timings_ms"];
    assert_eq!(keys(timings), ["aux", "canary", "keygen", "sign"]);
    assert!(keys(timings).iter().all(|name| timings[name].as_u64().unwrap() > 0), "{timings}");

    second_opinions(&Claim::from_hex(public_key, message, r, s));
}

#[test]
fn when_interrupted_it_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = mpc(&["demo"])
        .env("TMPDIR", folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let online = stderr.find(|line| line.contains("3 parties are online"));
    assert!(online.is_some(), "it tells its steps");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "the folder of its node");

    signal("-INT", &child);
    let last = stderr.last().unwrap_or_default();
    assert!(last.contains("ended by SIGINT"), "{last}");
    assert_eq!(child.wait().unwrap().code(), Some(1));
    let mut stdout = String::new();
    child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
    assert_eq!(stdout, "");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "keys must not stay");
}
