//! Secrets at rest: one SQLite file a party, every record sealed.
//!
//! Master key (KEK) → data key, random for each write of a record and wrapped by the KEK → record;
//! both by AES-256-GCM with a random nonce and the record's place as associated data. A sealed
//! manifest lists the last write of every record.
//!
//! Reading order: `records` (what is kept), `transaction` (how it is kept together), `manifest`
//! (what was swapped, removed or rolled back), `sealed`, `row_seal` and `rows` (how a row is made);
//! `identity` (the party's own keys); `provider` with `kek`, `key_file`, `passphrase` and `tpm` (where the master key comes from),
//! `header` (which key it is), `rotation` (another key); `files` and `private_file` (who can get at
//! them), `status`.

mod audit;
mod copy;
mod error;
mod files;
mod floors;
mod header;
mod identity;
mod kek;
mod key_file;
mod manifest;
mod passphrase;
pub mod private_file;
mod provider;
mod records;
mod rotation;
mod row_seal;
mod rows;
mod sealed;
mod status;
#[cfg(feature = "tpm")]
mod tpm;
mod transaction;

pub use audit::{sealed_audit_head, signed_audit_head};
pub(crate) use copy::PlainRecord;
pub use error::VaultError;
pub use identity::RotateIdentityError;
pub use kek::{Kek, KeyId};
pub use passphrase::{Derivation, Passphrase};
pub use provider::{KekProvider, KeySource, NewKey, ProviderKind, Wanted};
pub(crate) use records::secret_bytes;
pub use records::{AuxRecord, Kind, Place, ShareRecord};
pub use status::VaultStatus;
#[cfg(feature = "tpm")]
pub use tpm::{PcrSlots, TpmError, TpmKey};
pub use transaction::VaultTransaction;
#[cfg(test)]
pub(crate) use transaction::begin;

use crate::audit::notes;
use files::{Found, VaultFiles};
use header::Header;
use identity::record_of;
use kek::Keyring;
use manifest::{Changes, Manifest, compare, find, id_of, upsert};
use migrations::never_outlive_a_transaction;
use migrations::party::Migrator;
use mpc_wire::{AccountId, AuxId, Epoch, Identity, PartyId, SessionId};
use records::IdentityRecord;
use row_seal::{open_row, seal_row};
use rows::record;
use sea_orm::sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};
use sea_orm::{ConnectOptions, Database, DatabaseConnection, EntityTrait};
use sea_orm_migration::MigratorTrait;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::RwLock;

/// How long a task of this party waits for its turn at the only connection: longer than sessions
/// live. Whoever waits has busy sessions before it, and a party must not give its actors up for
/// being busy; a file that is away says so itself, within [`BUSY_TIMEOUT`].
const LONGEST_QUEUE: Duration = Duration::from_secs(2 * 3600);

/// How long a write waits for another process that holds the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// A party's vault. Clones share it.
#[derive(Clone)]
pub struct Vault {
    shared: Arc<Shared>,
}

/// What all clones of a vault share.
struct Shared {
    db: DatabaseConnection,
    party: PartyId,
    identity: Mutex<Identity>,
    /// Always locked before the connection is asked for.
    keys: Arc<RwLock<Keyring>>,
    /// The manifest as this vault has last seen it.
    manifest: Mutex<Arc<Manifest>>,
    rotating: tokio::sync::Mutex<()>,
}

impl Shared {
    fn party(&self) -> PartyId {
        self.party
    }

    fn manifest(&self) -> Arc<Manifest> {
        Arc::clone(&self.manifest.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes note of a manifest that was read or committed, unless a newer one is known.
    fn remember(&self, manifest: Arc<Manifest>) {
        let mut known = self.manifest.lock().unwrap_or_else(PoisonError::into_inner);
        if manifest.is_newer_than(&known) {
            *known = manifest;
        }
    }
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Vault of {:?} (keys redacted)", self.party())
    }
}

impl Vault {
    /// Opens the vault in the SQLite file at `path`. A rotation that was interrupted goes on.
    ///
    /// # Errors
    /// [`VaultError::NoVault`] or [`VaultError::Vanished`] if there is none,
    /// [`VaultError::WrongKey`] if it is sealed with another key; the error of the record if one
    /// that the party cannot do without was altered, rolled back or removed.
    pub async fn open(path: &Path, provider: &dyn KekProvider) -> Result<Self, VaultError> {
        find_vault(&VaultFiles::at(path))?;
        let db = connect(path).await?;
        Migrator::up(&db, None).await?;
        let Some(header) = Header::read(&db).await? else {
            return Err(VaultError::NoVault { path: path.to_owned() });
        };
        Self::open_with(db, header, provider).await
    }

    /// Makes a vault with a new identity in the SQLite file at `path`.
    ///
    /// # Errors
    /// [`VaultError::Exists`] if there is one, [`VaultError::Vanished`] if there was one.
    pub async fn create(path: &Path, provider: &dyn KekProvider) -> Result<Self, VaultError> {
        let files = VaultFiles::at(path);
        if let Some(party) = files.interrupted_restoration() {
            return Err(VaultError::Interrupted { path: path.to_owned(), party });
        }
        match files.find() {
            Found::Nothing | Found::Unfinished => {}
            Found::Vault => return Err(VaultError::Exists { path: path.to_owned() }),
            Found::Witness(witness) => {
                return Err(VaultError::Vanished { path: path.to_owned(), witness });
            }
        }
        files.begin_making()?;
        let db = connect(path).await?;
        Migrator::up(&db, None).await?;
        let vault = match Header::read(&db).await? {
            // All but the last step was done before.
            Some(header) => Self::open_with(db, header, provider).await?,
            None => Self::make(db, provider).await?,
        };
        files.finish_making(vault.party())?;
        Ok(vault)
    }

    /// Opens the vault at `path`, or makes it if there was never one.
    ///
    /// # Errors
    /// As [`Vault::open`] and [`Vault::create`]; [`VaultError::Vanished`] also if the key's file
    /// lies where the vault should be beside it.
    pub async fn open_or_create(
        path: &Path,
        provider: &dyn KekProvider,
    ) -> Result<Self, VaultError> {
        let files = VaultFiles::at(path);
        match (files.find(), files.key_witness(provider.file())) {
            (Found::Nothing, Some(witness)) => {
                Err(VaultError::Vanished { path: path.to_owned(), witness })
            }
            (Found::Nothing | Found::Unfinished, _) => Self::create(path, provider).await,
            (Found::Vault | Found::Witness(_), _) => Self::open(path, provider).await,
        }
    }

    /// The party's id.
    pub fn party(&self) -> PartyId {
        self.shared.party()
    }

    /// Stores an active share, in place of one of the same account and epoch. A share that a session
    /// made comes by [`Vault::prepare_share`] and [`Vault::activate_share`] instead.
    ///
    /// # Errors
    /// [`VaultError`] if it cannot be stored.
    pub async fn store_share(
        &self,
        account: AccountId,
        epoch: Epoch,
        share: &ShareRecord,
    ) -> Result<(), VaultError> {
        let mut transaction = self.begin().await?;
        // An old epoch's share must not come back.
        if transaction.raise_floor(account, epoch).await? > epoch {
            return Err(VaultError::BelowFloor { account, epoch });
        }
        transaction.put(Kind::Share, &account.to_string(), epoch, share).await?;
        transaction.enter(notes::share_stored(account, epoch, share.session));
        transaction.commit().await
    }

    /// Reads an active share.
    ///
    /// # Errors
    /// [`VaultError`] if it cannot be read.
    pub async fn share(
        &self,
        account: AccountId,
        epoch: Epoch,
    ) -> Result<Option<ShareRecord>, VaultError> {
        self.read_record(Kind::Share, &account.to_string(), epoch).await
    }

    /// Stores an aux set.
    ///
    /// # Errors
    /// [`VaultError`] if it cannot be stored.
    pub async fn store_aux(&self, aux: AuxId, record: &AuxRecord) -> Result<(), VaultError> {
        let mut transaction = self.begin().await?;
        transaction.put(Kind::Aux, &aux.to_string(), Epoch(0), record).await?;
        transaction.enter(notes::aux_stored(aux));
        transaction.commit().await
    }

    /// Reads an aux set.
    ///
    /// # Errors
    /// [`VaultError`] if it cannot be read.
    pub async fn aux(&self, aux: AuxId) -> Result<Option<AuxRecord>, VaultError> {
        self.read_record(Kind::Aux, &aux.to_string(), Epoch(0)).await
    }

    /// Stores and deletes session records, all of them or none.
    ///
    /// # Errors
    /// [`VaultError`] if they cannot be stored.
    pub async fn store_sessions(
        &self,
        records: &[mpc_pending::Record],
        forgotten: &[SessionId],
    ) -> Result<(), VaultError> {
        let mut transaction = self.begin().await?;
        for record in records {
            let name = record.intent.session.to_string();
            transaction.put(Kind::Session, &name, Epoch(0), record).await?;
        }
        for session in forgotten {
            transaction.delete(Kind::Session, &session.to_string(), Epoch(0)).await?;
        }
        transaction.commit().await
    }

    /// Reads every session record. One that was altered, or put back as it was before its attempt was
    /// launched, is left where it is and told to the log: it must not take the other sessions with
    /// it.
    ///
    /// # Errors
    /// [`VaultError`] if the database cannot be read.
    pub async fn sessions(&self) -> Result<Vec<mpc_pending::Record>, VaultError> {
        let mut transaction = self.begin().await?;
        let read = transaction.list_each(Kind::Session).await;
        transaction.give_up().await?;
        let usable = read?.into_iter().filter_map(|(place, record)| match record {
            Ok(record) => Some(record),
            Err(error) => {
                tracing::error!(session = place.name(), %error, "a stored session cannot be used");
                None
            }
        });
        Ok(usable.collect())
    }

    /// Begins a transaction. It has the vault's only connection until it ends.
    ///
    /// # Errors
    /// [`VaultError`] if the database cannot be used.
    pub async fn begin(&self) -> Result<VaultTransaction, VaultError> {
        VaultTransaction::begin(&self.shared).await
    }

    /// The database, for tables that hold no secret.
    pub fn database(&self) -> &DatabaseConnection {
        &self.shared.db
    }

    /// Closes the vault's file, for all clones. What is not committed by then is not stored.
    ///
    /// # Errors
    /// [`VaultError`] if SQLite reports trouble.
    pub async fn close(&self) -> Result<(), VaultError> {
        Ok(self.shared.db.clone().close().await?)
    }

    /// As [`VaultTransaction::put`], by itself.
    ///
    /// # Errors
    /// [`VaultError`] if the record cannot be stored.
    pub async fn put_record<T: Serialize>(
        &self,
        kind: Kind,
        name: &str,
        epoch: Epoch,
        value: &T,
    ) -> Result<(), VaultError> {
        let mut transaction = self.begin().await?;
        transaction.put(kind, name, epoch, value).await?;
        transaction.commit().await
    }

    /// As [`VaultTransaction::delete`], by itself.
    ///
    /// # Errors
    /// [`VaultError`] if the record cannot be deleted.
    pub async fn delete_record(
        &self,
        kind: Kind,
        name: &str,
        epoch: Epoch,
    ) -> Result<(), VaultError> {
        let mut transaction = self.begin().await?;
        transaction.delete(kind, name, epoch).await?;
        transaction.commit().await
    }

    /// As [`VaultTransaction::read`], by itself.
    ///
    /// # Errors
    /// [`VaultError`] if the record cannot be read, is not the one that was stored last, or was
    /// removed.
    pub async fn read_record<T: DeserializeOwned>(
        &self,
        kind: Kind,
        name: &str,
        epoch: Epoch,
    ) -> Result<Option<T>, VaultError> {
        let keys = self.shared.keys.read().await;
        let place = Place::new(kind.name(), name, epoch);
        let row = find(&self.shared.db, &place).await?;
        let listed = self.shared.manifest().listed(&place);
        if compare(&place, listed, row.is_some(), row.as_ref().and_then(id_of)).is_ok() {
            return row.map(|row| open_row(&keys, self.party(), &row)).transpose();
        }
        drop(keys);
        // Another handle may have written since; if not, this says what is wrong.
        let mut transaction = self.begin().await?;
        let value = transaction.read(kind, name, epoch).await;
        transaction.give_up().await?;
        value
    }

    /// As [`VaultTransaction::list`], by itself.
    ///
    /// # Errors
    /// [`VaultError`] if one of the records cannot be read, is not the one that was stored last, or
    /// was removed.
    pub async fn list_records<T: DeserializeOwned>(
        &self,
        kind: Kind,
    ) -> Result<Vec<(Place, T)>, VaultError> {
        let mut transaction = self.begin().await?;
        let values = transaction.list(kind).await;
        transaction.give_up().await?;
        values
    }

    async fn make(db: DatabaseConnection, provider: &dyn KekProvider) -> Result<Self, VaultError> {
        if record::Entity::find().one(&db).await?.is_some() {
            // Records without a header: this was a vault.
            return Err(VaultError::HeaderAltered);
        }
        let NewKey { kek, derivation } = provider.new_key(None)?;
        let identity = Identity::generate();
        let party = identity.party();
        let header = Header::new(party, &kek, provider.kind(), derivation, None)?;
        let keys = Keyring { current: kek, previous: None };
        let place = Place::new(Kind::Identity.name(), "", Epoch(0));
        let (row, id) = seal_row(&keys, party, &place, &record_of(&identity))?;
        let transaction = transaction::begin(&db).await?;
        header.write(&transaction).await?;
        upsert(&transaction, row).await?;
        let first = Changes::from([(place, Some(id))]);
        let manifest = Manifest::create(&transaction, &keys, party, &first).await?;
        transaction.commit().await?;
        Ok(Self::new(db, identity, keys, manifest))
    }

    async fn open_with(
        db: DatabaseConnection,
        header: Header,
        provider: &dyn KekProvider,
    ) -> Result<Self, VaultError> {
        let keys = header.keyring(provider.key(&header.wanted())?)?;
        let party = header.party;
        // One view of everything, whatever another handle of this vault is writing.
        let transaction = transaction::begin(&db).await?;
        let manifest = Manifest::read(&transaction, &keys, party).await?;
        manifest.verify_rows(&transaction).await?;
        let place = Place::new(Kind::Identity.name(), "", Epoch(0));
        let row = find(&transaction, &place).await?;
        transaction.rollback().await?;
        let row = row.ok_or_else(|| VaultError::Missing(place.clone()))?;
        let IdentityRecord { seed, rotations } = open_row(&keys, party, &row)?;
        let seed: &[u8; 32] =
            seed.expose().try_into().map_err(|_| VaultError::Form(place.clone()))?;
        let identity =
            Identity::restore(party, seed, &rotations).map_err(|_| VaultError::Altered(place))?;
        let vault = Self::new(db, identity, keys, manifest);
        match vault.resume_rotation().await {
            Err(error @ VaultError::RotationBlocked { .. }) => {
                tracing::error!(%party, %error, "the rotation of the master key cannot end");
                Ok(vault)
            }
            Err(error) => Err(error),
            Ok(()) => Ok(vault),
        }
    }

    fn new(db: DatabaseConnection, identity: Identity, keys: Keyring, manifest: Manifest) -> Self {
        Self {
            shared: Arc::new(Shared {
                db,
                party: identity.party(),
                identity: Mutex::new(identity),
                keys: Arc::new(RwLock::new(keys)),
                manifest: Mutex::new(Arc::new(manifest)),
                rotating: tokio::sync::Mutex::new(()),
            }),
        }
    }
}

/// The vault's files, if they are there and nobody else can write them.
fn find_vault(files: &VaultFiles) -> Result<(), VaultError> {
    let path = files.vault().to_owned();
    match files.find() {
        Found::Vault => files.protect(),
        Found::Nothing | Found::Unfinished => Err(VaultError::NoVault { path }),
        Found::Witness(witness) => Err(VaultError::Vanished { path, witness }),
    }
}

/// Write-ahead log, and every commit on disk before it returns: a join that was sent must be there
/// after a power failure.
async fn connect(path: &Path) -> Result<DatabaseConnection, VaultError> {
    // The file's name is given below: in an address its characters could mean something.
    let mut options = ConnectOptions::new("sqlite://vault?mode=rw");
    let path = path.to_owned();
    // One connection: SQLite has one writer, and every statement here is short.
    options
        .max_connections(1)
        .acquire_timeout(LONGEST_QUEUE)
        .sqlx_logging(false)
        .map_sqlx_sqlite_opts(move |options| {
            options
                .filename(&path)
                .create_if_missing(false)
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Full)
                .busy_timeout(BUSY_TIMEOUT)
                // A secret that served its attempt is to be gone from the file, not only unlinked.
                .pragma("secure_delete", "ON")
        });
    never_outlive_a_transaction(&mut options);
    Ok(Database::connect(options).await?)
}
