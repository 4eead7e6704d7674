//! How a connection is kept from lying about what it has stored.

use sea_orm_migration::sea_orm::ConnectOptions;
use sea_orm_migration::sea_orm::sqlx::Connection;

/// Has a connection that did not get out of its last transaction be closed instead of being used
/// again.
///
/// SQLite itself rolls a transaction back when the disk is full or fails. The library's `ROLLBACK`
/// then finds none, and it goes on counting one: its next transactions are savepoints, and after a
/// second failure they lie within one that nobody ever commits. They would be told as stored, and
/// be gone with the process.
pub fn never_outlive_a_transaction(options: &mut ConnectOptions) {
    options.map_sqlx_sqlite_before_acquire(|connection, _| {
        let is_inside = connection.is_in_transaction();
        Box::pin(async move {
            if is_inside {
                tracing::warn!("a connection whose transaction failed is closed");
            }
            Ok(!is_inside)
        })
    });
}

#[cfg(test)]
mod tests;
