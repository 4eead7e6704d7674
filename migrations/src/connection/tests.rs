//! Transactions that SQLite itself rolls back: what is told as stored after them is stored.

use super::*;
use sea_orm_migration::sea_orm::{
    ConnectionTrait, Database, DatabaseConnection, DbErr, Statement, TransactionTrait,
};
use std::path::Path;

async fn connect(file: &Path) -> DatabaseConnection {
    let mut options = ConnectOptions::new(format!("sqlite://{}?mode=rwc", file.display()));
    options.max_connections(1);
    never_outlive_a_transaction(&mut options);
    Database::connect(options).await.unwrap()
}

/// Inserts a row in a transaction of its own. `or` is what SQLite does if the row is there.
async fn insert(db: &DatabaseConnection, or: &str, id: i64) -> Result<(), DbErr> {
    let transaction = db.begin().await?;
    let insert = format!("INSERT OR {or} INTO content VALUES ({id})");
    transaction.execute_unprepared(&insert).await?;
    transaction.commit().await
}

async fn rows(db: &DatabaseConnection) -> i64 {
    let count = Statement::from_string(db.get_database_backend(), "SELECT count(*) FROM content");
    db.query_one_raw(count).await.unwrap().unwrap().try_get_by_index(0).unwrap()
}

#[tokio::test]
async fn what_is_told_as_stored_after_failures_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("database.sqlite");
    let (writer, reader) = (connect(&file).await, connect(&file).await);
    writer.execute_unprepared("CREATE TABLE content (id INTEGER PRIMARY KEY)").await.unwrap();
    insert(&writer, "ABORT", 0).await.unwrap();
    // SQLite rolls back by itself, as it does when the disk is full; then it leaves that to others.
    insert(&writer, "ROLLBACK", 0).await.unwrap_err();
    insert(&writer, "ABORT", 0).await.unwrap_err();
    insert(&writer, "ABORT", 1).await.unwrap();
    assert_eq!(rows(&reader).await, 2);
}
