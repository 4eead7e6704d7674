//! A socket from its acceptance until it speaks HTTP: counted against its address at once, then
//! taken through a TLS handshake, if the listener has a certificate.
//!
//! `actix-web` would count nothing before the handshake, and would let 256 slow handshakes of one
//! stranger keep a whole worker from accepting anybody.

use crate::admission::{NoSeat, Place};
use crate::office::Office;
use actix_http::Protocol;
use actix_web::rt::net::TcpStream;
use actix_web::rt::time::timeout;
use rustls::ServerConfig;
use socket2::{SockRef, Socket};
use std::cell::Cell;
use std::io::{Error, IoSlice, Result};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Why a socket is dropped before it could say anything.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TurnedAway {
    #[error("{0}")]
    NoPlace(#[from] NoSeat),
    #[error("the socket cannot be used: {0}")]
    Socket(#[source] Error),
    #[error("no TLS handshake: {0}")]
    Tls(#[source] Error),
    #[error("the TLS handshake did not end in time")]
    TlsLate,
}

/// What the rest of the house needs to know of a socket, whatever speaks over it.
pub(crate) struct Footing {
    /// A second descriptor of the socket below TLS, to shut it down from anywhere.
    pub(crate) socket: Arc<Socket>,
    pub(crate) place: Place,
}

/// A socket that is ready for HTTP.
pub(crate) struct Wire {
    stream: Stream,
    footing: Cell<Option<Footing>>,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Takes a socket in, in the form in which the HTTP service wants it.
pub(crate) async fn receive(
    tcp: TcpStream,
    office: &Office,
) -> std::result::Result<(Wire, Protocol, Option<SocketAddr>), TurnedAway> {
    let received = take_in(tcp, office).await;
    if let Err(reason) = &received {
        match reason {
            TurnedAway::NoPlace(_) => office.stats.refused.increment(),
            TurnedAway::Tls(_) | TurnedAway::TlsLate => office.stats.handshakes_failed.increment(),
            TurnedAway::Socket(_) => {}
        }
        tracing::debug!(%reason, "socket turned away");
    }
    received
}

async fn take_in(
    tcp: TcpStream,
    office: &Office,
) -> std::result::Result<(Wire, Protocol, Option<SocketAddr>), TurnedAway> {
    let peer = tcp.peer_addr().map_err(TurnedAway::Socket)?;
    let socket = Arc::new(prepare(&tcp).map_err(TurnedAway::Socket)?);
    let place = office.admission.let_in(peer.ip(), Arc::downgrade(&socket))?;
    let stream = match office.config.transport.tls() {
        None => Stream::Plain(tcp),
        Some(tls) => Stream::Tls(Box::new(shake_hands(tcp, tls, office).await?)),
    };
    let footing = Cell::new(Some(Footing { socket, place }));
    Ok((Wire { stream, footing }, Protocol::Http1, Some(peer)))
}

/// Sets a socket up and returns a second descriptor of it.
fn prepare(tcp: &TcpStream) -> Result<Socket> {
    // Rounds are small messages that go back and forth: none may wait for more.
    tcp.set_nodelay(true)?;
    SockRef::from(tcp).try_clone()
}

async fn shake_hands(
    tcp: TcpStream,
    tls: &Arc<ServerConfig>,
    office: &Office,
) -> std::result::Result<TlsStream<TcpStream>, TurnedAway> {
    let handshake = TlsAcceptor::from(Arc::clone(tls)).accept(tcp);
    match timeout(office.config.timings.handshake, handshake).await {
        Ok(stream) => stream.map_err(TurnedAway::Tls),
        Err(_) => Err(TurnedAway::TlsLate),
    }
}

impl Wire {
    /// Hands the footing over, once.
    pub(crate) fn footing(&self) -> Option<Footing> {
        self.footing.take()
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Stream::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[actix_rt::test]
    async fn rounds_do_not_wait_for_more() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let dialled = TcpStream::connect(listener.local_addr().unwrap());
        let (_caller, accepted) = tokio::join!(dialled, listener.accept());
        assert!(prepare(&accepted.unwrap().0).unwrap().tcp_nodelay().unwrap());
    }
}
