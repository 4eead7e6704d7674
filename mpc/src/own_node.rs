//! A node that a command runs for itself, and what it does with it.

use crate::door;
use crate::key_file;
use crate::steps::Steps;
use anyhow::{Context, bail};
use coordinator::ApiKey;
use mpc::api::{Account, AccountState, AuxSet, AuxState, NewAccount};
use mpc::client::Client;
use mpc::node::{DataFolder, MasterKey, Node, NodeConfig, SERVER_NAME};
use mpc_wire::{Scheme, Threshold, Transport};
use party_runtime::policy::Profile;
use party_runtime::{CpuPool, LivePolicy};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

/// Parties of the node, all of which hold a share of its accounts.
const PARTIES: usize = 3;

/// How many of them sign together.
const THRESHOLD: Threshold = Threshold(2);

/// How often the API is asked how far things are: often enough for the eye.
const GLANCE: Duration = Duration::from_millis(200);

/// How long parties of the same process may take to connect. They take milliseconds.
const ONLINE_PATIENCE: Duration = Duration::from_secs(30);

/// How long an account may take to be active: twice the deadline of the aux set's session, the
/// longest part of it, so that a second try of a slow machine still counts.
const ACCOUNT_PATIENCE: Duration = Duration::from_secs(1800);

/// A running node in its folder, and a client of its API.
pub(crate) struct OwnNode {
    node: Node,
    client: Client,
    temporary: Option<TempDir>,
}

/// An active account and what its aux set cost.
pub(crate) struct MadeAccount {
    pub(crate) account: Account,
    /// Milliseconds that its aux set took; none if there was one already.
    pub(crate) aux_ms: Option<u64>,
}

impl OwnNode {
    /// Starts a node on free loopback ports, in `data` or a temporary folder, and waits for its
    /// parties.
    pub(crate) async fn start(data: Option<&Path>, steps: &Steps) -> anyhow::Result<Self> {
        steps.show("starting gateway, coordinator and parties");
        let temporary = match data {
            Some(_) => None,
            None => Some(
                tempfile::Builder::new()
                    .prefix("mpc-")
                    .tempdir()
                    .context("cannot make a temporary folder")?,
            ),
        };
        let folder = data.or(temporary.as_ref().map(TempDir::path)).unwrap_or(Path::new("."));
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let key = key_file::generate()?;
        let data = DataFolder::open(folder)?;
        let config = NodeConfig {
            door: door::of_own_node(data.path())?,
            enrolment: None,
            data,
            api: any,
            gateway: any,
            transport: Transport::Loopback,
            server_name: SERVER_NAME.to_owned(),
            api_key: ApiKey::try_from(key.expose().to_string())?,
            parties: PARTIES,
            master_key: MasterKey::OwnFiles,
            policy: LivePolicy::of_profile(Profile::Development)?,
            cpu: CpuPool::for_this_machine().context("cannot start the CPU pool")?,
        };
        let node = Node::start(config).await?;
        let client = Client::new(&node.api_url(), &Transport::Loopback, key.expose())?;
        Ok(Self { node, client, temporary })
    }

    /// A client of the node's API.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Stops the node and removes its temporary folder.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.node.stop().await;
        match self.temporary {
            Some(folder) => folder.close().context("cannot remove the temporary folder"),
            None => Ok(()),
        }
    }

    /// Waits for all parties to be online.
    pub(crate) async fn parties_online(&self, steps: &Steps) -> anyhow::Result<()> {
        let all_online = async {
            loop {
                let parties = self.client.parties().await?.parties;
                let online = parties.iter().filter(|party| party.online).count();
                steps.show(&format!("{online} of {PARTIES} parties are online"));
                if online >= PARTIES {
                    return anyhow::Ok(());
                }
                tokio::time::sleep(GLANCE).await;
            }
        };
        tokio::time::timeout(ONLINE_PATIENCE, all_online)
            .await
            .context("the parties do not come online")??;
        steps.done(&format!("{PARTIES} parties are online"));
        Ok(())
    }

    /// Makes an account and waits for it to be active.
    pub(crate) async fn make_account(
        &self,
        user_id: &str,
        scheme: Scheme,
        steps: &Steps,
    ) -> anyhow::Result<MadeAccount> {
        let request = NewAccount {
            user_id: user_id.to_owned(),
            scheme,
            threshold: Some(THRESHOLD),
            parties: Some(PARTIES),
        };
        let known = self.client.aux_sets().await?.aux_sets;
        let account = self.client.begin_account(&request).await?;
        tokio::time::timeout(ACCOUNT_PATIENCE, self.watch(account, &known, steps))
            .await
            .context("the account does not become active")?
    }

    /// Shows the account's way until it is active; `known` are the aux sets from before it.
    async fn watch(
        &self,
        mut account: Account,
        known: &[AuxSet],
        steps: &Steps,
    ) -> anyhow::Result<MadeAccount> {
        let is_ready_for =
            |set: &&AuxSet, account: &Account| set.state == AuxState::Ready && covers(set, account);
        let reused = known.iter().any(|set| is_ready_for(&set, &account));
        let (mut key_told, mut aux_told) = (false, reused);
        loop {
            let aux_sets = self.client.aux_sets().await?.aux_sets;
            let aux = aux_sets.iter().find(|set| is_ready_for(set, &account));
            if !key_told && account.public_key.is_some() {
                key_told = true;
                steps.done(&format!("key generated{}", took(account.timings_ms.keygen)));
            }
            if let Some(set) = aux.filter(|_| key_told && !aux_told) {
                aux_told = true;
                steps.done(&format!("aux set generated{}", took(set.duration_ms)));
            }
            match account.state {
                AccountState::Active => {
                    let canary = took(account.timings_ms.canary);
                    steps.done(&format!("every party has shown that it can sign{canary}"));
                    let aux_ms = aux.and_then(|set| set.duration_ms).filter(|_| !reused);
                    return Ok(MadeAccount { account, aux_ms });
                }
                AccountState::Failed => {
                    let why = account.failure.map_or_else(String::new, |failure| failure.detail);
                    bail!("the key could not be generated: {why}");
                }
                AccountState::Generating => steps.show("the parties generate a key"),
                AccountState::Activating if aux.is_none() => {
                    steps.show("the parties generate their aux set, once for all accounts");
                }
                AccountState::Activating => steps.show("canary signatures by every party"),
            }
            tokio::time::sleep(GLANCE).await;
            account = self.client.account(account.account_id).await?;
        }
    }
}

/// Whether all holders of the account have a part in the set.
fn covers(set: &AuxSet, account: &Account) -> bool {
    set.scheme == account.scheme
        && account.parties.iter().all(|holder| set.parties.contains(&holder.party_id))
}

fn took(ms: Option<u64>) -> String {
    ms.map_or_else(String::new, |ms| format!(" in {ms} ms"))
}
