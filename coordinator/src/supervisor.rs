//! Makes session actors, notices their deaths, and answers each with a fresh one.
//!
//! An actor that dies drops its half of a channel unused: the supervisor sees that, counts it, and
//! restores the session from its record as a new actor, which asks the members of the attempt under
//! way what became of that. Nothing of the dead actor's memory is used again.

use crate::hub::Detach;
use crate::opening::{EndWatch, OpenError, Opening};
use crate::session_actor::{Birth, Exit, SessionActor, Surroundings, Ties, ToSession};
use crate::staff::DeathNotice;
use crate::store::StoreError;
use crate::store::session::{NewSession, Saving, StoredSession};
use crate::store::writer::Written;
use actix::prelude::*;
use mpc_session::{Effect, FailureReason, Order, Record, Session, SessionEnd, SessionFailure};
use mpc_wire::{AbortReason, FailureKind, SessionId, ToParty};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

/// Requests that may wait for the supervisor; who finds no room waits for it.
const SUPERVISOR_MAILBOX: usize = 256;

/// How often a session's actor may die before the session is given up: what kills three fresh
/// actors will kill the next.
const MAX_DEATHS: u32 = 3;

/// The pause before a session that its store failed is taken up again.
const REVIVAL_PAUSE: Duration = Duration::from_secs(1);

/// Keeps every session that has not ended in the care of one actor.
pub(crate) struct Supervisor {
    around: Surroundings,
    permits: Arc<Semaphore>,
    charges: BTreeMap<SessionId, Charge>,
    is_draining: bool,
    is_stopping: bool,
    /// Closed with the supervisor, which every session actor goes with.
    presence: watch::Sender<()>,
    _notice: DeathNotice,
}

/// A session in the supervisor's care.
struct Charge {
    /// None while it is being opened or restored.
    actor: Option<Addr<SessionActor>>,
    end: watch::Sender<Option<Arc<StoredSession>>>,
    deaths: u32,
    /// Counts the session as running. Those restored at the start may exceed the bound: they were
    /// within it once.
    _permit: Option<OwnedSemaphorePermit>,
}

impl Charge {
    fn new(permit: Option<OwnedSemaphorePermit>) -> Self {
        Self { actor: None, end: watch::Sender::new(None), deaths: 0, _permit: permit }
    }
}

/// What a stored session comes back as.
enum Revival {
    Runs(Box<Birth>),
    IsOver(Arc<StoredSession>),
    Unknown,
}

impl Supervisor {
    pub(crate) fn new(around: Surroundings, max_running: usize, notice: DeathNotice) -> Self {
        let permits = Arc::new(Semaphore::new(max_running.min(Semaphore::MAX_PERMITS)));
        let charges = BTreeMap::new();
        let presence = watch::Sender::new(());
        Self {
            around,
            permits,
            charges,
            is_draining: false,
            is_stopping: false,
            presence,
            _notice: notice,
        }
    }

    /// Starts an actor for the session and listens for its exit.
    fn bear(&mut self, id: SessionId, birth: Birth, ctx: &mut Context<Self>) {
        let Some(charge) = self.charges.get_mut(&id).filter(|_| !self.is_stopping) else {
            return;
        };
        let (exit, exited) = oneshot::channel();
        let supervisor = self.presence.subscribe();
        let ties = Ties { end: charge.end.clone(), exit, supervisor };
        charge.actor = Some(SessionActor::new(birth, ties, self.around.clone()).start());
        let exited = exited.into_actor(self);
        ctx.spawn(exited.map(move |exit, supervisor, ctx| supervisor.exited(id, exit.ok(), ctx)));
    }

    /// Takes note of an actor's exit; none is a death.
    fn exited(&mut self, id: SessionId, exit: Option<Exit>, ctx: &mut Context<Self>) {
        let hub = self.around.hub.clone();
        let detached = async move { hub.send(Detach(id)).await }.into_actor(self);
        let Some(charge) = self.charges.get_mut(&id) else {
            return;
        };
        charge.actor = None;
        match exit {
            Some(Exit::Ended) => {
                self.charges.remove(&id);
                ctx.spawn(detached.map(|_, _, _| ()));
            }
            Some(Exit::Interrupted) => {
                ctx.spawn(detached.map(move |_, supervisor, ctx| supervisor.revive_later(id, ctx)));
            }
            None => {
                charge.deaths += 1;
                let deaths = charge.deaths;
                tracing::error!(session = %id, deaths, "a session actor died");
                ctx.spawn(detached.map(move |_, supervisor, ctx| {
                    if deaths < MAX_DEATHS {
                        supervisor.revive(id, ctx);
                    } else {
                        supervisor.give_up(id, ctx);
                    }
                }));
            }
        }
    }

    fn revive_later(&mut self, id: SessionId, ctx: &mut Context<Self>) {
        if !self.is_stopping {
            ctx.run_later(REVIVAL_PAUSE, move |supervisor, ctx| supervisor.revive(id, ctx));
        }
    }

    /// Takes a session up again from what is stored of it.
    fn revive(&mut self, id: SessionId, ctx: &mut Context<Self>) {
        if self.is_stopping {
            return;
        }
        let around = self.around.clone();
        let loaded = async move {
            Ok(match around.store.session(id).await? {
                None => Revival::Unknown,
                Some(stored) if stored.record.end.is_some() => Revival::IsOver(Arc::new(stored)),
                Some(stored) => Revival::Runs(Box::new(restore(&around, stored))),
            })
        };
        let loaded = loaded.into_actor(self);
        ctx.spawn(loaded.map(move |revival, supervisor, ctx| {
            supervisor.revived(id, revival, ctx);
        }));
    }

    fn revived(
        &mut self,
        id: SessionId,
        revival: Result<Revival, StoreError>,
        ctx: &mut Context<Self>,
    ) {
        match revival {
            Ok(Revival::Runs(birth)) => self.bear(id, *birth, ctx),
            Ok(Revival::IsOver(stored)) => {
                if let Some(charge) = self.charges.remove(&id) {
                    charge.end.send_replace(Some(stored));
                }
            }
            Ok(Revival::Unknown) => {
                tracing::error!(session = %id, "a session is gone from the store");
                self.charges.remove(&id);
            }
            Err(error) => {
                tracing::warn!(session = %id, %error, "a session cannot be taken up yet");
                self.revive_later(id, ctx);
            }
        }
    }

    /// Ends a session whose actors keep dying.
    fn give_up(&mut self, id: SessionId, ctx: &mut Context<Self>) {
        let around = self.around.clone();
        let ended = async move { give_up(&around, id).await }.into_actor(self);
        ctx.spawn(ended.map(move |ended, supervisor, ctx| match ended {
            // The end is stored: reviving the session finds it and tells those who wait.
            Ok(()) => supervisor.revive(id, ctx),
            Err(error) => {
                tracing::warn!(session = %id, %error, "a session cannot be given up yet");
                ctx.run_later(REVIVAL_PAUSE, move |supervisor, ctx| supervisor.give_up(id, ctx));
            }
        }));
    }
}

/// Restores a session; one whose deadline passed in the meantime ends by that.
fn restore(around: &Surroundings, stored: StoredSession) -> Birth {
    let StoredSession { record, created_at, .. } = stored;
    let deadline = around.clock.deadline(record.intent.expires_at);
    let online = around.roster.rank(&record.intent.eligible, &BTreeSet::new());
    let believed = online.iter().copied().collect();
    let (session, effects) = Session::restore(record, deadline, online, around.clock.now());
    Birth { session, effects, believed, created_at }
}

async fn give_up(around: &Surroundings, id: SessionId) -> Result<(), StoreError> {
    let Some(stored) = around.store.session(id).await? else {
        return Ok(());
    };
    if stored.record.end.is_some() {
        return Ok(());
    }
    let Record { attempt, .. } = stored.record;
    let end = SessionEnd::Failed(SessionFailure {
        reason: FailureReason::AttemptsExhausted(FailureKind::Panicked),
        parties: BTreeSet::new(),
        detail: "the coordinator's actor for this session kept dying".to_owned(),
    });
    let Record { past, quorum, .. } = &stored.record;
    let members: BTreeSet<_> =
        past.iter().flat_map(|past| &past.quorum).chain(quorum).copied().collect();
    let record = Record { quorum: BTreeSet::new(), end: Some(end), ..stored.record };
    let (created_at, at) = (stored.created_at, around.clock.wall());
    around.store.save_session(Saving { record, created_at, at }).await?;
    tracing::error!(session = %id, "the session was given up");
    for party in members {
        let abort = ToParty::Abort { session: id, attempt, reason: AbortReason::Failed };
        for message in [abort, ToParty::Finished { session: id }] {
            // Its outcome, or its intent's expiry, will make the party forget all the same.
            if let Err(error) = around.post.deliver(party, Box::new(message)).await {
                tracing::warn!(%party, session = %id, %error, "a message was lost");
            }
        }
    }
    Ok(())
}

impl Actor for Supervisor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(SUPERVISOR_MAILBOX);
    }
}

/// Opens a session: stored first, then started.
#[derive(Debug, Message)]
#[rtype(result = "Result<EndWatch, OpenError>")]
pub(crate) struct Open(pub(crate) Opening);

impl Handler<Open> for Supervisor {
    type Result = ResponseActFuture<Self, Result<EndWatch, OpenError>>;

    fn handle(&mut self, Open(opening): Open, _ctx: &mut Self::Context) -> Self::Result {
        let id = opening.intent.session;
        let permit = if self.is_stopping || self.is_draining {
            Err(OpenError::Stopping)
        } else if self.charges.contains_key(&id) {
            Err(OpenError::SessionExists)
        } else {
            Arc::clone(&self.permits).try_acquire_owned().map_err(|_| OpenError::Overloaded)
        };
        let charge = match permit {
            Ok(permit) => Charge::new(Some(permit)),
            Err(error) => return Box::pin(async { Err(error) }.into_actor(self)),
        };
        let watch = EndWatch::new(id, charge.end.subscribe());
        // In care before it is stored: who finds it in the store can wait for its end.
        self.charges.insert(id, charge);
        let around = self.around.clone();
        let opened = async move { open(&around, opening).await }.into_actor(self);
        Box::pin(opened.map(move |opened, supervisor, ctx| match opened {
            Ok(birth) => {
                supervisor.bear(id, birth, ctx);
                Ok(watch)
            }
            Err(error) => {
                supervisor.charges.remove(&id);
                Err(error)
            }
        }))
    }
}

async fn open(around: &Surroundings, opening: Opening) -> Result<Birth, OpenError> {
    let Opening { intent, aux_id, preferred, account, claim, asker } = opening;
    let online = around.roster.rank(&intent.eligible, &preferred);
    let believed: BTreeSet<_> = online.iter().copied().collect();
    let needed = intent.quorum_size();
    if online.len() < needed {
        let missing = intent.eligible.difference(&believed).copied().collect();
        return Err(OpenError::NotEnoughParties { online: online.len(), needed, missing });
    }
    let deadline = around.clock.deadline(intent.expires_at);
    let order = Order { intent, aux_id, deadline, online };
    let (session, mut effects) = Session::open(order, around.clock.now());
    // The machine's first effect is to store itself: done here, with all that belongs to the
    // opening, in one transaction.
    effects.retain(|effect| !matches!(effect, Effect::Persist(_)));
    let record = session.record();
    let created_at = around.clock.wall();
    let new = NewSession { record, created_at, account, claim, asker };
    match around.store.open_session(new).await? {
        Written::Stored => Ok(Birth { session, effects, believed, created_at }),
        Written::KeyTaken => Err(OpenError::KeyTaken),
        Written::SessionExists | Written::SessionOver | Written::Superseded => {
            Err(OpenError::SessionExists)
        }
    }
}

/// Takes up the sessions that were running when the process ended; says how many.
#[derive(Debug, Message)]
#[rtype(result = "Result<usize, StoreError>")]
pub(crate) struct Resume;

impl Handler<Resume> for Supervisor {
    type Result = ResponseActFuture<Self, Result<usize, StoreError>>;

    fn handle(&mut self, Resume: Resume, _ctx: &mut Self::Context) -> Self::Result {
        let around = self.around.clone();
        let running = async move { around.store.running_sessions().await }.into_actor(self);
        Box::pin(running.map(|running, supervisor, ctx| {
            let running = running?;
            let count = running.len();
            for stored in running {
                let id = stored.id();
                let permit = Arc::clone(&supervisor.permits).try_acquire_owned().ok();
                supervisor.charges.insert(id, Charge::new(permit));
                let birth = restore(&supervisor.around, stored);
                supervisor.bear(id, birth, ctx);
            }
            Ok(count)
        }))
    }
}

/// A running session, as its supervisor knows it.
#[derive(Debug, Clone)]
pub(crate) struct RunningSession {
    /// None while it is being opened or restored.
    pub(crate) actor: Option<Addr<SessionActor>>,
    pub(crate) end: EndWatch,
}

/// Asks for a session that has not ended.
#[derive(Debug, Message)]
#[rtype(result = "Option<RunningSession>")]
pub(crate) struct Find(pub(crate) SessionId);

impl Handler<Find> for Supervisor {
    type Result = Option<RunningSession>;

    fn handle(&mut self, Find(id): Find, _ctx: &mut Self::Context) -> Self::Result {
        let charge = self.charges.get(&id)?;
        let end = EndWatch::new(id, charge.end.subscribe());
        Some(RunningSession { actor: charge.actor.clone(), end })
    }
}

/// The coordinator is about to stop: nothing new is opened from now on. Names what runs.
#[derive(Debug, Message)]
#[rtype(result = "Vec<RunningSession>")]
pub(crate) struct Drain;

impl Handler<Drain> for Supervisor {
    type Result = MessageResult<Drain>;

    fn handle(&mut self, Drain: Drain, _ctx: &mut Self::Context) -> Self::Result {
        self.is_draining = true;
        let running = self.charges.iter().map(|(id, charge)| RunningSession {
            actor: charge.actor.clone(),
            end: EndWatch::new(*id, charge.end.subscribe()),
        });
        MessageResult(running.collect())
    }
}

/// The coordinator stops: every actor leaves, and what runs is taken up at the next start.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct StopSessions;

impl Handler<StopSessions> for Supervisor {
    type Result = ResponseActFuture<Self, ()>;

    fn handle(&mut self, StopSessions: StopSessions, _ctx: &mut Self::Context) -> Self::Result {
        self.is_stopping = true;
        let charges = std::mem::take(&mut self.charges);
        let actors: Vec<_> = charges.into_values().filter_map(|charge| charge.actor).collect();
        let halted = async move {
            for actor in actors {
                // An actor that has gone already has no mailbox.
                if actor.send(ToSession::Halt).await.is_err() {
                    tracing::debug!("a session actor had gone before it was stopped");
                }
            }
        };
        Box::pin(halted.into_actor(self).map(|(), _, ctx| ctx.stop()))
    }
}

#[cfg(test)]
mod tests;
