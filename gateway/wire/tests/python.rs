//! The published Python does what it says: the second implementation agrees with the vectors, and
//! the example for requesters signs what the parties verify.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use ed25519_dalek::{Signature, VerifyingKey};
use p256::ecdsa::signature::Verifier;
use p256::pkcs8::{LineEnding, SecretDocument};
use serde::Deserialize;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A signing request of the vectors.
#[derive(Deserialize)]
struct Request {
    r#type: String,
    name: String,
    value: Value,
    canonical: String,
    seed: Option<String>,
    algorithm: Option<String>,
    verifying_key: Option<String>,
}

/// The requests for the account's own key: the example knows no other.
fn requests() -> Vec<Request> {
    let all: Vec<Request> =
        serde_json::from_str(include_str!("../vectors/canonical.json")).unwrap();
    let is_for_root = |one: &Request| {
        one.r#type == "signing-request" && one.value["path"].as_array().unwrap().is_empty()
    };
    let requests: Vec<_> = all.into_iter().filter(is_for_root).collect();
    assert!(requests.len() >= 2);
    requests
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors").join(name)
}

/// Whether a program is there. It may be missing on a developer's machine, never in CI.
fn has(program: &str, probe: &[&str]) -> bool {
    let is_there = Command::new(program).args(probe).output().is_ok_and(|out| out.status.success());
    if !is_there {
        assert!(std::env::var_os("CI").is_none(), "{program} {probe:?} has to work in CI");
        eprintln!("skipped: there is no {program} {probe:?}");
    }
    is_there
}

fn has_python() -> bool {
    has("python3", &["--version"])
}

fn python(name: &str, arguments: &[String]) -> Output {
    Command::new("python3").arg("-B").arg(script(name)).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

impl Request {
    fn arguments(&self) -> Vec<String> {
        let field = |name: &str| self.value[name].as_str().unwrap().to_owned();
        let expires_at = self.value["expires_at"].to_string();
        let mut arguments = Vec::new();
        for (flag, value) in [
            ("--account", field("account")),
            ("--public-key", field("public_key")),
            ("--requester", field("requester")),
            ("--request-id", field("request")),
            ("--expires-at", expires_at),
            ("--message", self.message()),
        ] {
            arguments.extend([flag.to_owned(), value]);
        }
        if let Some(hash) = self.hash() {
            arguments.extend(["--hash".to_owned(), hash.to_owned()]);
        }
        arguments
    }

    fn message(&self) -> String {
        let payload = &self.value["payload"];
        let bytes = payload.get("digest").unwrap_or(&payload["bytes"]["bytes"]);
        let bytes: Vec<u8> = serde_json::from_value(bytes.clone()).unwrap();
        hex::encode(bytes)
    }

    fn hash(&self) -> Option<&str> {
        self.value["payload"]["bytes"]["hash"].as_str()
    }

    /// The requester's key as `openssl genpkey` writes it (RFC 8410 and RFC 5915 in RFC 5958).
    fn pem(&self) -> String {
        let prefix = match self.algorithm.as_deref().unwrap() {
            "ed25519" => "302e020100300506032b657004220420",
            "p256" => "3041020100301306072a8648ce3d020106082a8648ce3d030107042730250201010420",
            other => panic!("{other}"),
        };
        let der = hex::decode(format!("{prefix}{}", self.seed.as_deref().unwrap())).unwrap();
        let document = SecretDocument::try_from(der.as_slice()).unwrap();
        document.to_pem("PRIVATE KEY", LineEnding::LF).unwrap().to_string()
    }

    fn is_signed(&self, signature: &str) -> bool {
        let key = hex::decode(self.verifying_key.as_deref().unwrap()).unwrap();
        let message = hex::decode(&self.canonical).unwrap();
        let signature = hex::decode(signature).unwrap();
        match self.algorithm.as_deref().unwrap() {
            "ed25519" => VerifyingKey::try_from(key.as_slice())
                .unwrap()
                .verify_strict(&message, &Signature::from_slice(&signature).unwrap())
                .is_ok(),
            "p256" => p256::ecdsa::VerifyingKey::from_sec1_bytes(&key)
                .unwrap()
                .verify(&message, &p256::ecdsa::Signature::from_slice(&signature).unwrap())
                .is_ok(),
            other => panic!("{other}"),
        }
    }
}

#[test]
fn the_second_implementation_agrees_with_the_vectors() {
    if !has_python() {
        return;
    }
    let checked = python("vectors.py", &["check".to_owned()]);
    assert!(checked.status.success(), "{}", text(&checked.stderr));
    assert!(text(&checked.stdout).contains(" 0 problems"));
}

#[test]
fn the_example_signs_the_published_bytes() {
    if !has_python() {
        return;
    }
    for request in requests() {
        let arguments = [request.arguments(), vec!["--canonical".to_owned()]].concat();
        let printed = python("sign_request.py", &arguments);
        assert!(printed.status.success(), "{}", text(&printed.stderr));
        assert_eq!(text(&printed.stdout).trim(), request.canonical, "{}", request.name);
    }
}

#[test]
fn the_example_signs_as_the_parties_verify() {
    if !has_python() {
        return;
    }
    let mut tools = Vec::new();
    if has("openssl", &["version"]) {
        tools.push(Some("--openssl"));
    }
    // The package is a convenience: with the command the example needs nothing else.
    let probe = Command::new("python3").args(["-c", "import cryptography"]).output().unwrap();
    if probe.status.success() {
        tools.push(None);
    }
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("requester.pem");
    for request in requests() {
        std::fs::write(&key, request.pem()).unwrap();
        for tool in &tools {
            let mut arguments = request.arguments();
            arguments.extend(["--key".to_owned(), key.to_str().unwrap().to_owned()]);
            arguments.extend(tool.map(str::to_owned));
            let printed = python("sign_request.py", &arguments);
            assert!(printed.status.success(), "{}", text(&printed.stderr));
            check_body(&request, &serde_json::from_slice(&printed.stdout).unwrap());
        }
    }
}

/// The body as the coordinator's HTTP interface reads it.
fn check_body(request: &Request, body: &Value) {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Body {
        message: String,
        hash: Option<String>,
        request_id: String,
        authorization: Authorization,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Authorization {
        requester: String,
        expires_at: u64,
        signature: String,
    }
    let Body { message, hash, request_id, authorization } =
        serde_json::from_value(body.clone()).unwrap();
    assert_eq!((message, hash.as_deref()), (request.message(), request.hash()));
    assert_eq!(request.value["request"], request_id);
    assert_eq!(request.value["requester"], authorization.requester);
    assert_eq!(request.value["expires_at"], authorization.expires_at);
    assert_eq!(authorization.signature.len(), 128);
    assert!(request.is_signed(&authorization.signature), "{}: {body}", request.name);
}

#[test]
fn the_example_refuses_what_cannot_be_signed() {
    if !has_python() {
        return;
    }
    let request = &requests()[0];
    let refused = |change: fn(&mut Vec<String>), advice: &str| {
        let mut arguments = request.arguments();
        change(&mut arguments);
        let out = python("sign_request.py", &arguments);
        assert_eq!(out.status.code(), Some(2));
        assert!(out.stdout.is_empty());
        assert!(text(&out.stderr).contains(advice), "{}", text(&out.stderr));
    };
    refused(|_| (), "give --key FILE");
    refused(|arguments| arguments.extend(["--message", "00"].map(str::to_owned)), "32 bytes");
    refused(|arguments| arguments.extend(["--hash", "md5"].map(str::to_owned)), "invalid choice");
}
