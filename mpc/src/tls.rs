//! TLS from files: what a listener shows ([`ListenerTls`]), what a node's own parties make of it
//! ([`OwnTrust`]), and whom a client trusts ([`client`]).
//!
//! TLS 1.3 only: parties are this project's own, and every HTTP client that is still maintained
//! speaks it. One provider, `ring`, is always given by name; the process-wide default is not used.

mod listener;
mod pem;

pub use listener::{ListenerTls, OwnTrust};

use rustls::crypto::{CryptoProvider, ring};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The versions that are spoken.
const VERSIONS: &[&SupportedProtocolVersion] = &[&TLS13];

/// What is spoken over TLS. HTTP/2 is not: no limit of the servers here counts its streams.
const HTTP_1: &[u8] = b"http/1.1";

/// Why TLS cannot be used as asked for.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A certificate without its key, or a key without its certificate.
    #[error("a certificate needs its key: give both --tls-cert and --tls-key, or none")]
    Pair,
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// A file is not PEM. What is wrong in it is not said: it may be a misplaced key.
    #[error("{} is not PEM", .0.display())]
    NotPem(PathBuf),
    /// A file holds no certificate.
    #[error(
        "there is no certificate in {}: it must hold them in PEM, a server's own one first",
        .0.display()
    )]
    NoCertificate(PathBuf),
    /// A file holds no private key.
    #[error(
        "there is no private key in {}: it must hold one in PEM, as PKCS#8, SEC1 or PKCS#1, \
         without a passphrase",
        .0.display()
    )]
    NoKey(PathBuf),
    /// Others than its owner can read a private key.
    #[error(
        "the private key in {path} has mode {mode:o}; make it 0600: chmod 600 {path}",
        path = path.display()
    )]
    KeyMode {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The key is another certificate's.
    #[error(
        "the key in {} is not that of the first certificate in {}",
        key.display(),
        cert.display()
    )]
    KeyMismatch {
        /// The file with the certificates.
        cert: PathBuf,
        /// The file with the key.
        key: PathBuf,
    },
    /// A certificate or key that the TLS library does not take.
    #[error("what is in {} cannot be used: {source}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: rustls::Error,
    },
    /// The node's own parties would not believe its certificate.
    #[error(
        "the node's own parties do not trust the certificate in {}: {reason}; if its authority \
         is not in that file, give --tls-ca",
        cert.display()
    )]
    OwnParties {
        /// The file with the certificates.
        cert: PathBuf,
        /// What is wrong with it, in the library's words.
        reason: String,
    },
    /// The operating system names nobody to trust.
    #[error("this system has no trusted certificates ({0}): give --tls-ca")]
    NoRoots(String),
    /// The library does not take its configuration.
    #[error("TLS cannot be set up: {0}")]
    Setup(#[from] rustls::Error),
}

/// What a client needs that trusts the authorities in a file and nobody else or, without a file,
/// those of the operating system.
///
/// # Errors
/// [`TlsError`] if there is nobody to trust.
pub fn client(ca: Option<&Path>) -> Result<Arc<ClientConfig>, TlsError> {
    let roots = match ca {
        Some(path) => trusting(path)?,
        None => system_roots()?,
    };
    client_trusting(Arc::new(roots))
}

fn client_trusting(roots: Arc<RootCertStore>) -> Result<Arc<ClientConfig>, TlsError> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(VERSIONS)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![HTTP_1.to_vec()];
    Ok(Arc::new(config))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn trusting(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in pem::certificates(path)? {
        roots
            .add(certificate)
            .map_err(|source| TlsError::Unusable { path: path.to_owned(), source })?;
    }
    Ok(roots)
}

/// The operating system's list, not one built in: its updates withdraw what is no longer to be
/// trusted without a new binary, and an authority that a company has installed is found.
fn system_roots() -> Result<RootCertStore, TlsError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (taken, left) = roots.add_parsable_certificates(found.certs);
    if taken > 0 {
        return Ok(roots);
    }
    let reason = found
        .errors
        .first()
        .map_or_else(|| format!("none found, {left} not understood"), |error| error.to_string());
    Err(TlsError::NoRoots(reason))
}
