//! The requests that the party has consented to. Each is good for one session, and limits count
//! them.

use sea_orm_migration::prelude::*;

#[derive(Debug, DeriveMigrationName)]
pub(super) struct Migration;

/// The table and its indexes as SQLite writes them down. Parties compare: whoever can write the file
/// could have a constraint delete rows, or an index leave them out. A later change of the table is
/// to change this, too.
pub const LEDGER_SCHEMA: [&str; 5] = [
    "CREATE TABLE \"used_requests\" ( \"request_id\" blob(16) NOT NULL PRIMARY KEY, \
     \"session_id\" blob(16) NOT NULL, \"intent_hash\" blob(32) NOT NULL, \
     \"kind\" varchar(16) NOT NULL, \"account_id\" blob(16) NULL, \
     \"requester\" varchar(64) NULL, \"admitted_at\" integer NOT NULL, \
     \"forget_at\" integer NOT NULL )",
    "CREATE INDEX \"used_requests_of_party\" ON \"used_requests\" (\"kind\", \"admitted_at\")",
    "CREATE INDEX \"used_requests_of_account\" ON \"used_requests\" \
     (\"kind\", \"account_id\", \"admitted_at\")",
    "CREATE INDEX \"used_requests_of_requester\" ON \"used_requests\" \
     (\"kind\", \"requester\", \"admitted_at\")",
    "CREATE INDEX \"used_requests_to_forget\" ON \"used_requests\" (\"forget_at\")",
];

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
