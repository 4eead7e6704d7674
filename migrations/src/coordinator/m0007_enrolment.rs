//! How parties come and go: enrolment tokens, each of which lets one party in once; of each party
//! the newest of its keys, and whether it was revoked; and which token a request with an idempotency
//! key has made.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, big_integer_null, integer, string, string_null};

#[derive(Debug, DeriveMigrationName)]
pub(super) struct Migration;

#[derive(DeriveIden)]
enum Parties {
    Table,
    KeyNumber,
    PartyKey,
    RevokedAt,
}

#[derive(DeriveIden)]
enum EnrolmentTokens {
    Table,
    TokenId,
    Role,
    Label,
    CreatedAt,
    ExpiresAt,
    UsedBy,
    UsedAt,
}

#[derive(DeriveIden)]
enum IdempotencyKeys {
    Table,
    EnrolmentTokenId,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // SQLite adds one column a statement. A party without a key has its founding key.
        for column in [
            integer(Parties::KeyNumber).default(0).to_owned(),
            string_null(Parties::PartyKey).to_owned(),
            big_integer_null(Parties::RevokedAt).to_owned(),
        ] {
            let table = Table::alter().table(Parties::Table).add_column(column).to_owned();
            manager.alter_table(table).await?;
        }
        let tokens = Table::create()
            .table(EnrolmentTokens::Table)
            .col(string(EnrolmentTokens::TokenId).primary_key())
            .col(string(EnrolmentTokens::Role))
            .col(string_null(EnrolmentTokens::Label))
            .col(big_integer(EnrolmentTokens::CreatedAt))
            .col(big_integer(EnrolmentTokens::ExpiresAt))
            .col(string_null(EnrolmentTokens::UsedBy))
            .col(big_integer_null(EnrolmentTokens::UsedAt))
            .to_owned();
        manager.create_table(tokens).await?;
        let column = Table::alter()
            .table(IdempotencyKeys::Table)
            .add_column(string_null(IdempotencyKeys::EnrolmentTokenId))
            .to_owned();
        manager.alter_table(column).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let column = Table::alter()
            .table(IdempotencyKeys::Table)
            .drop_column(IdempotencyKeys::EnrolmentTokenId)
            .to_owned();
        manager.alter_table(column).await?;
        manager.drop_table(Table::drop().table(EnrolmentTokens::Table).to_owned()).await?;
        for column in [Parties::RevokedAt, Parties::PartyKey, Parties::KeyNumber] {
            let table = Table::alter().table(Parties::Table).drop_column(column).to_owned();
            manager.alter_table(table).await?;
        }
        Ok(())
    }
}
