//! Creates accounts, and keeps each in the care of one task until it is active or has failed.

use crate::audit::Asker;
use crate::config::Limits;
use crate::life::{Life, LifeParts};
use crate::names::{AccountState, Role};
use crate::opening::{OpenError, Opening};
use crate::staff::DeathNotice;
use crate::store::StoreError;
use crate::store::account::NewAccount;
use crate::store::idempotency::Claim;
use crate::store::party::Party;
use crate::supervisor::Open;
use actix::prelude::*;
use mpc_wire::{AccountId, Intent, IntentKind, PartyId, RequestId, Scheme, SessionId, Threshold};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Requests that may wait for the accounts' actor; who finds no room waits for it.
const ACCOUNTS_MAILBOX: usize = 256;

/// An account to be created.
#[derive(Debug, Clone)]
pub(crate) struct AccountOrder {
    pub(crate) user_id: String,
    pub(crate) scheme: Scheme,
    pub(crate) threshold: Threshold,
    pub(crate) parties: PartyChoice,
    pub(crate) claim: Option<Claim>,
    pub(crate) asker: Asker,
}

/// Who is to hold the shares.
#[derive(Debug, Clone)]
pub(crate) enum PartyChoice {
    /// So many of the online servers, those with the fewest accounts first.
    Servers(usize),
    /// Exactly these.
    Named(BTreeSet<PartyId>),
}

/// Why an account was not created. Nothing of it is stored then.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CreateError {
    #[error("party {0} is not registered")]
    UnknownParty(PartyId),
    #[error("party {0} was revoked")]
    RevokedParty(PartyId),
    #[error("as many accounts are on their way as may be at a time")]
    Overloaded,
    #[error(transparent)]
    Open(#[from] OpenError),
}

impl From<StoreError> for CreateError {
    fn from(error: StoreError) -> Self {
        Self::Open(OpenError::Store(error))
    }
}

/// Tells where an account stands, until it is active or has failed.
pub(crate) type StateWatch = watch::Receiver<AccountState>;

/// The accounts on their way.
pub(crate) struct Accounts {
    parts: LifeParts,
    keygen_deadline: Duration,
    max_pending: usize,
    lives: BTreeMap<AccountId, Care>,
    is_stopping: bool,
    _notice: DeathNotice,
}

struct Care {
    state: watch::Sender<AccountState>,
    task: JoinHandle<()>,
}

impl Drop for Care {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Accounts {
    pub(crate) fn new(parts: LifeParts, limits: &Limits, notice: DeathNotice) -> Self {
        Self {
            parts,
            keygen_deadline: limits.keygen_deadline,
            max_pending: limits.max_pending_accounts,
            lives: BTreeMap::new(),
            is_stopping: false,
            _notice: notice,
        }
    }

    /// Takes an account into care, unless it is; a task that dies is replaced.
    fn follow(&mut self, id: AccountId, ctx: &mut Context<Self>) -> StateWatch {
        if let Some(care) = self.lives.get(&id) {
            return care.state.subscribe();
        }
        let state = watch::Sender::new(AccountState::Generating);
        let watch = state.subscribe();
        self.care(id, state, ctx);
        watch
    }

    fn care(&mut self, id: AccountId, state: watch::Sender<AccountState>, ctx: &mut Context<Self>) {
        let life = Life::new(id, self.parts.clone(), state.clone());
        let (done, ended) = tokio::sync::oneshot::channel();
        let task = actix::spawn(async move {
            life.run().await;
            if done.send(()).is_err() {
                tracing::debug!(account = %id, "nobody cares for the account any more");
            }
        });
        self.lives.insert(id, Care { state, task });
        ctx.spawn(ended.into_actor(self).map(move |ended, accounts, ctx| {
            let Some(care) = accounts.lives.remove(&id).filter(|_| !accounts.is_stopping) else {
                return;
            };
            // A task that went without a word has died.
            if ended.is_err() {
                tracing::error!(account = %id, "the task of an account died");
                let state = care.state.clone();
                ctx.run_later(accounts.parts.retry_pause, move |accounts, ctx| {
                    if !accounts.is_stopping && !accounts.lives.contains_key(&id) {
                        accounts.care(id, state, ctx);
                    }
                });
            }
        }));
    }
}

impl Actor for Accounts {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(ACCOUNTS_MAILBOX);
    }
}

/// Creates an account; its key generation is under way then.
#[derive(Debug, Message)]
#[rtype(result = "Result<(AccountId, StateWatch), CreateError>")]
pub(crate) struct Create(pub(crate) AccountOrder);

impl Handler<Create> for Accounts {
    type Result = ResponseActFuture<Self, Result<(AccountId, StateWatch), CreateError>>;

    fn handle(&mut self, Create(order): Create, _ctx: &mut Self::Context) -> Self::Result {
        let is_full = self.lives.len() >= self.max_pending;
        let parts = self.parts.clone();
        let deadline = self.keygen_deadline;
        let created = async move {
            if is_full {
                return Err(CreateError::Overloaded);
            }
            create(&parts, deadline, order).await
        };
        Box::pin(created.into_actor(self).map(|created, accounts, ctx| {
            let id = created?;
            Ok((id, accounts.follow(id, ctx)))
        }))
    }
}

async fn create(
    parts: &LifeParts,
    deadline: Duration,
    order: AccountOrder,
) -> Result<AccountId, CreateError> {
    let AccountOrder { user_id, scheme, threshold, parties, claim, asker } = order;
    let holders = choose(parts, parties).await?;
    let id = AccountId::generate();
    let intent = Intent {
        session: SessionId::generate(),
        request: RequestId::generate(),
        eligible: holders.clone(),
        expires_at: parts.clock.wall_after(deadline),
        kind: IntentKind::Keygen { account: id, scheme, threshold },
    };
    let session = intent.session;
    let account = Some(NewAccount { id, user_id, scheme, threshold, holders });
    let opening = Opening { account, claim, asker, ..Opening::plain(intent, None) };
    parts.supervisor.send(Open(opening)).await.unwrap_or(Err(OpenError::Stopping))?;
    tracing::info!(account = %id, %session, "an account is being created");
    Ok(id)
}

async fn choose(parts: &LifeParts, choice: PartyChoice) -> Result<BTreeSet<PartyId>, CreateError> {
    let registered = parts.store.parties().await?;
    match choice {
        PartyChoice::Named(named) => {
            let known: BTreeSet<_> = registered.iter().map(|party| party.id).collect();
            named
                .difference(&known)
                .next()
                .map_or(Ok(()), |party| Err(CreateError::UnknownParty(*party)))?;
            let revoked =
                registered.iter().find(|party| party.is_revoked() && named.contains(&party.id));
            revoked.map_or(Ok(()), |party| Err(CreateError::RevokedParty(party.id)))?;
            Ok(named)
        }
        PartyChoice::Servers(count) => {
            let accounts = parts.store.accounts_by_party().await?;
            let online = parts.roster.online();
            let is_of_pool = |party: &&Party| party.role == Role::Server && !party.is_revoked();
            let servers = registered.iter().filter(is_of_pool);
            let (mut there, away): (Vec<_>, Vec<_>) =
                servers.map(|party| party.id).partition(|party| online.contains(party));
            if there.len() < count {
                let (online, missing) = (there.len(), away.into_iter().collect());
                return Err(OpenError::NotEnoughParties { online, needed: count, missing }.into());
            }
            there.sort_by_key(|party| (accounts.get(party).copied().unwrap_or(0), *party));
            Ok(there.into_iter().take(count).collect())
        }
    }
}

/// Asks to be told where an account on its way stands.
#[derive(Debug, Message)]
#[rtype(result = "StateWatch")]
pub(crate) struct Follow(pub(crate) AccountId);

impl Handler<Follow> for Accounts {
    type Result = MessageResult<Follow>;

    fn handle(&mut self, Follow(id): Follow, ctx: &mut Self::Context) -> Self::Result {
        MessageResult(self.follow(id, ctx))
    }
}

/// Takes up the accounts that were on their way when the process ended; says how many.
#[derive(Debug, Message)]
#[rtype(result = "Result<usize, StoreError>")]
pub(crate) struct ResumeAccounts;

impl Handler<ResumeAccounts> for Accounts {
    type Result = ResponseActFuture<Self, Result<usize, StoreError>>;

    fn handle(&mut self, ResumeAccounts: ResumeAccounts, _ctx: &mut Self::Context) -> Self::Result {
        let store = self.parts.store.clone();
        let pending = async move { store.pending_accounts().await }.into_actor(self);
        Box::pin(pending.map(|pending, accounts, ctx| {
            let pending = pending?;
            for id in &pending {
                accounts.follow(*id, ctx);
            }
            Ok(pending.len())
        }))
    }
}

/// The coordinator stops.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct StopAccounts;

impl Handler<StopAccounts> for Accounts {
    type Result = ();

    fn handle(&mut self, StopAccounts: StopAccounts, ctx: &mut Self::Context) {
        self.is_stopping = true;
        self.lives.clear();
        ctx.stop();
    }
}
