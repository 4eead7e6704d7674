//! A requester's own key, and its signature under a sign request.

use crate::api::Authorization;
use ed25519_dalek::Signer as _;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey, EncodePublicKey, KeypairBytes};
use mpc_wire::canonical::Canonical;
use mpc_wire::{
    AccountId, DerivationPath, Payload, PublicKey, RequestId, RequesterName, SigningRequest,
    UnixMillis,
};
use p256::ecdsa::Signature as P256Signature;
use std::fmt;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Largest key file, in bytes: a PEM of either kind takes less than 300.
const MAX_KEY_FILE: u64 = 4096;

/// The algorithms by which requesters sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// Ed25519 (RFC 8032).
    Ed25519,
    /// ECDSA over P-256 with SHA-256.
    P256,
}

/// Why a requester's key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RequesterKeyError {
    /// The file cannot be read or made.
    #[error("cannot use the requester's key {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// Others than the owner can read it.
    #[error("the requester's key {path} has mode {mode:o}; make it 0600: chmod 600 {path}")]
    Open {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It belongs to somebody else.
    #[error("the requester's key {path} belongs to another user (uid {owner}): chown it")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Whom it belongs to.
        owner: u32,
    },
    /// It is no key, or none of these algorithms.
    #[error(
        "{path} holds no Ed25519 or P-256 key in PKCS#8 (BEGIN PRIVATE KEY); make one with \
         `mpc requester keygen`, or turn another form into it with `openssl pkcs8 -topk8 -nocrypt`"
    )]
    Form {
        /// The file.
        path: PathBuf,
    },
    /// The operating system gives no randomness.
    #[error("the operating system gives no randomness")]
    NoRandomness,
    /// The key cannot be written down.
    #[error("the key cannot be encoded")]
    Encode,
}

/// A requester's private key. Zeroizes on drop and is never formatted.
pub struct RequesterKey(Inner);

enum Inner {
    Ed25519(ed25519_dalek::SigningKey),
    P256(p256::ecdsa::SigningKey),
}

impl fmt::Debug for RequesterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequesterKey({:?}, redacted)", self.algorithm())
    }
}

/// What a requester asks to have signed.
#[derive(Debug, Clone)]
pub struct Wanted<'a> {
    /// By which name the parties know the requester.
    pub requester: &'a RequesterName,
    /// The requester's name for its request.
    pub request: RequestId,
    /// When the requester's word loses its force.
    pub expires_at: UnixMillis,
    /// The account.
    pub account: AccountId,
    /// The account's public key.
    pub public_key: &'a PublicKey,
    /// The derivation of the key that signs.
    pub path: &'a DerivationPath,
    /// What is signed.
    pub payload: &'a Payload,
}

impl RequesterKey {
    /// Draws a key from the operating system's randomness.
    ///
    /// # Errors
    /// [`RequesterKeyError::NoRandomness`].
    pub fn generate(algorithm: Algorithm) -> Result<Self, RequesterKeyError> {
        loop {
            let mut seed = Zeroizing::new([0; 32]);
            getrandom::fill(seed.as_mut_slice()).map_err(|_| RequesterKeyError::NoRandomness)?;
            let key = match algorithm {
                Algorithm::Ed25519 => {
                    Some(Inner::Ed25519(ed25519_dalek::SigningKey::from_bytes(&seed)))
                }
                // One in 2^32 draws is no scalar of the curve.
                Algorithm::P256 => {
                    p256::ecdsa::SigningKey::from_slice(seed.as_slice()).ok().map(Inner::P256)
                }
            };
            if let Some(key) = key {
                return Ok(Self(key));
            }
        }
    }

    /// Reads the key from a file that nobody but its owner can read: PEM of PKCS#8.
    ///
    /// # Errors
    /// [`RequesterKeyError`].
    pub fn read(path: &Path) -> Result<Self, RequesterKeyError> {
        let failed = |source| RequesterKeyError::File { path: path.to_owned(), source };
        let file = std::fs::File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        let mode = metadata.mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(RequesterKeyError::Open { path: path.to_owned(), mode });
        }
        let owner = metadata.uid();
        if owner != rustix::process::geteuid().as_raw() {
            return Err(RequesterKeyError::Foreign { path: path.to_owned(), owner });
        }
        let mut pem = Zeroizing::new(String::with_capacity(MAX_KEY_FILE as usize));
        file.take(MAX_KEY_FILE).read_to_string(&mut pem).map_err(failed)?;
        Self::from_pem(&pem).ok_or_else(|| RequesterKeyError::Form { path: path.to_owned() })
    }

    /// The key that a PEM of PKCS#8 holds, if it is of one of the algorithms.
    pub fn from_pem(pem: &str) -> Option<Self> {
        let pem = pem.trim();
        let ed25519 = ed25519_dalek::SigningKey::from_pkcs8_pem(pem).ok().map(Inner::Ed25519);
        ed25519
            .or_else(|| p256::ecdsa::SigningKey::from_pkcs8_pem(pem).ok().map(Inner::P256))
            .map(Self)
    }

    /// Writes the key into a new file for its owner only.
    ///
    /// # Errors
    /// [`RequesterKeyError::File`] if there is such a file, or none can be made.
    pub fn write(&self, path: &Path) -> Result<(), RequesterKeyError> {
        let failed = |source| RequesterKeyError::File { path: path.to_owned(), source };
        let pem = self.to_pem()?;
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(failed)?;
        file.write_all(pem.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)
    }

    fn to_pem(&self) -> Result<Zeroizing<String>, RequesterKeyError> {
        match &self.0 {
            // Without the public key beside it: OpenSSL reads only that form (RFC 5958's version 0).
            Inner::Ed25519(key) => {
                let seed = KeypairBytes { secret_key: key.to_bytes(), public_key: None };
                seed.to_pkcs8_pem(LineEnding::LF)
            }
            Inner::P256(key) => key.to_pkcs8_pem(LineEnding::LF),
        }
        .map_err(|_| RequesterKeyError::Encode)
    }

    /// The public key as PEM, for a party's policy file.
    ///
    /// # Errors
    /// [`RequesterKeyError::Encode`].
    pub fn public_pem(&self) -> Result<String, RequesterKeyError> {
        match &self.0 {
            Inner::Ed25519(key) => key.verifying_key().to_public_key_pem(LineEnding::LF),
            Inner::P256(key) => key.verifying_key().to_public_key_pem(LineEnding::LF),
        }
        .map_err(|_| RequesterKeyError::Encode)
    }

    /// By which algorithm the key signs.
    pub const fn algorithm(&self) -> Algorithm {
        match &self.0 {
            Inner::Ed25519(_) => Algorithm::Ed25519,
            Inner::P256(_) => Algorithm::P256,
        }
    }

    /// Signs a request.
    pub fn authorize(&self, wanted: &Wanted<'_>) -> Authorization {
        let Wanted { requester, request, expires_at, account, public_key, path, payload } = *wanted;
        let request =
            SigningRequest { requester, request, expires_at, account, public_key, path, payload };
        let signature = self.sign(&request.canonical_bytes());
        Authorization {
            requester: requester.clone(),
            expires_at,
            signature: hex::encode(signature),
        }
    }

    fn sign(&self, bytes: &[u8]) -> [u8; 64] {
        match &self.0 {
            Inner::Ed25519(key) => key.sign(bytes).to_bytes(),
            Inner::P256(key) => {
                let signature: P256Signature = key.sign(bytes);
                signature.to_bytes().into()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const BOTH: [Algorithm; 2] = [Algorithm::Ed25519, Algorithm::P256];

    #[test]
    fn a_key_is_written_once_for_its_owner_and_read_again() {
        let folder = tempfile::tempdir().unwrap();
        for algorithm in BOTH {
            let path = folder.path().join(format!("{algorithm:?}.pem"));
            let key = RequesterKey::generate(algorithm).unwrap();
            key.write(&path).unwrap();
            assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
            let again = RequesterKey::read(&path).unwrap();
            assert_eq!(again.algorithm(), algorithm);
            assert_eq!(again.public_pem().unwrap(), key.public_pem().unwrap());
            assert_eq!(again.sign(b"x"), key.sign(b"x"));
            assert!(matches!(key.write(&path), Err(RequesterKeyError::File { .. })));

            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
            let error = RequesterKey::read(&path).unwrap_err().to_string();
            assert!(error.contains("chmod 600"), "{error}");
        }
    }

    /// Who has no `openssl` here cannot be told anything by this test; in CI it must be there.
    #[test]
    fn openssl_reads_what_is_written_and_makes_what_is_read() {
        let openssl = |args: &[&str]| std::process::Command::new("openssl").args(args).output();
        if openssl(&["version"]).is_err() {
            assert!(std::env::var_os("CI").is_none(), "openssl is missing");
            eprintln!("SKIPPED: there is no openssl here");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        for algorithm in BOTH {
            let ours = path(&format!("ours-{algorithm:?}.pem"));
            let key = RequesterKey::generate(algorithm).unwrap();
            key.write(Path::new(&ours)).unwrap();
            let public = openssl(&["pkey", "-in", &ours, "-pubout"]).unwrap();
            assert_eq!(String::from_utf8(public.stdout).unwrap(), key.public_pem().unwrap());

            let theirs = path(&format!("theirs-{algorithm:?}.pem"));
            let made = match algorithm {
                Algorithm::Ed25519 => {
                    openssl(&["genpkey", "-algorithm", "ed25519", "-out", &theirs])
                }
                Algorithm::P256 => openssl(&[
                    "genpkey",
                    "-algorithm",
                    "EC",
                    "-pkeyopt",
                    "ec_paramgen_curve:P-256",
                    "-out",
                    &theirs,
                ]),
            };
            assert!(made.unwrap().status.success());
            std::fs::set_permissions(&theirs, PermissionsExt::from_mode(0o600)).unwrap();
            assert_eq!(RequesterKey::read(Path::new(&theirs)).unwrap().algorithm(), algorithm);
        }
    }

    #[test]
    fn what_is_no_key_is_refused_and_no_key_is_formatted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        for text in ["", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
            let refused = RequesterKey::read(&path);
            assert!(matches!(refused, Err(RequesterKeyError::Form { .. })), "{refused:?}");
        }
        for algorithm in BOTH {
            let key = RequesterKey::generate(algorithm).unwrap();
            assert_eq!(format!("{key:?}"), format!("RequesterKey({algorithm:?}, redacted)"));
        }
    }
}
