//! `mpc party init`, `id`, `run` and `rotate-identity`: a party in a folder of its own, apart from
//! any node.

use crate::cli::{Environment, Output};
use crate::encryption::ClientTlsArgs;
use crate::key_file;
use crate::master_key::MasterKeyArgs;
use crate::serve::{policy_of, warn_of_development};
use crate::signals::Signals;
use anyhow::{Context, bail, ensure};
use awc::http::Uri;
use clap::{Args, Subcommand};
use mpc::node::{MasterKey, PartyFolder, SERVER_NAME, VAULT_FILE};
use mpc_wire::{EnrolmentToken, Transport};
use party_runtime::control::client::{self, ControlClientError};
use party_runtime::control::{self, ControlAnswer, ControlRequest};
use party_runtime::vault::VaultStatus;
use party_runtime::{CpuPool, LinkTls, NEW_BACKUP_NEEDED, Party, PartyConfig, Vault};
use std::io::Write;
use std::path::{Path, PathBuf};

/// What the token's file holds, in errors.
const TOKEN: &str = "enrolment token";

/// Verbs of a party's own host.
#[derive(Debug, Subcommand)]
pub(crate) enum OwnPartyCommand {
    /// Makes a party: its identity and its vault. Prints its id.
    Init {
        #[command(flatten)]
        folder: FolderArgs,
        #[command(flatten)]
        key: MasterKeyArgs,
    },
    /// Prints a party's id, by which it is registered. Needs no key.
    Id {
        #[command(flatten)]
        folder: FolderArgs,
    },
    /// Runs a party until told to end; it is made if there is none.
    Run(Box<RunArgs>),
    /// Gives a party a new key, which the present one vouches for. A running party works on and
    /// connects anew; of one that does not run the master key is needed.
    RotateIdentity {
        #[command(flatten)]
        folder: FolderArgs,
        #[command(flatten)]
        key: MasterKeyArgs,
        /// How the answer is printed.
        #[arg(long, value_enum, default_value_t = Output::Table)]
        output: Output,
    },
}

/// Which party.
#[derive(Debug, Args)]
pub(crate) struct FolderArgs {
    /// The party's folder, such as DATA/party-1 of a node.
    #[arg(long, env = "MPC_DATA", value_name = "DIR")]
    data: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    folder: FolderArgs,
    /// The gateway: wss://host:port/v1/connect, or ws:// for one on this host.
    #[arg(long, env = "MPC_GATEWAY", value_name = "URL")]
    gateway: String,
    /// What the gateway calls itself; the party refuses another.
    #[arg(long, env = "MPC_SERVER_NAME", value_name = "NAME", default_value = SERVER_NAME)]
    server_name: String,
    /// A file of mode 0600 with a token that lets the party in the first time. It is of no use
    /// after that and may be gone.
    #[arg(long, env = "MPC_ENROLMENT_TOKEN_FILE", value_name = "FILE")]
    enrolment_token_file: Option<PathBuf>,
    /// A label for people.
    #[arg(long, env = "MPC_LABEL", value_name = "TEXT", default_value = "")]
    label: String,
    #[command(flatten)]
    tls: ClientTlsArgs,
    #[command(flatten)]
    key: MasterKeyArgs,
    /// The party's policy, a TOML file: who may ask for which signatures. Without it a party in
    /// `production` signs nothing, and one in `development` what it is asked for.
    #[arg(long, env = "MPC_POLICY", value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Where the party runs. In `production` its master key must be given, or be there.
    #[arg(long, env = "ENVIRONMENT", value_enum, default_value_t = Environment::Development)]
    environment: Environment,
}

/// Runs such a command.
pub(crate) async fn run(command: OwnPartyCommand) -> anyhow::Result<()> {
    match command {
        OwnPartyCommand::Init { folder, key } => init(&folder.data, key).await,
        OwnPartyCommand::Id { folder } => {
            let status = VaultStatus::read(&folder.data.join(VAULT_FILE)).await?;
            Ok(writeln!(std::io::stdout(), "{}", status.party)?)
        }
        OwnPartyCommand::Run(args) => serve(*args).await,
        OwnPartyCommand::RotateIdentity { folder, key, output } => {
            rotate_identity(&folder.data, key, output).await
        }
    }
}

async fn init(data: &Path, key: MasterKeyArgs) -> anyhow::Result<()> {
    let key = key.given()?.unwrap_or(MasterKey::OwnFiles);
    let folder = folder_for(data, &key)?;
    let source = key.of(folder.path());
    let vault = Vault::create(&folder.path().join(VAULT_FILE), &source).await?;
    let party = vault.party();
    vault.close().await?;
    Ok(writeln!(std::io::stdout(), "{party}")?)
}

async fn serve(args: RunArgs) -> anyhow::Result<()> {
    let mut signals = Signals::catch().context("cannot catch signals")?;
    if is_elsewhere(&args.gateway) {
        warn_of_development(args.environment, "the gateway is on another host");
    }
    // The client's arguments know the API's schemes; those of WebSockets stand beside them.
    let transport = args.tls.transport(&args.gateway)?;
    let transport = transport.map(|config| LinkTls { config, at: None });
    let token = args.enrolment_token_file.map(|file| token(&file)).transpose()?.flatten();
    let policy = policy_of(args.policy.as_deref(), args.environment)?;
    let key = args.key.for_node(args.environment)?;
    let mut config = PartyConfig {
        gateway_url: args.gateway.clone(),
        transport,
        server_name: args.server_name,
        label: args.label,
        enrolment_token: token,
        cpu: CpuPool::for_this_machine().context("cannot start the threads of the CPU pool")?,
        policy,
        control: None,
    };
    config.check().context("cannot start the party")?;
    let folder = folder_for(&args.folder.data, &key)?;
    config.control = Some(folder.path().join(control::SOCKET));
    let source = key.of(folder.path());
    let vault = Vault::open_or_create(&folder.path().join(VAULT_FILE), &source).await?;
    let id = vault.party();
    let party = Party::start(config, vault.clone()).context("cannot start the party")?;
    let greeting = format!("party    {id}\ngateway  {}\n", args.gateway);
    std::io::stdout().write_all(greeting.as_bytes())?;

    let signal = signals.next().await;
    tracing::info!(signal, "stopping");
    let stop = async {
        party.drain().await;
        party.stop().await;
    };
    tokio::select! {
        () = stop => Ok(vault.close().await?),
        signal = signals.next() => bail!("{signal} again: ended without stopping in order"),
    }
}

/// The folder of a party, made if missing: not for one whose key cannot be had.
pub(crate) fn folder_for(data: &Path, key: &MasterKey) -> anyhow::Result<PartyFolder> {
    let is_new = !data.join(VAULT_FILE).exists();
    key.check_new(is_new.then(|| data.to_owned()).into_iter())?;
    PartyFolder::open(data)
}

/// The folder of a party that was made before.
pub(crate) fn existing_folder(data: &Path) -> anyhow::Result<PartyFolder> {
    ensure!(data.is_dir(), "there is no folder {}: give a party's own folder", data.display());
    PartyFolder::open(data)
}

/// Whether a gateway may be on another host. What is no address is refused later.
fn is_elsewhere(gateway: &str) -> bool {
    let host = gateway.parse::<Uri>().ok().and_then(|url| url.host().map(str::to_owned));
    host.is_some_and(|host| Transport::<()>::Loopback.check_peer(&host).is_err())
}

/// The token in a file; none if the file is gone, as it may be once the party was let in.
fn token(file: &Path) -> anyhow::Result<Option<EnrolmentToken>> {
    // Compose files pass variables that are not set as empty ones.
    if file.as_os_str().is_empty() {
        return Ok(None);
    }
    if !file.exists() {
        tracing::info!(file = %file.display(), "no enrolment token there");
        return Ok(None);
    }
    let text = key_file::read_private(file, TOKEN)?;
    let token = EnrolmentToken::try_from(text.expose().to_string());
    token.map(Some).with_context(|| file.display().to_string())
}

async fn rotate_identity(data: &Path, key: MasterKeyArgs, output: Output) -> anyhow::Result<()> {
    match client::ask(data, &ControlRequest::RotateIdentity) {
        Ok(ControlAnswer::Done { detail }) => return told(&detail, output),
        Ok(ControlAnswer::Refused { detail, .. }) => bail!("{detail}"),
        Ok(ControlAnswer::Status(_) | ControlAnswer::Approvals { .. }) => {
            bail!("the party answers something else: is it of another version?")
        }
        // Nobody runs it.
        Err(ControlClientError::NoParty { .. }) => {}
        Err(error @ (ControlClientError::Broken(_) | ControlClientError::Foreign(_))) => {
            return Err(error.into());
        }
    }
    let key = key.given()?.unwrap_or(MasterKey::GivenFiles);
    let folder = existing_folder(data)?;
    let source = key.of(folder.path());
    let vault = Vault::open(&folder.path().join(VAULT_FILE), &source).await?;
    let rotated = vault.rotate_identity().await;
    vault.close().await?;
    let number = rotated?.proven_key().number;
    told(&format!("the key was rotated, {number} times now; {NEW_BACKUP_NEEDED}"), output)
}

fn told(detail: &str, output: Output) -> anyhow::Result<()> {
    match output {
        Output::Table => Ok(writeln!(std::io::stdout(), "{detail}")?),
        Output::Json => {
            let done = serde_json::json!({ "detail": detail });
            Ok(writeln!(std::io::stdout(), "{done:#}")?)
        }
    }
}
