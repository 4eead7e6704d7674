//! `mpc node`: gateway, coordinator and parties in one process, until told to end.

use crate::api_key::{self, FoundKey};
use crate::cli::{Environment, NodeArgs};
use crate::signals::Signals;
use actix_rt::signal::unix::{Signal, SignalKind, signal};
use anyhow::{Context, bail};
use mpc::node::{DataFolder, Node, NodeConfig, NodeTls, Preflight, SERVER_NAME, parties_in};
use mpc_wire::Transport;
use party_runtime::policy::Profile;
use party_runtime::{CpuPool, LivePolicy};
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;

/// Parties of a new data folder: what a 2-of-3 account needs.
const DEFAULT_PARTIES: usize = 3;

/// Runs `mpc node`.
pub(crate) async fn run(args: NodeArgs) -> anyhow::Result<()> {
    let mut signals = Signals::catch().context("cannot catch signals")?;
    if [args.api, args.gateway].into_iter().any(is_for_other_hosts) {
        warn_of_development(args.environment, "the node is open to other hosts");
    }
    let (config, found) = configure(args)?;
    let mut renewals = Renewals::catch(&config.transport).context("cannot catch signals")?;
    let ca = config.transport.tls().and_then(|tls| tls.ca.clone());
    let node = Node::start(config).await?;
    std::io::stdout().write_all(greeting(&node, &found, ca.as_deref()).as_bytes())?;

    let signal = loop {
        tokio::select! {
            signal = signals.next() => break signal,
            () = renewals.next() => match node.renew_certificate() {
                Ok(()) => tracing::info!("the certificate was read again"),
                Err(error) => tracing::error!(%error, "the old certificate stays"),
            },
        }
    };
    tracing::info!(signal, "stopping");
    tokio::select! {
        () = node.stop() => Ok(()),
        signal = signals.next() => bail!("{signal} again: ended without stopping in order"),
    }
}

/// What a node is told by arguments and environment, and what lies in its data folder. Nothing is
/// made there before everything that can be refused was looked at: a first start that fails leaves
/// nothing behind.
fn configure(args: NodeArgs) -> anyhow::Result<(NodeConfig, FoundKey)> {
    let NodeArgs { data, api, gateway, environment, .. } = args;
    let transport = args.tls.transport()?;
    let api_key = api_key::plan_for_node(args.api_key, environment, &data)?;
    let door = args.door.plan(environment, &data)?;
    let enrolment = args.enrolment.plan(environment, &data)?;
    let master_key = args.master_key.for_node(environment)?;
    let policy = policy_of(args.policy.as_deref(), environment)?;
    let parties = match (args.parties, parties_in(&data)?) {
        (Some(parties), _) => parties,
        (None, 0) => DEFAULT_PARTIES,
        (None, known) => known,
    };
    let preflight = Preflight {
        data: &data,
        api,
        gateway,
        transport: &transport,
        parties,
        master_key: &master_key,
    };
    preflight.check()?;
    let cpu = CpuPool::for_this_machine().context("cannot start the threads of the CPU pool")?;

    let data = DataFolder::open(&data)?;
    let found = api_key.carry_out(data.path())?;
    let config = NodeConfig {
        api,
        gateway,
        transport,
        server_name: SERVER_NAME.to_owned(),
        api_key: found.bootstrap()?,
        door: door.carry_out(data.path())?,
        enrolment: enrolment.carry_out(data.path())?,
        data,
        parties,
        master_key,
        policy,
        cpu,
    };
    Ok((config, found))
}

/// The policy of a node's parties. One that can never be satisfied is told at once.
pub(crate) fn policy_of(
    file: Option<&Path>,
    environment: Environment,
) -> anyhow::Result<LivePolicy> {
    let profile = match environment {
        Environment::Production => Profile::Production,
        Environment::Development => Profile::Development,
    };
    // Compose files pass variables that are not set as empty ones.
    let policy = match file.filter(|file| !file.as_os_str().is_empty()) {
        Some(file) => LivePolicy::load(file, profile)?,
        None => LivePolicy::of_profile(profile)?,
    };
    if policy.current().signs_nothing() {
        tracing::warn!(
            "the parties sign nothing: their policy asks for a requester's signature and knows no \
             requester; give one with --policy FILE"
        );
    }
    Ok(policy)
}

/// Whether others than processes of this host can reach a listener.
fn is_for_other_hosts(listener: SocketAddr) -> bool {
    Transport::<()>::Loopback.check_listener(listener).is_err()
}

/// Says once that what reaches beyond this host runs as if it did not: nobody may have chosen so.
pub(crate) fn warn_of_development(environment: Environment, what: &str) {
    match environment {
        Environment::Development => tracing::warn!(
            "{what}, and the profile is development: without a policy whatever is asked for is \
             signed, and secrets that are not given are made; set ENVIRONMENT=production for keys \
             that matter"
        ),
        Environment::Production => {}
    }
}

/// SIGHUP, by which operators tell that a certificate was renewed. A node without one leaves it
/// alone and ends with its terminal.
struct Renewals(Option<Signal>);

impl Renewals {
    fn catch(transport: &Transport<NodeTls>) -> std::io::Result<Self> {
        let caught = transport.tls().map(|_| signal(SignalKind::hangup()));
        caught.transpose().map(Self)
    }

    async fn next(&mut self) {
        match &mut self.0 {
            Some(hangup) => {
                hangup.recv().await;
            }
            None => std::future::pending().await,
        }
    }
}

/// Where the node listens, and what to try.
fn greeting(node: &Node, found: &FoundKey, ca: Option<&Path>) -> String {
    let (api, gateway, parties) = (node.api_url(), node.gateway_url(), node.parties().len());
    let trust = ca.map_or_else(String::new, |ca| format!(" --cacert '{}'", ca.display()));
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
        "API      {api}  (key {whence})\n\
         gateway  {gateway}\n\
         parties  {parties}\n\
         \n\
         try: curl -s{trust} {api}/api/v1/accounts -H \"X-API-Key: {key}\" \\\n       \
         -H 'Content-Type: application/json' -d '{{\"user_id\": \"alice\"{count}}}'\n"
    )
}
