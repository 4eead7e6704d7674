//! Files that only their owner can use.

use super::VaultError;
use std::ffi::OsString;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The longest secret file: a key, a passphrase or a TPM's blob, each well below.
const MAX_LENGTH: usize = 16 * 1024;

/// Who may own a file that is trusted: the user that runs this, or root.
fn is_ours(metadata: &Metadata) -> bool {
    [rustix::process::geteuid().as_raw(), 0].contains(&metadata.uid())
}

/// Reads a file that nobody but its owner can read. What is checked is the opened file itself, so a
/// symbolic link counts as what it leads to, and nothing can be exchanged in between.
///
/// # Errors
/// [`VaultError`] if it cannot be read, is too long, or others can read or own it.
pub fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, VaultError> {
    let failed = |source| VaultError::KeyFile { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(VaultError::KeyFileOpen { path: path.to_owned(), mode });
    }
    if !is_ours(&metadata) {
        return Err(VaultError::ForeignFile { path: path.to_owned(), owner: metadata.uid() });
    }
    contents(path, file)
}

/// Reads a secret file whoever else can read it: one that several people were given together. Leaves
/// no copies behind either.
///
/// # Errors
/// [`VaultError`] if it cannot be read or is too long.
pub fn read_shared(path: &Path) -> Result<Zeroizing<Vec<u8>>, VaultError> {
    let file =
        File::open(path).map_err(|source| VaultError::KeyFile { path: path.to_owned(), source })?;
    contents(path, file)
}

fn contents(path: &Path, file: File) -> Result<Zeroizing<Vec<u8>>, VaultError> {
    let failed = |source| VaultError::KeyFile { path: path.to_owned(), source };
    // Room for all of it at once: a buffer that grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_LENGTH + 1));
    let limit = u64::try_from(MAX_LENGTH + 1).unwrap_or(u64::MAX);
    file.take(limit).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() > MAX_LENGTH {
        return Err(failed(std::io::Error::other("it is too long to be a key")));
    }
    Ok(bytes)
}

/// Makes a file that only its owner can use. Written aside and renamed: a crash leaves either no
/// file or a whole one.
///
/// # Errors
/// [`VaultError::File`] if it cannot be written.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), VaultError> {
    let failed = |source| VaultError::File { path: path.to_owned(), source };
    let draft = beside(path, "draft");
    match std::fs::remove_file(&draft) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    make_empty(&draft)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .map_err(failed)?;
    rename(&draft, path)
}

/// A new, empty file with mode 0600, whatever the umask.
pub(super) fn make_empty(path: &Path) -> std::io::Result<File> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.set_permissions(PermissionsExt::from_mode(0o600))?;
    Ok(file)
}

/// Renames within a folder, durably.
pub(super) fn rename(from: &Path, to: &Path) -> Result<(), VaultError> {
    let failed = |source| VaultError::File { path: to.to_owned(), source };
    std::fs::rename(from, to).map_err(failed)?;
    sync_folder_of(to)
}

/// What was made, renamed or removed in the file's folder stays so after a power failure.
pub(super) fn sync_folder_of(path: &Path) -> Result<(), VaultError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        Some(_) | None => Path::new("."),
    };
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|source| VaultError::File { path: folder.to_owned(), source })
}

/// Refuses a file that others can write or own; takes from others what else they can do with it.
pub(super) fn protect(path: &Path) -> Result<(), VaultError> {
    let failed = |source| VaultError::File { path: path.to_owned(), source };
    let metadata = std::fs::metadata(path).map_err(failed)?;
    let mode = metadata.permissions().mode() & 0o777;
    if !is_ours(&metadata) {
        return Err(VaultError::ForeignFile { path: path.to_owned(), owner: metadata.uid() });
    }
    if mode & 0o022 != 0 {
        return Err(VaultError::Writable { path: path.to_owned(), mode });
    }
    if mode & 0o077 != 0 {
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o600)).map_err(failed)?;
    }
    Ok(())
}

/// The path with a further extension.
pub(super) fn beside(path: &Path, extension: &str) -> PathBuf {
    let mut name = OsString::from(path.as_os_str());
    name.push(".");
    name.push(extension);
    PathBuf::from(name)
}
