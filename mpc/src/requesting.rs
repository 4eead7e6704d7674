//! `mpc requester`, and the requester's part of `mpc sign`.

use anyhow::{Context, bail, ensure};
use clap::{Args, Subcommand, ValueEnum};
use mpc::api::{Account, SignRequest};
use mpc::client::Client;
use mpc::requester::{Algorithm, RequesterKey, Wanted};
use mpc_wire::{
    AccountId, DerivationPath, HashFunction, Payload, RequestId, RequesterName, Scheme, UnixMillis,
};
use party_runtime::policy::span::Span;
use std::io::Write;
use std::path::PathBuf;
use std::time::SystemTime;

#[derive(Debug, Subcommand)]
pub(crate) enum RequesterCommand {
    /// Makes a key, and prints its public half for the policy files of the parties.
    Keygen {
        /// By which algorithm it signs.
        #[arg(long, value_enum, default_value_t = KeyAlgorithm::Ed25519)]
        algorithm: KeyAlgorithm,
        /// The file for the key; it must not exist yet.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
}

/// An algorithm, by its name on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum KeyAlgorithm {
    Ed25519,
    P256,
}

impl From<KeyAlgorithm> for Algorithm {
    fn from(algorithm: KeyAlgorithm) -> Self {
        match algorithm {
            KeyAlgorithm::Ed25519 => Self::Ed25519,
            KeyAlgorithm::P256 => Self::P256,
        }
    }
}

/// Who signs a request.
#[derive(Debug, Args)]
pub(crate) struct RequesterArgs {
    /// A requester's key, PEM of PKCS#8: signs the request, for parties that ask for that.
    #[arg(long, env = "MPC_REQUESTER_KEY", value_name = "FILE", requires = "requester")]
    requester_key: Option<PathBuf>,
    /// The requester's name in the parties' policies.
    #[arg(long, env = "MPC_REQUESTER", value_name = "NAME")]
    requester: Option<RequesterName>,
    /// For how long the requester's signature counts, and with it the session.
    #[arg(long, value_name = "TIME", default_value = "5m")]
    valid_for: Span,
    /// How long the session may take, for parties that ask a person: as in `30m`.
    #[arg(long, value_name = "TIME")]
    expires_in: Option<Span>,
}

/// Runs `mpc requester`.
pub(crate) fn run(command: RequesterCommand) -> anyhow::Result<()> {
    let RequesterCommand::Keygen { algorithm, out } = command;
    let key = RequesterKey::generate(algorithm.into())?;
    key.write(&out)?;
    Ok(std::io::stdout().write_all(key.public_pem()?.as_bytes())?)
}

impl RequesterArgs {
    /// The request, with the requester's signature if there is a key.
    pub(crate) async fn request(
        self,
        client: &Client,
        account: AccountId,
        message: String,
        hash: Option<HashFunction>,
    ) -> anyhow::Result<SignRequest> {
        let Self { requester_key, requester, valid_for, expires_in } = self;
        let expires_in = expires_in.map(|span| span.duration().as_secs());
        // Compose files and shells pass variables that are not set as empty ones.
        let key = requester_key.filter(|key| !key.as_os_str().is_empty());
        let plain = SignRequest { expires_in, ..SignRequest::new(message, hash) };
        let Some(key) = key else { return Ok(plain) };
        let Some(requester) = requester else { bail!("give the requester's name: --requester") };
        // Before anybody is asked: a key that cannot be used is told at once.
        let key = RequesterKey::read(&key)?;
        let Account { scheme, public_key, .. } = client.account(account).await?;
        let payload = payload(scheme, &plain.message, hash)?;
        let public_key =
            public_key.context("the account has no key yet: wait until it is active")?;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
        let expires_at = u64::try_from((now + valid_for.duration()).as_millis())?;
        let request = RequestId::generate();
        let authorization = key.authorize(&Wanted {
            requester: &requester,
            request,
            expires_at: UnixMillis(expires_at),
            account,
            public_key: &public_key,
            path: &DerivationPath::default(),
            payload: &payload,
        });
        Ok(SignRequest { request_id: Some(request), authorization: Some(authorization), ..plain })
    }
}

/// What the API will make of message and hash.
fn payload(scheme: Scheme, message: &str, hash: Option<HashFunction>) -> anyhow::Result<Payload> {
    let payload = match hash {
        None if scheme.signs_bytes() => Payload::Message(message.as_bytes().to_vec()),
        Some(hash) => Payload::Bytes { bytes: message.as_bytes().to_vec(), hash },
        None => {
            let mut digest = [0; 32];
            let is_digest = hex::decode_to_slice(message, &mut digest).is_ok();
            ensure!(is_digest, "the message is no digest of 64 hexadecimal digits; or give --hash");
            Payload::Digest(digest)
        }
    };
    payload.check()?;
    payload.check_fits(scheme)?;
    Ok(payload)
}
