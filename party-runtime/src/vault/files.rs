//! The files around a vault, and what they say about it.
//!
//! Beside `vault.sqlite` lie `vault.party`, which names the party and so bears witness that there
//! was a vault, and, only while one is being made, `vault.making`. A vault that vanished must not
//! silently be followed by another identity.

use super::VaultError;
use super::private_file;
use mpc_wire::PartyId;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// What SQLite keeps beside a database.
const BESIDE: [&str; 2] = ["-wal", "-shm"];

/// The files of one vault.
#[derive(Debug, Clone)]
pub(super) struct VaultFiles {
    vault: PathBuf,
}

/// What there is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing of a vault.
    Nothing,
    /// A vault whose making was interrupted: nobody has heard of its party.
    Unfinished,
    /// A vault.
    Vault,
    /// No vault, but this file shows that there was one.
    Witness(PathBuf),
}

impl VaultFiles {
    pub(super) fn at(vault: &Path) -> Self {
        Self { vault: vault.to_owned() }
    }

    pub(super) fn vault(&self) -> &Path {
        &self.vault
    }

    fn party_file(&self) -> PathBuf {
        self.vault.with_extension("party")
    }

    fn making_file(&self) -> PathBuf {
        self.vault.with_extension("making")
    }

    /// Looks for the vault.
    pub(super) fn find(&self) -> Found {
        if self.making_file().exists() {
            return Found::Unfinished;
        }
        if self.vault.exists() {
            return Found::Vault;
        }
        let wal = PathBuf::from(format!("{}-wal", self.vault.display()));
        match [self.party_file(), wal].into_iter().find(|witness| witness.exists()) {
            Some(witness) => Found::Witness(witness),
            None => Found::Nothing,
        }
    }

    /// The vault's own key file, if it lies beside the vault: without a vault it is a witness.
    pub(super) fn key_witness(&self, key_file: Option<&Path>) -> Option<PathBuf> {
        let key_file = key_file?;
        let is_beside = key_file.parent() == self.vault.parent() && key_file.exists();
        is_beside.then(|| key_file.to_owned())
    }

    /// Begins to make a vault: its file is there and private before SQLite writes into it. SQLite
    /// gives the files beside it the same mode.
    pub(super) fn begin_making(&self) -> Result<(), VaultError> {
        private_file::write(&self.making_file(), b"")?;
        match private_file::make_empty(&self.vault) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(source) => return Err(VaultError::File { path: self.vault.clone(), source }),
        }
        self.protect()
    }

    /// Begins to restore a vault of `party`: as [`VaultFiles::begin_making`], but what is left of it
    /// after a crash is known for a restoration, and never turned into another identity.
    pub(super) fn begin_restoring(&self, party: PartyId) -> Result<(), VaultError> {
        self.begin_making()?;
        private_file::write(&self.making_file(), format!("{party}\n").as_bytes())
    }

    /// The party whose restoration was interrupted, as its id's text.
    pub(super) fn interrupted_restoration(&self) -> Option<String> {
        let party = std::fs::read_to_string(self.making_file()).ok()?;
        let party = party.trim();
        (!party.is_empty()).then(|| party.to_owned())
    }

    /// Removes what an interrupted restoration has left, so that it can begin again.
    pub(super) fn discard_unfinished(&self) -> Result<(), VaultError> {
        for file in self.beside().into_iter().chain([self.vault.clone()]) {
            match std::fs::remove_file(&file) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(source) => return Err(VaultError::File { path: file, source }),
            }
        }
        Ok(())
    }

    /// The vault is made.
    pub(super) fn finish_making(&self, party: PartyId) -> Result<(), VaultError> {
        private_file::write(&self.party_file(), format!("{party}\n").as_bytes())?;
        let making = self.making_file();
        std::fs::remove_file(&making)
            .map_err(|source| VaultError::File { path: making.clone(), source })?;
        private_file::sync_folder_of(&making)
    }

    /// Refuses if what is left of an earlier vault is another party's.
    pub(super) fn expect_party(&self, witness: &Path, party: PartyId) -> Result<(), VaultError> {
        let file = self.party_file();
        let left = std::fs::read_to_string(&file)
            .map_err(|source| VaultError::File { path: file, source })?;
        if left.trim() == party.to_string() {
            Ok(())
        } else {
            Err(VaultError::Vanished { path: self.vault.clone(), witness: witness.to_owned() })
        }
    }

    /// Refuses files of the vault that others can write, and closes those that they can read.
    pub(super) fn protect(&self) -> Result<(), VaultError> {
        private_file::protect(&self.vault)?;
        for file in self.beside() {
            match private_file::protect(&file) {
                // SQLite makes them and takes them away, also while they are looked at here.
                Err(VaultError::File { source, .. }) if source.kind() == ErrorKind::NotFound => {}
                protected => protected?,
            }
        }
        Ok(())
    }

    /// What SQLite keeps beside the vault, if it does just now.
    fn beside(&self) -> [PathBuf; 2] {
        BESIDE.map(|end| PathBuf::from(format!("{}{end}", self.vault.display())))
    }
}
