//! The tables of an audit log, which the coordinator's and each party's database have alike.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, integer, string, text};

#[derive(DeriveIden)]
enum AuditLog {
    Table,
    Number,
    At,
    Event,
    Actor,
    Subject,
    Decision,
    Policy,
    Detail,
    Hash,
}

/// Heads of other logs that were shown to the owner of this one, and signed by their keepers.
#[derive(DeriveIden)]
enum WitnessedHeads {
    Table,
    Keeper,
    /// 0 for the newest head of a keeper; from 1 on, what contradicts one that was shown before:
    /// evidence, kept for good; below 0, what was the newest one when another connection began.
    Place,
    Count,
    Hash,
    Signature,
    At,
}

/// The only triggers. A hurdle for mistakes, not for who can write the file: that is what the chain
/// is for.
pub const TRIGGERS: [&str; 2] = [
    "CREATE TRIGGER audit_log_is_never_changed BEFORE UPDATE ON audit_log \
     BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END",
    "CREATE TRIGGER audit_log_is_never_cut BEFORE DELETE ON audit_log \
     BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END",
];

pub(crate) async fn create(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let log = Table::create()
        .table(AuditLog::Table)
        // In SQLite an `integer` primary key is the row's own id, of 64 bits: appending touches one
        // tree only.
        .col(ColumnDef::new(AuditLog::Number).integer().not_null().primary_key())
        .col(big_integer(AuditLog::At))
        .col(string(AuditLog::Event))
        .col(text(AuditLog::Actor))
        .col(text(AuditLog::Subject))
        .col(text(AuditLog::Decision))
        .col(text(AuditLog::Policy))
        .col(text(AuditLog::Detail))
        .col(string(AuditLog::Hash))
        .to_owned();
    manager.create_table(log).await?;
    for trigger in TRIGGERS {
        manager.get_connection().execute_unprepared(trigger).await?;
    }
    let heads = Table::create()
        .table(WitnessedHeads::Table)
        .col(string(WitnessedHeads::Keeper))
        .col(integer(WitnessedHeads::Place))
        .col(big_integer(WitnessedHeads::Count))
        .col(string(WitnessedHeads::Hash))
        .col(text(WitnessedHeads::Signature))
        .col(big_integer(WitnessedHeads::At))
        .primary_key(Index::create().col(WitnessedHeads::Keeper).col(WitnessedHeads::Place))
        .to_owned();
    manager.create_table(heads).await
}

pub(crate) async fn drop(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    manager.drop_table(Table::drop().table(WitnessedHeads::Table).to_owned()).await?;
    // Its triggers go with it.
    manager.drop_table(Table::drop().table(AuditLog::Table).to_owned()).await
}
