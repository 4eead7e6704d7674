//! The log's table. Only the vault's transactions write it.

use mpc_wire::EntryHash;
use mpc_wire::audit::{Entry, Head};
use sea_orm::ActiveValue::Set;
use sea_orm::{ConnectionTrait, DbErr, EntityTrait, QueryOrder, QuerySelect};

mod row {
    #![expect(unreachable_pub, reason = "the entity derive wants public types")]

    use sea_orm::entity::prelude::*;

    /// The row.
    #[derive(Clone, Debug, DeriveEntityModel)]
    #[sea_orm(table_name = "audit_log")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub number: i64,
        pub at: i64,
        pub event: String,
        pub actor: String,
        pub subject: String,
        pub decision: String,
        pub policy: String,
        pub detail: String,
        pub hash: String,
    }

    /// None.
    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// Where the rows end. A hash that is none stands for a row that was altered.
pub(crate) async fn end(db: &impl ConnectionTrait) -> Result<Head, DbErr> {
    let last: Option<(i64, String)> = row::Entity::find()
        .select_only()
        .columns([row::Column::Number, row::Column::Hash])
        .order_by_desc(row::Column::Number)
        .into_tuple()
        .one(db)
        .await?;
    Ok(last.map_or(Head::EMPTY, |(number, hash)| Head {
        count: u64::try_from(number).unwrap_or(0),
        hash: hash.parse().unwrap_or(Head::EMPTY.hash),
    }))
}

/// The hash in the row of this number, if there is one.
pub(crate) async fn hash_of(
    db: &impl ConnectionTrait,
    number: u64,
) -> Result<Option<EntryHash>, DbErr> {
    let row = row::Entity::find_by_id(to_i64(number)).one(db).await?;
    Ok(row.map(|row| row.hash.parse().unwrap_or(Head::EMPTY.hash)))
}

/// Appends entries, each with the hash that it leads to.
pub(crate) async fn append(
    db: &impl ConnectionTrait,
    entries: Vec<(Entry, EntryHash)>,
) -> Result<(), DbErr> {
    let rows = entries.into_iter().map(|(entry, hash)| {
        let Entry { number, at, event, actor, subject, decision, policy, detail } = entry;
        row::ActiveModel {
            number: Set(to_i64(number)),
            at: Set(to_i64(at.0)),
            event: Set(event),
            actor: Set(actor),
            subject: Set(subject),
            decision: Set(decision),
            policy: Set(policy),
            detail: Set(detail),
            hash: Set(hash.to_string()),
        }
    });
    row::Entity::insert_many(rows).exec_without_returning(db).await?;
    Ok(())
}

/// SQLite's integers are signed. Neither counts nor times come near the sign.
pub(super) fn to_i64(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
