//! Puts the coordinator together, and takes it apart.

use crate::accounts::{Accounts, ResumeAccounts, StopAccounts};
use crate::activation::Activation;
use crate::audit::audit_keeper;
use crate::clock::Clock;
use crate::config::CoordinatorConfig;
use crate::http::{self, Api, Door, DoorStats, Keys, ListenError};
use crate::hub::{Hub, StopHub};
use crate::pool::{Pool, StopPool};
use crate::post::Post;
use crate::requests::Requests;
use crate::roster::Roster;
use crate::session_actor::Surroundings;
use crate::signing::Signing;
use crate::store::{Store, StoreError};
use crate::supervisor::{Resume, StopSessions, Supervisor};
use actix::{Actor, Addr, AsyncContext, Context, Handler, Message};
use actix_web::dev::ServerHandle;
use mpc_wire::{Downlink, Uplink};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// Why the coordinator did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The address of the API cannot be listened at.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// An actor died at once.
    #[error("an actor of the coordinator died at its start")]
    Actor(#[from] actix::MailboxError),
}

/// A running coordinator. Dropping it does not stop it.
#[derive(Debug)]
pub struct Coordinator {
    address: SocketAddr,
    door: Arc<Door>,
    actors: Actors,
    server: ServerHandle,
    serving: JoinHandle<std::io::Result<()>>,
    closing: watch::Sender<bool>,
}

#[derive(Debug)]
struct Actors {
    hub: Addr<Hub>,
    supervisor: Addr<Supervisor>,
    pool: Addr<Pool>,
    accounts: Addr<Accounts>,
}

/// Starts the coordinator inside a running actix system: takes up what was running when it
/// stopped, then serves its API. Gateways speak to it over the two channels.
///
/// # Errors
/// [`StartError`] if the store cannot be read or the address not be listened at.
pub async fn start(
    config: CoordinatorConfig,
    store: Store,
    uplink: mpsc::Receiver<Uplink>,
    downlink: mpsc::Sender<Downlink>,
) -> Result<Coordinator, StartError> {
    let clock = Clock::start();
    // Before anybody is heard: what a revoked party still has to say counts for nothing.
    let roster = Roster::new(store.revoked_parties().await?);
    let limits = &config.limits;
    let post = Post::new(downlink);
    let keys = Keys::new(&config.api_key, &config.secret, store.clone(), clock);
    keys.check().await?;
    let door = Arc::new(Door::new(&config));

    // Before anybody is invited: every invitation shows the log's newest head.
    store.keep_audit(audit_keeper(&config.secret)).await?;

    // Hub and supervisor know each other: the hub's address comes before the hub.
    let hub = Context::<Hub>::new();
    let around = Surroundings {
        store: store.clone(),
        post: post.clone(),
        roster: roster.clone(),
        hub: hub.address(),
        clock,
    };
    let supervisor = Supervisor::new(around, limits.max_running_sessions).start();
    let requests = Requests::new(store.clone(), supervisor.clone(), clock, limits);
    let activation = Activation::new(store.clone(), roster.clone(), post.clone());
    let hub = hub.run(Hub::new(
        uplink,
        roster.clone(),
        post,
        store.clone(),
        requests,
        activation.clone(),
    ));

    // Sessions come back before pool and accounts look for them.
    let sessions = supervisor.send(Resume).await??;
    let pool = Pool::new(store.clone(), supervisor.clone(), roster.clone(), clock, limits).start();
    let accounts = Accounts::new(
        store.clone(),
        supervisor.clone(),
        pool.clone(),
        roster.clone(),
        clock,
        activation,
        limits,
    )
    .start();
    let actors = Actors { hub, supervisor, pool, accounts };
    let pending = actors.accounts.send(ResumeAccounts).await??;
    tracing::info!(sessions, pending_accounts = pending, "taken up again");

    let (closing, is_closing) = watch::channel(false);
    let signing = Signing {
        store: store.clone(),
        supervisor: actors.supervisor.clone(),
        clock,
        deadline: limits.sign_deadline,
    };
    let api = Api {
        door: door.clone(),
        keys,
        clock,
        limits: limits.clone(),
        store,
        roster,
        enrolment: config.enrolment.clone(),
        hub: actors.hub.clone(),
        supervisor: actors.supervisor.clone(),
        accounts: actors.accounts.clone(),
        signing,
        is_closing,
    };
    let (server, address) = match http::serve(config.listen, &config.transport, api) {
        Ok(served) => served,
        Err(error) => {
            actors.stop().await;
            return Err(error.into());
        }
    };
    let handle = server.handle();
    let serving = actix::spawn(server);
    tracing::info!(%address, "the API is served");
    Ok(Coordinator { address, door, actors, server: handle, serving, closing })
}

impl Coordinator {
    /// Where the API is served.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// What the door of the API has refused since the start.
    pub fn door_stats(&self) -> DoorStats {
        self.door.stats()
    }

    /// Stops: no new requests, answers under way within bounds, then the actors. Sessions that run
    /// are taken up at the next start.
    pub async fn stop(self) {
        self.closing.send_replace(true);
        self.server.stop(true).await;
        match self.serving.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "the API's server failed"),
            Err(error) => tracing::error!(%error, "the API's server died"),
        }
        self.actors.stop().await;
        tracing::info!("stopped");
    }
}

impl Actors {
    /// Stops them in the order in which they use each other.
    async fn stop(self) {
        stop("accounts", &self.accounts, StopAccounts).await;
        stop("pool", &self.pool, StopPool).await;
        stop("supervisor", &self.supervisor, StopSessions).await;
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
