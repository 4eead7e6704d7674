//! A revoked party is out of reach at once, and for good.

use crate::enrolment::verdict;
use crate::parties::{Manner, is_sign_invite};
use crate::world::World;
use coordinator::{Role, Verdict};
use mpc_wire::{Identity, PartyId, ToCoordinator, ToParty, Uplink};
use serde_json::json;

async fn revoke(world: &World, party: PartyId) -> crate::client::Reply {
    world.post(&format!("/api/v1/parties/{party}/revoke"), &[], &json!({})).await
}

#[actix_rt::test]
async fn a_revoked_party_is_disconnected_shown_and_refused() {
    let mut world = World::of_three().await;
    let alice = Identity::generate();
    // No server: nobody invites it to anything.
    let body = json!({"party_id": alice.party(), "role": "delegate"});
    world.post("/api/v1/parties", &[], &body).await.expect(201);
    assert_eq!(verdict(&world.admissions(), &alice, None).await, Verdict::Admitted);
    world.online(alice.party()).await;

    let revoked = revoke(&world, alice.party()).await.expect(200);
    assert_eq!(revoked.text("state"), "revoked");
    assert!(!revoked.text("revoked_at").is_empty());
    world.parties.disconnected_n(alice.party(), 1).await;
    // A second time changes nothing, and makes sure of it.
    let again = revoke(&world, alice.party()).await.expect(200);
    assert_eq!(again.json, revoked.json);
    world.parties.disconnected_n(alice.party(), 2).await;
    world.post("/api/v1/parties", &[], &body).await.expect_problem(409, "party_revoked");

    for _ in 0..2 {
        assert_eq!(verdict(&world.admissions(), &alice, None).await, Verdict::Revoked);
        let rotated = alice.rotate().unwrap();
        assert_eq!(verdict(&world.admissions(), &rotated, None).await, Verdict::Revoked);
        world.restart().await;
    }
    let unknown = Identity::generate().party();
    revoke(&world, unknown).await.expect_problem(404, "party_not_found");
    let nonsense = world.post("/api/v1/parties/nonsense/revoke", &[], &json!({})).await;
    nonsense.expect_problem(404, "party_not_found");
    world.stop().await;
}

#[actix_rt::test]
async fn a_gateway_that_has_missed_it_is_told_again_and_the_party_is_not_heard() {
    let mut world = World::of_three().await;
    let account = world.account().await;
    let [mallory, ..] = world.ids[..] else { panic!("no parties") };
    revoke(&world, mallory).await.expect(200);
    world.parties.disconnected_n(mallory, 1).await;
    world.up(Uplink::Online { party: mallory, label: String::new() }).await;
    world.parties.disconnected_n(mallory, 2).await;
    // A question that every other party gets an answer to.
    let session = mpc_wire::SessionId::generate();
    let attempt = mpc_wire::Attempt::FIRST;
    let outcome = mpc_wire::AttemptOutcome::Failed(mpc_wire::AttemptFailure {
        kind: mpc_wire::FailureKind::Panicked,
        guilty: [].into(),
        detail: String::new(),
    });
    for from in [mallory, world.ids[1]] {
        let outcome = outcome.clone();
        world.say(from, ToCoordinator::Outcome { session, attempt, outcome }).await;
    }
    let is_answer = |message: &ToParty| *message == ToParty::Finished { session };
    world.parties.told_n(1, |_, message| is_answer(message)).await;
    assert_eq!(world.parties.count(|to, message| to == mallory && is_answer(message)), 0);
    let parties = world.get("/api/v1/parties").await.json;
    let online = parties["parties"].as_array().unwrap().iter().filter(|p| p["online"] == true);
    assert_eq!(online.count(), 2);
    assert_eq!(world.sign(account, &[]).await.status, 200);
    world.stop().await;
}

#[actix_rt::test]
async fn a_session_under_way_goes_on_without_the_revoked_party() {
    let mut world = World::of_three().await;
    let account = world.account().await;
    let mallory = world.ids[0];
    world.ids.iter().for_each(|party| {
        world.parties.behave(*party, Manner::StallsWith(mallory));
    });
    world.parties.behave(mallory, Manner::Stalls);
    let path = format!("/api/v1/accounts/{account}/sign");
    // Until an attempt counts on the party: who is asked first takes turns.
    let session = loop {
        let body = json!({"message": "ab".repeat(32)});
        let began = world.post(&path, &[("Prefer", "respond-async")], &body).await;
        let session = began.text("session_id").to_owned();
        let shown = world.get(&format!("/api/v1/sessions/{session}")).await;
        let quorum = shown.json["quorum"].as_array().unwrap();
        if shown.json["state"] != "completed" && quorum.contains(&json!(mallory)) {
            break session;
        }
    };
    let is_invited = |to: PartyId, message: &ToParty| to == mallory && is_sign_invite(message);
    let before = world.parties.count(is_invited);
    revoke(&world, mallory).await.expect(200);
    let ended = world
        .until(&format!("/api/v1/sessions/{session}"), |reply| reply.json["state"] == "completed")
        .await;
    let signers = ended.json["signers"].as_array().unwrap();
    assert!(!signers.contains(&json!(mallory)), "{ended:?}");
    // It takes part in nothing that comes after, though it says that it is there.
    world.up(Uplink::Online { party: mallory, label: String::new() }).await;
    for _ in 0..4 {
        assert_eq!(world.sign(account, &[]).await.status, 200);
    }
    assert_eq!(world.parties.count(is_invited), before);
    // On paper it holds its share.
    let shown = world.get(&format!("/api/v1/accounts/{account}")).await;
    let holders = shown.json["parties"].as_array().unwrap();
    assert!(holders.iter().any(|holder| holder["party_id"] == mallory.to_string()));
    world.stop().await;
}

#[actix_rt::test]
async fn new_accounts_and_aux_sets_are_made_without_the_revoked_party() {
    let mut world = World::offline(&[Role::Server; 4]).await;
    let mallory = world.ids[3];
    revoke(&world, mallory).await.expect(200);
    world.up(Uplink::Online { party: mallory, label: String::new() }).await;
    for party in &world.ids[..3] {
        world.online(*party).await;
    }
    for _ in 0..3 {
        let account = world.account().await;
        let shown = world.get(&format!("/api/v1/accounts/{account}")).await;
        let holders = shown.json["parties"].as_array().unwrap();
        assert!(holders.iter().all(|holder| holder["party_id"] != mallory.to_string()));
    }
    let sets = world.get("/api/v1/aux").await.json["aux_sets"].as_array().unwrap().clone();
    assert!(!sets.is_empty());
    assert!(sets.iter().all(|set| !set["parties"].as_array().unwrap().contains(&json!(mallory))));
    let four = json!({"user_id": "alice", "parties": 4});
    let too_few = world.post("/api/v1/accounts", &[], &four).await;
    let too_few = too_few.expect_problem(503, "not_enough_parties");
    assert_eq!(too_few.json["missing"], json!([]));
    let named = json!({"user_id": "alice", "parties": world.ids});
    let named = world.post("/api/v1/accounts", &[], &named).await;
    let named = named.expect_problem(409, "party_revoked");
    assert_eq!(named.json["parties"], json!([mallory]));
    world.stop().await;
}
