//! `mpc keys`: the master key of a party's vault, while no node runs the party.

use crate::cli::Output;
use crate::master_key::MasterKeyArgs;
use crate::operate::print;
use crate::party::{existing_folder, folder_for};
use crate::secret::{self, Secret};
use anyhow::{Context, bail, ensure};
use clap::{Args, Subcommand};
use mpc::node::{MasterKey, PartyFolder, VAULT_FILE};
use party_runtime::vault::{KekProvider, Passphrase, VaultStatus};
use party_runtime::{KeySource, Vault, VaultError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Verbs of `mpc keys`.
#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Makes a party: its identity and its vault, sealed with a key of the given source, or with a
    /// new key in `master.key` of the party's folder.
    Init {
        #[command(flatten)]
        party: PartyArgs,
        #[command(flatten)]
        key: MasterKeyArgs,
    },
    /// Shows where a vault's master key comes from, and how far a rotation is. Needs no key, and
    /// works while a node runs.
    Status {
        #[command(flatten)]
        party: PartyArgs,
    },
    /// Seals a vault with another master key; without one, with a new key in the place of the
    /// present one. If it is interrupted, it goes on when the vault is opened again.
    #[command(after_long_help = secret::ROTATE_HELP)]
    Rotate {
        #[command(flatten)]
        party: PartyArgs,
        #[command(flatten)]
        key: MasterKeyArgs,
        #[command(flatten)]
        to: NewKeyArgs,
        /// PCRs (SHA-256) whose present values a key sealed by --to-tpm depends on, such as 0,7.
        #[cfg(feature = "tpm")]
        #[arg(long, value_name = "LIST", default_value = "")]
        to_pcrs: party_runtime::vault::PcrSlots,
    },
    /// Has a TPM seal the present master key, into `master.tpm` of the party's folder.
    #[cfg(feature = "tpm")]
    Seal {
        #[command(flatten)]
        party: PartyArgs,
        #[command(flatten)]
        key: MasterKeyArgs,
        /// The TPM, as tpm2-tools name it.
        #[arg(long, value_name = "TCTI")]
        to_tpm: String,
        /// PCRs (SHA-256) whose present values the sealed key depends on, such as 0,7.
        #[arg(long, value_name = "LIST", default_value = "")]
        to_pcrs: party_runtime::vault::PcrSlots,
    },
    /// Brings the master key that a TPM has sealed back into a key file.
    #[cfg(feature = "tpm")]
    Unseal {
        #[command(flatten)]
        party: PartyArgs,
        #[command(flatten)]
        key: MasterKeyArgs,
        /// The file; without it, `master.key` in the party's folder.
        #[arg(long, value_name = "FILE")]
        to_key_file: Option<PathBuf>,
    },
}

/// Which party.
#[derive(Debug, Args)]
pub(crate) struct PartyArgs {
    /// The party's folder, such as DATA/party-1 of a node.
    #[arg(long, env = "MPC_DATA", value_name = "DIR")]
    data: PathBuf,
    /// How the answer is printed.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// Where the new key comes from.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(crate) struct NewKeyArgs {
    /// A key file; made if missing.
    #[arg(long, value_name = "FILE")]
    to_key_file: Option<PathBuf>,
    /// A file of mode 0600 with a passphrase that the new key is made of.
    #[arg(long, value_name = "FILE")]
    to_passphrase_file: Option<PathBuf>,
    /// A TPM, as tpm2-tools name it, which seals a new key into `master.tpm` of the party's folder.
    #[cfg(feature = "tpm")]
    #[arg(long, value_name = "TCTI")]
    to_tpm: Option<String>,
    #[arg(skip = Secret::of_environment(secret::NEW_MASTER_KEY))]
    to_crypto_master_key: Option<Secret>,
}

/// Runs `mpc keys`.
pub(crate) async fn run(command: KeysCommand) -> anyhow::Result<()> {
    match command {
        KeysCommand::Init { party, key } => init(party, key).await,
        KeysCommand::Status { party } => party.show(&VaultStatus::read(&party.vault_file()).await?),
        #[cfg(not(feature = "tpm"))]
        KeysCommand::Rotate { party, key, to } => {
            to.check()?;
            rotate(party, key, |_| to.source()).await
        }
        #[cfg(feature = "tpm")]
        KeysCommand::Rotate { party, key, mut to, to_pcrs } => {
            to.check()?;
            let address = to.to_tpm.take();
            let sealed = |folder: &Path| {
                address.map(|address| MasterKey::Tpm { address, pcrs: to_pcrs }.of(folder))
            };
            let new =
                |folder: &Path| sealed(folder).map_or_else(|| to.source(), |key| Ok(Some(key)));
            rotate(party, key, new).await
        }
        #[cfg(feature = "tpm")]
        KeysCommand::Seal { party, key, to_tpm, to_pcrs } => {
            sealing::seal(party, key, to_tpm, to_pcrs).await
        }
        #[cfg(feature = "tpm")]
        KeysCommand::Unseal { party, key, to_key_file } => {
            sealing::unseal(party, key, to_key_file).await
        }
    }
}

impl PartyArgs {
    pub(crate) fn folder(&self) -> &Path {
        &self.data
    }

    pub(crate) fn vault_file(&self) -> PathBuf {
        self.data.join(VAULT_FILE)
    }

    /// Keeps nodes, and whoever else could run the party, away from it.
    pub(crate) fn lock(&self) -> anyhow::Result<PartyFolder> {
        existing_folder(&self.data)
    }

    /// Opens the vault with the key that was given, or the party's own key file.
    pub(crate) async fn open(&self, key: MasterKeyArgs) -> anyhow::Result<(Vault, KeySource)> {
        let source = key.given()?.unwrap_or(MasterKey::GivenFiles).of(&self.data);
        let vault = Vault::open(&self.vault_file(), &source).await?;
        Ok((vault, source))
    }

    fn show(&self, status: &VaultStatus) -> anyhow::Result<()> {
        print(status, self.output)
    }

    /// Closes the vault and shows what has become of it.
    async fn finish(&self, vault: Vault) -> anyhow::Result<()> {
        let status = vault.status().await?;
        vault.close().await?;
        self.show(&status)
    }
}

async fn init(party: PartyArgs, key: MasterKeyArgs) -> anyhow::Result<()> {
    let key = key.given()?.unwrap_or(MasterKey::OwnFiles);
    let _lock = folder_for(&party.data, &key)?;
    let source = key.of(&party.data);
    let vault = Vault::create(&party.vault_file(), &source).await?;
    party.finish(vault).await
}

async fn rotate(
    party: PartyArgs,
    key: MasterKeyArgs,
    new: impl FnOnce(&Path) -> anyhow::Result<Option<KeySource>>,
) -> anyhow::Result<()> {
    let _lock = party.lock()?;
    let (vault, present) = party.open(key).await?;
    let new = match new(&party.data)? {
        Some(new) => new,
        None => in_place(present, &party.data)?,
    };
    match vault.rotate(Arc::new(new)).await {
        Ok(_) => party.finish(vault).await,
        Err(error @ VaultError::RotationBlocked { .. }) => {
            party.finish(vault).await?;
            Err(error.into())
        }
        Err(error) => {
            vault.close().await?;
            Err(error.into())
        }
    }
}

/// A new key in the place of the present one: only where no other party has its key.
fn in_place(present: KeySource, party: &Path) -> anyhow::Result<KeySource> {
    let file = present.file().map(Path::to_owned);
    match (file, present) {
        (Some(file), KeySource::File(_) | KeySource::ExistingFile(_)) => {
            let is_own = match (file.parent().map(Path::canonicalize), party.canonicalize()) {
                (Some(Ok(folder)), Ok(party)) => folder == party,
                _ => false,
            };
            if !is_own {
                bail!(
                    "{} may be the key of other parties too: give the new key's place with \
                     --to-key-file",
                    file.display()
                );
            }
            Ok(KeySource::File(file))
        }
        #[cfg(feature = "tpm")]
        (_, tpm @ KeySource::Tpm(_)) => Ok(tpm),
        (_, _) => bail!(
            "where shall the new key come from? Give --to-key-file, --to-passphrase-file, a TPM or \
             CRYPTO_NEW_MASTER_KEY"
        ),
    }
}

impl NewKeyArgs {
    /// One place for the new key, not a second one that is passed over: `clap` sees the arguments
    /// only, and a key of the environment besides them may be the one that is meant.
    fn check(&self) -> anyhow::Result<()> {
        let is_told = self.to_key_file.is_some() || self.to_passphrase_file.is_some();
        #[cfg(feature = "tpm")]
        let is_told = is_told || self.to_tpm.is_some();
        ensure!(
            !is_told || self.to_crypto_master_key.is_none(),
            "several new keys are given: unset CRYPTO_NEW_MASTER_KEY, or leave the options --to-… \
             out"
        );
        Ok(())
    }

    /// A TPM apart, which needs to know the party's folder.
    fn source(self) -> anyhow::Result<Option<KeySource>> {
        if let Some(file) = self.to_key_file {
            return Ok(Some(KeySource::File(file)));
        }
        if let Some(file) = self.to_passphrase_file {
            let passphrase = Passphrase::read(&file).context("cannot read the new passphrase")?;
            return Ok(Some(KeySource::Passphrase(passphrase)));
        }
        Ok(self.to_crypto_master_key.map(|key| KeySource::Hex(key.expose().clone())))
    }
}

#[cfg(feature = "tpm")]
mod sealing {
    use super::*;
    use mpc::node::{KEY_FILE, TPM_FILE};
    use party_runtime::vault::{PcrSlots, ProviderKind, TpmKey};

    /// Runs `mpc keys seal`.
    pub(super) async fn seal(
        party: PartyArgs,
        key: MasterKeyArgs,
        address: String,
        pcrs: PcrSlots,
    ) -> anyhow::Result<()> {
        let _lock = party.lock()?;
        let (vault, present) = party.open(key).await?;
        let tpm = TpmKey::new(address, party.data.join(TPM_FILE), pcrs);
        tpm.seal(&vault.master_key().await)?;
        vault.note_provider(ProviderKind::Tpm).await?;
        party.finish(vault).await?;
        if let Some(file) = present.file() {
            let file = file.display();
            eprintln!("the key lies in {file} too: keep that in a safe place, and remove it here");
        }
        Ok(())
    }

    /// Runs `mpc keys unseal`.
    pub(super) async fn unseal(
        party: PartyArgs,
        key: MasterKeyArgs,
        file: Option<PathBuf>,
    ) -> anyhow::Result<()> {
        let _lock = party.lock()?;
        let (vault, source) = party.open(key).await?;
        if source.kind() != ProviderKind::Tpm {
            bail!("which TPM has sealed the key? Give it with --tpm");
        }
        let file = file.unwrap_or_else(|| party.data.join(KEY_FILE));
        vault.master_key().await.save(&file)?;
        vault.note_provider(ProviderKind::File).await?;
        party.finish(vault).await
    }
}
