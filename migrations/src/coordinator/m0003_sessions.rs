//! Sessions: the record of the session machine as JSON, beside the columns that are searched.

use super::m0002_accounts::Accounts;
use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, big_integer_null, string, string_null, string_uniq, text,
};

#[derive(Debug, DeriveMigrationName)]
pub(super) struct Migration;

#[derive(DeriveIden)]
pub(super) enum Sessions {
    Table,
    SessionId,
    /// One request has one session: the second insertion of a request id fails.
    RequestId,
    Kind,
    State,
    AccountId,
    Record,
    CreatedAt,
    ExpiresAt,
    EndedAt,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table(Sessions::Table)
            .col(string(Sessions::SessionId).primary_key())
            .col(string_uniq(Sessions::RequestId))
            .col(string(Sessions::Kind))
            .col(string(Sessions::State))
            .col(string_null(Sessions::AccountId))
            .col(text(Sessions::Record))
            .col(big_integer(Sessions::CreatedAt))
            .col(big_integer(Sessions::ExpiresAt))
            .col(big_integer_null(Sessions::EndedAt))
            .foreign_key(
                ForeignKey::create()
                    .from(Sessions::Table, Sessions::AccountId)
                    .to(Accounts::Table, Accounts::AccountId),
            )
            .to_owned();
        manager.create_table(table).await?;
        let by_account = Index::create()
            .name("sessions_by_account")
            .table(Sessions::Table)
            .col(Sessions::AccountId)
            .col(Sessions::Kind)
            .to_owned();
        manager.create_index(by_account).await?;
        let by_state = Index::create()
            .name("sessions_by_state")
            .table(Sessions::Table)
            .col(Sessions::State)
            .to_owned();
        manager.create_index(by_state).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(Sessions::Table).to_owned()).await
    }
}
