//! Gateway, coordinator and parties in one process, over real loopback sockets, each with its own
//! database and identity.

mod data_folder;
mod known_parties;
mod preflight;

#[cfg(feature = "tpm")]
pub use data_folder::TPM_FILE;
pub(crate) use data_folder::is_data_folder;
pub use data_folder::{
    DataFolder, KEY_FILE, MasterKey, PartyFolder, VAULT_FILE, make_private_folder, parties_in,
};
pub use known_parties::{KnownParties, KnownPartiesError};
pub use preflight::Preflight;

use crate::tls::{ListenerTls, OwnTrust, TlsError};
use anyhow::Context;
use coordinator::{
    Admissions, ApiKey, Arrival, Coordinator, CoordinatorConfig, CoordinatorSecret,
    EnrolmentSecret, Networks, RegisterError, Role, Store, StoreError, Verdict,
};
use data_folder::{label, private_file};
use gateway::{
    Admission, Answer, CONNECT_PATH, Claim, Gateway, GatewayConfig, Roster, RosterUnavailable,
};
use mpc_wire::{PartyId, ProvenKey, Transport};
use party_runtime::{CpuPool, LinkTls, LivePolicy, Party, PartyConfig, Vault, control};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::mpsc;

/// Messages between gateway and coordinator that may wait, each way: the rounds of some hundred
/// attempts at once. A full channel slows the gateway's sockets; it loses nothing.
const BUS_CAPACITY: usize = 4096;

/// What a node's gateway calls itself unless told otherwise.
pub const SERVER_NAME: &str = "mpc-node";

/// What a node over TLS needs.
#[derive(Debug, Clone)]
pub struct NodeTls {
    /// What both listeners show.
    pub listener: ListenerTls,
    /// The authorities that the node's own parties trust besides the certificate itself.
    pub ca: Option<PathBuf>,
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
    /// How the bytes of both listeners travel.
    pub transport: Transport<NodeTls>,
    /// What the gateway calls itself.
    pub server_name: String,
    /// The bootstrap key of the backend API.
    pub api_key: ApiKey,
    /// The door of the backend API.
    pub door: NodeDoor,
    /// What enrolment tokens are signed with; without it no token lets a party in.
    pub enrolment: Option<EnrolmentSecret>,
    /// How many parties the node runs.
    pub parties: usize,
    /// Where the master keys of the parties' vaults come from.
    pub master_key: MasterKey,
    /// What the node's parties take part in.
    pub policy: LivePolicy,
    /// Where all parties of the node run their jobs.
    pub cpu: CpuPool,
}

/// The door of a node's backend API.
#[derive(Debug)]
pub struct NodeDoor {
    /// What the coordinator's own keys come from.
    pub secret: CoordinatorSecret,
    /// Who may speak to the API; with an empty list, everybody.
    pub allowed: Networks,
    /// The proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Networks,
}

/// A running node.
pub struct Node {
    coordinator: Coordinator,
    gateway: Gateway,
    parties: Vec<Party>,
    transport: Transport<NodeTls>,
    own: Option<OwnTrust>,
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
        let preflight = Preflight::of(&config);
        preflight.check()?;
        let own = preflight.own_trust()?;
        let listener = config.transport.clone().map(|tls| tls.listener.config());
        // SQLite gives the files beside it the same mode.
        let database = config.data.path().join("coordinator.sqlite");
        private_file(&database)
            .with_context(|| format!("cannot make {} private", database.display()))?;
        let store = Store::open(&sqlite_url(&database))
            .await
            .context("cannot open the coordinator's database")?;
        let vaults = open_vaults(&config).await?;
        for (label, vault) in &vaults {
            register(&store, vault.party(), label).await?;
        }

        let (to_coordinator, from_gateway) = mpsc::channel(BUS_CAPACITY);
        let (to_gateway, from_coordinator) = mpsc::channel(BUS_CAPACITY);
        let admissions = Admissions::new(store.clone(), config.enrolment.clone());
        let roster = Arc::new(StoreRoster(admissions));
        let mut gateway_config = GatewayConfig::new(config.gateway, config.server_name.clone());
        gateway_config.transport = listener.clone();
        let gateway = gateway::start(gateway_config, roster, to_coordinator, from_coordinator)
            .await
            .context("cannot start the gateway")?;
        let coordinator_config = CoordinatorConfig {
            transport: listener,
            enrolment: config.enrolment,
            allowed: config.door.allowed,
            trusted_proxies: config.door.trusted_proxies,
            ..CoordinatorConfig::new(config.api, config.api_key, config.door.secret)
        };
        let started = coordinator::start(coordinator_config, store, from_gateway, to_gateway).await;
        let coordinator = match started {
            Ok(coordinator) => coordinator,
            Err(error) => {
                gateway.stop().await;
                return Err(error).context("cannot start the coordinator");
            }
        };

        let (gateway_url, transport) = own_way(&config.transport, own.as_ref(), gateway.addr());
        let parties = vaults
            .into_iter()
            .map(|(label, vault)| {
                let control = config.data.path().join(&label).join(control::SOCKET);
                let config = PartyConfig {
                    policy: config.policy.apart(),
                    control: Some(control),
                    gateway_url: gateway_url.clone(),
                    transport: transport.clone(),
                    server_name: config.server_name.clone(),
                    label,
                    // The node has registered it.
                    enrolment_token: None,
                    cpu: config.cpu.clone(),
                };
                Party::start(config, vault).context("cannot start a party")
            })
            .collect::<anyhow::Result<_>>()?;
        let transport = config.transport;
        Ok(Self { coordinator, gateway, parties, transport, own, _data: config.data })
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

    /// The API's address as a client on this host would use it.
    pub fn api_url(&self) -> String {
        self.url(["http", "https"], self.api())
    }

    /// The gateway's address as a party on this host would use it.
    pub fn gateway_url(&self) -> String {
        format!("{}{CONNECT_PATH}", self.url(["ws", "wss"], self.gateway()))
    }

    fn url(&self, [plain, over_tls]: [&str; 2], addr: SocketAddr) -> String {
        let at = reachable(addr);
        match (&self.own, self.transport.tls()) {
            (Some(own), _) => format!("{over_tls}://{}:{}", own.host, at.port()),
            (None, Some(_)) => format!("{over_tls}://{at}"),
            (None, None) => format!("{plain}://{at}"),
        }
    }

    /// Reads certificate and key again, if the node has them. Connections that are made from now
    /// on are shown the new one; those that there are stay.
    ///
    /// # Errors
    /// [`TlsError`] if the new ones cannot be used; the old ones stay then.
    pub fn renew_certificate(&self) -> Result<(), TlsError> {
        match self.transport.tls() {
            Some(tls) => tls.listener.renew(self.own.as_ref()),
            None => Ok(()),
        }
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

/// The way of the node's own parties to its gateway.
fn own_way(
    node: &Transport<NodeTls>,
    own: Option<&OwnTrust>,
    gateway: SocketAddr,
) -> (String, Transport<LinkTls>) {
    let at = reachable(gateway);
    if let Some(OwnTrust { host, config, .. }) = own {
        let url = format!("wss://{host}:{}{CONNECT_PATH}", at.port());
        return (url, Transport::Tls(LinkTls { config: Arc::clone(config), at: Some(at) }));
    }
    let transport = match node {
        Transport::Plaintext => Transport::Plaintext,
        // Over TLS there are no own parties here.
        Transport::Loopback | Transport::Tls(_) => Transport::Loopback,
    };
    (format!("ws://{at}{CONNECT_PATH}"), transport)
}

/// Where a listener is for processes of this host: all addresses are none.
fn reachable(addr: SocketAddr) -> SocketAddr {
    match addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => (Ipv4Addr::LOCALHOST, addr.port()).into(),
        IpAddr::V6(ip) if ip.is_unspecified() => (Ipv6Addr::LOCALHOST, addr.port()).into(),
        IpAddr::V4(_) | IpAddr::V6(_) => addr,
    }
}

/// The gateway's question who may connect, answered by the coordinator's database.
#[derive(Debug, Clone)]
pub struct StoreRoster(pub Admissions);

impl Roster for StoreRoster {
    fn admit(&self, claim: Claim) -> Answer<'_> {
        let Claim { party, key, signature, label, token } = claim;
        let arrival = Arrival { party, key, signature, label, token };
        Box::pin(async move { answer(self.0.admit(&arrival).await) })
    }

    fn confirm(&self, party: PartyId, key: ProvenKey) -> Answer<'_> {
        Box::pin(async move { answer(self.0.confirm(party, key).await) })
    }
}

fn answer(verdict: Result<Verdict, StoreError>) -> Result<Admission, RosterUnavailable> {
    Ok(match verdict.map_err(RosterUnavailable::new)? {
        Verdict::Admitted => Admission::Admitted,
        Verdict::NotEnrolled => Admission::NotEnrolled,
        Verdict::TokenRefused => Admission::TokenRefused,
        Verdict::Revoked => Admission::Revoked,
        Verdict::KeySuperseded => Admission::KeySuperseded,
    })
}

/// Registers a party of the node's own. One that was revoked stays out; the node runs without it.
async fn register(store: &Store, party: PartyId, label: &str) -> anyhow::Result<()> {
    match store.register_party(party, Role::Server, label).await {
        Ok(()) => Ok(()),
        Err(RegisterError::Revoked) => {
            tracing::warn!(%party, label, "a party of this node was revoked and takes no part");
            Ok(())
        }
        Err(
            error @ (RegisterError::LabelTooLong(_)
            | RegisterError::NoIdentity
            | RegisterError::Store(_)),
        ) => Err(error).with_context(|| format!("cannot register {label}")),
    }
}

async fn open_vaults(config: &NodeConfig) -> anyhow::Result<Vec<(String, Vault)>> {
    let mut vaults = Vec::with_capacity(config.parties);
    for number in 1..=config.parties {
        let label = label(number);
        let folder = config.data.path().join(&label);
        make_private_folder(&folder)?;
        let key = config.master_key.of(&folder);
        let vault = Vault::open_or_create(&folder.join(VAULT_FILE), &key)
            .await
            .with_context(|| format!("cannot open the vault of {label}"))?;
        vaults.push((label, vault));
    }
    // Before anybody hears of a new one.
    let parties = vaults.iter().map(|(_, vault)| vault.party());
    KnownParties::read(config.data.path())?.note(config.data.path(), parties)?;
    Ok(vaults)
}

fn sqlite_url(path: &Path) -> String {
    format!("sqlite://{}?mode=rwc", path.display())
}
