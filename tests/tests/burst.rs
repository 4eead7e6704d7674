//! Many requests at once on real sockets and real party actors: each is answered, in its first
//! attempt, with its own signature.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use coordinator::Role;
use futures_util::future::join_all;
use k256::ecdsa::SigningKey;
use mpc_tests::cluster::{Cluster, Engine, PartySpec};
use mpc_tests::stub::Log;

#[actix_rt::test]
async fn two_hundred_requests_at_once_are_signed_in_their_first_attempt() {
    const REQUESTS: u8 = 200;
    let folder = tempfile::tempdir().unwrap();
    let key = SigningKey::from_slice(&[0x42; 32]).unwrap();
    let server = || PartySpec::new(Role::Server, Engine::Stub(key.clone(), Log::default()));
    let specs = vec![server(), server(), server()];
    let cluster = Cluster::start(folder.path(), specs).await.unwrap();
    let account = cluster.create_account(2, &[0, 1, 2]).await.unwrap();
    let path = format!("/api/v1/accounts/{}/sign", account["account_id"].as_str().unwrap());

    let bodies: Vec<_> = (0..REQUESTS)
        .map(|number| serde_json::json!({ "message": hex::encode([number; 32]) }))
        .collect();
    let answers = join_all(bodies.iter().map(|body| cluster.post(&path, body))).await;
    for (body, answer) in bodies.iter().zip(answers) {
        let (status, session) = answer.unwrap();
        assert_eq!(status, 200, "{session}");
        assert_eq!(session["state"], "completed");
        assert_eq!(session["attempt"], 1, "{session}");
        assert_eq!(session["message"], body["message"]);
    }
    cluster.stop().await;
}
