//! Tokens and registrations let parties in, and keys follow each other.

use crate::client::Reply;
use crate::world::World;
use coordinator::{Admissions, Arrival, Role, Verdict};
use futures_util::future::join_all;
use mpc_wire::{Canonical, EnrolmentToken, Identity, Nonce, PartyId};
use serde_json::{Value, json};

/// A party that has proven this identity to a gateway.
pub(crate) fn arrival(identity: &Identity, token: Option<&str>) -> Arrival {
    let challenge = mpc_wire::handshake::Challenge {
        version: mpc_wire::limits::VERSION,
        server: "post".into(),
        nonce: Nonce::generate(),
    };
    let token = token.map(|token| EnrolmentToken::try_from(token.to_owned()).unwrap());
    let (party, label) = (identity.party(), "of its own".to_owned());
    let hello = mpc_wire::handshake::Hello {
        challenge: &challenge,
        party,
        label: &label,
        token: token.as_ref(),
    };
    let signature = identity.sign(&hello.canonical_bytes());
    let key = party.verify(&hello.canonical_bytes(), &signature).unwrap();
    Arrival { party, key, signature, label, token }
}

/// What becomes of an arrival; the second question must have the same answer.
pub(crate) async fn verdict(
    admissions: &Admissions,
    identity: &Identity,
    token: Option<&str>,
) -> Verdict {
    let arrival = arrival(identity, token);
    let verdict = admissions.admit(&arrival).await.unwrap();
    let confirmed = admissions.confirm(arrival.party, arrival.key).await.unwrap();
    assert_eq!(verdict == Verdict::Admitted, confirmed == Verdict::Admitted, "{confirmed:?}");
    verdict
}

async fn make(world: &World, body: &Value, headers: &[(&str, &str)]) -> Reply {
    world.post("/api/v1/enrolment-tokens", headers, body).await
}

async fn token(world: &World) -> String {
    let made = make(world, &json!({"role": "server", "label": "rack 7"}), &[]).await.expect(201);
    made.text("token").to_owned()
}

async fn shown(world: &World, party: PartyId) -> Option<Value> {
    let parties = world.get("/api/v1/parties").await.expect(200).json;
    let parties = parties["parties"].as_array().unwrap().clone();
    parties.into_iter().find(|shown| shown["party_id"] == party.to_string())
}

#[actix_rt::test]
async fn a_token_lets_one_identity_in_once() {
    let mut world = World::offline(&[]).await;
    let (alice, bob) = (Identity::generate(), Identity::generate());
    let token = token(&world).await;
    let admissions = world.admissions();
    assert_eq!(verdict(&admissions, &alice, None).await, Verdict::NotEnrolled);
    assert_eq!(shown(&world, alice.party()).await, None);
    assert_eq!(verdict(&admissions, &alice, Some(&token)).await, Verdict::Admitted);
    assert_eq!(verdict(&admissions, &bob, Some(&token)).await, Verdict::TokenRefused);
    // Whoever is in stays in, whatever it shows.
    for again in [None, Some(token.as_str()), Some("nonsense")] {
        assert_eq!(verdict(&admissions, &alice, again).await, Verdict::Admitted);
    }
    let party = shown(&world, alice.party()).await.unwrap();
    assert_eq!((&party["role"], &party["label"]), (&json!("server"), &json!("rack 7")));
    assert_eq!((&party["state"], &party["key_number"]), (&json!("registered"), &json!(0)));
    assert_eq!(shown(&world, bob.party()).await, None);

    world.restart().await;
    let admissions = world.admissions();
    assert_eq!(verdict(&admissions, &bob, Some(&token)).await, Verdict::TokenRefused);
    assert_eq!(verdict(&admissions, &alice, None).await, Verdict::Admitted);
    world.stop().await;
}

#[actix_rt::test]
async fn of_many_who_show_a_token_at_once_one_is_let_in() {
    let mut world = World::offline(&[]).await;
    let token = token(&world).await;
    let admissions = world.admissions();
    let identities: Vec<_> = (0..20).map(|_| Identity::generate()).collect();
    let shown = identities.iter().map(|identity| arrival(identity, Some(&token)));
    let shown: Vec<_> = shown.collect();
    let verdicts = join_all(shown.iter().map(|arrival| admissions.admit(arrival))).await;
    let verdicts: Vec<_> = verdicts.into_iter().map(Result::unwrap).collect();
    let count = |like| verdicts.iter().filter(|verdict| **verdict == like).count();
    assert_eq!((count(Verdict::Admitted), count(Verdict::TokenRefused)), (1, 19));
    let parties = world.get("/api/v1/parties").await.json;
    assert_eq!(parties["parties"].as_array().unwrap().len(), 1);
    world.stop().await;
}

#[actix_rt::test]
async fn a_party_without_a_label_of_the_token_has_its_own() {
    let mut world = World::offline(&[]).await;
    let made = make(&world, &json!({"role": "device"}), &[]).await.expect(201);
    let alice = Identity::generate();
    let token = made.text("token").to_owned();
    assert_eq!(verdict(&world.admissions(), &alice, Some(&token)).await, Verdict::Admitted);
    let party = shown(&world, alice.party()).await.unwrap();
    assert_eq!((&party["role"], &party["label"]), (&json!("device"), &json!("of its own")));
    world.stop().await;
}

#[actix_rt::test]
async fn a_cancelled_token_lets_nobody_in() {
    let mut world = World::offline(&[]).await;
    let made = make(&world, &json!({"role": "server"}), &[]).await.expect(201);
    let path = format!("/api/v1/enrolment-tokens/{}", made.text("token_id"));
    assert_eq!(made.header("location"), Some(path.as_str()));
    assert_eq!(made.header("cache-control"), Some("no-store"));
    assert_eq!(world.delete(&path).await.status, 204);
    let token = made.text("token").to_owned();
    let alice = Identity::generate();
    assert_eq!(verdict(&world.admissions(), &alice, Some(&token)).await, Verdict::TokenRefused);
    world.delete(&path).await.expect_problem(404, "enrolment_token_not_found");
    let path = "/api/v1/enrolment-tokens/nonsense";
    world.delete(path).await.expect_problem(404, "enrolment_token_not_found");

    let made = make(&world, &json!({"role": "server"}), &[]).await.expect(201);
    let token = made.text("token").to_owned();
    assert_eq!(verdict(&world.admissions(), &alice, Some(&token)).await, Verdict::Admitted);
    let path = format!("/api/v1/enrolment-tokens/{}", made.text("token_id"));
    let used = world.delete(&path).await.expect_problem(409, "enrolment_token_used");
    assert_eq!(used.json["parties"], json!([alice.party()]));
    world.stop().await;
}

#[actix_rt::test]
async fn the_same_request_makes_the_same_token() {
    let mut world = World::offline(&[]).await;
    let key = [("Idempotency-Key", "one")];
    let body = json!({"role": "server", "expires_in": 60});
    let first = make(&world, &body, &key).await.expect(201);
    let second = make(&world, &body, &key).await.expect(201);
    assert_eq!(first.json, second.json);
    assert_eq!(second.header("idempotency-replayed"), Some("true"));
    let other = json!({"role": "device", "expires_in": 60});
    make(&world, &other, &key).await.expect_problem(409, "idempotency_key_reused");
    let path = format!("/api/v1/enrolment-tokens/{}", first.text("token_id"));
    world.delete(&path).await;
    make(&world, &body, &key).await.expect_problem(409, "idempotency_key_spent");
    world.stop().await;
}

#[actix_rt::test]
async fn what_a_request_for_a_token_may_not_say() {
    let mut world = World::offline(&[]).await;
    for body in [
        json!({}),
        json!({"role": "king"}),
        json!({"role": "server", "expires_in": 0}),
        json!({"role": "server", "expires_in": 3601}),
        json!({"role": "server", "label": "x".repeat(65)}),
        json!({"role": "server", "label": "a\nb"}),
        json!({"role": "server", "for": "ever"}),
    ] {
        make(&world, &body, &[]).await.expect_problem(400, "invalid_body");
    }
    make(&world, &json!({"role": "server", "expires_in": 3600}), &[]).await.expect(201);
    world.stop().await;
}

#[actix_rt::test]
async fn without_a_secret_there_are_no_tokens() {
    let mut world = World::offline(&[]).await;
    let token = token(&world).await;
    world.enrolment = None;
    world.restart().await;
    let refused = make(&world, &json!({"role": "server"}), &[]).await;
    let refused = refused.expect_problem(409, "enrolment_off");
    assert!(refused.text("detail").contains("JWT_SECRET_KEY"));
    let alice = Identity::generate();
    assert_eq!(verdict(&world.admissions(), &alice, Some(&token)).await, Verdict::TokenRefused);
    // Registration is there all the same.
    register(&world, alice.party(), "server").await.expect(201);
    assert_eq!(verdict(&world.admissions(), &alice, None).await, Verdict::Admitted);
    // Another secret does not take the tokens of the first.
    world.enrolment = Some("x".repeat(32));
    world.restart().await;
    let bob = Identity::generate();
    assert_eq!(verdict(&world.admissions(), &bob, Some(&token)).await, Verdict::TokenRefused);
    world.stop().await;
}

async fn register(world: &World, party: PartyId, role: &str) -> Reply {
    let body = json!({"party_id": party, "role": role, "label": "by hand"});
    world.post("/api/v1/parties", &[], &body).await
}

#[actix_rt::test]
async fn a_registered_party_needs_no_token() {
    let mut world = World::offline(&[]).await;
    let alice = Identity::generate();
    let made = register(&world, alice.party(), "server").await.expect(201);
    assert_eq!((made.text("role"), made.text("state")), ("server", "registered"));
    let again = register(&world, alice.party(), "device").await.expect(200);
    assert_eq!((again.text("role"), again.text("label")), ("device", "by hand"));
    assert_eq!(verdict(&world.admissions(), &alice, None).await, Verdict::Admitted);
    for body in [
        json!({"party_id": alice.party(), "role": "king"}),
        json!({"party_id": alice.party(), "role": "server", "label": "x".repeat(65)}),
        json!({"role": "server"}),
    ] {
        world.post("/api/v1/parties", &[], &body).await.expect_problem(400, "invalid_body");
    }
    world.stop().await;
}

/// Ids that are no key, or another encoding of one.
#[actix_rt::test]
async fn an_identity_has_one_name() {
    let mut world = World::offline(&[]).await;
    // y = 1 (the neutral element), the same as p + 1, and y = 2, which is on no curve point.
    let neutral = [&[1][..], &[0; 31]].concat();
    let unreduced = [&[0xee][..], &[0xff; 30], &[0x7f]].concat();
    let none = [&[2][..], &[0; 31]].concat();
    let token = token(&world).await;
    for bytes in [neutral, unreduced, none] {
        let party = PartyId::new(bytes.try_into().unwrap());
        register(&world, party, "server").await.expect_problem(422, "invalid_party_id");
        let forged = Arrival { party, ..arrival(&Identity::generate(), Some(&token)) };
        let verdict = world.admissions().admit(&forged).await.unwrap();
        assert_eq!(verdict, Verdict::TokenRefused);
    }
    let body = json!({"party_id": "nonsense", "role": "server"});
    world.post("/api/v1/parties", &[], &body).await.expect_problem(422, "invalid_party_id");
    // None of them has used the token up.
    let alice = Identity::generate();
    assert_eq!(verdict(&world.admissions(), &alice, Some(&token)).await, Verdict::Admitted);
    world.stop().await;
}

#[actix_rt::test]
async fn a_newer_key_takes_the_place_of_the_older_for_good() {
    let mut world = World::offline(&[]).await;
    let first = Identity::generate();
    let second = first.rotate().unwrap();
    let fork = first.rotate().unwrap();
    let longer_fork = fork.rotate().unwrap().rotate().unwrap();
    register(&world, first.party(), "server").await.expect(201);
    let admissions = world.admissions();
    assert_eq!(verdict(&admissions, &first, None).await, Verdict::Admitted);
    assert_eq!(verdict(&admissions, &second, None).await, Verdict::Admitted);
    for _ in 0..2 {
        let party = shown(&world, first.party()).await.unwrap();
        assert_eq!(party["key_number"], 1);
        let admissions = world.admissions();
        for older in [&first, &fork, &longer_fork] {
            assert_eq!(verdict(&admissions, older, None).await, Verdict::KeySuperseded);
        }
        assert_eq!(verdict(&admissions, &second, None).await, Verdict::Admitted);
        world.restart().await;
    }
    // A party may have missed some of its own rotations' connections.
    let fourth = second.rotate().unwrap().rotate().unwrap();
    assert_eq!(verdict(&world.admissions(), &fourth, None).await, Verdict::Admitted);
    assert_eq!(verdict(&world.admissions(), &second, None).await, Verdict::KeySuperseded);
    world.stop().await;
}

#[actix_rt::test]
async fn a_rotated_identity_enrols_with_its_newest_key() {
    let mut world = World::offline(&[Role::Server]).await;
    let first = Identity::generate();
    let second = first.rotate().unwrap();
    let token = token(&world).await;
    let admissions = world.admissions();
    assert_eq!(verdict(&admissions, &second, Some(&token)).await, Verdict::Admitted);
    assert_eq!(verdict(&admissions, &first, Some(&token)).await, Verdict::KeySuperseded);
    assert_eq!(shown(&world, first.party()).await.unwrap()["key_number"], 1);
    world.stop().await;
}
