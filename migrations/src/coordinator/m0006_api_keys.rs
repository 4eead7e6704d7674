//! API keys: of each a keyed hash and what it may do, never its text; and which of them a request
//! with an idempotency key has made.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, big_integer_null, string, string_null};

#[derive(Debug, DeriveMigrationName)]
pub(super) struct Migration;

#[derive(DeriveIden)]
enum ApiKeys {
    Table,
    KeyId,
    Name,
    Scopes,
    Hash,
    SecretId,
    CreatedAt,
    ExpiresAt,
    RevokedAt,
}

#[derive(DeriveIden)]
enum IdempotencyKeys {
    Table,
    ApiKeyId,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table(ApiKeys::Table)
            .col(string(ApiKeys::KeyId).primary_key())
            .col(string(ApiKeys::Name))
            .col(string(ApiKeys::Scopes))
            .col(string(ApiKeys::Hash))
            .col(string(ApiKeys::SecretId))
            .col(big_integer(ApiKeys::CreatedAt))
            .col(big_integer_null(ApiKeys::ExpiresAt))
            .col(big_integer_null(ApiKeys::RevokedAt))
            .to_owned();
        manager.create_table(table).await?;
        let column = Table::alter()
            .table(IdempotencyKeys::Table)
            .add_column(string_null(IdempotencyKeys::ApiKeyId))
            .to_owned();
        manager.alter_table(column).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let column = Table::alter()
            .table(IdempotencyKeys::Table)
            .drop_column(IdempotencyKeys::ApiKeyId)
            .to_owned();
        manager.alter_table(column).await?;
        manager.drop_table(Table::drop().table(ApiKeys::Table).to_owned()).await
    }
}
