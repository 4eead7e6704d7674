//! Turns among the connections that read.
//!
//! A store that is busy is not away: whoever waits behind a crowd gets its turn as long as the crowd
//! moves. Only if nobody's turn ends for [`PATIENCE`] the store counts as away, and all who have
//! waited for so long hear that at once. How many may wait is bounded by the connections of the API
//! and by the sessions that run.

use super::{PATIENCE, StoreError};
use sea_orm::{DatabaseConnection, DbErr};
use std::ops::Deref;
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio::time::{Instant, timeout};

/// How long a turn of a store that works takes at most. One that took longer has waited for another
/// process's lock, or for a disk that does not answer: no sign of life.
const TURN: std::time::Duration = std::time::Duration::from_millis(500);

/// The connections that read. The pool has one for each turn, so nobody waits for it.
#[derive(Debug)]
pub(super) struct Readers {
    db: DatabaseConnection,
    turns: Semaphore,
    /// When a turn has ended last as it should.
    moved: watch::Sender<Instant>,
}

/// A connection to read with.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    readers: &'a Readers,
    since: Instant,
    _permit: SemaphorePermit<'a>,
}

impl Readers {
    pub(super) fn new(db: DatabaseConnection, connections: u32) -> Self {
        // A pool has some few connections: they fit every usize.
        let turns = Semaphore::new(usize::try_from(connections).unwrap_or(1));
        Self { db, turns, moved: watch::Sender::new(Instant::now()) }
    }

    /// Waits for a turn.
    pub(super) async fn turn(&self) -> Result<Turn<'_>, StoreError> {
        let permit = match self.turns.try_acquire() {
            Ok(permit) => permit,
            Err(_) => self.wait().await?,
        };
        Ok(Turn { readers: self, since: Instant::now(), _permit: permit })
    }

    async fn wait(&self) -> Result<SemaphorePermit<'_>, StoreError> {
        let mut moved = self.moved.subscribe();
        let mut turn = std::pin::pin!(self.turns.acquire());
        loop {
            // The place in the queue is kept over all rounds.
            if let Ok(permit) = timeout(PATIENCE, &mut turn).await {
                return permit.map_err(|_| StoreError::Closed);
            }
            if !moved.has_changed().map_err(|_| StoreError::Closed)? {
                return Err(StoreError::Database(DbErr::Custom("no read ends".to_owned())));
            }
            moved.mark_unchanged();
        }
    }

    /// Closes the connections.
    pub(super) async fn close(&self) -> Result<(), StoreError> {
        Ok(self.db.clone().close().await?)
    }
}

impl Deref for Turn<'_> {
    type Target = DatabaseConnection;

    fn deref(&self) -> &DatabaseConnection {
        &self.readers.db
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if self.since.elapsed() < TURN {
            self.readers.moved.send_replace(Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sea_orm::{ConnectOptions, ConnectionTrait, Database};
    use std::sync::Arc;
    use std::time::Duration;

    async fn readers(folder: &tempfile::TempDir) -> Arc<Readers> {
        let url = format!("sqlite://{}?mode=rwc", folder.path().join("x.sqlite").display());
        let mut options = ConnectOptions::new(url);
        options.max_connections(1).acquire_timeout(PATIENCE);
        Arc::new(Readers::new(Database::connect(options).await.unwrap(), 1))
    }

    #[tokio::test]
    async fn a_long_queue_that_moves_is_waited_out() {
        let folder = tempfile::tempdir().unwrap();
        let readers = readers(&folder).await;
        let started = Instant::now();
        // Together they take far longer than anybody would wait for a store that is away.
        let reads: Vec<_> = (0..60)
            .map(|_| {
                let readers = Arc::clone(&readers);
                tokio::spawn(async move {
                    let turn = readers.turn().await?;
                    turn.execute_unprepared("SELECT 1").await?;
                    tokio::time::sleep(Duration::from_millis(40)).await;
                    Ok::<_, StoreError>(())
                })
            })
            .collect();
        for read in reads {
            read.await.unwrap().unwrap();
        }
        assert!(started.elapsed() > 2 * PATIENCE, "{:?}", started.elapsed());
    }

    #[tokio::test]
    async fn a_queue_that_stands_still_is_told_so_in_time() {
        let folder = tempfile::tempdir().unwrap();
        let readers = readers(&folder).await;
        let _stuck = readers.turn().await.unwrap();
        let started = Instant::now();
        let waiting = (0..20).map(|_| readers.turn());
        for turn in futures_util::future::join_all(waiting).await {
            assert!(matches!(turn, Err(StoreError::Database(_))), "{turn:?}");
        }
        assert!(started.elapsed() < 2 * PATIENCE, "{:?}", started.elapsed());
    }
}
