//! Gateway and coordinator go and come back between two signings: the parties, left alone,
//! reconnect by themselves, and signing works.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use coordinator::Role;
use k256::ecdsa::SigningKey;
use mpc_tests::cluster::{Cluster, Engine, PartySpec};
use mpc_tests::stub::Log;

#[actix_rt::test]
async fn parties_reconnect_by_themselves_and_sign() {
    let folder = tempfile::tempdir().unwrap();
    let key = SigningKey::from_slice(&[0x42; 32]).unwrap();
    let server = || PartySpec::new(Role::Server, Engine::Stub(key.clone(), Log::default()));
    let specs = vec![server(), server(), server()];
    let mut cluster = Cluster::start(folder.path(), specs).await.unwrap();
    let account = cluster.create_account(2, &[0, 1, 2]).await.unwrap();
    let path = format!("/api/v1/accounts/{}/sign", account["account_id"].as_str().unwrap());

    for round in 1..=3_u8 {
        let body = serde_json::json!({ "message": hex::encode([round; 32]) });
        let (status, session) = cluster.post(&path, &body).await.unwrap();
        assert_eq!(status, 200, "{session}");
        assert_eq!(session["state"], "completed");
        cluster = cluster.restart_office(folder.path()).await.unwrap();
        cluster.wait_online(3).await.unwrap();
    }
    cluster.stop().await;
}
