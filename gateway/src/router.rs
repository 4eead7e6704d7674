//! Which connection is a party's: the router actor.
//!
//! It never waits: a slow party is cut, news that the uplink has no room for is reconciled later
//! (see [`crate::presence`]). So a stalled coordinator stops neither deliveries nor the watchdog.

use crate::farewell::Farewell;
use crate::link::{ConnectionId, Link};
use crate::office::Office;
use crate::presence::{Change, Presence};
use crate::socket::{Admitted, Connection, Deliver, Dismiss};
use actix::dev::SendError;
use actix::{
    Actor, ActorContext, ActorFutureExt, Addr, AsyncContext, Context, Handler, Message, WrapFuture,
};
use bytes::Bytes;
use mpc_wire::{Downlink, PartyId, ToParty, Uplink, codec};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::mpsc::OwnedPermit;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::oneshot;

/// Messages that may wait for the router. Each costs it microseconds; senders wait for room.
const MAILBOX: usize = 1024;

/// A party has proven itself on a connection.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Arrive {
    pub(crate) party: PartyId,
    pub(crate) label: String,
    pub(crate) link: Arc<Link>,
    pub(crate) connection: Addr<Connection>,
}

/// The roster still admits a party whose connection has arrived.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Confirm {
    pub(crate) party: PartyId,
    pub(crate) id: ConnectionId,
}

/// A connection that had arrived has ended.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Leave {
    pub(crate) party: PartyId,
    pub(crate) id: ConnectionId,
}

/// The coordinator has something for a party.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Route(pub(crate) Downlink);

/// The gateway goes away: every party is to be told.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct DismissAll;

/// The gateway has gone: the router is not needed any more.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Finish;

/// How a router ended, and what the next one must know.
#[derive(Debug)]
pub(crate) enum Ending {
    Finished,
    Died(Presence),
}

pub(crate) struct Router {
    office: Arc<Office>,
    residents: BTreeMap<PartyId, Resident>,
    presence: Presence,
    announcer: Announcer,
    will: Option<oneshot::Sender<Ending>>,
}

/// A party's newest connection.
struct Resident {
    label: String,
    link: Arc<Link>,
    connection: Addr<Connection>,
    standing: Standing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// The roster is asked once more.
    Arriving,
    /// The coordinator does not know yet.
    Confirmed,
    /// The coordinator knows; messages may pass.
    Announced,
}

/// Whether somebody waits for room in the uplink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Announcer {
    Idle,
    Waiting,
}

impl Router {
    /// A router, and a promise to say how it ended.
    pub(crate) fn launch(
        office: Arc<Office>,
        mut presence: Presence,
    ) -> (Addr<Self>, oneshot::Receiver<Ending>) {
        let (will, ending) = oneshot::channel();
        presence.touch_all();
        let router = Self {
            office,
            residents: BTreeMap::new(),
            presence,
            announcer: Announcer::Idle,
            will: Some(will),
        };
        (router.start(), ending)
    }

    /// Tells the coordinator what it does not know yet, as far as the uplink has room.
    fn announce(&mut self, ctx: &mut Context<Self>) {
        while self.announcer == Announcer::Idle && self.presence.has_news() {
            match self.office.uplink.clone().try_reserve_owned() {
                Ok(permit) => self.announce_next(permit),
                Err(TrySendError::Full(uplink)) => {
                    self.announcer = Announcer::Waiting;
                    let room = uplink.reserve_owned().into_actor(self);
                    ctx.spawn(room.map(|permit, this, ctx| {
                        this.announcer = Announcer::Idle;
                        match permit {
                            Ok(permit) => {
                                this.announce_next(permit);
                                this.announce(ctx);
                            }
                            Err(_) => this.dismiss_all(),
                        }
                    }));
                }
                Err(TrySendError::Closed(_)) => return self.dismiss_all(),
            }
        }
    }

    fn announce_next(&mut self, permit: OwnedPermit<Uplink>) {
        let residents = &self.residents;
        let change = self.presence.next(|party| {
            let resident = residents.get(party)?;
            match resident.standing {
                Standing::Arriving => None,
                Standing::Confirmed | Standing::Announced => Some(resident.link.id),
            }
        });
        match change {
            Some(Change::Online(party)) => {
                let Some(resident) = self.residents.get_mut(&party) else {
                    return;
                };
                permit.send(Uplink::Online { party, label: resident.label.clone() });
                resident.standing = Standing::Announced;
                // If it is closing already, its leave is on the way and Offline follows.
                if resident.link.open(Instant::now()).is_ok() {
                    hand(resident, Admitted);
                }
            }
            Some(Change::Offline(party)) => {
                permit.send(Uplink::Offline { party });
            }
            None => {}
        }
    }

    fn deliver(&mut self, party: PartyId, message: &ToParty, ctx: &mut Context<Self>) {
        let announced =
            self.residents.get(&party).filter(|resident| resident.standing == Standing::Announced);
        let Some(resident) = announced else {
            // Delivery is end to end, and presence has told the coordinator already.
            tracing::debug!(%party, "no connection to deliver to");
            return self.office.stats.undeliverable.increment();
        };
        let bytes = match codec::encode(message) {
            Ok(bytes) => Bytes::from(bytes),
            Err(error) => {
                tracing::error!(%party, %error, "message for a party cannot be encoded");
                return self.office.stats.undeliverable.increment();
            }
        };
        let is_taken = resident.link.charge(bytes.len()).is_ok()
            && match resident.connection.try_send(Deliver(bytes)) {
                Ok(()) => true,
                Err(SendError::Full(_)) => false,
                // It died this moment: its leave is on the way.
                Err(SendError::Closed(_)) => {
                    return self.office.stats.undeliverable.increment();
                }
            };
        if !is_taken {
            self.cut_slow(party, ctx);
        }
    }

    fn cut_slow(&mut self, party: PartyId, ctx: &mut Context<Self>) {
        if let Some(resident) = self.residents.remove(&party) {
            tracing::info!(connection = resident.link.id.0, %party, "slow consumer cut");
            self.office.stats.cut.increment();
            self.office.stats.slow_consumers.increment();
            self.office.stats.undeliverable.increment();
            resident.link.close(Instant::now());
            resident.link.cut();
            self.presence.touch(party);
            self.announce(ctx);
        }
    }

    fn dismiss_all(&mut self) {
        for resident in self.residents.values() {
            dismiss(resident, Farewell::GoingAway);
        }
    }
}

/// Closes a connection by way of its actor; by force if that cannot be reached.
fn dismiss(resident: &Resident, farewell: Farewell) {
    resident.link.close(Instant::now());
    hand(resident, Dismiss(farewell));
}

fn hand<M>(resident: &Resident, message: M)
where
    M: Message<Result = ()> + Send + 'static,
    Connection: Handler<M>,
{
    match resident.connection.try_send(message) {
        // An actor that is gone needs nothing any more.
        Ok(()) | Err(SendError::Closed(_)) => {}
        Err(SendError::Full(_)) => resident.link.cut(),
    }
}

impl Actor for Router {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
        let interval = self.office.config.timings.watch_interval();
        // The watchdog lives here, on another thread than the sockets: it works when they do not.
        ctx.run_interval(interval, |this, _| {
            let office = &this.office;
            office.admission.cut_overdue(Instant::now(), &office.config);
        });
        self.announce(ctx);
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        if let Some(will) = self.will.take() {
            let presence = std::mem::take(&mut self.presence);
            if will.send(Ending::Died(presence)).is_err() {
                tracing::debug!("a router ended with nobody left to replace it");
            }
        }
    }
}

impl Handler<Arrive> for Router {
    type Result = ();

    fn handle(&mut self, arrive: Arrive, _: &mut Self::Context) {
        let resident = Resident {
            label: arrive.label,
            link: arrive.link,
            connection: arrive.connection,
            standing: Standing::Arriving,
        };
        if let Some(older) = self.residents.insert(arrive.party, resident) {
            dismiss(&older, Farewell::Replaced);
        }
    }
}

impl Handler<Confirm> for Router {
    type Result = ();

    fn handle(&mut self, Confirm { party, id }: Confirm, ctx: &mut Self::Context) {
        // One that was replaced or disconnected meanwhile is in the book no more.
        if let Some(resident) = self.residents.get_mut(&party)
            && resident.link.id == id
        {
            resident.standing = Standing::Confirmed;
            self.office.admission.proven(&resident.link);
            self.presence.touch(party);
            self.announce(ctx);
        }
    }
}

impl Handler<Leave> for Router {
    type Result = ();

    fn handle(&mut self, Leave { party, id }: Leave, ctx: &mut Self::Context) {
        // A replaced connection ends late; it must not take the newer one with it.
        if self.residents.get(&party).is_some_and(|resident| resident.link.id == id) {
            self.residents.remove(&party);
            self.presence.touch(party);
            self.announce(ctx);
        }
    }
}

impl Handler<Route> for Router {
    type Result = ();

    fn handle(&mut self, Route(downlink): Route, ctx: &mut Self::Context) {
        match downlink {
            Downlink::Deliver { to, message } => self.deliver(to, &message, ctx),
            Downlink::Disconnect { party } => {
                // Out of the book at once: nothing more is delivered, whatever its actor does.
                if let Some(resident) = self.residents.remove(&party) {
                    dismiss(&resident, Farewell::Revoked);
                    self.presence.touch(party);
                    self.announce(ctx);
                }
            }
        }
    }
}

impl Handler<DismissAll> for Router {
    type Result = ();

    fn handle(&mut self, _: DismissAll, _: &mut Self::Context) {
        self.dismiss_all();
    }
}

impl Handler<Finish> for Router {
    type Result = ();

    fn handle(&mut self, _: Finish, ctx: &mut Self::Context) {
        if let Some(will) = self.will.take()
            && will.send(Ending::Finished).is_err()
        {
            tracing::debug!("nobody asked how the router ended");
        }
        ctx.stop();
    }
}
