//! API keys, by the keyed hash of each.

use super::idempotency::{self, Claim, Claimed};
use super::session::taken;
use super::{Store, StoreError, parse, to_i64, to_u64};
use crate::api_key::{KeyHash, KeyId, Scopes};
use crate::audit::{self, Asker};
use mpc_wire::UnixMillis;
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::{Condition, Expr};
use sea_orm::{
    ColumnTrait, DatabaseTransaction, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect,
};

/// Most keys that are valid at a time, and most that are listed, the newest: a key for each backend
/// and each person is some dozens; more are a program that makes keys and forgets them.
pub(crate) const MAX_KEYS: u64 = 1000;

#[expect(unreachable_pub, reason = "sea-orm's derives make public items")]
mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Debug, Clone, DeriveEntityModel)]
    #[sea_orm(table_name = "api_keys")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub key_id: String,
        pub name: String,
        pub scopes: String,
        pub hash: String,
        pub secret_id: String,
        pub created_at: i64,
        pub expires_at: Option<i64>,
        pub revoked_at: Option<i64>,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// What is stored of a key.
#[derive(Debug, Clone)]
pub(crate) struct StoredKey {
    pub(crate) id: KeyId,
    pub(crate) name: String,
    pub(crate) scopes: Scopes,
    pub(crate) hash: KeyHash,
    /// Names the coordinator's secret that the hash was made under.
    pub(crate) secret_id: String,
    pub(crate) created_at: UnixMillis,
    pub(crate) expires_at: Option<UnixMillis>,
    pub(crate) revoked_at: Option<UnixMillis>,
}

impl StoredKey {
    /// Whether it opens anything at this time.
    pub(crate) fn is_valid(&self, now: UnixMillis) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|at| at > now)
    }
}

/// What became of a new key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Added {
    /// It is durable.
    Stored,
    /// The idempotency key is taken; nothing was stored.
    ClaimTaken,
    /// There are [`MAX_KEYS`] already; nothing was stored.
    TooMany,
}

impl Store {
    /// Stores a new key and the idempotency key of its request in one commit.
    pub(crate) async fn add_api_key(
        &self,
        key: &StoredKey,
        claim: Option<&Claim>,
        asker: &Asker,
    ) -> Result<Added, StoreError> {
        let mut writing = self.begin().await?;
        let added = add(writing.txn(), key, claim).await?;
        match added {
            Added::Stored => {
                writing.enter(audit::api_key_created(key, asker));
                writing.commit().await?;
            }
            Added::ClaimTaken | Added::TooMany => writing.rollback().await?,
        }
        Ok(added)
    }

    /// A key, as it stands in the database now: what was revoked before this call is revoked.
    pub(crate) async fn api_key(&self, id: KeyId) -> Result<Option<StoredKey>, StoreError> {
        let row = row::Entity::find_by_id(id.to_string()).one(&*self.readers.turn().await?).await?;
        row.map(StoredKey::try_from).transpose()
    }

    /// The newest keys, the revoked ones among them.
    pub(crate) async fn api_keys(&self) -> Result<Vec<StoredKey>, StoreError> {
        let rows = row::Entity::find()
            .order_by_desc(row::Column::CreatedAt)
            .order_by_asc(row::Column::KeyId)
            .limit(MAX_KEYS)
            .all(&*self.readers.turn().await?)
            .await?;
        rows.into_iter().map(StoredKey::try_from).collect()
    }

    /// How many valid keys were made under another coordinator's secret: none of them opens
    /// anything.
    pub(crate) async fn api_keys_of_other_secrets(
        &self,
        secret_id: &str,
        now: UnixMillis,
    ) -> Result<u64, StoreError> {
        let others = row::Entity::find()
            .filter(is_valid(now))
            .filter(row::Column::SecretId.ne(secret_id))
            .count(&*self.readers.turn().await?)
            .await?;
        Ok(others)
    }

    /// Revokes a key, if it is not revoked yet, and shows it.
    pub(crate) async fn revoke_api_key(
        &self,
        id: KeyId,
        now: UnixMillis,
        asker: &Asker,
    ) -> Result<Option<StoredKey>, StoreError> {
        let mut writing = self.begin().await?;
        let revoked = row::Entity::update_many()
            .col_expr(row::Column::RevokedAt, Expr::value(to_i64(now.0)))
            .filter(row::Column::KeyId.eq(id.to_string()))
            // When it was first: a second time changes nothing.
            .filter(row::Column::RevokedAt.is_null())
            .exec(writing.txn())
            .await?;
        if revoked.rows_affected > 0 {
            writing.enter(audit::api_key_revoked(id, asker));
        }
        writing.commit().await?;
        self.api_key(id).await
    }
}

async fn add(
    txn: &DatabaseTransaction,
    key: &StoredKey,
    claim: Option<&Claim>,
) -> Result<Added, StoreError> {
    if row::Entity::find().filter(is_valid(key.created_at)).count(txn).await? >= MAX_KEYS {
        return Ok(Added::TooMany);
    }
    if let Some(claim) = claim {
        let made = Claimed::ApiKey(key.id);
        if taken(idempotency::insert(txn, claim, made, key.created_at).await)? {
            return Ok(Added::ClaimTaken);
        }
    }
    let row = row::ActiveModel {
        key_id: Set(key.id.to_string()),
        name: Set(key.name.clone()),
        scopes: Set(key.scopes.to_string()),
        hash: Set(hex::encode(key.hash)),
        secret_id: Set(key.secret_id.clone()),
        created_at: Set(to_i64(key.created_at.0)),
        expires_at: Set(key.expires_at.map(|at| to_i64(at.0))),
        revoked_at: Set(key.revoked_at.map(|at| to_i64(at.0))),
    };
    row::Entity::insert(row).exec_without_returning(txn).await?;
    Ok(Added::Stored)
}

fn is_valid(now: UnixMillis) -> Condition {
    let expires = row::Column::ExpiresAt;
    Condition::all()
        .add(row::Column::RevokedAt.is_null())
        .add(Condition::any().add(expires.is_null()).add(expires.gt(to_i64(now.0))))
}

impl TryFrom<row::Model> for StoredKey {
    type Error = StoreError;

    fn try_from(row: row::Model) -> Result<Self, StoreError> {
        let mut hash = [0; 32];
        hex::decode_to_slice(&row.hash, &mut hash).map_err(|error| StoreError::Corrupt {
            what: "API key's hash",
            detail: error.to_string(),
        })?;
        Ok(Self {
            id: parse("API key id", &row.key_id)?,
            name: row.name,
            scopes: parse("scopes of an API key", &row.scopes)?,
            hash,
            secret_id: row.secret_id,
            created_at: UnixMillis(to_u64(row.created_at)),
            expires_at: row.expires_at.map(|at| UnixMillis(to_u64(at))),
            revoked_at: row.revoked_at.map(|at| UnixMillis(to_u64(at))),
        })
    }
}
