//! A coordinator on a database of its own, with scripted parties.

use crate::client::{Reply, send, send_from};
use crate::parties::Parties;
use awc::http::Method;
use coordinator::{
    Admissions, Coordinator, CoordinatorConfig, DoorLimits, DoorStats, EnrolmentSecret, Limits,
    Networks, Rate, Role, Store,
};
use mpc_wire::{AccountId, Identity, PartyId, ToCoordinator, Uplink};
use sea_orm::{ConnectionTrait, Database, Statement};
use serde_json::{Value, json};
use std::net::Ipv4Addr;
use std::num::NonZeroU32;
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::mpsc;

pub(crate) const API_KEY: &str = "test-key-0123456789";

/// As a gateway would choose it.
const CHANNEL: usize = 64;

pub(crate) struct World {
    pub(crate) ids: Vec<PartyId>,
    pub(crate) parties: Parties,
    pub(crate) limits: Limits,
    /// The coordinator's secret, in hexadecimal digits.
    pub(crate) secret: String,
    /// What enrolment tokens are signed with.
    pub(crate) enrolment: Option<String>,
    pub(crate) allowed: Networks,
    pub(crate) trusted_proxies: Networks,
    dir: TempDir,
    running: Option<Running>,
}

struct Running {
    coordinator: Coordinator,
    store: Store,
    uplink: mpsc::Sender<Uplink>,
    base: String,
}

impl World {
    /// `roles.len()` registered parties, none online.
    pub(crate) async fn offline(roles: &[Role]) -> Self {
        Self::with_limits(
            roles,
            Limits { retry_pause: Duration::from_millis(20), ..Limits::default() },
        )
        .await
    }

    pub(crate) async fn with_limits(roles: &[Role], limits: Limits) -> Self {
        let identities: Vec<_> = roles.iter().map(|_| Identity::generate()).collect();
        let ids: Vec<_> = identities.iter().map(Identity::party).collect();
        let parties = Parties::new(identities);
        let dir = tempfile::tempdir().unwrap();
        let mut world = Self {
            ids,
            parties,
            limits,
            secret: "5a".repeat(32),
            enrolment: Some("a secret for enrolment tokens, long enough".into()),
            allowed: Networks::default(),
            trusted_proxies: Networks::default(),
            dir,
            running: None,
        };
        world.limits.door = patient_door();
        world.start().await;
        let store = &world.running.as_ref().unwrap().store;
        for (n, (party, role)) in world.ids.iter().zip(roles).enumerate() {
            store.register_party(*party, *role, &format!("party-{n}")).await.unwrap();
            assert!(store.is_registered(*party).await.unwrap());
        }
        world
    }

    /// Three servers, all online.
    pub(crate) async fn of_three() -> Self {
        let world = Self::offline(&[Role::Server; 3]).await;
        world.all_online().await;
        world
    }

    pub(crate) async fn start(&mut self) {
        let store = Store::open(&self.url()).await.unwrap();
        let (uplink, to_coordinator) = mpsc::channel(CHANNEL);
        let (from_coordinator, downlink) = mpsc::channel(CHANNEL);
        let api_key = API_KEY.to_owned().try_into().unwrap();
        let config = CoordinatorConfig {
            enrolment: self.enrolment_secret(),
            allowed: self.allowed.clone(),
            trusted_proxies: self.trusted_proxies.clone(),
            limits: self.limits.clone(),
            ..CoordinatorConfig::new(
                ([127, 0, 0, 1], 0).into(),
                api_key,
                self.secret.parse().unwrap(),
            )
        };
        let coordinator =
            coordinator::start(config, store.clone(), to_coordinator, from_coordinator)
                .await
                .unwrap();
        actix_rt::spawn(self.parties.clone().play(downlink, uplink.clone()));
        let base = format!("http://{}", coordinator.addr());
        self.running = Some(Running { coordinator, store, uplink, base });
    }

    pub(crate) async fn stop(&mut self) {
        let Running { coordinator, store, .. } = self.running.take().unwrap();
        coordinator.stop().await;
        store.close().await.unwrap();
    }

    /// Begins to stop, and says where it can still be asked meanwhile and what ends with the stop.
    pub(crate) fn begin_stop(&mut self) -> (String, actix_rt::task::JoinHandle<()>) {
        let Running { coordinator, base, .. } = self.running.take().unwrap();
        (base, actix_rt::spawn(coordinator.stop()))
    }

    pub(crate) async fn restart(&mut self) {
        self.stop().await;
        self.start().await;
    }

    pub(crate) fn address(&self) -> std::net::SocketAddr {
        self.running.as_ref().unwrap().coordinator.addr()
    }

    pub(crate) async fn up(&self, uplink: Uplink) {
        self.running.as_ref().unwrap().uplink.send(uplink).await.unwrap();
    }

    pub(crate) async fn say(&self, from: PartyId, message: ToCoordinator) {
        self.up(crate::parties::say(from, message)).await;
    }

    pub(crate) async fn online(&self, party: PartyId) {
        self.up(Uplink::Online { party, label: "test".into() }).await;
        self.until_seen(party, true).await;
    }

    pub(crate) async fn offline_now(&self, party: PartyId) {
        self.up(Uplink::Offline { party }).await;
        self.until_seen(party, false).await;
    }

    pub(crate) async fn all_online(&self) {
        for party in &self.ids {
            self.online(*party).await;
        }
    }

    async fn until_seen(&self, party: PartyId, is_online: bool) {
        self.until("/api/v1/parties", |reply| {
            let parties = reply.json["parties"].as_array().unwrap();
            parties.iter().any(|p| p["party_id"] == party.to_string() && p["online"] == is_online)
        })
        .await;
    }

    /// Asks until the answer is as wanted.
    pub(crate) async fn until(&self, path: &str, is_wanted: impl Fn(&Reply) -> bool) -> Reply {
        let asked = async {
            loop {
                let reply = self.get(path).await;
                if is_wanted(&reply) {
                    return reply;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), asked)
            .await
            .unwrap_or_else(|_| panic!("{path} never was as wanted"))
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.request(Method::GET, path, &[], None).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Reply {
        self.request(Method::DELETE, path, &[], None).await
    }

    pub(crate) async fn post(&self, path: &str, headers: &[(&str, &str)], json: &Value) -> Reply {
        let mut headers = headers.to_vec();
        headers.push(("Content-Type", "application/json"));
        self.request(Method::POST, path, &headers, Some(json.to_string().into_bytes())).await
    }

    pub(crate) async fn request(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Vec<u8>>,
    ) -> Reply {
        send(&self.running.as_ref().unwrap().base, method, path, headers, body).await
    }

    /// As [`World::request`], from another address of this machine.
    pub(crate) async fn request_from(
        &self,
        from: Ipv4Addr,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Vec<u8>>,
    ) -> Reply {
        let base = &self.running.as_ref().unwrap().base;
        send_from(Some(from), base, method, path, headers, body).await
    }

    /// Who decides about what connects to the gateway.
    pub(crate) fn admissions(&self) -> Admissions {
        let store = self.running.as_ref().unwrap().store.clone();
        Admissions::new(store, self.enrolment_secret())
    }

    fn enrolment_secret(&self) -> Option<EnrolmentSecret> {
        self.enrolment.clone().map(|secret| secret.try_into().unwrap())
    }

    pub(crate) fn door_stats(&self) -> DoorStats {
        self.running.as_ref().unwrap().coordinator.door_stats()
    }

    /// Where the database and its companions are.
    pub(crate) fn folder(&self) -> &std::path::Path {
        self.dir.path()
    }

    /// Creates an account and waits until it is active.
    pub(crate) async fn account(&self) -> AccountId {
        let reply = self.post("/api/v1/accounts", &[], &json!({"user_id": "alice"})).await;
        let reply = reply.expect(201);
        assert_eq!(reply.text("state"), "active");
        reply.text("account_id").parse().unwrap()
    }

    pub(crate) async fn sign(&self, account: AccountId, headers: &[(&str, &str)]) -> Reply {
        let path = format!("/api/v1/accounts/{account}/sign");
        self.post(&path, headers, &json!({"message": "ab".repeat(32)})).await
    }

    /// How many rows of each table that a request could have left behind.
    pub(crate) async fn rows(&self) -> [i64; 5] {
        let db = Database::connect(self.url()).await.unwrap();
        let mut counts = [0; 5];
        let tables = ["accounts", "account_parties", "sessions", "attempts", "idempotency_keys"];
        for (count, table) in counts.iter_mut().zip(tables) {
            let sql = format!("SELECT COUNT(*) FROM {table}");
            let row = Statement::from_string(db.get_database_backend(), sql);
            *count = db.query_one_raw(row).await.unwrap().unwrap().try_get_by_index(0).unwrap();
        }
        db.close().await.unwrap();
        counts
    }

    /// What a query finds: numbers.
    pub(crate) async fn numbers(&self, sql: &str) -> Vec<i64> {
        let db = Database::connect(self.url()).await.unwrap();
        let statement = Statement::from_string(db.get_database_backend(), sql);
        let rows = db.query_all_raw(statement).await.unwrap();
        let numbers = rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect();
        db.close().await.unwrap();
        numbers
    }

    pub(crate) fn url(&self) -> String {
        format!("sqlite://{}?mode=rwc", self.dir.path().join("coordinator.db").display())
    }
}

/// Tests ask without a pause, all from the same address; those of the door set its limits anew.
fn patient_door() -> DoorLimits {
    let unlimited = NonZeroU32::new(1_000_000).unwrap();
    let rate = Rate { per_second: unlimited, burst: unlimited };
    DoorLimits { source_rate: rate, key_rate: rate, wrong_of_source: 50, ..DoorLimits::default() }
}
