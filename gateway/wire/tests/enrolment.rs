//! Until it is used an enrolment token is as good as a key: nothing shows it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use mpc_wire::handshake::{Challenge, Hello, TokenTooLong};
use mpc_wire::limits::MAX_TOKEN;
use mpc_wire::{Canonical, EnrolmentToken, Nonce, PartyId, PartySignature, ToCoordinator};

const CANARY: &str = "eyJhbGciOi.Y2FuYXJ5LXRva2Vu.c2lnbmF0dXJl";

fn token(text: &str) -> Result<EnrolmentToken, TokenTooLong> {
    EnrolmentToken::try_from(text.to_owned())
}

fn shows_the_token(text: &str) -> bool {
    CANARY.split('.').any(|part| text.contains(part))
}

#[test]
fn a_token_is_not_formatted() {
    let token = token(CANARY).unwrap();
    assert_eq!(token.expose(), CANARY);
    let challenge = Challenge { version: 1, server: "gateway".into(), nonce: Nonce::new([1; 32]) };
    let party = PartyId::new([2; 32]);
    let hello = Hello { challenge: &challenge, party, label: "", token: Some(&token) };
    let prove = ToCoordinator::Prove {
        party,
        label: String::new(),
        token: Some(token.clone()),
        signature: PartySignature::from([3; 64]),
    };
    for text in [format!("{token:?}"), format!("{hello:?}"), format!("{prove:#?}")] {
        assert!(text.contains("redacted") && !shows_the_token(&text), "{text}");
    }
    // What is signed, and may be kept, holds its hash alone.
    let signed = hello.canonical_bytes();
    assert!(!shows_the_token(&String::from_utf8_lossy(&signed)));
}

#[test]
fn a_refused_token_is_not_formatted() {
    let long = CANARY.repeat(MAX_TOKEN / CANARY.len() + 1);
    let error = token(&long).unwrap_err();
    assert_eq!(error.to_string(), "not an enrolment token: at most 1024 bytes");
    let json = serde_json::to_string(&long).unwrap();
    let error = serde_json::from_str::<EnrolmentToken>(&json).unwrap_err();
    assert!(!shows_the_token(&error.to_string()), "{error}");
    let packed = rmp_serde::to_vec(&long).unwrap();
    let error = mpc_wire::codec::decode::<EnrolmentToken>(&packed).unwrap_err();
    assert!(!shows_the_token(&error.to_string()), "{error}");
}

#[test]
fn a_token_is_bounded() {
    assert!(token(&"x".repeat(MAX_TOKEN)).is_ok());
    assert_eq!(token(&"x".repeat(MAX_TOKEN + 1)), Err(TokenTooLong));
}
