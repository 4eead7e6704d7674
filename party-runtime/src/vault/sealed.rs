//! AES-256-GCM with a random 96-bit nonce in front, and what is authenticated beside it.

use super::VaultError;
use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Key, Nonce};
use mpc_wire::PartyId;
use mpc_wire::canonical::{Canonical, CanonicalWriter};
use zeroize::Zeroizing;

/// Version of the records' format, authenticated with each.
const FORMAT_VERSION: u8 = 1;

/// Length of an AES-GCM nonce (NIST SP 800-38D, 8.2).
const NONCE_LEN: usize = 12;

/// What binds a sealed record to its place, so that rows cannot be swapped, renamed or brought
/// back under another epoch. Canonical domain `mpc.v1/record`: party, kind, name, epoch, format
/// version, key id.
#[derive(Debug)]
pub(super) struct Aad<'a> {
    pub(super) party: PartyId,
    pub(super) kind: &'a str,
    pub(super) name: &'a str,
    pub(super) epoch: u32,
    pub(super) key_id: &'a str,
}

impl Canonical for Aad<'_> {
    const DOMAIN: &'static str = "mpc.v1/record";

    fn write_fields(&self, out: &mut CanonicalWriter) {
        out.fixed(self.party.as_bytes())
            .text(self.kind)
            .text(self.name)
            .u32(self.epoch)
            .u8(FORMAT_VERSION)
            .text(self.key_id);
    }
}

/// Seals and opens under one key.
pub(super) struct Sealer(Aes256Gcm);

impl Sealer {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        Self(Aes256Gcm::new(&Key::<Aes256Gcm>::from(*key)))
    }

    /// Nonce and ciphertext, in this order.
    pub(super) fn seal(&self, aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, VaultError> {
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).map_err(|_| VaultError::NoRandomness)?;
        let ciphertext = self
            .0
            .encrypt(&Nonce::from(nonce), Payload { msg: plaintext, aad })
            .map_err(|_| VaultError::Altered)?;
        Ok([nonce.as_slice(), &ciphertext].concat())
    }

    pub(super) fn open(&self, aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let (nonce, ciphertext) =
            sealed.split_first_chunk::<NONCE_LEN>().ok_or(VaultError::Altered)?;
        self.0
            .decrypt(&Nonce::from(*nonce), Payload { msg: ciphertext, aad })
            .map(Zeroizing::new)
            .map_err(|_| VaultError::Altered)
    }
}
