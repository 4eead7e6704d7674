//! The link actor: the party's one connection to its gateway, made again whenever it is lost.

use crate::dial::{GatewayAddress, Socket};
use crate::frames::FrameError;
use crate::pending_actor::{FromCoordinator, LinkHandle, LinkUp, PendingActor};
use crate::standing::{LinkStatus, Pass, Refusal, RefusalReason};
use crate::supervisor::DeathNotice;
use crate::vault::Vault;
use actix::prelude::*;
use awc::ws::{CloseCode, Frame, Message as WsMessage};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use mpc_wire::frame::FrameFault;
use mpc_wire::handshake::{Challenge, Hello};
use mpc_wire::limits::{HANDSHAKE, SILENCE, SUBPROTOCOL, VERSION};
use mpc_wire::{Canonical, ErrorCode, Identity, PartyId, ProvenKey, ToCoordinator, ToParty, codec};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

/// Messages that wait for the socket: after a commit, or over a new connection, each session may have
/// two to say at once. When more wait the connection is not draining and is given up. Round messages
/// among them have a bound of their own ([`mpc_pending::limits::MAX_UNACKED_BYTES`]); the others are
/// about as large as this number says in kilobytes together.
const MAX_OUTGOING: usize = 2 * mpc_pending::limits::MAX_SESSIONS;

/// Shortest pause before the next try to connect.
const MIN_BACKOFF: Duration = Duration::from_millis(50);

/// Longest pause: a party is back within this time (plus the handshake) after its gateway is.
const MAX_BACKOFF: Duration = Duration::from_secs(5);

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
    #[error("the gateway refuses: {detail}")]
    Refused { code: ErrorCode, detail: String },
    #[error("the gateway sent something that is not of this protocol: {0}")]
    Codec(#[from] codec::CodecError),
    #[error("the gateway sent what is not read: {0}")]
    Frame(FrameFault),
    #[error("the connection failed: {0}")]
    Socket(String),
    #[error("nothing was heard from the gateway for {SILENCE:?}")]
    Silent,
    #[error("the gateway closed the connection")]
    Closed,
    #[error("the party's key was rotated while this connection was being made")]
    Rotated,
    #[error("the party is shutting down")]
    Stopping,
}

/// Who the party is to its gateway, and how it stands to it. It outlives any one link.
#[derive(Debug, Clone)]
pub(crate) struct Standing {
    pub(crate) label: String,
    pub(crate) pass: Pass,
    pub(crate) status: watch::Sender<LinkStatus>,
}

/// The actor.
pub(crate) struct Link {
    address: GatewayAddress,
    standing: Standing,
    /// Has the party's newest key, whenever that was made.
    vault: Vault,
    pending: Addr<PendingActor>,
    outgoing: Option<mpsc::Sender<ToCoordinator>>,
    backoff: Duration,
    up_since: Option<Instant>,
    _death_notice: DeathNotice,
}

impl Link {
    pub(crate) fn new(
        address: GatewayAddress,
        standing: Standing,
        vault: Vault,
        pending: Addr<PendingActor>,
        death_notice: DeathNotice,
    ) -> Self {
        Self {
            address,
            standing,
            vault,
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
            standing: self.standing.clone(),
            identity: self.vault.identity(),
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
        self.tell(error, pause);
        ctx.run_later(pause, Self::connect);
    }

    /// Says how the party stands now. A refusal that only a person can do something about is said
    /// once, however often it is heard.
    fn tell(&self, error: &LinkError, pause: Duration) {
        let party = self.vault.party();
        let refusal = error.refusal();
        let status = refusal.clone().map_or(LinkStatus::Down, LinkStatus::Refused);
        let reason = |status: &LinkStatus| match status {
            LinkStatus::Refused(refusal) => Some(refusal.reason),
            LinkStatus::Down | LinkStatus::Up => None,
        };
        let is_known = reason(&self.standing.status.borrow()) == reason(&status);
        match refusal {
            Some(Refusal { reason, detail }) if !is_known => {
                let advice = reason.advice();
                tracing::error!(%party, detail, advice, "not let in: {reason}");
            }
            Some(_) => tracing::debug!(%party, ?pause, "still not let in"),
            None => tracing::info!(%party, %error, ?pause, "link down"),
        }
        self.standing.status.send_replace(status);
    }
}

impl From<FrameError> for LinkError {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::Fault(fault) => Self::Frame(fault),
            FrameError::Protocol(error) => Self::Socket(error.to_string()),
        }
    }
}

impl LinkError {
    /// What a person must do something about, if that is it.
    fn refusal(&self) -> Option<Refusal> {
        let Self::Refused { code, detail } = self else {
            return None;
        };
        let reason = RefusalReason::of(*code)?;
        Some(Refusal { reason, detail: detail.clone() })
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

/// The connection's handshake is done, with a proof by this key.
#[derive(Message)]
#[rtype(result = "Result<(), Superseded>")]
struct Opened {
    outgoing: mpsc::Sender<ToCoordinator>,
    proven: ProvenKey,
}

/// The connection has proven a key that is not the party's newest any more.
struct Superseded;

impl Handler<Opened> for Link {
    type Result = Result<(), Superseded>;

    fn handle(
        &mut self,
        Opened { outgoing, proven }: Opened,
        _: &mut Self::Context,
    ) -> Self::Result {
        if proven != self.vault.identity().proven_key() {
            return Err(Superseded);
        }
        tracing::info!(party = %self.vault.party(), server = %self.address.server_name, "link up");
        self.outgoing = Some(outgoing);
        self.up_since = Some(Instant::now());
        self.standing.status.send_replace(LinkStatus::Up);
        Ok(())
    }
}

/// One connection, from its start to its end.
struct Carrier {
    address: GatewayAddress,
    standing: Standing,
    identity: Identity,
    pending: Addr<PendingActor>,
    link: Addr<Link>,
}

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
        match self.link.send(Opened { outgoing, proven: self.identity.proven_key() }).await {
            Ok(Ok(())) => {}
            Ok(Err(Superseded)) => return LinkError::Rotated,
            Err(_) => return LinkError::Stopping,
        }
        if self.pending.send(LinkUp(self.handle())).await.is_err() {
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
        let dialled = self.address.dial().await;
        let (response, mut socket) =
            dialled.map_err(|error| LinkError::Connect(error.to_string()))?;
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
            ToParty::Welcome { party, .. } if party == self.identity.party() => {
                // Used up, or never needed: it must not lie around.
                self.standing.pass.forget();
                Ok(socket)
            }
            ToParty::Error { code, detail } => Err(LinkError::Refused { code, detail }),
            ToParty::Welcome { .. }
            | ToParty::Challenge(_)
            | ToParty::Invite { .. }
            | ToParty::Started { .. }
            | ToParty::Round(_)
            | ToParty::Ack(_)
            | ToParty::Abort { .. }
            | ToParty::Finished { .. }
            | ToParty::AuditHead(_)
            | ToParty::Inquiry(_)
            | ToParty::Testimony(_)
            | ToParty::Ban(_)
            | ToParty::SessionRequested { .. }
            | ToParty::Activate { .. }
            | ToParty::Attest { .. }
            | ToParty::Discard(_) => Err(LinkError::Handshake),
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
        let (label, token) = (self.standing.label.clone(), self.standing.pass.shown());
        let hello = Hello { challenge, party, label: &label, token: token.as_ref() };
        let signature = self.identity.sign(&hello.canonical_bytes());
        Ok(ToCoordinator::Prove { party, label, token, signature })
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
                        Some(Err(error)) => return Err(refused(error, &mut socket).await),
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

async fn send(socket: &mut Socket, message: &ToCoordinator) -> Result<(), LinkError> {
    let bytes = Bytes::from(codec::encode(message)?);
    write(socket, WsMessage::Binary(bytes)).await
}

/// Writes, but not for ever: a host that vanished leaves a full buffer and no error.
async fn write(socket: &mut Socket, message: WsMessage) -> Result<(), LinkError> {
    match timeout(SILENCE, socket.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(error.into()),
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
            Some(Err(error)) => return Err(refused(error, socket).await),
        }
    }
}

/// Says in the close frame that a frame was not read, if that is why the connection ends.
async fn refused(error: FrameError, socket: &mut Socket) -> LinkError {
    let error = LinkError::from(error);
    if let LinkError::Frame(_) = error
        && let Err(unsaid) = write(socket, WsMessage::Close(Some(CloseCode::Size.into()))).await
    {
        tracing::debug!(error = %unsaid, "the gateway could not be told why");
    }
    error
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
