//! The API's listener, in plain text or over TLS.
//!
//! `actix_web::HttpServer` is not used: over TLS it would offer HTTP/2, whose streams no limit of
//! this API counts, and would let 256 slow handshakes keep a worker from accepting anybody.

use actix_http::error::DispatchError;
use actix_http::{HttpService, Protocol, Request, Response};
use actix_server::{GracefulShutdownSignal, Server, ServerBuilder};
use actix_service::{
    IntoServiceFactory, ServiceFactory, ServiceFactoryExt, fn_service, map_config,
};
use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::AppConfig;
use actix_web::rt::net::TcpStream;
use actix_web::rt::time::timeout;
use mpc_wire::limits::HANDSHAKE;
use mpc_wire::{PublicPlaintext, Transport};
use rustls::ServerConfig;
use socket2::{Domain, Socket, Type};
use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Threads that read requests and write answers; the work is done elsewhere.
const HTTP_WORKERS: usize = 2;

/// Connections of each worker, slow handshakes included: many more callers than sessions that may
/// run, since most only wait or poll; beyond it the operating system's queue holds them.
const MAX_CONNECTIONS: usize = 4096;

/// Connections that the operating system holds until a worker takes them.
const BACKLOG: i32 = 1024;

/// How long a caller may take to send the head of its first request.
const REQUEST_HEAD: Duration = Duration::from_secs(5);

/// How long a caller may take to read the end of its last answer.
const FAREWELL: Duration = Duration::from_secs(1);

/// Seconds that answers under way have when the coordinator stops. Those that wait for a session
/// are sent at once then; this is for slow clients.
const SHUTDOWN_SECONDS: u64 = 5;

/// Why the API cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Other hosts could reach it in plain text.
    #[error(transparent)]
    Plaintext(#[from] PublicPlaintext),
    /// The address cannot be used.
    #[error("cannot listen on {addr}: {source}")]
    Address {
        /// The address.
        addr: SocketAddr,
        /// The reason.
        source: std::io::Error,
    },
}

/// Why a connection ended before its time. Callers come and go: this is for the log only.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error("the socket cannot be used: {0}")]
    Socket(#[source] std::io::Error),
    #[error("no TLS handshake: {0}")]
    Tls(#[source] std::io::Error),
    #[error("the TLS handshake did not end in time")]
    TlsLate,
    #[error("{0}")]
    Http(#[source] DispatchError),
}

/// Serves what `app` makes, and says where.
pub(crate) fn listen<I, S, B>(
    addr: SocketAddr,
    transport: &Transport<Arc<ServerConfig>>,
    app: impl Fn() -> I + Send + Clone + 'static,
) -> Result<(Server, SocketAddr), ListenError>
where
    I: IntoServiceFactory<S, Request> + 'static,
    S: ServiceFactory<Request, Config = AppConfig> + 'static,
    S::Error: Into<Error> + 'static,
    S::InitError: fmt::Debug,
    S::Response: Into<Response<B>> + 'static,
    B: MessageBody + 'static,
{
    transport.check_listener(addr)?;
    let failed = |source| ListenError::Address { addr, source };
    let (listener, bound) = bind(addr).map_err(failed)?;
    let builder = Server::build()
        .workers(HTTP_WORKERS)
        .max_concurrent_connections(MAX_CONNECTIONS)
        .shutdown_timeout(SHUTDOWN_SECONDS)
        .disable_signals();
    let stopping = builder.graceful_shutdown_signal();
    let builder = match transport.tls() {
        None => plain(builder, listener, move || http(app(), stopping.clone())),
        Some(tls) => {
            over_tls(builder, listener, Arc::clone(tls), move || http(app(), stopping.clone()))
        }
    };
    Ok((builder.map_err(failed)?.run(), bound))
}

fn bind(addr: SocketAddr) -> std::io::Result<(TcpListener, SocketAddr)> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None)?;
    // A restarted coordinator must not wait for the last sockets of the one before.
    socket.set_reuse_address(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    let listener = TcpListener::from(socket);
    let addr = listener.local_addr()?;
    Ok((listener, addr))
}

/// What the HTTP service takes: a socket, what it speaks, and who is at its other end.
type Accepted<T> = (T, Protocol, Option<SocketAddr>);

fn plain<H>(
    builder: ServerBuilder,
    listener: TcpListener,
    http: impl Fn() -> H + Send + Clone + 'static,
) -> std::io::Result<ServerBuilder>
where
    H: ServiceFactory<
            Accepted<TcpStream>,
            Config = (),
            Response = (),
            Error = Lost,
            InitError = (),
        > + 'static,
{
    builder.listen("api", listener, move || {
        fn_service(|tcp: TcpStream| async move {
            let peer = prepare(&tcp).map_err(Lost::Socket)?;
            Ok((tcp, Protocol::Http1, Some(peer)))
        })
        .and_then(http())
        .map_err(note)
    })
}

fn over_tls<H>(
    builder: ServerBuilder,
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    http: impl Fn() -> H + Send + Clone + 'static,
) -> std::io::Result<ServerBuilder>
where
    H: ServiceFactory<
            Accepted<TlsStream<TcpStream>>,
            Config = (),
            Response = (),
            Error = Lost,
            InitError = (),
        > + 'static,
{
    builder.listen("api", listener, move || {
        let acceptor = TlsAcceptor::from(Arc::clone(&tls));
        fn_service(move |tcp: TcpStream| {
            let acceptor = acceptor.clone();
            async move {
                let peer = prepare(&tcp).map_err(Lost::Socket)?;
                let handshake = timeout(HANDSHAKE, acceptor.accept(tcp)).await;
                let stream = handshake.map_err(|_| Lost::TlsLate)?.map_err(Lost::Tls)?;
                Ok((stream, Protocol::Http1, Some(peer)))
            }
        })
        .and_then(http())
        .map_err(note)
    })
}

/// Sets a socket up and says who is at its other end.
fn prepare(tcp: &TcpStream) -> std::io::Result<SocketAddr> {
    // An answer's end must not wait for the caller's delayed acknowledgement of its start.
    tcp.set_nodelay(true)?;
    tcp.peer_addr()
}

fn note(reason: Lost) {
    tracing::debug!(%reason, "connection lost");
}

fn http<T, I, S, B>(
    app: I,
    stopping: GracefulShutdownSignal,
) -> impl ServiceFactory<Accepted<T>, Config = (), Response = (), Error = Lost, InitError = ()>
where
    T: AsyncRead + AsyncWrite + Unpin + 'static,
    I: IntoServiceFactory<S, Request> + 'static,
    S: ServiceFactory<Request, Config = AppConfig> + 'static,
    S::Error: Into<Error> + 'static,
    S::InitError: fmt::Debug,
    S::Response: Into<Response<B>> + 'static,
    B: MessageBody + 'static,
{
    let app = app.into_factory().map_err(|error| error.into().error_response());
    HttpService::build()
        .client_request_timeout(REQUEST_HEAD)
        .client_disconnect_timeout(FAREWELL)
        // Idle connections end when the server stops, instead of outstaying its patience.
        .graceful_shutdown_signal(move || {
            let stopping = stopping.clone();
            async move { stopping.notified().await }
        })
        .finish(map_config(app, |()| AppConfig::default()))
        .map_err(Lost::Http)
}
