//! The plan that each attempt of a running session has: a number belongs to one plan for good.

use super::m0003_sessions::Sessions;
use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, boolean, string};

#[derive(Debug, DeriveMigrationName)]
pub(super) struct Migration;

#[derive(DeriveIden)]
enum Attempts {
    Table,
    SessionId,
    Attempt,
    PlanHash,
    /// Whether it is known to be over: then no record has it under way again.
    IsOver,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table(Attempts::Table)
            .col(string(Attempts::SessionId))
            .col(big_integer(Attempts::Attempt))
            .col(string(Attempts::PlanHash))
            .col(boolean(Attempts::IsOver))
            .primary_key(Index::create().col(Attempts::SessionId).col(Attempts::Attempt))
            .foreign_key(
                ForeignKey::create()
                    .from(Attempts::Table, Attempts::SessionId)
                    .to(Sessions::Table, Sessions::SessionId),
            )
            .to_owned();
        manager.create_table(table).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(Attempts::Table).to_owned()).await
    }
}
