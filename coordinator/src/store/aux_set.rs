//! Aux sets, from the session that generates one to its id.

use super::{Store, StoreError, from_json, parse, to_i64, to_json, to_u64};
use crate::names::AuxState;
use mpc_session::{SessionEnd, SessionProduct};
use mpc_wire::{AuxId, PartyId, Scheme, SessionId, UnixMillis};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder};
use std::collections::BTreeSet;

#[expect(unreachable_pub, reason = "sea-orm's derives make public items")]
mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Debug, Clone, DeriveEntityModel)]
    #[sea_orm(table_name = "aux_sets")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub session_id: String,
        pub scheme: String,
        pub parties: String,
        pub state: String,
        pub aux_id: Option<String>,
        pub created_at: i64,
        pub duration_ms: Option<i64>,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// An aux set that is ready, or on its way.
#[derive(Debug, Clone)]
pub(crate) struct AuxSet {
    pub(crate) session: SessionId,
    pub(crate) scheme: Scheme,
    pub(crate) parties: BTreeSet<PartyId>,
    /// There once the set is ready.
    pub(crate) aux_id: Option<AuxId>,
    pub(crate) duration_ms: Option<u64>,
}

impl AuxSet {
    pub(crate) fn state(&self) -> AuxState {
        if self.aux_id.is_some() { AuxState::Ready } else { AuxState::Generating }
    }

    /// Whether all of `parties` have, or will have, their part of it.
    pub(crate) fn covers(&self, scheme: Scheme, parties: &BTreeSet<PartyId>) -> bool {
        self.scheme == scheme && parties.is_subset(&self.parties)
    }
}

impl Store {
    /// The aux sets that are ready or generating, the newest first.
    pub(crate) async fn aux_sets(&self) -> Result<Vec<AuxSet>, StoreError> {
        let rows = row::Entity::find()
            .filter(row::Column::State.ne(AuxState::Failed.name()))
            .order_by_desc(row::Column::CreatedAt)
            .all(&*self.readers.turn().await?)
            .await?;
        rows.into_iter().map(AuxSet::try_from).collect()
    }

    /// The newest ready aux set in which all of `parties` have a part.
    pub(crate) async fn covering_aux(
        &self,
        scheme: Scheme,
        parties: &BTreeSet<PartyId>,
    ) -> Result<Option<AuxId>, StoreError> {
        let sets = self.aux_sets().await?;
        Ok(sets.iter().filter(|set| set.covers(scheme, parties)).find_map(|set| set.aux_id))
    }
}

/// Stores a set as generating.
pub(super) async fn insert(
    db: &impl ConnectionTrait,
    session: SessionId,
    scheme: Scheme,
    parties: &BTreeSet<PartyId>,
    created_at: UnixMillis,
) -> Result<(), StoreError> {
    let row = row::ActiveModel {
        session_id: Set(session.to_string()),
        scheme: Set(scheme.name().to_owned()),
        parties: Set(to_json("set of parties", parties)?),
        state: Set(AuxState::Generating.name().to_owned()),
        aux_id: Set(None),
        created_at: Set(to_i64(created_at.0)),
        duration_ms: Set(None),
    };
    row::Entity::insert(row).exec_without_returning(db).await?;
    Ok(())
}

/// Gives a generating set what its session came to.
pub(super) async fn aux_ended(
    db: &impl ConnectionTrait,
    session: SessionId,
    end: &SessionEnd,
    duration_ms: u64,
) -> Result<(), StoreError> {
    let (state, aux_id) = match end {
        SessionEnd::Completed(SessionProduct::Aux { aux_id }) => {
            (AuxState::Ready, Some(aux_id.to_string()))
        }
        SessionEnd::Completed(_)
        | SessionEnd::Failed(_)
        | SessionEnd::Cancelled
        | SessionEnd::Expired { .. } => (AuxState::Failed, None),
    };
    row::Entity::update_many()
        .col_expr(row::Column::State, Expr::value(state.name()))
        .col_expr(row::Column::AuxId, Expr::value(aux_id))
        .col_expr(row::Column::DurationMs, Expr::value(to_i64(duration_ms)))
        .filter(row::Column::SessionId.eq(session.to_string()))
        .exec(db)
        .await?;
    Ok(())
}

impl TryFrom<row::Model> for AuxSet {
    type Error = StoreError;

    fn try_from(row: row::Model) -> Result<Self, StoreError> {
        Ok(Self {
            session: parse("session id", &row.session_id)?,
            scheme: parse("scheme", &row.scheme)?,
            parties: from_json("set of parties", &row.parties)?,
            aux_id: row.aux_id.as_deref().map(|text| parse("aux id", text)).transpose()?,
            duration_ms: row.duration_ms.map(to_u64),
        })
    }
}
