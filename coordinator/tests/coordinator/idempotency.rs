use crate::parties::{Manner, is_sign_invite};
use crate::world::World;
use awc::http::Method;
use futures_util::future::join_all;
use mpc_wire::DeclineReason;
use serde_json::json;
use std::collections::BTreeSet;

#[actix_web::test]
async fn the_same_request_is_answered_alike_and_another_refused() {
    let world = World::of_three().await;
    let account = world.account().await;
    let other = world.account().await;
    let key = [("Idempotency-Key", "sign-1")];
    let first = world.sign(account, &key).await.expect(200);
    assert_eq!(first.header("idempotency-replayed"), None);
    let before = world.rows().await;
    for _ in 0..2 {
        let again = world.sign(account, &key).await.expect(200);
        assert_eq!(again.header("idempotency-replayed"), Some("true"));
        assert_eq!(again.json, first.json);
    }
    // Another body, another path, another kind of request.
    let path = format!("/api/v1/accounts/{account}/sign");
    let body = json!({"message": "cd".repeat(32)});
    world.post(&path, &key, &body).await.expect_problem(409, "idempotency_key_reused");
    world.sign(other, &key).await.expect_problem(409, "idempotency_key_reused");
    let body = json!({"user_id": "alice"});
    let reply = world.post("/api/v1/accounts", &key, &body).await;
    reply.expect_problem(409, "idempotency_key_reused");
    assert_eq!(world.rows().await, before);
    // Without a key, or with another one, it is another request.
    let without = world.sign(account, &[]).await.expect(200);
    assert_ne!(without.json["session_id"], first.json["session_id"]);
}

/// What lies in a database may have been altered there: a stored signature is verified before it is
/// told once more.
#[actix_web::test]
async fn an_altered_result_is_not_told() {
    let world = World::of_three().await;
    let account = world.account().await;
    let key = [("Idempotency-Key", "sign-1")];
    let first = world.sign(account, &key).await.expect(200);
    let path = format!("/api/v1/sessions/{}", first.text("session_id"));
    world.get(&path).await.expect(200);
    let ecdsa = "$.end.completed.signature.signature.ecdsa";
    for altered in
        [format!("{ecdsa}.s[0]"), format!("{ecdsa}.r[31]"), format!("{ecdsa}.recovery_id")]
    {
        let changed = world
            .numbers(&format!(
                "UPDATE sessions SET record = json_set(record, '{altered}', \
                 (json_extract(record, '{altered}') + 1) % 2) WHERE kind = 'sign' RETURNING 1"
            ))
            .await;
        assert!(!changed.is_empty(), "{altered}");
        world.sign(account, &key).await.expect_problem(500, "store_corrupt");
        world.get(&path).await.expect_problem(500, "store_corrupt");
    }
}

#[actix_web::test]
async fn concurrent_duplicates_make_one_session() {
    let world = World::of_three().await;
    let account = world.account().await;
    let before = world.rows().await;
    let invites = world.parties.count(|_, message| is_sign_invite(message));
    let key = [("Idempotency-Key", "twins")];
    let replies = join_all((0..12).map(|_| world.sign(account, &key))).await;
    let sessions: BTreeSet<_> =
        replies.iter().map(|reply| reply.text("session_id").to_owned()).collect();
    assert_eq!(sessions.len(), 1, "{replies:?}");
    let replayed = replies.iter().filter(|r| r.header("idempotency-replayed").is_some()).count();
    assert_eq!(replayed, 11);
    assert!(replies.iter().all(|reply| reply.status == 200 && reply.json == replies[0].json));
    let [accounts, holders, sessions, attempts, keys] = before;
    assert_eq!(world.rows().await, [accounts, holders, sessions + 1, attempts, keys + 1]);
    assert_eq!(world.parties.count(|_, message| is_sign_invite(message)), invites + 2);
}

#[actix_web::test]
async fn concurrent_duplicates_make_one_account() {
    let world = World::of_three().await;
    let body = json!({"user_id": "alice"});
    let key = [("Idempotency-Key", "account")];
    let replies = join_all((0..6).map(|_| world.post("/api/v1/accounts", &key, &body))).await;
    for reply in &replies {
        assert_eq!((reply.status, &reply.json), (201, &replies[0].json));
    }
    let again = world.post("/api/v1/accounts", &key, &body).await.expect(201);
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(again.json, replies[0].json);
    let [accounts, holders, ..] = world.rows().await;
    assert_eq!((accounts, holders), (1, 3));
}

#[actix_web::test]
async fn a_failure_is_replayed_too() {
    let world = World::of_three().await;
    let account = world.account().await;
    for party in &world.ids {
        world.parties.behave(*party, Manner::Declines(DeclineReason::Refused));
    }
    let key = [("Idempotency-Key", "declined")];
    let first = world.sign(account, &key).await.expect_problem(403, "declined");
    for party in &world.ids {
        world.parties.behave(*party, Manner::Honest);
    }
    let again = world.sign(account, &key).await.expect_problem(403, "declined");
    assert_eq!(again.json, first.json);
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
}

#[actix_web::test]
async fn a_second_waits_for_the_first_ones_session() {
    let world = World::of_three().await;
    let account = world.account().await;
    for party in &world.ids {
        world.parties.behave(*party, Manner::Stalls);
    }
    let headers = [("Idempotency-Key", "slow"), ("Prefer", "respond-async")];
    let first = world.sign(account, &headers).await.expect(202);
    let path = first.header("location").unwrap().to_owned();
    world.until(&path, |reply| reply.json["state"] == "running").await;
    let again = world.sign(account, &headers).await.expect(202);
    assert_eq!(again.json["session_id"], first.json["session_id"]);
    let waiting = world.sign(account, &headers[..1]);
    let end = async {
        world.delete(&path).await.expect(202);
    };
    let (second, ()) = futures_util::future::join(waiting, end).await;
    second.expect_problem(409, "session_cancelled");
}

#[actix_web::test]
async fn keys_that_are_none_are_refused() {
    let world = World::of_three().await;
    let account = world.account().await;
    let before = world.rows().await;
    let long = "k".repeat(256);
    for key in ["", "with space", "umlaut-\u{fc}", &long] {
        let reply = world.sign(account, &[("Idempotency-Key", key)]).await;
        reply.expect_problem(400, "idempotency_key_invalid");
    }
    let two = [("Idempotency-Key", "a"), ("Idempotency-Key", "b")];
    world.sign(account, &two).await.expect_problem(400, "idempotency_key_invalid");
    assert_eq!(world.rows().await, before);
    world.sign(account, &[("Idempotency-Key", &long[1..])]).await.expect(200);
    // Reading needs no key, and ignores one.
    let headers = [("Idempotency-Key", "")];
    world.request(Method::GET, "/api/v1/accounts", &headers, None).await.expect(200);
}
