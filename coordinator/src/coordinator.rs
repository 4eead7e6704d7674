//! Puts the coordinator together, and takes it apart.

use crate::audit::audit_keeper;
use crate::clock::Clock;
use crate::config::CoordinatorConfig;
use crate::http::{self, Api, Door, DoorStats, Keys, ListenError};
use crate::post::Post;
use crate::roster::Roster;
use crate::staff::{Factory, Keeper, StaffError};
use crate::store::{Store, StoreError};
use actix_web::dev::ServerHandle;
use mpc_wire::{Downlink, Uplink};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::{Mutex, mpsc, watch};
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

impl From<StaffError> for StartError {
    fn from(error: StaffError) -> Self {
        match error {
            StaffError::Store(error) => Self::Store(error),
            StaffError::Actor(error) => Self::Actor(error),
        }
    }
}

/// A running coordinator. Dropping it does not stop it.
#[derive(Debug)]
pub struct Coordinator {
    address: SocketAddr,
    door: Arc<Door>,
    keeper: Keeper,
    server: ServerHandle,
    serving: JoinHandle<std::io::Result<()>>,
    closing: watch::Sender<bool>,
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

    let factory = Factory {
        store: store.clone(),
        post,
        roster: roster.clone(),
        clock,
        limits: limits.clone(),
        uplink: Arc::new(Mutex::new(uplink)),
    };
    let keeper = Keeper::start(factory).await?;

    let (closing, is_closing) = watch::channel(false);
    let api = Api {
        door: door.clone(),
        keys,
        clock,
        limits: limits.clone(),
        store,
        roster,
        enrolment: config.enrolment.clone(),
        staff: keeper.current(),
        is_closing,
    };
    let (server, address) = match http::serve(config.listen, &config.transport, api) {
        Ok(served) => served,
        Err(error) => {
            keeper.stop().await;
            return Err(error.into());
        }
    };
    let handle = server.handle();
    let serving = actix::spawn(server);
    tracing::info!(%address, "the API is served");
    Ok(Coordinator { address, door, keeper, server: handle, serving, closing })
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

    /// Stops: nothing new is begun, what is under way is given some time and its requests are
    /// answered, then the API and the actors end. Sessions that run then are taken up at the next
    /// start.
    pub async fn stop(self) {
        self.keeper.drain().await;
        self.closing.send_replace(true);
        self.server.stop(true).await;
        match self.serving.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "the API's server failed"),
            Err(error) => tracing::error!(%error, "the API's server died"),
        }
        self.keeper.stop().await;
        tracing::info!("stopped");
    }
}
