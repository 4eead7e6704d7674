//! Which key below an account's key signs.

use crate::canonical::CanonicalWriter;
use crate::limits::MAX_PATH;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Indices from here on are hardened (BIP 32), which needs the private key and so cannot be done.
const HARDENED: u32 = 1 << 31;

/// A derivation path below an account's key: non-hardened child numbers (BIP 32). The empty path,
/// `m` as text, is the account's key itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<u32>", into = "Vec<u32>")]
pub struct DerivationPath(Vec<u32>);

/// A path that cannot be derived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a derivation path: give `m` or at most {MAX_PATH} numbers below 2^31 as in `m/0/7`; \
     hardened derivation needs a private key, and there is none"
)]
pub struct InvalidPath;

impl DerivationPath {
    /// The child numbers, from the account's key down.
    pub fn as_slice(&self) -> &[u32] {
        &self.0
    }

    /// Whether this is the account's key itself.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn write(&self, out: &mut CanonicalWriter) {
        out.list(self.0.iter(), |out, number| {
            out.u32(*number);
        });
    }
}

impl TryFrom<Vec<u32>> for DerivationPath {
    type Error = InvalidPath;

    fn try_from(numbers: Vec<u32>) -> Result<Self, InvalidPath> {
        let is_fine = numbers.len() <= MAX_PATH && numbers.iter().all(|n| *n < HARDENED);
        if is_fine { Ok(Self(numbers)) } else { Err(InvalidPath) }
    }
}

impl From<DerivationPath> for Vec<u32> {
    fn from(path: DerivationPath) -> Self {
        path.0
    }
}

impl FromStr for DerivationPath {
    type Err = InvalidPath;

    fn from_str(text: &str) -> Result<Self, InvalidPath> {
        let mut parts = text.split('/');
        if parts.next() != Some("m") {
            return Err(InvalidPath);
        }
        let numbers: Result<Vec<u32>, _> = parts.map(str::parse).collect();
        Self::try_from(numbers.map_err(|_| InvalidPath)?)
    }
}

impl fmt::Display for DerivationPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("m")?;
        self.0.iter().try_for_each(|number| write!(f, "/{number}"))
    }
}
