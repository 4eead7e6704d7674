//! Enrolment tokens, and what is not one.

use crate::house::{again, audited, refused, shown, stranger, welcomed};
use hmac::{Hmac, KeyInit, Mac};
use jsonwebtoken::dangerous::insecure_decode;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use mpc_tests::cluster::{Cluster, ENROLMENT_SECRET};
use party_runtime::RefusalReason;
use serde_json::{Value, json};
use sha2::{Sha256, Sha512};
use std::time::Duration;

async fn token(cluster: &Cluster) -> String {
    let body = json!({ "role": "server", "label": "rack 7" });
    let (status, made) = cluster.post("/api/v1/enrolment-tokens", &body).await.unwrap();
    assert_eq!(status, 201, "{made}");
    made["token"].as_str().unwrap().to_owned()
}

#[actix_rt::test]
async fn a_party_enrols_by_a_token_which_lets_nobody_else_in() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(folder.path(), Vec::new()).await.unwrap();
    let token = token(&cluster).await;
    let (alice, vault) = stranger(&cluster, &folder.path().join("alice"), Some(&token)).await;
    welcomed(&alice).await;
    cluster.wait_online(1).await.unwrap();
    let party = shown(&cluster, alice.id()).await;
    assert_eq!((&party["label"], &party["role"]), (&json!("rack 7"), &json!("server")));
    assert_eq!((&party["state"], &party["key_number"]), (&json!("registered"), &json!(0)));

    let (mallory, _) = stranger(&cluster, &folder.path().join("mallory"), Some(&token)).await;
    assert_eq!(refused(&mallory).await, RefusalReason::TokenRefused);
    assert_eq!(shown(&cluster, mallory.id()).await, Value::Null);

    // It comes again without the token, which was needed once.
    alice.stop().await;
    cluster.wait_online(0).await.unwrap();
    welcomed(&again(&cluster, &vault, None).await).await;
    cluster.stop().await;
    audited(folder.path()).await;
}

#[actix_rt::test]
async fn a_party_that_is_not_let_in_knocks_seldom_until_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(folder.path(), Vec::new()).await.unwrap();
    let (alice, _) = stranger(&cluster, &folder.path().join("alice"), None).await;
    assert_eq!(refused(&alice).await, RefusalReason::NotEnrolled);
    // This passing of time is what is tested: the pause doubles from 50 ms, so that seven connections
    // fit in, and a few more on a machine that sleeps longer than it was asked to.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let connections = cluster.gateway.stats().connections.value();
    assert!((2..=9).contains(&connections), "{connections} connections");
    let body = json!({ "party_id": alice.id(), "role": "device", "label": "by hand" });
    let (status, _) = cluster.post("/api/v1/parties", &body).await.unwrap();
    assert_eq!(status, 201);
    welcomed(&alice).await;
    cluster.stop().await;
}

/// Two identities come with one token in the same moment.
#[actix_rt::test]
async fn of_two_who_race_with_a_token_one_is_let_in() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(folder.path(), Vec::new()).await.unwrap();
    let token = token(&cluster).await;
    let (one, _) = stranger(&cluster, &folder.path().join("one"), Some(&token)).await;
    let (two, _) = stranger(&cluster, &folder.path().join("two"), Some(&token)).await;
    let (winner, loser) = tokio::select! {
        () = welcomed(&one) => (&one, &two),
        () = welcomed(&two) => (&two, &one),
    };
    assert_eq!(refused(loser).await, RefusalReason::TokenRefused);
    assert_eq!(shown(&cluster, loser.id()).await, Value::Null);
    assert_eq!(shown(&cluster, winner.id()).await["state"], "registered");
    cluster.stop().await;
}

#[actix_rt::test]
async fn row_25_alg_none_and_other_algorithms_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(folder.path(), Vec::new()).await.unwrap();
    let valid = token(&cluster).await;
    let (message, signature) = valid.rsplit_once('.').unwrap();
    let claims = message.split_once('.').unwrap().1;
    let headed = |header: Value| format!("{}.{claims}", b64(header.to_string().as_bytes()));
    let hs256 = |message: &str| {
        let mut mac = Hmac::<Sha256>::new_from_slice(ENROLMENT_SECRET.as_bytes()).unwrap();
        mac.update(message.as_bytes());
        b64(&mac.finalize().into_bytes())
    };
    let hs512 = |message: &str| {
        let mut mac = Hmac::<Sha512>::new_from_slice(ENROLMENT_SECRET.as_bytes()).unwrap();
        mac.update(message.as_bytes());
        b64(&mac.finalize().into_bytes())
    };
    // The helper makes what the coordinator makes.
    assert_eq!(hs256(message), signature);

    let mut forged = vec![format!("{message}."), message.to_owned(), String::new()];
    for none in ["none", "None", "NONE", "nOnE", ""] {
        let message = headed(json!({ "alg": none, "typ": "JWT" }));
        forged.push(format!("{message}."));
        forged.push(format!("{message}.{signature}"));
        forged.push(format!("{message}.{}", hs256(&message)));
    }
    // Signed by whoever knows the secret, but in another way; or as if the secret were a public key.
    let message = headed(json!({ "alg": "HS512", "typ": "JWT" }));
    forged.push(format!("{message}.{}", hs512(&message)));
    for other in ["HS384", "HS512", "RS256", "PS256", "ES256", "EdDSA"] {
        let message = headed(json!({ "alg": other, "typ": "JWT" }));
        forged.push(format!("{message}.{}", hs256(&message)));
    }
    // The right algorithm, with something beside it that could bring another key.
    for more in [json!({ "jwk": { "kty": "oct", "k": "AA" } }), json!({ "kid": "/dev/null" })] {
        let mut header = json!({ "alg": "HS256", "typ": "JWT" });
        header.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let message = headed(header);
        forged.push(format!("{message}.{}", hs256(&message)));
    }
    all_refused(&cluster, folder.path(), &forged).await;

    // None of them has used up the token, whose id they all bear.
    let (alice, _) = stranger(&cluster, &folder.path().join("alice"), Some(&valid)).await;
    welcomed(&alice).await;
    cluster.stop().await;
}

/// Signed by the right secret in the right way: what they say is wrong.
#[actix_rt::test]
async fn expired_foreign_and_unknown_tokens_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(folder.path(), Vec::new()).await.unwrap();
    let valid = token(&cluster).await;
    let claims: Value = insecure_decode(&valid).unwrap().claims;
    let now = claims["iat"].as_u64().unwrap();
    let with = |changes: Value| {
        let mut claims = claims.clone();
        claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        let key = EncodingKey::from_secret(ENROLMENT_SECRET.as_bytes());
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key).unwrap()
    };
    let forged = [
        with(json!({ "iat": now - 120, "exp": now - 60 })),
        with(json!({ "exp": now + 100_000 })),
        with(json!({ "exp": null })),
        with(json!({ "aud": "another" })),
        with(json!({ "aud": ["mpc-enrolment", "another"] })),
        with(json!({ "iss": "another" })),
        with(json!({ "role": "king" })),
        // As whoever has stolen the secret could make it: no token has this id.
        with(json!({ "jti": "0198c6a0-0000-7000-8000-000000000000" })),
    ];
    all_refused(&cluster, folder.path(), &forged).await;
    // What the helper makes would be let in, were it not for the changes.
    let unchanged = with(json!({}));
    let (alice, _) = stranger(&cluster, &folder.path().join("alice"), Some(&unchanged)).await;
    welcomed(&alice).await;
    cluster.stop().await;
}

/// Each is shown by a party of its own, all at once.
async fn all_refused(cluster: &Cluster, folder: &std::path::Path, tokens: &[String]) {
    let mut parties = Vec::new();
    for (number, token) in tokens.iter().enumerate() {
        let folder = folder.join(format!("forger-{number}"));
        parties.push(stranger(cluster, &folder, Some(token)).await.0);
    }
    for (party, token) in parties.into_iter().zip(tokens) {
        assert_eq!(refused(&party).await, RefusalReason::TokenRefused, "{token}");
        party.stop().await;
    }
    let (_, body) = cluster.get("/api/v1/parties").await.unwrap();
    assert_eq!(body["parties"], json!([]));
}

/// Base64url without padding (RFC 7515, 2).
fn b64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - chunk.len()));
        for place in 0..=chunk.len() {
            let index = bits >> (18 - 6 * place) & 63;
            text.push(char::from(ALPHABET[index as usize]));
        }
    }
    text
}
