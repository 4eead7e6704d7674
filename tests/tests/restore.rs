//! A party that was restored from a backup takes part only once its peers have confirmed it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use age::secrecy::ExposeSecret;
use coordinator::Role;
use k256::ecdsa::SigningKey;
use mpc_tests::cluster::{Cluster, Engine, PartySpec, open_vault, party_folder, start_party};
use mpc_tests::stub::Log;
use mpc_wire::{AccountId, Epoch, PartyId, UnixMillis};
use party_runtime::KeySource;
use party_runtime::backup::{self, Identities, OpenedBackup, Recipients};
use party_runtime::control::client::ask;
use party_runtime::control::{ControlAnswer, ControlRequest, SOCKET};
use party_runtime::quarantine::RestoreMode;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

/// A cluster of three stub parties with one account, and a backup of the first party.
struct World {
    folder: TempDir,
    cluster: Cluster,
    account: AccountId,
    identity: age::x25519::Identity,
    backup: Vec<u8>,
}

fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    UnixMillis(since.as_millis() as u64)
}

fn control(folder: &Path, number: usize) -> PathBuf {
    party_folder(folder, number).join(SOCKET)
}

fn spec(folder: &Path, number: usize) -> PartySpec {
    let key = SigningKey::from_slice(&[0x42; 32]).unwrap();
    let mut spec = PartySpec::new(Role::Server, Engine::Stub(key, Log::default()));
    spec.control = Some(control(folder, number));
    spec
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let specs = (0..3).map(|number| spec(folder.path(), number)).collect();
        let cluster = Cluster::start(folder.path(), specs).await.unwrap();
        let account = cluster.create_account(2, &[0, 1, 2]).await.unwrap();
        let account = account["account_id"].as_str().unwrap().parse().unwrap();
        let identity = age::x25519::Identity::generate();
        // The party runs meanwhile.
        let vault = open_vault(&party_folder(folder.path(), 0)).await.unwrap();
        let recipients = Recipients::parse(&[identity.to_public().to_string()]).unwrap();
        let mut backup = Vec::new();
        backup::write(&vault, &recipients, now(), &mut backup).await.unwrap();
        vault.close().await.unwrap();
        Self { folder, cluster, account, identity, backup }
    }

    fn id(&self, number: usize) -> PartyId {
        self.cluster.parties[number].id()
    }

    /// Ends the first party, loses its vault and makes it again from the backup.
    async fn lose_and_restore(&mut self, mode: RestoreMode) {
        let folder = party_folder(self.folder.path(), 0);
        self.cluster.parties.remove(0).stop().await;
        for file in ["vault.sqlite", "vault.sqlite-wal", "vault.sqlite-shm"] {
            let _absent = std::fs::remove_file(folder.join(file));
        }
        let identities = Identities::parse(self.identity.to_string().expose_secret()).unwrap();
        let opened = OpenedBackup::read(&identities, self.backup.as_slice()).unwrap();
        let key = KeySource::File(folder.join("master.key"));
        let vault = opened.restore(&folder.join("vault.sqlite"), &key, mode, now()).await.unwrap();
        vault.close().await.unwrap();
        self.start(0).await;
    }

    async fn start(&mut self, number: usize) {
        let vault = open_vault(&party_folder(self.folder.path(), number)).await.unwrap();
        let spec = spec(self.folder.path(), number);
        let party = start_party(self.cluster.gateway.addr(), vault, spec).await.unwrap();
        self.cluster.parties.insert(number, party);
    }

    /// Lets a party ask its peers anew.
    async fn reconnect(&mut self, number: usize) {
        let spec = spec(self.folder.path(), number);
        self.cluster.restart_party(self.folder.path(), number, spec).await.unwrap();
    }

    async fn stop_party(&mut self, number: usize) {
        let party = self.cluster.parties.remove(number);
        let id = party.id().to_string();
        party.stop().await;
        self.cluster
            .poll("/api/v1/parties", |body| {
                let parties = body["parties"].as_array().cloned().unwrap_or_default();
                parties.iter().any(|party| party["party_id"] == id && party["online"] == false)
            })
            .await
            .unwrap();
    }

    /// Asks for a signature and does not wait: the session's path.
    async fn ask_to_sign(&self) -> String {
        let path = format!("/api/v1/accounts/{}/sign", self.account);
        let body = json!({ "message": "ab".repeat(32) });
        let (status, session) = self.cluster.post_async(&path, &body).await.unwrap();
        assert_eq!(status, 202, "{session}");
        format!("/api/v1/sessions/{}", session["session_id"].as_str().unwrap())
    }

    /// The reason for which a party has declined the session.
    async fn decline_of(&self, session: &str, party: PartyId) -> String {
        let party = party.to_string();
        let of = |body: &Value| {
            let declines = body["declines"].as_array().cloned().unwrap_or_default();
            let found = declines.into_iter().find(|decline| decline["party_id"] == party)?;
            Some(found["reason"].as_str().unwrap().to_owned())
        };
        let body = self.cluster.poll(session, |body| of(body).is_some()).await.unwrap();
        of(&body).unwrap()
    }

    /// Signs with whoever is connected until the first party is among the signers.
    async fn sign_with_first(&self) {
        let first = self.id(0).to_string();
        let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
        loop {
            let session = self.ask_to_sign().await;
            let body = self
                .cluster
                .poll(&session, |body| body["state"] == "completed" || body["state"] == "failed")
                .await
                .unwrap();
            let signers = body["signers"].as_array().cloned().unwrap_or_default();
            if signers.iter().any(|signer| *signer == first) {
                return;
            }
            assert!(tokio::time::Instant::now() < deadline, "the party never signs: {body}");
        }
    }
}

#[actix_rt::test]
async fn a_restored_party_is_released_by_its_peers_and_by_no_fewer_than_it_needs() {
    let mut world = World::new().await;
    world.stop_party(2).await;
    world.lose_and_restore(RestoreMode::Quarantined).await;
    world.cluster.wait_online(2).await.unwrap();

    // One peer is not enough: the session waits for the third party instead.
    let session = world.ask_to_sign().await;
    assert_eq!(world.decline_of(&session, world.id(0)).await, "quarantined");
    world.start(2).await;
    let body = world.cluster.poll(&session, |body| body["state"] == "completed").await.unwrap();
    let signers = body["signers"].as_array().unwrap();
    assert!(!signers.contains(&json!(world.id(0).to_string())), "{body}");

    // Both have spoken: the party signs.
    world.cluster.wait_online(3).await.unwrap();
    world.reconnect(0).await;
    world.cluster.wait_online(3).await.unwrap();
    world.sign_with_first().await;

    // That outlives a restart, with nobody there to ask again.
    world.stop_party(2).await;
    world.reconnect(0).await;
    world.cluster.wait_online(2).await.unwrap();
    world.sign_with_first().await;
    world.cluster.stop().await;
}

#[actix_rt::test]
async fn a_share_that_is_older_than_the_account_stays_closed() {
    let mut world = World::new().await;
    // The account moves on to a second epoch, as a refresh would make it, after the backup.
    let vault = open_vault(&party_folder(world.folder.path(), 1)).await.unwrap();
    let share = vault.share(world.account, Epoch(1)).await.unwrap().unwrap();
    vault.store_share(world.account, Epoch(2), &share).await.unwrap();
    vault.close().await.unwrap();

    world.stop_party(2).await;
    world.lose_and_restore(RestoreMode::Quarantined).await;
    world.cluster.wait_online(2).await.unwrap();
    // The answers come soon after the connection; until then the party is in quarantine.
    let first = world.id(0);
    let reason = async {
        loop {
            let session = world.ask_to_sign().await;
            let reason = world.decline_of(&session, first).await;
            world.cluster.delete(&session).await.unwrap();
            if reason != "quarantined" {
                return reason;
            }
        }
    };
    let reason = tokio::time::timeout(Duration::from_secs(60), reason).await.unwrap();
    assert_eq!(reason, "stale_epoch");

    // More witnesses for the old epoch do not open it again.
    world.start(2).await;
    world.cluster.wait_online(3).await.unwrap();
    world.reconnect(0).await;
    world.stop_party(1).await;
    world.cluster.wait_online(2).await.unwrap();
    let session = world.ask_to_sign().await;
    assert_eq!(world.decline_of(&session, first).await, "stale_epoch");
    world.cluster.stop().await;
}

#[actix_rt::test]
async fn in_a_disaster_the_party_waits_for_nobody() {
    let mut world = World::new().await;
    world.stop_party(2).await;
    world.lose_and_restore(RestoreMode::Disaster).await;
    world.cluster.wait_online(2).await.unwrap();
    world.sign_with_first().await;
    world.cluster.stop().await;
}

#[actix_rt::test]
async fn a_ban_outlives_a_restart_and_the_restoration_of_an_older_backup() {
    let mut world = World::new().await;
    let (first, third) = (world.id(0), world.id(2));
    let folder = party_folder(world.folder.path(), 0);
    let banned =
        tokio::task::spawn_blocking(move || ask(&folder, &ControlRequest::Ban { party: third }))
            .await
            .unwrap()
            .unwrap();
    assert!(matches!(banned, ControlAnswer::Done { .. }), "{banned:?}");

    // Only a party that the first one has banned is left to sign with it.
    let is_refused = async |world: &World| {
        let session = world.ask_to_sign().await;
        let reason = world.decline_of(&session, first).await;
        world.cluster.delete(&session).await.unwrap();
        reason
    };
    world.stop_party(1).await;
    assert_eq!(is_refused(&world).await, "banned");
    world.reconnect(0).await;
    world.cluster.wait_online(2).await.unwrap();
    assert_eq!(is_refused(&world).await, "banned");

    // The peers have kept the ban; the backup does not know it.
    world.start(1).await;
    world.cluster.wait_online(3).await.unwrap();
    world.reconnect(0).await;
    world.cluster.wait_online(3).await.unwrap();
    world.lose_and_restore(RestoreMode::Quarantined).await;
    world.cluster.wait_online(3).await.unwrap();
    world.sign_with_first().await;
    world.stop_party(1).await;
    assert_eq!(is_refused(&world).await, "banned");
    world.cluster.stop().await;
}
