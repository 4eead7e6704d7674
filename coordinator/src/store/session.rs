//! Sessions: the machine's record as JSON, beside the columns that are searched.

use super::account::{self, NewAccount};
use super::attempt::{self, Place};
use super::audit::Writing;
use super::aux_set;
use super::idempotency::{self, Claim, Claimed};
use super::writer::{Write, Written};
use super::{Store, StoreError, from_json, parse, to_i64, to_json, to_u64};
use crate::audit::{self, Asker};
use crate::names::{Purpose, SessionState};
use mpc_session::{Record, SessionEnd};
use mpc_wire::{AccountId, IntentKind, Payload, SessionId, UnixMillis};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder, QuerySelect, SqlErr,
};

#[expect(unreachable_pub, reason = "sea-orm's derives make public items")]
mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Debug, Clone, DeriveEntityModel)]
    #[sea_orm(table_name = "sessions")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub session_id: String,
        pub request_id: String,
        pub kind: String,
        pub state: String,
        pub account_id: Option<String>,
        pub record: String,
        pub created_at: i64,
        pub expires_at: i64,
        pub ended_at: Option<i64>,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// A session as it is stored.
#[derive(Debug, Clone)]
pub(crate) struct StoredSession {
    pub(crate) record: Record,
    pub(crate) created_at: UnixMillis,
    pub(crate) ended_at: Option<UnixMillis>,
}

impl StoredSession {
    pub(crate) fn id(&self) -> SessionId {
        self.record.intent.session
    }

    pub(crate) fn purpose(&self) -> Purpose {
        purpose(&self.record.intent.kind)
    }

    pub(crate) fn state(&self) -> SessionState {
        state(self.record.end.as_ref())
    }

    pub(crate) fn duration_ms(&self) -> Option<u64> {
        self.ended_at.map(|ended| ended.0.saturating_sub(self.created_at.0))
    }
}

/// What is stored when a session opens, all of it or nothing.
#[derive(Debug)]
pub(crate) struct NewSession {
    pub(crate) record: Record,
    pub(crate) created_at: UnixMillis,
    /// The account whose key the session is to generate.
    pub(crate) account: Option<NewAccount>,
    /// The idempotency key of the request.
    pub(crate) claim: Option<Claim>,
    /// Who asked for it.
    pub(crate) asker: Asker,
}

/// The newest record of a running session.
#[derive(Debug)]
pub(crate) struct Saving {
    pub(crate) record: Record,
    pub(crate) created_at: UnixMillis,
    pub(crate) at: UnixMillis,
}

impl Store {
    /// Stores a new session and what belongs to it in one transaction.
    pub(crate) async fn open_session(&self, new: NewSession) -> Result<Written, StoreError> {
        self.queue.write(Write::Open(new)).await
    }

    /// Stores the newest record of a running session; if it is the last one, in one transaction
    /// with what the end means to the account or the aux set.
    pub(crate) async fn save_session(&self, saving: Saving) -> Result<(), StoreError> {
        match self.queue.write(Write::Save(saving)).await? {
            Written::Stored => Ok(()),
            Written::Superseded => Err(StoreError::Superseded),
            Written::SessionOver | Written::SessionExists | Written::KeyTaken => {
                Err(StoreError::SessionOver)
            }
        }
    }

    /// The session, if there is one.
    pub(crate) async fn session(&self, id: SessionId) -> Result<Option<StoredSession>, StoreError> {
        let row = row::Entity::find_by_id(id.to_string()).one(&*self.readers.turn().await?).await?;
        row.map(StoredSession::try_from).transpose()
    }

    /// The sessions that have not ended.
    pub(crate) async fn running_sessions(&self) -> Result<Vec<StoredSession>, StoreError> {
        let rows = row::Entity::find()
            .filter(row::Column::State.eq(SessionState::Running.name()))
            .all(&*self.readers.turn().await?)
            .await?;
        rows.into_iter().map(StoredSession::try_from).collect()
    }

    /// The account's canary sessions, oldest first.
    pub(crate) async fn canaries(
        &self,
        account: AccountId,
    ) -> Result<Vec<StoredSession>, StoreError> {
        let rows = row::Entity::find()
            .filter(row::Column::AccountId.eq(account.to_string()))
            .filter(row::Column::Kind.eq(Purpose::Canary.name()))
            .order_by_asc(row::Column::SessionId)
            .all(&*self.readers.turn().await?)
            .await?;
        rows.into_iter().map(StoredSession::try_from).collect()
    }

    /// The ids of the account's newest canary sessions, oldest first, at most `limit`.
    pub(crate) async fn canary_ids(
        &self,
        account: AccountId,
        limit: u64,
    ) -> Result<Vec<SessionId>, StoreError> {
        let mut ids: Vec<String> = row::Entity::find()
            .select_only()
            .column(row::Column::SessionId)
            .filter(row::Column::AccountId.eq(account.to_string()))
            .filter(row::Column::Kind.eq(Purpose::Canary.name()))
            .order_by_desc(row::Column::SessionId)
            .limit(limit)
            .into_tuple()
            .all(&*self.readers.turn().await?)
            .await?;
        ids.reverse();
        ids.iter().map(|id| parse("session id", id)).collect()
    }
}

/// Stores a new session, its account, its aux set and its claim, and enters who asked for it.
pub(super) async fn open(writing: &mut Writing, new: &NewSession) -> Result<Written, StoreError> {
    let NewSession { record, created_at, account, claim, asker } = new;
    let txn = writing.txn();
    let id = record.intent.session;
    if let Some(account) = account {
        account::insert(txn, account, id, *created_at).await?;
    }
    if taken(insert(txn, record, *created_at).await)? {
        return Ok(Written::SessionExists);
    }
    if let Place::New(plan_hash) = attempt::place(txn, record).await? {
        attempt::insert(txn, record, plan_hash).await?;
    }
    if let IntentKind::Aux { scheme } = &record.intent.kind {
        aux_set::insert(txn, id, *scheme, &record.intent.eligible, *created_at).await?;
    }
    if let Some(claim) = claim {
        let account = account.as_ref().map(|account| Claimed::Account(account.id));
        let claimed = account.unwrap_or(Claimed::Session(id));
        if taken(idempotency::insert(txn, claim, claimed, *created_at).await)? {
            return Ok(Written::KeyTaken);
        }
    }
    if let Some(account) = account {
        writing.enter(audit::account_created(account, asker));
    }
    writing.enter(audit::session_opened(record, asker));
    Ok(Written::Stored)
}

/// Stores a session's newest record, and what its end means to others.
pub(super) async fn save(writing: &mut Writing, saving: &Saving) -> Result<Written, StoreError> {
    let Saving { record, created_at, at } = saving;
    let txn = writing.txn();
    let id = record.intent.session;
    let place = attempt::place(txn, record).await?;
    if place == Place::Superseded {
        return Ok(Written::Superseded);
    }
    let ended_at = record.end.as_ref().map(|_| to_i64(at.0));
    let updated = row::Entity::update_many()
        .col_expr(row::Column::Record, Expr::value(to_json("session", record)?))
        .col_expr(row::Column::State, Expr::value(state(record.end.as_ref()).name()))
        .col_expr(row::Column::EndedAt, Expr::value(ended_at))
        .filter(row::Column::SessionId.eq(id.to_string()))
        // An end is final, whoever still believes that the session runs.
        .filter(row::Column::State.eq(SessionState::Running.name()))
        .exec(txn)
        .await?;
    if updated.rows_affected == 0 {
        return Ok(Written::SessionOver);
    }
    match place {
        Place::New(plan_hash) => attempt::insert(txn, record, plan_hash).await?,
        Place::Over if record.end.is_none() => attempt::end(txn, record).await?,
        Place::Over | Place::Newest | Place::Superseded => {}
    }
    if let Some(end) = &record.end {
        attempt::remove(txn, id).await?;
        let took = at.0.saturating_sub(created_at.0);
        match &record.intent.kind {
            IntentKind::Keygen { account, .. } => {
                account::keygen_ended(txn, *account, end, took).await?;
                writing.enter(audit::key_generated(*account, end));
            }
            IntentKind::Aux { .. } => aux_set::aux_ended(txn, id, end, took).await?,
            IntentKind::Sign { .. }
            | IntentKind::Refresh { .. }
            | IntentKind::Reshare { .. }
            | IntentKind::Replace { .. } => {}
        }
        writing.enter(audit::session_ended(record, end));
    }
    Ok(Written::Stored)
}

async fn insert(
    txn: &DatabaseTransaction,
    record: &Record,
    created_at: UnixMillis,
) -> Result<(), StoreError> {
    let intent = &record.intent;
    let row = row::ActiveModel {
        session_id: Set(intent.session.to_string()),
        request_id: Set(intent.request.to_string()),
        kind: Set(purpose(&intent.kind).name().to_owned()),
        state: Set(state(record.end.as_ref()).name().to_owned()),
        account_id: Set(intent.kind.account().map(|account| account.to_string())),
        record: Set(to_json("session", record)?),
        created_at: Set(to_i64(created_at.0)),
        expires_at: Set(to_i64(intent.expires_at.0)),
        ended_at: Set(None),
    };
    row::Entity::insert(row).exec_without_returning(txn).await?;
    Ok(())
}

/// Whether an insertion met a row with the same unique value.
pub(super) fn taken(result: Result<(), StoreError>) -> Result<bool, StoreError> {
    match result {
        Ok(()) => Ok(false),
        Err(StoreError::Database(error))
            if matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))) =>
        {
            Ok(true)
        }
        Err(error) => Err(error),
    }
}

pub(crate) fn purpose(kind: &IntentKind) -> Purpose {
    match kind {
        IntentKind::Keygen { .. } => Purpose::Keygen,
        IntentKind::Aux { .. } => Purpose::Aux,
        IntentKind::Sign { payload: Payload::Canary { .. }, .. } => Purpose::Canary,
        IntentKind::Sign { .. } => Purpose::Sign,
        IntentKind::Refresh { .. } => Purpose::Refresh,
        IntentKind::Reshare { .. } => Purpose::Reshare,
        IntentKind::Replace { .. } => Purpose::Replace,
    }
}

fn state(end: Option<&SessionEnd>) -> SessionState {
    match end {
        None => SessionState::Running,
        Some(SessionEnd::Completed(_)) => SessionState::Completed,
        Some(SessionEnd::Failed(_)) => SessionState::Failed,
        Some(SessionEnd::Cancelled) => SessionState::Cancelled,
        Some(SessionEnd::Expired { .. }) => SessionState::Expired,
    }
}

impl TryFrom<row::Model> for StoredSession {
    type Error = StoreError;

    fn try_from(row: row::Model) -> Result<Self, StoreError> {
        Ok(Self {
            record: from_json("session", &row.record)?,
            created_at: UnixMillis(to_u64(row.created_at)),
            ended_at: row.ended_at.map(|at| UnixMillis(to_u64(at))),
        })
    }
}
