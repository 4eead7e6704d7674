//! Format 2 of the vault: what a record is sealed to is its data key's id instead of the master
//! key's, so that a rotation re-wraps data keys only; and the header knows where the key comes from
//! and, during a rotation, keeps the key before.

use sea_orm_migration::prelude::*;

#[derive(Debug, DeriveMigrationName)]
pub(super) struct Migration;

#[derive(DeriveIden)]
enum VaultHeader {
    Table,
    Format,
    Provider,
    Derivation,
    PreviousKeyId,
    PreviousKey,
}

#[derive(DeriveIden)]
enum SealedRecords {
    Table,
    Format,
    DataKeyId,
}

/// Rows from before this change: they say by it that this version cannot open them.
const OLD_FORMAT: i32 = 1;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // SQLite adds one column a statement.
        let header = [
            ColumnDef::new(VaultHeader::Format).integer().not_null().default(OLD_FORMAT).to_owned(),
            ColumnDef::new(VaultHeader::Provider).string_len(16).not_null().default("").to_owned(),
            ColumnDef::new(VaultHeader::Derivation).text().null().to_owned(),
            ColumnDef::new(VaultHeader::PreviousKeyId).string_len(32).null().to_owned(),
            ColumnDef::new(VaultHeader::PreviousKey).blob().null().to_owned(),
        ];
        for column in header {
            let table = Table::alter().table(VaultHeader::Table).add_column(column).to_owned();
            manager.alter_table(table).await?;
        }
        let records = [
            ColumnDef::new(SealedRecords::Format)
                .integer()
                .not_null()
                .default(OLD_FORMAT)
                .to_owned(),
            ColumnDef::new(SealedRecords::DataKeyId).binary_len(16).null().to_owned(),
        ];
        for column in records {
            let table = Table::alter().table(SealedRecords::Table).add_column(column).to_owned();
            manager.alter_table(table).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let records = [SealedRecords::Format, SealedRecords::DataKeyId];
        for column in records {
            let table = Table::alter().table(SealedRecords::Table).drop_column(column).to_owned();
            manager.alter_table(table).await?;
        }
        let header = [
            VaultHeader::Format,
            VaultHeader::Provider,
            VaultHeader::Derivation,
            VaultHeader::PreviousKeyId,
            VaultHeader::PreviousKey,
        ];
        for column in header {
            let table = Table::alter().table(VaultHeader::Table).drop_column(column).to_owned();
            manager.alter_table(table).await?;
        }
        Ok(())
    }
}
