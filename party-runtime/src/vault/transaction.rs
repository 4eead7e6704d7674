//! Everything that is stored at once: records, the manifest that pins them, and whatever plain rows
//! belong to them.

use super::manifest::{Changes, Manifest, compare, find, id_of, key_of, upsert};
use super::records::{Kind, Place};
use super::row_seal::{open_row, place_of, seal_row};
use super::rows::record;
use super::{Keyring, Shared, VaultError};
use mpc_wire::Epoch;
use mpc_wire::audit::Note;
use sea_orm::{
    ColumnTrait, DatabaseTransaction, EntityTrait, QueryFilter, SqliteTransactionMode,
    TransactionOptions, TransactionTrait,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::OwnedRwLockReadGuard;

/// A transaction of the vault. Dropped without [`VaultTransaction::commit`], it leaves nothing.
///
/// It holds the vault's only connection: the task that has it must not use the vault otherwise
/// before it is done.
pub struct VaultTransaction {
    pub(super) shared: Arc<Shared>,
    // Before the connection is asked for, and until the commit: no rotation changes the key midway.
    keys: OwnedRwLockReadGuard<Keyring>,
    pub(super) db: DatabaseTransaction,
    /// The manifest as stored, once a record is read or something is to be written.
    base: Option<Arc<Manifest>>,
    changes: Changes,
    /// What the audit log is to say of it.
    pub(super) notes: Vec<Note>,
}

impl std::fmt::Debug for VaultTransaction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "VaultTransaction({:?})", self.changes.keys())
    }
}

impl VaultTransaction {
    pub(super) async fn begin(shared: &Arc<Shared>) -> Result<Self, VaultError> {
        let keys = Arc::clone(&shared.keys).read_owned().await;
        let db = begin(&shared.db).await?;
        Ok(Self {
            shared: Arc::clone(shared),
            keys,
            db,
            base: None,
            changes: Changes::new(),
            notes: Vec::new(),
        })
    }

    /// The connection, for rows of other tables that belong to the same commit.
    pub fn connection(&self) -> &DatabaseTransaction {
        &self.db
    }

    /// Stores a record, in place of the one of the same name and epoch.
    ///
    /// # Errors
    /// [`VaultError`] if it cannot be stored.
    pub async fn put<T: Serialize>(
        &mut self,
        kind: Kind,
        name: &str,
        epoch: Epoch,
        value: &T,
    ) -> Result<(), VaultError> {
        let place = Place::new(kind.name(), name, epoch);
        let (row, id) = seal_row(&self.keys, self.shared.party(), &place, value)?;
        upsert(&self.db, row).await?;
        self.changes.insert(place, Some(id));
        Ok(())
    }

    /// Deletes a record; one that is not there, too.
    ///
    /// # Errors
    /// [`VaultError`] if it cannot be deleted.
    pub async fn delete(&mut self, kind: Kind, name: &str, epoch: Epoch) -> Result<(), VaultError> {
        let place = Place::new(kind.name(), name, epoch);
        record::Entity::delete_by_id(key_of(&place)).exec(&self.db).await?;
        self.changes.insert(place, None);
        Ok(())
    }

    /// Reads a record.
    ///
    /// # Errors
    /// [`VaultError`] if it cannot be read, is not the one that was stored last, or was removed.
    pub async fn read<T: DeserializeOwned>(
        &mut self,
        kind: Kind,
        name: &str,
        epoch: Epoch,
    ) -> Result<Option<T>, VaultError> {
        let place = Place::new(kind.name(), name, epoch);
        let row = find(&self.db, &place).await?;
        self.load().await?;
        self.check(&place, row.as_ref())?;
        row.map(|row| open_row(&self.keys, self.shared.party(), &row)).transpose()
    }

    /// Reads every record of a kind.
    ///
    /// # Errors
    /// [`VaultError`] if one of them cannot be read, is not the one that was stored last, or was
    /// removed.
    pub async fn list<T: DeserializeOwned>(
        &mut self,
        kind: Kind,
    ) -> Result<Vec<(Place, T)>, VaultError> {
        let read = self.list_each(kind).await?.into_iter();
        read.map(|(place, value)| value.map(|value| (place, value))).collect()
    }

    /// Reads every record of a kind, each with its own error.
    ///
    /// # Errors
    /// [`VaultError`] if the database or the manifest cannot be read.
    pub(super) async fn list_each<T: DeserializeOwned>(
        &mut self,
        kind: Kind,
    ) -> Result<BTreeMap<Place, Result<T, VaultError>>, VaultError> {
        let base = self.load().await?;
        let missing = base
            .places()
            .filter(|place| place.kind() == kind.name() && !self.changes.contains_key(place))
            .map(|place| (place.clone(), Err(VaultError::Missing(place.clone()))));
        let mut read: BTreeMap<_, _> = missing.collect();
        let rows = record::Entity::find()
            .filter(record::Column::Kind.eq(kind.name()))
            .all(&self.db)
            .await?;
        for row in rows {
            let place = place_of(&row)?;
            let value = self
                .check(&place, Some(&row))
                .and_then(|()| open_row(&self.keys, self.shared.party(), &row));
            read.insert(place, value);
        }
        Ok(read)
    }

    /// Makes everything durable, or nothing of it.
    ///
    /// # Errors
    /// [`VaultError`] if it cannot be.
    pub async fn commit(mut self) -> Result<(), VaultError> {
        let head = self.append().await?;
        let mut written = None;
        if head.is_some() || !self.changes.is_empty() {
            let base = self.load().await?;
            let (keys, party) = (&self.keys, self.shared.party());
            let head = head.unwrap_or(base.audit_head());
            written = Some(base.write(&self.db, keys, party, &self.changes, head).await?);
        }
        self.db.commit().await?;
        if let Some(written) = written {
            self.shared.remember(Arc::new(written));
        }
        Ok(())
    }

    /// Ends the transaction without a trace.
    pub(crate) async fn give_up(self) -> Result<(), VaultError> {
        Ok(self.db.rollback().await?)
    }

    pub(super) fn keys(&self) -> &Keyring {
        &self.keys
    }

    /// The manifest that this transaction builds upon.
    pub(super) async fn load(&mut self) -> Result<Arc<Manifest>, VaultError> {
        if let Some(base) = &self.base {
            return Ok(Arc::clone(base));
        }
        let base =
            self.shared.manifest().refresh(&self.db, &self.keys, self.shared.party()).await?;
        self.shared.remember(Arc::clone(&base));
        self.base = Some(Arc::clone(&base));
        Ok(base)
    }

    fn check(&self, place: &Place, row: Option<&record::Model>) -> Result<(), VaultError> {
        let listed = match self.changes.get(place) {
            Some(changed) => *changed,
            None => self.base.as_ref().and_then(|base| base.listed(place)),
        };
        compare(place, listed, row.is_some(), row.and_then(id_of))
    }
}

/// A transaction that may write from its start: one that began by reading could find the file
/// changed by another handle when it comes to write.
pub(crate) async fn begin(
    db: &sea_orm::DatabaseConnection,
) -> Result<DatabaseTransaction, VaultError> {
    let options = TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    };
    Ok(db.begin_with_options(options).await?)
}
