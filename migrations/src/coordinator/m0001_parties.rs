//! The parties that may take part, by their Ed25519 identity.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, string};

#[derive(Debug, DeriveMigrationName)]
pub(super) struct Migration;

#[derive(DeriveIden)]
pub(super) enum Parties {
    Table,
    PartyId,
    Label,
    Role,
    RegisteredAt,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table(Parties::Table)
            .col(string(Parties::PartyId).primary_key())
            .col(string(Parties::Label))
            .col(string(Parties::Role))
            .col(big_integer(Parties::RegisteredAt))
            .to_owned();
        manager.create_table(table).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(Parties::Table).to_owned()).await
    }
}
