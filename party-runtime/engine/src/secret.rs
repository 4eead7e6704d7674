//! Secret bytes at rest in memory.

use std::fmt;
use zeroize::Zeroizing;

/// Serialized secret material: zeroized on drop, never formatted.
#[derive(Clone)]
pub struct SecretBytes(Zeroizing<Vec<u8>>);

impl SecretBytes {
    /// Takes over the bytes.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes, to be stored sealed.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretBytes({} bytes, redacted)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_says_only_the_length() {
        let secret = SecretBytes::new(vec![0xab; 32]);
        assert_eq!(format!("{secret:?}"), "SecretBytes(32 bytes, redacted)");
        assert_eq!(format!("{secret:#?}"), "SecretBytes(32 bytes, redacted)");
    }
}
