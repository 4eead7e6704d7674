//! What somebody can do to an audit log who can write its database: without a key, and with the one
//! that signs its heads.

use mpc_wire::audit::{Entry, Head};
use mpc_wire::{EntryHash, Identity, PartyId, PartySignature, SignedHead, UnixMillis};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, Statement};
use std::path::Path;

/// A deed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Tampering {
    /// Changes one column of an entry.
    Alter { number: u64, column: &'static str },
    /// Sets one column of an entry.
    Set { number: u64, column: &'static str, value: &'static str },
    /// Deletes an entry.
    Delete { number: u64 },
    /// Deletes an entry and gives those behind it the numbers that follow.
    DeleteAndCloseUp { number: u64 },
    /// Exchanges two entries.
    Swap { a: u64, b: u64 },
    /// Rewrites an entry, and computes its hash and all behind it anew.
    Recompute { from: u64 },
    /// Adds an entry that follows.
    Append,
    /// Deletes all entries, and the keeper's own head.
    Empty,
    /// Deletes what the keeper was shown of others' heads.
    ForgetOthers,
    /// Deletes all entries behind this one.
    CutBehind { number: u64 },
    /// Deletes the last entry of this event, gives those behind it the numbers that follow, and
    /// computes their hashes anew.
    Forget { event: &'static str },
    /// Changes something else.
    Sql(&'static str),
    /// Signs the head anew, with a key of one's own.
    SignWithAnotherKey,
    /// Keeps a party's log and what its head is sealed in.
    Keep,
    /// Puts both back as they were kept.
    PutBack,
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Does it.
pub(crate) fn tamper(database: &Path, deed: &Tampering) {
    block_on(async {
        let db = open(database).await;
        for trigger in ["audit_log_is_never_changed", "audit_log_is_never_cut"] {
            run(&db, &format!("DROP TRIGGER IF EXISTS {trigger}")).await;
        }
        apply(&db, deed).await;
        // Not left in the log of writes: the file is copied on.
        run(&db, "PRAGMA wal_checkpoint(TRUNCATE)").await;
        db.close().await.unwrap();
    });
}

async fn apply(db: &DatabaseConnection, deed: &Tampering) {
    match *deed {
        Tampering::Keep => {
            run(db, "CREATE TABLE kept_log AS SELECT * FROM audit_log").await;
            let root = "SELECT * FROM sealed_records WHERE kind = 'manifest'";
            run(db, &format!("CREATE TABLE kept_root AS {root}")).await;
        }
        Tampering::PutBack => {
            run(db, "DELETE FROM audit_log").await;
            run(db, "INSERT INTO audit_log SELECT * FROM kept_log").await;
            run(db, "INSERT OR REPLACE INTO sealed_records SELECT * FROM kept_root").await;
        }
        Tampering::Alter { number, column: "at" } => {
            run(db, &format!("UPDATE audit_log SET at = at + 1 WHERE number = {number}")).await;
        }
        Tampering::Alter { number, column: "hash" } => {
            let other = "f".repeat(64);
            run(db, &format!("UPDATE audit_log SET hash = '{other}' WHERE number = {number}"))
                .await;
        }
        Tampering::Alter { number, column } => {
            let sql =
                format!("UPDATE audit_log SET {column} = {column} || 'x' WHERE number = {number}");
            run(db, &sql).await;
        }
        Tampering::Set { number, column, value } => {
            let sql = format!("UPDATE audit_log SET {column} = ? WHERE number = {number}");
            let statement =
                Statement::from_sql_and_values(db.get_database_backend(), sql, [value.into()]);
            db.execute_raw(statement).await.unwrap();
        }
        Tampering::Delete { number } => {
            run(db, &format!("DELETE FROM audit_log WHERE number = {number}")).await;
        }
        Tampering::DeleteAndCloseUp { number } => {
            run(db, &format!("DELETE FROM audit_log WHERE number = {number}")).await;
            // One after the other: two rows cannot have one number even for a moment.
            for next in rows(db).await.iter().map(|(entry, _)| entry.number).filter(|n| *n > number)
            {
                let sql = format!("UPDATE audit_log SET number = number - 1 WHERE number = {next}");
                run(db, &sql).await;
            }
        }
        Tampering::Swap { a, b } => {
            for (from, to) in [(a, -1_i64), (b, a.cast_signed())] {
                run(db, &format!("UPDATE audit_log SET number = {to} WHERE number = {from}")).await;
            }
            run(db, &format!("UPDATE audit_log SET number = {b} WHERE number = -1")).await;
        }
        Tampering::Recompute { from } => {
            let somebody_else = |entry: Entry| match entry.number == from {
                true => Entry { actor: "api_key:nobody".to_owned(), ..entry },
                false => entry,
            };
            rehash(db, from, somebody_else).await;
        }
        Tampering::Append => {
            let (last, hash) = rows(db).await.pop().unwrap();
            let entry = Entry { number: last.number + 1, ..last };
            let hash = entry.hash(&hash);
            let sql = format!(
                "INSERT INTO audit_log SELECT {}, at, event, actor, subject, decision, policy, \
                 detail, '{hash}' FROM audit_log WHERE number = {}",
                entry.number,
                entry.number - 1
            );
            run(db, &sql).await;
        }
        Tampering::Empty => {
            run(db, "DELETE FROM audit_log").await;
            // A database has one of the two.
            for head in
                ["DELETE FROM audit_head", "DELETE FROM sealed_records WHERE kind = 'audit-head'"]
            {
                let _is_there = db.execute_unprepared(head).await.is_ok();
            }
        }
        Tampering::ForgetOthers => run(db, "DELETE FROM witnessed_heads").await,
        Tampering::CutBehind { number } => {
            run(db, &format!("DELETE FROM audit_log WHERE number > {number}")).await;
        }
        Tampering::Forget { event } => {
            let entries = rows(db).await;
            let entry = entries.iter().rfind(|(entry, _)| entry.event == event);
            let number = entry.unwrap_or_else(|| panic!("no {event}")).0.number;
            Box::pin(apply(db, &Tampering::DeleteAndCloseUp { number })).await;
            rehash(db, number, |entry| entry).await;
        }
        Tampering::Sql(sql) => run(db, &format!("PRAGMA foreign_keys = OFF; {sql}")).await,
        Tampering::SignWithAnotherKey => {
            let signed = SignedHead::sign(&Identity::generate(), end(db).await);
            set_head(db, &signed).await;
        }
    }
}

/// Signs the head of a coordinator's log as it is now.
pub(crate) fn sign(database: &Path, keeper: &Identity) {
    block_on(async {
        let db = open(database).await;
        let signed = SignedHead::sign(keeper, end(&db).await);
        set_head(&db, &signed).await;
        db.close().await.unwrap();
    });
}

/// Puts a head in the place of the one that a coordinator has signed last.
pub(crate) fn put_head(database: &Path, signed: &SignedHead) {
    block_on(async {
        let db = open(database).await;
        set_head(&db, signed).await;
        db.close().await.unwrap();
    });
}

/// The newest head that a log's keeper was shown of this one's.
pub(crate) fn witnessed(database: &Path, keeper: &PartyId) -> SignedHead {
    block_on(async {
        let db = open(database).await;
        let sql = format!(
            "SELECT count, hash, signature FROM witnessed_heads WHERE place = 0 AND keeper = '{keeper}'"
        );
        let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await;
        let row = row.unwrap().unwrap();
        let text = |at| row.try_get_by_index::<String>(at).unwrap();
        let count = row.try_get_by_index::<i64>(0).unwrap().cast_unsigned();
        let signature = PartySignature::from_bytes(&hex::decode(text(2)).unwrap()).unwrap();
        let head = Head { count, hash: text(1).parse().unwrap() };
        db.close().await.unwrap();
        SignedHead { keeper: *keeper, head, signature }
    })
}

async fn set_head(db: &DatabaseConnection, signed: &SignedHead) {
    let SignedHead { keeper, head: Head { count, hash }, signature } = signed;
    let signature = hex::encode(signature.to_bytes());
    let sql = format!(
        "UPDATE audit_head SET keeper = '{keeper}', count = {count}, hash = '{hash}', \
         signature = '{signature}'"
    );
    run(db, &sql).await;
}

async fn end(db: &DatabaseConnection) -> Head {
    let (last, hash) = rows(db).await.pop().unwrap();
    Head { count: last.number, hash }
}

/// Changes entries, and computes their hashes anew.
async fn rehash(db: &DatabaseConnection, from: u64, change: impl Fn(Entry) -> Entry) {
    let rows = rows(db).await;
    let mut before = rows
        .iter()
        .find(|(entry, _)| entry.number + 1 == from)
        .map_or(Head::EMPTY.hash, |(_, hash)| *hash);
    for (entry, _) in rows.into_iter().filter(|(entry, _)| entry.number >= from) {
        let entry = change(entry);
        before = entry.hash(&before);
        let Entry { number, actor, .. } = entry;
        let sql = format!(
            "UPDATE audit_log SET actor = '{actor}', hash = '{before}' WHERE number = {number}"
        );
        run(db, &sql).await;
    }
}

/// The numbers of all entries.
pub(crate) fn numbers(database: &Path) -> Vec<u64> {
    block_on(async {
        let db = open(database).await;
        let numbers = rows(&db).await.iter().map(|(entry, _)| entry.number).collect();
        db.close().await.unwrap();
        numbers
    })
}

/// The head that the log had with so many entries.
pub(crate) fn head_at(database: &Path, count: u64) -> Head {
    block_on(async {
        let db = open(database).await;
        let rows = rows(&db).await;
        db.close().await.unwrap();
        let found = rows.iter().find(|(entry, _)| entry.number == count);
        found.map_or(Head::EMPTY, |(entry, hash)| Head { count: entry.number, hash: *hash })
    })
}

async fn open(database: &Path) -> DatabaseConnection {
    Database::connect(format!("sqlite://{}", database.display())).await.unwrap()
}

async fn run(db: &DatabaseConnection, sql: &str) {
    db.execute_unprepared(sql).await.unwrap();
}

async fn rows(db: &DatabaseConnection) -> Vec<(Entry, EntryHash)> {
    let sql = "SELECT number, at, event, actor, subject, decision, policy, detail, hash \
               FROM audit_log ORDER BY number";
    let rows = db.query_all_raw(Statement::from_string(db.get_database_backend(), sql)).await;
    let read = |row: &sea_orm::QueryResult| {
        let number = |at| row.try_get_by_index::<i64>(at).unwrap().cast_unsigned();
        let text = |at| row.try_get_by_index::<String>(at).unwrap();
        let entry = Entry {
            number: number(0),
            at: UnixMillis(number(1)),
            event: text(2),
            actor: text(3),
            subject: text(4),
            decision: text(5),
            policy: text(6),
            detail: text(7),
        };
        (entry, text(8).parse().unwrap())
    };
    rows.unwrap().iter().map(read).collect()
}
