//! Every argument and every environment variable of the command.

use crate::apikey::Lifetime;
use crate::approvals::ControlCommand;
use crate::backup::{BackupArgs, RestoreArgs};
use crate::door::DoorArgs;
use crate::encryption::{ClientTlsArgs, ListenerTlsArgs};
use crate::enrolment::{EnrolmentArgs, EnrolmentCommand};
use crate::inspect::AuditCommand;
use crate::keys::KeysCommand;
use crate::master_key::MasterKeyArgs;
use crate::party::OwnPartyCommand;
use crate::requesting::{RequesterArgs, RequesterCommand};
use crate::secret::{self, Secret};
use clap::{Args, Command as Clap, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use mpc_wire::limits::MAX_PARTIES;
use mpc_wire::{AccountId, HashFunction, Scheme, SessionId, Threshold};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// Threshold signatures: a key that exists nowhere, and parties that sign with it together.
#[derive(Debug, Parser)]
#[command(name = "mpc", version, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// What is logged to stderr, as in `info,coordinator=debug`; `info` for `node`, else `warn`.
    ///
    /// The protocol libraries `manul` and `synedrion` never log below `warn`, whatever is asked
    /// for: what they say there is secret.
    #[arg(long, global = true, env = "RUST_LOG", value_name = "FILTER")]
    pub(crate) log: Option<String>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The variable that an empty value must not silently take back to `development`.
const ENVIRONMENT: &str = "ENVIRONMENT";

impl Cli {
    /// What this process was given by arguments and environment. Ends it with a word on what is
    /// wrong with them.
    pub(crate) fn of_process() -> Self {
        let matches = without_empty_variables(Self::command()).get_matches();
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }
}

/// Has empty variables count as not given: compose files pass variables that are not set so.
fn without_empty_variables(command: Clap) -> Clap {
    command
        .mut_args(|arg| {
            let name = arg.get_env().filter(|name| *name != ENVIRONMENT);
            let is_empty = name.and_then(std::env::var_os).is_some_and(|value| value.is_empty());
            if is_empty { arg.env(None) } else { arg }
        })
        .mut_subcommands(without_empty_variables)
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Makes a 2-of-3 account with a node of its own, signs with it and checks the signature.
    Demo(DemoArgs),
    /// Runs gateway, coordinator and parties in one process.
    #[command(after_long_help = secret::NODE_HELP)]
    Node(Box<NodeArgs>),
    /// Makes and shows accounts.
    #[command(subcommand)]
    Account(AccountCommand),
    /// Signs with an account.
    Sign(SignArgs),
    /// Shows sessions.
    #[command(subcommand)]
    Session(SessionCommand),
    /// Shows parties.
    #[command(subcommand)]
    Party(PartyCommand),
    /// Makes keys of requesters, who sign what they ask for.
    #[command(subcommand)]
    Requester(RequesterCommand),
    /// Makes, lists and revokes keys of the API; needs a key with the scope `admin`.
    #[command(subcommand)]
    Apikey(ApikeyCommand),
    /// Makes a party's vault and looks after its master key.
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Shows and checks the audit logs of a node or a party.
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Measures.
    #[cfg(feature = "bench")]
    #[command(subcommand)]
    Bench(BenchCommand),
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// The signature scheme.
    #[arg(long, default_value_t = Scheme::default())]
    pub(crate) scheme: Scheme,
    /// Prints one JSON object to stdout instead of the report.
    #[arg(long)]
    pub(crate) json: bool,
    /// Keeps databases and keys in this folder; without it, in a temporary one that is removed.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// The digest to sign, 64 hexadecimal digits; without it, SHA-256 of a fixed text.
    #[arg(long, value_name = "HEX")]
    pub(crate) message: Option<Digest>,
}

#[derive(Debug, Args)]
pub(crate) struct NodeArgs {
    /// The folder for databases and keys; made if missing.
    #[arg(long, env = "MPC_DATA", value_name = "DIR")]
    pub(crate) data: PathBuf,
    /// Where the backend API listens.
    #[arg(long, env = "MPC_API_LISTEN", value_name = "ADDR", default_value = "127.0.0.1:4000")]
    pub(crate) api: SocketAddr,
    /// Where the gateway listens.
    #[arg(long, env = "MPC_GATEWAY_LISTEN", value_name = "ADDR", default_value = "127.0.0.1:8082")]
    pub(crate) gateway: SocketAddr,
    /// How many parties the node runs; without it, those of the data folder, or 3 in a new one.
    /// With 0 it runs gateway and coordinator alone, for parties that connect from elsewhere.
    #[arg(long, env = "MPC_PARTIES", value_name = "N", value_parser = own_parties)]
    pub(crate) parties: Option<usize>,
    #[command(flatten)]
    pub(crate) tls: ListenerTlsArgs,
    #[command(flatten)]
    pub(crate) api_key: ApiKeyArgs,
    #[command(flatten)]
    pub(crate) door: DoorArgs,
    #[command(flatten)]
    pub(crate) enrolment: EnrolmentArgs,
    #[command(flatten)]
    pub(crate) master_key: MasterKeyArgs,
    /// The parties' policy, a TOML file: who may ask for which signatures. Without it a party of a
    /// `production` node signs nothing, and one of a `development` node what it is asked for.
    #[arg(long, env = "MPC_POLICY", value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,
    /// Where the node runs. In `production` the API key, the coordinator's secret and the master
    /// keys must be given; else they are made in the data folder if there are none.
    #[arg(long, env = "ENVIRONMENT", value_enum, default_value_t = Environment::Development)]
    pub(crate) environment: Environment,
}

/// Where a node runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Environment {
    Production,
    Development,
}

#[derive(Debug, Args)]
pub(crate) struct ApiKeyArgs {
    #[arg(skip = Secret::of_environment(secret::API_KEY))]
    pub(crate) api_key: Option<Secret>,
    /// A file with the API key, for a node one of mode 0600; goes before the key itself in the
    /// variable MPC_API_KEY.
    #[arg(long, env = "MPC_API_KEY_FILE", value_name = "FILE")]
    pub(crate) api_key_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ClientArgs {
    /// The backend API.
    #[arg(long, env = "MPC_URL", default_value = "http://127.0.0.1:4000")]
    pub(crate) url: String,
    #[command(flatten)]
    pub(crate) tls: ClientTlsArgs,
    #[command(flatten)]
    pub(crate) api_key: ApiKeyArgs,
    /// How the answer is printed.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
}

/// How an answer is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    Table,
    /// One JSON value.
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AccountCommand {
    /// Makes an account and waits for it to be active.
    Create {
        /// The owner.
        #[arg(long, value_name = "ID")]
        user_id: String,
        /// The signature scheme.
        #[arg(long, default_value_t = Scheme::default())]
        scheme: Scheme,
        /// How many parties sign together; 2 unless the API is told otherwise.
        #[arg(long, value_name = "N", value_parser = threshold)]
        threshold: Option<Threshold>,
        /// How many parties hold a share; 3 unless the API is told otherwise.
        #[arg(long, value_name = "N", value_parser = parties)]
        parties: Option<usize>,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Lists the newest accounts.
    List {
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Shows an account.
    Show {
        /// Its id.
        account: AccountId,
        #[command(flatten)]
        client: ClientArgs,
    },
}

#[derive(Debug, Args)]
pub(crate) struct SignArgs {
    /// The account.
    #[arg(long, value_name = "ID")]
    pub(crate) account: AccountId,
    /// The digest as 64 hexadecimal digits; with --hash, the text to be hashed and signed.
    #[arg(long, value_name = "HEX|TEXT")]
    pub(crate) message: String,
    /// What the message is hashed with.
    #[arg(long, value_enum)]
    pub(crate) hash: Option<Hash>,
    #[command(flatten)]
    pub(crate) requester: RequesterArgs,
    #[command(flatten)]
    pub(crate) client: ClientArgs,
}

/// A hash function, by its name on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Hash {
    Keccak256,
    Sha256,
}

impl From<Hash> for HashFunction {
    fn from(hash: Hash) -> Self {
        match hash {
            Hash::Keccak256 => Self::Keccak256,
            Hash::Sha256 => Self::Sha256,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum SessionCommand {
    /// Shows a session.
    Show {
        /// Its id.
        session: SessionId,
        #[command(flatten)]
        client: ClientArgs,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum PartyCommand {
    /// Lists the parties.
    List {
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Writes a backup that the standard `age` command opens too. The party may run meanwhile.
    Backup(BackupArgs),
    /// Makes a party's vault from a backup, in a folder that has none. The party then declines its
    /// accounts until its peers have confirmed the shares.
    Restore(RestoreArgs),
    #[command(flatten)]
    Enrolment(EnrolmentCommand),
    #[command(flatten)]
    Own(OwnPartyCommand),
    #[command(flatten)]
    Control(ControlCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum ApikeyCommand {
    /// Makes a key and prints it, this once.
    Create {
        /// What the key is for, as it stands in the list.
        #[arg(long, value_name = "NAME")]
        name: String,
        /// What the key may do; give it again for more. None of them implies another.
        #[arg(long = "scope", value_enum, value_name = "SCOPE", required = true)]
        scopes: Vec<KeyScope>,
        /// After which time it no longer works, as in `90d`; without it, never.
        #[arg(long, value_name = "TIME")]
        expires_in: Option<Lifetime>,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Lists the newest keys, without the keys themselves.
    List {
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Revokes a key at once and for ever.
    Revoke {
        /// Its id.
        id: Secret,
        #[command(flatten)]
        client: ClientArgs,
    },
}

/// What a key may do, by its name on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum KeyScope {
    /// Looking at accounts, sessions and parties.
    Read,
    /// Making accounts, signing, cancelling.
    Sign,
    /// Keys of the API, parties and their enrolment.
    Admin,
}

impl From<KeyScope> for mpc::api::Scope {
    fn from(scope: KeyScope) -> Self {
        match scope {
            KeyScope::Read => Self::Read,
            KeyScope::Sign => Self::Sign,
            KeyScope::Admin => Self::Admin,
        }
    }
}

#[cfg(feature = "bench")]
#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// Signs through HTTP, one at a time, and compares with the raw protocol in the same process.
    ///
    /// The raw protocol is two bare sessions in two threads with nothing between them but memory:
    /// the least that any road to a signature could take.
    Sign {
        /// Prints one JSON object to stdout instead of the table.
        #[arg(long)]
        json: bool,
        /// How many signatures are measured each way.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        count: u32,
    },
}

/// A digest of 32 bytes, given as 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Digest(pub(crate) [u8; 32]);

/// A text that is no digest.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("not a digest: give 64 hexadecimal digits")]
pub(crate) struct NotADigest;

impl FromStr for Digest {
    type Err = NotADigest;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| NotADigest)?;
        Ok(Self(bytes))
    }
}

fn parties(text: &str) -> Result<usize, String> {
    let parties = text.parse().map_err(|_| "not a number".to_owned())?;
    if (2..=MAX_PARTIES).contains(&parties) {
        Ok(parties)
    } else {
        Err(format!("give 2 to {MAX_PARTIES}"))
    }
}

fn own_parties(text: &str) -> Result<usize, String> {
    if text == "0" { Ok(0) } else { parties(text) }
}

fn threshold(text: &str) -> Result<Threshold, String> {
    text.parse().map(Threshold).map_err(|_| "not a number".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::error::ErrorKind;

    #[test]
    fn the_commands_are_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_secret_is_formatted() {
        let args = ApiKeyArgs {
            api_key: Some("correct-horse-battery".parse().unwrap()),
            api_key_file: None,
        };
        let text = format!("{args:?}");
        assert!(text.contains("redacted") && !text.contains("horse"), "{text}");
    }

    /// Everybody can read arguments in `ps`.
    #[test]
    fn no_secret_is_taken_as_an_argument_and_none_is_told_again() {
        for command in ["node --data=x", "party list", "keys rotate --data=x", "audit head"] {
            for option in [
                "--api-key",
                "--coordinator-key",
                "--jwt-secret-key",
                "--crypto-master-key",
                "--to-crypto-master-key",
                "--passphrase",
            ] {
                let args = format!("mpc {command} {option}=correct-horse");
                let error = Cli::try_parse_from(args.split(' ')).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::UnknownArgument, "{args}");
                assert!(!error.to_string().contains("horse"), "{error}");
            }
        }
    }

    #[test]
    fn digests_are_64_hexadecimal_digits() {
        assert_eq!("ab".repeat(32).parse::<Digest>().unwrap(), Digest([0xab; 32]));
        for bad in ["", "ab", &"ab".repeat(33), &"zz".repeat(32), &"a".repeat(63)] {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
        }
    }
}
