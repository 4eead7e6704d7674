use super::*;
use crate::clock::Clock;
use jsonwebtoken::errors::ErrorKind;
use serde_json::{Value, json};

fn secret() -> EnrolmentSecret {
    "a secret of the tests, long enough".to_owned().try_into().unwrap()
}

fn now() -> UnixMillis {
    Clock::start().wall()
}

fn ticket() -> Ticket {
    Ticket::new(Role::Server, Some("rack 7".into()), now(), DEFAULT_TOKEN_LIFE)
}

fn shown(token: &str) -> Result<Ticket, TokenFault> {
    verify(&secret(), &token.to_owned().try_into().unwrap(), now())
}

fn claims() -> Value {
    let seconds = now().0 / 1000;
    json!({
        "iss": "mpc-coordinator", "aud": "mpc-enrolment", "role": "server",
        "jti": Uuid::now_v7(), "iat": seconds, "exp": seconds + 60,
    })
}

/// Signed by the coordinator's own secret, whatever it says.
fn signed(claims: &Value) -> String {
    hs256::install();
    let key = EncodingKey::from_secret(secret().as_bytes());
    jsonwebtoken::encode(&Header::new(ALGORITHM), claims, &key).unwrap()
}

fn kind(token: &str) -> ErrorKind {
    match shown(token) {
        Err(TokenFault::Jwt(error)) => error.into_kind(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_token_comes_back_as_its_ticket_and_is_the_same_each_time() {
    let ticket = ticket();
    let token = ticket.sign(&secret()).unwrap();
    assert_eq!(token, ticket.sign(&secret()).unwrap());
    assert!(token.len() <= mpc_wire::limits::MAX_TOKEN);
    assert_eq!(shown(&token).unwrap(), ticket);
}

#[test]
fn the_signature_is_hmac_sha256_of_header_and_claims() {
    // The example of RFC 7515, A.1.
    let key =
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
    let message = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAs\
                   DQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    hs256::install();
    let key = EncodingKey::from_urlsafe_base64_secret(&format!("{key}==")).unwrap();
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, ALGORITHM).unwrap();
    assert_eq!(signature, "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
}

#[test]
fn no_other_algorithm_is_there() {
    hs256::install();
    let key = EncodingKey::from_secret(secret().as_bytes());
    for algorithm in [Algorithm::HS384, Algorithm::HS512] {
        let refused = jsonwebtoken::encode(&Header::new(algorithm), &claims(), &key).unwrap_err();
        assert_eq!(*refused.kind(), ErrorKind::InvalidAlgorithm);
    }
}

#[test]
fn what_is_not_signed_by_this_coordinator_is_refused() {
    let token = ticket().sign(&secret()).unwrap();
    let other: EnrolmentSecret = "x".repeat(32).try_into().unwrap();
    let foreign = ticket().sign(&other).unwrap();
    assert_eq!(kind(&foreign), ErrorKind::InvalidSignature);
    let (message, _) = token.rsplit_once('.').unwrap();
    assert_eq!(kind(&format!("{message}.")), ErrorKind::InvalidSignature);
    for broken in ["", ".", "..", "a.b", message, &format!("{}.x", token.as_str())] {
        assert!(matches!(shown(broken), Err(TokenFault::Jwt(_))), "{broken}");
    }
    // Another claim under the old signature.
    let (header, rest) = token.split_once('.').unwrap();
    let (_, signature) = rest.split_once('.').unwrap();
    let altered = signed(&claims());
    let claims = altered.split('.').nth(1).unwrap();
    assert_eq!(kind(&format!("{header}.{claims}.{signature}")), ErrorKind::InvalidSignature);
}

#[test]
fn a_header_has_one_form() {
    hs256::install();
    let key = EncodingKey::from_secret(secret().as_bytes());
    let named = Header { kid: Some("1".into()), ..Header::new(ALGORITHM) };
    let untyped = Header { typ: None, ..Header::new(ALGORITHM) };
    for header in [named, untyped] {
        let token = jsonwebtoken::encode(&header, &claims(), &key).unwrap();
        assert!(matches!(shown(&token), Err(TokenFault::Header)));
    }
}

#[test]
fn every_claim_but_the_label_is_required_and_no_other_is_taken() {
    assert!(shown(&signed(&claims())).is_ok());
    for claim in ["iss", "aud", "jti", "iat", "exp", "role"] {
        let mut claims = claims();
        claims.as_object_mut().unwrap().remove(claim);
        assert!(shown(&signed(&claims)).is_err(), "without {claim}");
    }
    for (claim, value) in [
        ("iss", json!("somebody")),
        ("aud", json!("another")),
        ("aud", json!(["mpc-enrolment", "another"])),
        ("jti", json!(Uuid::nil())),
        ("jti", json!("7")),
        ("role", json!("king")),
        ("exp", json!("tomorrow")),
        ("exp", json!(null)),
        ("admin", json!(true)),
    ] {
        let mut claims = claims();
        claims.as_object_mut().unwrap().insert(claim.into(), value.clone());
        assert!(shown(&signed(&claims)).is_err(), "{claim}: {value}");
    }
}

#[test]
fn a_token_lives_for_its_time_and_never_longer_than_an_hour() {
    let seconds = now().0 / 1000;
    let at = |iat: u64, exp: u64| {
        let mut claims = claims();
        let fields = claims.as_object_mut().unwrap();
        fields.insert("iat".into(), json!(iat));
        fields.insert("exp".into(), json!(exp));
        shown(&signed(&claims))
    };
    assert!(at(seconds, seconds + 3600).is_ok());
    assert!(at(seconds - 3000, seconds + 600).is_ok());
    assert!(matches!(at(seconds, seconds + 3601), Err(TokenFault::Life)));
    assert!(matches!(at(seconds + 600, seconds + 1200), Err(TokenFault::Life)));
    assert!(at(seconds - 60, seconds - 1).is_err());
    // At its last second it is over.
    let ticket = Ticket::new(Role::Server, None, now(), Duration::from_secs(60));
    let token: EnrolmentToken = ticket.sign(&secret()).unwrap().to_string().try_into().unwrap();
    let expired = verify(&secret(), &token, ticket.expires_at).unwrap_err();
    assert!(matches!(expired, TokenFault::Expired));
    let long = Ticket::new(Role::Server, None, now(), MAX_TOKEN_LIFE * 2);
    assert_eq!(long.expires_at.0 - long.created_at.0, 3_600_000);
}
