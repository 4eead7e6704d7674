//! The HTTP API: JSON in, JSON out, every error a problem document.
//!
//! Reading order: the routes below, `accounts`, `sign` and `sessions` behind them, `idempotency`
//! and `prefer` (what a request may ask for besides), `views` (what is shown), `problem`.

mod accounts;
mod auth;
mod body;
mod idempotency;
mod network;
mod prefer;
mod problem;
mod sessions;
mod sign;
mod time;
mod views;

use crate::accounts::Accounts;
use crate::config::{ApiKey, Limits};
use crate::roster::Roster;
use crate::signing::Signing;
use crate::store::Store;
use crate::supervisor::Supervisor;
use actix::Addr;
use actix_web::dev::Server;
use actix_web::middleware::from_fn;
use actix_web::{App, HttpServer, Resource, Route, web};
use auth::KeyHash;
use problem::{Code, Problem};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::sync::watch;

/// Threads that read requests and write answers; the work is done elsewhere.
const HTTP_WORKERS: usize = 2;

/// Connections of each worker: many more callers than sessions that may run, since most only wait
/// or poll; beyond it the operating system's queue holds them.
const MAX_CONNECTIONS: usize = 4096;

/// Connections that the operating system holds until a worker takes them.
const BACKLOG: u32 = 1024;

/// Seconds that answers under way have when the coordinator stops. Those that wait for a session
/// are sent at once then; this is for slow clients.
const SHUTDOWN_SECONDS: u64 = 5;

/// What the handlers need.
pub(crate) struct Api {
    pub(crate) key: KeyHash,
    pub(crate) limits: Limits,
    pub(crate) store: Store,
    pub(crate) roster: Roster,
    pub(crate) supervisor: Addr<Supervisor>,
    pub(crate) accounts: Addr<Accounts>,
    pub(crate) signing: Signing,
    /// Turns true when the coordinator stops.
    pub(crate) is_closing: watch::Receiver<bool>,
}

impl Api {
    pub(crate) fn key(key: &ApiKey) -> KeyHash {
        KeyHash::of(key)
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

/// Binds the API's address.
pub(crate) fn serve(listen: SocketAddr, api: Api) -> std::io::Result<(Server, Vec<SocketAddr>)> {
    let api = web::Data::new(api);
    let server = HttpServer::new(move || {
        App::new()
            .app_data(api.clone())
            .service(resource("/health", "GET", vec![web::get().to(network::health)]))
            .service(
                web::scope("/api/v1")
                    .wrap(from_fn(auth::require_key))
                    .configure(routes)
                    .default_service(web::to(nothing_here)),
            )
            .default_service(web::to(nothing_here))
    })
    .workers(HTTP_WORKERS)
    .max_connections(MAX_CONNECTIONS)
    .backlog(BACKLOG)
    .tcp_nodelay(true)
    .disable_signals()
    .shutdown_timeout(SHUTDOWN_SECONDS)
    .bind(listen)?;
    let addresses = server.addrs();
    Ok((server.run(), addresses))
}

fn routes(config: &mut web::ServiceConfig) {
    config
        .service(resource(
            "/accounts",
            "GET, POST",
            vec![web::get().to(accounts::list), web::post().to(accounts::create)],
        ))
        .service(resource("/accounts/{id}", "GET", vec![web::get().to(accounts::show)]))
        .service(resource("/accounts/{id}/sign", "POST", vec![web::post().to(sign::sign)]))
        .service(resource(
            "/sessions/{id}",
            "GET, DELETE",
            vec![web::get().to(sessions::show), web::delete().to(sessions::cancel)],
        ))
        .service(resource("/parties", "GET", vec![web::get().to(network::parties)]))
        .service(resource("/aux", "GET", vec![web::get().to(network::aux_sets)]));
}

/// A resource that names its methods to who uses another one.
fn resource(path: &str, methods: &'static str, routes: Vec<Route>) -> Resource {
    let refuse = move || async move { Err::<String, _>(Problem::method_not_allowed(methods)) };
    routes.into_iter().fold(web::resource(path), Resource::route).default_service(web::to(refuse))
}

async fn nothing_here() -> Result<String, Problem> {
    Err(Problem::new(Code::NotFound, "see the API's documentation for its paths"))
}
