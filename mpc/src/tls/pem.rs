//! Certificates and keys in PEM files.

use super::TlsError;
use rustls::pki_types::pem::{Error, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use zeroize::{Zeroize, Zeroizing};

/// Largest file that is read: the list of a whole operating system takes a quarter of it.
const MAX_FILE: u64 = 1 << 20;

/// Room in which the end of a file is found.
const PROBE: usize = 64;

/// A private key in DER. Zeroizes on drop.
pub(super) struct Key(PrivateKeyDer<'static>);

impl Key {
    pub(super) fn der(&self) -> &PrivateKeyDer<'static> {
        &self.0
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// The certificates in a file, at least one.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(path, open(path)?)?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<_, _>>()
        .map_err(|_| TlsError::NotPem(path.to_owned()))?;
    if certificates.is_empty() {
        return Err(TlsError::NoCertificate(path.to_owned()));
    }
    Ok(certificates)
}

/// The private key in a file that is its owner's alone.
pub(super) fn key(path: &Path) -> Result<Key, TlsError> {
    let file = open(path)?;
    // Asked of the open file: another may be under its name a moment later.
    let metadata = file.metadata().map_err(|source| unreadable(path, source))?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(TlsError::KeyMode { path: path.to_owned(), mode });
    }
    let text = read(path, file)?;
    match PrivateKeyDer::from_pem_slice(&text) {
        Ok(der) => Ok(Key(der)),
        Err(Error::NoItemsFound) => Err(TlsError::NoKey(path.to_owned())),
        Err(_) => Err(TlsError::NotPem(path.to_owned())),
    }
}

fn open(path: &Path) -> Result<File, TlsError> {
    File::open(path).map_err(|source| unreadable(path, source))
}

fn read(path: &Path, file: File) -> Result<Zeroizing<Vec<u8>>, TlsError> {
    let failed = |source| unreadable(path, source);
    let size = file.metadata().map_err(failed)?.len().min(MAX_FILE);
    // With room for all of it at once: a growing buffer would leave pieces of a key behind.
    let mut text = Zeroizing::new(Vec::with_capacity(usize::try_from(size).unwrap_or(0) + PROBE));
    file.take(MAX_FILE).read_to_end(&mut text).map_err(failed)?;
    Ok(text)
}

fn unreadable(path: &Path, source: std::io::Error) -> TlsError {
    TlsError::Read { path: path.to_owned(), source }
}
