//! A master key in a file: 64 hexadecimal digits.
//!
//! A key that takes the place of the file's key is written to `<file>.next` and renamed once the
//! vault is sealed with it. A crash between the two leaves both, and the vault's header says which
//! one is meant.

use super::VaultError;
use super::kek::{Kek, KeyId};
use super::private_file;
use std::path::{Path, PathBuf};

/// The file at this path.
pub(super) struct KeyFile<'a>(pub(super) &'a Path);

impl KeyFile<'_> {
    /// The key that the vault wants, if one of the two files has it; else what the file has.
    pub(super) fn key(&self, wanted: &KeyId) -> Result<Kek, VaultError> {
        let found = self.read();
        if !found.as_ref().is_ok_and(|key| key.id() == wanted)
            && let Ok(next) = read(&self.next())
            && next.id() == wanted
        {
            self.settle(wanted)?;
            return Ok(next);
        }
        found
    }

    /// The file's key; a fresh one in its place if it has the current one, or none at all.
    pub(super) fn new_key(&self, current: Option<&KeyId>) -> Result<Kek, VaultError> {
        if !self.0.exists() {
            return make(self.0);
        }
        let found = self.read()?;
        if current != Some(found.id()) {
            return Ok(found);
        }
        // Left by a rotation that was interrupted, which may have begun: it must not be lost.
        let next = self.next();
        if next.exists() { read(&next) } else { make(&next) }
    }

    /// Puts the next key in the file's place, if it is the one that is meant.
    pub(super) fn settle(&self, key: &KeyId) -> Result<(), VaultError> {
        let next = self.next();
        if next.exists() && read(&next)?.id() == key {
            private_file::rename(&next, self.0)?;
        }
        Ok(())
    }

    pub(super) fn read(&self) -> Result<Kek, VaultError> {
        read(self.0)
    }

    fn next(&self) -> PathBuf {
        private_file::beside(self.0, "next")
    }
}

fn read(path: &Path) -> Result<Kek, VaultError> {
    let missing = || VaultError::KeyFileMissing { path: path.to_owned() };
    if !path.exists() {
        return Err(missing());
    }
    let bytes = private_file::read(path)?;
    Kek::from_hex(std::str::from_utf8(&bytes).map_err(|_| VaultError::KeyForm)?)
}

fn make(path: &Path) -> Result<Kek, VaultError> {
    let key = Kek::generate()?;
    private_file::write(path, key.to_hex().as_bytes())?;
    Ok(key)
}
