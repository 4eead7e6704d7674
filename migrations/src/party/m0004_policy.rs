//! The requests that the party has consented to. Each is good for one session, and limits count
//! them.

use sea_orm_migration::prelude::*;

#[derive(Debug, DeriveMigrationName)]
pub(super) struct Migration;

#[derive(DeriveIden)]
enum UsedRequests {
    Table,
    RequestId,
    SessionId,
    IntentHash,
    Kind,
    AccountId,
    Requester,
    AdmittedAt,
    ForgetAt,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table(UsedRequests::Table)
                    .col(
                        ColumnDef::new(UsedRequests::RequestId)
                            .binary_len(16)
                            .not_null()
                            .primary_key(),
                    )
                    .col(ColumnDef::new(UsedRequests::SessionId).binary_len(16).not_null())
                    .col(ColumnDef::new(UsedRequests::IntentHash).binary_len(32).not_null())
                    .col(ColumnDef::new(UsedRequests::Kind).string_len(16).not_null())
                    .col(ColumnDef::new(UsedRequests::AccountId).binary_len(16).null())
                    .col(ColumnDef::new(UsedRequests::Requester).string_len(64).null())
                    .col(ColumnDef::new(UsedRequests::AdmittedAt).big_integer().not_null())
                    .col(ColumnDef::new(UsedRequests::ForgetAt).big_integer().not_null())
                    .to_owned(),
            )
            .await?;
        // One for each way in which a limit counts: the rows of a window are then read from the
        // index alone.
        let counted = [
            ("used_requests_of_party", None),
            ("used_requests_of_account", Some(UsedRequests::AccountId)),
            ("used_requests_of_requester", Some(UsedRequests::Requester)),
        ];
        for (name, column) in counted {
            let mut index = Index::create();
            index.name(name).table(UsedRequests::Table).col(UsedRequests::Kind);
            if let Some(column) = column {
                index.col(column);
            }
            index.col(UsedRequests::AdmittedAt);
            manager.create_index(index).await?;
        }
        manager
            .create_index(
                Index::create()
                    .name("used_requests_to_forget")
                    .table(UsedRequests::Table)
                    .col(UsedRequests::ForgetAt)
                    .to_owned(),
            )
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(UsedRequests::Table).to_owned()).await
    }
}
