//! Whether the ledger is as the party left it.
//!
//! Who can write the file need not touch a row: a trigger deletes rows in the party's own
//! transactions, an index that was emptied hides them from a query, a table with another constraint
//! replaces them. So the schema, the indexes and the types are compared as well as the rows.
//!
//! That is as much work as reading the whole table. It is done when a connection is new, and again
//! as soon as SQLite says that somebody else has written the file (`PRAGMA data_version`); the
//! party's own writes keep the tally. So a change by way of SQLite, whoever makes it, is seen before
//! the next request. What is not seen so soon are bytes that are written into the file past SQLite
//! while the party runs: they are with the next comparison.

use super::rows::{Column, Entity};
use super::tally::Tally;
use crate::vault::{VaultError, VaultTransaction};
use migrations::party::{LEDGER_SCHEMA, TRIGGERS};
use sea_orm::{ConnectionTrait, DbErr, EntityTrait, Statement};
use std::collections::BTreeSet;

/// Rows that are held in memory at a time.
const PAGE: u64 = 1024;

/// In what the ledger differs from what the party left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LedgerFault {
    /// Rows were deleted or inserted, or older ones put back.
    #[error("{found} rows lie where {stored} were stored")]
    Count {
        /// How many the party has stored.
        stored: u64,
        /// How many there are.
        found: u64,
    },
    /// Rows were altered, or others put in their place.
    #[error("rows are not those that were stored")]
    Rows,
    /// The table, one of its indexes or a trigger is not what the party's migrations made.
    #[error("the table, an index or a trigger was changed")]
    Schema,
    /// An index does not list what its table has.
    #[error("an index does not fit its table")]
    Index,
}

/// The sealed tally, once the rows have been found to fit it.
pub(super) async fn checked(transaction: &mut VaultTransaction) -> Result<Tally, VaultError> {
    let tally = Tally::read(transaction).await?;
    let db = transaction.connection();
    let version = number(db, "PRAGMA data_version").await?;
    // What this connection has compared last is noted in its own temporary database: a new
    // connection begins with 0, and counts anew what others write.
    if number(db, "PRAGMA temp.user_version").await? != version {
        compare(db, &tally).await?;
        db.execute_unprepared(&format!("PRAGMA temp.user_version = {version}")).await?;
    }
    Ok(tally)
}

async fn compare(db: &impl ConnectionTrait, tally: &Tally) -> Result<(), VaultError> {
    if !is_schema_ours(db).await? {
        return Err(LedgerFault::Schema.into());
    }
    if !are_indexes_whole(db).await? {
        return Err(LedgerFault::Index.into());
    }
    if number(db, MISTYPED).await? > 0 {
        return Err(LedgerFault::Rows.into());
    }
    let found = add_up(db, tally).await?;
    if found.is_of_the_same(tally) {
        Ok(())
    } else if found.rows() == tally.rows() {
        Err(LedgerFault::Rows.into())
    } else {
        Err(LedgerFault::Count { stored: tally.rows(), found: found.rows() }.into())
    }
}

async fn add_up(db: &impl ConnectionTrait, tally: &Tally) -> Result<Tally, DbErr> {
    let mut found = tally.emptied();
    let mut after: Option<Vec<u8>> = None;
    loop {
        let mut cursor = Entity::find().cursor_by(Column::RequestId);
        if let Some(after) = after.take() {
            cursor.after(after);
        }
        let rows = cursor.first(PAGE).all(db).await?;
        rows.iter().for_each(|row| found.enter(row));
        match rows.into_iter().next_back() {
            Some(last) => after = Some(last.request_id),
            None => return Ok(found),
        }
    }
}

/// The same bytes under another type are another value to a query, and the same one to who reads
/// the row.
const MISTYPED: &str = "SELECT count(*) FROM used_requests WHERE typeof(request_id) <> 'blob' \
     OR typeof(session_id) <> 'blob' OR typeof(intent_hash) <> 'blob' OR typeof(kind) <> 'text' \
     OR typeof(account_id) NOT IN ('blob', 'null') OR typeof(requester) NOT IN ('text', 'null') \
     OR typeof(admitted_at) <> 'integer' OR typeof(forget_at) <> 'integer'";

/// Everything that decides what becomes of the table's rows.
const SCHEMA: &str = "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL \
     AND (type = 'trigger' OR tbl_name = 'used_requests' COLLATE NOCASE)";

async fn is_schema_ours(db: &impl ConnectionTrait) -> Result<bool, DbErr> {
    let found = texts(db, SCHEMA).await?;
    let found: BTreeSet<_> = found.iter().map(String::as_str).collect();
    Ok(found == LEDGER_SCHEMA.into_iter().chain(TRIGGERS).collect())
}

async fn are_indexes_whole(db: &impl ConnectionTrait) -> Result<bool, DbErr> {
    Ok(texts(db, "PRAGMA integrity_check('used_requests')").await? == ["ok"])
}

/// The first column of each row.
async fn texts(db: &impl ConnectionTrait, sql: &str) -> Result<Vec<String>, DbErr> {
    let statement = Statement::from_string(db.get_database_backend(), sql);
    db.query_all_raw(statement).await?.iter().map(|row| row.try_get_by_index(0)).collect()
}

async fn number(db: &impl ConnectionTrait, sql: &str) -> Result<i64, DbErr> {
    let statement = Statement::from_string(db.get_database_backend(), sql);
    let row = db.query_one_raw(statement).await?;
    row.ok_or_else(|| DbErr::RecordNotFound(sql.to_owned()))?.try_get_by_index(0)
}
