//! Idempotency keys: which request each was used for, and what answers it.

use super::m0002_accounts::Accounts;
use super::m0003_sessions::Sessions;
use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, string, string_null};

#[derive(Debug, DeriveMigrationName)]
pub(super) struct Migration;

#[derive(DeriveIden)]
enum IdempotencyKeys {
    Table,
    Key,
    Path,
    BodyHash,
    AccountId,
    SessionId,
    CreatedAt,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table(IdempotencyKeys::Table)
            .col(string(IdempotencyKeys::Key).primary_key())
            .col(string(IdempotencyKeys::Path))
            .col(string(IdempotencyKeys::BodyHash))
            .col(string_null(IdempotencyKeys::AccountId))
            .col(string_null(IdempotencyKeys::SessionId))
            .col(big_integer(IdempotencyKeys::CreatedAt))
            .foreign_key(
                ForeignKey::create()
                    .from(IdempotencyKeys::Table, IdempotencyKeys::AccountId)
                    .to(Accounts::Table, Accounts::AccountId),
            )
            .foreign_key(
                ForeignKey::create()
                    .from(IdempotencyKeys::Table, IdempotencyKeys::SessionId)
                    .to(Sessions::Table, Sessions::SessionId),
            )
            .to_owned();
        manager.create_table(table).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(IdempotencyKeys::Table).to_owned()).await
    }
}
