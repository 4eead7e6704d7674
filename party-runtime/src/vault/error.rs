//! Why a vault, its key or a record is refused.

use super::kek::KeyId;
use super::records::Place;
use crate::epochs::EpochFault;
use crate::policy::LedgerFault;
use mpc_wire::{AccountId, Epoch};
use sea_orm::DbErr;
use std::path::PathBuf;

/// Why the vault cannot be opened, or a record not be read or written. No text holds key material:
/// keys are named by their ids, which say nothing about them.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The database did what it should not.
    #[error("the party's database failed: {0}")]
    Database(#[from] DbErr),
    /// There is no vault in this file.
    #[error(
        "there is no vault at {path}: give the party's own folder, or make a vault with \
         `mpc keys init`"
    )]
    NoVault {
        /// The file.
        path: PathBuf,
    },
    /// A vault was made here once, and its file is gone.
    #[error(
        "the vault {path} is gone, but {witness} shows that there was one: restore the vault from a \
         backup, or remove the party's folder if the party is to begin anew with another identity"
    )]
    Vanished {
        /// The file that is missing.
        path: PathBuf,
        /// The file that is there.
        witness: PathBuf,
    },
    /// A vault is to be made where there is one.
    #[error("there is a vault at {path} already")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A restoration was interrupted.
    #[error(
        "the restoration of party {party} at {path} was interrupted: restore it from the backup again"
    )]
    Interrupted {
        /// The file.
        path: PathBuf,
        /// The party's id.
        party: String,
    },
    /// The file was written by a version that sealed in another way.
    #[error(
        "the vault has format {found}; this version opens format {expected} only: begin with a new \
         party folder"
    )]
    OldFormat {
        /// The format that was found.
        found: i32,
        /// The format that this version writes.
        expected: u8,
    },
    /// The vault's file or folder cannot be used.
    #[error("cannot use {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// Others than the owner can write a file of the vault.
    #[error(
        "others can write {path} (mode {mode:o}), so nothing in it can be trusted: find out who \
         did, then chmod 600 {path}"
    )]
    Writable {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A file belongs to another user.
    #[error("{path} belongs to another user (uid {owner}): chown it to the user that runs this")]
    ForeignFile {
        /// The file.
        path: PathBuf,
        /// Whom it belongs to.
        owner: u32,
    },
    /// The key text has the wrong form.
    #[error("the master key (CRYPTO_MASTER_KEY or the key file) must be 64 hexadecimal digits")]
    KeyForm,
    /// The key file cannot be read or made.
    #[error("cannot use the key file {path}: {source}")]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// Others than the owner can read the key file.
    #[error("the key file {path} has mode {mode:o}; make it 0600: chmod 600 {path}")]
    KeyFileOpen {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A key file is to be written where there is one.
    #[error("there is a key file at {path} already: give another path, or move it away")]
    KeyFileExists {
        /// The file.
        path: PathBuf,
    },
    /// The key file is not there and must not be made.
    #[error(
        "the key file {path} is missing: bring it back or give the key in another way \
         (CRYPTO_MASTER_KEY, a passphrase, a TPM); `mpc keys init` makes one for a new party"
    )]
    KeyFileMissing {
        /// The file.
        path: PathBuf,
    },
    /// The passphrase is too short for a new key.
    #[error("the passphrase is too short: give at least {at_least} characters")]
    ShortPassphrase {
        /// The least.
        at_least: usize,
    },
    /// A passphrase was given to a vault whose key does not come from one.
    #[error("the key of this vault does not come from a passphrase, but from: {provider}")]
    NoPassphrase {
        /// Where it comes from.
        provider: super::provider::ProviderKind,
    },
    /// The passphrase's parameters in the header are outside of what is accepted.
    #[error("the vault's header asks for Argon2id parameters that are not accepted: {0}")]
    Derivation(&'static str),
    /// A provider of keys panicked.
    #[error("the source of the master key failed unexpectedly; the key is as it was")]
    Provider,
    /// A rotation to a third key, while another one has begun unheard.
    #[error(
        "another rotation has begun to key {0}: give that key again, or stop the party and start it \
         with that key"
    )]
    OtherRotation(KeyId),
    /// The key is not the one that the vault is sealed with.
    #[error(
        "wrong master key: the vault is sealed with key {expected}, the one given is {given}; if \
         the key was rotated, give the new one"
    )]
    WrongKey {
        /// The vault's key.
        expected: KeyId,
        /// The key that was given.
        given: KeyId,
    },
    /// A rotation to the key that the vault has.
    #[error("the vault is sealed with key {0} already: give another one")]
    SameKey(KeyId),
    /// A rotation met records that it cannot open.
    #[error(
        "{damaged} records cannot be opened, so the key before cannot be retired yet; the vault \
         works with its new key alone: restore or remove the records that the log names, then \
         rotate again"
    )]
    RotationBlocked {
        /// How many.
        damaged: u64,
    },
    /// The header was altered.
    #[error("the vault's header was altered: restore the vault from a backup")]
    HeaderAltered,
    /// A record was altered, moved or put together from others.
    #[error(
        "the vault's {0} was altered, or belongs to another place: restore the vault from a backup"
    )]
    Altered(Place),
    /// A record is not the one that was stored last.
    #[error(
        "the vault's {0} is not what was stored last, an older one was put back: restore the vault \
         from a backup"
    )]
    RolledBack(Place),
    /// A record that must exist does not.
    #[error("the vault's {0} was removed: restore the vault from a backup")]
    Missing(Place),
    /// A record does not have the form that this version writes.
    #[error("the vault's {0} has an unknown form")]
    Form(Place),
    /// A share is older than its account.
    #[error("a share of epoch {epoch} is not stored: account {account} has a newer epoch")]
    BelowFloor {
        /// The account.
        account: AccountId,
        /// The share's epoch.
        epoch: Epoch,
    },
    /// Something is not done with the shares of an epoch.
    #[error("account's epoch: {0}")]
    Epoch(#[from] EpochFault),
    /// The used requests are not as the party left them.
    #[error("the vault's used requests were tampered with, {0}: restore the vault from a backup")]
    Ledger(#[from] LedgerFault),
    /// A value that cannot be stored.
    #[error("cannot encode the {0} to store it")]
    Encode(Place),
    /// AES-GCM took no more.
    #[error("cannot seal: the value is too long")]
    TooLong,
    /// The operating system gives no randomness.
    #[error("the operating system gives no randomness")]
    NoRandomness,
    /// The TPM, or what it sealed, cannot be used.
    #[cfg(feature = "tpm")]
    #[error(transparent)]
    Tpm(#[from] super::tpm::TpmError),
}

impl VaultError {
    /// Whether what lies in the file is not what the party left there.
    pub(crate) fn is_damage(&self) -> bool {
        matches!(
            self,
            Self::HeaderAltered
                | Self::Altered(_)
                | Self::RolledBack(_)
                | Self::Missing(_)
                | Self::Form(_)
                | Self::Ledger(_)
        )
    }
}
