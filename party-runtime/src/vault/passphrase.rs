//! A master key from a passphrase: Argon2id (RFC 9106).

use super::VaultError;
use super::kek::Kek;
use super::private_file;
use argon2::{Algorithm, Argon2, Block, Params, Version};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::Path;
use zeroize::{Zeroize, Zeroizing};

/// The least for a passphrase that a vault is made with or rotated to. Its strength is its owner's
/// affair; this keeps slips of the hand out.
const MIN_LENGTH: usize = 12;

/// Memory that a new vault's derivation takes: RFC 9106, section 4, second recommended option.
/// OWASP asks for 19 MiB with two passes at least.
const MEMORY_KIB: u32 = 64 * 1024;

/// Passes over it, of the same option.
const PASSES: u32 = 3;

/// Lanes, of the same option.
const LANES: u32 = 4;

/// The least memory that is accepted from a header: OWASP's.
const MIN_MEMORY_KIB: u32 = 19 * 1024;

/// The least passes that are accepted from a header: OWASP's.
const MIN_PASSES: u32 = 2;

/// The most memory that is accepted from a header: more would be a trap, not a parameter.
const MAX_MEMORY_KIB: u32 = 1024 * 1024;

/// The most passes, and lanes, that are accepted from a header, for the same reason.
const MAX_PASSES_AND_LANES: u32 = 64;

/// How a passphrase becomes a key: public, and kept in the vault's header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Derivation {
    algorithm: Argon2id,
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    /// 16 random bytes as hexadecimal digits.
    salt: String,
}

/// The one algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Argon2id {
    #[serde(rename = "argon2id-v19")]
    V19,
}

impl Derivation {
    /// Present parameters with a fresh salt.
    pub(super) fn generate() -> Result<Self, VaultError> {
        let mut salt = [0; 16];
        getrandom::fill(&mut salt).map_err(|_| VaultError::NoRandomness)?;
        Ok(Self {
            algorithm: Argon2id::V19,
            memory_kib: MEMORY_KIB,
            passes: PASSES,
            lanes: LANES,
            salt: hex::encode(salt),
        })
    }

    /// Reads what [`Self::to_json`] wrote.
    pub(super) fn parse(json: &str) -> Result<Self, VaultError> {
        serde_json::from_str(json).map_err(|_| VaultError::HeaderAltered)
    }

    pub(super) fn to_json(&self) -> String {
        // A struct of numbers and texts: there is nothing in it that JSON could not hold.
        serde_json::to_string(self).unwrap_or_default()
    }

    fn params(&self) -> Result<(Params, Vec<u8>), VaultError> {
        let refused = |what| Err(VaultError::Derivation(what));
        if !(MIN_MEMORY_KIB..=MAX_MEMORY_KIB).contains(&self.memory_kib) {
            return refused("memory");
        }
        if !(MIN_PASSES..=MAX_PASSES_AND_LANES).contains(&self.passes) {
            return refused("passes");
        }
        if !(1..=MAX_PASSES_AND_LANES).contains(&self.lanes) {
            return refused("lanes");
        }
        let salt = hex::decode(&self.salt).ok().filter(|salt| salt.len() == 16);
        let params = Params::new(self.memory_kib, self.passes, self.lanes, Some(32)).ok();
        match (params, salt) {
            (Some(params), Some(salt)) => Ok((params, salt)),
            (None, _) => refused("their combination"),
            (Some(_), None) => refused("salt"),
        }
    }
}

/// A passphrase. Zeroizes on drop and is never formatted.
#[derive(Clone)]
pub struct Passphrase(Zeroizing<String>);

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(redacted)")
    }
}

impl Passphrase {
    /// Takes over the text. A line end behind it is not part of it.
    pub fn new(text: Zeroizing<String>) -> Self {
        Self(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned()))
    }

    /// Reads the passphrase from a file that nobody but its owner can read.
    ///
    /// # Errors
    /// [`VaultError`] if the file cannot be read, or others can read it.
    pub fn read(path: &Path) -> Result<Self, VaultError> {
        let bytes = private_file::read(path)?;
        let text = std::str::from_utf8(&bytes).map_err(|error| VaultError::KeyFile {
            path: path.to_owned(),
            source: std::io::Error::new(std::io::ErrorKind::InvalidData, error),
        })?;
        Ok(Self::new(Zeroizing::new(text.to_owned())))
    }

    /// The passphrase, if it may begin to protect something.
    pub(super) fn long_enough(&self) -> Result<&Self, VaultError> {
        if self.0.chars().count() < MIN_LENGTH {
            return Err(VaultError::ShortPassphrase { at_least: MIN_LENGTH });
        }
        Ok(self)
    }

    /// The key that the passphrase stands for.
    pub(super) fn derive(&self, derivation: &Derivation) -> Result<Kek, VaultError> {
        let (params, salt) = derivation.params()?;
        let mut memory = vec![Block::new(); params.block_count()];
        let mut key = Zeroizing::new([0; 32]);
        let derived = Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into_with_memory(
                self.0.as_bytes(),
                &salt,
                key.as_mut_slice(),
                &mut memory,
            );
        memory.iter_mut().for_each(Zeroize::zeroize);
        match derived {
            Ok(()) => Ok(Kek::new(&key)),
            Err(_) => Err(VaultError::Derivation("their combination")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn derivation() -> Derivation {
        Derivation {
            algorithm: Argon2id::V19,
            memory_kib: MIN_MEMORY_KIB,
            passes: MIN_PASSES,
            lanes: 1,
            salt: "00112233445566778899aabbccddeeff".into(),
        }
    }

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::new(Zeroizing::new(text.to_owned()))
    }

    /// The figure is what the reference implementation says:
    /// `argon2.low_level.hash_secret_raw(b"correct horse battery", bytes.fromhex(salt), 2, 19456,
    /// 1, 32, Type.ID)` of argon2-cffi.
    #[test]
    fn the_key_is_argon2id_of_the_passphrase() {
        let key = passphrase("correct horse battery\n").derive(&derivation()).unwrap();
        assert_eq!(
            key.to_hex().as_str(),
            "13e0404edd2df4885f675ddec3d1cc0dd7244099dd26d0b93071c451d871c9a4"
        );
    }

    #[test]
    fn parameters_outside_of_what_is_sane_are_refused() {
        let good = derivation();
        let bad = [
            Derivation { memory_kib: MIN_MEMORY_KIB - 1, ..good.clone() },
            Derivation { memory_kib: MAX_MEMORY_KIB + 1, ..good.clone() },
            Derivation { passes: 1, ..good.clone() },
            Derivation { passes: u32::MAX, ..good.clone() },
            Derivation { lanes: 0, ..good.clone() },
            Derivation { lanes: 1000, ..good.clone() },
            Derivation { salt: "0011".into(), ..good.clone() },
            Derivation { salt: "no digits".into(), ..good },
        ];
        for bad in bad {
            let refused = passphrase("correct horse battery").derive(&bad);
            assert!(matches!(refused, Err(VaultError::Derivation(_))), "{bad:?}");
        }
    }

    #[test]
    fn new_parameters_are_accepted_and_survive_the_header() {
        let new = Derivation::generate().unwrap();
        assert!(new.params().is_ok());
        assert_eq!(Derivation::parse(&new.to_json()).unwrap(), new);
        assert_ne!(Derivation::generate().unwrap().salt, new.salt);
        let other = new.to_json().replace("argon2id-v19", "argon2d");
        assert!(matches!(Derivation::parse(&other), Err(VaultError::HeaderAltered)));
    }

    #[test]
    fn a_short_passphrase_begins_nothing() {
        assert!(passphrase("eleven char").long_enough().is_err());
        assert!(passphrase("twelve chars").long_enough().is_ok());
    }
}
