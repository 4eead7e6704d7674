//! Revocation takes effect at once, on every gateway, whatever the party is doing.

use crate::house::{again, audited, refused, revoke, shown, sign, stub, until, welcomed};
use gateway::{Gateway, GatewayConfig};
use mpc::node::StoreRoster;
use mpc_tests::cluster::{Cluster, open_vault, start_party};
use mpc_tests::proxy::{Direction, Interceptor};
use mpc_wire::{Downlink, ToCoordinator, Uplink, codec};
use party_runtime::{LinkStatus, RefusalReason};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Holds back what its party has to say once it has joined.
#[derive(Default)]
struct Mute;

impl Interceptor for Mute {
    fn pass(&mut self, direction: Direction, message: Vec<u8>) -> Vec<Vec<u8>> {
        match (direction, codec::decode(&message)) {
            (Direction::Up, Ok(ToCoordinator::Round(_) | ToCoordinator::Outcome { .. })) => {
                Vec::new()
            }
            (Direction::Up | Direction::Down, _) => vec![message],
        }
    }
}

#[actix_rt::test]
async fn a_party_that_is_revoked_during_a_session_is_out_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(folder.path(), vec![stub(), stub(), stub()]).await.unwrap();
    let account = cluster.create_account(2, &[0, 1, 2]).await.unwrap();
    // From here on the party takes part, and says nothing.
    let mallory = cluster.parties[2].clone();
    mallory.clone().stop().await;
    cluster.wait_online(2).await.unwrap();
    let vault = open_vault(&folder.path().join("party-3")).await.unwrap();
    let spec = stub().behind(Rc::new(RefCell::new(Mute)));
    let mute = start_party(cluster.gateway.addr(), vault.clone(), spec).await.unwrap();
    cluster.wait_online(3).await.unwrap();

    let path = format!("/api/v1/accounts/{}/sign", account["account_id"].as_str().unwrap());
    let stuck = loop {
        let body = json!({ "message": hex::encode([7; 32]) });
        let (status, session) = cluster.post_async(&path, &body).await.unwrap();
        assert!(status == 202 || status == 200, "{session}");
        let path = format!("/api/v1/sessions/{}", session["session_id"].as_str().unwrap());
        let is_settled =
            |session: &Value| session["state"] == "completed" || session["state"] == "running";
        let session = cluster.poll(&path, is_settled).await.unwrap();
        if session["state"] == "running"
            && session["quorum"].as_array().unwrap().contains(&json!(mute.id()))
        {
            break path;
        }
    };
    revoke(&cluster, mute.id()).await;
    let ended = cluster.poll(&stuck, |session| session["state"] == "completed").await.unwrap();
    assert!(!ended["signers"].as_array().unwrap().contains(&json!(mute.id())), "{ended}");
    assert_eq!(refused(&mute).await, RefusalReason::Revoked);
    assert_eq!(shown(&cluster, mute.id()).await["online"], false);

    // It does not come back by another key either, nor by another start.
    mute.rotate_identity().await.unwrap();
    mute.stop().await;
    assert_eq!(refused(&again(&cluster, &vault, None).await).await, RefusalReason::Revoked);
    for byte in 0..4 {
        assert_eq!(sign(&cluster, &account, byte).await.0, 200);
    }
    cluster.stop().await;
    audited(folder.path()).await;
}

/// Two gateways on one bus, and the same identity on both.
#[actix_rt::test]
async fn every_gateway_of_the_bus_disconnects_a_revoked_party() {
    let folder = tempfile::tempdir().unwrap();
    // The office brings store and roster; its own gateway is a third one.
    let cluster = Cluster::start(folder.path(), vec![stub()]).await.unwrap();
    let (uplink, mut reports) = mpsc::channel(64);
    let (first, to_first) = post(&cluster, uplink.clone()).await;
    let (second, to_second) = post(&cluster, uplink).await;
    let vault = open_vault(&folder.path().join("elsewhere")).await.unwrap();
    cluster.store.register_party(vault.party(), coordinator::Role::Server, "").await.unwrap();
    let here = start_party(first.addr(), vault.clone(), stub()).await.unwrap();
    let there = start_party(second.addr(), vault.clone(), stub()).await.unwrap();
    welcomed(&here).await;
    welcomed(&there).await;
    for _ in 0..2 {
        assert!(matches!(reports.recv().await, Some(Uplink::Online { .. })));
    }
    revoke(&cluster, vault.party()).await;
    // What the bus does: it brings the one message to all.
    for gateway in [&to_first, &to_second] {
        gateway.send(Downlink::Disconnect { party: vault.party() }).await.unwrap();
    }
    for party in [&here, &there] {
        until(party, |status| *status != LinkStatus::Up).await;
        assert_eq!(refused(party).await, RefusalReason::Revoked);
    }
    for _ in 0..2 {
        assert!(matches!(reports.recv().await, Some(Uplink::Offline { .. })));
    }
    assert!(reports.try_recv().is_err(), "nobody came online again");
    first.stop().await;
    second.stop().await;
    cluster.stop().await;
}

/// One more gateway over the cluster's store.
async fn post(
    cluster: &Cluster,
    uplink: mpsc::Sender<Uplink>,
) -> (Gateway, mpsc::Sender<Downlink>) {
    let (downlink, receiver) = mpsc::channel(16);
    let admissions = coordinator::Admissions::new(cluster.store.clone(), None);
    let roster = Arc::new(StoreRoster(admissions));
    let config = GatewayConfig::new(([127, 0, 0, 1], 0).into(), "test-gateway");
    (gateway::start(config, roster, uplink, receiver).await.unwrap(), downlink)
}
