//! Sees to it that every set of parties that needs an aux set gets one, in the background.
//!
//! The pool is all registered server parties that were not revoked: one set of theirs serves every account among them.
//! Accounts with other parties, and accounts whose pool is not complete, get sets of their own.

mod plan;

use crate::backoff::Backoff;
use crate::clock::Clock;
use crate::config::Limits;
use crate::failure::Failure;
use crate::names::Role;
use crate::opening::{EndWatch, OpenError, Opening, Stopping};
use crate::roster::Roster;
use crate::staff::DeathNotice;
use crate::store::aux_set::AuxSet;
use crate::store::party::Party;
use crate::store::{Store, StoreError};
use crate::supervisor::{Find, Open, Supervisor};
use actix::prelude::*;
use futures_util::stream::unfold;
use mpc_session::Millis;
use mpc_wire::{AuxId, Intent, IntentKind, PartyId, RequestId, Scheme, SessionId};
use plan::{Group, View};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::sync::oneshot;

/// Accounts that may ask for a set at a time; who finds no room waits for it.
const POOL_MAILBOX: usize = 256;

/// Starts aux sessions and knows who waits for one.
pub(crate) struct Pool {
    store: Store,
    supervisor: Addr<Supervisor>,
    roster: Roster,
    clock: Clock,
    deadline: Duration,
    retry_pause: Duration,
    /// Who waits for a set; bounded by the number of pending accounts.
    waiting: BTreeMap<Group, Vec<oneshot::Sender<AuxId>>>,
    /// Groups whose sets failed, until when they are left alone.
    cooling: BTreeMap<Group, (Backoff, Millis)>,
    /// The running aux sessions whose end will be told.
    watched: BTreeSet<SessionId>,
    is_considering: bool,
    /// Something changed while considering.
    is_stale: bool,
    _notice: DeathNotice,
}

/// What the store says.
struct Known {
    servers: BTreeSet<PartyId>,
    sets: Vec<AuxSet>,
    /// The ends of running aux sessions that are not watched yet.
    unwatched: Vec<(Group, EndWatch)>,
}

impl Pool {
    pub(crate) fn new(
        store: Store,
        supervisor: Addr<Supervisor>,
        roster: Roster,
        clock: Clock,
        limits: &Limits,
        notice: DeathNotice,
    ) -> Self {
        Self {
            store,
            supervisor,
            roster,
            clock,
            deadline: limits.aux_deadline,
            retry_pause: limits.retry_pause,
            waiting: BTreeMap::new(),
            cooling: BTreeMap::new(),
            watched: BTreeSet::new(),
            is_considering: false,
            is_stale: false,
            _notice: notice,
        }
    }

    /// Looks at everything again; one look at a time, so that no set is started twice.
    fn consider(&mut self, ctx: &mut Context<Self>) {
        self.is_stale = self.is_considering;
        if self.is_considering {
            return;
        }
        self.is_considering = true;
        let (store, supervisor) = (self.store.clone(), self.supervisor.clone());
        let watched = self.watched.clone();
        let known = async move { look(&store, &supervisor, &watched).await }.into_actor(self);
        ctx.spawn(known.map(|known, pool, ctx| match known {
            Ok(known) => pool.act(known, ctx),
            Err(error) => {
                tracing::warn!(%error, "cannot look at the aux sets");
                pool.done_considering(ctx);
                ctx.run_later(pool.retry_pause, Self::consider);
            }
        }));
    }

    fn done_considering(&mut self, ctx: &mut Context<Self>) {
        self.is_considering = false;
        if self.is_stale {
            self.consider(ctx);
        }
    }

    /// Answers who can be answered, and starts the sets that are lacking.
    fn act(&mut self, known: Known, ctx: &mut Context<Self>) {
        let Known { servers, sets, unwatched } = known;
        for (group, end) in unwatched {
            self.watch(group, end, ctx);
        }
        self.answer(&sets);
        let now = self.clock.now();
        let cooling = self.cooling.iter().filter(|(_, (_, until))| *until > now);
        let groups = plan::lacking(&View {
            servers: &servers,
            sets: &sets,
            waiting: self.waiting.keys().cloned().collect(),
            online: self.roster.online(),
            cooling: cooling.map(|(group, _)| group.clone()).collect(),
        });
        let (supervisor, clock, deadline) = (self.supervisor.clone(), self.clock, self.deadline);
        let started = async move {
            let mut started = Vec::new();
            for group in groups {
                let opened = open(&supervisor, &clock, deadline, &group).await;
                started.push((group, opened));
            }
            started
        };
        ctx.spawn(started.into_actor(self).map(|started, pool, ctx| {
            for (group, opened) in started {
                match opened {
                    Ok(end) => {
                        tracing::info!(session = %end.session, "an aux set is being generated");
                        pool.watch(group, end, ctx);
                    }
                    Err(error) => {
                        tracing::warn!(%error, "an aux set cannot be generated now");
                        pool.cool(group, ctx);
                    }
                }
            }
            pool.done_considering(ctx);
        }));
    }

    fn answer(&mut self, sets: &[AuxSet]) {
        self.waiting.retain(|(scheme, parties), waiting| {
            let covering = sets.iter().filter(|set| set.covers(*scheme, parties));
            let Some(aux_id) = covering.into_iter().find_map(|set| set.aux_id) else {
                waiting.retain(|asker| !asker.is_closed());
                return !waiting.is_empty();
            };
            for asker in waiting.drain(..) {
                if asker.send(aux_id).is_err() {
                    tracing::debug!("nobody waits for the aux set any more");
                }
            }
            false
        });
    }

    fn watch(&mut self, group: Group, mut end: EndWatch, ctx: &mut Context<Self>) {
        let session = end.session;
        if !self.watched.insert(session) {
            return;
        }
        let ended = async move { end.ended().await }.into_actor(self);
        ctx.spawn(ended.map(move |ended, pool, ctx| {
            pool.watched.remove(&session);
            let Ok(stored) = ended else {
                return;
            };
            if Failure::of_record(&stored.record).is_some() {
                tracing::warn!(%session, "the generation of an aux set failed");
                pool.cool(group, ctx);
            } else {
                pool.cooling.remove(&group);
            }
            pool.consider(ctx);
        }));
    }

    /// Leaves a group alone for a while.
    fn cool(&mut self, group: Group, ctx: &mut Context<Self>) {
        let now = self.clock.now();
        let (backoff, until) =
            self.cooling.entry(group).or_insert((Backoff::new(self.retry_pause), now));
        let pause = backoff.pause();
        *until = now.after(u64::try_from(pause.as_millis()).unwrap_or(u64::MAX));
        ctx.run_later(pause, Self::consider);
    }
}

async fn look(
    store: &Store,
    supervisor: &Addr<Supervisor>,
    watched: &BTreeSet<SessionId>,
) -> Result<Known, StoreError> {
    let parties = store.parties().await?;
    let is_of_pool = |party: &&Party| party.role == Role::Server && !party.is_revoked();
    let servers = parties.iter().filter(is_of_pool).map(|party| party.id).collect();
    let sets = store.aux_sets().await?;
    let mut unwatched = Vec::new();
    let generating = sets.iter().filter(|set| set.aux_id.is_none());
    for set in generating.filter(|set| !watched.contains(&set.session)) {
        if let Ok(Some(running)) = supervisor.send(Find(set.session)).await {
            unwatched.push(((set.scheme, set.parties.clone()), running.end));
        }
    }
    Ok(Known { servers, sets, unwatched })
}

async fn open(
    supervisor: &Addr<Supervisor>,
    clock: &Clock,
    deadline: Duration,
    (scheme, parties): &Group,
) -> Result<EndWatch, OpenError> {
    let intent = Intent {
        session: SessionId::generate(),
        request: RequestId::generate(),
        eligible: parties.clone(),
        expires_at: clock.wall_after(deadline),
        kind: IntentKind::Aux { scheme: *scheme },
    };
    let opened = supervisor.send(Open(Opening::plain(intent, None))).await;
    opened.unwrap_or(Err(OpenError::Stopping))
}

impl Actor for Pool {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(POOL_MAILBOX);
        let changes = unfold(self.roster.subscribe(), |mut online| async move {
            online.changed().await.ok().map(|()| (OnlineChanged, online))
        });
        ctx.add_stream(changes);
        self.consider(ctx);
    }
}

struct OnlineChanged;

impl StreamHandler<OnlineChanged> for Pool {
    fn handle(&mut self, OnlineChanged: OnlineChanged, ctx: &mut Self::Context) {
        self.consider(ctx);
    }
}

/// Waits for an aux set in which all of `parties` have a part.
#[derive(Debug, Message)]
#[rtype(result = "Result<AuxId, Stopping>")]
pub(crate) struct WaitForAux {
    pub(crate) scheme: Scheme,
    pub(crate) parties: BTreeSet<PartyId>,
}

impl Handler<WaitForAux> for Pool {
    type Result = ResponseFuture<Result<AuxId, Stopping>>;

    fn handle(&mut self, wanted: WaitForAux, ctx: &mut Self::Context) -> Self::Result {
        let (answer, answered) = oneshot::channel();
        self.waiting.entry((wanted.scheme, wanted.parties)).or_default().push(answer);
        self.consider(ctx);
        Box::pin(async { answered.await.map_err(|_| Stopping) })
    }
}

/// The coordinator stops.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct StopPool;

impl Handler<StopPool> for Pool {
    type Result = ();

    fn handle(&mut self, StopPool: StopPool, ctx: &mut Self::Context) {
        ctx.stop();
    }
}
