//! The master key (KEK) and its name.

use super::VaultError;
use super::private_file;
use super::sealed::Sealer;
use mpc_wire::canonical::{Canonical, CanonicalWriter};
use serde::Serialize;
use std::fmt;
use std::path::Path;
use zeroize::Zeroizing;

/// The name of a master key: a truncated hash, which says nothing about the key.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct KeyId(String);

impl KeyId {
    /// A name as a row has it.
    pub(super) fn stored(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Its 16 hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({})", self.0)
    }
}

/// A master key. Zeroizes on drop and is never formatted.
#[derive(Clone)]
pub struct Kek {
    /// Boxed, so that moving the value leaves no copies behind.
    bytes: Box<Zeroizing<[u8; 32]>>,
    id: KeyId,
}

impl fmt::Debug for Kek {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kek({}, redacted)", self.id)
    }
}

impl Kek {
    /// Takes over the bytes of a key.
    pub fn new(bytes: &Zeroizing<[u8; 32]>) -> Self {
        let id = KeyId(hex::encode(&KeyName(bytes).canonical_hash()[..8]));
        let mut boxed = Box::new(Zeroizing::new([0; 32]));
        boxed.copy_from_slice(bytes.as_slice());
        Self { bytes: boxed, id }
    }

    /// A new key from the operating system's randomness.
    ///
    /// # Errors
    /// [`VaultError::NoRandomness`].
    pub fn generate() -> Result<Self, VaultError> {
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(bytes.as_mut_slice()).map_err(|_| VaultError::NoRandomness)?;
        Ok(Self::new(&bytes))
    }

    /// The key that 64 hexadecimal digits stand for; white space around them is ignored.
    ///
    /// # Errors
    /// [`VaultError::KeyForm`].
    pub fn from_hex(text: &str) -> Result<Self, VaultError> {
        let mut bytes = Zeroizing::new([0; 32]);
        hex::decode_to_slice(text.trim(), bytes.as_mut_slice()).map_err(|_| VaultError::KeyForm)?;
        Ok(Self::new(&bytes))
    }

    /// Writes the key to a file that is not there yet, for its owner only.
    ///
    /// # Errors
    /// [`VaultError::KeyFileExists`] if the file is there; else if it cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), VaultError> {
        if path.exists() {
            return Err(VaultError::KeyFileExists { path: path.to_owned() });
        }
        private_file::write(path, self.to_hex().as_bytes())
    }

    /// The key as 64 hexadecimal digits, for its file.
    pub(super) fn to_hex(&self) -> Zeroizing<String> {
        Zeroizing::new(hex::encode(self.expose()))
    }

    /// The key's bytes.
    pub(super) fn expose(&self) -> &[u8; 32] {
        &self.bytes
    }

    /// The key's name.
    pub fn id(&self) -> &KeyId {
        &self.id
    }

    pub(super) fn sealer(&self) -> Sealer {
        Sealer::new(&self.bytes)
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

/// The keys that open the vault's records now.
#[derive(Debug)]
pub(super) struct Keyring {
    /// What everything new is sealed with.
    pub(super) current: Kek,
    /// The key before, as long as a rotation has not re-wrapped everything.
    pub(super) previous: Option<Kek>,
}

impl Keyring {
    /// The key of this name.
    pub(super) fn named(&self, id: &str) -> Option<&Kek> {
        [Some(&self.current), self.previous.as_ref()]
            .into_iter()
            .flatten()
            .find(|key| key.id.as_str() == id)
    }
}
