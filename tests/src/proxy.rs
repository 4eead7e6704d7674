//! A proxy between one party and the gateway that sees whole WebSocket messages and can hold,
//! drop, alter or record them, and put in others.
//!
//! It passes the HTTP upgrade through untouched; after it both sides are frames, which it decodes
//! and encodes again (a client's frames are masked, a server's are not).

use actix_codec::Framed;
use actix_rt::net::{TcpListener, TcpStream};
use awc::ws::{Codec, Frame, Message};
use futures_util::{SinkExt, StreamExt};
use mpc_wire::limits::MAX_FRAME;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

/// Longest HTTP head of an upgrade.
const MAX_HEAD: usize = 16 << 10;

/// Messages that may wait to be put into a connection: more than any test has at once.
const MAX_INSERTED: usize = 4096;

/// Which way a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the party to the gateway.
    Up,
    /// From the gateway to the party.
    Down,
}

/// Sees every binary message and says which messages go on in its place, in that order: itself,
/// none, or others that it held before.
pub trait Interceptor {
    /// A connection begins: through this wire messages can be put into it.
    fn connected(&mut self, _: Wire) {}

    /// Takes a message.
    fn pass(&mut self, direction: Direction, message: Vec<u8>) -> Vec<Vec<u8>>;
}

/// A hand on one connection.
#[derive(Debug, Clone)]
pub struct Wire(mpsc::Sender<(Direction, Vec<u8>)>);

impl Wire {
    /// Puts in a message that nobody has sent. It is not intercepted. False if the connection has
    /// ended.
    pub fn insert(&self, direction: Direction, message: Vec<u8>) -> bool {
        self.0.try_send((direction, message)).is_ok()
    }
}

/// Lets everything pass and keeps a copy.
#[derive(Debug, Default)]
pub struct Recorder {
    /// Every message, both ways.
    pub seen: Vec<Vec<u8>>,
}

impl Interceptor for Recorder {
    fn pass(&mut self, _: Direction, message: Vec<u8>) -> Vec<Vec<u8>> {
        self.seen.push(message.clone());
        vec![message]
    }
}

/// A running proxy. It ends with the arbiter that started it.
#[derive(Debug)]
pub struct Proxy {
    /// Where the party connects.
    pub addr: SocketAddr,
}

impl Proxy {
    /// Starts a proxy in front of `gateway`.
    pub async fn start(
        gateway: SocketAddr,
        interceptor: Rc<RefCell<dyn Interceptor>>,
    ) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let addr = listener.local_addr()?;
        actix_rt::spawn(async move {
            while let Ok((party, _)) = listener.accept().await {
                let interceptor = Rc::clone(&interceptor);
                actix_rt::spawn(async move {
                    // A connection that breaks is what tests of reconnection are about.
                    let _ = carry(party, gateway, interceptor).await;
                });
            }
        });
        Ok(Self { addr })
    }
}

async fn carry(
    mut party: TcpStream,
    gateway: SocketAddr,
    interceptor: Rc<RefCell<dyn Interceptor>>,
) -> anyhow::Result<()> {
    let mut server = TcpStream::connect(gateway).await?;
    forward_head(&mut party, &mut server).await?;
    forward_head(&mut server, &mut party).await?;
    let as_server = Codec::new().max_size(MAX_FRAME);
    let as_client = Codec::new().max_size(MAX_FRAME).client_mode();
    let (mut to_party, mut from_party) = Framed::new(party, as_server).split();
    let (mut to_server, mut from_server) = Framed::new(server, as_client).split();
    let (wire, mut inserted) = mpsc::channel(MAX_INSERTED);
    interceptor.borrow_mut().connected(Wire(wire));
    loop {
        let (direction, messages) = tokio::select! {
            Some((direction, message)) = inserted.recv() => {
                (direction, vec![Message::Binary(message.into())])
            }
            frame = from_party.next() => {
                let Some(Ok(frame)) = frame else { return Ok(()) };
                (Direction::Up, pass(frame, Direction::Up, &interceptor))
            }
            frame = from_server.next() => {
                let Some(Ok(frame)) = frame else { return Ok(()) };
                (Direction::Down, pass(frame, Direction::Down, &interceptor))
            }
        };
        for message in messages {
            match direction {
                Direction::Up => to_server.send(message).await?,
                Direction::Down => to_party.send(message).await?,
            }
        }
    }
}

fn pass(
    frame: Frame,
    direction: Direction,
    interceptor: &RefCell<dyn Interceptor>,
) -> Vec<Message> {
    match frame {
        Frame::Binary(bytes) => {
            let passed = interceptor.borrow_mut().pass(direction, bytes.to_vec());
            passed.into_iter().map(|bytes| Message::Binary(bytes.into())).collect()
        }
        Frame::Text(bytes) => {
            vec![Message::Text(String::from_utf8_lossy(&bytes).into_owned().into())]
        }
        Frame::Continuation(item) => vec![Message::Continuation(item)],
        Frame::Ping(bytes) => vec![Message::Ping(bytes)],
        Frame::Pong(bytes) => vec![Message::Pong(bytes)],
        Frame::Close(reason) => vec![Message::Close(reason)],
    }
}

/// Forwards an HTTP head byte by byte, so that nothing behind it is read with it.
async fn forward_head(from: &mut TcpStream, to: &mut TcpStream) -> anyhow::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        anyhow::ensure!(head.len() < MAX_HEAD, "an HTTP head without an end");
        head.push(from.read_u8().await?);
    }
    to.write_all(&head).await?;
    Ok(())
}
