//! Secrets at rest: one SQLite file a party, every record sealed.
//!
//! Master key (KEK) → data key, random for each record and wrapped by the KEK → record; both by
//! AES-256-GCM with a random nonce and the record's place as associated data.

mod kek;
mod records;
mod rows;
mod sealed;

pub use kek::KeySource;
pub use records::{AuxRecord, ShareRecord};

use kek::Kek;
use migrations::party::Migrator;
use mpc_engine::SecretBytes;
use mpc_wire::{AccountId, AuxId, Epoch, Identity, PartyId, SessionId};
use records::{IdentityRecord, Kind};
use rows::{HEADER_ID, header, record};
use sea_orm::sea_query::OnConflict;
use sea_orm::sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectOptions, ConnectionTrait, Database, DatabaseConnection,
    DbErr, EntityTrait, IntoActiveModel, QueryFilter, TransactionTrait,
};
use sea_orm_migration::MigratorTrait;
use sealed::{Aad, Sealer};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use std::time::Duration;
use zeroize::Zeroizing;

use mpc_wire::canonical::Canonical;

/// How long a write waits for another process that holds the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Why the vault cannot be opened, or a record not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The database did what it should not.
    #[error("the party's database failed: {0}")]
    Database(#[from] DbErr),
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
    /// The vault has a key, but not in this file.
    #[error(
        "the key file {path} is missing, but the vault was made with a key: bring the file back, \
         or give the key as CRYPTO_MASTER_KEY"
    )]
    KeyFileMissing {
        /// The file.
        path: PathBuf,
    },
    /// The key is not the one that the vault was made with.
    #[error(
        "wrong master key: this vault was made with another one (CRYPTO_MASTER_KEY or a key file)"
    )]
    WrongKey,
    /// A record was altered, moved or cut.
    #[error("a record of the vault was altered, or belongs to another place")]
    Altered,
    /// A record does not have the form that this version writes.
    #[error("a record of the vault has an unknown form")]
    Form,
    /// The operating system gives no randomness.
    #[error("the operating system gives no randomness")]
    NoRandomness,
}

/// A party's vault.
#[derive(Clone)]
pub struct Vault {
    db: DatabaseConnection,
    kek: Kek,
    identity: Identity,
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Vault of {:?} (keys redacted)", self.identity.party())
    }
}

impl Vault {
    /// Opens the vault in the SQLite file at `path`; a new one, with a new identity, if there is
    /// none.
    ///
    /// # Errors
    /// [`VaultError::WrongKey`] if the vault was made with another key.
    pub async fn open(path: &Path, source: &KeySource) -> Result<Self, VaultError> {
        let db = connect(path).await?;
        Migrator::up(&db, None).await?;
        let header = header::Entity::find_by_id(HEADER_ID).one(&db).await?;
        let kek = Kek::load(source, header.is_none())?;
        match header {
            Some(header) => Self::open_existing(db, kek, header).await,
            None => Self::create(db, kek).await,
        }
    }

    /// The party's identity.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The party's id.
    pub fn party(&self) -> PartyId {
        self.identity.party()
    }

    /// Stores a share, in place of one of the same account and epoch.
    ///
    /// # Errors
    /// [`VaultError`] if it cannot be stored.
    pub async fn store_share(
        &self,
        account: AccountId,
        epoch: Epoch,
        share: &ShareRecord,
    ) -> Result<(), VaultError> {
        self.put(&self.db, Kind::Share, &account.to_string(), epoch, share).await
    }

    /// Reads a share.
    ///
    /// # Errors
    /// [`VaultError`] if it cannot be read.
    pub async fn share(
        &self,
        account: AccountId,
        epoch: Epoch,
    ) -> Result<Option<ShareRecord>, VaultError> {
        self.read(Kind::Share, &account.to_string(), epoch).await
    }

    /// Stores an aux set.
    ///
    /// # Errors
    /// [`VaultError`] if it cannot be stored.
    pub async fn store_aux(&self, aux: AuxId, record: &AuxRecord) -> Result<(), VaultError> {
        self.put(&self.db, Kind::Aux, &aux.to_string(), Epoch(0), record).await
    }

    /// Reads an aux set.
    ///
    /// # Errors
    /// [`VaultError`] if it cannot be read.
    pub async fn aux(&self, aux: AuxId) -> Result<Option<AuxRecord>, VaultError> {
        self.read(Kind::Aux, &aux.to_string(), Epoch(0)).await
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
        let transaction = self.db.begin().await?;
        for record in records {
            let name = record.intent.session.to_string();
            self.put(&transaction, Kind::Session, &name, Epoch(0), record).await?;
        }
        for session in forgotten {
            let key = (Kind::Session.name().to_owned(), session.to_string(), 0_i64);
            record::Entity::delete_by_id(key).exec(&transaction).await?;
        }
        Ok(transaction.commit().await?)
    }

    /// Reads every session record. One that was altered is left where it is and told to the log:
    /// it must not take the other sessions with it.
    ///
    /// # Errors
    /// [`VaultError`] if the database cannot be read.
    pub async fn sessions(&self) -> Result<Vec<mpc_pending::Record>, VaultError> {
        let rows = record::Entity::find()
            .filter(record::Column::Kind.eq(Kind::Session.name()))
            .all(&self.db)
            .await?;
        let read = rows.iter().filter_map(|row| match self.open_row(row) {
            Ok(record) => Some(record),
            Err(error) => {
                tracing::error!(session = row.name, %error, "a stored session cannot be used");
                None
            }
        });
        Ok(read.collect())
    }

    async fn create(db: DatabaseConnection, kek: Kek) -> Result<Self, VaultError> {
        let vault = Self { db, kek, identity: Identity::generate() };
        let party = vault.party();
        let header = header::Model {
            id: HEADER_ID,
            party_id: party.as_bytes().to_vec(),
            key_id: vault.kek.id(),
            key_check: vault.kek.check_value(party)?,
        };
        let transaction = vault.db.begin().await?;
        header.into_active_model().insert(&transaction).await?;
        let seed = SecretBytes::new(vault.identity.seed().to_vec());
        let record = IdentityRecord { seed };
        vault.put(&transaction, Kind::Identity, "", Epoch(0), &record).await?;
        transaction.commit().await?;
        Ok(vault)
    }

    async fn open_existing(
        db: DatabaseConnection,
        kek: Kek,
        header: header::Model,
    ) -> Result<Self, VaultError> {
        let party = header.party_id.as_slice().try_into().map_err(|_| VaultError::Form)?;
        let party = PartyId::new(party);
        kek.verify_check(party, &header.key_check)?;
        let row = record::Entity::find_by_id((Kind::Identity.name().to_owned(), String::new(), 0))
            .one(&db)
            .await?
            .ok_or(VaultError::Altered)?;
        let IdentityRecord { seed } = open_row(&kek, party, &row)?;
        let seed = Zeroizing::new(seed.expose().try_into().map_err(|_| VaultError::Form)?);
        let identity = Identity::from_seed(&seed);
        if identity.party() != party {
            return Err(VaultError::Altered);
        }
        Ok(Self { db, kek, identity })
    }

    async fn put<T: Serialize>(
        &self,
        db: &impl ConnectionTrait,
        kind: Kind,
        name: &str,
        epoch: Epoch,
        value: &T,
    ) -> Result<(), VaultError> {
        let key_id = self.kek.id();
        let aad =
            Aad { party: self.party(), kind: kind.name(), name, epoch: epoch.0, key_id: &key_id }
                .canonical_bytes();
        let plaintext =
            Zeroizing::new(rmp_serde::to_vec_named(value).map_err(|_| VaultError::Form)?);
        let mut data_key = Zeroizing::new([0; 32]);
        getrandom::fill(data_key.as_mut_slice()).map_err(|_| VaultError::NoRandomness)?;
        let row = record::Model {
            kind: kind.name().into(),
            name: name.into(),
            epoch: epoch.0.into(),
            wrapped_key: Sealer::new(self.kek.expose()).seal(&aad, data_key.as_slice())?,
            sealed: Sealer::new(&data_key).seal(&aad, &plaintext)?,
            key_id,
        };
        record::Entity::insert(row.into_active_model())
            .on_conflict(
                OnConflict::columns([
                    record::Column::Kind,
                    record::Column::Name,
                    record::Column::Epoch,
                ])
                .update_columns([
                    record::Column::KeyId,
                    record::Column::WrappedKey,
                    record::Column::Sealed,
                ])
                .to_owned(),
            )
            .exec_without_returning(db)
            .await?;
        Ok(())
    }

    async fn read<T: DeserializeOwned>(
        &self,
        kind: Kind,
        name: &str,
        epoch: Epoch,
    ) -> Result<Option<T>, VaultError> {
        let key = (kind.name().to_owned(), name.to_owned(), i64::from(epoch.0));
        match record::Entity::find_by_id(key).one(&self.db).await? {
            Some(row) => self.open_row(&row).map(Some),
            None => Ok(None),
        }
    }

    fn open_row<T: DeserializeOwned>(&self, row: &record::Model) -> Result<T, VaultError> {
        open_row(&self.kek, self.party(), row)
    }
}

fn open_row<T: DeserializeOwned>(
    kek: &Kek,
    party: PartyId,
    row: &record::Model,
) -> Result<T, VaultError> {
    let epoch = u32::try_from(row.epoch).map_err(|_| VaultError::Altered)?;
    let aad = Aad { party, kind: &row.kind, name: &row.name, epoch, key_id: &row.key_id }
        .canonical_bytes();
    let data_key = Sealer::new(kek.expose()).open(&aad, &row.wrapped_key)?;
    let data_key: Zeroizing<[u8; 32]> =
        Zeroizing::new(data_key.as_slice().try_into().map_err(|_| VaultError::Altered)?);
    let plaintext = Sealer::new(&data_key).open(&aad, &row.sealed)?;
    rmp_serde::from_slice(&plaintext).map_err(|_| VaultError::Form)
}

/// Write-ahead log, and every commit on disk before it returns: a join that was sent must be there
/// after a power failure.
async fn connect(path: &Path) -> Result<DatabaseConnection, VaultError> {
    let mut options = ConnectOptions::new(format!("sqlite://{}?mode=rwc", path.display()));
    // One connection: SQLite has one writer, and every statement here is short.
    options.max_connections(1).sqlx_logging(false).map_sqlx_sqlite_opts(|options| {
        options
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_TIMEOUT)
            // A secret that served its attempt is to be gone from the file, not only unlinked.
            .pragma("secure_delete", "ON")
    });
    Ok(Database::connect(options).await?)
}
