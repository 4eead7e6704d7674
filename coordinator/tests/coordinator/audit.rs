//! Who is shown where the audit log stands, and what becomes of what parties show of theirs.

use crate::world::World;
use coordinator::Role;
use mpc_wire::{PartyId, ToCoordinator, ToParty};
use serde_json::json;
use std::time::{Duration, Instant};

/// As the coordinator has it: for how long what is entered apart from sessions is collected.
const HEAD_INTERVAL: Duration = Duration::from_secs(1);

/// The numbers of entries that the heads had which a party was shown, in order.
async fn shown(world: &World, party: PartyId) -> Vec<u64> {
    world
        .parties
        .told(|told| {
            let heads = told.iter().filter_map(|(to, message)| match message {
                ToParty::AuditHead(head) if *to == party => {
                    head.verify().unwrap();
                    Some(head.head.count)
                }
                _ => None,
            });
            Some(heads.collect())
        })
        .await
}

/// Waits until a party was shown a head of so many entries.
async fn until_shown(world: &World, party: PartyId, entries: u64) {
    let is_it = |to, message: &ToParty| {
        to == party && matches!(message, ToParty::AuditHead(head) if head.head.count == entries)
    };
    let shown = world.parties.told_n(1, is_it);
    tokio::time::timeout(Duration::from_secs(30), shown).await.unwrap();
}

async fn entries(world: &World) -> u64 {
    let count = world.numbers("SELECT COUNT(*) FROM audit_log").await[0];
    u64::try_from(count).unwrap()
}

/// Three devices: servers would be invited to make an aux set.
async fn without_sessions() -> World {
    let world = World::offline(&[Role::Device; 3]).await;
    world.all_online().await;
    world
}

/// Two entries: there may be only so many keys at a time.
async fn make_and_revoke_a_key(world: &World) {
    let body = json!({"name": "a backend", "scopes": ["read"]});
    let made = world.post("/api/v1/api-keys", &[], &body).await.expect(201);
    world.delete(&format!("/api/v1/api-keys/{}", made.text("id"))).await.expect(200);
}

#[actix_web::test]
async fn what_is_entered_apart_from_sessions_is_shown_to_all_once_an_interval() {
    let started = Instant::now();
    let world = without_sessions().await;
    let mut made = 0;
    while started.elapsed() < HEAD_INTERVAL * 7 / 2 {
        make_and_revoke_a_key(&world).await;
        made += 1;
    }
    for party in &world.ids {
        until_shown(&world, *party, entries(&world).await).await;
    }
    let elapsed = started.elapsed();
    for party in &world.ids {
        let heads = shown(&world, *party).await;
        let count = u32::try_from(heads.len()).unwrap();
        assert!(count >= 2 && HEAD_INTERVAL * count <= elapsed, "{heads:?} in {elapsed:?}");
        assert!(made > 2 * count, "{made} entries, {count} heads");
        assert!(heads.is_sorted_by(|a, b| a < b), "each once: {heads:?}");
    }
}

#[actix_web::test]
async fn a_party_that_comes_back_is_shown_what_it_may_have_missed() {
    let world = without_sessions().await;
    let party = world.ids[0];
    make_and_revoke_a_key(&world).await;
    let newest = entries(&world).await;
    until_shown(&world, party, newest).await;
    world.offline_now(party).await;
    world.online(party).await;
    let is_again = |to, message: &ToParty| {
        to == party && matches!(message, ToParty::AuditHead(head) if head.head.count == newest)
    };
    world.parties.told_n(2, is_again).await;
}

#[actix_web::test]
async fn the_end_of_a_session_is_covered_by_the_head_that_goes_before_it() {
    let world = World::of_three().await;
    let account = world.account().await;
    for _ in 0..5 {
        let session = world.sign(account, &[]).await.expect(200).text("session_id").to_owned();
        let sql = format!(
            "SELECT number FROM audit_log WHERE event = 'session_ended' AND subject = '{session}'"
        );
        let entry = u64::try_from(world.numbers(&sql).await[0]).unwrap();
        let heard = world.parties.told(|told| {
            let is_end = |message: &ToParty| {
                matches!(message, ToParty::Finished { session: of } if of.to_string() == session)
            };
            let end = told.iter().position(|(_, message)| is_end(message))?;
            let (party, _) = told[end];
            let mut heads = told[..end].iter().filter_map(|(to, message)| match message {
                ToParty::AuditHead(head) if *to == party => Some(head.head.count),
                _ => None,
            });
            Some(heads.next_back().expect("no head at all"))
        });
        assert!(heard.await >= entry);
    }
}

#[actix_web::test]
async fn what_a_party_shows_is_stored_though_nothing_else_is_written() {
    let world = without_sessions().await;
    let party = world.ids[1];
    let before = entries(&world).await;
    for count in [3, 9] {
        world.say(party, ToCoordinator::AuditHead(world.parties.head(party, count))).await;
        let sql = format!("SELECT count FROM witnessed_heads WHERE keeper = '{party}'");
        let stored = async {
            while world.numbers(&sql).await != [i64::try_from(count).unwrap()] {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), stored).await.expect("it is not stored");
    }
    assert_eq!(entries(&world).await, before);
}
