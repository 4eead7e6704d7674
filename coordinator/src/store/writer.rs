//! Group commit: writes that come while a commit is on its way to the disk share the next one.
//!
//! A commit with full sync is what a write costs; under load one commit serves many sessions. A
//! write is answered only after the commit that holds it.

use super::account::{self, Timings};
use super::audit::{AuditLog, Writing};
use super::session::{self, NewSession, Saving};
use super::{StoreError, witnessed};
use mpc_wire::audit::Note;
use mpc_wire::{AccountId, SignedHead};
use sea_orm::{
    DatabaseConnection, DatabaseTransaction, SqliteTransactionMode, TransactionOptions,
    TransactionTrait,
};
use tokio::sync::{mpsc, oneshot};

/// Writes that may wait for the next commit; who finds no room waits for it. Twice the sessions
/// that run at a time by default, each of which has one write under way at most.
const WRITE_QUEUE: usize = 2048;

/// Writes that share a commit: so many take a few milliseconds to apply, as long as a slow disk
/// takes to sync.
const MAX_BATCH: usize = 64;

/// A write.
#[derive(Debug)]
pub(super) enum Write {
    Open(NewSession),
    Save(Saving),
    Activate(AccountId, Timings),
    /// Nothing but an entry of the audit log.
    Note(Note),
    Contradiction(SignedHead),
}

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    /// It is durable.
    Stored,
    /// A session with this session or request id exists; nothing was stored.
    SessionExists,
    /// The idempotency key is taken; nothing was stored.
    KeyTaken,
    /// The session has ended, or there is none; nothing was stored.
    SessionOver,
    /// A newer attempt of the session, or another plan of this one, is stored; nothing was stored.
    Superseded,
}

impl Written {
    /// Whether the transaction may hold a part of a write that was not stored.
    fn leaves_traces(self) -> bool {
        match self {
            Self::Stored | Self::SessionOver | Self::Superseded => false,
            Self::SessionExists | Self::KeyTaken => true,
        }
    }
}

#[derive(Debug)]
struct Entry {
    write: Write,
    done: oneshot::Sender<Result<Written, StoreError>>,
}

/// The way to the one task that writes.
#[derive(Debug, Clone)]
pub(super) struct Writer(mpsc::Sender<Entry>);

impl Writer {
    /// Starts the task; it ends when the last writer is dropped.
    pub(super) fn start(db: DatabaseConnection, log: AuditLog) -> Self {
        let (queue, entries) = mpsc::channel(WRITE_QUEUE);
        tokio::spawn(run(db, log, entries));
        Self(queue)
    }

    /// Writes, and says what became of it once it is durable.
    pub(super) async fn write(&self, write: Write) -> Result<Written, StoreError> {
        let (done, written) = oneshot::channel();
        self.0.send(Entry { write, done }).await.map_err(|_| StoreError::Closed)?;
        written.await.map_err(|_| StoreError::Closed)?
    }
}

async fn run(db: DatabaseConnection, log: AuditLog, mut entries: mpsc::Receiver<Entry>) {
    let mut batch = Vec::with_capacity(MAX_BATCH);
    while entries.recv_many(&mut batch, MAX_BATCH).await > 0 {
        let writing = match log.begin(&db).await {
            Ok(writing) => writing,
            Err(error) => {
                // Whoever has come meanwhile has waited, too: were each batch to wait for itself,
                // the last would wait for as long as all before it together.
                let come = std::iter::from_fn(|| entries.try_recv().ok());
                for entry in batch.drain(..).chain(come) {
                    answer(entry, Err(error.clone()));
                }
                continue;
            }
        };
        match commit(writing, batch.iter().map(|entry| &entry.write)).await {
            Ok(Some(written)) => {
                for (entry, written) in batch.drain(..).zip(written) {
                    answer(entry, Ok(written));
                }
            }
            Ok(None) => {
                // Once the database is away, nobody waits for it in turn.
                let mut away = None;
                for entry in batch.drain(..) {
                    let written = match &away {
                        Some(error) => Err(StoreError::clone(error)),
                        None => alone(&db, &log, &entry.write).await.unwrap_or_else(|error| {
                            away = Some(error.clone());
                            Err(error)
                        }),
                    };
                    answer(entry, written);
                }
            }
            Err(error) => {
                for entry in batch.drain(..) {
                    answer(entry, Err(error.clone()));
                }
            }
        }
    }
}

fn answer(entry: Entry, written: Result<Written, StoreError>) {
    if entry.done.send(written).is_err() {
        tracing::debug!("nobody waits for a write any more");
    }
}

/// Commits all writes in one transaction; `None` if one of them failed: then none is stored, and
/// each has to go alone, so that it cannot take the others with it.
async fn commit(
    mut writing: Writing,
    writes: impl Iterator<Item = &Write>,
) -> Result<Option<Vec<Written>>, StoreError> {
    let mut all = Vec::new();
    for write in writes {
        match apply(&mut writing, write).await {
            Ok(written) if !written.leaves_traces() => all.push(written),
            Ok(_) | Err(_) => {
                writing.rollback().await?;
                return Ok(None);
            }
        }
    }
    writing.commit().await?;
    Ok(Some(all))
}

/// Commits one write; the outer error is one that the next write would meet as well.
async fn alone(
    db: &DatabaseConnection,
    log: &AuditLog,
    write: &Write,
) -> Result<Result<Written, StoreError>, StoreError> {
    let mut writing = log.begin(db).await?;
    Ok(match apply(&mut writing, write).await {
        Ok(written) if !written.leaves_traces() => writing.commit().await.map(|()| written),
        unstored => {
            writing.rollback().await?;
            unstored
        }
    })
}

/// Takes the write lock at once: no later statement can fail for the lack of it.
pub(super) async fn begin(db: &DatabaseConnection) -> Result<DatabaseTransaction, StoreError> {
    let options = TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    };
    Ok(db.begin_with_options(options).await?)
}

async fn apply(writing: &mut Writing, write: &Write) -> Result<Written, StoreError> {
    match write {
        Write::Open(new) => session::open(writing, new).await,
        Write::Save(saving) => session::save(writing, saving).await,
        Write::Activate(id, timings) => account::activate(writing, *id, *timings).await,
        Write::Note(note) => {
            writing.enter(note.clone());
            Ok(Written::Stored)
        }
        Write::Contradiction(head) => {
            witnessed::contradicted(writing, head).await?;
            Ok(Written::Stored)
        }
    }
}
