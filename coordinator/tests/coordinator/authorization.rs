use crate::client::Reply;
use crate::parties::{Manner, is_sign_invite};
use crate::sign::verify;
use crate::world::World;
use mpc_wire::{
    AccountId, Attempt, DeclineReason, Intent, IntentKind, Objection, RequestId, SessionId,
    ToCoordinator, ToParty,
};
use serde_json::{Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

fn in_millis(after: Duration) -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + after;
    u64::try_from(since.as_millis()).unwrap()
}

/// A request with a signature, which only the parties could judge.
fn authorized(request: RequestId) -> Value {
    json!({
        "message": "ab".repeat(32),
        "path": "m",
        "request_id": request,
        "authorization": {
            "requester": "backend",
            "expires_at": in_millis(Duration::from_secs(20)),
            "signature": "5a".repeat(64),
        },
    })
}

async fn post(world: &World, account: AccountId, headers: &[(&str, &str)], body: &Value) -> Reply {
    world.post(&format!("/api/v1/accounts/{account}/sign"), headers, body).await
}

/// The newest intent to sign that a party was invited to.
async fn invited(world: &World) -> Intent {
    let newest = |told: &[(mpc_wire::PartyId, ToParty)]| {
        told.iter().rev().find_map(|(_, message)| match message {
            ToParty::Invite { intent, .. } if is_sign_invite(message) => Some(intent.clone()),
            _ => None,
        })
    };
    world.parties.told(newest).await
}

#[actix_web::test]
async fn an_authorization_is_passed_on_as_it_came() {
    let world = World::of_three().await;
    let account = world.account().await;
    let request = RequestId::generate();
    let body = authorized(request);
    let reply = post(&world, account, &[], &body).await.expect(200);
    verify(account, &reply.json);
    assert_eq!(reply.text("request_id"), request.to_string());
    assert_eq!(reply.json["authorization"]["requester"], "backend");

    let intent = invited(&world).await;
    assert_eq!(intent.request, request);
    let IntentKind::Sign { authorization: Some(given), path, .. } = &intent.kind else {
        panic!("{intent:?}")
    };
    assert_eq!(given.requester.as_str(), "backend");
    assert_eq!(given.signature, [0x5a; 64]);
    assert_eq!(json!(given.expires_at.0), body["authorization"]["expires_at"]);
    assert!(path.is_root());
    // The session ends with the consent that it stands on, before its own deadline of a minute.
    assert_eq!(intent.expires_at, given.expires_at);
}

#[actix_web::test]
async fn a_request_id_is_used_once() {
    let mut world = World::of_three().await;
    let account = world.account().await;
    let body = authorized(RequestId::generate());
    let first = post(&world, account, &[], &body).await.expect(200);
    post(&world, account, &[], &body).await.expect_problem(409, "request_id_reused");
    let mut other = authorized(RequestId::generate());
    other["request_id"] = first.json["request_id"].clone();
    other["message"] = json!("cd".repeat(32));
    post(&world, account, &[], &other).await.expect_problem(409, "request_id_reused");
    world.restart().await;
    world.all_online().await;
    post(&world, account, &[], &body).await.expect_problem(409, "request_id_reused");

    // A request that is sent again under its idempotency key is answered as it was.
    let headers = [("Idempotency-Key", "one")];
    let body = authorized(RequestId::generate());
    let first = post(&world, account, &headers, &body).await.expect(200);
    let again = post(&world, account, &headers, &body).await.expect(200);
    assert_eq!(first.json, again.json);
    let twins = (0..10).map(|_| post(&world, account, &[("Idempotency-Key", "two")], &body));
    for twin in futures_util::future::join_all(twins).await {
        twin.expect_problem(409, "request_id_reused");
    }
    let body = authorized(RequestId::generate());
    let twins = (0..10).map(|_| post(&world, account, &[("Idempotency-Key", "three")], &body));
    let twins = futures_util::future::join_all(twins).await;
    assert!(twins.iter().all(|twin| twin.status == 200 && twin.json == twins[0].json), "{twins:?}");
}

#[actix_web::test]
async fn what_cannot_be_asked_is_refused_before_anybody_is_troubled() {
    let world = World::of_three().await;
    let account = world.account().await;
    let rows = world.rows().await;
    let change = |pointer: &str, value: Value| {
        let mut body = authorized(RequestId::generate());
        *body.pointer_mut(pointer).unwrap() = value;
        body
    };
    let mut without_id = authorized(RequestId::generate());
    without_id.as_object_mut().unwrap().remove("request_id");
    let mut lasting = authorized(RequestId::generate());
    lasting["expires_in"] = json!(3601);
    let mut no_time = authorized(RequestId::generate());
    no_time["expires_in"] = json!(0);
    for (body, status, code) in [
        (change("/path", json!("m/0/1")), 422, "unsupported_path"),
        (change("/path", json!("m/0'")), 422, "unsupported_path"),
        (change("/path", json!("")), 422, "unsupported_path"),
        (without_id, 422, "invalid_authorization"),
        (change("/authorization/signature", json!("5a")), 422, "invalid_authorization"),
        (change("/authorization/signature", json!("zz".repeat(64))), 422, "invalid_authorization"),
        (
            change("/authorization/expires_at", json!(in_millis(Duration::ZERO))),
            422,
            "authorization_expired",
        ),
        (change("/authorization/expires_at", json!(0)), 422, "authorization_expired"),
        (lasting, 422, "invalid_expiry"),
        (no_time, 422, "invalid_expiry"),
        (change("/authorization/requester", json!("two words")), 400, "invalid_body"),
        (change("/authorization/requester", json!("")), 400, "invalid_body"),
        (change("/authorization", json!({"requester": "backend"})), 400, "invalid_body"),
        (change("/request_id", json!("not a uuid")), 400, "invalid_body"),
    ] {
        let reply = post(&world, account, &[], &body).await;
        assert_eq!(reply.status, status, "{body}: {reply:?}");
        reply.expect_problem(status, code);
    }
    assert_eq!(world.rows().await, rows);
}

#[actix_web::test]
async fn a_request_says_how_long_it_may_take() {
    let world = World::of_three().await;
    let account = world.account().await;
    let body = json!({"message": "ab".repeat(32), "expires_in": 3600});
    let before = in_millis(Duration::from_secs(3600));
    post(&world, account, &[], &body).await.expect(200);
    let expires_at = invited(&world).await.expires_at.0;
    assert!((before..=in_millis(Duration::from_secs(3600))).contains(&expires_at));
}

#[actix_web::test]
async fn the_caller_hears_each_partys_reason() {
    let world = World::of_three().await;
    let account = world.account().await;
    let reasons = [
        DeclineReason::AuthorizationMissing,
        DeclineReason::LimitReached,
        DeclineReason::OutsideHours,
    ];
    for (party, reason) in world.ids.iter().zip(reasons) {
        world.parties.behave(*party, Manner::Declines(reason));
    }
    let reply = world.sign(account, &[]).await.expect_problem(403, "declined");
    let declines = reply.json["declines"].as_array().unwrap();
    // Without two of the three nothing can be signed; the third may have been asked by then.
    assert!((2..=3).contains(&declines.len()), "{reply:?}");
    assert_eq!(reply.json["detail"], declines[0]["detail"]);
    assert_eq!(reply.json["parties"].as_array().unwrap().len(), declines.len());
    assert!(reply.header("retry-after").is_none(), "{reply:?}");
    for decline in declines {
        let at = world.ids.iter().position(|id| decline["party_id"] == id.to_string()).unwrap();
        assert_eq!(decline["reason"], json!(reasons[at]));
        assert_eq!(decline["detail"], reasons[at].to_string());
    }
    let session = world.get(&format!("/api/v1/sessions/{}", reply.text("session_id"))).await;
    assert_eq!(session.expect(200).json["declines"], reply.json["declines"]);
}

/// The caller can mend a request that was refused, and nothing in a party that cannot sign.
#[actix_web::test]
async fn a_refusal_is_told_from_an_inability() {
    let world = World::of_three().await;
    let account = world.account().await;
    let [a, b, c] = world.ids[..] else { unreachable!() };
    let declines = |party, reason| world.parties.behave(party, Manner::Declines(reason));
    for reason in [
        DeclineReason::NoShare,
        DeclineReason::Banned,
        DeclineReason::Quarantined,
        DeclineReason::StaleEpoch,
    ] {
        [a, b, c].into_iter().for_each(|party| declines(party, reason));
        let reply = world.sign(account, &[]).await.expect_problem(502, "session_failed");
        assert_eq!(reply.text("reason"), "declined");
        assert_eq!(reply.json["declines"][0]["reason"], json!(reason));
    }
    // One that was fit to sign has refused: whatever becomes of the others, it would again.
    world.parties.behave(a, Manner::Honest);
    declines(b, DeclineReason::NotAllowed);
    let reply = world.sign(account, &[]).await.expect_problem(403, "declined");
    assert_eq!(reply.json["detail"], DeclineReason::NotAllowed.to_string());
    assert_eq!(reply.json["declines"].as_array().unwrap().len(), 2);
}

#[actix_web::test]
async fn a_person_may_take_a_while_and_objections_are_shown() {
    let world = World::of_three().await;
    let account = world.account().await;
    for party in &world.ids {
        world.parties.behave(*party, Manner::Silent);
    }
    let body = json!({"message": "ab".repeat(32), "expires_in": 600});
    let headers = [("Prefer", "respond-async")];
    let reply = post(&world, account, &headers, &body).await.expect(202);
    let session: SessionId = reply.text("session_id").parse().unwrap();
    world.parties.told_n(2, |_, message| is_sign_invite(message)).await;
    let path = format!("/api/v1/sessions/{session}");
    let joining = world.get(&path).await.expect(200);
    let members: Vec<mpc_wire::PartyId> =
        serde_json::from_value(joining.json["quorum"].clone()).unwrap();
    let attempt = Attempt::FIRST;
    for party in &members {
        world.say(*party, ToCoordinator::AwaitingApproval { session, attempt }).await;
    }
    let waiting = world.until(&path, |reply| reply.json["state"] == "waiting_for_approval").await;
    assert_eq!(waiting.json["waiting_for"], waiting.json["quorum"]);

    let objection = Objection::Misrouted;
    world.say(members[0], ToCoordinator::Objected { session, attempt, objection }).await;
    let objected = world.until(&path, |reply| reply.json["objections"].is_array()).await;
    assert_eq!(
        objected.json["objections"],
        json!([{
            "attempt": 1,
            "party_id": members[0],
            "objection": "misrouted",
            "detail": objection.to_string(),
        }])
    );
}
