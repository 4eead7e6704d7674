//! The coordinator's long-lived actors: made together by a factory, and replaced together.
//!
//! They hold each other's addresses, so when one of them dies the others go with it: a death is
//! seen through a drop guard and counted, and a fresh staff begins from the store, as after a
//! restart of the process. What parties say meanwhile waits in the uplink.

use crate::accounts::{Accounts, ResumeAccounts, StopAccounts};
use crate::activation::Activation;
use crate::clock::Clock;
use crate::config::Limits;
use crate::herald::{Heads, Herald, StopHerald};
use crate::hub::{Hub, StopHub};
use crate::life::LifeParts;
use crate::pool::{Pool, StopPool};
use crate::post::Post;
use crate::requests::Requests;
use crate::roster::Roster;
use crate::session_actor::{Ask, Standing, Surroundings};
use crate::signing::Signing;
use crate::store::{Store, StoreError};
use crate::supervisor::{Drain, Resume, RunningSession, StopSessions, Supervisor};
use actix::{Actor, Addr, AsyncContext, Context, Handler, Message};
use mpc_session::Phase;
use mpc_wire::Uplink;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Pause before a fresh staff begins, so that one that dies at once, or a store that stays away, is
/// not hammered.
const RESTART_PAUSE: Duration = Duration::from_millis(250);

/// How long what is under way may go on when the coordinator is told to stop: several signatures on
/// a slow machine, and well within the half minute that process managers give.
const DRAIN_PATIENCE: Duration = Duration::from_secs(20);

/// Deaths that may wait to be heard of: the first is enough, and the others follow from it.
const DEATHS: usize = 4;

/// Why a staff could not begin.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StaffError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("an actor of the coordinator died at its start")]
    Actor(#[from] actix::MailboxError),
}

/// What the gateway sends, for whichever hub listens now.
pub(crate) type SharedUplink = Arc<Mutex<mpsc::Receiver<Uplink>>>;

/// Says that its actor is gone, however that came.
#[derive(Debug)]
pub(crate) struct DeathNotice {
    who: &'static str,
    deaths: mpsc::Sender<&'static str>,
}

impl DeathNotice {
    /// A notice that nobody reads.
    #[cfg(test)]
    pub(crate) fn unread() -> Self {
        Self { who: "actor", deaths: mpsc::channel(1).0 }
    }
}

impl Drop for DeathNotice {
    fn drop(&mut self) {
        // Without room, or a keeper, somebody's death is known already, or nobody needs to know.
        if self.deaths.try_send(self.who).is_err() {
            tracing::debug!(who = self.who, "an actor has gone with the others");
        }
    }
}

/// The actors of one generation.
#[derive(Debug, Clone)]
pub(crate) struct Staff {
    pub(crate) hub: Addr<Hub>,
    pub(crate) supervisor: Addr<Supervisor>,
    pub(crate) accounts: Addr<Accounts>,
    pub(crate) signing: Signing,
    pool: Addr<Pool>,
    herald: Addr<Herald>,
}

impl Staff {
    /// Opens nothing new, and waits for the attempts that run. What waits for joins, a person or
    /// a party is left alone, as is what takes too long: it is taken up at the next start.
    async fn drain(&self) {
        let Ok(running) = self.supervisor.send(Drain).await else {
            return;
        };
        let mut under_way = Vec::new();
        for RunningSession { actor, end } in running {
            let Some(actor) = actor else { continue };
            if let Ok(Standing { status, .. }) = actor.send(Ask).await
                && matches!(status.phase, Phase::Running | Phase::Ended)
            {
                under_way.push(end);
            }
        }
        let sessions = under_way.len();
        tracing::info!(sessions, "waiting for what is under way");
        let ends = async {
            for end in &mut under_way {
                if end.ended().await.is_err() {
                    tracing::debug!(session = %end.session, "it ends without a word");
                }
            }
        };
        if timeout(DRAIN_PATIENCE, ends).await.is_err() {
            tracing::warn!("what is still under way is taken up at the next start");
        }
    }

    /// Stops them in the order in which they use each other.
    async fn stop(&self) {
        let Self { hub, supervisor, accounts, signing: _, pool, herald } = self.clone();
        stop("accounts", &accounts, StopAccounts).await;
        stop("pool", &pool, StopPool).await;
        Front { hub, supervisor, herald }.stop().await;
    }
}

/// Those of a staff who are there before anything that is stored is taken up.
#[derive(Debug, Clone)]
struct Front {
    hub: Addr<Hub>,
    supervisor: Addr<Supervisor>,
    herald: Addr<Herald>,
}

impl Front {
    async fn stop(&self) {
        stop("supervisor", &self.supervisor, StopSessions).await;
        stop("herald", &self.herald, StopHerald).await;
        stop("hub", &self.hub, StopHub).await;
    }
}

async fn stop<A, M>(name: &'static str, actor: &Addr<A>, message: M)
where
    A: Actor<Context = Context<A>> + Handler<M>,
    M: Message<Result = ()> + Send + 'static,
{
    if actor.send(message).await.is_err() {
        tracing::error!(name, "an actor had died before it was stopped");
    }
}

/// Makes the coordinator's actors.
pub(crate) struct Factory {
    pub(crate) store: Store,
    pub(crate) post: Post,
    pub(crate) roster: Roster,
    pub(crate) clock: Clock,
    pub(crate) limits: Limits,
    pub(crate) uplink: SharedUplink,
}

impl Factory {
    /// A staff that has taken up what is stored, and where it will be told if one of it dies.
    async fn make(&self) -> Result<(Staff, mpsc::Receiver<&'static str>), StaffError> {
        let Self { store, post, roster, clock, limits, uplink } = self;
        let (deaths, died) = mpsc::channel(DEATHS);
        let notice = |who| DeathNotice { who, deaths: deaths.clone() };
        // Hub and supervisor know each other: the hub's address comes before the hub.
        let hub = Context::<Hub>::new();
        let heads = Heads::new(store.clone(), post.clone(), roster.clone());
        let around = Surroundings {
            store: store.clone(),
            post: post.clone(),
            roster: roster.clone(),
            heads: heads.clone(),
            hub: hub.address(),
            clock: *clock,
        };
        let supervisor =
            Supervisor::new(around.clone(), limits.max_running_sessions, notice("supervisor"))
                .start();
        let requests = Requests::new(store.clone(), supervisor.clone(), *clock, limits);
        let activation = Activation::new(store.clone(), roster.clone(), post.clone());
        let hub = hub.run(Hub::new(
            Arc::clone(uplink),
            around,
            requests,
            activation.clone(),
            notice("hub"),
        ));
        let herald = Herald::new(heads, notice("herald")).start();

        let front = Front { hub, supervisor, herald };
        match self.take_up(&front, activation, &notice).await {
            Ok(staff) => Ok((staff, died)),
            Err(error) => {
                // Or this hub would keep the gateway's messages from the next one.
                front.stop().await;
                Err(error)
            }
        }
    }

    /// Takes up what is stored, and makes those who look for it.
    async fn take_up(
        &self,
        front: &Front,
        activation: Activation,
        notice: &impl Fn(&'static str) -> DeathNotice,
    ) -> Result<Staff, StaffError> {
        let Self { store, roster, clock, limits, .. } = self;
        let Front { hub, supervisor, herald } = front.clone();
        // Sessions come back before pool and accounts look for them.
        let sessions = supervisor.send(Resume).await??;
        let pool = Pool::new(
            store.clone(),
            supervisor.clone(),
            roster.clone(),
            *clock,
            limits,
            notice("pool"),
        )
        .start();
        let parts = LifeParts {
            store: store.clone(),
            supervisor: supervisor.clone(),
            pool: pool.clone(),
            roster: roster.clone(),
            clock: *clock,
            activation,
            canary_deadline: limits.canary_deadline,
            retry_pause: limits.retry_pause,
        };
        let accounts = Accounts::new(parts, limits, notice("accounts")).start();
        let resumed: Result<_, StaffError> =
            async { Ok(accounts.send(ResumeAccounts).await??) }.await;
        let pending = match resumed {
            Ok(pending) => pending,
            Err(error) => {
                stop("accounts", &accounts, StopAccounts).await;
                stop("pool", &pool, StopPool).await;
                return Err(error);
            }
        };
        tracing::info!(sessions, pending_accounts = pending, "taken up again");
        let signing = Signing {
            store: store.clone(),
            supervisor: supervisor.clone(),
            clock: *clock,
            deadline: limits.sign_deadline,
        };
        Ok(Staff { hub, supervisor, accounts, signing, pool, herald })
    }
}

/// Keeps a staff alive until it is told to stop it.
#[derive(Debug)]
pub(crate) struct Keeper {
    current: watch::Receiver<Arc<Staff>>,
    stopping: oneshot::Sender<()>,
    keeping: JoinHandle<()>,
}

impl Keeper {
    /// Starts the first staff.
    pub(crate) async fn start(factory: Factory) -> Result<Self, StaffError> {
        let (staff, died) = factory.make().await?;
        let (told, current) = watch::channel(Arc::new(staff));
        let (stopping, stopped) = oneshot::channel();
        let keeping = actix::spawn(keep(factory, told, died, stopped));
        Ok(Self { current, stopping, keeping })
    }

    /// The staff as it is now. While one is replaced it is the old one, which answers nothing.
    pub(crate) fn current(&self) -> watch::Receiver<Arc<Staff>> {
        self.current.clone()
    }

    /// Has the staff open nothing new, and waits for what is under way.
    pub(crate) async fn drain(&self) {
        let staff = Arc::clone(&self.current.borrow());
        staff.drain().await;
    }

    /// Stops the staff for good.
    pub(crate) async fn stop(self) {
        let Self { current: _, stopping, keeping } = self;
        if stopping.send(()).is_err() || keeping.await.is_err() {
            tracing::error!("the keeper of the coordinator's actors had died");
        }
    }
}

async fn keep(
    factory: Factory,
    current: watch::Sender<Arc<Staff>>,
    mut died: mpsc::Receiver<&'static str>,
    mut stopped: oneshot::Receiver<()>,
) {
    let mut deaths: u64 = 0;
    loop {
        let who = tokio::select! {
            // Also when the coordinator itself was dropped without a stop: it goes on then.
            Ok(()) = &mut stopped, if !stopped.is_terminated() => break,
            Some(who) = died.recv() => who,
        };
        deaths += 1;
        tracing::error!(who, deaths, "an actor of the coordinator died: all are replaced");
        let dead = Arc::clone(&current.borrow());
        dead.stop().await;
        died = loop {
            tokio::select! {
                // The dead were stopped already.
                Ok(()) = &mut stopped, if !stopped.is_terminated() => return,
                () = tokio::time::sleep(RESTART_PAUSE) => {}
            }
            match factory.make().await {
                Ok((staff, died)) => {
                    current.send_replace(Arc::new(staff));
                    break died;
                }
                Err(error) => tracing::error!(%error, "the actors cannot begin again yet"),
            }
        };
    }
    let staff = Arc::clone(&current.borrow());
    staff.stop().await;
}

#[cfg(test)]
mod tests;
