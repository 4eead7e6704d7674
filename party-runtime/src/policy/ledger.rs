//! What the party must remember of the requests that it has consented to, across restarts: each is
//! good for one session, and limits count them.
//!
//! A request is admitted *before* anybody hears of the consent, in one transaction with the count
//! of its limits. A crash in between costs a request of its limits; it never lets two in.
//!
//! The rows are plain; what they add up to is sealed in the vault with each commit (`tally`) and
//! compared before they are believed (`check`). While they do not fit, no request is admitted.

mod check;
mod rows;
mod tally;

pub use check::LedgerFault;

use check::checked;
use rows::{Column, Entity, Model};
use tally::Tally;

use super::decision::SessionKind;
use super::limit::{Limit, Per};
use super::rules::Refusal;
use crate::vault::{Vault, VaultError};
use mpc_wire::{
    AccountId, DeclineReason, IntentHash, RequestId, RequesterName, SessionId, UnixMillis,
};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, IntoActiveModel,
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

/// Rows that are deleted in one commit, for the same reason as that of a batch. More requests than
/// that come in no batch, so however many wait to be deleted, they become fewer.
const PRUNED: u64 = 512;

/// How long a request is remembered after its last expiry, in milliseconds: a day, so that a clock
/// which is set back by less lets nothing in again.
const AFTER_EXPIRY: u64 = 86_400_000;

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
    /// How long the policy in force lets a requester's signature live.
    pub(crate) authorization_life: Duration,
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
    /// Starts the writer on the party's vault. It ends with the last clone.
    pub(crate) fn start(vault: Vault) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        tokio::spawn(write(vault, waiting));
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
async fn write(vault: Vault, mut waiting: mpsc::Receiver<Waiting>) {
    // Nothing depends on it: it tells an operator at the start and not with the first request.
    if let Err(error) = inspect(&vault).await {
        report(&vault, &error);
    }
    let mut pruned: Option<Instant> = None;
    let mut batch = Vec::with_capacity(BATCH);
    while waiting.recv_many(&mut batch, BATCH).await > 0 {
        let (admissions, answers): (Vec<_>, Vec<_>) =
            batch.drain(..).map(|waiting| (waiting.admission, waiting.answer)).unzip();
        let is_lost = match judge_all(&vault, &admissions).await {
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
            match prune(&vault, now).await {
                // There may be more: the next batch goes on.
                Ok(PRUNED) => {}
                Ok(_) => pruned = Some(Instant::now()),
                Err(error) => {
                    tracing::warn!(%error, "cannot delete requests that need not be remembered");
                    pruned = Some(Instant::now());
                }
            }
        }
    }
}

/// Says what an operator is to do about a ledger that does not serve.
fn report(vault: &Vault, error: &VaultError) {
    let party = vault.party();
    if error.is_damage() {
        tracing::error!(
            %party, %error,
            "no request is admitted any more: find out who can write the vault's file, then back \
             the party up with `mpc party backup` and restore it into an empty folder with \
             `mpc party restore`"
        );
    } else {
        tracing::warn!(%party, %error, "cannot look at the used requests");
    }
}

/// Compares the rows with what is sealed.
async fn inspect(vault: &Vault) -> Result<(), VaultError> {
    let mut transaction = vault.begin().await?;
    match checked(&mut transaction).await {
        // So that the connection knows what it has compared.
        Ok(_) => transaction.commit().await,
        Err(error) => transaction.give_up().await.and(Err(error)),
    }
}

/// As [`admit_all`]; all are declined while the ledger is not as the party left it.
async fn judge_all(
    vault: &Vault,
    admissions: &[Admission],
) -> Result<Vec<Result<(), Refusal>>, VaultError> {
    match admit_all(vault, admissions).await {
        Err(error) if error.is_damage() => {
            report(vault, &error);
            let refusal = Refusal::new(DeclineReason::LedgerDamaged, error.to_string());
            Ok(vec![Err(refusal); admissions.len()])
        }
        verdicts => verdicts,
    }
}

async fn admit_all(
    vault: &Vault,
    admissions: &[Admission],
) -> Result<Vec<Result<(), Refusal>>, VaultError> {
    let mut transaction = vault.begin().await?;
    let mut tally = checked(&mut transaction).await?;
    let before = tally.rows();
    let mut verdicts = Vec::with_capacity(admissions.len());
    for admission in admissions {
        verdicts.push(admit(transaction.connection(), &mut tally, admission).await?);
    }
    if tally.rows() != before {
        tally.write(&mut transaction).await?;
    }
    // With the use itself: a restored party must know how long a used request may still be good for.
    if let Some(life) = admissions.iter().map(|admission| admission.authorization_life).max() {
        transaction.raise_authorization_life(life).await?;
    }
    transaction.commit().await?;
    Ok(verdicts)
}

async fn admit(
    db: &DatabaseTransaction,
    tally: &mut Tally,
    admission: &Admission,
) -> Result<Result<(), Refusal>, DbErr> {
    let request = admission.request.as_bytes().to_vec();
    if let Some(known) = Entity::find_by_id(request).one(db).await? {
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
        if is_reached(db, limit, admission).await? {
            return Ok(Err(Refusal::new(DeclineReason::LimitReached, limit.to_string())));
        }
    }
    let row = admission.row();
    tally.enter(&row);
    Entity::insert(row.into_active_model()).exec_without_returning(db).await?;
    Ok(Ok(()))
}

impl Admission {
    fn row(&self) -> Model {
        Model {
            request_id: self.request.as_bytes().to_vec(),
            session_id: self.session.as_bytes().to_vec(),
            intent_hash: self.intent.as_bytes().to_vec(),
            kind: self.kind.name().to_owned(),
            account_id: self.account.map(|account| account.as_bytes().to_vec()),
            requester: self.requester.as_ref().map(|name| name.as_str().to_owned()),
            admitted_at: to_i64(self.now.0),
            forget_at: to_i64(self.forget_at()),
        }
    }

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

/// Deletes what need no longer be remembered, as much as goes into one commit, and says how much.
async fn prune(vault: &Vault, now: UnixMillis) -> Result<u64, VaultError> {
    let mut transaction = vault.begin().await?;
    let mut tally = checked(&mut transaction).await?;
    let past = Entity::find().filter(Column::ForgetAt.lt(to_i64(now.0))).limit(PRUNED);
    let past = past.all(transaction.connection()).await?;
    if past.is_empty() {
        transaction.give_up().await?;
        return Ok(0);
    }
    past.iter().for_each(|row| tally.strike(row));
    let requests = past.into_iter().map(|row| row.request_id);
    let gone = Entity::delete_many().filter(Column::RequestId.is_in(requests));
    let gone = gone.exec(transaction.connection()).await?.rows_affected;
    tally.write(&mut transaction).await?;
    transaction.commit().await?;
    tracing::debug!(rows = gone, "deleted requests that need not be remembered");
    Ok(gone)
}

/// SQLite's integers are signed. Times beyond the year 292 million are as good as the last one.
fn to_i64(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tampering;
#[cfg(test)]
mod tests;
