//! The coordinator's audit log, the signed head of it, and the heads of the parties' logs that they
//! have shown.

use crate::audit;
use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, integer, string, text};

#[derive(Debug, DeriveMigrationName)]
pub(super) struct Migration;

/// One row: where the log ends, signed, renewed with every commit that appends.
#[derive(DeriveIden)]
enum AuditHead {
    Table,
    Id,
    Keeper,
    Count,
    Hash,
    Signature,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        audit::create(manager).await?;
        let head = Table::create()
            .table(AuditHead::Table)
            .col(integer(AuditHead::Id).primary_key())
            .col(string(AuditHead::Keeper))
            .col(big_integer(AuditHead::Count))
            .col(string(AuditHead::Hash))
            .col(text(AuditHead::Signature))
            .to_owned();
        manager.create_table(head).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(AuditHead::Table).to_owned()).await?;
        audit::drop(manager).await
    }
}
