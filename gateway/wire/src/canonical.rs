//! Canonical bytes: the one encoding that is hashed or signed.
//!
//! Requesters sign these bytes from other languages, so the encoding is small enough to be written
//! again in an hour:
//!
//! - a value starts with its domain: one byte of length, then the ASCII text, such as
//!   `mpc.v1/intent`;
//! - fields follow in their documented order, with nothing between them;
//! - integers are big-endian and as wide as their type;
//! - ids and keys of fixed length are their raw bytes;
//! - byte strings and UTF-8 texts are a `u32` of length, then the bytes;
//! - lists and sets are a `u32` of count, then the items; sets are sorted by their bytes;
//! - an optional field is one byte, 0 or 1, then the value if 1;
//! - an enum is one byte of tag, then the fields of its variant.
//!
//! `vectors/canonical.json` holds test vectors.

use sha2::{Digest, Sha256};

/// A value that has canonical bytes.
pub trait Canonical {
    /// The domain tag, unique to the type and version.
    const DOMAIN: &'static str;

    /// Writes the fields in their documented order.
    fn write_fields(&self, out: &mut CanonicalWriter);

    /// The canonical bytes: domain, then fields.
    fn canonical_bytes(&self) -> Vec<u8> {
        let mut out = CanonicalWriter::for_domain(Self::DOMAIN);
        self.write_fields(&mut out);
        out.bytes
    }

    /// SHA-256 of the canonical bytes.
    fn canonical_hash(&self) -> [u8; 32] {
        Sha256::digest(self.canonical_bytes()).into()
    }
}

/// Collects canonical bytes.
#[derive(Debug)]
pub struct CanonicalWriter {
    bytes: Vec<u8>,
}

impl CanonicalWriter {
    fn for_domain(domain: &'static str) -> Self {
        let mut out = Self { bytes: Vec::with_capacity(256) };
        // Domains are short constants of this crate: the cast cannot truncate.
        debug_assert!(domain.len() < 256);
        out.u8(domain.len() as u8).fixed(domain.as_bytes());
        out
    }

    /// One byte.
    pub fn u8(&mut self, value: u8) -> &mut Self {
        self.bytes.push(value);
        self
    }

    /// Two bytes, big-endian.
    pub fn u16(&mut self, value: u16) -> &mut Self {
        self.fixed(&value.to_be_bytes())
    }

    /// Four bytes, big-endian.
    pub fn u32(&mut self, value: u32) -> &mut Self {
        self.fixed(&value.to_be_bytes())
    }

    /// Eight bytes, big-endian.
    pub fn u64(&mut self, value: u64) -> &mut Self {
        self.fixed(&value.to_be_bytes())
    }

    /// Bytes whose length the format fixes: no prefix.
    pub fn fixed(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// Bytes of any length: a `u32` of length, then the bytes.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.count(bytes.len()).fixed(bytes)
    }

    /// A UTF-8 text, as [`Self::bytes`].
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    /// A list: a `u32` of count, then each item as `write` writes it.
    pub fn list<T>(
        &mut self,
        items: impl ExactSizeIterator<Item = T>,
        mut write: impl FnMut(&mut Self, T),
    ) -> &mut Self {
        self.count(items.len());
        items.for_each(|item| write(self, item));
        self
    }

    /// An optional field: a byte 0 or 1, then the value as `write` writes it.
    pub fn option<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) -> &mut Self {
        self.u8(u8::from(value.is_some()));
        if let Some(value) = value {
            write(self, value);
        }
        self
    }

    /// The hash of the domain and of all that was written.
    pub(crate) fn hash(domain: &'static str, write: impl FnOnce(&mut Self)) -> [u8; 32] {
        let mut out = Self::for_domain(domain);
        write(&mut out);
        Sha256::digest(out.bytes).into()
    }

    // Everything that reaches here came through a frame of at most MAX_FRAME bytes or was built
    // in memory from such; saturating keeps an impossible length from wrapping into a small one.
    fn count(&mut self, len: usize) -> &mut Self {
        self.u32(u32::try_from(len).unwrap_or(u32::MAX))
    }
}
