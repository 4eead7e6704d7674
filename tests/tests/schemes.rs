//! Accounts of each scheme without aux sets, from HTTP to a signature that others believe: real parties,
//! real sockets, real cryptography.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use coordinator::Role;
use mpc_tests::cluster::{Cluster, Engine, PartySpec};
use party_runtime::CpuPool;
use serde_json::{Value, json};
use std::process::Command;

/// DER of a SubjectPublicKeyInfo up to the key: id-Ed25519 (RFC 8410).
const SPKI_ED25519: [u8; 12] =
    [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

async fn office(folder: &std::path::Path) -> Cluster {
    let cpu = CpuPool::for_this_machine().unwrap();
    let server = || PartySpec::new(Role::Server, Engine::Real(cpu.clone()));
    Cluster::start(folder, vec![server(), server(), server()]).await.unwrap()
}

/// An active account of the scheme: its id and public key.
async fn account(cluster: &Cluster, scheme: &str) -> (String, Vec<u8>) {
    let request = json!({"user_id": "alice", "scheme": scheme, "threshold": 2, "parties": 3});
    let (status, account) = cluster.post("/api/v1/accounts", &request).await.unwrap();
    assert!(status == 201 || status == 202, "{account}");
    let path = format!("/api/v1/accounts/{}", account["account_id"].as_str().unwrap());
    let is_over = |body: &Value| body["state"] == "active" || body["state"] == "failed";
    let account = cluster.poll(&path, is_over).await.unwrap();
    assert_eq!(account["state"], "active", "{account}");
    assert_eq!(account["scheme"], scheme);
    let key = hex::decode(account["public_key"].as_str().unwrap()).unwrap();
    (account["account_id"].as_str().unwrap().to_owned(), key)
}

async fn sign(cluster: &Cluster, account: &str, body: &Value) -> (u16, Value) {
    cluster.post(&format!("/api/v1/accounts/{account}/sign"), body).await.unwrap()
}

/// The signature's 64 bytes.
fn compact(session: &Value) -> [u8; 64] {
    let signature = &session["signature"];
    let compact = signature["compact"].as_str().unwrap();
    let halves = [&signature["r"], &signature["s"]].map(|half| half.as_str().unwrap());
    assert_eq!(compact, halves.concat());
    assert!(signature.get("recovery_id").is_none(), "{signature}");
    hex::decode(compact).unwrap().try_into().unwrap()
}

/// Verified by the command `openssl`; none if there is none.
fn openssl_believes(key: &[u8], message: &[u8], signature: &[u8]) -> Option<bool> {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let mut command = Command::new("openssl");
    command.args(["pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey"]);
    command.arg(file("key", &[&SPKI_ED25519[..], key].concat()));
    command.arg("-rawin").arg("-in").arg(file("message", message));
    command.arg("-sigfile").arg(file("signature", signature));
    match command.output() {
        Ok(output) => Some(output.status.success()),
        Err(error) => {
            println!("SKIPPED: no second opinion, for want of openssl ({error})");
            assert!(std::env::var_os("CI").is_none(), "which CI must not do");
            None
        }
    }
}

#[actix_rt::test]
async fn an_ed25519_account_signs_bytes_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = office(folder.path()).await;
    let (account, key) = account(&cluster, "eddsa-frost-ed25519").await;
    let long = "ab".repeat(5_000);
    for (message, encoding) in [("a text", "utf8"), ("", "utf8"), (&*long, "hex")] {
        let body = json!({"message": message, "encoding": encoding});
        let (status, session) = sign(&cluster, &account, &body).await;
        assert_eq!(status, 200, "{session}");
        let bytes = match encoding {
            "hex" => hex::decode(message).unwrap(),
            _ => message.as_bytes().to_vec(),
        };
        assert_eq!(session["message"], hex::encode(&bytes));
        let signature = compact(&session);
        // What openssl reads from a file must not be nothing.
        if !bytes.is_empty()
            && let Some(believed) = openssl_believes(&key, &bytes, &signature)
        {
            assert!(believed);
            assert_eq!(openssl_believes(&key, b"another text", &signature), Some(false));
        }
    }
    let hashed = json!({"message": "a text", "hash": "sha256"});
    // A digest for another scheme, or a text of 64 characters?
    let unclear = json!({"message": "5a".repeat(32)});
    for refused in [hashed, unclear] {
        let (status, problem) = sign(&cluster, &account, &refused).await;
        assert_eq!((status, &problem["code"]), (422, &json!("invalid_message")), "{problem}");
    }
    cluster.stop().await;
}

#[actix_rt::test]
async fn a_taproot_account_signs_digests() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = office(folder.path()).await;
    let (account, key) = account(&cluster, "schnorr-frost-secp256k1-tr").await;
    let key = secp256k1::XOnlyPublicKey::from_byte_array(key.try_into().unwrap()).unwrap();
    for body in
        [json!({"message": "5a".repeat(32)}), json!({"message": "a text", "hash": "sha256"})]
    {
        let (status, session) = sign(&cluster, &account, &body).await;
        assert_eq!(status, 200, "{session}");
        let digest = hex::decode(session["message"].as_str().unwrap()).unwrap();
        let signature = secp256k1::schnorr::Signature::from_byte_array(compact(&session));
        signature.verify(&digest, &key).unwrap();
        assert!(signature.verify(&[7; 32], &key).is_err());
    }
    let (status, problem) = sign(&cluster, &account, &json!({"message": "a text"})).await;
    assert_eq!((status, &problem["code"]), (422, &json!("invalid_message")), "{problem}");
    cluster.stop().await;
}
