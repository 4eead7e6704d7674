use crate::parties::{Manner, public_key};
use crate::world::World;
use coordinator::Role;
use mpc_wire::{DeclineReason, IntentKind, PartyId, ToParty};
use serde_json::{Value, json};
use std::collections::BTreeSet;

#[actix_web::test]
async fn an_account_becomes_active_by_canaries_of_every_party() {
    let world = World::of_three().await;
    let body = json!({"user_id": "alice", "scheme": "ecdsa-cggmp24", "threshold": 2, "parties": 3});
    let reply = world.post("/api/v1/accounts", &[], &body).await.expect(201);
    let id = reply.text("account_id").to_owned();
    assert_eq!(reply.header("location"), Some(&*format!("/api/v1/accounts/{id}")));
    assert_eq!(reply.text("state"), "active");
    assert_eq!(reply.text("user_id"), "alice");
    assert_eq!(reply.text("public_key"), public_key(id.parse().unwrap()).to_string());
    assert_eq!((&reply.json["threshold"], &reply.json["epoch"]), (&json!(2), &json!(1)));
    assert_eq!(reply.json["parties"].as_array().unwrap().len(), 3);
    assert!(reply.json["parties"][0]["label"].as_str().unwrap().starts_with("party-"));
    for step in ["keygen", "aux_wait", "canary"] {
        assert!(reply.json["timings_ms"][step].is_u64(), "{reply:?}");
    }

    let mut signers = BTreeSet::new();
    let canaries = reply.json["sessions"]["canaries"].as_array().unwrap();
    assert_eq!(canaries.len(), 2);
    for canary in canaries {
        let session = world.get(&format!("/api/v1/sessions/{}", canary.as_str().unwrap())).await;
        let session = session.expect(200);
        assert_eq!((session.text("state"), session.text("kind")), ("completed", "canary"));
        signers.extend(session.json["signers"].as_array().unwrap().iter().map(Value::to_string));
    }
    assert_eq!(signers.len(), 3);

    let shown = world.get(&format!("/api/v1/accounts/{id}")).await.expect(200);
    assert_eq!(shown.json, reply.json);
    let keygen = reply.json["sessions"]["keygen"].as_str().unwrap();
    let keygen = world.get(&format!("/api/v1/sessions/{keygen}")).await.expect(200);
    assert_eq!((keygen.text("kind"), keygen.text("state")), ("keygen", "completed"));
    assert_eq!(keygen.text("public_key"), reply.text("public_key"));
}

#[actix_web::test]
async fn accounts_are_listed_newest_first_and_by_user() {
    let world = World::of_three().await;
    let mut ids = Vec::new();
    for user in ["alice", "bob", "alice"] {
        let reply = world.post("/api/v1/accounts", &[], &json!({"user_id": user})).await;
        ids.push(reply.expect(201).text("account_id").to_owned());
    }
    let listed = |reply: &crate::client::Reply| -> Vec<String> {
        let accounts = reply.json["accounts"].as_array().unwrap();
        accounts.iter().map(|a| a["account_id"].as_str().unwrap().to_owned()).collect()
    };
    let all = world.get("/api/v1/accounts").await.expect(200);
    assert_eq!(listed(&all), [ids[2].clone(), ids[1].clone(), ids[0].clone()]);
    let hers = world.get("/api/v1/accounts?user_id=alice").await.expect(200);
    assert_eq!(listed(&hers), [ids[2].clone(), ids[0].clone()]);
    world.get("/api/v1/accounts?user=alice").await.expect_problem(400, "invalid_body");
    // One aux set served them all.
    let aux = world.get("/api/v1/aux").await.expect(200);
    let sets = aux.json["aux_sets"].as_array().unwrap();
    assert_eq!(sets.len(), 1);
    assert_eq!(sets[0]["state"], "ready");
    assert!(sets[0]["aux_id"].is_string() && sets[0]["duration_ms"].is_u64());
}

#[actix_web::test]
async fn the_pools_set_is_made_before_anybody_asks() {
    let world = World::of_three().await;
    let aux = world.until("/api/v1/aux", |reply| reply.json["aux_sets"][0]["state"] == "ready");
    let aux = aux.await;
    assert_eq!(aux.json["aux_sets"][0]["parties"].as_array().unwrap().len(), 3);
    let session = aux.json["aux_sets"][0]["session_id"].as_str().unwrap();
    let session = world.get(&format!("/api/v1/sessions/{session}")).await.expect(200);
    assert_eq!((session.text("kind"), session.text("state")), ("aux", "completed"));
}

#[actix_web::test]
async fn a_device_gets_a_set_with_its_peers() {
    let world = World::offline(&[Role::Server, Role::Server, Role::Device]).await;
    world.all_online().await;
    let parties: Vec<_> = world.ids.iter().map(PartyId::to_string).collect();
    let body = json!({"user_id": "alice", "parties": parties});
    world.post("/api/v1/accounts", &[], &body).await.expect(201);
    let aux = world.get("/api/v1/aux").await.expect(200);
    let sizes: BTreeSet<_> = aux.json["aux_sets"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|set| set["state"] == "ready")
        .map(|set| set["parties"].as_array().unwrap().len())
        .collect();
    assert!(sizes.contains(&3), "{aux:?}");
}

#[actix_web::test]
async fn parties_with_the_fewest_accounts_are_taken() {
    let world = World::offline(&[Role::Server; 4]).await;
    world.all_online().await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let body = json!({"user_id": "alice", "parties": 2});
        let reply = world.post("/api/v1/accounts", &[], &body).await.expect(201);
        let parties = reply.json["parties"].as_array().unwrap();
        held.extend(parties.iter().map(|party| party["party_id"].to_string()));
    }
    held.sort();
    held.dedup();
    assert_eq!(held.len(), 4);
}

#[actix_web::test]
async fn an_account_goes_on_activating_when_its_party_is_back() {
    let world = World::of_three().await;
    let away = world.ids[2];
    world.until("/api/v1/aux", |reply| reply.json["aux_sets"][0]["state"] == "ready").await;
    world.parties.behave(away, Manner::LeavesAfterKeygen);
    let body = json!({"user_id": "alice"});
    let reply =
        world.post("/api/v1/accounts", &[("Prefer", "respond-async")], &body).await.expect(202);
    let path = reply.header("location").unwrap().to_owned();
    assert_eq!(path, format!("/api/v1/accounts/{}", reply.text("account_id")));
    // The two that are there have proved their shares.
    let reply = world
        .until(&path, |reply| {
            reply.json["state"] == "activating"
                && reply.json["sessions"]["canaries"].as_array().unwrap().len() == 1
        })
        .await;
    let account = reply.text("account_id").parse().unwrap();
    world.sign(account, &[]).await.expect_problem(409, "account_not_active");
    world.parties.behave(away, Manner::Honest);
    world.online(away).await;
    world.until(&path, |reply| reply.json["state"] == "active").await;
    world.sign(account, &[]).await.expect(200);
}

#[actix_web::test]
async fn a_declined_key_generation_fails_the_account() {
    let world = World::of_three().await;
    world.parties.behave(world.ids[1], Manner::Declines(DeclineReason::Refused));
    let reply = world.post("/api/v1/accounts", &[], &json!({"user_id": "alice"})).await;
    let reply = reply.expect_problem(502, "session_failed");
    assert_eq!(reply.text("reason"), "declined");
    assert_eq!(reply.json["parties"], json!([world.ids[1].to_string()]));
    let account = world.get(&format!("/api/v1/accounts/{}", reply.text("account_id"))).await;
    let account = account.expect(200);
    assert_eq!(account.text("state"), "failed");
    assert_eq!(account.json["failure"]["reason"], "declined");
    assert_eq!(account.json["sessions"]["keygen"], reply.json["session_id"]);
    assert!(account.json.get("public_key").is_none());
}

#[actix_web::test]
async fn differing_or_invalid_keys_are_not_believed() {
    let world = World::of_three().await;
    let [a, ..] = world.ids[..] else { unreachable!() };
    world.parties.behave(a, Manner::Stalls);
    let headers = [("Prefer", "respond-async")];
    let reply = world.post("/api/v1/accounts", &headers, &json!({"user_id": "alice"})).await;
    let account = reply.expect(202).text("account_id").to_owned();
    let is_started = |to: PartyId, session| {
        move |told: &[(PartyId, ToParty)]| {
            told.iter().find_map(|(other, message)| match message {
                ToParty::Started { session: s, attempt, .. } if *other == to && *s == session => {
                    Some(*attempt)
                }
                _ => None,
            })
        }
    };
    let session = world
        .parties
        .told(|told| {
            told.iter().find_map(|(_, message)| match message {
                ToParty::Invite { intent, .. }
                    if matches!(intent.kind, IntentKind::Keygen { .. }) =>
                {
                    Some(intent.session)
                }
                _ => None,
            })
        })
        .await;
    let attempt = world.parties.told(is_started(a, session)).await;
    world.parties.behave(a, Manner::Honest);
    // No point of the curve: the attempt fails with its reporter named, and another begins.
    let mut key = [0xff; 33];
    key[0] = 2;
    let key = mpc_wire::PublicKey::new(key);
    let outcome = mpc_wire::AttemptOutcome::Keygen {
        public_key: key.clone(),
        epoch: mpc_wire::Epoch(1),
        public_shares: world.ids.iter().map(|party| (*party, key.clone())).collect(),
        stored: world.parties.stored(a, account.parse().unwrap()),
    };
    world.say(a, mpc_wire::ToCoordinator::Outcome { session, attempt, outcome }).await;
    let path = format!("/api/v1/accounts/{account}");
    world.until(&path, |reply| reply.json["state"] == "active").await;
    let session = world.get(&format!("/api/v1/sessions/{session}")).await;
    let past = &session.json["past_attempts"][0];
    assert_eq!(
        (&past["reason"], &past["parties"]),
        (&json!("result_invalid"), &json!([a.to_string()]))
    );
}
