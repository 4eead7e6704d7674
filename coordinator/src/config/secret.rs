//! The coordinator's secret, and the keys that come from it.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;
use std::str::FromStr;
use zeroize::Zeroizing;

/// A secret of 32 bytes that lies beside the database, never in it: what is keyed with it is of no
/// use to who has the database alone. Zeroizes on drop and is never formatted.
///
/// It is never used itself, only through [`CoordinatorSecret::subkey`].
#[derive(Clone)]
pub struct CoordinatorSecret(Zeroizing<[u8; 32]>);

/// A text that is no coordinator secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the coordinator's secret must be 64 hexadecimal digits (32 random bytes)")]
pub struct NotASecret;

impl CoordinatorSecret {
    /// The key for the use that `label` names: HMAC-SHA256 of the label under the secret. Keys of
    /// different labels tell nothing about each other.
    pub fn subkey(&self, label: &str) -> Zeroizing<[u8; 32]> {
        let mut mac = keyed(&self.0);
        mac.update(label.as_bytes());
        Zeroizing::new(mac.finalize().into_bytes().into())
    }
}

/// HMAC-SHA256 under a key of 32 bytes.
pub(crate) fn keyed(key: &[u8; 32]) -> Hmac<Sha256> {
    // A key that is shorter than a block is filled up with zeros (RFC 2104): done here, there is no
    // length left that could be refused.
    let mut block = Zeroizing::new([0_u8; 64]);
    for (to, from) in block.iter_mut().zip(key) {
        *to = *from;
    }
    let block: &[u8; 64] = &block;
    Hmac::new(block.into())
}

impl From<Zeroizing<[u8; 32]>> for CoordinatorSecret {
    fn from(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }
}

impl FromStr for CoordinatorSecret {
    type Err = NotASecret;

    fn from_str(text: &str) -> Result<Self, NotASecret> {
        let mut bytes = Zeroizing::new([0; 32]);
        hex::decode_to_slice(text, bytes.as_mut_slice()).map_err(|_| NotASecret)?;
        Ok(Self(bytes))
    }
}

impl fmt::Debug for CoordinatorSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CoordinatorSecret(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subkeys_are_hmacs_of_their_labels() {
        // By `printf label | openssl dgst -sha256 -mac HMAC -macopt hexkey:0b0b…` (32 bytes).
        let secret: CoordinatorSecret = "0b".repeat(32).parse().unwrap();
        assert_eq!(hex::encode(secret.subkey("label").as_slice()), EXPECTED);
        assert_ne!(secret.subkey("label"), secret.subkey("labels"));
        let other: CoordinatorSecret = "0c".repeat(32).parse().unwrap();
        assert_ne!(secret.subkey("label"), other.subkey("label"));
    }

    const EXPECTED: &str = "fb01726762f0471b6c3ba709eea68ee1cdf0344806260502cfaf8f03b0595aa5";

    #[test]
    fn other_texts_are_refused_and_none_is_formatted() {
        for text in ["", "0b", &"0b".repeat(31), &"0b".repeat(33), &"zz".repeat(32)] {
            assert_eq!(text.parse::<CoordinatorSecret>().unwrap_err(), NotASecret);
        }
        let secret: CoordinatorSecret = "0b".repeat(32).parse().unwrap();
        assert_eq!(format!("{secret:?}"), "CoordinatorSecret(redacted)");
    }
}
