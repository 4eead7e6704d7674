//! HTTP before the upgrade, start and stop.

use crate::admission::{Admission, NoSeat, Place, Seat};
use crate::config::GatewayConfig;
use crate::doorstep::{TurnedAway, Wire, receive};
use crate::office::Office;
use crate::presence::Presence;
use crate::roster::Roster;
use crate::router::{DismissAll, Finish, Router};
use crate::socket;
use crate::stats::Stats;
use crate::supervisor::{pump, supervise};
use actix::Addr;
use actix_http::HttpService;
use actix_service::{IntoServiceFactory, ServiceFactoryExt, fn_service, map_config};
use actix_web::dev::{AppConfig, Extensions, Server, ServerHandle};
use actix_web::http::header::{RETRY_AFTER, SEC_WEBSOCKET_PROTOCOL};
use actix_web::rt::{net::TcpStream, task::JoinHandle, time::timeout};
use actix_web::{App, HttpRequest, HttpResponse, web};
use mpc_wire::limits::{MAX_LABEL, SUBPROTOCOL};
use mpc_wire::{Downlink, PublicPlaintext, Uplink};
use socket2::{Domain, Socket, Type};
use std::cell::{Cell, OnceCell};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};

/// Where parties connect.
pub const CONNECT_PATH: &str = "/v1/connect";

/// Where a load balancer asks whether the gateway lives.
pub const HEALTH_PATH: &str = "/health";

/// Seconds after which one who found no seat should come again: several heartbeats, in which
/// dead connections are found.
const RETRY_AFTER_SECONDS: u64 = 15;

/// How long a client may take to send the head of its request. Not one of the timings: the server
/// measures it with a clock that ticks twice a second.
const REQUEST_HEAD: Duration = Duration::from_secs(5);

/// Connections that may wait to be accepted: a whole pool coming back at once after a restart.
const BACKLOG: i32 = 1024;

/// Sockets beyond all others that a worker serves: those that are turned away at once.
const HALL: usize = 64;

/// Why a gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The server's name is empty or too long.
    #[error("the server name has {0} bytes; 1 to {MAX_LABEL} are allowed")]
    ServerName(usize),
    /// A party would be found silent before it was pinged.
    #[error("the heartbeat must be shorter than the silence allowed, and neither may be zero")]
    Timings,
    /// Other hosts could reach it in plain text.
    #[error(transparent)]
    Plaintext(#[from] PublicPlaintext),
    /// The address cannot be used.
    #[error("cannot listen on {addr}")]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// The reason.
        #[source]
        source: std::io::Error,
    },
}

/// A running gateway. It runs until [`Gateway::stop`], or until its actix system ends.
pub struct Gateway {
    addr: SocketAddr,
    office: Arc<Office>,
    router: watch::Receiver<Addr<Router>>,
    handle: ServerHandle,
    server: JoinHandle<std::io::Result<()>>,
    supervisor: JoinHandle<()>,
    pump: JoinHandle<()>,
}

/// Starts a gateway; to be called inside a running actix system, where its router will live.
///
/// The uplink should be read without waiting for the downlink: while it is full the gateway reads
/// nothing from any party.
///
/// # Errors
/// [`GatewayError`] if the configuration is wrong or the address cannot be used.
pub async fn start(
    config: GatewayConfig,
    roster: Arc<dyn Roster>,
    uplink: mpsc::Sender<Uplink>,
    downlink: mpsc::Receiver<Downlink>,
) -> Result<Gateway, GatewayError> {
    check(&config)?;
    let (listener, addr) = listen(config.listen)
        .map_err(|source| GatewayError::Listen { addr: config.listen, source })?;
    let stats = Arc::<Stats>::default();
    let office = Arc::new(Office {
        admission: Arc::new(Admission::new(&config, Arc::clone(&stats))),
        stats,
        config,
        roster,
        uplink,
    });
    let (first, ending) = Router::launch(Arc::clone(&office), Presence::default());
    let (current, router) = watch::channel(first);
    let server = serve(listener, &office, &router)
        .map_err(|source| GatewayError::Listen { addr, source })?;
    Ok(Gateway {
        addr,
        handle: server.handle(),
        server: actix_web::rt::spawn(server),
        supervisor: actix_web::rt::spawn(supervise(Arc::clone(&office), current, ending)),
        pump: actix_web::rt::spawn(pump(Arc::clone(&office), router.clone(), downlink)),
        office,
        router,
    })
}

impl Gateway {
    /// Where the gateway listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What it counts.
    pub fn stats(&self) -> Arc<Stats> {
        Arc::clone(&self.office.stats)
    }

    /// Stops: admits nobody more, tells every party that it goes away, waits for them to close for
    /// at most twice [`crate::Timings::farewell`], and cuts the rest.
    pub async fn stop(self) {
        let patience = self.office.config.timings.farewell * 2;
        let admission = &self.office.admission;
        admission.close();
        self.pump.abort();
        let router = self.router.borrow().clone();
        if router.send(DismissAll).await.is_err() {
            tracing::warn!("no router to say farewell to the parties");
        }
        if timeout(patience, admission.emptied()).await.is_err() {
            tracing::info!("some parties did not close in time and are cut");
            admission.cut_all(Instant::now());
        }
        self.handle.stop(false).await;
        // Last, so that it has seen every party leave.
        let router = self.router.borrow().clone();
        if router.send(Finish).await.is_err() {
            // It died just now; without this its supervisor would start another.
            self.supervisor.abort();
        }
        match self.server.await {
            Ok(Ok(())) => tracing::info!("gateway stopped"),
            Ok(Err(error)) => tracing::error!(%error, "the server ended with an error"),
            Err(error) => tracing::error!(%error, "the server died"),
        }
    }
}

fn check(config: &GatewayConfig) -> Result<(), GatewayError> {
    let name = config.server_name.len();
    if name == 0 || name > MAX_LABEL {
        return Err(GatewayError::ServerName(name));
    }
    let timings = &config.timings;
    if timings.heartbeat.is_zero() || timings.heartbeat >= timings.silence {
        return Err(GatewayError::Timings);
    }
    config.transport.check_listener(config.listen)?;
    Ok(())
}

/// What the HTTP side knows.
#[derive(Clone)]
struct Entrance {
    office: Arc<Office>,
    router: watch::Receiver<Addr<Router>>,
}

/// What a socket has here. The server drops this together with the socket.
struct Belongings {
    /// A second descriptor of the socket, to shut it down from anywhere.
    socket: Arc<Socket>,
    place: Cell<Option<Place>>,
    seat: OnceCell<Seat>,
}

fn listen(addr: SocketAddr) -> std::io::Result<(TcpListener, SocketAddr)> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None)?;
    // A restarted gateway must not wait for the last sockets of the one before.
    socket.set_reuse_address(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    let listener = TcpListener::from(socket);
    let addr = listener.local_addr()?;
    Ok((listener, addr))
}

fn serve(
    listener: TcpListener,
    office: &Arc<Office>,
    router: &watch::Receiver<Addr<Router>>,
) -> std::io::Result<Server> {
    let config = &office.config;
    let entrance = Entrance { office: Arc::clone(office), router: router.clone() };
    let farewell = config.timings.farewell;
    // `actix_web::HttpServer` lets nobody stand before TLS, hence its two layers one by one.
    let server = Server::build()
        .workers(config.workers.max(1))
        // Per worker, and more than there can be: a worker that accepts nobody lets nobody prove
        // anything, and those in want of a seat are told.
        .max_concurrent_connections(all_sockets(config))
        .disable_signals()
        .listen("gateway", listener, move || {
            let office = Arc::clone(&entrance.office);
            let app = App::new()
                .app_data(web::Data::new(entrance.clone()))
                .route(CONNECT_PATH, web::get().to(connect))
                .route(HEALTH_PATH, web::get().to(HttpResponse::Ok))
                .into_factory()
                .map_err(|error: actix_web::Error| error.error_response());
            let http = HttpService::build()
                .client_request_timeout(REQUEST_HEAD)
                .client_disconnect_timeout(farewell)
                .on_connect_ext(unpack)
                .finish(map_config(app, |()| AppConfig::default()))
                .map_err(|error| tracing::debug!(%error, "HTTP connection failed"));
            fn_service(move |tcp: TcpStream| {
                let office = Arc::clone(&office);
                // Why it was turned away has been logged.
                async move { receive(tcp, &office).await.map_err(|_: TurnedAway| ()) }
            })
            .and_then(http)
        })?
        .run();
    Ok(server)
}

/// Most sockets that there can be: those with a seat, those without, as many again of both that were
/// cut and are not gone yet, and some that are refused.
fn all_sockets(config: &GatewayConfig) -> usize {
    config
        .max_connections
        .saturating_add(config.max_unproven.saturating_mul(2))
        .saturating_add(HALL)
}

/// Moves what a new socket has to where the server keeps it for as long as the socket lasts.
fn unpack(wire: &Wire, data: &mut Extensions) {
    if let Some(footing) = wire.footing() {
        data.insert(Belongings {
            socket: footing.socket,
            place: Cell::new(Some(footing.place)),
            seat: OnceCell::new(),
        });
    }
}

async fn connect(
    request: HttpRequest,
    payload: web::Payload,
    entrance: web::Data<Entrance>,
) -> Result<HttpResponse, actix_web::Error> {
    if !offers_subprotocol(&request) {
        // Before the upgrade, since an error message of a protocol that the client does not speak
        // would not be understood.
        return Ok(HttpResponse::BadRequest()
            .body(format!("offer the WebSocket subprotocol {SUBPROTOCOL}\n")));
    }
    // Before the place is given away: what is no upgrade keeps it.
    socket::check(&request)?;
    let office = &entrance.office;
    let Some(belongings) = request.conn_data::<Belongings>() else {
        return Ok(refuse(office, NoSeat::Full));
    };
    let Some(place) = belongings.place.take() else {
        return Ok(HttpResponse::BadRequest().body("one upgrade a connection\n"));
    };
    let socket = Arc::downgrade(&belongings.socket);
    let seat = match office.admission.admit(place, socket, Instant::now()) {
        Ok(seat) => seat,
        Err((no_seat, place)) => {
            belongings.place.set(Some(place));
            return Ok(refuse(office, no_seat));
        }
    };
    let link = Arc::clone(&seat.link);
    let router = entrance.router.borrow().clone();
    let response = socket::open(&request, payload, Arc::clone(office), router, link)?;
    // The place was there, so there was no seat yet.
    if belongings.seat.set(seat).is_err() {
        return Ok(HttpResponse::InternalServerError().finish());
    }
    office.stats.connections.increment();
    Ok(response)
}

fn offers_subprotocol(request: &HttpRequest) -> bool {
    request
        .headers()
        .get(SEC_WEBSOCKET_PROTOCOL)
        .and_then(|offer| offer.to_str().ok())
        .is_some_and(|offer| offer.split(',').any(|name| name.trim() == SUBPROTOCOL))
}

fn refuse(office: &Office, no_seat: NoSeat) -> HttpResponse {
    office.stats.refused.increment();
    tracing::debug!(reason = %no_seat, "upgrade refused");
    match no_seat {
        NoSeat::Full | NoSeat::GoingAway => HttpResponse::ServiceUnavailable(),
        NoSeat::AddressFull => HttpResponse::TooManyRequests(),
    }
    .insert_header((RETRY_AFTER, RETRY_AFTER_SECONDS))
    .body(format!("{no_seat}\n"))
}
