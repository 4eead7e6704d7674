//! The connection actor, one a socket. This is the only file that knows `actix-web-actors`, which
//! is deprecated upstream: its successor replaces this file.
//!
//! Backpressure: when the uplink is full the actor stops reading (it leaves the gate shut) until
//! there is room for the message in its hand, and goes on with everything else meanwhile. Nothing
//! is lost and nothing is buffered. Its party's pongs wait behind the gate too, so its silence is
//! excused for that time (see [`Link::hold`]).

use crate::envelope;
use crate::farewell::Farewell;
use crate::gate::{Fault, Gate, GateControl};
use crate::handshake::{AwaitingProof, MAX_PROOF_FRAME};
use crate::link::Link;
use crate::office::Office;
use crate::roster::{Admission, Claim, RosterUnavailable};
use crate::router::{Arrive, Confirm, Leave, Router};
use actix::{
    Actor, ActorContext, ActorFutureExt, Addr, AsyncContext, Handler, Message, StreamHandler,
    WrapFuture,
};
use actix_web::{HttpRequest, HttpResponse, web};
use actix_web_actors::ws;
use bytes::Bytes;
use mpc_wire::frame::FrameFault;
use mpc_wire::limits::{MAX_FRAME, SUBPROTOCOL};
use mpc_wire::{PartyId, ProvenKey, ToCoordinator, ToParty, Uplink, codec};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::mpsc::error::TrySendError;

/// Messages that may wait for a connection's actor. Bytes are bounded by
/// [`crate::link::MAX_UNACKNOWLEDGED`]; this bounds the cost of many small ones, and is more than
/// a party in some hundred sessions gets within one turn of its thread.
const MAILBOX: usize = 4096;

/// A ping follows this many bytes at the latest, so that a party on a slow line shows progress
/// while a large backlog drains: 20 kB/s are enough to be alive.
const PING_AFTER: u64 = 256 << 10;

/// The party may be told that it is welcome.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Admitted;

/// An encoded message for the party, already charged to the link.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Deliver(pub(crate) Bytes);

/// The connection is to be closed.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Dismiss(pub(crate) Farewell);

/// Refuses what is no upgrade.
pub(crate) fn check(request: &HttpRequest) -> Result<(), actix_web::Error> {
    ws::handshake_with_protocols(request, &[SUBPROTOCOL])?;
    Ok(())
}

/// Answers an upgrade and starts the connection's actor.
pub(crate) fn open(
    request: &HttpRequest,
    payload: web::Payload,
    office: Arc<Office>,
    router: Addr<Router>,
    link: Arc<Link>,
) -> Result<HttpResponse, actix_web::Error> {
    let (gate, control) = Gate::new(payload, MAX_PROOF_FRAME);
    let connection = Connection {
        stage: Stage::AwaitingProof(AwaitingProof::new(office.config.server_name.clone())),
        gate: control,
        link,
        router,
        office,
    };
    ws::WsResponseBuilder::new(connection, request, gate)
        .protocols(&[SUBPROTOCOL])
        .frame_size(MAX_FRAME)
        .start()
}

pub(crate) struct Connection {
    stage: Stage,
    gate: GateControl,
    link: Arc<Link>,
    router: Addr<Router>,
    office: Arc<Office>,
}

enum Stage {
    AwaitingProof(AwaitingProof),
    /// The roster is asked.
    Checking,
    /// The router is told, the roster asked again, and the router to announce the party.
    Joining(Registration),
    Open(Open),
    Closed,
}

struct Open {
    registration: Registration,
    /// Bytes of messages written.
    written: u64,
    /// How many of them before the last ping.
    pinged: u64,
}

/// A place in the router's book, given back when dropped, by whatever end the actor comes to.
struct Registration {
    party: PartyId,
    link: Arc<Link>,
    router: Addr<Router>,
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.link.close(Instant::now());
        let leave = Leave { party: self.party, id: self.link.id };
        // A fresh clone of an address always has room for one message, so this fails only when
        // the router is gone, and its book with it.
        if self.router.clone().try_send(leave).is_err() {
            tracing::debug!(connection = self.link.id.0, "no router to leave");
        }
    }
}

type Context = ws::WebsocketContext<Connection>;

impl Actor for Connection {
    type Context = Context;

    fn started(&mut self, ctx: &mut Context) {
        ctx.set_mailbox_capacity(MAILBOX);
        tracing::debug!(connection = self.link.id.0, ip = %self.link.ip, "connection opened");
        if let Stage::AwaitingProof(awaiting) = &self.stage {
            let challenge = ToParty::Challenge(awaiting.challenge().clone());
            self.write(&challenge, ctx);
        }
        ctx.run_later(self.office.config.timings.handshake, |this, ctx| match this.stage {
            Stage::AwaitingProof(_) | Stage::Checking | Stage::Joining(_) => {
                this.dismiss(&Farewell::HandshakeLate, ctx);
            }
            Stage::Open(_) | Stage::Closed => {}
        });
        ctx.run_interval(self.office.config.timings.heartbeat, Self::ping);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.link.close(Instant::now());
        if std::thread::panicking() {
            self.office.stats.panics.increment();
        }
        tracing::debug!(connection = self.link.id.0, "connection ended");
    }
}

impl StreamHandler<Result<ws::Message, ws::ProtocolError>> for Connection {
    fn handle(&mut self, item: Result<ws::Message, ws::ProtocolError>, ctx: &mut Context) {
        match item {
            // Whoever takes the frame opens the gate when done with it.
            Ok(ws::Message::Binary(frame)) => return self.read(&frame, ctx),
            Ok(ws::Message::Ping(count)) => ctx.pong(&count),
            Ok(ws::Message::Pong(count)) => {
                if let Ok(count) = <[u8; 8]>::try_from(&*count) {
                    self.link.ponged(u64::from_be_bytes(count), Instant::now());
                }
            }
            Ok(ws::Message::Nop) => {}
            Ok(ws::Message::Text(_)) => self.dismiss(&Farewell::Text, ctx),
            // The gate lets none through.
            Ok(ws::Message::Continuation(_)) => {
                self.dismiss(&Farewell::Frame(FrameFault::Fragmented), ctx);
            }
            Ok(ws::Message::Close(reason)) => {
                ctx.close(reason.map(|reason| reason.code.into()));
                self.end("closed by the party", ctx);
            }
            Err(error) => match self.gate.fault() {
                Some(Fault::Frame(fault)) => self.dismiss(&Farewell::Frame(fault), ctx),
                Some(Fault::Lost) => self.end("lost", ctx),
                None => {
                    tracing::debug!(connection = self.link.id.0, %error, "no websocket frame");
                    self.dismiss(&Farewell::NotWebSocket, ctx);
                }
            },
        }
        self.gate.release();
    }
}

impl Connection {
    fn read(&mut self, frame: &[u8], ctx: &mut Context) {
        match std::mem::replace(&mut self.stage, Stage::Closed) {
            Stage::AwaitingProof(awaiting) => match awaiting.prove(frame) {
                Ok(proven) => self.check(proven, ctx),
                Err(farewell) => self.dismiss(&farewell, ctx),
            },
            Stage::Open(open) => {
                let party = open.registration.party;
                self.stage = Stage::Open(open);
                match envelope::accept(party, frame) {
                    Ok(message) => {
                        self.office.stats.messages_in.increment();
                        self.office.stats.bytes_in.add(frame.len());
                        self.forward(party, message, ctx);
                    }
                    Err(farewell) => self.dismiss(&farewell, ctx),
                }
            }
            // The gate is shut in these; nothing comes.
            stage @ (Stage::Checking | Stage::Joining(_) | Stage::Closed) => self.stage = stage,
        }
    }

    fn check(&mut self, claim: Claim, ctx: &mut Context) {
        self.stage = Stage::Checking;
        let office = Arc::clone(&self.office);
        let (party, key, label) = (claim.party, claim.key, claim.label.clone());
        let asked = async move { office.roster.admit(claim).await };
        ctx.spawn(asked.into_actor(self).map(
            move |answer, this, ctx| match this.refusal(answer) {
                None => this.join(party, key, label, ctx),
                Some(farewell) => this.dismiss(&farewell, ctx),
            },
        ));
    }

    /// What is said to a party that the roster does not admit.
    fn refusal(&self, answer: Result<Admission, RosterUnavailable>) -> Option<Farewell> {
        match answer {
            Ok(Admission::Admitted) => None,
            Ok(Admission::NotEnrolled) => Some(Farewell::NotEnrolled),
            Ok(Admission::TokenRefused) => Some(Farewell::TokenRefused),
            Ok(Admission::Revoked) => Some(Farewell::Revoked),
            Ok(Admission::KeySuperseded) => Some(Farewell::KeySuperseded),
            Err(error) => {
                tracing::warn!(connection = self.link.id.0, error = ?error, "no answer from the roster");
                Some(Farewell::RosterUnavailable)
            }
        }
    }

    fn join(&mut self, party: PartyId, key: ProvenKey, label: String, ctx: &mut Context) {
        let arrive =
            Arrive { party, label, link: Arc::clone(&self.link), connection: ctx.address() };
        self.stage = Stage::Joining(Registration {
            party,
            link: Arc::clone(&self.link),
            router: self.router.clone(),
        });
        let arrived = self.router.send(arrive).into_actor(self);
        ctx.spawn(arrived.map(move |reached, this, ctx| match reached {
            Ok(()) => this.confirm(party, key, ctx),
            Err(_) => this.dismiss(&Farewell::GoingAway, ctx),
        }));
    }

    /// Asks the roster again, now that a disconnection would find this connection: whatever was
    /// decided about the party since the first answer is either seen here or routed here.
    fn confirm(&mut self, party: PartyId, key: ProvenKey, ctx: &mut Context) {
        let office = Arc::clone(&self.office);
        let asked = async move { office.roster.confirm(party, key).await };
        ctx.spawn(asked.into_actor(self).map(move |answer, this, ctx| {
            // Whoever closed the connection meanwhile has said why.
            if !matches!(this.stage, Stage::Joining(_)) {
                return;
            }
            match this.refusal(answer) {
                None => this.confirmed(party, ctx),
                Some(farewell) => this.dismiss(&farewell, ctx),
            }
        }));
    }

    fn confirmed(&mut self, party: PartyId, ctx: &mut Context) {
        let confirmed = self.router.send(Confirm { party, id: self.link.id }).into_actor(self);
        ctx.spawn(confirmed.map(|reached, this, ctx| {
            if reached.is_err() {
                this.dismiss(&Farewell::GoingAway, ctx);
            }
        }));
    }

    /// Sends a message up, and opens the gate once it is on its way.
    fn forward(&mut self, from: PartyId, message: ToCoordinator, ctx: &mut Context) {
        let message = Uplink::Message { from, message: Box::new(message) };
        match self.office.uplink.clone().try_reserve_owned() {
            Ok(permit) => {
                self.link.speak(permit, message);
                self.gate.release();
            }
            Err(TrySendError::Full(uplink)) => {
                self.link.hold();
                let room = uplink.reserve_owned().into_actor(self);
                ctx.spawn(room.map(|permit, this, ctx| match permit {
                    Ok(permit) => {
                        this.link.speak(permit, message);
                        this.link.resume(Instant::now());
                        this.gate.release();
                    }
                    Err(_) => this.dismiss(&Farewell::GoingAway, ctx),
                }));
            }
            Err(TrySendError::Closed(_)) => self.dismiss(&Farewell::GoingAway, ctx),
        }
    }

    fn ping(&mut self, ctx: &mut Context) {
        if let Stage::Open(open) = &mut self.stage {
            open.pinged = open.written;
            self.link.pinged(open.written);
            ctx.ping(&open.written.to_be_bytes());
        }
    }

    /// Says why, closes and ends.
    fn dismiss(&mut self, farewell: &Farewell, ctx: &mut Context) {
        self.office.stats.dismissed.increment();
        self.write(
            &ToParty::Error {
                code: farewell.error(),
                detail: mpc_wire::limits::bounded_detail(farewell.to_string()),
            },
            ctx,
        );
        // A close frame has room for 123 bytes of text; the error before it said it all.
        ctx.close(Some(ws::CloseCode::from(farewell.close_code()).into()));
        self.end(&farewell.to_string(), ctx);
    }

    /// Ends: what was written is still sent, nothing more is read.
    fn end(&mut self, reason: &str, ctx: &mut Context) {
        self.link.close(Instant::now());
        match std::mem::replace(&mut self.stage, Stage::Closed) {
            Stage::Open(Open { registration, .. }) | Stage::Joining(registration) => {
                let party = registration.party;
                tracing::info!(connection = self.link.id.0, %party, reason, "party disconnected");
            }
            Stage::AwaitingProof(_) | Stage::Checking | Stage::Closed => {
                tracing::debug!(connection = self.link.id.0, reason, "connection closed");
            }
        }
        ctx.stop();
    }

    /// Writes one of the gateway's own messages.
    fn write(&mut self, message: &ToParty, ctx: &mut Context) {
        match codec::encode(message) {
            Ok(bytes) => ctx.binary(bytes),
            Err(error) => {
                tracing::error!(connection = self.link.id.0, %error, "own message not encoded");
                ctx.stop();
            }
        }
    }
}

impl Handler<Admitted> for Connection {
    type Result = ();

    fn handle(&mut self, _: Admitted, ctx: &mut Context) {
        match std::mem::replace(&mut self.stage, Stage::Closed) {
            Stage::Joining(registration) => {
                let party = registration.party;
                self.office.stats.admitted.increment();
                tracing::info!(connection = self.link.id.0, %party, "party connected");
                let heartbeat = self.office.config.timings.heartbeat;
                let welcome = ToParty::Welcome {
                    party,
                    heartbeat_ms: u64::try_from(heartbeat.as_millis()).unwrap_or(u64::MAX),
                };
                self.write(&welcome, ctx);
                self.stage = Stage::Open(Open { registration, written: 0, pinged: 0 });
                self.gate.set_limit(MAX_FRAME);
                self.gate.release();
            }
            stage
            @ (Stage::AwaitingProof(_) | Stage::Checking | Stage::Open(_) | Stage::Closed) => {
                self.stage = stage
            }
        }
    }
}

impl Handler<Deliver> for Connection {
    type Result = ();

    fn handle(&mut self, Deliver(bytes): Deliver, ctx: &mut Context) {
        let Stage::Open(open) = &mut self.stage else {
            self.office.stats.undeliverable.increment();
            return;
        };
        self.office.stats.messages_out.increment();
        self.office.stats.bytes_out.add(bytes.len());
        open.written = open.written.saturating_add(bytes.len() as u64);
        let is_ping_due = open.written - open.pinged >= PING_AFTER;
        ctx.binary(bytes);
        if is_ping_due {
            self.ping(ctx);
        }
    }
}

impl Handler<Dismiss> for Connection {
    type Result = ();

    fn handle(&mut self, Dismiss(farewell): Dismiss, ctx: &mut Context) {
        self.dismiss(&farewell, ctx);
    }
}
