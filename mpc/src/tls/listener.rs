//! The certificate of a node's listeners.

use super::{TlsError, VERSIONS, client_trusting, pem, provider, trusting};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

/// What stands in for the star of a wildcard name.
const ANY_LABEL: &str = "node";

/// Certificate and key of a listener, and where they came from.
#[derive(Debug, Clone)]
pub struct ListenerTls {
    cert: PathBuf,
    key: PathBuf,
    shown: Arc<Shown>,
    config: Arc<ServerConfig>,
}

/// How a node's own parties reach and check its gateway.
#[derive(Debug, Clone)]
pub struct OwnTrust {
    name: ServerName<'static>,
    /// The name in the certificate, as it stands in a URL.
    pub host: String,
    /// Trusts the node's certificate, and its authority if it was given, and nobody else.
    pub config: Arc<ClientConfig>,
    verifier: Arc<WebPkiServerVerifier>,
}

/// What is shown to whoever connects now.
#[derive(Debug)]
struct Shown(RwLock<Arc<CertifiedKey>>);

impl ListenerTls {
    /// Reads the certificate chain and its key.
    ///
    /// # Errors
    /// [`TlsError`] if one of them cannot be read or used, or they do not belong together.
    pub fn load(cert: &Path, key: &Path) -> Result<Self, TlsError> {
        let shown = Arc::new(Shown(RwLock::new(Arc::new(certified(cert, key)?))));
        let config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(VERSIONS)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&shown) as _);
        Ok(Self { cert: cert.to_owned(), key: key.to_owned(), shown, config: Arc::new(config) })
    }

    /// For the listeners.
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }

    /// What parties of the same process need to reach a listener at `ip`: the certificate itself
    /// is trusted, and the authorities in `ca`. That they will believe it is checked here, so that
    /// a wrong one is told at the start and not by parties which stay away.
    ///
    /// # Errors
    /// [`TlsError::OwnParties`] if they would not; others if `ca` cannot be used.
    pub fn own_trust(&self, ip: IpAddr, ca: Option<&Path>) -> Result<OwnTrust, TlsError> {
        let certified = self.shown.now();
        let mut roots = match ca {
            Some(path) => trusting(path)?,
            None => RootCertStore::empty(),
        };
        for certificate in &certified.cert {
            roots.add(certificate.clone()).map_err(|source| self.unusable(source))?;
        }
        let roots = Arc::new(roots);
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots), provider())
            .build()
            .map_err(|error| self.distrusted(error.to_string()))?;
        let config = client_trusting(roots)?;
        let mut reason = "it names no host".to_owned();
        for (host, name) in self.names(&certified, ip)? {
            match believes(&verifier, &certified.cert, &name) {
                Ok(()) => return Ok(OwnTrust { name, host, config, verifier }),
                Err(error) => reason = error.to_string(),
            }
        }
        Err(self.distrusted(reason))
    }

    /// Reads the files again; connections that are made from now on are shown what is in them.
    ///
    /// # Errors
    /// [`TlsError`] as at the start, also if the node's own parties, who have `trust`, would not
    /// believe the new certificate. The old one stays then.
    pub fn renew(&self, trust: Option<&OwnTrust>) -> Result<(), TlsError> {
        let renewed = certified(&self.cert, &self.key)?;
        if let Some(OwnTrust { name, verifier, .. }) = trust {
            believes(verifier, &renewed.cert, name)
                .map_err(|error| self.distrusted(error.to_string()))?;
        }
        self.shown.replace(renewed);
        Ok(())
    }

    /// The hosts that the certificate may be for, as they stand in URLs and in TLS: its names, and
    /// the address that is listened at.
    fn names(
        &self,
        certified: &CertifiedKey,
        ip: IpAddr,
    ) -> Result<Vec<(String, ServerName<'static>)>, TlsError> {
        let own = certified.end_entity_cert().map_err(|source| self.unusable(source))?;
        let parsed = webpki::EndEntityCert::try_from(own)
            .map_err(|error| self.distrusted(error.to_string()))?;
        let mut names: Vec<_> = parsed
            .valid_dns_names()
            .map(|name| match name.strip_prefix('*') {
                Some(parent) => format!("{ANY_LABEL}{parent}"),
                None => name.to_owned(),
            })
            .filter_map(|host| Some((host.clone(), ServerName::try_from(host).ok()?)))
            .collect();
        // The WebSocket client cannot check an IPv6 address against a certificate.
        if ip.is_ipv4() {
            names.push((ip.to_string(), ServerName::from(ip)));
        }
        Ok(names)
    }

    fn unusable(&self, source: rustls::Error) -> TlsError {
        TlsError::Unusable { path: self.cert.clone(), source }
    }

    fn distrusted(&self, reason: String) -> TlsError {
        TlsError::OwnParties { cert: self.cert.clone(), reason }
    }
}

fn believes(
    verifier: &WebPkiServerVerifier,
    chain: &[CertificateDer<'static>],
    name: &ServerName<'static>,
) -> Result<(), rustls::Error> {
    let (own, rest) = chain.split_first().ok_or(rustls::Error::NoCertificatesPresented)?;
    verifier.verify_server_cert(own, rest, name, &[], UnixTime::now()).map(drop)
}

fn certified(cert: &Path, key: &Path) -> Result<CertifiedKey, TlsError> {
    let chain = pem::certificates(cert)?;
    let signer = any_supported_type(pem::key(key)?.der())
        .map_err(|source| TlsError::Unusable { path: key.to_owned(), source })?;
    let certified = CertifiedKey::new(chain, signer);
    match certified.keys_match() {
        Ok(()) => Ok(certified),
        Err(rustls::Error::InconsistentKeys(_)) => {
            Err(TlsError::KeyMismatch { cert: cert.to_owned(), key: key.to_owned() })
        }
        Err(source) => Err(TlsError::Unusable { path: cert.to_owned(), source }),
    }
}

impl Shown {
    // Under this lock one pointer is copied: a panic cannot leave half of one.
    fn now(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn replace(&self, renewed: CertifiedKey) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(renewed);
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.now())
    }
}
