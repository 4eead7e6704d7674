//! Heads of the coordinator's audit log, as it has shown them: the newest, and whatever contradicts
//! one that was shown before.

use super::log::to_i64;
use crate::policy::gate::wall_clock;
use mpc_wire::audit::Head;
use mpc_wire::{PartyId, SignedHead};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder,
};

/// Most contradicting heads that are kept of one keeper: a few are proof enough, and who forges
/// more of them must not fill the database.
const MAX_EVIDENCE: u64 = 16;

/// Most keepers of whom such heads are kept: anybody can make keys.
const MAX_STRANGERS: u64 = 16;

mod row {
    #![expect(unreachable_pub, reason = "the entity derive wants public types")]

    use sea_orm::entity::prelude::*;

    /// The row.
    #[derive(Clone, Debug, DeriveEntityModel)]
    #[sea_orm(table_name = "witnessed_heads")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub keeper: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub place: i32,
        pub count: i64,
        pub hash: String,
        pub signature: String,
        pub at: i64,
    }

    /// None.
    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// The place of the newest head; evidence has the places behind it.
const NEWEST: i32 = 0;

/// The newest head that was shown, and whose it is: the keeper of the first one is the only one
/// whose heads are believed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Witness(Option<(PartyId, Head)>);

/// What a head that is believed says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    /// More than the one before.
    Newer,
    /// The same. Sessions that begin together show one head several times.
    Same,
}

/// Why a head is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Doubt {
    #[error(
        "another keeper signs it than before: the coordinator is another one, or has another secret"
    )]
    OtherKeeper,
    #[error(
        "it does not follow the one that was shown before: the log was cut or rewritten, or the \
         coordinator was restored from a backup"
    )]
    Contradicts,
}

impl Witness {
    /// Goes on from what is stored.
    pub(crate) async fn load(db: &impl ConnectionTrait) -> Result<Self, DbErr> {
        let rows = row::Entity::find()
            .filter(row::Column::Place.eq(NEWEST))
            .order_by_asc(row::Column::At)
            .all(db)
            .await?;
        let read = |row: row::Model| {
            let count = u64::try_from(row.count).ok()?;
            let head = Head { count, hash: row.hash.parse().ok()? };
            Some((row.keeper.parse().ok()?, head))
        };
        // A row that was made unreadable is none: the next head is the first one again.
        Ok(Self(rows.into_iter().find_map(read)))
    }

    /// Takes a head whose signature holds, or says what speaks against it.
    pub(super) fn judge(&mut self, shown: &SignedHead) -> Result<News, Doubt> {
        match &self.0 {
            Some((keeper, _)) if *keeper != shown.keeper => return Err(Doubt::OtherKeeper),
            Some((_, kept)) if *kept == shown.head => return Ok(News::Same),
            Some((_, kept)) if !shown.head.can_follow(kept) => return Err(Doubt::Contradicts),
            Some(_) | None => {}
        }
        self.0 = Some((shown.keeper, shown.head));
        Ok(News::Newer)
    }
}

/// Stores the newest head in place of the one before.
pub(super) async fn store(db: &impl ConnectionTrait, head: &SignedHead) -> Result<(), DbErr> {
    let again = OnConflict::columns([row::Column::Keeper, row::Column::Place])
        .update_columns([
            row::Column::Count,
            row::Column::Hash,
            row::Column::Signature,
            row::Column::At,
        ])
        .to_owned();
    row::Entity::insert(row(head, NEWEST)).on_conflict(again).exec_without_returning(db).await?;
    Ok(())
}

/// Keeps a head as evidence; false if enough is kept, or this very head is.
pub(crate) async fn keep_evidence(
    db: &impl ConnectionTrait,
    head: &SignedHead,
) -> Result<bool, DbErr> {
    let all = row::Entity::find().filter(row::Column::Place.ne(NEWEST));
    let kept = all.clone().filter(row::Column::Keeper.eq(head.keeper.to_string()));
    let same = kept
        .clone()
        .filter(row::Column::Count.eq(to_i64(head.head.count)))
        .filter(row::Column::Hash.eq(head.head.hash.to_string()));
    let count = kept.count(db).await?;
    let is_enough = count >= MAX_EVIDENCE || all.count(db).await? >= MAX_EVIDENCE * MAX_STRANGERS;
    if is_enough || same.count(db).await? > 0 {
        return Ok(false);
    }
    let place = i32::try_from(count).unwrap_or(i32::MAX).saturating_add(1);
    row::Entity::insert(row(head, place)).exec_without_returning(db).await?;
    Ok(true)
}

fn row(head: &SignedHead, place: i32) -> row::ActiveModel {
    row::ActiveModel {
        keeper: Set(head.keeper.to_string()),
        place: Set(place),
        count: Set(to_i64(head.head.count)),
        hash: Set(head.head.hash.to_string()),
        signature: Set(hex::encode(head.signature.to_bytes())),
        at: Set(to_i64(wall_clock().0)),
    }
}
