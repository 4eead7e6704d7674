//! What the vault keeps sealed of the ledger: how many rows there are, and what they add up to.
//!
//! The sum is the exclusive or of a MAC of each row, under a key that lies nowhere but beside it (a
//! set hash: MSet-XOR-Hash of Clarke, Devadas, van Dijk, Gassend and Suh, ASIACRYPT 2003). A row
//! goes in or out for the price of its own MAC, so that neither an admission nor a deletion has to
//! read the others. Whoever lacks the master key knows neither a MAC nor the sum: another set of
//! rows fits with a probability of 2⁻²⁵⁶, whatever it is made of. A request has one row, so no two
//! cancel each other out.

use super::rows::Model;
use crate::vault::{Kind, VaultError, VaultTransaction, secret_bytes};
use hmac::{Hmac, KeyInit, Mac};
use mpc_engine::SecretBytes;
use mpc_wire::Epoch;
use mpc_wire::canonical::Canonical;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::Zeroizing;

/// Bytes of the key: as many as a MAC has.
const KEY_BYTES: usize = 32;

/// Bytes of a block of SHA-256, to which HMAC fills its key up with zeros (RFC 2104).
const BLOCK_BYTES: usize = 64;

/// The tally of the rows. Never formatted.
#[derive(Serialize, Deserialize)]
pub(super) struct Tally {
    #[serde(with = "secret_bytes")]
    key: SecretBytes,
    rows: u64,
    #[serde(with = "serde_bytes")]
    sum: [u8; 32],
}

impl Tally {
    /// The tally as it is sealed; that of no rows where none was ever sealed.
    pub(super) async fn read(transaction: &mut VaultTransaction) -> Result<Self, VaultError> {
        match transaction.read(Kind::Ledger, "", Epoch(0)).await? {
            Some(tally) => Ok(tally),
            None => Self::new(),
        }
    }

    /// Seals the tally with the transaction that changes the rows.
    pub(super) async fn write(&self, transaction: &mut VaultTransaction) -> Result<(), VaultError> {
        transaction.put(Kind::Ledger, "", Epoch(0), self).await
    }

    fn new() -> Result<Self, VaultError> {
        let mut key = vec![0; KEY_BYTES];
        getrandom::fill(&mut key).map_err(|_| VaultError::NoRandomness)?;
        Ok(Self { key: SecretBytes::new(key), rows: 0, sum: [0; 32] })
    }

    /// The tally of no rows under the same key, to add up what is found.
    pub(super) fn emptied(&self) -> Self {
        Self { key: self.key.clone(), rows: 0, sum: [0; 32] }
    }

    /// Takes a row in.
    pub(super) fn enter(&mut self, row: &Model) {
        self.rows = self.rows.saturating_add(1);
        self.add(row);
    }

    /// Takes a row out, which is the same sum.
    pub(super) fn strike(&mut self, row: &Model) {
        self.rows = self.rows.saturating_sub(1);
        self.add(row);
    }

    /// How many rows there are.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// Whether both are of the same rows.
    pub(super) fn is_of_the_same(&self, other: &Self) -> bool {
        self.rows == other.rows && self.sum == other.sum
    }

    fn add(&mut self, row: &Model) {
        let mac: [u8; 32] =
            self.mac().chain_update(row.canonical_bytes()).finalize().into_bytes().into();
        for (sum, byte) in self.sum.iter_mut().zip(mac) {
            *sum ^= byte;
        }
    }

    fn mac(&self) -> Hmac<Sha256> {
        let mut block = Zeroizing::new([0; BLOCK_BYTES]);
        for (to, from) in block.iter_mut().zip(self.key.expose()) {
            *to = *from;
        }
        let block: &[u8; BLOCK_BYTES] = &block;
        Hmac::new(block.into())
    }
}
