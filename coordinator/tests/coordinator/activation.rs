use crate::parties::{Manner, say};
use crate::world::World;
use coordinator::Role;
use mpc_wire::{ActivationRefusal, EpochStatement, PartyId, ToCoordinator, ToParty, Verdict};
use serde_json::json;

fn is_activation(message: &ToParty) -> bool {
    matches!(message, ToParty::Activate { .. })
}

/// The newest activation that was told to a party.
async fn activation_of(world: &World, party: PartyId) -> Vec<EpochStatement> {
    world
        .parties
        .told(|told| {
            told.iter().rev().find_map(|(to, message)| match message {
                ToParty::Activate { statements, .. } if *to == party => Some(statements.clone()),
                _ => None,
            })
        })
        .await
}

async fn order(world: &World) -> String {
    let body = json!({"user_id": "alice"});
    let headers = [("Prefer", "respond-async")];
    let reply = world.post("/api/v1/accounts", &headers, &body).await.expect(202);
    reply.header("location").unwrap().to_owned()
}

#[actix_web::test]
async fn every_holder_is_told_what_every_holder_has_said() {
    let world = World::of_three().await;
    world.account().await;
    for party in &world.ids {
        let told = activation_of(&world, *party).await;
        let said = |name: &str| {
            let mut by: Vec<_> =
                told.iter().filter(|s| s.verdict.name() == name).map(|s| s.by).collect();
            by.sort();
            by
        };
        let mut all = world.ids.clone();
        all.sort();
        assert_eq!((said("stored"), said("proven")), (all.clone(), all));
        assert!(told.iter().all(|statement| statement.verify().is_ok()));
    }
    assert_eq!(world.parties.count(|_, message| is_activation(message)), 3);
}

/// Not before all that can be reached have taken the epoch up; what was proven is not proven again.
#[actix_web::test]
async fn a_holder_that_refuses_keeps_the_account_activating() {
    let world = World::of_three().await;
    let refusing = world.ids[1];
    let refusal = Manner::RefusesActivation(ActivationRefusal::Storage);
    world.parties.behave(refusing, refusal);
    let path = order(&world).await;
    world.parties.told_n(2, |to, message| to == refusing && is_activation(message)).await;
    let account = world.get(&path).await;
    assert_eq!(account.text("state"), "activating");
    assert_eq!(account.json["sessions"]["canaries"].as_array().unwrap().len(), 2);
    let id = account.text("account_id").parse().unwrap();
    world.sign(id, &[]).await.expect_problem(409, "account_not_active");
    world.parties.behave(refusing, Manner::Honest);
    let account = world.until(&path, |reply| reply.json["state"] == "active").await;
    assert_eq!(account.json["sessions"]["canaries"].as_array().unwrap().len(), 2);
}

#[actix_web::test]
async fn activation_goes_on_after_a_restart_from_what_is_stored() {
    let mut world = World::of_three().await;
    for party in &world.ids {
        world.parties.behave(*party, Manner::SilentInActivation);
    }
    let path = order(&world).await;
    world.parties.told_n(3, |_, message| is_activation(message)).await;
    let before = activation_of(&world, world.ids[0]).await;
    world.restart().await;
    assert_eq!(world.get(&path).await.text("state"), "activating");
    for party in &world.ids {
        world.parties.behave(*party, Manner::Honest);
    }
    world.all_online().await;
    let account = world.until(&path, |reply| reply.json["state"] == "active").await;
    assert_eq!(account.json["sessions"]["canaries"].as_array().unwrap().len(), 2);
    assert_eq!(activation_of(&world, world.ids[0]).await, before);
}

/// A holder that was away when the others took the epoch up says that its share waits, whenever it
/// connects, and is told.
#[actix_web::test]
async fn a_holder_that_missed_the_activation_is_told_when_it_asks() {
    let world = World::offline(&[Role::Server; 3]).await;
    world.all_online().await;
    let away = world.ids[2];
    world.parties.behave(away, Manner::LeavesInActivation);
    let account = world.account().await;
    world.parties.behave(away, Manner::Honest);
    world.online(away).await;
    let told = activation_of(&world, away).await;
    let own = |verdict: fn(&Verdict) -> bool| {
        told.iter().find(|said| said.by == away && verdict(&said.verdict)).unwrap().clone()
    };
    let waits = own(|verdict| matches!(verdict, Verdict::Stored(_)));
    let useless = [
        own(|verdict| matches!(verdict, Verdict::Proven(_))),
        world.parties.stored(away, account),
        world.parties.stored(away, mpc_wire::AccountId::generate()),
        told.iter().find(|said| said.by != away).unwrap().clone(),
    ];
    let count = || world.parties.count(|to, message| to == away && is_activation(message));
    let before = count();
    for statement in useless {
        world.up(say(away, ToCoordinator::Statement(statement))).await;
    }
    world.up(say(away, ToCoordinator::Statement(waits))).await;
    world.parties.told_n(before + 1, |to, message| to == away && is_activation(message)).await;
    world.sign(account, &[]).await.expect(200);
    assert_eq!(count(), before + 1);
}
