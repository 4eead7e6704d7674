//! Where a vault's master key comes from.

use super::VaultError;
use super::kek::{Kek, KeyId};
use super::key_file::KeyFile;
use super::passphrase::{Derivation, Passphrase};
#[cfg(feature = "tpm")]
use super::tpm::TpmKey;
use serde::Serialize;
use std::fmt;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Gives master keys. Calls may take long (a passphrase, a TPM) and block.
pub trait KekProvider: fmt::Debug + Send + Sync {
    /// What the header notes about the key's source.
    fn kind(&self) -> ProviderKind;

    /// The key of a vault that exists. The vault checks that it is the one that was wanted.
    ///
    /// # Errors
    /// [`VaultError`] if no key can be had.
    fn key(&self, wanted: &Wanted<'_>) -> Result<Kek, VaultError>;

    /// A key for a vault that is made or, if it has the key `current`, is given another one. Made
    /// if it does not exist, never in place of one that does.
    ///
    /// # Errors
    /// [`VaultError`] if no key can be had.
    fn new_key(&self, current: Option<&KeyId>) -> Result<NewKey, VaultError>;

    /// Called once the vault is sealed with the new key: the old one is not needed any more.
    ///
    /// # Errors
    /// [`VaultError`] if the new key cannot take the old one's place.
    fn settle(&self, key: &KeyId) -> Result<(), VaultError> {
        let _ = key;
        Ok(())
    }

    /// The file that the key lies in, if it lies in one.
    fn file(&self) -> Option<&Path> {
        None
    }
}

/// What a vault's header says about its key.
#[derive(Debug)]
pub struct Wanted<'a> {
    /// The key's name.
    pub key_id: &'a KeyId,
    /// Where it came from.
    pub provider: ProviderKind,
    /// How a passphrase becomes the key.
    pub derivation: Option<&'a Derivation>,
}

/// A key for a vault, and what the header must keep to get at it again.
#[derive(Debug)]
pub struct NewKey {
    /// The key.
    pub kek: Kek,
    /// How a passphrase becomes the key.
    pub derivation: Option<Derivation>,
}

impl From<Kek> for NewKey {
    fn from(kek: Kek) -> Self {
        Self { kek, derivation: None }
    }
}

/// The kinds of provider, as the header notes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProviderKind {
    /// `CRYPTO_MASTER_KEY`.
    Environment,
    /// A key file.
    File,
    /// A passphrase through Argon2id.
    Passphrase,
    /// A blob that a TPM 2.0 sealed.
    Tpm,
}

impl ProviderKind {
    const ALL: [Self; 4] = [Self::Environment, Self::File, Self::Passphrase, Self::Tpm];

    /// Its name, as the header and `mpc keys status` have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Environment => "environment",
            Self::File => "file",
            Self::Passphrase => "passphrase",
            Self::Tpm => "tpm",
        }
    }

    pub(super) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl fmt::Display for ProviderKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The providers of this crate, chosen by configuration.
#[derive(Clone)]
pub enum KeySource {
    /// 64 hexadecimal digits, as `CRYPTO_MASTER_KEY` gives them.
    Hex(Zeroizing<String>),
    /// A file with 64 hexadecimal digits that nobody but its owner can read; made if missing.
    File(PathBuf),
    /// As [`KeySource::File`], but never made: for production, where keys are given.
    ExistingFile(PathBuf),
    /// A passphrase through Argon2id.
    Passphrase(Passphrase),
    /// A key that a TPM 2.0 seals.
    #[cfg(feature = "tpm")]
    Tpm(TpmKey),
}

impl fmt::Debug for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hex(_) => f.write_str("KeySource::Hex(redacted)"),
            Self::File(path) => write!(f, "KeySource::File({})", path.display()),
            Self::ExistingFile(path) => write!(f, "KeySource::ExistingFile({})", path.display()),
            Self::Passphrase(_) => f.write_str("KeySource::Passphrase(redacted)"),
            #[cfg(feature = "tpm")]
            Self::Tpm(tpm) => write!(f, "KeySource::Tpm({tpm:?})"),
        }
    }
}

impl KekProvider for KeySource {
    fn kind(&self) -> ProviderKind {
        match self {
            Self::Hex(_) => ProviderKind::Environment,
            Self::File(_) | Self::ExistingFile(_) => ProviderKind::File,
            Self::Passphrase(_) => ProviderKind::Passphrase,
            #[cfg(feature = "tpm")]
            Self::Tpm(_) => ProviderKind::Tpm,
        }
    }

    fn key(&self, wanted: &Wanted<'_>) -> Result<Kek, VaultError> {
        match self {
            Self::Hex(text) => Kek::from_hex(text),
            Self::File(path) | Self::ExistingFile(path) => KeyFile(path).key(wanted.key_id),
            Self::Passphrase(passphrase) => match wanted.derivation {
                Some(derivation) => passphrase.derive(derivation),
                None => Err(VaultError::NoPassphrase { provider: wanted.provider }),
            },
            #[cfg(feature = "tpm")]
            Self::Tpm(tpm) => tpm.key(wanted.key_id),
        }
    }

    fn new_key(&self, current: Option<&KeyId>) -> Result<NewKey, VaultError> {
        match self {
            Self::Hex(text) => Kek::from_hex(text).map(NewKey::from),
            Self::File(path) => KeyFile(path).new_key(current).map(NewKey::from),
            Self::ExistingFile(path) => KeyFile(path).read().map(NewKey::from),
            Self::Passphrase(passphrase) => {
                let derivation = Derivation::generate()?;
                let kek = passphrase.long_enough()?.derive(&derivation)?;
                Ok(NewKey { kek, derivation: Some(derivation) })
            }
            #[cfg(feature = "tpm")]
            Self::Tpm(tpm) => tpm.new_key(current).map(NewKey::from),
        }
    }

    fn settle(&self, key: &KeyId) -> Result<(), VaultError> {
        match self {
            Self::File(path) => KeyFile(path).settle(key),
            #[cfg(feature = "tpm")]
            Self::Tpm(tpm) => tpm.settle(key),
            Self::Hex(_) | Self::ExistingFile(_) | Self::Passphrase(_) => Ok(()),
        }
    }

    fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) | Self::ExistingFile(path) => Some(path),
            #[cfg(feature = "tpm")]
            Self::Tpm(tpm) => Some(tpm.blob()),
            Self::Hex(_) | Self::Passphrase(_) => None,
        }
    }
}
