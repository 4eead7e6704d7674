//! The link actor: the party's one connection to its gateway, made again whenever it is lost.

use crate::pending_actor::{FromCoordinator, LinkHandle, LinkUp, PendingActor};
use crate::supervisor::DeathNotice;
use actix::prelude::*;
use actix_codec::Framed;
use actix_service::{Service, ServiceExt as _};
use actix_tls::connect::{ConnectInfo, Connection, Connector as TcpConnector};
use awc::http::Uri;
use awc::ws::{Codec, Frame, Message as WsMessage};
use awc::{BoxedSocket, Client};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use mpc_wire::handshake::{Challenge, Hello};
use mpc_wire::limits::{HANDSHAKE, MAX_FRAME, SILENCE, SUBPROTOCOL, VERSION};
use mpc_wire::{Canonical, Identity, PartyId, ToCoordinator, ToParty, codec};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Messages that wait for the socket. Signing rounds send a few at a time; when this many wait the
/// connection is not draining and is given up.
const MAX_OUTGOING: usize = 256;

/// Shortest pause before the next try to connect.
const MIN_BACKOFF: Duration = Duration::from_millis(50);

/// Longest pause: a party is back within this time (plus the handshake) after its gateway is.
const MAX_BACKOFF: Duration = Duration::from_secs(5);

/// Where the gateway is and what it calls itself.
#[derive(Debug, Clone)]
pub(crate) struct GatewayAddress {
    /// `ws://host:port/path`.
    pub(crate) url: String,
    /// The name that the gateway must give in its challenge.
    pub(crate) server_name: String,
}

/// Sends a message to the coordinator. Without a connection it is dropped: whatever must not be
/// lost is sent again by the pending machine when the link is up.
#[derive(Message)]
#[rtype(result = "Result<(), NotSent>")]
pub struct Outgoing(pub ToCoordinator);

/// Why a message was not handed to the socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotSent {
    /// The link is down.
    #[error("there is no connection to the gateway")]
    NoConnection,
    /// [`MAX_OUTGOING`] messages wait.
    #[error("the connection to the gateway does not drain")]
    Full,
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
enum LinkError {
    #[error("cannot connect: {0}")]
    Connect(String),
    #[error("the gateway speaks {0:?}, not {SUBPROTOCOL}")]
    Subprotocol(Option<String>),
    #[error("the gateway did not finish the handshake in time")]
    HandshakeTimeout,
    #[error("the gateway calls itself {0:?}, which is not the server this party is meant for")]
    WrongServer(String),
    #[error("the gateway speaks version {0}, not {VERSION}")]
    WrongVersion(u16),
    #[error("unexpected message during the handshake")]
    Handshake,
    #[error("the gateway refuses: {0}")]
    Refused(String),
    #[error("the gateway sent something that is not of this protocol: {0}")]
    Codec(#[from] codec::CodecError),
    #[error("the connection failed: {0}")]
    Socket(String),
    #[error("nothing was heard from the gateway for {SILENCE:?}")]
    Silent,
    #[error("the gateway closed the connection")]
    Closed,
    #[error("the party is shutting down")]
    Stopping,
}

/// The actor.
pub(crate) struct Link {
    address: GatewayAddress,
    label: String,
    identity: Identity,
    pending: Addr<PendingActor>,
    outgoing: Option<mpsc::Sender<ToCoordinator>>,
    backoff: Duration,
    up_since: Option<Instant>,
    _death_notice: DeathNotice,
}

impl Link {
    pub(crate) fn new(
        address: GatewayAddress,
        label: String,
        identity: Identity,
        pending: Addr<PendingActor>,
        death_notice: DeathNotice,
    ) -> Self {
        Self {
            address,
            label,
            identity,
            pending,
            outgoing: None,
            backoff: MIN_BACKOFF,
            up_since: None,
            _death_notice: death_notice,
        }
    }

    fn connect(&mut self, ctx: &mut Context<Self>) {
        let (outgoing, queue) = mpsc::channel(MAX_OUTGOING);
        self.outgoing = None;
        let carrier = Carrier {
            address: self.address.clone(),
            label: self.label.clone(),
            identity: self.identity.clone(),
            pending: self.pending.clone(),
            link: ctx.address(),
        };
        let run = async move { carrier.run(outgoing, queue).await };
        ctx.spawn(run.into_actor(self).map(|ended, link, ctx| link.lost(&ended, ctx)));
    }

    fn lost(&mut self, error: &LinkError, ctx: &mut Context<Self>) {
        self.outgoing = None;
        // Only a connection that has lasted is a reason to come back quickly: two processes with
        // one identity would else replace each other all the time.
        if self.up_since.take().is_some_and(|since| since.elapsed() > MAX_BACKOFF) {
            self.backoff = MIN_BACKOFF;
        }
        let pause = jittered(self.backoff);
        self.backoff = (self.backoff * 2).min(MAX_BACKOFF);
        tracing::info!(party = %self.identity.party(), %error, ?pause, "link down");
        ctx.run_later(pause, Self::connect);
    }
}

impl Actor for Link {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        // What fits the connection's queue must fit the way to it.
        ctx.set_mailbox_capacity(MAX_OUTGOING);
        self.connect(ctx);
    }
}

impl Handler<Outgoing> for Link {
    type Result = Result<(), NotSent>;

    fn handle(&mut self, Outgoing(message): Outgoing, _: &mut Self::Context) -> Self::Result {
        let outgoing = self.outgoing.as_ref().ok_or(NotSent::NoConnection)?;
        match outgoing.try_send(message) {
            Ok(()) => Ok(()),
            Err(mpsc::error::TrySendError::Full(_)) => {
                // Dropping the queue ends the connection: the peer will see a clean break
                // instead of a gap.
                self.outgoing = None;
                Err(NotSent::Full)
            }
            Err(mpsc::error::TrySendError::Closed(_)) => Err(NotSent::NoConnection),
        }
    }
}

/// Gives the connection up. What the machine still wants to be heard it sends again over the next.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Reconnect;

impl Handler<Reconnect> for Link {
    type Result = ();

    fn handle(&mut self, _: Reconnect, _: &mut Self::Context) {
        self.outgoing = None;
    }
}

/// Ends the link.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Stop;

impl Handler<Stop> for Link {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Self::Context) {
        ctx.stop();
    }
}

/// The connection's handshake is done.
#[derive(Message)]
#[rtype(result = "()")]
struct Opened(mpsc::Sender<ToCoordinator>);

impl Handler<Opened> for Link {
    type Result = ();

    fn handle(&mut self, Opened(outgoing): Opened, _: &mut Self::Context) {
        tracing::info!(party = %self.identity.party(), server = %self.address.server_name, "link up");
        self.outgoing = Some(outgoing);
        self.up_since = Some(Instant::now());
    }
}

/// One connection, from its start to its end.
struct Carrier {
    address: GatewayAddress,
    label: String,
    identity: Identity,
    pending: Addr<PendingActor>,
    link: Addr<Link>,
}

type Socket = Framed<BoxedSocket, Codec>;

impl Carrier {
    async fn run(
        self,
        outgoing: mpsc::Sender<ToCoordinator>,
        queue: mpsc::Receiver<ToCoordinator>,
    ) -> LinkError {
        let opening = timeout(HANDSHAKE, self.open()).await;
        let socket = match opening {
            Ok(Ok(socket)) => socket,
            Ok(Err(error)) => return error,
            Err(_) => return LinkError::HandshakeTimeout,
        };
        // The link takes messages before the machine hears that it is up, so that nothing which
        // the machine then sends finds the link closed.
        if self.link.send(Opened(outgoing)).await.is_err()
            || self.pending.send(LinkUp(self.handle())).await.is_err()
        {
            return LinkError::Stopping;
        }
        match self.carry(socket, queue).await {
            Err(error) => error,
            Ok(()) => LinkError::Closed,
        }
    }

    fn handle(&self) -> LinkHandle {
        let link = self.link.clone();
        LinkHandle { outgoing: link.clone().recipient(), reconnect: link.recipient() }
    }

    async fn open(&self) -> Result<Socket, LinkError> {
        let client = Client::builder().timeout(HANDSHAKE).connector(undelayed()).finish();
        let (response, mut socket) = client
            .ws(&self.address.url)
            .protocols([SUBPROTOCOL])
            .max_frame_size(MAX_FRAME)
            .connect()
            .await
            .map_err(|error| LinkError::Connect(error.to_string()))?;
        let chosen = response.headers().get("sec-websocket-protocol").and_then(|v| v.to_str().ok());
        if chosen != Some(SUBPROTOCOL) {
            return Err(LinkError::Subprotocol(chosen.map(str::to_owned)));
        }
        let ToParty::Challenge(challenge) = expect_message(&mut socket).await? else {
            return Err(LinkError::Handshake);
        };
        let proof = self.prove(&challenge)?;
        send(&mut socket, &proof).await?;
        match expect_message(&mut socket).await? {
            ToParty::Welcome { party, .. } if party == self.identity.party() => Ok(socket),
            ToParty::Error { detail, .. } => Err(LinkError::Refused(detail)),
            ToParty::Welcome { .. }
            | ToParty::Challenge(_)
            | ToParty::Invite { .. }
            | ToParty::Started { .. }
            | ToParty::Round(_)
            | ToParty::Abort { .. }
            | ToParty::Finished { .. }
            | ToParty::SessionRequested { .. } => Err(LinkError::Handshake),
        }
    }

    fn prove(&self, challenge: &Challenge) -> Result<ToCoordinator, LinkError> {
        if challenge.version != VERSION {
            return Err(LinkError::WrongVersion(challenge.version));
        }
        if challenge.server != self.address.server_name {
            return Err(LinkError::WrongServer(challenge.server.clone()));
        }
        let party: PartyId = self.identity.party();
        let hello = Hello { challenge, party, label: &self.label };
        let signature = self.identity.sign(&hello.canonical_bytes());
        Ok(ToCoordinator::Prove { party, label: self.label.clone(), signature })
    }

    /// Carries messages both ways until the connection ends.
    async fn carry(
        &self,
        mut socket: Socket,
        mut queue: mpsc::Receiver<ToCoordinator>,
    ) -> Result<(), LinkError> {
        loop {
            tokio::select! {
                frame = timeout(SILENCE, socket.next()) => {
                    match frame.map_err(|_| LinkError::Silent)? {
                        None => return Ok(()),
                        Some(Err(error)) => return Err(LinkError::Socket(error.to_string())),
                        Some(Ok(frame)) => self.take(frame, &mut socket).await?,
                    }
                }
                message = queue.recv() => {
                    // The queue ends when the link gives this connection up.
                    let Some(message) = message else { return Ok(()) };
                    send(&mut socket, &message).await?;
                }
            }
        }
    }

    async fn take(&self, frame: Frame, socket: &mut Socket) -> Result<(), LinkError> {
        match frame {
            Frame::Binary(bytes) => {
                let message: ToParty = codec::decode(&bytes)?;
                // Waiting for the machine is what slows a gateway that sends too fast.
                self.pending
                    .send(FromCoordinator(Box::new(message)))
                    .await
                    .map_err(|_| LinkError::Stopping)
            }
            Frame::Ping(bytes) => write(socket, WsMessage::Pong(bytes)).await,
            Frame::Pong(_) => Ok(()),
            Frame::Close(_) => Err(LinkError::Closed),
            Frame::Text(_) | Frame::Continuation(_) => Err(LinkError::Handshake),
        }
    }
}

/// Connects with `TCP_NODELAY`: rounds are small messages that go back and forth, and each would
/// wait some forty milliseconds for the other side's delayed acknowledgement.
fn undelayed() -> awc::Connector<
    impl Service<
        ConnectInfo<Uri>,
        Response = Connection<Uri, TcpStream>,
        Error = actix_tls::connect::ConnectError,
    > + Clone,
> {
    let connect =
        TcpConnector::default().service().map(|connection: Connection<Uri, TcpStream>| {
            if let Err(error) = connection.io_ref().set_nodelay(true) {
                tracing::warn!(%error, "rounds over this connection will be slow");
            }
            connection
        });
    awc::Connector::new().connector(connect)
}

async fn send(socket: &mut Socket, message: &ToCoordinator) -> Result<(), LinkError> {
    let bytes = Bytes::from(codec::encode(message)?);
    write(socket, WsMessage::Binary(bytes)).await
}

/// Writes, but not for ever: a host that vanished leaves a full buffer and no error.
async fn write(socket: &mut Socket, message: WsMessage) -> Result<(), LinkError> {
    match timeout(SILENCE, socket.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(LinkError::Socket(error.to_string())),
        Err(_) => Err(LinkError::Silent),
    }
}

/// The next message of the handshake; pings in between are answered.
async fn expect_message(socket: &mut Socket) -> Result<ToParty, LinkError> {
    loop {
        match socket.next().await {
            Some(Ok(Frame::Binary(bytes))) => return Ok(codec::decode(&bytes)?),
            Some(Ok(Frame::Ping(bytes))) => write(socket, WsMessage::Pong(bytes)).await?,
            Some(Ok(Frame::Pong(_))) => {}
            Some(Ok(Frame::Close(_))) | None => return Err(LinkError::Closed),
            Some(Ok(Frame::Text(_) | Frame::Continuation(_))) => return Err(LinkError::Handshake),
            Some(Err(error)) => return Err(LinkError::Socket(error.to_string())),
        }
    }
}

/// Between half of `pause` and all of it, so that parties which lost one gateway together do not
/// come back together.
fn jittered(pause: Duration) -> Duration {
    let share = match getrandom::u32() {
        Ok(random) => f64::from(random) / f64::from(u32::MAX),
        Err(_) => 1.0,
    };
    pause.mul_f64(0.5 + share / 2.0)
}
