use crate::client::send;
use crate::parties::Manner;
use crate::world::World;
use awc::http::Method;
use coordinator::{Limits, Role};
use futures_util::future::join_all;
use mpc_wire::AccountId;
use serde_json::json;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

async fn sign_digest(world: &World, account: AccountId, n: usize) -> crate::client::Reply {
    let path = format!("/api/v1/accounts/{account}/sign");
    world.post(&path, &[], &json!({"message": format!("{n:064x}")})).await
}

/// Signs `n` digests at a time; every answer is for its own request.
async fn sign_at_once(world: &World, account: AccountId, n: usize) {
    let replies = join_all((0..n).map(|n| sign_digest(world, account, n))).await;
    let mut sessions = BTreeSet::new();
    for (n, reply) in replies.into_iter().enumerate() {
        let reply = reply.expect(200);
        assert_eq!(reply.text("message"), format!("{n:064x}"));
        crate::sign::verify(account, &reply.json);
        sessions.insert(reply.text("session_id").to_owned());
    }
    assert_eq!(sessions.len(), n);
}

#[actix_web::test]
async fn many_requests_at_a_time_get_each_their_own_signature() {
    let world = World::of_three().await;
    let account = world.account().await;
    sign_at_once(&world, account, 200).await;
}

#[actix_web::test]
async fn beyond_its_bounds_the_coordinator_says_so() {
    let limits = Limits { max_running_sessions: 3, max_pending_accounts: 1, ..Limits::default() };
    let world = World::with_limits(&[Role::Server; 3], limits).await;
    world.all_online().await;
    let account = world.account().await;
    for party in &world.ids {
        world.parties.behave(*party, Manner::Stalls);
    }
    let headers = [("Prefer", "respond-async")];
    let mut sessions = Vec::new();
    for _ in 0..2 {
        sessions.push(world.sign(account, &headers).await.expect(202));
    }
    let body = json!({"user_id": "alice"});
    world.post("/api/v1/accounts", &headers, &body).await.expect(202);
    let before = world.rows().await;
    let reply = world.post("/api/v1/accounts", &headers, &body).await;
    assert!(reply.expect_problem(429, "overloaded").header("retry-after").is_some());
    let reply = world.sign(account, &headers).await;
    assert!(reply.expect_problem(429, "overloaded").header("retry-after").is_some());
    assert_eq!(world.rows().await, before);
    // With one fewer there is room again.
    world.delete(sessions[0].header("location").unwrap()).await.expect(202);
    let mut reply = world.sign(account, &headers).await;
    while reply.status == 429 {
        reply = world.sign(account, &headers).await;
    }
    reply.expect(202);
}

#[actix_web::test]
async fn a_coordinator_that_stops_begins_nothing_and_says_so() {
    let mut world = World::of_three().await;
    let account = world.account().await;
    for party in &world.ids {
        world.parties.behave(*party, Manner::Stalls);
    }
    let later = [("Prefer", "respond-async"), ("Content-Type", "application/json")];
    let first = world.sign(account, &later).await.expect(202);
    let mut under_way = vec![first.header("location").unwrap().to_owned()];
    // What is under way holds the stop up.
    world.until(&under_way[0], |reply| reply.text("state") == "running").await;
    let (base, stopped) = world.begin_stop();
    let path = format!("/api/v1/accounts/{account}/sign");
    let body = || Some(json!({"message": "ab".repeat(32)}).to_string().into_bytes());
    let refused = loop {
        let reply = send(&base, Method::POST, &path, &later, body()).await;
        if reply.status != 202 {
            break reply;
        }
        under_way.push(reply.header("location").unwrap().to_owned());
    };
    assert!(refused.expect_problem(503, "shutting_down").header("retry-after").is_some());
    for session in under_way {
        send(&base, Method::DELETE, &session, &[], None).await.expect(202);
    }
    stopped.await.unwrap();
}

/// Run by name, for figures: what the coordinator itself adds to a signing.
#[actix_web::test]
#[ignore = "prints figures"]
async fn latency_of_the_coordinator_alone() {
    let world = World::of_three().await;
    let account = world.account().await;
    let mut took: Vec<Duration> = Vec::new();
    for n in 0..300 {
        let started = Instant::now();
        sign_digest(&world, account, n).await.expect(200);
        took.push(started.elapsed());
    }
    took.sort();
    println!("one at a time: p50 {:?}, p99 {:?}", took[150], took[297]);
    let started = Instant::now();
    sign_at_once(&world, account, 1000).await;
    println!("1,000 at a time: {:?}", started.elapsed());
}
