//! Idempotency keys: which request each was used for, and what answers it.

use super::{Store, StoreError, parse, to_i64};
use crate::api_key::KeyId;
use crate::enrolment::TokenId;
use mpc_wire::{AccountId, SessionId, UnixMillis};
use sea_orm::ActiveValue::Set;
use sea_orm::{ConnectionTrait, EntityTrait};

#[expect(unreachable_pub, reason = "sea-orm's derives make public items")]
mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Debug, Clone, DeriveEntityModel)]
    #[sea_orm(table_name = "idempotency_keys")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub key: String,
        pub path: String,
        pub body_hash: String,
        pub account_id: Option<String>,
        pub session_id: Option<String>,
        pub api_key_id: Option<String>,
        pub enrolment_token_id: Option<String>,
        pub created_at: i64,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// A request's claim on an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) key: String,
    pub(crate) path: String,
    pub(crate) body_hash: [u8; 32],
}

/// What a claimed key stands for. An answer is made from it again, from what is stored: that no
/// longer changes once it has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claimed {
    /// The creation of this account.
    Account(AccountId),
    /// This session.
    Session(SessionId),
    /// The making of this API key.
    ApiKey(KeyId),
    /// The making of this enrolment token.
    EnrolmentToken(TokenId),
}

impl Store {
    /// Who holds the key, and for what.
    pub(crate) async fn claimed(&self, key: &str) -> Result<Option<(Claim, Claimed)>, StoreError> {
        let row = row::Entity::find_by_id(key).one(&*self.readers.turn().await?).await?;
        row.map(read).transpose()
    }
}

/// Stores the claim.
pub(super) async fn insert(
    db: &impl ConnectionTrait,
    claim: &Claim,
    claimed: Claimed,
    created_at: UnixMillis,
) -> Result<(), StoreError> {
    let (mut account_id, mut session_id, mut api_key_id) = (None, None, None);
    let mut enrolment_token_id = None;
    match claimed {
        Claimed::Account(id) => account_id = Some(id.to_string()),
        Claimed::Session(id) => session_id = Some(id.to_string()),
        Claimed::ApiKey(id) => api_key_id = Some(id.to_string()),
        Claimed::EnrolmentToken(id) => enrolment_token_id = Some(id.to_string()),
    }
    let row = row::ActiveModel {
        key: Set(claim.key.clone()),
        path: Set(claim.path.clone()),
        body_hash: Set(hex::encode(claim.body_hash)),
        account_id: Set(account_id),
        session_id: Set(session_id),
        api_key_id: Set(api_key_id),
        enrolment_token_id: Set(enrolment_token_id),
        created_at: Set(to_i64(created_at.0)),
    };
    row::Entity::insert(row).exec_without_returning(db).await?;
    Ok(())
}

fn read(row: row::Model) -> Result<(Claim, Claimed), StoreError> {
    let corrupt = |detail: String| StoreError::Corrupt { what: "idempotency key", detail };
    let mut body_hash = [0; 32];
    hex::decode_to_slice(&row.body_hash, &mut body_hash)
        .map_err(|error| corrupt(error.to_string()))?;
    let claimed = if let Some(account) = row.account_id {
        Claimed::Account(parse("account id", &account)?)
    } else if let Some(session) = row.session_id {
        Claimed::Session(parse("session id", &session)?)
    } else if let Some(key) = row.api_key_id {
        Claimed::ApiKey(parse("API key id", &key)?)
    } else if let Some(token) = row.enrolment_token_id {
        Claimed::EnrolmentToken(parse("enrolment token id", &token)?)
    } else {
        return Err(corrupt("it stands for nothing".into()));
    };
    Ok((Claim { key: row.key, path: row.path, body_hash }, claimed))
}
