//! The master key of a vault: where it comes from and what proves that it is the right one.

use super::VaultError;
use super::sealed::{Aad, Sealer};
use mpc_wire::PartyId;
use mpc_wire::canonical::{Canonical, CanonicalWriter};
use std::fmt;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// What the key-check value decrypts to under the right key.
const CHECK_TEXT: &[u8] = b"mpc.v1 key check";

/// Where the master key comes from.
#[derive(Clone)]
pub enum KeySource {
    /// 64 hexadecimal digits, as `CRYPTO_MASTER_KEY` gives them.
    Hex(Zeroizing<String>),
    /// A file with 64 hexadecimal digits that nobody but its owner can read; made if missing.
    File(PathBuf),
}

impl fmt::Debug for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hex(_) => f.write_str("KeySource::Hex(redacted)"),
            Self::File(path) => write!(f, "KeySource::File({})", path.display()),
        }
    }
}

/// The master key (KEK). Zeroizes on drop.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub(super) struct Kek([u8; 32]);

impl Kek {
    /// Loads the key. A key file is made only for a vault that is new: an old one needs its own.
    pub(super) fn load(source: &KeySource, is_new_vault: bool) -> Result<Self, VaultError> {
        match source {
            KeySource::Hex(text) => Self::parse(text),
            KeySource::File(path) => {
                if !path.exists() {
                    if !is_new_vault {
                        return Err(VaultError::KeyFileMissing { path: path.clone() });
                    }
                    make_key_file(path)?;
                }
                Self::parse(&read_key_file(path)?)
            }
        }
    }

    fn parse(text: &str) -> Result<Self, VaultError> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text.trim(), &mut bytes).map_err(|_| VaultError::KeyForm)?;
        Ok(Self(bytes))
    }

    pub(super) fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// A name for the key that says nothing about it.
    pub(super) fn id(&self) -> String {
        hex::encode(&KeyName(&self.0).canonical_hash()[..8])
    }

    pub(super) fn check_value(&self, party: PartyId) -> Result<Vec<u8>, VaultError> {
        Sealer::new(&self.0).seal(&check_aad(party, &self.id()), CHECK_TEXT)
    }

    /// Refuses if this is not the key that made the check value.
    pub(super) fn verify_check(&self, party: PartyId, check: &[u8]) -> Result<(), VaultError> {
        match Sealer::new(&self.0).open(&check_aad(party, &self.id()), check) {
            Ok(text) if *text == CHECK_TEXT => Ok(()),
            Ok(_) | Err(_) => Err(VaultError::WrongKey),
        }
    }
}

/// Canonical domain `mpc.v1/key-name`: the key's bytes.
struct KeyName<'a>(&'a [u8; 32]);

impl Canonical for KeyName<'_> {
    const DOMAIN: &'static str = "mpc.v1/key-name";

    fn write_fields(&self, out: &mut CanonicalWriter) {
        out.fixed(self.0);
    }
}

fn check_aad(party: PartyId, key_id: &str) -> Vec<u8> {
    Aad { party, kind: "key-check", name: "", epoch: 0, key_id }.canonical_bytes()
}

fn make_key_file(path: &Path) -> Result<(), VaultError> {
    let failed = |source| VaultError::KeyFile { path: path.to_owned(), source };
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(bytes.as_mut_slice()).map_err(|error| failed(error.into()))?;
    let text = Zeroizing::new(hex::encode(bytes.as_slice()));
    // Written aside and renamed: a crash leaves either no key file or a whole one.
    let draft = path.with_extension("draft");
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)
        .map_err(failed)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
    std::fs::rename(&draft, path).map_err(failed)
}

fn read_key_file(path: &Path) -> Result<Zeroizing<String>, VaultError> {
    let failed = |source| VaultError::KeyFile { path: path.to_owned(), source };
    let mode = std::fs::metadata(path).map_err(failed)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(VaultError::KeyFileOpen { path: path.to_owned(), mode: mode & 0o777 });
    }
    std::fs::read_to_string(path).map(Zeroizing::new).map_err(failed)
}
