//! The audit log: entries chained by hashes, each in the same commit as what it describes.

use super::witnessed::{self, Witnesses};
use super::writer::{self, Write};
use super::{Store, StoreError, parse, to_i64, to_u64};
use crate::audit;
use crate::clock::Clock;
use mpc_wire::audit::{Entry, Head, Note};
use mpc_wire::{Identity, PartySignature, SignedHead};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ColumnTrait, ConnAcquireErr, ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr,
    EntityTrait, QueryFilter, QueryOrder, QuerySelect,
};
use serde_json::{Value, json};
use std::fmt;
use std::sync::Arc;
use tokio::sync::{Mutex, OwnedMutexGuard, watch};
use tokio::time::timeout;

#[expect(unreachable_pub, reason = "sea-orm's derives make public items")]
mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Debug, Clone, DeriveEntityModel)]
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

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

#[expect(unreachable_pub, reason = "sea-orm's derives make public items")]
mod head {
    use sea_orm::entity::prelude::*;

    #[derive(Debug, Clone, DeriveEntityModel)]
    #[sea_orm(table_name = "audit_head")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: i32,
        pub keeper: String,
        pub count: i64,
        pub hash: String,
        pub signature: String,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// The id of the one row of signed heads.
const HEAD_ID: i32 = 1;

/// Where the log ends. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct AuditLog {
    end: Arc<Mutex<End>>,
    newest: watch::Sender<Option<SignedHead>>,
    pub(super) witnesses: Witnesses,
}

#[derive(Debug, Default)]
struct End {
    /// None while it is not known whether a commit took place: it is read again then.
    head: Option<Head>,
    /// Who signs the heads; there once the coordinator has started.
    keeper: Option<Identity>,
}

impl AuditLog {
    pub(super) fn new(witnesses: Witnesses) -> Self {
        Self { end: Arc::default(), newest: watch::Sender::new(None), witnesses }
    }

    /// Begins a transaction. Those who want to write wait here for each other: the log has one
    /// end.
    pub(super) async fn begin(&self, db: &DatabaseConnection) -> Result<Writing, StoreError> {
        let end = timeout(super::PATIENCE, Arc::clone(&self.end).lock_owned())
            .await
            .map_err(|_| DbErr::ConnectionAcquire(ConnAcquireErr::Timeout))?;
        let txn = writer::begin(db).await?;
        let known = end.head;
        let entered = Vec::new();
        let mut writing = Writing { txn, end, head: Head::EMPTY, entered, log: self.clone() };
        match known {
            Some(head) => writing.head = head,
            None => writing.go_on_from(read_end(writing.txn()).await?),
        }
        Ok(writing)
    }
}

/// A transaction that can enter into the log.
#[derive(Debug)]
pub(super) struct Writing {
    txn: DatabaseTransaction,
    end: OwnedMutexGuard<End>,
    /// Where the log ends with what was entered.
    head: Head,
    entered: Vec<row::ActiveModel>,
    log: AuditLog,
}

impl Writing {
    pub(super) fn txn(&self) -> &DatabaseTransaction {
        &self.txn
    }

    /// Enters a note; it becomes durable with all else in this transaction, or not at all.
    pub(super) fn enter(&mut self, note: Note) {
        let (entry, head) = self.head.append(Clock::start().wall(), note);
        self.entered.push(row(entry, &head));
        self.head = head;
    }

    /// Goes on behind the last entry. If there is no telling what that was, the log goes on all the
    /// same: its chain begins anew there, which cannot be overlooked, and says why.
    fn go_on_from(&mut self, end: StoredEnd) {
        match end {
            StoredEnd::Head(head) => self.head = head,
            StoredEnd::Unreadable { number, hash } => {
                self.head = Head { count: number, hash: Head::EMPTY.hash };
                let found = json!({ "count": number, "hash": hash });
                self.doubt(Fault::EndUnreadable, audit::COORDINATOR, &found);
            }
        }
    }

    /// Compares the log with the head of it that was signed last.
    async fn compare(&mut self, before: &SignedHead, keeper: &Identity) -> Result<(), StoreError> {
        let Some(fault) = fault_of(before, keeper, &self.txn).await? else {
            return Ok(());
        };
        if fault == Fault::Cut && before.head.count > self.head.count {
            // Numbers that were given are not given again, so that the gap stays to be seen.
            self.head = before.head;
        }
        let found = json!({ "count": before.head.count, "hash": before.head.hash });
        self.doubt(fault, before.keeper, &found);
        witnessed::keep_evidence(&self.txn, before).await?;
        Ok(())
    }

    /// Tells and enters that the log is not as it was left.
    fn doubt(&mut self, fault: Fault, keeper: impl fmt::Display, found: &Value) {
        tracing::error!(
            fault = fault.name(),
            %found,
            "the audit log is not as it was left: see `mpc audit verify`"
        );
        self.enter(audit::own_log_in_doubt(keeper, fault.name(), found));
    }

    /// Makes everything durable, and shows the log's new head then.
    pub(super) async fn commit(mut self) -> Result<(), StoreError> {
        // Until the commit is known to have taken place, or not, nothing is known of the end.
        self.end.head = None;
        let signed = if self.entered.is_empty() { None } else { self.enter_all().await? };
        let shown = self.log.witnesses.unstored();
        witnessed::store(&self.txn, &shown).await?;
        self.txn.commit().await?;
        self.end.head = Some(self.head);
        self.log.witnesses.stored(&shown);
        if signed.is_some() {
            self.log.newest.send_replace(signed);
        }
        Ok(())
    }

    pub(super) async fn rollback(self) -> Result<(), StoreError> {
        Ok(self.txn.rollback().await?)
    }

    async fn enter_all(&mut self) -> Result<Option<SignedHead>, StoreError> {
        let entered = std::mem::take(&mut self.entered);
        row::Entity::insert_many(entered).exec_without_returning(&self.txn).await?;
        let Some(keeper) = &self.end.keeper else {
            return Ok(None);
        };
        let signed = SignedHead::sign(keeper, self.head);
        let newest = head::ActiveModel {
            id: Set(HEAD_ID),
            keeper: Set(signed.keeper.to_string()),
            count: Set(to_i64(signed.head.count)),
            hash: Set(signed.head.hash.to_string()),
            signature: Set(hex::encode(signed.signature.to_bytes())),
        };
        let again = OnConflict::column(head::Column::Id)
            .update_columns([
                head::Column::Keeper,
                head::Column::Count,
                head::Column::Hash,
                head::Column::Signature,
            ])
            .to_owned();
        head::Entity::insert(newest).on_conflict(again).exec_without_returning(&self.txn).await?;
        Ok(Some(signed))
    }
}

impl Store {
    /// Signs the log's heads from now on, and enters the start. What was signed before must still
    /// be what the log holds, and what is kept of others' heads be signed by them; else that is
    /// told, entered, and kept as evidence.
    pub(crate) async fn keep_audit(&self, keeper: Identity) -> Result<(), StoreError> {
        let mut writing = self.begin().await?;
        match last_signed(writing.txn()).await? {
            LastSigned::Head(before) => writing.compare(&before, &keeper).await?,
            LastSigned::Unreadable { row, error } => {
                let head::Model { id: _, keeper: by, count, hash, signature } = row;
                let error = error.to_string();
                let found = json!({
                    "error": error, "keeper": by, "count": count, "hash": hash,
                    "signature": signature,
                });
                writing.doubt(Fault::HeadUnreadable, keeper.party(), &found);
            }
            LastSigned::Nothing if was_kept(writing.txn()).await? => {
                let count = writing.head.count;
                writing.doubt(Fault::HeadLost, keeper.party(), &json!({ "count": count }));
            }
            LastSigned::Nothing => {}
        }
        for row in witnessed::unreadable(writing.txn()).await? {
            witnessed::set_aside(writing.txn(), &row).await?;
            writing.doubt(Fault::WitnessUnreadable, &row.keeper, &row.found);
        }
        writing.enter(audit::started());
        writing.end.keeper = Some(keeper);
        writing.commit().await
    }

    /// Enters a note about something of which nothing else is stored.
    pub(crate) async fn note(&self, note: Note) -> Result<(), StoreError> {
        self.queue.write(Write::Note(note)).await?;
        Ok(())
    }

    /// The signed head of the log as it is durable now; none before the coordinator has started.
    pub(crate) fn audit_head(&self) -> Option<SignedHead> {
        self.audit.newest.borrow().clone()
    }

    /// Tells of every new head.
    pub(crate) fn audit_heads(&self) -> watch::Receiver<Option<SignedHead>> {
        self.audit.newest.subscribe()
    }
}

/// What can be wrong with the log as it is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// No head is there, although the log was kept before.
    HeadLost,
    /// The head is not in the form of one.
    HeadUnreadable,
    /// The head was signed by somebody else, or under another secret.
    AnotherKeeper,
    /// The head was altered.
    HeadNotSigned,
    /// The log ends before the head that was signed.
    Cut,
    /// The entry of the head that was signed is another one.
    Rewritten,
    /// The hash of the last entry is none.
    EndUnreadable,
    /// What is kept as a party's newest head is none, or not signed by it.
    WitnessUnreadable,
}

impl Fault {
    const fn name(self) -> &'static str {
        match self {
            Self::HeadLost => "head_lost",
            Self::HeadUnreadable => "head_unreadable",
            Self::AnotherKeeper => "another_keeper",
            Self::HeadNotSigned => "head_not_signed",
            Self::Cut => "cut",
            Self::Rewritten => "rewritten",
            Self::EndUnreadable => "end_unreadable",
            Self::WitnessUnreadable => "witness_unreadable",
        }
    }
}

/// What is wrong with a log whose head was signed as `before`, if anything is.
async fn fault_of(
    before: &SignedHead,
    keeper: &Identity,
    db: &impl ConnectionTrait,
) -> Result<Option<Fault>, StoreError> {
    if before.keeper != keeper.party() {
        return Ok(Some(Fault::AnotherKeeper));
    }
    if before.verify().is_err() {
        return Ok(Some(Fault::HeadNotSigned));
    }
    let hash = match before.head.count {
        0 => Some(Head::EMPTY.hash.to_string()),
        count => hash_of(db, count).await?,
    };
    Ok(match hash {
        None => Some(Fault::Cut),
        // Compared as text: what is no hash at all is another one, too.
        Some(hash) if hash != before.head.hash.to_string() => Some(Fault::Rewritten),
        Some(_) => None,
    })
}

async fn hash_of(db: &impl ConnectionTrait, number: u64) -> Result<Option<String>, StoreError> {
    let row = row::Entity::find_by_id(to_i64(number)).one(db).await?;
    Ok(row.map(|row| row.hash))
}

/// Whether the log was kept before: its first head came with the entry of the first start.
async fn was_kept(db: &impl ConnectionTrait) -> Result<bool, StoreError> {
    let start = row::Entity::find().filter(row::Column::Event.eq(audit::STARTED));
    Ok(start.one(db).await?.is_some())
}

/// What is stored of the head that was signed last.
enum LastSigned {
    Nothing,
    Unreadable { row: head::Model, error: StoreError },
    Head(SignedHead),
}

async fn last_signed(db: &impl ConnectionTrait) -> Result<LastSigned, StoreError> {
    let Some(row) = head::Entity::find_by_id(HEAD_ID).one(db).await? else {
        return Ok(LastSigned::Nothing);
    };
    Ok(match signed_head(&row) {
        Ok(head) => LastSigned::Head(head),
        Err(error) => LastSigned::Unreadable { row, error },
    })
}

fn signed_head(row: &head::Model) -> Result<SignedHead, StoreError> {
    let head =
        Head { count: to_u64(row.count), hash: parse("hash of the audit log's head", &row.hash)? };
    let keeper = parse("keeper of the audit log", &row.keeper)?;
    Ok(SignedHead { keeper, head, signature: signature(&row.signature)? })
}

/// Reads a stored signature.
pub(super) fn signature(digits: &str) -> Result<PartySignature, StoreError> {
    let corrupt = |detail| StoreError::Corrupt { what: "signature of an audit log's head", detail };
    let bytes = hex::decode(digits).map_err(|error| corrupt(error.to_string()))?;
    PartySignature::from_bytes(&bytes).map_err(|error| corrupt(error.to_string()))
}

/// Where the stored log ends.
enum StoredEnd {
    Head(Head),
    /// At an entry whose hash is none.
    Unreadable {
        number: u64,
        hash: String,
    },
}

async fn read_end(db: &impl ConnectionTrait) -> Result<StoredEnd, StoreError> {
    let last: Option<(i64, String)> = row::Entity::find()
        .select_only()
        .columns([row::Column::Number, row::Column::Hash])
        .order_by_desc(row::Column::Number)
        .into_tuple()
        .one(db)
        .await?;
    let Some((number, hash)) = last else {
        return Ok(StoredEnd::Head(Head::EMPTY));
    };
    let count = to_u64(number);
    Ok(match hash.parse() {
        Ok(hash) => StoredEnd::Head(Head { count, hash }),
        Err(_) => StoredEnd::Unreadable { number: count, hash },
    })
}

fn row(entry: Entry, head: &Head) -> row::ActiveModel {
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
        hash: Set(head.hash.to_string()),
    }
}

#[cfg(test)]
mod tests;
