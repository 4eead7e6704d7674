//! What can be told of a vault without its key, and without a secret.

use super::files::VaultFiles;
use super::header::Header;
use super::kek::KeyId;
use super::provider::ProviderKind;
use super::rows::record;
use super::{Vault, VaultError, connect, find_vault};
use mpc_wire::PartyId;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QuerySelect};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;

/// A vault's state. Read without the key, so what it says is what the file claims.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VaultStatus {
    /// Whose vault it is.
    pub party: PartyId,
    /// Where the master key comes from.
    pub provider: ProviderKind,
    /// The master key's name.
    pub key_id: KeyId,
    /// The key that a rotation is replacing; none if there is no rotation.
    pub rotating_from: Option<KeyId>,
    /// How many data keys each master key wraps.
    pub records_by_key: BTreeMap<KeyId, u64>,
    /// How many records there are of each kind.
    pub records_by_kind: BTreeMap<String, u64>,
}

impl VaultStatus {
    /// Reads the state of the vault at `path`, whether a party uses it or not.
    ///
    /// # Errors
    /// [`VaultError`] if there is no vault, or it cannot be read.
    pub async fn read(path: &Path) -> Result<Self, VaultError> {
        find_vault(&VaultFiles::at(path))?;
        let db = connect(path).await?;
        let status = read(&db).await;
        db.close().await?;
        status
    }
}

impl Vault {
    /// The vault's state.
    ///
    /// # Errors
    /// [`VaultError`] if it cannot be read.
    pub async fn status(&self) -> Result<VaultStatus, VaultError> {
        read(&self.shared.db).await
    }
}

async fn read(db: &impl ConnectionTrait) -> Result<VaultStatus, VaultError> {
    let header = Header::read(db).await?.ok_or(VaultError::HeaderAltered)?;
    let by_key = count_by(db, record::Column::KeyId).await?;
    let by_kind = count_by(db, record::Column::Kind).await?;
    Ok(VaultStatus {
        party: header.party,
        provider: header.provider,
        key_id: header.key_id,
        rotating_from: header.previous.map(|previous| previous.key_id),
        records_by_key: by_key.into_iter().map(|(id, count)| (KeyId::stored(&id), count)).collect(),
        records_by_kind: by_kind.into_iter().collect(),
    })
}

async fn count_by(
    db: &impl ConnectionTrait,
    column: record::Column,
) -> Result<Vec<(String, u64)>, VaultError> {
    let rows: Vec<(String, i64)> = record::Entity::find()
        .select_only()
        .column(column)
        .column_as(record::Column::Kind.count(), "records")
        .group_by(column)
        .into_tuple()
        .all(db)
        .await?;
    Ok(rows.into_iter().map(|(name, count)| (name, u64::try_from(count).unwrap_or(0))).collect())
}
