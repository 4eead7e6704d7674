//! The shell around one session: decode, call the machine, perform its effects.

use crate::clock::Clock;
use crate::decode::decode;
use crate::herald::Heads;
use crate::hub::{Attach, Hub};
use crate::post::Post;
use crate::roster::{Engagement, Roster};
use crate::store::session::{Saving, StoredSession};
use crate::store::{Store, StoreError};
use actix::prelude::*;
use mpc_session::{Effect, Event, Millis, Session, Status};
use mpc_wire::{Intent, PartyId, ToCoordinator, ToParty, UnixMillis};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{oneshot, watch};
use tracing::{Instrument, Span};

/// Messages that may wait for a session. In lock step a party is at most one round ahead, so two
/// rounds of a quorum of [`mpc_wire::limits::MAX_PARTIES`] (2 × 20 × 19) and its control messages
/// are the most that honest parties have under way.
const SESSION_MAILBOX: usize = 1024;

/// What a session actor needs around it.
#[derive(Debug, Clone)]
pub(crate) struct Surroundings {
    pub(crate) store: Store,
    pub(crate) post: Post,
    pub(crate) roster: Roster,
    pub(crate) heads: Heads,
    pub(crate) hub: Addr<Hub>,
    pub(crate) clock: Clock,
}

/// A session that is about to run.
#[derive(Debug)]
pub(crate) struct Birth {
    pub(crate) session: Session,
    /// What is left to be done of its opening or restoration.
    pub(crate) effects: Vec<Effect>,
    /// The parties that the machine takes for online.
    pub(crate) believed: BTreeSet<PartyId>,
    pub(crate) created_at: UnixMillis,
}

/// How an actor went. One that goes without a word has died.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Its session is over.
    Ended,
    /// It could not go on, or was told to stop; the session can be taken up again.
    Interrupted,
}

/// Where an actor's end is told.
#[derive(Debug)]
pub(crate) struct Ties {
    pub(crate) end: watch::Sender<Option<Arc<StoredSession>>>,
    /// Dropped unused when the actor dies: that is how its supervisor notices.
    pub(crate) exit: oneshot::Sender<Exit>,
    /// Closed when the supervisor is gone.
    pub(crate) supervisor: watch::Receiver<()>,
}

/// Parties some of whose messages found no room. Instead of waiting for what will not come, the
/// machine is told that such a party was out of reach for a moment: it tells the party again what
/// that may have missed, and takes others where there are.
#[derive(Debug, Clone, Default)]
pub(crate) struct Missed(Arc<Mutex<BTreeSet<PartyId>>>);

impl Missed {
    pub(crate) fn add(&self, party: PartyId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(party);
    }

    fn take(&self) -> BTreeSet<PartyId> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// One running session.
#[derive(Debug)]
pub(crate) struct SessionActor {
    around: Surroundings,
    session: Session,
    first: Vec<Effect>,
    believed: BTreeSet<PartyId>,
    created_at: UnixMillis,
    missed: Missed,
    engagement: Option<Engagement>,
    timer: Option<(Millis, SpawnHandle)>,
    end: watch::Sender<Option<Arc<StoredSession>>>,
    exit: Option<oneshot::Sender<Exit>>,
    supervisor: watch::Receiver<()>,
    span: Span,
}

impl SessionActor {
    pub(crate) fn new(birth: Birth, ties: Ties, around: Surroundings) -> Self {
        let Birth { session, effects, believed, created_at } = birth;
        let Intent { session: id, kind, .. } = session.intent();
        let account = kind.account().map(|account| account.to_string()).unwrap_or_default();
        let span = tracing::info_span!("session", %id, kind = kind.name(), %account);
        Self {
            around,
            session,
            first: effects,
            believed,
            created_at,
            missed: Missed::default(),
            engagement: None,
            timer: None,
            end: ties.end,
            exit: Some(ties.exit),
            supervisor: ties.supervisor,
            span,
        }
    }

    fn take(&mut self, event: Event, ctx: &mut Context<Self>) {
        let mut effects = self.session.handle(event, self.around.clock.now());
        effects.extend(self.out_of_reach(self.missed.take()));
        self.perform(effects, ctx);
    }

    /// What follows from parties having been out of reach for a moment.
    fn out_of_reach(&mut self, parties: BTreeSet<PartyId>) -> Vec<Effect> {
        let now = self.around.clock.now();
        let mut effects = Vec::new();
        for party in parties {
            tracing::warn!(%party, "a message found no room: the party counts as out of reach");
            effects.extend(self.session.handle(Event::Offline(party), now));
            if self.around.roster.is_online(party) {
                effects.extend(self.session.handle(Event::Online(party), now));
            }
            // As long as there is no way out this goes on, and timers are not heard meanwhile.
            effects.extend(self.session.handle(Event::Tick, now));
        }
        effects
    }

    /// Performs effects in their order. Until the last one is done no further event is taken, so
    /// that nothing can overtake a record on its way to the disk.
    fn perform(&mut self, effects: Vec<Effect>, ctx: &mut Context<Self>) {
        self.engage();
        self.set_timer(ctx);
        if effects.is_empty() {
            return;
        }
        let work = perform(self.around.clone(), effects, self.created_at, self.end.clone())
            .instrument(self.span.clone());
        ctx.wait(work.into_actor(self).map(|done, actor, ctx| {
            let _span = actor.span.clone().entered();
            match done {
                Ok(_) if actor.session.ended().is_some() => actor.leave(Exit::Ended, ctx),
                Ok(unreachable) => {
                    let effects = actor.out_of_reach(unreachable);
                    actor.perform(effects, ctx);
                }
                Err(error) => {
                    tracing::error!(%error, "the session's record could not be stored");
                    actor.leave(Exit::Interrupted, ctx);
                }
            }
        }));
    }

    /// Counts the running attempt as work of its members.
    fn engage(&mut self) {
        let quorum = self.session.status().quorum;
        let is_counted =
            self.engagement.as_ref().is_some_and(|engaged| *engaged.parties() == quorum);
        if !is_counted {
            self.engagement = (!quorum.is_empty()).then(|| self.around.roster.engage(quorum));
        }
    }

    fn set_timer(&mut self, ctx: &mut Context<Self>) {
        let wake_at = self.session.wake_at();
        if self.timer.map(|(at, _)| at) == wake_at {
            return;
        }
        if let Some((_, handle)) = self.timer.take() {
            ctx.cancel_future(handle);
        }
        self.timer = wake_at.map(|at| {
            let handle = ctx.run_later(self.around.clock.until(at), |actor, ctx| {
                let _span = actor.span.clone().entered();
                actor.timer = None;
                actor.take(Event::Tick, ctx);
            });
            (at, handle)
        });
    }

    /// Ends the actor when its supervisor is gone: another one will make another actor for the
    /// session, and there must not be two.
    fn go_with_the_supervisor(&mut self, ctx: &mut Context<Self>) {
        let mut supervisor = self.supervisor.clone();
        let gone = async move { while supervisor.changed().await.is_ok() {} };
        ctx.spawn(gone.into_actor(self).map(|(), _, ctx| ctx.stop()));
    }

    fn leave(&mut self, exit: Exit, ctx: &mut Context<Self>) {
        // The supervisor listens for as long as it lives; without one nobody needs to know.
        if let Some(teller) = self.exit.take()
            && teller.send(exit).is_err()
        {
            tracing::debug!("no supervisor is left to be told");
        }
        ctx.stop();
    }
}

/// Performs the effects; names the parties that could not be reached.
async fn perform(
    around: Surroundings,
    effects: Vec<Effect>,
    created_at: UnixMillis,
    told: watch::Sender<Option<Arc<StoredSession>>>,
) -> Result<BTreeSet<PartyId>, StoreError> {
    let mut unreachable = BTreeSet::new();
    let mut ended = None;
    for effect in effects {
        match effect {
            // Nothing behind this line happens before the record is durable: state is written
            // before it is told.
            Effect::Persist(record) => {
                let at = around.clock.wall();
                let ended_at = record.end.is_some().then_some(at);
                ended = Some(StoredSession { record: (*record).clone(), created_at, ended_at });
                around.store.save_session(Saving { record: *record, created_at, at }).await?;
            }
            Effect::Send { to, message } => {
                show_audit_head(&around, to, &message).await;
                if around.post.deliver(to, message).await.is_err() {
                    unreachable.insert(to);
                }
            }
            Effect::End(end) => {
                tracing::info!(end = end.name(), "the session is over");
                told.send_replace(ended.take().map(Arc::new));
            }
            Effect::Drop { from, cause } => {
                tracing::debug!(party = %from, ?cause, "a message has no place");
            }
        }
    }
    Ok(unreachable)
}

/// Shows the party the head of the audit log before it hears of a session's beginning or end. The
/// head covers that, so whoever takes the entry away afterwards contradicts what the party keeps.
async fn show_audit_head(around: &Surroundings, to: PartyId, message: &ToParty) {
    let is_entered = matches!(
        message,
        ToParty::Invite { .. } | ToParty::Abort { .. } | ToParty::Finished { .. }
    );
    if is_entered && around.heads.show(to).await.is_err() {
        tracing::debug!(party = %to, "the head of the audit log found no way out");
    }
}

impl Actor for SessionActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(SESSION_MAILBOX);
        let attach = Attach {
            session: self.session.intent().session,
            eligible: self.session.intent().eligible.clone(),
            believed: std::mem::take(&mut self.believed),
            address: ctx.address(),
            missed: self.missed.clone(),
        };
        self.go_with_the_supervisor(ctx);
        let hub = self.around.hub.clone();
        // The way back must be open before anybody is invited.
        let attached = async move { hub.send(attach).await };
        ctx.wait(attached.into_actor(self).map(|attached, actor, ctx| match attached {
            Ok(()) => {
                let effects = std::mem::take(&mut actor.first);
                actor.perform(effects, ctx);
            }
            Err(_) => actor.leave(Exit::Interrupted, ctx),
        }));
    }
}

/// Something for a session.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) enum ToSession {
    /// A party can be reached.
    Online(PartyId),
    /// A party can no longer be reached.
    Offline(PartyId),
    /// A party said something about the session.
    Said { from: PartyId, message: Box<ToCoordinator> },
    /// The requester wants no more of it.
    Cancel,
    /// The coordinator stops; the session is taken up at its next start.
    Halt,
    /// Makes the actor panic.
    #[cfg(test)]
    Poison,
}

impl Handler<ToSession> for SessionActor {
    type Result = ();

    fn handle(&mut self, message: ToSession, ctx: &mut Self::Context) {
        let _span = self.span.clone().entered();
        match message {
            ToSession::Online(party) => self.take(Event::Online(party), ctx),
            ToSession::Offline(party) => self.take(Event::Offline(party), ctx),
            ToSession::Said { from, message } => {
                match decode(self.session.intent(), from, *message) {
                    Ok(event) => self.take(event, ctx),
                    Err(unfit) => tracing::warn!(party = %from, %unfit, "a message was dropped"),
                }
            }
            ToSession::Cancel => self.take(Event::Cancelled, ctx),
            ToSession::Halt => self.leave(Exit::Interrupted, ctx),
            #[cfg(test)]
            ToSession::Poison => panic!("poisoned by a test"),
        }
    }
}

/// Where a running session stands.
#[derive(Debug, Clone, MessageResponse)]
pub(crate) struct Standing {
    pub(crate) stored: StoredSession,
    pub(crate) status: Status,
}

/// Asks where the session stands.
#[derive(Debug, Message)]
#[rtype(result = "Standing")]
pub(crate) struct Ask;

impl Handler<Ask> for SessionActor {
    type Result = Standing;

    fn handle(&mut self, Ask: Ask, _ctx: &mut Self::Context) -> Self::Result {
        let record = self.session.record();
        let stored = StoredSession { record, created_at: self.created_at, ended_at: None };
        Standing { stored, status: self.session.status() }
    }
}
