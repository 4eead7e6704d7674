//! Heads of the parties' audit logs, as they have shown them: of each party the newest, those that
//! were the newest when another connection began, and whatever contradicts one that it showed before.
//!
//! A log that was cut while its party was away and has grown beyond the newest head since does not
//! contradict it: more entries say nothing of those before. So what was witnessed over an earlier
//! connection is kept, and `mpc audit verify` compares it with the log.
//!
//! A party shows heads with its joins, declines and outcomes, so none of them may cost a commit: the
//! newest ones wait in memory for the next commit of whatever else is written, which follows soon,
//! or for the herald's. What a crash takes with it a party shows again.

use super::writer::Write;
use super::{Store, StoreError, audit, parse, to_i64};
use crate::audit::head_contradicts;
use crate::clock::Clock;
use mpc_wire::audit::Head;
use mpc_wire::{PartyId, SignedHead};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, PaginatorTrait, QueryFilter,
    QueryOrder, QueryResult, QuerySelect, Statement,
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Most contradicting heads that are kept of one keeper: a few are proof enough, and who forges
/// more of them must not fill the database.
const MAX_EVIDENCE: u64 = 16;

/// Most heads of earlier connections that are kept of one keeper. Beyond them every second one goes,
/// so that those that stay reach back over the whole time, however often the party connects again.
const MAX_EARLIER: usize = 256;

#[expect(unreachable_pub, reason = "sea-orm's derives make public items")]
mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Debug, Clone, DeriveEntityModel)]
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

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// The place of a keeper's newest head; evidence has the places behind it, and heads of earlier
/// connections have those before it, the latest the lowest.
const NEWEST: i32 = 0;

/// The newest heads, each column as a text: SQLite holds whatever was put into it, and one row that
/// is no head must not hide the others.
const NEWEST_ROWS: &str = "SELECT rowid, CAST(keeper AS TEXT), CAST(count AS TEXT), \
                           CAST(hash AS TEXT), CAST(signature AS TEXT) \
                           FROM witnessed_heads WHERE place = 0";

/// The last place of all.
const LAST_PLACE: &str = "SELECT MAX(place) FROM witnessed_heads WHERE typeof(place) = 'integer'";

/// Most rows that are set aside at a start: each has its entry, and who put more of them there must
/// not keep the coordinator from starting. The others are told at the next start.
const MAX_SET_ASIDE: usize = 256;

/// A row in the place of a newest head that is none, or that its keeper has not signed.
#[derive(Debug)]
pub(super) struct Unreadable {
    rowid: i64,
    pub(super) keeper: String,
    pub(super) found: Value,
}

/// What stands in the place of a newest head.
enum Kept {
    Head(SignedHead),
    Unreadable(Unreadable),
}

/// What a head is worth that a party has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Witnessed {
    /// It is kept, or was before.
    Taken,
    /// It is not signed by the party, or another's.
    NotItsHead,
    /// It cannot follow the one that is kept: it is to be kept as evidence.
    Contradicts,
}

/// The newest head of each party that has shown one. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Witnesses(Arc<Mutex<Shown>>);

#[derive(Debug, Default)]
struct Shown {
    newest: BTreeMap<PartyId, SignedHead>,
    /// Whose newest head was shown over the connection that the party has now.
    current: BTreeSet<PartyId>,
    unstored: BTreeMap<PartyId, SignedHead>,
    /// Heads of earlier connections that are to be stored besides. One of a party at a time: who
    /// connects again more often than anything is stored has that one remembered.
    earlier: BTreeMap<PartyId, SignedHead>,
}

/// What a commit takes along.
#[derive(Debug, Clone, Default)]
pub(super) struct Unstored {
    newest: Vec<SignedHead>,
    earlier: Vec<SignedHead>,
}

impl Unstored {
    fn is_empty(&self) -> bool {
        self.newest.is_empty() && self.earlier.is_empty()
    }
}

impl Witnesses {
    /// Begins with what is stored. A row that is no head is none: [`unreadable`] tells of it.
    pub(super) async fn load(db: &impl ConnectionTrait) -> Result<Self, StoreError> {
        let mut newest = BTreeMap::new();
        for kept in kept(db).await? {
            if let Kept::Head(head) = kept {
                newest.insert(head.keeper, head);
            }
        }
        Ok(Self(Arc::new(Mutex::new(Shown { newest, ..Shown::default() }))))
    }

    /// Takes a head whose signature holds; gives the one back that it contradicts, if it does.
    fn take(&self, shown: &SignedHead) -> Option<Head> {
        let mut known = self.lock();
        let party = shown.keeper;
        match known.newest.get(&party) {
            Some(kept) if !shown.head.can_follow(&kept.head) => return Some(kept.head),
            Some(kept) if shown.head == kept.head => return None,
            Some(_) | None => {}
        }
        let before = known.newest.insert(party, shown.clone());
        if known.current.insert(party)
            && let Some(before) = before
        {
            known.earlier.entry(party).or_insert(before);
        }
        known.unstored.insert(party, shown.clone());
        None
    }

    /// What the next commit is to store.
    pub(super) fn unstored(&self) -> Unstored {
        let known = self.lock();
        Unstored {
            newest: known.unstored.values().cloned().collect(),
            earlier: known.earlier.values().cloned().collect(),
        }
    }

    /// These are durable.
    pub(super) fn stored(&self, stored: &Unstored) {
        let known = &mut *self.lock();
        // Unless a newer one has come in the meantime.
        let forget = |waiting: &mut BTreeMap<PartyId, SignedHead>, heads: &[SignedHead]| {
            for head in heads {
                if waiting.get(&head.keeper) == Some(head) {
                    waiting.remove(&head.keeper);
                }
            }
        };
        forget(&mut known.unstored, &stored.newest);
        forget(&mut known.earlier, &stored.earlier);
    }

    /// Each change is one insertion: whatever panicked, the maps stay sound.
    fn lock(&self) -> MutexGuard<'_, Shown> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store {
    /// Takes the head of its audit log that a party has shown.
    pub(crate) fn witness(&self, from: PartyId, shown: &SignedHead) -> Witnessed {
        if shown.keeper != from || shown.verify().is_err() {
            return Witnessed::NotItsHead;
        }
        let Some(kept) = self.audit.witnesses.take(shown) else {
            return Witnessed::Taken;
        };
        let (kept, count) = (kept.count, shown.head.count);
        tracing::error!(
            party = %from, kept, shown = count,
            "the party's audit log contradicts what it showed before: it was cut or rewritten, or \
             the party was restored from a backup"
        );
        Witnessed::Contradicts
    }

    /// The party has another connection than before, and may have another log.
    pub(crate) fn reconnected(&self, party: PartyId) {
        self.audit.witnesses.lock().current.remove(&party);
    }

    /// Stores the parties' newest heads, if no other write has taken them along.
    pub(crate) async fn keep_witnessed(&self) -> Result<(), StoreError> {
        if self.audit.witnesses.unstored().is_empty() {
            return Ok(());
        }
        self.begin().await?.commit().await
    }

    /// Keeps a head that contradicts another one of its keeper.
    pub(crate) async fn keep_evidence(&self, head: SignedHead) -> Result<(), StoreError> {
        self.queue.write(Write::Contradiction(head)).await?;
        Ok(())
    }
}

/// What stands in the place of each newest head.
async fn kept(db: &impl ConnectionTrait) -> Result<Vec<Kept>, StoreError> {
    let statement = Statement::from_string(db.get_database_backend(), NEWEST_ROWS);
    let rows = db.query_all_raw(statement).await?;
    Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
}

fn read(row: &QueryResult) -> Result<Kept, sea_orm::DbErr> {
    // A text may be none of Unicode.
    let text = |at| row.try_get_by_index::<String>(at).unwrap_or_default();
    let (rowid, [keeper, count, hash, signature]) =
        (row.try_get_by_index(0)?, [1, 2, 3, 4].map(text));
    Ok(match signed(&keeper, &count, &hash, &signature) {
        Ok(head) => Kept::Head(head),
        Err(error) => {
            let error = error.to_string();
            let found = json!({ "error": error, "count": count, "hash": hash });
            Kept::Unreadable(Unreadable { rowid, keeper, found })
        }
    })
}

fn signed(
    keeper: &str,
    count: &str,
    hash: &str,
    signature: &str,
) -> Result<SignedHead, StoreError> {
    const WHAT: &str = "witnessed head";
    let head = Head { count: parse(WHAT, count)?, hash: parse(WHAT, hash)? };
    let signature = audit::signature(signature)?;
    let shown = SignedHead { keeper: parse(WHAT, keeper)?, head, signature };
    match shown.verify() {
        Ok(_) => Ok(shown),
        Err(error) => Err(StoreError::Corrupt { what: WHAT, detail: error.to_string() }),
    }
}

/// The rows that stand in the places of newest heads and are none.
pub(super) async fn unreadable(db: &impl ConnectionTrait) -> Result<Vec<Unreadable>, StoreError> {
    let of_none = |kept| match kept {
        Kept::Head(_) => None,
        Kept::Unreadable(unreadable) => Some(unreadable),
    };
    Ok(kept(db).await?.into_iter().filter_map(of_none).take(MAX_SET_ASIDE).collect())
}

/// Takes a row out of the place of a newest head, which the next one of its keeper would overwrite,
/// and keeps it as evidence.
pub(super) async fn set_aside(
    txn: &DatabaseTransaction,
    unreadable: &Unreadable,
) -> Result<(), StoreError> {
    row::Entity::update_many()
        .col_expr(row::Column::Place, Expr::cust(format!("1 + ({LAST_PLACE})")))
        .filter(Expr::cust_with_values("rowid = ?", [unreadable.rowid]))
        .exec(txn)
        .await?;
    Ok(())
}

/// Stores the newest head of each of some keepers, and what it was before.
pub(super) async fn store(
    txn: &DatabaseTransaction,
    unstored: &Unstored,
) -> Result<(), StoreError> {
    for head in &unstored.earlier {
        keep_earlier(txn, head).await?;
    }
    if unstored.newest.is_empty() {
        return Ok(());
    }
    let again = OnConflict::columns([row::Column::Keeper, row::Column::Place])
        .update_columns([
            row::Column::Count,
            row::Column::Hash,
            row::Column::Signature,
            row::Column::At,
        ])
        .to_owned();
    row::Entity::insert_many(unstored.newest.iter().map(|head| row(head, NEWEST)))
        .on_conflict(again)
        .exec_without_returning(txn)
        .await?;
    Ok(())
}

async fn keep_earlier(txn: &DatabaseTransaction, head: &SignedHead) -> Result<(), StoreError> {
    let mut kept: Vec<i32> = row::Entity::find()
        .select_only()
        .column(row::Column::Place)
        .filter(row::Column::Keeper.eq(head.keeper.to_string()))
        .filter(row::Column::Place.lt(NEWEST))
        .order_by_desc(row::Column::Place)
        .into_tuple()
        .all(txn)
        .await?;
    if kept.len() >= MAX_EARLIER {
        let (gone, stay): (Vec<_>, Vec<_>) =
            kept.into_iter().enumerate().partition(|(at, _)| at % 2 == 1);
        row::Entity::delete_many()
            .filter(row::Column::Keeper.eq(head.keeper.to_string()))
            .filter(row::Column::Place.is_in(gone.into_iter().map(|(_, place)| place)))
            .exec(txn)
            .await?;
        kept = stay.into_iter().map(|(_, place)| place).collect();
    }
    let place = kept.last().map_or(NEWEST, |latest| *latest).saturating_sub(1);
    row::Entity::insert(row(head, place)).exec_without_returning(txn).await?;
    Ok(())
}

/// Keeps a head that contradicts another, and enters that, unless there is enough of it.
pub(super) async fn contradicted(
    writing: &mut audit::Writing,
    head: &SignedHead,
) -> Result<(), StoreError> {
    if keep_evidence(writing.txn(), head).await? {
        writing.enter(head_contradicts(head));
    }
    Ok(())
}

/// Keeps a head as evidence; false if enough is kept of its keeper, or this very head.
pub(super) async fn keep_evidence(
    txn: &DatabaseTransaction,
    head: &SignedHead,
) -> Result<bool, StoreError> {
    let kept = row::Entity::find()
        .filter(row::Column::Keeper.eq(head.keeper.to_string()))
        .filter(row::Column::Place.gt(NEWEST));
    let same = kept
        .clone()
        .filter(row::Column::Count.eq(to_i64(head.head.count)))
        .filter(row::Column::Hash.eq(head.head.hash.to_string()));
    let count = kept.clone().count(txn).await?;
    if count >= MAX_EVIDENCE || same.count(txn).await? > 0 {
        return Ok(false);
    }
    let last: Option<i32> = kept
        .select_only()
        .column_as(row::Column::Place.max(), "place")
        .into_tuple()
        .one(txn)
        .await?
        .flatten();
    let place = last.unwrap_or(NEWEST).saturating_add(1);
    row::Entity::insert(row(head, place)).exec_without_returning(txn).await?;
    Ok(true)
}

fn row(head: &SignedHead, place: i32) -> row::ActiveModel {
    row::ActiveModel {
        keeper: Set(head.keeper.to_string()),
        place: Set(place),
        count: Set(to_i64(head.head.count)),
        hash: Set(head.head.hash.to_string()),
        signature: Set(hex::encode(head.signature.to_bytes())),
        at: Set(to_i64(Clock::start().wall().0)),
    }
}
