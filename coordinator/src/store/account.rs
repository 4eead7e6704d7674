//! Accounts and their holders.

use super::audit::Writing;
use super::writer::{Write, Written};
use super::{Store, StoreError, from_json, parse, to_i64, to_json, to_u64};
use crate::audit;
use crate::failure::Failure;
use crate::names::AccountState;
use mpc_session::{SessionEnd, SessionProduct};
use mpc_wire::{AccountId, Epoch, PartyId, PublicKey, Scheme, SessionId, Threshold, UnixMillis};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
};
use std::collections::{BTreeMap, BTreeSet};

#[expect(unreachable_pub, reason = "sea-orm's derives make public items")]
mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Debug, Clone, DeriveEntityModel)]
    #[sea_orm(table_name = "accounts")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub account_id: String,
        pub user_id: String,
        pub scheme: String,
        pub threshold: i32,
        pub epoch: i64,
        pub state: String,
        pub public_key: Option<String>,
        pub keygen_session: String,
        pub failure: Option<String>,
        pub created_at: i64,
        pub keygen_ms: Option<i64>,
        pub aux_wait_ms: Option<i64>,
        pub canary_ms: Option<i64>,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

#[expect(unreachable_pub, reason = "sea-orm's derives make public items")]
mod holder {
    use sea_orm::entity::prelude::*;

    #[derive(Debug, Clone, DeriveEntityModel)]
    #[sea_orm(table_name = "account_parties")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub account_id: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub party_id: String,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// An account as it is stored.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    pub(crate) id: AccountId,
    pub(crate) user_id: String,
    pub(crate) scheme: Scheme,
    pub(crate) threshold: Threshold,
    pub(crate) epoch: Epoch,
    pub(crate) state: AccountState,
    pub(crate) public_key: Option<PublicKey>,
    pub(crate) holders: BTreeSet<PartyId>,
    pub(crate) keygen: SessionId,
    pub(crate) failure: Option<Failure>,
    pub(crate) created_at: UnixMillis,
    pub(crate) timings: Timings,
}

/// How long the steps of an account's creation took, in milliseconds, as far as they are done.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Timings {
    pub(crate) keygen: Option<u64>,
    pub(crate) aux_wait: Option<u64>,
    pub(crate) canary: Option<u64>,
}

/// An account to be stored with the session that generates its key.
#[derive(Debug, Clone)]
pub(crate) struct NewAccount {
    pub(crate) id: AccountId,
    pub(crate) user_id: String,
    pub(crate) scheme: Scheme,
    pub(crate) threshold: Threshold,
    pub(crate) holders: BTreeSet<PartyId>,
}

impl Store {
    /// The account, if there is one.
    pub(crate) async fn account(&self, id: AccountId) -> Result<Option<Account>, StoreError> {
        let Some(row) =
            row::Entity::find_by_id(id.to_string()).one(&*self.readers.turn().await?).await?
        else {
            return Ok(None);
        };
        let accounts = self.with_holders(vec![row]).await?;
        Ok(accounts.into_iter().next())
    }

    /// The newest accounts, of one user or of all, at most `limit`.
    pub(crate) async fn accounts(
        &self,
        user_id: Option<&str>,
        limit: u64,
    ) -> Result<Vec<Account>, StoreError> {
        let mut query = row::Entity::find()
            .order_by_desc(row::Column::CreatedAt)
            .order_by_desc(row::Column::AccountId)
            .limit(limit);
        if let Some(user_id) = user_id {
            query = query.filter(row::Column::UserId.eq(user_id));
        }
        let rows = query.all(&*self.readers.turn().await?).await?;
        self.with_holders(rows).await
    }

    /// The accounts that are neither active nor failed.
    pub(crate) async fn pending_accounts(&self) -> Result<Vec<AccountId>, StoreError> {
        let ids: Vec<String> = row::Entity::find()
            .select_only()
            .column(row::Column::AccountId)
            .filter(is_pending())
            .into_tuple()
            .all(&*self.readers.turn().await?)
            .await?;
        ids.iter().map(|id| parse("account id", id)).collect()
    }

    /// Everybody with whom the party holds shares of an account, of one of `among` if they are
    /// given; itself included.
    pub(crate) async fn fellow_holders(
        &self,
        party: PartyId,
        among: Option<Vec<AccountId>>,
    ) -> Result<BTreeSet<PartyId>, StoreError> {
        let mut its_accounts = holder::Entity::find()
            .select_only()
            .column(holder::Column::AccountId)
            .filter(holder::Column::PartyId.eq(party.to_string()));
        if let Some(among) = among {
            let among = among.iter().map(AccountId::to_string);
            its_accounts = its_accounts.filter(holder::Column::AccountId.is_in(among));
        }
        let its_accounts = its_accounts.into_query();
        let fellows: Vec<String> = holder::Entity::find()
            .select_only()
            .distinct()
            .column(holder::Column::PartyId)
            .filter(holder::Column::AccountId.in_subquery(its_accounts))
            .into_tuple()
            .all(&*self.readers.turn().await?)
            .await?;
        fellows.iter().map(|id| parse("party id", id)).collect()
    }

    /// How many accounts each party holds a share of.
    pub(crate) async fn accounts_by_party(&self) -> Result<BTreeMap<PartyId, u64>, StoreError> {
        let rows: Vec<(String, i64)> = holder::Entity::find()
            .select_only()
            .column(holder::Column::PartyId)
            .column_as(holder::Column::AccountId.count(), "accounts")
            .group_by(holder::Column::PartyId)
            .into_tuple()
            .all(&*self.readers.turn().await?)
            .await?;
        rows.into_iter()
            .map(|(party, count)| Ok((parse("party", &party)?, to_u64(count))))
            .collect()
    }

    /// Makes an activating account active.
    pub(crate) async fn activate_account(
        &self,
        id: AccountId,
        timings: Timings,
    ) -> Result<(), StoreError> {
        self.queue.write(Write::Activate(id, timings)).await?;
        Ok(())
    }

    async fn with_holders(&self, rows: Vec<row::Model>) -> Result<Vec<Account>, StoreError> {
        let ids: Vec<_> = rows.iter().map(|row| row.account_id.clone()).collect();
        let mut holders: BTreeMap<String, BTreeSet<PartyId>> = BTreeMap::new();
        let found = holder::Entity::find()
            .filter(holder::Column::AccountId.is_in(ids))
            .all(&*self.readers.turn().await?)
            .await?;
        for holder in found {
            let party = parse("party", &holder.party_id)?;
            holders.entry(holder.account_id).or_default().insert(party);
        }
        rows.into_iter()
            .map(|row| {
                let holders = holders.remove(&row.account_id).unwrap_or_default();
                Account::from_row(row, holders)
            })
            .collect()
    }
}

fn is_pending() -> sea_orm::sea_query::SimpleExpr {
    row::Column::State.is_in([AccountState::Generating.name(), AccountState::Activating.name()])
}

/// Stores a new account as generating.
pub(super) async fn insert(
    db: &impl ConnectionTrait,
    account: &NewAccount,
    keygen: SessionId,
    created_at: UnixMillis,
) -> Result<(), StoreError> {
    let row = row::ActiveModel {
        account_id: Set(account.id.to_string()),
        user_id: Set(account.user_id.clone()),
        scheme: Set(account.scheme.name().to_owned()),
        threshold: Set(i32::from(account.threshold.0)),
        epoch: Set(0),
        state: Set(AccountState::Generating.name().to_owned()),
        public_key: Set(None),
        keygen_session: Set(keygen.to_string()),
        failure: Set(None),
        created_at: Set(to_i64(created_at.0)),
        keygen_ms: Set(None),
        aux_wait_ms: Set(None),
        canary_ms: Set(None),
    };
    row::Entity::insert(row).exec_without_returning(db).await?;
    let holders = account.holders.iter().map(|party| holder::ActiveModel {
        account_id: Set(account.id.to_string()),
        party_id: Set(party.to_string()),
    });
    holder::Entity::insert_many(holders).exec_without_returning(db).await?;
    Ok(())
}

/// Makes an activating account active.
pub(super) async fn activate(
    writing: &mut Writing,
    id: AccountId,
    timings: Timings,
) -> Result<Written, StoreError> {
    let activated = row::Entity::update_many()
        .col_expr(row::Column::State, Expr::value(AccountState::Active.name()))
        .col_expr(row::Column::AuxWaitMs, Expr::value(timings.aux_wait.map(to_i64)))
        .col_expr(row::Column::CanaryMs, Expr::value(timings.canary.map(to_i64)))
        .filter(row::Column::AccountId.eq(id.to_string()))
        .filter(row::Column::State.eq(AccountState::Activating.name()))
        .exec(writing.txn())
        .await?;
    if activated.rows_affected > 0 {
        writing.enter(audit::account_activated(id));
    }
    Ok(Written::Stored)
}

/// Gives a generating account what its key generation came to.
pub(super) async fn keygen_ended(
    db: &impl ConnectionTrait,
    id: AccountId,
    end: &SessionEnd,
    keygen_ms: u64,
) -> Result<(), StoreError> {
    let update = row::Entity::update_many()
        .filter(row::Column::AccountId.eq(id.to_string()))
        .filter(row::Column::State.eq(AccountState::Generating.name()))
        .col_expr(row::Column::KeygenMs, Expr::value(to_i64(keygen_ms)));
    let update = match end {
        SessionEnd::Completed(SessionProduct::Key { public_key, epoch, .. }) => update
            .col_expr(row::Column::State, Expr::value(AccountState::Activating.name()))
            .col_expr(row::Column::PublicKey, Expr::value(public_key.to_string()))
            .col_expr(row::Column::Epoch, Expr::value(i64::from(epoch.0))),
        SessionEnd::Completed(_)
        | SessionEnd::Failed(_)
        | SessionEnd::Cancelled
        | SessionEnd::Expired { .. } => {
            let failure = Failure::of(end);
            let failure = failure.map(|failure| to_json("failure", &failure)).transpose()?;
            update
                .col_expr(row::Column::State, Expr::value(AccountState::Failed.name()))
                .col_expr(row::Column::Failure, Expr::value(failure))
        }
    };
    update.exec(db).await?;
    Ok(())
}

impl Account {
    fn from_row(row: row::Model, holders: BTreeSet<PartyId>) -> Result<Self, StoreError> {
        let corrupt = |what| move |_| StoreError::Corrupt { what, detail: "out of range".into() };
        let public_key = row.public_key.as_deref().map(|text| {
            hex::decode(text).map(PublicKey::new).map_err(|error| StoreError::Corrupt {
                what: "public key",
                detail: error.to_string(),
            })
        });
        Ok(Self {
            id: parse("account id", &row.account_id)?,
            user_id: row.user_id,
            scheme: parse("scheme", &row.scheme)?,
            threshold: u16::try_from(row.threshold).map(Threshold).map_err(corrupt("threshold"))?,
            epoch: u32::try_from(row.epoch).map(Epoch).map_err(corrupt("epoch"))?,
            state: parse("account state", &row.state)?,
            public_key: public_key.transpose()?,
            holders,
            keygen: parse("session id", &row.keygen_session)?,
            failure: row.failure.as_deref().map(|text| from_json("failure", text)).transpose()?,
            created_at: UnixMillis(to_u64(row.created_at)),
            timings: Timings {
                keygen: row.keygen_ms.map(to_u64),
                aux_wait: row.aux_wait_ms.map(to_u64),
                canary: row.canary_ms.map(to_u64),
            },
        })
    }
}
