//! The HTTP API: JSON in, JSON out, every error a problem document.
//!
//! Reading order: `routes` (what is served, and who may use it), `door` with `source`, `rate` and
//! `lockout`, and `auth` (the way in); `accounts`, `sign`, `sessions`, `parties`, `network` and `api_keys`
//! behind them, `idempotency` and `prefer` (what a request may ask for besides), `views` (what is
//! shown), `problem`; `listener` is what stands below HTTP.

mod accounts;
mod api_keys;
mod auth;
mod body;
mod door;
mod idempotency;
mod listener;
mod lockout;
mod network;
mod parties;
mod prefer;
mod problem;
mod rate;
mod routes;
mod sessions;
mod sign;
mod source;
mod time;
mod views;

use crate::clock::Clock;
use crate::config::Limits;
use crate::enrolment::EnrolmentSecret;
use crate::roster::Roster;
use crate::staff::Staff;
use crate::store::Store;
use actix_web::dev::Server;
use actix_web::middleware::from_fn;
use actix_web::{App, Resource, web};
pub(crate) use auth::{KeyName, Keys};
pub(crate) use door::Door;
pub use door::DoorStats;
pub use listener::ListenError;
use mpc_wire::Transport;
use problem::{Code, Problem};
pub use routes::{RouteInfo, routes};
use rustls::ServerConfig;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// What the handlers need.
pub(crate) struct Api {
    pub(crate) door: Arc<Door>,
    pub(crate) keys: Keys,
    pub(crate) clock: Clock,
    pub(crate) limits: Limits,
    pub(crate) store: Store,
    pub(crate) roster: Roster,
    pub(crate) enrolment: Option<EnrolmentSecret>,
    pub(crate) staff: watch::Receiver<Arc<Staff>>,
    /// Turns true when the coordinator stops.
    pub(crate) is_closing: watch::Receiver<bool>,
}

impl Api {
    /// The actors as they are now.
    fn staff(&self) -> Arc<Staff> {
        Arc::clone(&self.staff.borrow())
    }

    /// What comes within `wait`, unless the coordinator stops before.
    async fn within<T>(&self, wait: Duration, event: impl Future<Output = T>) -> Option<T> {
        let mut is_closing = self.is_closing.clone();
        tokio::select! {
            biased;
            result = event => Some(result),
            _ = is_closing.wait_for(|is_closing| *is_closing) => None,
            () = tokio::time::sleep(wait) => None,
        }
    }
}

/// Serves the API, and says where.
pub(crate) fn serve(
    listen: SocketAddr,
    transport: &Transport<Arc<ServerConfig>>,
    api: Api,
) -> Result<(Server, SocketAddr), ListenError> {
    let api = web::Data::new(api);
    listener::listen(listen, transport, move || {
        App::new()
            .app_data(api.clone())
            .wrap(from_fn(door::enter))
            .service(health())
            .service(
                web::scope(routes::BASE)
                    .wrap(from_fn(auth::require_key))
                    .configure(routes::configure)
                    .default_service(web::to(nothing_here)),
            )
            .default_service(web::to(nothing_here))
    })
}

/// Whether requests can be served: no key is needed to ask.
fn health() -> Resource {
    routes::resource(door::HEALTH, "GET", std::iter::once(web::get().to(network::health)))
}

async fn nothing_here() -> Result<String, Problem> {
    Err(Problem::new(Code::NotFound, "see the API's documentation for its paths"))
}
