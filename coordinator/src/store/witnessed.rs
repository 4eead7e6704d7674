//! Heads of the parties' audit logs, as they have shown them: of each party the newest, and
//! whatever contradicts one that it showed before.
//!
//! A party shows a head with every join, so none of them may cost a commit: the newest ones wait in
//! memory for the next commit of whatever else is written, which follows each join soon. What a
//! crash takes with it a party shows again.

use super::writer::Write;
use super::{Store, StoreError, audit, parse, to_i64, to_u64};
use crate::audit::head_contradicts;
use crate::clock::Clock;
use mpc_wire::audit::Head;
use mpc_wire::{PartyId, SignedHead};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, PaginatorTrait, QueryFilter,
};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Most contradicting heads that are kept of one keeper: a few are proof enough, and who forges
/// more of them must not fill the database.
const MAX_EVIDENCE: u64 = 16;

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

/// The place of a keeper's newest head; evidence has the places behind it.
const NEWEST: i32 = 0;

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
    newest: BTreeMap<PartyId, Head>,
    unstored: BTreeMap<PartyId, SignedHead>,
}

impl Witnesses {
    /// Begins with what is stored.
    pub(super) async fn load(db: &impl ConnectionTrait) -> Result<Self, StoreError> {
        let rows = row::Entity::find().filter(row::Column::Place.eq(NEWEST)).all(db).await?;
        let newest = rows
            .into_iter()
            .map(|row| {
                let hash = parse("hash of a witnessed head", &row.hash)?;
                Ok((parse("keeper", &row.keeper)?, Head { count: to_u64(row.count), hash }))
            })
            .collect::<Result<_, StoreError>>()?;
        Ok(Self(Arc::new(Mutex::new(Shown { newest, unstored: BTreeMap::new() }))))
    }

    /// Takes a head whose signature holds; gives the one back that it contradicts, if it does.
    fn take(&self, shown: &SignedHead) -> Option<Head> {
        let mut known = self.lock();
        match known.newest.get(&shown.keeper) {
            Some(kept) if !shown.head.can_follow(kept) => return Some(*kept),
            Some(kept) if shown.head == *kept => return None,
            Some(_) | None => {}
        }
        known.newest.insert(shown.keeper, shown.head);
        known.unstored.insert(shown.keeper, shown.clone());
        None
    }

    /// What the next commit is to store.
    pub(super) fn unstored(&self) -> Vec<SignedHead> {
        self.lock().unstored.values().cloned().collect()
    }

    /// These are durable.
    pub(super) fn stored(&self, heads: &[SignedHead]) {
        let mut known = self.lock();
        for head in heads {
            // Unless a newer one has come in the meantime.
            if known.unstored.get(&head.keeper) == Some(head) {
                known.unstored.remove(&head.keeper);
            }
        }
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

    /// Keeps a head that contradicts another one of its keeper.
    pub(crate) async fn keep_evidence(&self, head: SignedHead) -> Result<(), StoreError> {
        self.queue.write(Write::Contradiction(head)).await?;
        Ok(())
    }
}

/// Stores the newest head of each of some keepers.
pub(super) async fn store(
    txn: &DatabaseTransaction,
    heads: &[SignedHead],
) -> Result<(), StoreError> {
    if heads.is_empty() {
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
    row::Entity::insert_many(heads.iter().map(|head| row(head, NEWEST)))
        .on_conflict(again)
        .exec_without_returning(txn)
        .await?;
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
        .filter(row::Column::Place.ne(NEWEST));
    let same = kept
        .clone()
        .filter(row::Column::Count.eq(to_i64(head.head.count)))
        .filter(row::Column::Hash.eq(head.head.hash.to_string()));
    let count = kept.count(txn).await?;
    if count >= MAX_EVIDENCE || same.count(txn).await? > 0 {
        return Ok(false);
    }
    let place = i32::try_from(count).unwrap_or(i32::MAX).saturating_add(1);
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
