//! AES-256-GCM with a random 96-bit nonce in front, and what is authenticated beside it.

use super::VaultError;
use super::kek::KeyId;
use super::records::Place;
use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Key, Nonce};
use mpc_wire::PartyId;
use mpc_wire::canonical::{Canonical, CanonicalWriter};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// Version of the vault's format, authenticated with everything that is sealed.
pub(super) const FORMAT_VERSION: u8 = 2;

/// Length of an AES-GCM nonce (NIST SP 800-38D, 8.2).
const NONCE_LEN: usize = 12;

/// The name of a data key: random, and new with every write of a record. It says which write a
/// record stems from, so that the manifest can pin the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DataKeyId(#[serde(with = "serde_bytes")] [u8; 16]);

impl DataKeyId {
    pub(super) fn generate() -> Result<Self, VaultError> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(|_| VaultError::NoRandomness)?;
        Ok(Self(bytes))
    }

    /// The id that a row carries, if it has the form of one.
    pub(super) fn from_row(bytes: Option<&[u8]>) -> Option<Self> {
        bytes?.try_into().map(Self).ok()
    }

    pub(super) fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// What binds a sealed record to its place and to its one data key, so that rows cannot be swapped,
/// renamed, brought back under another epoch or put together from several. Canonical domain
/// `mpc.v1/record`: party, kind, name, epoch, format version, data key id.
///
/// The master key's id is not part of it: a rotation leaves the record as it is.
#[derive(Debug)]
pub(super) struct RecordAad<'a> {
    pub(super) party: PartyId,
    pub(super) place: &'a Place,
    pub(super) data_key: DataKeyId,
}

impl Canonical for RecordAad<'_> {
    const DOMAIN: &'static str = "mpc.v1/record";

    fn write_fields(&self, out: &mut CanonicalWriter) {
        out.fixed(self.party.as_bytes())
            .text(self.place.kind())
            .text(self.place.name())
            .u32(self.place.epoch().0)
            .u8(FORMAT_VERSION)
            .fixed(self.data_key.as_bytes());
    }
}

/// What binds a wrapped data key to its record and its master key. Canonical domain
/// `mpc.v1/data-key`: the record's fields, then the master key's id.
#[derive(Debug)]
pub(super) struct DataKeyAad<'a> {
    pub(super) record: RecordAad<'a>,
    pub(super) key_id: &'a KeyId,
}

impl Canonical for DataKeyAad<'_> {
    const DOMAIN: &'static str = "mpc.v1/data-key";

    fn write_fields(&self, out: &mut CanonicalWriter) {
        self.record.write_fields(out);
        out.text(self.key_id.as_str());
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
            .map_err(|_| VaultError::TooLong)?;
        Ok([nonce.as_slice(), &ciphertext].concat())
    }

    /// The plaintext; none if anything was altered.
    pub(super) fn open(&self, aad: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, ciphertext) = sealed.split_first_chunk::<NONCE_LEN>()?;
        self.0
            .decrypt(&Nonce::from(*nonce), Payload { msg: ciphertext, aad })
            .map(Zeroizing::new)
            .ok()
    }

    /// A key that was sealed.
    pub(super) fn open_key(&self, aad: &[u8], sealed: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
        self.open(aad, sealed)?.as_slice().try_into().map(Zeroizing::new).ok()
    }
}
