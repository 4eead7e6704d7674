//! `mpc node`: gateway, coordinator and parties in one process, until told to end.

use crate::api_key::{self, FoundKey};
use crate::cli::NodeArgs;
use crate::signals::Signals;
use anyhow::{Context, bail};
use coordinator::ApiKey;
use gateway::CONNECT_PATH;
use mpc::node::{DataFolder, Node, NodeConfig, SERVER_NAME};
use party_runtime::{CpuPool, KeySource};
use std::io::Write;

/// Parties of a new data folder: what a 2-of-3 account needs.
const DEFAULT_PARTIES: usize = 3;

/// Runs `mpc node`.
pub(crate) async fn run(args: NodeArgs) -> anyhow::Result<()> {
    let mut signals = Signals::catch().context("cannot catch signals")?;
    let data = DataFolder::open(&args.data)?;
    let found = api_key::for_node(args.api_key, args.environment, data.path())?;
    let parties = args.parties.unwrap_or_else(|| match data.parties() {
        0 => DEFAULT_PARTIES,
        known => known,
    });
    let config = NodeConfig {
        data,
        api: args.api,
        gateway: args.gateway,
        server_name: SERVER_NAME.to_owned(),
        api_key: ApiKey::try_from(found.key.expose().to_string())?,
        parties,
        // Compose files pass variables that are not set as empty ones.
        master_key: args
            .crypto_master_key
            .filter(|key| !key.expose().is_empty())
            .map(|key| KeySource::Hex(key.expose().clone())),
        cpu: CpuPool::for_this_machine().context("cannot start the threads of the CPU pool")?,
    };
    let node = Node::start(config).await?;
    std::io::stdout().write_all(greeting(&node, &found).as_bytes())?;

    let signal = signals.next().await;
    tracing::info!(signal, "stopping");
    tokio::select! {
        () = node.stop() => Ok(()),
        signal = signals.next() => bail!("{signal} again: ended without stopping in order"),
    }
}

/// Where the node listens, and what to try.
fn greeting(node: &Node, found: &FoundKey) -> String {
    let (api, gateway, parties) = (node.api(), node.gateway(), node.parties().len());
    // An account has three parties unless its request says otherwise.
    let count = if parties == 2 { ", \"parties\": 2" } else { "" };
    let (whence, key) = match &found.file {
        Some(file) => {
            let file = file.display();
            (format!("in {file}"), format!("$(cat '{file}')"))
        }
        None => ("as given".to_owned(), "$MPC_API_KEY".to_owned()),
    };
    format!(
        "API      http://{api}  (key {whence})\n\
         gateway  ws://{gateway}{CONNECT_PATH}\n\
         parties  {parties}\n\
         \n\
         try: curl -s http://{api}/api/v1/accounts -H \"X-API-Key: {key}\" \\\n       \
         -H 'Content-Type: application/json' -d '{{\"user_id\": \"alice\"{count}}}'\n"
    )
}
