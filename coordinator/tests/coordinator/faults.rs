use crate::parties::{Manner, is_sign_invite};
use crate::world::World;
use coordinator::{Limits, Role};
use mpc_wire::{AccountId, PartyId, SessionId, ToCoordinator, ToParty, Uplink};
use serde_json::json;
use std::time::Duration;

/// Signs until an attempt has taken `bad` in and failed; the session's JSON then.
async fn sign_past(world: &World, account: AccountId, bad: PartyId) -> serde_json::Value {
    // Quorums take turns, so one of three has the party in its first.
    for _ in 0..3 {
        let reply = world.sign(account, &[]).await.expect(200);
        if !reply.json["past_attempts"].as_array().unwrap().is_empty() {
            assert!(!reply.json["signers"].to_string().contains(&bad.to_string()));
            return reply.json;
        }
    }
    panic!("{bad} was never chosen");
}

#[actix_web::test]
async fn a_wrong_signature_is_not_told_and_another_quorum_signs() {
    let world = World::of_three().await;
    let account = world.account().await;
    let [bad, x, y] = world.ids[..] else { unreachable!() };
    world.parties.behave(bad, Manner::SignsWrongly);
    world.parties.behave(x, Manner::StallsWith(bad));
    world.parties.behave(y, Manner::StallsWith(bad));
    let session = sign_past(&world, account, bad).await;
    let past = &session["past_attempts"][0];
    assert_eq!(past["reason"], "result_invalid");
    assert_eq!(past["parties"], json!([bad.to_string()]));
    assert_eq!(session["attempt"], 2);
}

#[actix_web::test]
async fn a_party_lost_in_an_attempt_is_replaced() {
    let world = World::of_three().await;
    let account = world.account().await;
    let [bad, x, y] = world.ids[..] else { unreachable!() };
    world.parties.behave(bad, Manner::Drops);
    world.parties.behave(x, Manner::StallsWith(bad));
    world.parties.behave(y, Manner::StallsWith(bad));
    let session = sign_past(&world, account, bad).await;
    let past = &session["past_attempts"][0];
    assert_eq!(past["reason"], "peer_missing");
    assert_eq!(past["parties"], json!([bad.to_string()]));
    // The member of the first attempt was told that it is over.
    let session: SessionId = session["session_id"].as_str().unwrap().parse().unwrap();
    world
        .parties
        .told_n(1, |to, message| {
            matches!(message, ToParty::Abort { session: s, .. } if *s == session && to != bad)
        })
        .await;
}

#[actix_web::test]
async fn a_party_announced_again_hears_again_what_was_on_its_way() {
    let world = World::of_three().await;
    let account = world.account().await;
    world.ids.iter().for_each(|party| world.parties.behave(*party, Manner::Stalls));
    let path = format!("/api/v1/accounts/{account}/sign");
    let body = json!({ "message": "11".repeat(32) });
    let reply = world.post(&path, &[("Prefer", "respond-async")], &body).await;
    let path = format!("/api/v1/sessions/{}", reply.json["session_id"].as_str().unwrap());
    let running = world.until(&path, |reply| reply.json["state"] == "running").await;
    let member: PartyId = running.json["quorum"][0].as_str().unwrap().parse().unwrap();
    world.ids.iter().for_each(|party| world.parties.behave(*party, Manner::Honest));
    // Its socket was replaced: the gateway announces it again, with no `Offline` between.
    world.up(Uplink::Online { party: member, label: String::new() }).await;
    let ended = world.until(&path, |reply| reply.json["state"] == "completed").await;
    assert_eq!(ended.json["attempt"], 1);
    assert_eq!(ended.json["past_attempts"], json!([]));
}

#[actix_web::test]
async fn with_too_few_online_nothing_is_stored() {
    let world = World::of_three().await;
    let account = world.account().await;
    let [a, b, _] = world.ids[..] else { unreachable!() };
    world.offline_now(a).await;
    world.sign(account, &[]).await.expect(200);
    world.offline_now(b).await;
    let before = world.rows().await;
    let key = [("Idempotency-Key", "few")];
    let reply = world.sign(account, &key).await.expect_problem(503, "not_enough_parties");
    assert!(reply.header("retry-after").unwrap().parse::<u32>().unwrap() > 0);
    assert_eq!((&reply.json["online"], &reply.json["needed"]), (&json!(1), &json!(2)));
    let all: Vec<_> = world.ids.iter().map(PartyId::to_string).collect();
    for parties in [json!(3), json!(2), json!(all)] {
        let body = json!({"user_id": "alice", "parties": parties});
        let reply = world.post("/api/v1/accounts", &key, &body).await;
        reply.expect_problem(503, "not_enough_parties");
    }
    assert_eq!(world.rows().await, before);
    // The key was not used up.
    world.online(a).await;
    world.sign(account, &key).await.expect(200);
}

#[actix_web::test]
async fn a_session_waits_for_parties_until_its_deadline() {
    let limits = Limits { sign_deadline: Duration::from_millis(4000), ..Limits::default() };
    let world = World::with_limits(&[Role::Server; 3], limits).await;
    world.all_online().await;
    let account = world.account().await;
    for party in &world.ids {
        world.parties.behave(*party, Manner::Silent);
    }
    let reply = world.sign(account, &[]).await.expect_problem(504, "session_expired");
    assert_eq!(reply.json["parties"].as_array().unwrap().len(), 2);
    let session = world.get(&format!("/api/v1/sessions/{}", reply.text("session_id"))).await;
    assert_eq!(session.expect(200).text("state"), "expired");

    // Two leave in the middle, one comes back in time.
    let [a, b, c] = world.ids[..] else { unreachable!() };
    let invites = world.parties.count(|_, message| is_sign_invite(message));
    let reply = world.sign(account, &[("Prefer", "respond-async")]).await.expect(202);
    let path = reply.header("location").unwrap().to_owned();
    world.parties.told_n(invites + 2, |_, message| is_sign_invite(message)).await;
    for party in [a, b, c] {
        world.parties.behave(party, Manner::Honest);
    }
    world.offline_now(a).await;
    world.offline_now(b).await;
    let waiting = world.get(&path).await;
    if waiting.json["state"] == "waiting_for_parties" {
        assert_eq!(waiting.json["waiting_for"].as_array().unwrap().len(), 2);
    }
    world.online(b).await;
    world.until(&path, |reply| reply.json["state"] == "completed").await;
}

#[actix_web::test]
async fn a_party_that_reports_to_a_session_that_is_over_is_told_so() {
    let world = World::of_three().await;
    let account = world.account().await;
    let reply = world.sign(account, &[]).await.expect(200);
    let over: SessionId = reply.text("session_id").parse().unwrap();
    let unknown = SessionId::generate();
    let outcome = mpc_wire::AttemptOutcome::Signed(crate::parties::signature(account, &[1; 32]));
    let attempt = mpc_wire::Attempt(1);
    // Every one of both sessions' members, and one that was never in it.
    for session in [over, unknown] {
        let is_finished = |to: PartyId, message: &ToParty, party: PartyId| {
            to == party && matches!(message, ToParty::Finished { session: s } if *s == session)
        };
        for party in &world.ids {
            let before = world.parties.count(|to, message| is_finished(to, message, *party));
            let outcome = outcome.clone();
            world.say(*party, ToCoordinator::Outcome { session, attempt, outcome }).await;
            world.parties.told_n(before + 1, |to, message| is_finished(to, message, *party)).await;
        }
    }
}

#[actix_web::test]
async fn a_locked_database_is_503_and_then_works_again() {
    use sea_orm::{ConnectionTrait, Database};
    let world = World::of_three().await;
    let account = world.account().await;
    let before = world.rows().await;
    let other = Database::connect(world.url()).await.unwrap();
    other.execute_unprepared("BEGIN IMMEDIATE").await.unwrap();
    let started = std::time::Instant::now();
    let reply = world.sign(account, &[("Idempotency-Key", "locked")]).await;
    reply.expect_problem(503, "store_unavailable");
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    other.execute_unprepared("ROLLBACK").await.unwrap();
    assert_eq!(world.rows().await, before);
    world.sign(account, &[("Idempotency-Key", "locked")]).await.expect(200);
}

#[actix_web::test]
async fn a_session_whose_record_cannot_be_stored_is_taken_up_again() {
    use sea_orm::{ConnectionTrait, Database};
    let world = World::of_three().await;
    let account = world.account().await;
    for party in &world.ids {
        world.parties.behave(*party, Manner::Stalls);
    }
    let reply = world.sign(account, &[("Prefer", "respond-async")]).await.expect(202);
    let session: SessionId = reply.text("session_id").parse().unwrap();
    let path = format!("/api/v1/sessions/{session}");
    let running = world.until(&path, |reply| reply.json["state"] == "running").await;
    let member: PartyId = running.json["quorum"][0].as_str().unwrap().parse().unwrap();
    let other = Database::connect(world.url()).await.unwrap();
    other.execute_unprepared("BEGIN IMMEDIATE").await.unwrap();
    // The end cannot become durable: it must not be told, and the session must come back.
    let outcome = mpc_wire::AttemptOutcome::Signed(crate::parties::signature(account, &[0xab; 32]));
    let attempt = mpc_wire::Attempt(1);
    world.say(member, ToCoordinator::Outcome { session, attempt, outcome }).await;
    for party in &world.ids {
        world.parties.behave(*party, Manner::Honest);
    }
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(
        world.parties.count(|_, m| matches!(m, ToParty::Finished { session: s } if *s == session)),
        0
    );
    other.execute_unprepared("ROLLBACK").await.unwrap();
    let done = world.until(&path, |reply| reply.json["state"] == "completed").await;
    assert_eq!(done.json["attempt"], 1);
    assert_eq!(done.json["past_attempts"], json!([]));
}
