//! Heads of the coordinator's audit log, as it has shown them: the newest, those that were the newest
//! when another connection began, and whatever contradicts one that was shown before.
//!
//! A log that was cut while nobody looked and has grown beyond the newest head since does not
//! contradict it: more entries say nothing of those before. So what was witnessed over an earlier
//! connection is kept, and `mpc audit verify` compares it with the log.

use super::log::to_i64;
use crate::policy::gate::wall_clock;
use mpc_wire::audit::Head;
use mpc_wire::{PartySignature, SignedHead};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect,
};

/// Most contradicting heads that are kept of one keeper: a few are proof enough, and who forges
/// more of them must not fill the database.
const MAX_EVIDENCE: u64 = 16;

/// Most heads of earlier connections that are kept. Beyond them every second one goes, so that those
/// that stay reach back over the whole time, however often somebody has the party connect again.
const MAX_EARLIER: usize = 256;

/// Most keepers of whom contradicting heads are kept: anybody can make keys.
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

/// The place of the newest head; evidence has the places behind it, and heads of earlier connections
/// have those before it, the latest the lowest.
const NEWEST: i32 = 0;

/// The newest head that was shown, and whose it is: the keeper of the first one is the only one
/// whose heads are believed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Witness {
    newest: Option<SignedHead>,
    /// Whether it was shown over this connection.
    is_of_this_connection: bool,
}

/// What a head that is believed says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum News {
    /// More than the one before.
    Newer {
        /// The one before, if an earlier connection brought it.
        earlier: Option<SignedHead>,
    },
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
        // A row that was made unreadable is none: the next head is the first one again.
        Ok(Self { newest: rows.iter().find_map(read), is_of_this_connection: false })
    }

    /// The coordinator has another connection than before, and may have another log.
    pub(super) fn reconnected(&mut self) {
        self.is_of_this_connection = false;
    }

    /// Takes a head whose signature holds, or says what speaks against it.
    pub(super) fn judge(&mut self, shown: &SignedHead) -> Result<News, Doubt> {
        match &self.newest {
            Some(kept) if kept.keeper != shown.keeper => return Err(Doubt::OtherKeeper),
            Some(kept) if kept.head == shown.head => return Ok(News::Same),
            Some(kept) if !shown.head.can_follow(&kept.head) => return Err(Doubt::Contradicts),
            Some(_) | None => {}
        }
        let before = self.newest.replace(shown.clone());
        let earlier = before.filter(|_| !self.is_of_this_connection);
        self.is_of_this_connection = true;
        Ok(News::Newer { earlier })
    }
}

fn read(row: &row::Model) -> Option<SignedHead> {
    let signature = PartySignature::from_bytes(&hex::decode(&row.signature).ok()?).ok()?;
    let head = Head { count: u64::try_from(row.count).ok()?, hash: row.hash.parse().ok()? };
    Some(SignedHead { keeper: row.keeper.parse().ok()?, head, signature })
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

/// Keeps a head that an earlier connection brought, before the newest one takes its place.
pub(super) async fn keep_earlier(
    db: &impl ConnectionTrait,
    head: &SignedHead,
) -> Result<(), DbErr> {
    let mut kept: Vec<i32> = row::Entity::find()
        .select_only()
        .column(row::Column::Place)
        .filter(row::Column::Keeper.eq(head.keeper.to_string()))
        .filter(row::Column::Place.lt(NEWEST))
        .order_by_desc(row::Column::Place)
        .into_tuple()
        .all(db)
        .await?;
    if kept.len() >= MAX_EARLIER {
        let (gone, stay): (Vec<_>, Vec<_>) =
            kept.into_iter().enumerate().partition(|(at, _)| at % 2 == 1);
        row::Entity::delete_many()
            .filter(row::Column::Keeper.eq(head.keeper.to_string()))
            .filter(row::Column::Place.is_in(gone.into_iter().map(|(_, place)| place)))
            .exec(db)
            .await?;
        kept = stay.into_iter().map(|(_, place)| place).collect();
    }
    let place = kept.last().map_or(NEWEST, |latest| *latest).saturating_sub(1);
    row::Entity::insert(row(head, place)).exec_without_returning(db).await?;
    Ok(())
}

/// Keeps a head as evidence; false if enough is kept, or this very head is.
pub(crate) async fn keep_evidence(
    db: &impl ConnectionTrait,
    head: &SignedHead,
) -> Result<bool, DbErr> {
    let all = row::Entity::find().filter(row::Column::Place.gt(NEWEST));
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
