//! The vault: who the party is, and its sealed records.

use sea_orm_migration::prelude::*;

#[derive(Debug, DeriveMigrationName)]
pub(super) struct Migration;

#[derive(DeriveIden)]
enum VaultHeader {
    Table,
    Id,
    PartyId,
    KeyId,
    KeyCheck,
}

#[derive(DeriveIden)]
enum SealedRecords {
    Table,
    Kind,
    Name,
    Epoch,
    KeyId,
    WrappedKey,
    Sealed,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table(VaultHeader::Table)
                    .col(ColumnDef::new(VaultHeader::Id).integer().not_null().primary_key())
                    .col(ColumnDef::new(VaultHeader::PartyId).binary_len(32).not_null())
                    .col(ColumnDef::new(VaultHeader::KeyId).string_len(32).not_null())
                    .col(ColumnDef::new(VaultHeader::KeyCheck).blob().not_null())
                    .to_owned(),
            )
            .await?;
        manager
            .create_table(
                Table::create()
                    .table(SealedRecords::Table)
                    .col(ColumnDef::new(SealedRecords::Kind).string_len(16).not_null())
                    .col(ColumnDef::new(SealedRecords::Name).string_len(64).not_null())
                    .col(ColumnDef::new(SealedRecords::Epoch).big_integer().not_null())
                    .col(ColumnDef::new(SealedRecords::KeyId).string_len(32).not_null())
                    .col(ColumnDef::new(SealedRecords::WrappedKey).blob().not_null())
                    .col(ColumnDef::new(SealedRecords::Sealed).blob().not_null())
                    .primary_key(
                        Index::create()
                            .col(SealedRecords::Kind)
                            .col(SealedRecords::Name)
                            .col(SealedRecords::Epoch),
                    )
                    .to_owned(),
            )
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(SealedRecords::Table).to_owned()).await?;
        manager.drop_table(Table::drop().table(VaultHeader::Table).to_owned()).await
    }
}
