//! Gateway, coordinator and parties over real loopback sockets, each part within a test's reach.

#![allow(
    clippy::indexing_slicing,
    clippy::expect_used,
    reason = "a field that is not there reads as null, and a test fails by panicking"
)]

use crate::proxy::{Interceptor, Proxy};
use crate::slow_line::SlowLine;
use crate::stub::{Log, StubRunners};
use awc::{Client, SendClientRequest};
use coordinator::{Admissions, ApiKey, Coordinator, CoordinatorConfig, Limits, Role, Store};
use gateway::{CONNECT_PATH, Gateway, GatewayConfig};
use k256::ecdsa::SigningKey;
use mpc::node::StoreRoster;
use mpc_wire::{EnrolmentToken, Transport};
use party_runtime::policy::Profile;
use party_runtime::{CpuPool, KeySource, LivePolicy, Party, PartyConfig, Vault};
use serde_json::Value;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// The key of every test cluster's API.
pub const API_KEY: &str = "a test's own API key";

/// What the test gateway calls itself.
pub(crate) const SERVER_NAME: &str = "test-gateway";

/// What every test cluster signs its enrolment tokens with.
pub const ENROLMENT_SECRET: &str = "a test's own secret for enrolment tokens";

/// Longest that anything in a cluster may take: AuxGen on a slow machine.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// How a party of a cluster runs.
#[derive(Clone)]
pub enum Engine {
    /// With the real protocols.
    Real(CpuPool),
    /// With stub runners that sign with this key.
    Stub(SigningKey, Log),
}

/// What a party of a cluster is.
#[derive(Clone)]
pub struct PartySpec {
    /// Its role.
    pub role: Role,
    /// How it runs.
    pub engine: Engine,
    /// What stands between it and the gateway.
    pub interceptor: Option<Rc<RefCell<dyn Interceptor>>>,
    /// How much its line brings down, if not all at once.
    pub bytes_per_second: Option<usize>,
    /// What it takes part in.
    pub policy: LivePolicy,
    /// Where it listens to its own people.
    pub control: Option<PathBuf>,
    /// What lets it in, if nobody registers it.
    pub enrolment_token: Option<EnrolmentToken>,
}

impl PartySpec {
    /// A party of this role with nothing between it and the gateway.
    pub fn new(role: Role, engine: Engine) -> Self {
        let policy = LivePolicy::of_profile(Profile::Development).expect("a policy");
        Self {
            role,
            engine,
            policy,
            interceptor: None,
            bytes_per_second: None,
            control: None,
            enrolment_token: None,
        }
    }

    /// The same party behind an interceptor.
    pub fn behind(mut self, interceptor: Rc<RefCell<dyn Interceptor>>) -> Self {
        self.interceptor = Some(interceptor);
        self
    }
}

/// A running cluster.
pub struct Cluster {
    /// The coordinator's database.
    pub store: Store,
    /// The coordinator.
    pub coordinator: Coordinator,
    /// The gateway.
    pub gateway: Gateway,
    /// The parties, in the order of their specs.
    pub parties: Vec<Party>,
}

impl Cluster {
    /// Starts a cluster with its data in `folder` and waits until every party is online.
    pub async fn start(folder: &Path, specs: Vec<PartySpec>) -> anyhow::Result<Self> {
        Self::start_within(folder, specs, Limits::default()).await
    }

    /// The same, with other limits of the coordinator's.
    pub async fn start_within(
        folder: &Path,
        specs: Vec<PartySpec>,
        limits: Limits,
    ) -> anyhow::Result<Self> {
        log_to_test_output();
        let store = open_store(folder).await?;
        let mut vaults = Vec::new();
        for (number, spec) in specs.iter().enumerate() {
            let vault = open_vault(&party_folder(folder, number)).await?;
            store.register_party(vault.party(), spec.role, "").await?;
            vaults.push(vault);
        }
        let (gateway, coordinator) = start_office(&store, any_port(), limits).await?;
        let mut parties = Vec::new();
        for (vault, spec) in vaults.into_iter().zip(specs) {
            parties.push(start_party(gateway.addr(), vault, spec).await?);
        }
        let cluster = Self { store, coordinator, gateway, parties };
        let count = cluster.parties.len();
        cluster.wait_online(count).await?;
        Ok(cluster)
    }

    /// Ends gateway and coordinator and starts new ones on the same database and gateway port, as
    /// after a restart of their host. The parties are left alone.
    pub async fn restart_office(self, folder: &Path) -> anyhow::Result<Self> {
        let Self { store, coordinator, gateway, parties } = self;
        let addr = gateway.addr();
        coordinator.stop().await;
        gateway.stop().await;
        store.close().await?;
        let store = open_store(folder).await?;
        let (gateway, coordinator) = start_office(&store, addr, Limits::default()).await?;
        Ok(Self { store, coordinator, gateway, parties })
    }

    /// Ends a party and starts it again from its folder, as after a restart of its host.
    pub async fn restart_party(
        &mut self,
        folder: &Path,
        number: usize,
        spec: PartySpec,
    ) -> anyhow::Result<()> {
        self.parties.remove(number).stop().await;
        let vault = open_vault(&party_folder(folder, number)).await?;
        let party = start_party(self.gateway.addr(), vault, spec).await?;
        self.parties.insert(number, party);
        Ok(())
    }

    /// Waits until `count` parties are online.
    pub async fn wait_online(&self, count: usize) -> anyhow::Result<()> {
        self.poll("/api/v1/parties", |body| {
            let parties = body["parties"].as_array().cloned().unwrap_or_default();
            parties.iter().filter(|party| party["online"] == true).count() == count
        })
        .await
        .map(drop)
    }

    /// Asks a resource again and again until it is as wanted: how a test waits for what has no
    /// event of its own.
    pub async fn poll(
        &self,
        path: &str,
        is_wanted: impl Fn(&Value) -> bool,
    ) -> anyhow::Result<Value> {
        let asking = async {
            loop {
                let (_, body) = self.get(path).await?;
                if is_wanted(&body) {
                    return Ok(body);
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, asking).await?
    }

    /// Creates an account of these parties, by their place among the specs, and waits until it is
    /// active. Returns the account.
    pub async fn create_account(&self, threshold: u16, parties: &[usize]) -> anyhow::Result<Value> {
        let parties: Vec<_> =
            parties.iter().filter_map(|at| self.parties.get(*at)).map(Party::id).collect();
        let request = serde_json::json!({
            "user_id": "alice", "threshold": threshold, "parties": parties
        });
        let (status, account) = self.post("/api/v1/accounts", &request).await?;
        anyhow::ensure!(status == 201 || status == 202, "{status}: {account}");
        let id = account["account_id"].as_str().unwrap_or_default();
        let path = format!("/api/v1/accounts/{id}");
        let is_over = |body: &Value| body["state"] == "active" || body["state"] == "failed";
        let account = self.poll(&path, is_over).await?;
        anyhow::ensure!(account["state"] == "active", "{account}");
        Ok(account)
    }

    /// `GET path`: status and body.
    pub async fn get(&self, path: &str) -> anyhow::Result<(u16, Value)> {
        let url = format!("http://{}{path}", self.coordinator.addr());
        let request = client().get(url).insert_header(("X-API-Key", API_KEY));
        answer(request.send()).await
    }

    /// `POST path` with a JSON body: status and body.
    pub async fn post(&self, path: &str, body: &Value) -> anyhow::Result<(u16, Value)> {
        let url = format!("http://{}{path}", self.coordinator.addr());
        let request = client().post(url).insert_header(("X-API-Key", API_KEY));
        answer(request.send_json(body)).await
    }

    /// `POST path` with a JSON body, without waiting for what comes of it: status and body.
    pub async fn post_async(&self, path: &str, body: &Value) -> anyhow::Result<(u16, Value)> {
        let url = format!("http://{}{path}", self.coordinator.addr());
        let request = client().post(url).insert_header(("X-API-Key", API_KEY));
        answer(request.insert_header(("Prefer", "respond-async")).send_json(body)).await
    }

    /// `DELETE path`: status and body.
    pub async fn delete(&self, path: &str) -> anyhow::Result<(u16, Value)> {
        let url = format!("http://{}{path}", self.coordinator.addr());
        let request = client().delete(url).insert_header(("X-API-Key", API_KEY));
        answer(request.send()).await
    }

    /// Stops everything.
    pub async fn stop(self) {
        self.coordinator.stop().await;
        self.gateway.stop().await;
        for party in self.parties {
            party.stop().await;
        }
    }
}

/// Where the party at this place among the specs has its data.
pub fn party_folder(folder: &Path, number: usize) -> PathBuf {
    folder.join(format!("party-{}", number + 1))
}

/// Opens the vault of a party's folder, a new one if there is none.
pub async fn open_vault(folder: &Path) -> anyhow::Result<Vault> {
    std::fs::create_dir_all(folder)?;
    let key = KeySource::File(folder.join("master.key"));
    Ok(Vault::open_or_create(&folder.join("vault.sqlite"), &key).await?)
}

async fn open_store(folder: &Path) -> anyhow::Result<Store> {
    let path = folder.join("coordinator.sqlite");
    Ok(Store::open(&format!("sqlite://{}?mode=rwc", path.display())).await?)
}

pub(crate) fn any_port() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

async fn start_office(
    store: &Store,
    gateway_addr: SocketAddr,
    limits: Limits,
) -> anyhow::Result<(Gateway, Coordinator)> {
    let (to_coordinator, from_gateway) = mpsc::channel(1024);
    let (to_gateway, from_coordinator) = mpsc::channel(1024);
    let enrolment = Some(ENROLMENT_SECRET.to_owned().try_into()?);
    let roster = Arc::new(StoreRoster(Admissions::new(store.clone(), enrolment.clone())));
    let config = GatewayConfig::new(gateway_addr, SERVER_NAME);
    let gateway = gateway::start(config, roster, to_coordinator, from_coordinator).await?;
    let api_key = ApiKey::try_from(API_KEY.to_owned())?;
    let secret = "5a".repeat(32).parse()?;
    let config = CoordinatorConfig::new(any_port(), api_key, secret);
    let config = CoordinatorConfig { enrolment, limits, ..config };
    let coordinator = coordinator::start(config, store.clone(), from_gateway, to_gateway).await?;
    Ok((gateway, coordinator))
}

/// Starts a party that connects to the gateway at this address.
pub async fn start_party(
    gateway: SocketAddr,
    vault: Vault,
    spec: PartySpec,
) -> anyhow::Result<Party> {
    let gateway = match spec.bytes_per_second {
        Some(rate) => SlowLine::start(gateway, rate).await?.addr,
        None => gateway,
    };
    let addr = match spec.interceptor {
        Some(interceptor) => Proxy::start(gateway, interceptor).await?.addr,
        None => gateway,
    };
    let mut config = PartyConfig {
        transport: Transport::Loopback,
        gateway_url: format!("ws://{addr}{CONNECT_PATH}"),
        server_name: SERVER_NAME.into(),
        label: String::new(),
        policy: spec.policy,
        control: spec.control,
        enrolment_token: spec.enrolment_token,
        cpu: CpuPool::start(std::num::NonZero::<usize>::MIN)?,
    };
    match spec.engine {
        Engine::Real(cpu) => {
            config.cpu = cpu;
            Ok(Party::start(config, vault)?)
        }
        Engine::Stub(key, log) => {
            let runners = Rc::new(StubRunners::new(vault.clone(), key, log));
            Ok(Party::start_with(config, vault, runners)?)
        }
    }
}

/// Lets a failing test show what the house logged, as far as `RUST_LOG` asks for it.
pub(crate) fn log_to_test_output() {
    let filter = tracing_subscriber::EnvFilter::from_default_env();
    // Another test of this binary may have been first.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init();
}

fn client() -> Client {
    Client::builder().timeout(PATIENCE).finish()
}

async fn answer(request: SendClientRequest) -> anyhow::Result<(u16, Value)> {
    let mut answer = request.await.map_err(|error| anyhow::anyhow!("{error}"))?;
    let status = answer.status().as_u16();
    let body = answer.body().limit(1 << 20).await?;
    Ok((status, serde_json::from_slice(&body).unwrap_or(Value::Null)))
}
