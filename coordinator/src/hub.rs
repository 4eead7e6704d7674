//! Where everything from the parties comes in, and is brought to its session.

mod relaying;
mod reminding;
mod revocation;

pub(crate) use revocation::{Revoke, RevokeError};

use crate::activation::Activation;
use crate::decode::session_of;
use crate::herald::Heads;
use crate::post::Post;
use crate::relay::Word;
use crate::requests::Requests;
use crate::roster::Roster;
use crate::session_actor::{Missed, SessionActor, Surroundings, ToSession};
use crate::staff::{DeathNotice, SharedUplink};
use crate::store::Store;
use crate::store::witnessed::Witnessed;
use actix::prelude::*;
use futures_util::stream::{StreamExt, once, unfold};
use mpc_wire::{
    Intent, PartyId, SessionId, SessionRefusal, SignedHead, ToCoordinator, ToParty, Uplink,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// Sessions that come and go at a time; who finds no room waits for it.
const HUB_MAILBOX: usize = 256;

/// Messages that are answered by looking into the store, at a time: a party that sends more of
/// them gets no answer and asks again when it reconnects.
const MAX_LOOKUPS: usize = 64;

/// Requests of parties that are worked on at a time; beyond it they are told to come later.
const MAX_REQUESTS: usize = 64;

/// Brings what parties say to their sessions.
pub(crate) struct Hub {
    uplink: SharedUplink,
    roster: Roster,
    post: Post,
    store: Store,
    requests: Requests,
    activation: Activation,
    heads: Heads,
    routes: BTreeMap<SessionId, Route>,
    lookups: usize,
    /// The sessions that parties have asked for and that are being opened.
    requested: BTreeSet<SessionId>,
    /// What each party has to say to others, behind the word that is being carried.
    words: BTreeMap<PartyId, VecDeque<Word>>,
    _notice: DeathNotice,
}

struct Route {
    address: Addr<SessionActor>,
    eligible: BTreeSet<PartyId>,
    missed: Missed,
}

impl Hub {
    pub(crate) fn new(
        uplink: SharedUplink,
        around: Surroundings,
        requests: Requests,
        activation: Activation,
        notice: DeathNotice,
    ) -> Self {
        let Surroundings { store, post, roster, heads, hub: _, clock: _ } = around;
        Self {
            uplink,
            roster,
            post,
            store,
            requests,
            activation,
            heads,
            routes: BTreeMap::new(),
            lookups: 0,
            requested: BTreeSet::new(),
            words: BTreeMap::new(),
            _notice: notice,
        }
    }

    fn tell_sessions_of(&self, party: PartyId, message: fn(PartyId) -> ToSession) {
        self.routes
            .values()
            .filter(|route| route.eligible.contains(&party))
            .for_each(|route| route.send(party, message(party)));
    }

    fn said(&mut self, from: PartyId, message: Box<ToCoordinator>, ctx: &mut Context<Self>) {
        if let ToCoordinator::RequestSession { intent } = *message {
            self.requested(from, intent, ctx);
            return;
        }
        if let ToCoordinator::AuditHead(head) = *message {
            self.witness(from, head, ctx);
            return;
        }
        if let ToCoordinator::Activated { of, result } = *message {
            self.activation.answered(from, of, result);
            return;
        }
        if let ToCoordinator::Statement(statement) = *message {
            self.stated(from, statement, ctx);
            return;
        }
        let message = match Word::of(message) {
            Ok(word) => return self.relay(from, word, ctx),
            Err(other) => other,
        };
        let Some(session) = session_of(&message) else {
            tracing::warn!(party = %from, "a message that is none for the coordinator was dropped");
            return;
        };
        match self.routes.get(&session) {
            Some(route) if route.eligible.contains(&from) => {
                route.send(from, ToSession::Said { from, message });
            }
            Some(_) => tracing::warn!(party = %from, %session, "not a party of the session"),
            // A runner at work that has not heard of the end. Others say so by the hundred in a burst.
            None if matches!(*message, ToCoordinator::Progress { .. })
                && self.lookups < MAX_LOOKUPS / 2 =>
            {
                self.look_up(from, session, ctx);
            }
            // Only these wait for an answer; stragglers of a round do not.
            None if matches!(
                *message,
                ToCoordinator::Outcome { .. } | ToCoordinator::Join { .. }
            ) =>
            {
                self.look_up(from, session, ctx);
            }
            None => {}
        }
    }

    /// Takes the head of the party's audit log.
    fn witness(&mut self, from: PartyId, head: SignedHead, ctx: &mut Context<Self>) {
        match self.store.witness(from, &head) {
            Witnessed::Taken => self.heads.stir(),
            Witnessed::NotItsHead => {
                tracing::warn!(party = %from, "the head of an audit log is not the party's own");
            }
            Witnessed::Contradicts if self.lookups >= MAX_LOOKUPS => {
                tracing::warn!(party = %from, "too much is looked up to keep evidence as well");
            }
            Witnessed::Contradicts => {
                self.lookups += 1;
                let store = self.store.clone();
                let kept = async move { store.keep_evidence(head).await };
                ctx.spawn(kept.into_actor(self).map(move |kept, hub, _| {
                    hub.lookups -= 1;
                    if let Err(error) = kept {
                        tracing::error!(party = %from, %error, "the evidence cannot be kept");
                    }
                }));
            }
        }
    }

    /// Tells a party that a session is over, or was never known, so that it can forget it; an attempt
    /// that the end has stopped is stopped there, too.
    fn look_up(&mut self, party: PartyId, session: SessionId, ctx: &mut Context<Self>) {
        if self.lookups >= MAX_LOOKUPS {
            tracing::warn!(%party, %session, "too many questions about sessions that do not run");
            return;
        }
        self.lookups += 1;
        let (store, post) = (self.store.clone(), self.post.clone());
        let answer = async move {
            match store.session(session).await {
                // It is being taken up again, and will invite the party to its next attempt.
                Ok(Some(stored)) if stored.record.end.is_none() => {}
                Ok(stored) => {
                    let abort = stored.and_then(|stored| stored.record.abort());
                    for message in abort.into_iter().chain([ToParty::Finished { session }]) {
                        if let Err(error) = post.deliver(party, Box::new(message)).await {
                            tracing::warn!(%party, %session, %error, "an answer was lost");
                        }
                    }
                }
                Err(error) => tracing::warn!(%party, %session, %error, "cannot look it up"),
            }
        };
        ctx.spawn(answer.into_actor(self).map(|(), hub, _| hub.lookups -= 1));
    }

    fn requested(&mut self, from: PartyId, intent: Intent, ctx: &mut Context<Self>) {
        let (session, request) = (intent.session, intent.request);
        let answer = move |result| Box::new(ToParty::SessionRequested { session, request, result });
        if self.requested.contains(&session) {
            // Asked once more before the answer was there: that one is on its way.
            return;
        }
        if self.requested.len() >= MAX_REQUESTS {
            tracing::warn!(party = %from, %session, "too many sessions are being asked for");
            if let Err(error) = self.post.offer(from, answer(Err(SessionRefusal::Unavailable))) {
                tracing::warn!(party = %from, %session, %error, "an answer was lost");
            }
            return;
        }
        self.requested.insert(session);
        let (requests, post) = (self.requests.clone(), self.post.clone());
        let work = async move {
            let result = requests.accept(from, intent).await;
            if let Err(refusal) = &result {
                tracing::info!(party = %from, %session, %refusal, "refused a requested session");
            }
            if let Err(error) = post.deliver(from, answer(result)).await {
                tracing::warn!(party = %from, %session, %error, "an answer was lost");
            }
        };
        ctx.spawn(work.into_actor(self).map(move |(), hub, _| {
            hub.requested.remove(&session);
        }));
    }
}

impl Route {
    fn send(&self, party: PartyId, message: ToSession) {
        match self.address.try_send(message) {
            // A closed mailbox belongs to a session that ends or is being replaced: it learns
            // what it needs from the roster.
            Ok(()) | Err(SendError::Closed(_)) => {}
            Err(SendError::Full(_)) => self.missed.add(party),
        }
    }
}

impl Actor for Hub {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(HUB_MAILBOX);
        // A hub that is being replaced gives it free when it is gone.
        let uplink = once(Arc::clone(&self.uplink).lock_owned());
        ctx.add_stream(uplink.flat_map(|uplink| {
            unfold(uplink, |mut uplink| async { Some((uplink.recv().await?, uplink)) })
        }));
    }
}

impl StreamHandler<Uplink> for Hub {
    fn handle(&mut self, item: Uplink, ctx: &mut Self::Context) {
        match item {
            Uplink::Online { party, .. } if self.roster.is_revoked(party) => {
                self.send_away(party, ctx);
            }
            Uplink::Message { from, .. } if self.roster.is_revoked(from) => {
                tracing::debug!(party = %from, "a revoked party is not heard");
            }
            Uplink::Online { party, label } => {
                tracing::info!(%party, label, "online");
                // A party that is announced again has a new connection, and what was on its way
                // over the old one is lost: it was away for a moment.
                if self.roster.is_online(party) {
                    self.tell_sessions_of(party, ToSession::Offline);
                }
                self.roster.set_online(party);
                self.heads.reconnected(party);
                self.store.reconnected(party);
                self.tell_sessions_of(party, ToSession::Online);
            }
            Uplink::Offline { party } => {
                tracing::info!(%party, "offline");
                self.roster.set_offline(party);
                self.heads.reconnected(party);
                self.tell_sessions_of(party, ToSession::Offline);
            }
            Uplink::Message { from, message } => self.said(from, message, ctx),
        }
    }

    fn finished(&mut self, _ctx: &mut Self::Context) {
        // Sessions go on to their deadlines, and HTTP goes on to say that nobody is online.
        tracing::error!("the gateway is gone");
        for party in self.roster.online() {
            self.roster.set_offline(party);
            self.tell_sessions_of(party, ToSession::Offline);
        }
    }
}

/// A session actor wants to hear from its parties.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Attach {
    pub(crate) session: SessionId,
    pub(crate) eligible: BTreeSet<PartyId>,
    /// The parties that it takes for online; it is told of every other state at once.
    pub(crate) believed: BTreeSet<PartyId>,
    pub(crate) address: Addr<SessionActor>,
    pub(crate) missed: Missed,
}

impl Handler<Attach> for Hub {
    type Result = ();

    fn handle(&mut self, attach: Attach, _ctx: &mut Self::Context) {
        let Attach { session, eligible, believed, address, missed } = attach;
        let route = Route { address, eligible, missed };
        for party in &route.eligible {
            match (believed.contains(party), self.roster.is_online(*party)) {
                (false, true) => route.send(*party, ToSession::Online(*party)),
                (true, false) => route.send(*party, ToSession::Offline(*party)),
                (true, true) | (false, false) => {}
            }
        }
        self.routes.insert(session, route);
    }
}

/// A session actor is gone.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Detach(pub(crate) SessionId);

impl Handler<Detach> for Hub {
    type Result = ();

    fn handle(&mut self, Detach(session): Detach, _ctx: &mut Self::Context) {
        self.routes.remove(&session);
    }
}

/// The coordinator stops.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct StopHub;

impl Handler<StopHub> for Hub {
    type Result = ();

    fn handle(&mut self, StopHub: StopHub, ctx: &mut Self::Context) {
        ctx.stop();
    }
}
