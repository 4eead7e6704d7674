//! What the coordinator remembers, behind typed methods.

pub(crate) mod account;
pub(crate) mod api_key;
mod attempt;
pub(crate) mod audit;
pub(crate) mod aux_set;
pub(crate) mod enrolment;
pub(crate) mod idempotency;
pub(crate) mod party;
mod readers;
pub(crate) mod session;
pub(crate) mod witnessed;
pub(crate) mod writer;

use audit::{AuditLog, Writing};
use migrations::coordinator::Migrator;
use migrations::never_outlive_a_transaction;
use readers::Readers;
use sea_orm::sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};
use sea_orm::{ConnectOptions, Database, DatabaseConnection, DbErr};
use sea_orm_migration::MigratorTrait;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use witnessed::Witnesses;
use writer::Writer;

/// SQLite lets one connection write at a time; a second would only wait in SQLite instead of here.
const WRITERS: u32 = 1;

/// Reads go on beside a write in WAL mode; few are needed, each takes a fraction of a millisecond.
const READERS: u32 = 4;

/// How long a request waits for its turn among this process's writers, or among readers who do not
/// get on. With [`BUSY`] behind it, a caller hears within two seconds that the store is away.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long a write waits for another process that is writing.
const BUSY: Duration = Duration::from_millis(900);

/// The store cannot do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The database refuses, or does not answer.
    #[error("the database does not answer: {0}")]
    Database(#[from] DbErr),
    /// What is stored is not what this version writes.
    #[error("a stored {what} cannot be read: {detail}")]
    Corrupt {
        /// What was read.
        what: &'static str,
        /// What is wrong with it.
        detail: String,
    },
    /// Only files are taken: two connections to a database in memory would be two databases.
    #[error("the database must be a file")]
    NotAFile,
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
    /// The session has ended, or there is none: its record cannot change.
    #[error("the session is over")]
    SessionOver,
    /// The session has gone on without whoever wanted to store this.
    #[error("a newer attempt of the session, or another plan of this one, is stored")]
    Superseded,
}

/// The coordinator's database. Clones share its connections.
#[derive(Debug, Clone)]
pub struct Store {
    writer: DatabaseConnection,
    readers: Arc<Readers>,
    queue: Writer,
    audit: AuditLog,
}

impl Store {
    /// Opens the database at `url`, such as `sqlite://coordinator.db?mode=rwc`, and brings it to
    /// the newest schema. Called inside a tokio runtime, on which its writer then runs.
    ///
    /// # Errors
    /// [`StoreError`] if the database cannot be opened or its schema not be brought up to date.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        if url.contains(":memory:") || url.contains("mode=memory") {
            return Err(StoreError::NotAFile);
        }
        let writer = Database::connect(options(url, WRITERS)).await?;
        Migrator::up(&writer, None).await?;
        let reader = Database::connect(options(url, READERS)).await?;
        let audit = AuditLog::new(Witnesses::load(&reader).await?);
        let queue = Writer::start(writer.clone(), audit.clone());
        let readers = Arc::new(Readers::new(reader, READERS));
        Ok(Self { writer, readers, queue, audit })
    }

    /// Closes all connections; the file is whole then.
    ///
    /// # Errors
    /// [`StoreError`] if the database refuses.
    pub async fn close(self) -> Result<(), StoreError> {
        self.keep_witnessed().await?;
        self.readers.close().await?;
        Ok(self.writer.close().await?)
    }

    /// Begins a transaction that can enter into the audit log.
    async fn begin(&self) -> Result<Writing, StoreError> {
        self.audit.begin(&self.writer).await
    }

    /// Whether the database answers.
    pub(crate) async fn ping(&self) -> Result<(), StoreError> {
        Ok(self.readers.turn().await?.ping().await?)
    }
}

fn options(url: &str, connections: u32) -> ConnectOptions {
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(connections)
        .min_connections(connections)
        .acquire_timeout(PATIENCE)
        .idle_timeout(None)
        .max_lifetime(None)
        .sqlx_logging(false)
        .map_sqlx_sqlite_opts(|sqlite| {
            sqlite
                .journal_mode(SqliteJournalMode::Wal)
                // Full: what was committed, and then told, survives a power cut.
                .synchronous(SqliteSynchronous::Full)
                .foreign_keys(true)
                .busy_timeout(BUSY)
        });
    never_outlive_a_transaction(&mut options);
    options
}

/// Reads a stored text as what it stands for.
fn parse<T>(what: &'static str, text: &str) -> Result<T, StoreError>
where
    T: FromStr,
    T::Err: ToString,
{
    text.parse().map_err(|error: T::Err| StoreError::Corrupt { what, detail: error.to_string() })
}

/// Reads a stored JSON text.
fn from_json<T: serde::de::DeserializeOwned>(
    what: &'static str,
    text: &str,
) -> Result<T, StoreError> {
    serde_json::from_str(text)
        .map_err(|error| StoreError::Corrupt { what, detail: error.to_string() })
}

/// Writes a JSON text.
fn to_json<T: serde::Serialize>(what: &'static str, value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value)
        .map_err(|error| StoreError::Corrupt { what, detail: error.to_string() })
}

/// Milliseconds and counts as the database holds them: signed. None of ours comes near the sign.
fn to_i64(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn to_u64(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}
