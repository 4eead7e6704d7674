//! Secrets of those who speak to a node: keys of the API, requesters' keys, keys of TLS.

use crate::shown::{BYTES, Case, Shown, TEXT, check_all};
use mpc::api;
use mpc::client::Client;
use mpc::requester::{Algorithm, RequesterKey};
use mpc::tls::ListenerTls;
use mpc_wire::Transport;
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// Secret types of the library `mpc`.
pub(crate) const CASES: &[Case] = &[
    ("ApiKeyText", api_key_text),
    ("api::ApiKey", api_key),
    ("api::EnrolmentToken", enrolment_token),
    ("ApiKeyId", api_key_id),
    ("Client", client),
    ("RequesterKey", requester_key),
    ("ListenerTls", listener_tls),
];

#[test]
fn no_secret_of_a_client_is_told() {
    check_all(CASES);
}

fn api_key_text(shown: &mut Shown) {
    shown.debug(&serde_json::from_value::<api::ApiKeyText>(TEXT.into()).unwrap());
}

fn api_key(shown: &mut Shown) {
    let json = serde_json::json!({
        "id": "0123456789abcdef", "name": "n", "scopes": ["read"], "state": "active",
        "created_at": "2026-01-01T00:00:00.000Z", "key": TEXT,
    });
    let key: api::ApiKey = serde_json::from_value(json.clone()).unwrap();
    shown.debug(&key);
    shown.debug(&api::ApiKeys { api_keys: vec![key] });
    let cut = json.to_string();
    for at in 0..cut.len() {
        shown.refused(serde_json::from_str::<api::ApiKey>(&cut[..at]));
    }
}

fn enrolment_token(shown: &mut Shown) {
    let json = serde_json::json!({
        "token": TEXT, "token_id": "0198c6a0-0000-7000-8000-000000000000", "role": "server",
        "expires_at": "2026-01-01T00:00:00.000Z",
    });
    shown.debug(&serde_json::from_value::<api::EnrolmentToken>(json).unwrap());
}

/// A key in the place of its id.
fn api_key_id(shown: &mut Shown) {
    shown.refused(TEXT.parse::<api::ApiKeyId>());
    shown.refused(format!("mpc_0123456789abcdef_{}", hex::encode(BYTES)).parse::<api::ApiKeyId>());
}

fn client(shown: &mut Shown) {
    let made = |key: &str| Client::new("http://127.0.0.1:1", &Transport::Loopback, key);
    actix_rt::System::new().block_on(async {
        shown.debug(&made(TEXT).unwrap());
        shown.refused(made(&format!("{TEXT}\n")));
        let elsewhere = Client::new("http://192.0.2.1:1", &Transport::Loopback, TEXT);
        shown.refused(elsewhere);
        // A request that nobody answers.
        shown.refused(made(TEXT).unwrap().parties().await);
    });
}

fn requester_key(shown: &mut Shown) {
    let folder = tempfile::tempdir().unwrap();
    for algorithm in [Algorithm::Ed25519, Algorithm::P256] {
        let path = folder.path().join(format!("{algorithm:?}"));
        let key = RequesterKey::generate(algorithm).unwrap();
        key.write(&path).unwrap();
        let pem = fs::read_to_string(&path).unwrap();
        // Where the secret stands behind the headers of PKCS#8.
        let start = match algorithm {
            Algorithm::Ed25519 => 16,
            Algorithm::P256 => 36,
        };
        let pair = rcgen::KeyPair::from_pem(&pem).unwrap();
        shown.look_for(&pair.serialized_der()[start..start + 32]);
        shown.debug(&key);
        shown.refused(key.write(&path));
        fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
        shown.refused(RequesterKey::read(&path));
        fs::write(&path, pem.replace("PRIVATE", "SECRET")).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        shown.refused(RequesterKey::read(&path));
    }
}

fn listener_tls(shown: &mut Shown) {
    let folder = tempfile::tempdir().unwrap();
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    let pair = rcgen::KeyPair::generate().unwrap();
    let other = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    fs::write(&cert, params.self_signed(&pair).unwrap().pem()).unwrap();
    for pair in [&pair, &other] {
        // The private scalar stands behind the outer headers; the public point ends the document.
        shown.look_for(&pair.serialized_der()[36..68]);
    }
    let write = |text: &str, mode| {
        fs::write(&key, text).unwrap();
        fs::set_permissions(&key, PermissionsExt::from_mode(mode)).unwrap();
    };
    let pem = pair.serialize_pem();
    write(&pem, 0o600);
    let listener = ListenerTls::load(&cert, &key).unwrap();
    shown.debug(&listener);
    shown.debug(&listener.config());
    for (text, mode) in [
        (other.serialize_pem(), 0o600),
        (pem.clone(), 0o644),
        (pem[..pem.len() / 2].to_owned(), 0o600),
        (pem.replace("PRIVATE KEY", "SECRET KEY"), 0o600),
        (pem.replacen('\n', "\nx", 2), 0o600),
    ] {
        write(&text, mode);
        shown.refused(ListenerTls::load(&cert, &key));
    }
    // The key in the place of the certificate.
    write(&pem, 0o600);
    shown.refused(ListenerTls::load(&key, &key));
}
