//! A line between one party and the gateway that brings little at a time: what a slow consumer is.

use actix_rt::net::{TcpListener, TcpStream};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};

/// How often the line brings something.
const BEAT: Duration = Duration::from_millis(20);

/// Beats in a second.
const BEATS: usize = 50;

/// A running line. It ends with the arbiter that started it.
#[derive(Debug)]
pub struct SlowLine {
    /// Where the party connects.
    pub addr: SocketAddr,
}

impl SlowLine {
    /// Starts a line from `gateway` that brings so many bytes a second down; up it is as fast as
    /// any.
    pub async fn start(gateway: SocketAddr, bytes_per_second: usize) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let addr = listener.local_addr()?;
        let at_once = (bytes_per_second / BEATS).max(1);
        actix_rt::spawn(async move {
            while let Ok((party, _)) = listener.accept().await {
                actix_rt::spawn(async move {
                    // A connection that the gateway cuts is what such a line may come to.
                    let _ = carry(party, gateway, at_once).await;
                });
            }
        });
        Ok(Self { addr })
    }
}

async fn carry(party: TcpStream, gateway: SocketAddr, at_once: usize) -> std::io::Result<()> {
    let server = TcpStream::connect(gateway).await?;
    let (mut from_party, mut to_party) = party.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let down = async move {
        let mut piece = vec![0; at_once];
        loop {
            let len = from_server.read(&mut piece).await?;
            if len == 0 {
                return Ok(());
            }
            to_party.write_all(piece.get(..len).unwrap_or_default()).await?;
            // The slowness itself.
            actix_rt::time::sleep(BEAT).await;
        }
    };
    tokio::select! {
        ended = down => ended,
        ended = copy(&mut from_party, &mut to_server) => ended.map(drop),
    }
}
