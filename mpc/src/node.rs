//! Gateway, coordinator and parties in one process, over real loopback sockets, each with its own
//! database and identity.

use anyhow::{Context, bail};
use coordinator::{ApiKey, Coordinator, CoordinatorConfig, Limits, Role, Store};
use gateway::{CONNECT_PATH, Gateway, GatewayConfig, Roster, RosterUnavailable};
use mpc_wire::PartyId;
use party_runtime::{CpuPool, KeySource, Party, PartyConfig, Vault};
use std::fs::{File, TryLockError};
use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Messages between gateway and coordinator that may wait, each way: the rounds of some hundred
/// attempts at once. A full channel slows the gateway's sockets; it loses nothing.
const BUS_CAPACITY: usize = 4096;

/// What a node's gateway calls itself unless told otherwise.
pub const SERVER_NAME: &str = "mpc-node";

/// The file in the data folder that a node locks.
const LOCK_FILE: &str = "node.lock";

/// A data folder, held by this process alone until it is dropped.
#[derive(Debug)]
pub struct DataFolder {
    path: PathBuf,
    /// The operating system gives the lock back when the file is closed, after a kill too.
    _lock: File,
}

impl DataFolder {
    /// Opens the folder, makes it if it is missing, and locks it.
    ///
    /// # Errors
    /// If another process has it, or the operating system refuses.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        make_private_folder(path)?;
        let lock = path.join(LOCK_FILE);
        let failed = || format!("cannot lock {}", lock.display());
        let file = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&lock)
            .with_context(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: file }),
            Err(TryLockError::WouldBlock) => {
                bail!("another process runs a node in {}", path.display())
            }
            Err(TryLockError::Error(error)) => Err(error).with_context(failed),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many parties have been made in it.
    pub fn parties(&self) -> usize {
        (1..).take_while(|number| self.path.join(label(*number)).is_dir()).count()
    }
}

/// What a node needs to know to run.
#[derive(Debug)]
pub struct NodeConfig {
    /// The folder for databases and keys.
    pub data: DataFolder,
    /// Where the backend API listens.
    pub api: SocketAddr,
    /// Where the gateway listens.
    pub gateway: SocketAddr,
    /// What the gateway calls itself.
    pub server_name: String,
    /// The key of the backend API.
    pub api_key: ApiKey,
    /// How many parties the node runs.
    pub parties: usize,
    /// The master key of the parties' vaults; without it each party has a key file of its own.
    pub master_key: Option<KeySource>,
    /// Where all parties of the node run their jobs.
    pub cpu: CpuPool,
}

/// A running node.
pub struct Node {
    coordinator: Coordinator,
    gateway: Gateway,
    parties: Vec<Party>,
    /// Held until everything that writes into it has stopped.
    _data: DataFolder,
}

impl Node {
    /// Starts a node; it takes up what is in its data folder. Must be called inside a running
    /// actix system.
    ///
    /// # Errors
    /// Whatever keeps one of its roles from starting, with what it was.
    pub async fn start(config: NodeConfig) -> anyhow::Result<Self> {
        let store = Store::open(&sqlite_url(&config.data.path().join("coordinator.sqlite")))
            .await
            .context("cannot open the coordinator's database")?;
        let vaults = open_vaults(&config).await?;
        for (label, vault) in &vaults {
            store.register_party(vault.party(), Role::Server, label).await?;
        }

        let (to_coordinator, from_gateway) = mpsc::channel(BUS_CAPACITY);
        let (to_gateway, from_coordinator) = mpsc::channel(BUS_CAPACITY);
        let roster = Arc::new(StoreRoster(store.clone()));
        let gateway_config = GatewayConfig::new(config.gateway, config.server_name.clone());
        let gateway = gateway::start(gateway_config, roster, to_coordinator, from_coordinator)
            .await
            .context("cannot start the gateway")?;
        let coordinator_config = CoordinatorConfig {
            listen: config.api,
            api_key: config.api_key.clone(),
            limits: Limits::default(),
        };
        let started = coordinator::start(coordinator_config, store, from_gateway, to_gateway).await;
        let coordinator = match started {
            Ok(coordinator) => coordinator,
            Err(error) => {
                gateway.stop().await;
                return Err(error).context("cannot start the coordinator");
            }
        };

        let gateway_url = format!("ws://{}{CONNECT_PATH}", gateway.addr());
        let parties = vaults
            .into_iter()
            .map(|(label, vault)| {
                let config = PartyConfig {
                    gateway_url: gateway_url.clone(),
                    server_name: config.server_name.clone(),
                    label,
                    cpu: config.cpu.clone(),
                };
                Party::start(config, vault).context("cannot start a party")
            })
            .collect::<anyhow::Result<_>>()?;
        Ok(Self { coordinator, gateway, parties, _data: config.data })
    }

    /// Where the backend API listens.
    pub fn api(&self) -> SocketAddr {
        self.coordinator.addr()
    }

    /// Where the gateway listens.
    pub fn gateway(&self) -> SocketAddr {
        self.gateway.addr()
    }

    /// The node's parties.
    pub fn parties(&self) -> &[Party] {
        &self.parties
    }

    /// Stops the node: first what takes requests, then who serves them, last what joins the two.
    pub async fn stop(self) {
        self.coordinator.stop().await;
        for party in self.parties {
            party.stop().await;
        }
        self.gateway.stop().await;
    }
}

/// The gateway's question who may connect, answered by the coordinator's database.
#[derive(Debug, Clone)]
pub struct StoreRoster(pub Store);

impl Roster for StoreRoster {
    fn is_enrolled(
        &self,
        party: PartyId,
    ) -> Pin<Box<dyn Future<Output = Result<bool, RosterUnavailable>> + Send + '_>> {
        Box::pin(async move { self.0.is_registered(party).await.map_err(RosterUnavailable::new) })
    }
}

/// The label of a party, and its folder's name.
fn label(number: usize) -> String {
    format!("party-{number}")
}

async fn open_vaults(config: &NodeConfig) -> anyhow::Result<Vec<(String, Vault)>> {
    let mut vaults = Vec::with_capacity(config.parties);
    for number in 1..=config.parties {
        let label = label(number);
        let folder = config.data.path().join(&label);
        make_private_folder(&folder)?;
        let key =
            config.master_key.clone().unwrap_or_else(|| KeySource::File(folder.join("master.key")));
        let vault = Vault::open(&folder.join("vault.sqlite"), &key)
            .await
            .with_context(|| format!("cannot open the vault of {label}"))?;
        vaults.push((label, vault));
    }
    Ok(vaults)
}

/// A folder that only its owner can enter.
fn make_private_folder(path: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .with_context(|| format!("cannot make the folder {}", path.display()))
}

fn sqlite_url(path: &Path) -> String {
    format!("sqlite://{}?mode=rwc", path.display())
}
