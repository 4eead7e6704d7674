//! What the arguments say about where the vaults' master keys come from.

use crate::cli::Environment;
use crate::secret::{self, Secret};
use anyhow::{Context, ensure};
use clap::Args;
use mpc::node::MasterKey;
use party_runtime::KeySource;
use party_runtime::vault::Passphrase;
#[cfg(not(feature = "tpm"))]
use std::ffi::OsString;
use std::path::PathBuf;

/// Arguments of the present master key.
#[derive(Debug, Args)]
pub(crate) struct MasterKeyArgs {
    #[arg(skip = Secret::of_environment(secret::MASTER_KEY))]
    pub(crate) crypto_master_key: Option<Secret>,
    /// A file of mode 0600 with the master key of the vaults, 64 hexadecimal digits; the key itself
    /// may also come in the variable CRYPTO_MASTER_KEY. Without this and all others, it is
    /// `master.key` in each party's folder.
    #[arg(long, env = "MPC_MASTER_KEY_FILE", value_name = "FILE")]
    pub(crate) master_key_file: Option<PathBuf>,
    /// A file of mode 0600 with the passphrase that the master key is made of; it may also come in
    /// the variable MPC_PASSPHRASE.
    #[arg(long, env = "MPC_PASSPHRASE_FILE", value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
    #[cfg(feature = "tpm")]
    #[command(flatten)]
    pub(crate) tpm: TpmArgs,
    #[cfg(not(feature = "tpm"))]
    #[arg(skip = std::env::var_os(TPM))]
    pub(crate) tpm: Option<OsString>,
}

/// The variable of a TPM. A build that knows none must not pass over it: it would look for another
/// key, or make one.
#[cfg(not(feature = "tpm"))]
const TPM: &str = "MPC_TPM";

/// Arguments of a TPM.
#[cfg(feature = "tpm")]
#[derive(Debug, Args)]
pub(crate) struct TpmArgs {
    /// The TPM that seals the master key, into `master.tpm` of each party's folder, as tpm2-tools
    /// name it: device:/dev/tpmrm0, swtpm:host=127.0.0.1,port=2321.
    #[arg(long, env = "MPC_TPM", value_name = "TCTI")]
    pub(crate) tpm: Option<String>,
    /// PCRs (SHA-256) whose present values a newly sealed key depends on, such as 0,7.
    #[arg(long, env = "MPC_TPM_PCRS", value_name = "LIST", default_value = "")]
    pub(crate) tpm_pcrs: party_runtime::vault::PcrSlots,
}

impl MasterKeyArgs {
    /// The key of a node's parties. In production none is made without being asked for.
    pub(crate) fn for_node(self, environment: Environment) -> anyhow::Result<MasterKey> {
        Ok(match (self.given()?, environment) {
            (Some(given), _) => given,
            (None, Environment::Production) => MasterKey::GivenFiles,
            (None, Environment::Development) => MasterKey::OwnFiles,
        })
    }

    /// The key that was given, if one was. An empty value is none: compose files pass unset
    /// variables so.
    pub(crate) fn given(self) -> anyhow::Result<Option<MasterKey>> {
        let mut given = Vec::new();
        if let Some(key) = self.crypto_master_key.filter(|key| !key.expose().is_empty()) {
            given.push(MasterKey::Shared(KeySource::Hex(key.expose().clone())));
        }
        if let Some(file) = self.master_key_file.filter(|file| !file.as_os_str().is_empty()) {
            given.push(MasterKey::Shared(KeySource::ExistingFile(file)));
        }
        if let Some(passphrase) = passphrase(self.passphrase_file)? {
            given.push(MasterKey::Shared(KeySource::Passphrase(passphrase)));
        }
        #[cfg(feature = "tpm")]
        if let Some(address) = self.tpm.tpm.filter(|address| !address.is_empty()) {
            given.push(MasterKey::Tpm { address, pcrs: self.tpm.tpm_pcrs });
        }
        #[cfg(not(feature = "tpm"))]
        ensure!(
            self.tpm.is_none_or(|address| address.is_empty()),
            "{TPM} is set, and this build of the command can use no TPM: build it with \
             --features tpm, or unset {TPM} and give another master key"
        );
        ensure!(
            given.len() < 2,
            "several master keys are given: keep one of CRYPTO_MASTER_KEY, a key file, a \
             passphrase and a TPM"
        );
        Ok(given.pop())
    }
}

fn passphrase(file: Option<PathBuf>) -> anyhow::Result<Option<Passphrase>> {
    if let Some(file) = file.filter(|file| !file.as_os_str().is_empty()) {
        return Ok(Some(Passphrase::read(&file).context("cannot read the passphrase")?));
    }
    let given = Secret::of_environment(secret::PASSPHRASE);
    Ok(given.map(|given| Passphrase::new(given.expose().clone())))
}
