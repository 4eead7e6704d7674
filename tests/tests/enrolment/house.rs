//! What the tests share.

use coordinator::Role;
use k256::ecdsa::SigningKey;
use mpc::audit::{logs_in, verify};
use mpc_tests::cluster::{Cluster, Engine, PATIENCE, PartySpec, open_vault, start_party};
use mpc_tests::stub::Log;
use mpc_wire::{EnrolmentToken, PartyId};
use party_runtime::{LinkStatus, Party, RefusalReason, Vault};
use serde_json::{Value, json};
use std::path::Path;
use tokio::time::timeout;

/// A party with stub runners.
pub(crate) fn stub() -> PartySpec {
    let key = SigningKey::from_slice(&[0x42; 32]).unwrap();
    PartySpec::new(Role::Server, Engine::Stub(key, Log::default()))
}

/// Makes a party that nobody has registered, and starts it.
pub(crate) async fn stranger(
    cluster: &Cluster,
    folder: &Path,
    token: Option<&str>,
) -> (Party, Vault) {
    let vault = open_vault(folder).await.unwrap();
    (again(cluster, &vault, token).await, vault)
}

/// Starts a party with this vault.
pub(crate) async fn again(cluster: &Cluster, vault: &Vault, token: Option<&str>) -> Party {
    let enrolment_token = token.map(|token| EnrolmentToken::try_from(token.to_owned()).unwrap());
    let spec = PartySpec { enrolment_token, ..stub() };
    start_party(cluster.gateway.addr(), vault.clone(), spec).await.unwrap()
}

pub(crate) async fn until(party: &Party, is_wanted: impl Fn(&LinkStatus) -> bool) -> LinkStatus {
    let mut status = party.status();
    let wanted = timeout(PATIENCE, status.wait_for(|status| is_wanted(status)));
    wanted.await.unwrap().unwrap().clone()
}

pub(crate) async fn welcomed(party: &Party) {
    until(party, |status| *status == LinkStatus::Up).await;
}

pub(crate) async fn refused(party: &Party) -> RefusalReason {
    match until(party, |status| matches!(status, LinkStatus::Refused(_))).await {
        LinkStatus::Refused(refusal) => refusal.reason,
        LinkStatus::Up | LinkStatus::Down => panic!("not refused"),
    }
}

/// What the API shows of a party.
pub(crate) async fn shown(cluster: &Cluster, party: PartyId) -> Value {
    let (_, body) = cluster.get("/api/v1/parties").await.unwrap();
    let parties = body["parties"].as_array().unwrap();
    let is_it = |shown: &&Value| shown["party_id"] == party.to_string();
    parties.iter().find(is_it).cloned().unwrap_or(Value::Null)
}

/// Waits until the API shows a party so.
pub(crate) async fn until_shown(cluster: &Cluster, party: PartyId, is_so: fn(&Value) -> bool) {
    let is_there = |body: &Value| {
        let parties = body["parties"].as_array().unwrap();
        parties.iter().any(|shown| shown["party_id"] == party.to_string() && is_so(shown))
    };
    cluster.poll("/api/v1/parties", is_there).await.unwrap();
}

/// Signs a digest of this byte; the session as the API shows it, with its status.
pub(crate) async fn sign(cluster: &Cluster, account: &Value, byte: u8) -> (u16, Value) {
    let path = format!("/api/v1/accounts/{}/sign", account["account_id"].as_str().unwrap());
    cluster.post(&path, &json!({ "message": hex::encode([byte; 32]) })).await.unwrap()
}

/// Every entry of the coordinator's log is there, and one for whatever it has stored.
pub(crate) async fn audited(folder: &Path) {
    let report = verify(&logs_in(folder).unwrap(), Vec::new()).await.unwrap();
    assert_eq!(report.log("coordinator").unwrap().findings, []);
}

pub(crate) async fn revoke(cluster: &Cluster, party: PartyId) {
    let path = format!("/api/v1/parties/{party}/revoke");
    let (status, body) = cluster.post(&path, &json!({})).await.unwrap();
    assert_eq!((status, &body["state"]), (200, &json!("revoked")), "{body}");
}
