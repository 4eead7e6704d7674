//! Aux sets, from the session that generates one to its id.

use super::m0003_sessions::Sessions;
use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, big_integer_null, string, string_null, text};

#[derive(Debug, DeriveMigrationName)]
pub(super) struct Migration;

#[derive(DeriveIden)]
enum AuxSets {
    Table,
    SessionId,
    Scheme,
    Parties,
    State,
    AuxId,
    CreatedAt,
    DurationMs,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table(AuxSets::Table)
            .col(string(AuxSets::SessionId).primary_key())
            .col(string(AuxSets::Scheme))
            .col(text(AuxSets::Parties))
            .col(string(AuxSets::State))
            .col(string_null(AuxSets::AuxId))
            .col(big_integer(AuxSets::CreatedAt))
            .col(big_integer_null(AuxSets::DurationMs))
            .foreign_key(
                ForeignKey::create()
                    .from(AuxSets::Table, AuxSets::SessionId)
                    .to(Sessions::Table, Sessions::SessionId),
            )
            .to_owned();
        manager.create_table(table).await?;
        let by_state = Index::create()
            .name("aux_sets_by_state")
            .table(AuxSets::Table)
            .col(AuxSets::State)
            .to_owned();
        manager.create_index(by_state).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(AuxSets::Table).to_owned()).await
    }
}
