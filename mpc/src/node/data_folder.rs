//! The folder that a node keeps everything in: locked, its owner's alone, with one folder a party.

use super::known_parties::{KnownParties, KnownPartiesError};
use anyhow::{Context, bail};
use party_runtime::vault::KekProvider;
use party_runtime::{KeySource, VaultError};
use std::fs::{File, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The file in the data folder that a node locks.
const LOCK_FILE: &str = "node.lock";

/// A party's vault in its folder.
pub const VAULT_FILE: &str = "vault.sqlite";

/// A party's own master key in its folder.
pub const KEY_FILE: &str = "master.key";

/// A party's master key in its folder, sealed by a TPM.
#[cfg(feature = "tpm")]
pub const TPM_FILE: &str = "master.tpm";

/// A data folder, held by this process alone until it is dropped.
#[derive(Debug)]
pub struct DataFolder {
    path: PathBuf,
    /// The operating system gives the lock back when the file is closed, after a kill too.
    _lock: File,
}

impl DataFolder {
    /// Opens the folder, makes it if it is missing, and locks it.
    ///
    /// # Errors
    /// If another process has it, or the operating system refuses.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        make_private_folder(path)?;
        Self::lock(path)
    }

    fn lock(path: &Path) -> anyhow::Result<Self> {
        let lock = path.join(LOCK_FILE);
        let failed = || format!("cannot lock {}", lock.display());
        let file = private_file(&lock).with_context(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: file }),
            Err(TryLockError::WouldBlock) => {
                bail!("another process runs a node in {}", path.display())
            }
            Err(TryLockError::Error(error)) => Err(error).with_context(failed),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Whether a node has run in a folder.
pub(crate) fn is_data_folder(path: &Path) -> bool {
    path.join(LOCK_FILE).exists()
}

/// How many parties have been made in a data folder, if there is one.
///
/// # Errors
/// [`KnownPartiesError`] if its list of parties cannot be read.
pub fn parties_in(data: &Path) -> Result<usize, KnownPartiesError> {
    let there = (1..).take_while(|number| data.join(label(*number)).is_dir()).count();
    Ok(there.max(KnownParties::read(data)?.highest()))
}

/// The file in a party's folder that a process which runs the party by itself locks.
const PARTY_LOCK_FILE: &str = "party.lock";

/// The folder of a party that runs by itself, held by this process alone until it is dropped. If it
/// lies in a data folder, no node runs there meanwhile; other parties of that may.
#[derive(Debug)]
pub struct PartyFolder {
    path: PathBuf,
    _own: File,
    _data: Option<File>,
}

impl PartyFolder {
    /// Opens the folder, makes it if it is missing, and locks it.
    ///
    /// # Errors
    /// If another process runs the party, the folder is a node's, or the operating system refuses.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        if is_data_folder(path) {
            bail!(
                "{} is the data folder of a node: give a party's own, such as {}",
                path.display(),
                path.join(label(1)).display()
            );
        }
        make_private_folder(path)?;
        let path = path
            .canonicalize()
            .with_context(|| format!("there is no folder {}", path.display()))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let data = path.parent().map(|data| data.join(LOCK_FILE));
        let data = match data.filter(|lock| name.starts_with("party-") && lock.exists()) {
            Some(lock) => Some(hold(&lock, File::try_lock_shared, &path)?),
            None => None,
        };
        let own = hold(&path.join(PARTY_LOCK_FILE), File::try_lock, &path)?;
        Ok(Self { path, _own: own, _data: data })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn hold(
    lock: &Path,
    how: fn(&File) -> Result<(), TryLockError>,
    party: &Path,
) -> anyhow::Result<File> {
    let failed = || format!("cannot lock {}", lock.display());
    let file = private_file(lock).with_context(failed)?;
    match how(&file) {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            bail!("another process runs the party in {}: stop that first", party.display())
        }
        Err(TryLockError::Error(error)) => Err(error).with_context(failed),
    }
}

/// Where the master keys of a node's vaults come from.
#[derive(Debug, Clone)]
pub enum MasterKey {
    /// A key file in each party's folder, made for a new party.
    OwnFiles,
    /// A key file in each party's folder, made before by `mpc keys init`.
    GivenFiles,
    /// The same source for all parties.
    Shared(KeySource),
    /// A blob in each party's folder, sealed by this TPM.
    #[cfg(feature = "tpm")]
    Tpm {
        /// Where the TPM is, as tpm2-tools say it.
        address: String,
        /// What new blobs are sealed to besides their TPM.
        pcrs: party_runtime::vault::PcrSlots,
    },
}

impl MasterKey {
    /// The source for the party with this folder.
    pub fn of(&self, folder: &Path) -> KeySource {
        match self {
            Self::OwnFiles => KeySource::File(folder.join(KEY_FILE)),
            Self::GivenFiles => KeySource::ExistingFile(folder.join(KEY_FILE)),
            Self::Shared(source) => source.clone(),
            #[cfg(feature = "tpm")]
            Self::Tpm { address, pcrs } => KeySource::Tpm(party_runtime::vault::TpmKey::new(
                address.clone(),
                folder.join(TPM_FILE),
                pcrs.clone(),
            )),
        }
    }
}

impl MasterKey {
    /// Refuses what cannot be the key of new vaults in these folders, and makes nothing.
    ///
    /// # Errors
    /// [`VaultError`] if a key that was given cannot be had.
    pub fn check_new(&self, folders: impl Iterator<Item = PathBuf>) -> Result<(), VaultError> {
        let check = |source: &KeySource| match source {
            // Asked for a new key, these make one.
            KeySource::File(_) => Ok(()),
            #[cfg(feature = "tpm")]
            KeySource::Tpm(_) => Ok(()),
            KeySource::Hex(_) | KeySource::ExistingFile(_) | KeySource::Passphrase(_) => {
                source.new_key(None).map(drop)
            }
        };
        let mut folders = folders.map(|folder| self.of(&folder));
        match self {
            // The same for all, and a passphrase is slow.
            Self::Shared(_) => folders.next().as_ref().map_or(Ok(()), check),
            Self::OwnFiles | Self::GivenFiles => folders.try_for_each(|source| check(&source)),
            #[cfg(feature = "tpm")]
            Self::Tpm { .. } => folders.try_for_each(|source| check(&source)),
        }
    }
}

/// The label of a party, and its folder's name.
pub(super) fn label(number: usize) -> String {
    format!("party-{number}")
}

/// A folder that only its owner can enter, even if it was there before for others too.
///
/// # Errors
/// If it belongs to somebody else, or is one that all users share.
pub fn make_private_folder(path: &Path) -> anyhow::Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .with_context(|| format!("cannot make the folder {}", path.display()))?;
    let failed = || format!("cannot close the folder {} to others (chmod 700)", path.display());
    let mode = std::fs::metadata(path).with_context(failed)?.permissions().mode();
    if mode & 0o1000 != 0 {
        bail!("{} is a folder that all users share: give one of its own", path.display());
    }
    if mode & 0o077 != 0 {
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o700)).with_context(failed)?;
    }
    Ok(())
}

/// A file that only its owner can use, made if missing.
pub(super) fn private_file(path: &Path) -> std::io::Result<File> {
    let file = File::options().write(true).create(true).truncate(false).mode(0o600).open(path)?;
    file.set_permissions(PermissionsExt::from_mode(0o600))?;
    Ok(file)
}
