//! Enrolment tokens: which were made, and which of them are used up. Of a token only its id is
//! stored, and what it says.

use super::idempotency::{self, Claim, Claimed};
use super::session::taken;
use super::{Store, StoreError, parse, to_i64, to_u64};
use crate::audit::{self, Asker};
use crate::enrolment::{Ticket, TokenId};
use mpc_wire::{PartyId, UnixMillis};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, TransactionTrait,
};

/// Most tokens that are there at a time, used or not: they live for an hour at most, and more are a
/// program that makes tokens and forgets them.
pub(crate) const MAX_TOKENS: u64 = 1000;

#[expect(unreachable_pub, reason = "sea-orm's derives make public items")]
mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Debug, Clone, DeriveEntityModel)]
    #[sea_orm(table_name = "enrolment_tokens")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub token_id: String,
        pub role: String,
        pub label: Option<String>,
        pub created_at: i64,
        pub expires_at: i64,
        pub used_by: Option<String>,
        pub used_at: Option<i64>,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// What became of a new token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenMade {
    /// It is durable.
    Stored,
    /// The idempotency key is taken; nothing was stored.
    ClaimTaken,
    /// There are [`MAX_TOKENS`] already; nothing was stored.
    TooMany,
}

/// What became of a token that a party showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Consumed {
    /// It is the party's, and used up.
    Now,
    /// It was used before, cancelled, or never made.
    NotThere,
}

/// What became of a token that was to be cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cancelled {
    /// It lets nobody in any more.
    Done,
    /// It has let this party in before.
    Used(PartyId),
    /// There is none.
    Unknown,
}

impl Store {
    /// Stores a new token and the idempotency key of its request in one commit, and forgets the
    /// tokens that have expired: they are refused for that alone.
    pub(crate) async fn add_enrolment_token(
        &self,
        ticket: &Ticket,
        claim: Option<&Claim>,
        asker: &Asker,
    ) -> Result<TokenMade, StoreError> {
        let mut writing = self.begin().await?;
        let made = add(writing.txn(), ticket, claim).await?;
        match made {
            TokenMade::Stored => {
                writing.enter(audit::enrolment_token_created(ticket, asker));
                writing.commit().await?;
            }
            TokenMade::ClaimTaken | TokenMade::TooMany => writing.rollback().await?,
        }
        Ok(made)
    }

    /// What a token says, while it is remembered.
    pub(crate) async fn enrolment_token(&self, id: TokenId) -> Result<Option<Ticket>, StoreError> {
        let row = row::Entity::find_by_id(id.to_string()).one(&*self.readers.turn().await?).await?;
        row.map(Ticket::try_from).transpose()
    }

    /// Cancels a token that was not used.
    pub(crate) async fn cancel_enrolment_token(
        &self,
        id: TokenId,
        asker: &Asker,
    ) -> Result<Cancelled, StoreError> {
        let mut writing = self.begin().await?;
        let deleted = row::Entity::delete_many()
            .filter(row::Column::TokenId.eq(id.to_string()))
            .filter(row::Column::UsedBy.is_null())
            .exec(writing.txn())
            .await?;
        if deleted.rows_affected > 0 {
            writing.enter(audit::enrolment_token_cancelled(id, asker));
            writing.commit().await?;
            return Ok(Cancelled::Done);
        }
        let row = row::Entity::find_by_id(id.to_string()).one(writing.txn()).await?;
        writing.rollback().await?;
        match row.and_then(|row| row.used_by) {
            Some(party) => Ok(Cancelled::Used(parse("party", &party)?)),
            None => Ok(Cancelled::Unknown),
        }
    }
}

async fn add<C: ConnectionTrait + TransactionTrait>(
    txn: &C,
    ticket: &Ticket,
    claim: Option<&Claim>,
) -> Result<TokenMade, StoreError> {
    row::Entity::delete_many()
        .filter(row::Column::ExpiresAt.lte(to_i64(ticket.created_at.0)))
        .exec(txn)
        .await?;
    if row::Entity::find().count(txn).await? >= MAX_TOKENS {
        return Ok(TokenMade::TooMany);
    }
    if let Some(claim) = claim {
        let made = Claimed::EnrolmentToken(ticket.id);
        if taken(idempotency::insert(txn, claim, made, ticket.created_at).await)? {
            return Ok(TokenMade::ClaimTaken);
        }
    }
    let row = row::ActiveModel {
        token_id: Set(ticket.id.to_string()),
        role: Set(ticket.role.name().to_owned()),
        label: Set(ticket.label.clone()),
        created_at: Set(to_i64(ticket.created_at.0)),
        expires_at: Set(to_i64(ticket.expires_at.0)),
        used_by: Set(None),
        used_at: Set(None),
    };
    row::Entity::insert(row).exec_without_returning(txn).await?;
    Ok(TokenMade::Stored)
}

/// Uses a token up, if nobody has. Who else shows it in the same moment waits for this
/// transaction's end, and finds it used.
pub(super) async fn consume(
    txn: &impl ConnectionTrait,
    id: TokenId,
    party: PartyId,
    now: UnixMillis,
) -> Result<Consumed, StoreError> {
    let used = row::Entity::update_many()
        .col_expr(row::Column::UsedBy, Expr::value(party.to_string()))
        .col_expr(row::Column::UsedAt, Expr::value(to_i64(now.0)))
        .filter(row::Column::TokenId.eq(id.to_string()))
        .filter(row::Column::UsedBy.is_null())
        .exec(txn)
        .await?;
    Ok(if used.rows_affected > 0 { Consumed::Now } else { Consumed::NotThere })
}

impl TryFrom<row::Model> for Ticket {
    type Error = StoreError;

    fn try_from(row: row::Model) -> Result<Self, StoreError> {
        Ok(Self {
            id: parse("enrolment token id", &row.token_id)?,
            role: parse("role", &row.role)?,
            label: row.label,
            created_at: UnixMillis(to_u64(row.created_at)),
            expires_at: UnixMillis(to_u64(row.expires_at)),
        })
    }
}
