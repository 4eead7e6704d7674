//! Another master key for a vault that is in use.
//!
//! The first commit writes the new key's name and check value, and the old key wrapped by the new
//! one: from then on the new key alone opens everything, and everything new is sealed with it. Then
//! the records' data keys are wrapped anew in small batches; the records themselves stay as they
//! are. The last commit removes the old key. Interrupted anywhere, a rotation goes on when the vault
//! is opened again.
//!
//! Who has the old key and an old copy of the file still has what is in that copy. After a leak of
//! both, the shares themselves have to be refreshed.

use super::header::Header;
use super::kek::{Kek, KeyId, Keyring};
use super::provider::{KekProvider, NewKey, ProviderKind};
use super::row_seal::{place_of, rewrap};
use super::rows::record;
use super::transaction::{VaultTransaction, begin};
use super::{Vault, VaultError};
use crate::audit::notes;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter};
use std::sync::Arc;

/// Data keys that are wrapped anew in one commit: few enough that a signature which waits for the
/// vault notices nothing.
const BATCH: u64 = 64;

impl Vault {
    /// Seals the vault with another master key, while it is in use. Returns the new key's name.
    ///
    /// # Errors
    /// [`VaultError::SameKey`] if it is the key that the vault has; [`VaultError::RotationBlocked`]
    /// if records are damaged, in which case the new key is in use and the old one is kept, wrapped;
    /// else whatever keeps the new key from being had or the vault from being written.
    pub async fn rotate(&self, provider: Arc<dyn KekProvider>) -> Result<KeyId, VaultError> {
        let _only_one = self.shared.rotating.lock().await;
        // A rotation before this one may have been interrupted: there is room for one old key.
        let was_unfinished = self.rewrap_all().await?;
        let current = self.key_id().await;
        let (asked, known) = (Arc::clone(&provider), current.clone());
        let new = blocking(move || {
            asked.settle(&known)?;
            asked.new_key(Some(&known))
        })
        .await?;
        let id = new.kek.id().clone();
        if was_unfinished && id == current {
            return Ok(id);
        }
        self.switch_to(new, provider.kind()).await?;
        let settled = id.clone();
        blocking(move || provider.settle(&settled)).await?;
        tracing::info!(party = %self.party(), key = %id, "sealed with a new master key");
        self.enter(notes::master_key_rotated(&id)).await?;
        self.rewrap_all().await?;
        Ok(id)
    }

    /// Goes on with a rotation that was interrupted; does nothing if there is none.
    ///
    /// # Errors
    /// As [`Vault::rotate`].
    pub async fn resume_rotation(&self) -> Result<(), VaultError> {
        let _only_one = self.shared.rotating.lock().await;
        self.rewrap_all().await?;
        Ok(())
    }

    /// The name of the key that the vault is sealed with.
    pub async fn key_id(&self) -> KeyId {
        self.shared.keys.read().await.current.id().clone()
    }

    /// The key that the vault is sealed with, to be kept in another way too.
    pub async fn master_key(&self) -> Kek {
        self.shared.keys.read().await.current.clone()
    }

    /// Notes where the same key comes from now.
    ///
    /// # Errors
    /// [`VaultError`] if it cannot be noted.
    pub async fn note_provider(&self, kind: ProviderKind) -> Result<(), VaultError> {
        let keys = self.shared.keys.write().await;
        let transaction = begin(&self.shared.db).await?;
        let Header { derivation, .. } =
            Header::read(&transaction).await?.ok_or(VaultError::HeaderAltered)?;
        // What a passphrase needs stays: it opens the vault as before.
        Header::new(self.party(), &keys.current, kind, derivation, keys.previous.as_ref())?
            .write(&transaction)
            .await?;
        Ok(transaction.commit().await?)
    }

    /// The first commit.
    async fn switch_to(&self, new: NewKey, kind: ProviderKind) -> Result<(), VaultError> {
        let NewKey { kek, derivation } = new;
        // Nobody writes from here until the new key is in use.
        let mut keys = self.shared.keys.write().await;
        if kek.id() == keys.current.id() {
            return Err(VaultError::SameKey(kek.id().clone()));
        }
        let transaction = begin(&self.shared.db).await?;
        let stored = Header::read(&transaction).await?.ok_or(VaultError::HeaderAltered)?;
        if stored.key_id == *kek.id() {
            // This commit was made before, by a call that was dropped before it heard of it.
            transaction.rollback().await?;
            *keys = stored.keyring(kek)?;
            return Ok(());
        }
        if stored.key_id != *keys.current.id() || stored.previous.is_some() {
            return Err(VaultError::OtherRotation(stored.key_id));
        }
        let header = Header::new(self.party(), &kek, kind, derivation, Some(&keys.current))?;
        header.write(&transaction).await?;
        transaction.commit().await?;
        let before = std::mem::replace(&mut *keys, Keyring { current: kek, previous: None });
        keys.previous = Some(before.current);
        Ok(())
    }

    /// The commits between, and the last. Returns whether there was something to do.
    async fn rewrap_all(&self) -> Result<bool, VaultError> {
        if self.shared.keys.read().await.previous.is_none() {
            return Ok(false);
        }
        let mut damaged = 0;
        let mut after = None;
        loop {
            let transaction = VaultTransaction::begin(&self.shared).await?;
            let batch = self.rewrap_batch(&transaction, after.take()).await?;
            transaction.commit().await?;
            damaged += batch.damaged;
            match batch.last {
                Some(last) => after = Some(last),
                None => break,
            }
        }
        if damaged > 0 {
            return Err(VaultError::RotationBlocked { damaged });
        }
        self.retire_previous().await?;
        Ok(true)
    }

    async fn rewrap_batch(
        &self,
        transaction: &VaultTransaction,
        after: Option<(String, String, i64)>,
    ) -> Result<Batch, VaultError> {
        let (db, keys) = (transaction.connection(), transaction.keys());
        let place = (record::Column::Kind, record::Column::Name, record::Column::Epoch);
        let mut cursor = record::Entity::find()
            .filter(record::Column::KeyId.ne(keys.current.id().as_str()))
            .cursor_by(place);
        if let Some(after) = after {
            cursor.after(after);
        }
        let rows = cursor.first(BATCH).all(db).await?;
        let mut batch = Batch { last: None, damaged: 0 };
        for row in rows {
            match rewrap(keys, self.party(), &row) {
                Ok(wrapped) => {
                    record::Entity::update_many()
                        .col_expr(record::Column::KeyId, Expr::value(keys.current.id().as_str()))
                        .col_expr(record::Column::WrappedKey, Expr::value(wrapped))
                        .filter(record::Column::Kind.eq(row.kind.as_str()))
                        .filter(record::Column::Name.eq(row.name.as_str()))
                        .filter(record::Column::Epoch.eq(row.epoch))
                        .exec(db)
                        .await?;
                }
                Err(error) => {
                    let place = place_of(&row).map_or_else(|_| row.kind.clone(), |p| p.to_string());
                    tracing::error!(place, %error, "a record cannot be wrapped anew");
                    batch.damaged += 1;
                }
            }
            batch.last = Some((row.kind, row.name, row.epoch));
        }
        Ok(batch)
    }

    /// The last commit: the old key goes.
    async fn retire_previous(&self) -> Result<(), VaultError> {
        let mut keys = self.shared.keys.write().await;
        let transaction = begin(&self.shared.db).await?;
        let left = record::Entity::find()
            .filter(record::Column::KeyId.ne(keys.current.id().as_str()))
            .count(&transaction)
            .await?;
        if left > 0 {
            return Err(VaultError::RotationBlocked { damaged: left });
        }
        let stored = Header::read(&transaction).await?.ok_or(VaultError::HeaderAltered)?;
        let Header { provider, derivation, .. } = stored;
        let header = Header::new(self.party(), &keys.current, provider, derivation, None)?;
        header.write(&transaction).await?;
        transaction.commit().await?;
        keys.previous = None;
        drop(keys);
        // Old wrappings still lie in the log of writes; this empties it.
        self.shared.db.execute_unprepared("PRAGMA wal_checkpoint(TRUNCATE)").await?;
        tracing::info!(party = %self.party(), "the master key before is not needed any more");
        Ok(())
    }
}

/// What came of one batch.
struct Batch {
    /// Where the next one begins; none if there was nothing left.
    last: Option<(String, String, i64)>,
    damaged: u64,
}

/// Runs what may take long (Argon2id, a TPM) beside the actors.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, VaultError> + Send + 'static,
) -> Result<T, VaultError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(_) => Err(VaultError::Provider),
    }
}
