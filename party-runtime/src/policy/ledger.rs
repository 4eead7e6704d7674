//! What the party must remember of the requests that it has consented to, across restarts: each is
//! good for one session, and limits count them.
//!
//! A request is admitted *before* anybody hears of the consent, in one transaction with the count
//! of its limits. A crash in between costs a request of its limits; it never lets two in.

use super::decision::SessionKind;
use super::limit::{Limit, Per};
use super::rules::Refusal;
use crate::vault::{VaultError, begin};
use mpc_wire::{
    AccountId, DeclineReason, IntentHash, RequestId, RequesterName, SessionId, UnixMillis,
};
use sea_orm::ActiveValue::Set;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr, EntityTrait,
    QueryFilter, QueryOrder, QuerySelect,
};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// Requests that may wait for their commit. More of them than this come from no burst that a
/// coordinator lets through; the rest wait in their own tasks.
const QUEUE: usize = 256;

/// Requests that share a commit, so that no burst holds the database for long.
const BATCH: usize = 64;

/// How often what need no longer be remembered is deleted.
const PRUNE_EVERY: Duration = Duration::from_secs(3600);

/// How long a request is remembered after its last expiry, in milliseconds: a day, so that a clock
/// which is set back by less lets nothing in again.
const AFTER_EXPIRY: u64 = 86_400_000;

#[expect(unreachable_pub, reason = "sea-orm's derives make public items")]
mod used_request {
    use sea_orm::entity::prelude::*;

    #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "used_requests")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub request_id: Vec<u8>,
        pub session_id: Vec<u8>,
        pub intent_hash: Vec<u8>,
        pub kind: String,
        pub account_id: Option<Vec<u8>>,
        pub requester: Option<String>,
        pub admitted_at: i64,
        pub forget_at: i64,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

use used_request::{ActiveModel, Column, Entity};

/// A request that the rules let pass.
#[derive(Debug, Clone)]
pub(crate) struct Admission {
    pub(crate) request: RequestId,
    pub(crate) session: SessionId,
    pub(crate) intent: IntentHash,
    pub(crate) kind: SessionKind,
    pub(crate) account: Option<AccountId>,
    pub(crate) requester: Option<RequesterName>,
    pub(crate) now: UnixMillis,
    /// When intent and authorization have both expired.
    pub(crate) expires_at: UnixMillis,
    /// The limits of the policy in force.
    pub(crate) limits: Vec<Limit>,
}

/// The ledger. Clones share one writer.
#[derive(Debug, Clone)]
pub(crate) struct Ledger {
    queue: mpsc::Sender<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    admission: Admission,
    answer: oneshot::Sender<Result<Result<(), Refusal>, VaultError>>,
}

impl Ledger {
    /// Starts the writer on the party's database. It ends with the last clone.
    pub(crate) fn start(db: DatabaseConnection) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        tokio::spawn(write(db, waiting));
        Self { queue }
    }

    /// Admits a request, unless it was used before or a limit is reached. The same session with the
    /// same intent is admitted again and counts once: after a restart it is asked about anew.
    pub(crate) async fn admit(
        &self,
        admission: Admission,
    ) -> Result<Result<(), Refusal>, VaultError> {
        let (answer, result) = oneshot::channel();
        let gone = || VaultError::Database(DbErr::Custom("the ledger's writer is gone".into()));
        self.queue.send(Waiting { admission, answer }).await.map_err(|_| gone())?;
        result.await.map_err(|_| gone())?
    }
}

/// Admits what waits, as much as there is in one commit.
async fn write(db: DatabaseConnection, mut waiting: mpsc::Receiver<Waiting>) {
    let mut pruned: Option<Instant> = None;
    let mut batch = Vec::with_capacity(BATCH);
    while waiting.recv_many(&mut batch, BATCH).await > 0 {
        let (admissions, answers): (Vec<_>, Vec<_>) =
            batch.drain(..).map(|waiting| (waiting.admission, waiting.answer)).unzip();
        let verdicts = admit_all(&db, &admissions).await;
        let is_lost = match verdicts {
            Ok(verdicts) => answers
                .into_iter()
                .zip(verdicts)
                .filter_map(|(answer, verdict)| answer.send(Ok(verdict)).err())
                .count(),
            Err(error) => {
                // Nothing of the batch is admitted. The error has no copies: each gets its text.
                let text = error.to_string();
                answers
                    .into_iter()
                    .filter_map(|answer| {
                        let error = VaultError::Database(DbErr::Custom(text.clone()));
                        answer.send(Err(error)).err()
                    })
                    .count()
            }
        };
        if is_lost > 0 {
            tracing::debug!(is_lost, "nobody waits for the verdict on requests any more");
        }
        let now = admissions.last().map(|admission| admission.now);
        if let Some(now) = now.filter(|_| pruned.is_none_or(|at| at.elapsed() >= PRUNE_EVERY)) {
            pruned = Some(Instant::now());
            if let Err(error) = prune(&db, now).await {
                tracing::warn!(%error, "cannot delete requests that need not be remembered");
            }
        }
    }
}

async fn admit_all(
    db: &DatabaseConnection,
    admissions: &[Admission],
) -> Result<Vec<Result<(), Refusal>>, VaultError> {
    // Reads before it writes, and another process may write the file meanwhile.
    let transaction = begin(db).await?;
    let mut verdicts = Vec::with_capacity(admissions.len());
    for admission in admissions {
        verdicts.push(admit(&transaction, admission).await?);
    }
    transaction.commit().await?;
    Ok(verdicts)
}

async fn admit(
    transaction: &DatabaseTransaction,
    admission: &Admission,
) -> Result<Result<(), Refusal>, DbErr> {
    let request = admission.request.as_bytes().to_vec();
    if let Some(known) = Entity::find_by_id(request.clone()).one(transaction).await? {
        let is_the_same = known.session_id == admission.session.as_bytes()
            && known.intent_hash == admission.intent.as_bytes();
        return Ok(if is_the_same {
            Ok(())
        } else {
            Err(Refusal::new(
                DeclineReason::RequestReused,
                "the request was consented to in another session, or for something else",
            ))
        });
    }
    for limit in admission.limits.iter().filter(|limit| limit.sessions == admission.kind) {
        if is_reached(transaction, limit, admission).await? {
            return Ok(Err(Refusal::new(DeclineReason::LimitReached, limit.to_string())));
        }
    }
    let row = ActiveModel {
        request_id: Set(request),
        session_id: Set(admission.session.as_bytes().to_vec()),
        intent_hash: Set(admission.intent.as_bytes().to_vec()),
        kind: Set(admission.kind.name().to_owned()),
        account_id: Set(admission.account.map(|account| account.as_bytes().to_vec())),
        requester: Set(admission.requester.as_ref().map(|name| name.as_str().to_owned())),
        admitted_at: Set(to_i64(admission.now.0)),
        forget_at: Set(to_i64(admission.forget_at())),
    };
    Entity::insert(row).exec_without_returning(transaction).await?;
    Ok(Ok(()))
}

impl Admission {
    /// When neither replay nor limits depend on it any more.
    fn forget_at(&self) -> u64 {
        let window = self.limits.iter().map(|limit| limit.window.millis()).max().unwrap_or(0);
        let counted = self.now.0.saturating_add(window);
        self.expires_at.0.saturating_add(AFTER_EXPIRY).max(counted)
    }
}

/// Whether the window up to now is full: whether it holds the oldest of the newest `requests`.
async fn is_reached(
    db: &impl ConnectionTrait,
    limit: &Limit,
    admission: &Admission,
) -> Result<bool, DbErr> {
    let since = to_i64(admission.now.0) - to_i64(limit.window.millis());
    let of_kind = Entity::find()
        .select_only()
        .column(Column::AdmittedAt)
        .filter(Column::Kind.eq(limit.sessions.name()))
        .filter(Column::AdmittedAt.gt(since));
    let counted = match limit.per {
        Per::Party => of_kind,
        Per::Account => match &admission.account {
            Some(account) => of_kind.filter(Column::AccountId.eq(account.as_bytes().to_vec())),
            None => of_kind.filter(Column::AccountId.is_null()),
        },
        Per::Requester => match &admission.requester {
            Some(name) => of_kind.filter(Column::Requester.eq(name.as_str())),
            None => of_kind.filter(Column::Requester.is_null()),
        },
    };
    let last_one: Option<i64> = counted
        .order_by_desc(Column::AdmittedAt)
        .offset(u64::from(limit.requests.saturating_sub(1)))
        .limit(1)
        .into_tuple()
        .one(db)
        .await?;
    Ok(last_one.is_some())
}

async fn prune(db: &DatabaseConnection, now: UnixMillis) -> Result<(), DbErr> {
    let gone = Entity::delete_many().filter(Column::ForgetAt.lt(to_i64(now.0))).exec(db).await?;
    tracing::debug!(rows = gone.rows_affected, "deleted requests that need not be remembered");
    Ok(())
}

/// SQLite's integers are signed. Times beyond the year 292 million are as good as the last one.
fn to_i64(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
