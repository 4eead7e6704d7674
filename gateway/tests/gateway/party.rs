//! A gateway under test, and the parties that connect to it.

pub(crate) use crate::book::Book;
use awc::Client;
use awc::ws::{Frame, Message};
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use gateway::{CONNECT_PATH, Gateway, GatewayConfig, start};
use mpc_wire::handshake::{Challenge, Hello};
use mpc_wire::limits::{MAX_FRAME, SUBPROTOCOL};
use mpc_wire::{
    Attempt, Canonical, DeclineReason, Downlink, EnrolmentToken, ErrorCode, Identity, Nonce,
    PartyId, PlanHash, Round, RoundEnvelope, RoundHeader, Seq, SessionId, SignedJoin, Stage,
    ToCoordinator, ToParty, Uplink, codec,
};
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Far more than anything here takes; reaching it is a failure.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) const SERVER: &str = "post.test";

pub(crate) async fn soon<T>(what: &str, event: impl Future<Output = T>) -> T {
    timeout(PATIENCE, event).await.unwrap_or_else(|_| panic!("waited too long for {what}"))
}

/// The gateway and the coordinator's ends of its channels.
pub(crate) struct Post {
    pub(crate) gateway: Gateway,
    pub(crate) uplink: mpsc::Receiver<Uplink>,
    pub(crate) downlink: mpsc::Sender<Downlink>,
    pub(crate) book: Arc<Book>,
}

impl Post {
    pub(crate) async fn open() -> Self {
        Self::open_with(|_| {}).await
    }

    pub(crate) async fn open_with(adjust: impl FnOnce(&mut GatewayConfig)) -> Self {
        Self::open_full(adjust, 1024, Book::default()).await
    }

    pub(crate) async fn open_full(
        adjust: impl FnOnce(&mut GatewayConfig),
        uplink_room: usize,
        book: Book,
    ) -> Self {
        let mut config = GatewayConfig::new(([127, 0, 0, 1], 0).into(), SERVER);
        adjust(&mut config);
        let (sender, uplink) = mpsc::channel(uplink_room);
        let (downlink, receiver) = mpsc::channel(16);
        let book = Arc::new(book);
        let gateway = start(config, Arc::clone(&book) as _, sender, receiver).await.unwrap();
        Self { gateway, uplink, downlink, book }
    }

    pub(crate) fn enrol(&self, party: PartyId) {
        self.book.enter(party, gateway::Admission::Admitted);
    }

    /// An enrolled party behind its handshake; its `Online` is still in the uplink.
    pub(crate) async fn welcome(&self, identity: &Identity) -> Party {
        self.enrol(identity.party());
        let mut party = Party::connect(self.gateway.addr()).await;
        party.prove(identity, "label").await;
        party.welcomed(identity).await;
        party
    }

    /// The same, with the `Online` taken from the uplink.
    pub(crate) async fn online(&mut self, identity: &Identity) -> Party {
        let party = self.welcome(identity).await;
        assert_eq!(self.up().await, online(identity));
        party
    }

    pub(crate) async fn up(&mut self) -> Uplink {
        soon("the uplink", self.uplink.recv()).await.unwrap()
    }

    pub(crate) async fn deliver(&self, to: PartyId, message: ToParty) {
        let message = Box::new(message);
        soon("room in the downlink", self.downlink.send(Downlink::Deliver { to, message }))
            .await
            .unwrap();
    }
}

pub(crate) fn online(identity: &Identity) -> Uplink {
    Uplink::Online { party: identity.party(), label: "label".to_owned() }
}

pub(crate) fn offline(identity: &Identity) -> Uplink {
    Uplink::Offline { party: identity.party() }
}

pub(crate) fn said(identity: &Identity, message: ToCoordinator) -> Uplink {
    Uplink::Message { from: identity.party(), message: Box::new(message) }
}

pub(crate) fn decline(attempt: u32) -> ToCoordinator {
    ToCoordinator::Decline {
        session: SessionId::new(uuid_of_test()),
        attempt: Attempt(attempt),
        reason: DeclineReason::NoShare,
    }
}

pub(crate) fn join(member: &Identity) -> ToCoordinator {
    let plan = PlanHash::new([1; 32]);
    ToCoordinator::Join {
        session: SessionId::new(uuid_of_test()),
        attempt: Attempt::FIRST,
        join: SignedJoin::sign(member, plan, Nonce::new([2; 32]), [3; 32]),
    }
}

pub(crate) fn header(from: PartyId, to: PartyId) -> RoundHeader {
    RoundHeader {
        session: SessionId::new(uuid_of_test()),
        attempt: Attempt::FIRST,
        from,
        to,
        stage: Stage(1),
        round: Round(1),
        seq: Seq(0),
    }
}

pub(crate) fn round(from: PartyId, to: PartyId, bytes: usize) -> RoundEnvelope {
    RoundEnvelope { header: header(from, to), sealed: vec![0x5a; bytes] }
}

/// The answer to a challenge.
pub(crate) fn proof(
    challenge: &Challenge,
    identity: &Identity,
    label: &str,
    token: Option<EnrolmentToken>,
) -> ToCoordinator {
    let party = identity.party();
    let hello = Hello { challenge, party, label, token: token.as_ref() };
    let signature = identity.sign(&hello.canonical_bytes());
    ToCoordinator::Prove { party, label: label.to_owned(), token, signature }
}

fn uuid_of_test() -> uuid::Uuid {
    uuid::Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001)
}

/// A party's end of a WebSocket.
pub(crate) struct Party {
    sink: Pin<Box<dyn Sink<Message, Error = awc::error::WsProtocolError>>>,
    stream: Pin<Box<dyn Stream<Item = Result<Frame, awc::error::WsProtocolError>>>>,
}

impl Party {
    pub(crate) async fn connect(addr: SocketAddr) -> Self {
        let (_, framed) = soon(
            "the upgrade",
            Client::new()
                .ws(format!("http://{addr}{CONNECT_PATH}"))
                .protocols([SUBPROTOCOL])
                .max_frame_size(2 * MAX_FRAME)
                .connect(),
        )
        .await
        .unwrap();
        let (sink, stream) = framed.split();
        Self { sink: Box::pin(sink), stream: Box::pin(stream) }
    }

    pub(crate) async fn challenge(&mut self) -> Challenge {
        let ToParty::Challenge(challenge) = self.message().await else {
            panic!("no challenge");
        };
        challenge
    }

    pub(crate) async fn prove(&mut self, identity: &Identity, label: &str) {
        let challenge = self.challenge().await;
        self.answer(&challenge, identity, label).await;
    }

    pub(crate) async fn answer(&mut self, challenge: &Challenge, identity: &Identity, label: &str) {
        self.say(&proof(challenge, identity, label, None)).await;
    }

    pub(crate) async fn welcomed(&mut self, identity: &Identity) -> u64 {
        let ToParty::Welcome { party, heartbeat_ms } = self.message().await else {
            panic!("not welcome");
        };
        assert_eq!(party, identity.party());
        heartbeat_ms
    }

    pub(crate) async fn say(&mut self, message: &ToCoordinator) {
        let bytes = codec::encode(message).unwrap();
        self.send(Message::Binary(bytes.into())).await;
    }

    pub(crate) async fn send(&mut self, message: Message) {
        soon("a send", self.sink.send(message)).await.unwrap();
    }

    /// The next frame of any kind; `None` at the end.
    pub(crate) async fn frame(&mut self) -> Option<Frame> {
        match soon("a frame", self.stream.next()).await {
            Some(Ok(frame)) => Some(frame),
            Some(Err(_)) | None => None,
        }
    }

    /// The next message; pings before it are answered.
    pub(crate) async fn message(&mut self) -> ToParty {
        soon("a message", async {
            loop {
                match self.frame().await {
                    Some(Frame::Binary(bytes)) => return codec::decode(&bytes).unwrap(),
                    Some(Frame::Ping(count)) => self.send(Message::Pong(count)).await,
                    other => panic!("no message: {other:?}"),
                }
            }
        })
        .await
    }

    /// Expects an error message, then the close frame.
    pub(crate) async fn dismissed(&mut self, expected: ErrorCode, close: u16) {
        let ToParty::Error { code, detail } = self.message().await else {
            panic!("no error");
        };
        assert_eq!(code, expected, "{detail}");
        assert!(!detail.is_empty());
        match self.frame().await {
            Some(Frame::Close(Some(reason))) => assert_eq!(u16::from(reason.code), close),
            other => panic!("no close frame: {other:?}"),
        }
    }

    /// Expects the socket to be closed by the gateway.
    pub(crate) async fn ended(&mut self) {
        assert_eq!(self.frame().await, None);
    }
}
