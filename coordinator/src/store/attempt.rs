//! The plans of running sessions' attempts. A number belongs to one plan, and numbers only grow:
//! should a session ever have two actors for a moment, one of them finds its record refused, before
//! it has told anybody anything.

use super::{StoreError, to_i64};
use mpc_session::Record;
use mpc_wire::SessionId;
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder};

#[expect(unreachable_pub, reason = "sea-orm's derives make public items")]
mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Debug, Clone, DeriveEntityModel)]
    #[sea_orm(table_name = "attempts")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub session_id: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub attempt: i64,
        pub plan_hash: String,
        pub is_over: bool,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// How a record stands to what is stored of its session's attempts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// Its attempt is the newest that is known, and has the same plan.
    Newest,
    /// Its attempt is new, and this is the hash of its plan.
    New(String),
    /// Its attempt is the newest that is known, and not under way any more.
    Over,
    /// A newer attempt is known, or the same one with another plan, or as one that is over.
    Superseded,
}

/// Looks for the record's place.
pub(super) async fn place(txn: &DatabaseTransaction, record: &Record) -> Result<Place, StoreError> {
    let newest = row::Entity::find()
        .filter(row::Column::SessionId.eq(record.intent.session.to_string()))
        .order_by_desc(row::Column::Attempt)
        .one(txn)
        .await?;
    let attempt = to_i64(u64::from(record.attempt.0));
    let plan = record.plan().map(|plan| plan.hash().to_string());
    Ok(match (newest, plan) {
        (Some(newest), _) if newest.attempt > attempt => Place::Superseded,
        (Some(newest), Some(plan)) if newest.attempt == attempt => {
            let is_under_way = newest.plan_hash == plan && !newest.is_over;
            if is_under_way { Place::Newest } else { Place::Superseded }
        }
        (Some(_) | None, Some(plan)) => Place::New(plan),
        (Some(newest), None) if newest.attempt == attempt && !newest.is_over => Place::Over,
        (Some(_) | None, None) => Place::Newest,
    })
}

/// Stores the plan of the record's attempt.
pub(super) async fn insert(
    txn: &DatabaseTransaction,
    record: &Record,
    plan_hash: String,
) -> Result<(), StoreError> {
    let row = row::ActiveModel {
        session_id: Set(record.intent.session.to_string()),
        attempt: Set(to_i64(u64::from(record.attempt.0))),
        plan_hash: Set(plan_hash),
        is_over: Set(false),
    };
    row::Entity::insert(row).exec_without_returning(txn).await?;
    Ok(())
}

/// Notes that the record's attempt is over.
pub(super) async fn end(txn: &DatabaseTransaction, record: &Record) -> Result<(), StoreError> {
    row::Entity::update_many()
        .col_expr(row::Column::IsOver, Expr::value(true))
        .filter(row::Column::SessionId.eq(record.intent.session.to_string()))
        .filter(row::Column::Attempt.eq(to_i64(u64::from(record.attempt.0))))
        .exec(txn)
        .await?;
    Ok(())
}

/// Removes the attempts of a session that is over: its record never changes again.
pub(super) async fn remove(
    txn: &DatabaseTransaction,
    session: SessionId,
) -> Result<(), StoreError> {
    row::Entity::delete_many()
        .filter(row::Column::SessionId.eq(session.to_string()))
        .exec(txn)
        .await?;
    Ok(())
}
