//! Registered parties.

use super::{Store, StoreError, parse, to_i64, to_u64};
use crate::names::Role;
use mpc_wire::limits::MAX_LABEL;
use mpc_wire::{PartyId, UnixMillis};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::OnConflict;
use sea_orm::{EntityTrait, QueryOrder};

#[expect(unreachable_pub, reason = "sea-orm's derives make public items")]
mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Debug, Clone, DeriveEntityModel)]
    #[sea_orm(table_name = "parties")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub party_id: String,
        pub label: String,
        pub role: String,
        pub registered_at: i64,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// A registered party.
#[derive(Debug, Clone)]
pub(crate) struct Party {
    pub(crate) id: PartyId,
    pub(crate) label: String,
    pub(crate) role: Role,
    pub(crate) registered_at: UnixMillis,
}

/// A label that is too long.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// The label exceeds its bound.
    #[error("label of {0} bytes; at most {MAX_LABEL} are allowed")]
    LabelTooLong(usize),
    /// The store cannot take it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Registers a party, or gives a registered one another role and label.
    ///
    /// # Errors
    /// [`RegisterError`] if the label is too long or the store cannot take it.
    pub async fn register_party(
        &self,
        party: PartyId,
        role: Role,
        label: &str,
    ) -> Result<(), RegisterError> {
        if label.len() > MAX_LABEL {
            return Err(RegisterError::LabelTooLong(label.len()));
        }
        let row = row::ActiveModel {
            party_id: Set(party.to_string()),
            label: Set(label.to_owned()),
            role: Set(role.name().to_owned()),
            registered_at: Set(to_i64(crate::clock::Clock::start().wall().0)),
        };
        let again = OnConflict::column(row::Column::PartyId)
            .update_columns([row::Column::Label, row::Column::Role])
            .to_owned();
        row::Entity::insert(row)
            .on_conflict(again)
            .exec_without_returning(&self.writer)
            .await
            .map_err(StoreError::from)?;
        Ok(())
    }

    /// Whether a party is registered.
    ///
    /// # Errors
    /// [`StoreError`] if the database does not answer.
    pub async fn is_registered(&self, party: PartyId) -> Result<bool, StoreError> {
        Ok(row::Entity::find_by_id(party.to_string()).one(&self.reader).await?.is_some())
    }

    /// The role of a party, if it is registered.
    pub(crate) async fn role(&self, party: PartyId) -> Result<Option<Role>, StoreError> {
        let row = row::Entity::find_by_id(party.to_string()).one(&self.reader).await?;
        row.map(|row| parse("role", &row.role)).transpose()
    }

    /// All registered parties, by their id.
    pub(crate) async fn parties(&self) -> Result<Vec<Party>, StoreError> {
        let rows = row::Entity::find().order_by_asc(row::Column::PartyId).all(&self.reader).await?;
        rows.into_iter().map(Party::try_from).collect()
    }
}

impl TryFrom<row::Model> for Party {
    type Error = StoreError;

    fn try_from(row: row::Model) -> Result<Self, StoreError> {
        Ok(Self {
            id: parse("party", &row.party_id)?,
            role: parse("role", &row.role)?,
            label: row.label,
            registered_at: UnixMillis(to_u64(row.registered_at)),
        })
    }
}
