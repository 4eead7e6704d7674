//! Accounts and their holders.

use super::m0001_parties::Parties;
use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, big_integer_null, big_unsigned, integer, string, string_null, text_null,
};

#[derive(Debug, DeriveMigrationName)]
pub(super) struct Migration;

#[derive(DeriveIden)]
pub(super) enum Accounts {
    Table,
    AccountId,
    UserId,
    Scheme,
    Threshold,
    Epoch,
    State,
    PublicKey,
    KeygenSession,
    Failure,
    CreatedAt,
    KeygenMs,
    AuxWaitMs,
    CanaryMs,
}

#[derive(DeriveIden)]
enum AccountParties {
    Table,
    AccountId,
    PartyId,
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let accounts = Table::create()
            .table(Accounts::Table)
            .col(string(Accounts::AccountId).primary_key())
            .col(string(Accounts::UserId))
            .col(string(Accounts::Scheme))
            .col(integer(Accounts::Threshold))
            .col(big_unsigned(Accounts::Epoch))
            .col(string(Accounts::State))
            .col(string_null(Accounts::PublicKey))
            .col(string(Accounts::KeygenSession))
            .col(text_null(Accounts::Failure))
            .col(big_integer(Accounts::CreatedAt))
            .col(big_integer_null(Accounts::KeygenMs))
            .col(big_integer_null(Accounts::AuxWaitMs))
            .col(big_integer_null(Accounts::CanaryMs))
            .to_owned();
        manager.create_table(accounts).await?;
        let by_user = Index::create()
            .name("accounts_by_user")
            .table(Accounts::Table)
            .col(Accounts::UserId)
            .to_owned();
        manager.create_index(by_user).await?;
        let by_state = Index::create()
            .name("accounts_by_state")
            .table(Accounts::Table)
            .col(Accounts::State)
            .to_owned();
        manager.create_index(by_state).await?;

        let holders = Table::create()
            .table(AccountParties::Table)
            .col(string(AccountParties::AccountId))
            .col(string(AccountParties::PartyId))
            .primary_key(
                Index::create().col(AccountParties::AccountId).col(AccountParties::PartyId),
            )
            .foreign_key(
                ForeignKey::create()
                    .from(AccountParties::Table, AccountParties::AccountId)
                    .to(Accounts::Table, Accounts::AccountId),
            )
            .foreign_key(
                ForeignKey::create()
                    .from(AccountParties::Table, AccountParties::PartyId)
                    .to(Parties::Table, Parties::PartyId),
            )
            .to_owned();
        manager.create_table(holders).await?;
        let by_party = Index::create()
            .name("account_parties_by_party")
            .table(AccountParties::Table)
            .col(AccountParties::PartyId)
            .to_owned();
        manager.create_index(by_party).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(AccountParties::Table).to_owned()).await?;
        manager.drop_table(Table::drop().table(Accounts::Table).to_owned()).await
    }
}
