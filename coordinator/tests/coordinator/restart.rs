use crate::parties::{Manner, is_sign_invite};
use crate::world::World;
use coordinator::{Limits, Role};
use mpc_wire::{SessionId, ToParty};
use serde_json::json;
use std::time::Duration;

#[actix_web::test]
async fn accounts_sign_after_a_restart() {
    let mut world = World::of_three().await;
    let account = world.account().await;
    let first = world.sign(account, &[("Idempotency-Key", "before")]).await.expect(200);
    world.restart().await;
    // Nobody is back yet.
    world.sign(account, &[]).await.expect_problem(503, "not_enough_parties");
    world.all_online().await;
    world.sign(account, &[]).await.expect(200);
    let again = world.sign(account, &[("Idempotency-Key", "before")]).await.expect(200);
    assert_eq!(again.json, first.json);
    // The aux set is known, so no other is made.
    world.account().await;
    let aux = world.get("/api/v1/aux").await;
    assert_eq!(aux.json["aux_sets"].as_array().unwrap().len(), 1);
}

#[actix_web::test]
async fn a_running_session_goes_on_after_a_restart() {
    let mut world = World::of_three().await;
    let account = world.account().await;
    for party in &world.ids {
        world.parties.behave(*party, Manner::Stalls);
    }
    let headers = [("Idempotency-Key", "mid"), ("Prefer", "respond-async")];
    let reply = world.sign(account, &headers).await.expect(202);
    let session: SessionId = reply.text("session_id").parse().unwrap();
    let path = format!("/api/v1/sessions/{session}");
    world.until(&path, |reply| reply.json["state"] == "running").await;
    for party in &world.ids {
        world.parties.behave(*party, Manner::Silent);
    }
    world.restart().await;
    let waiting = world.get(&path).await.expect(200);
    assert_eq!(waiting.text("state"), "waiting_for_parties");
    for party in &world.ids {
        world.parties.behave(*party, Manner::Honest);
    }
    world.all_online().await;
    let done = world.sign(account, &headers[..1]).await.expect(200);
    assert_eq!(done.text("session_id"), session.to_string());
    assert_eq!(done.json["attempt"], 1);
    assert_eq!(done.json["past_attempts"], json!([]));
    // It is the plan that its members know.
    world
        .parties
        .told(|told| {
            let mut plans = std::collections::BTreeMap::new();
            for (_, message) in told {
                if let ToParty::Invite { plan, .. } = message
                    && plan.session == session
                {
                    assert_eq!(plans.entry(plan.attempt).or_insert(plan.hash()), &plan.hash());
                }
            }
            assert_eq!(plans.len(), 1);
            Some(())
        })
        .await;
}

#[actix_web::test]
async fn a_stop_answers_those_that_wait() {
    let mut world = World::of_three().await;
    let account = world.account().await;
    for party in &world.ids {
        world.parties.behave(*party, Manner::Silent);
    }
    let base = format!("http://{}", world.address());
    let path = format!("/api/v1/accounts/{account}/sign");
    let body = json!({"message": "ab".repeat(32)}).to_string().into_bytes();
    let waiting = actix_rt::spawn(async move {
        let headers = [("Content-Type", "application/json")];
        crate::client::send(&base, awc::http::Method::POST, &path, &headers, Some(body)).await
    });
    world.parties.told_n(2, |_, message| is_sign_invite(message)).await;
    let started = std::time::Instant::now();
    world.stop().await;
    assert!(started.elapsed() < Duration::from_secs(4));
    waiting.await.unwrap().expect(202);
    world.start().await;
}

#[actix_web::test]
async fn a_session_that_expired_meanwhile_is_ended() {
    let limits = Limits { sign_deadline: Duration::from_millis(300), ..Limits::default() };
    let mut world = World::with_limits(&[Role::Server; 3], limits).await;
    world.all_online().await;
    let account = world.account().await;
    for party in &world.ids {
        world.parties.behave(*party, Manner::Silent);
    }
    let reply = world.sign(account, &[("Prefer", "respond-async")]).await.expect(202);
    let path = reply.header("location").unwrap().to_owned();
    world.stop().await;
    // Time itself is what is tested.
    tokio::time::sleep(Duration::from_millis(400)).await;
    let invites = world.parties.count(|_, message| is_sign_invite(message));
    world.start().await;
    let ended = world.until(&path, |reply| reply.json["state"] == "expired").await;
    assert_eq!(ended.json["failure"]["reason"], "expired");
    assert_eq!(world.parties.count(|_, message| is_sign_invite(message)), invites);
}

#[actix_web::test]
async fn an_account_on_its_way_arrives_after_restarts() {
    let mut world = World::offline(&[Role::Server; 3]).await;
    for party in world.ids.clone() {
        world.parties.behave(party, Manner::Stalls);
        world.parties.behave_in_aux(party, Manner::Stalls);
    }
    // Once they are there the pool begins its set.
    world.all_online().await;
    let headers = [("Prefer", "respond-async"), ("Idempotency-Key", "new")];
    let body = json!({"user_id": "alice"});
    let reply = world.post("/api/v1/accounts", &headers, &body).await.expect(202);
    let path = reply.header("location").unwrap().to_owned();
    assert_eq!(reply.text("state"), "generating");
    // Once in the middle of the key's generation …
    world.restart().await;
    assert_eq!(world.get(&path).await.text("state"), "generating");
    world.ids.iter().for_each(|party| world.parties.behave(*party, Manner::Honest));
    world.all_online().await;
    world.until(&path, |reply| reply.json["state"] == "activating").await;
    // … once in the middle of the aux set's …
    world.ids.iter().for_each(|party| world.parties.behave(*party, Manner::Stalls));
    world.restart().await;
    assert_eq!(world.get("/api/v1/aux").await.json["aux_sets"][0]["state"], "generating");
    world.ids.iter().for_each(|party| world.parties.behave_in_aux(*party, Manner::Honest));
    world.all_online().await;
    world
        .until(&path, |reply| reply.json["sessions"]["canaries"].as_array().unwrap().len() == 2)
        .await;
    // … and once in the middle of its canaries.
    world.ids.iter().for_each(|party| world.parties.behave(*party, Manner::Honest));
    world.restart().await;
    world.all_online().await;
    let reply = world.post("/api/v1/accounts", &headers[1..], &body).await.expect(201);
    assert_eq!(reply.text("state"), "active");
    // Restored, the two may have had the same quorum: then a third proves the party left out.
    assert!((2..=3).contains(&reply.json["sessions"]["canaries"].as_array().unwrap().len()));
    let [accounts, ..] = world.rows().await;
    assert_eq!(accounts, 1);
}
