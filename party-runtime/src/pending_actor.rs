//! The pending actor: a thin shell around [`mpc_pending::Pending`]. It decodes, calls the machine
//! and performs its effects in their order; what must be durable first is stored first.

use crate::link::{Outgoing, Reconnect};
use crate::policy;
use crate::runner::{RunnerCommand, RunnerEnded, RunnerHandle, Runners};
use crate::seal::FreshJoiner;
use crate::supervisor::DeathNotice;
use crate::vault::{Vault, VaultError};
use actix::prelude::*;
use mpc_pending::{Effect, Event, Launch, Now, Pending, Record};
use mpc_wire::{
    Attempt, AttemptFailure, AttemptOutcome, DeclineReason, ErrorCode, FailureKind, Intent,
    SessionId, SessionRefusal, SignedJoin, ToCoordinator, ToParty, UnixMillis,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::oneshot;

/// Messages that may wait for this actor: the rounds of some hundred attempts at once.
const MAILBOX: usize = 1024;

/// How often the machine looks for what has expired. Nothing but forgetting depends on it.
const TICK: Duration = Duration::from_secs(1);

/// A message from the coordinator.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct FromCoordinator(pub(crate) Box<ToParty>);

/// The link to the gateway is open.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct LinkUp(pub(crate) LinkHandle);

/// What the pending actor uses of the link.
#[derive(Debug, Clone)]
pub(crate) struct LinkHandle {
    pub(crate) outgoing: Recipient<Outgoing>,
    pub(crate) reconnect: Recipient<Reconnect>,
}

/// Ends the actor.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Stop;

impl Handler<Stop> for PendingActor {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Self::Context) {
        ctx.stop();
    }
}

/// A local caller wants a session.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Request {
    pub(crate) intent: Intent,
    pub(crate) caller: Caller,
}

/// Where a local caller waits.
#[derive(Debug)]
pub(crate) struct Caller {
    /// For the coordinator's answer.
    pub(crate) accepted: Option<oneshot::Sender<Result<(), SessionRefusal>>>,
    /// For the result. Dropped without one if the session ends without one.
    pub(crate) outcome: oneshot::Sender<AttemptOutcome>,
}

impl Caller {
    /// Hands over the outcome. It may overtake the coordinator's answer, which it then implies.
    fn tell(self, session: SessionId, outcome: AttemptOutcome) {
        let unheard_answer = self.accepted.is_some_and(|accepted| accepted.send(Ok(())).is_err());
        if self.outcome.send(outcome).is_err() || unheard_answer {
            tracing::debug!(%session, "the caller did not wait for the outcome");
        }
    }
}

/// The actor.
pub(crate) struct PendingActor {
    vault: Vault,
    machine: Pending,
    joiner: FreshJoiner,
    runners: Rc<dyn Runners>,
    running: BTreeMap<(SessionId, Attempt), RunnerHandle>,
    callers: BTreeMap<SessionId, Caller>,
    link: Option<LinkHandle>,
    /// Effects whose turn has not come: everything behind a record that is being stored.
    waiting: VecDeque<Effect>,
    storing: Option<SpawnHandle>,
    started: Instant,
    _death_notice: DeathNotice,
}

impl PendingActor {
    pub(crate) fn new(vault: Vault, runners: Rc<dyn Runners>, death_notice: DeathNotice) -> Self {
        Self {
            machine: Pending::new(vault.party()),
            joiner: FreshJoiner::new(vault.identity().clone()),
            vault,
            runners,
            running: BTreeMap::new(),
            callers: BTreeMap::new(),
            link: None,
            waiting: VecDeque::new(),
            storing: None,
            started: Instant::now(),
            _death_notice: death_notice,
        }
    }

    fn apply(&mut self, event: Event, ctx: &mut Context<Self>) {
        let now = self.now();
        self.waiting.extend(self.machine.handle(event, now, &mut self.joiner));
        self.perform_waiting(ctx);
    }

    fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Now { monotonic: millis(self.started.elapsed()), wall: UnixMillis(millis(wall)) }
    }

    /// Performs effects up to the first that must be durable, then stores: everything that is to
    /// be stored by now in one commit, so that many sessions share its cost. The effects behind
    /// are performed once it is done. This is the one place where the order "persist, then send"
    /// is kept.
    fn perform_waiting(&mut self, ctx: &mut Context<Self>) {
        if self.storing.is_some() {
            return;
        }
        while let Some(effect) = self.waiting.pop_front() {
            if matches!(effect, Effect::Persist(_) | Effect::Forget(_)) {
                self.waiting.push_front(effect);
                break;
            }
            self.perform(effect, ctx);
        }
        if self.waiting.is_empty() {
            return;
        }
        let batch = Batch::collect(std::mem::take(&mut self.waiting));
        let vault = self.vault.clone();
        let store = async move {
            let stored = vault.store_sessions(&batch.records, &batch.forgotten).await;
            stored.map(|()| batch.behind)
        };
        self.storing = Some(ctx.spawn(store.into_actor(self).map(Self::stored)));
    }

    fn stored(result: Result<Vec<Effect>, VaultError>, actor: &mut Self, ctx: &mut Context<Self>) {
        actor.storing = None;
        match result {
            Ok(effects) => {
                effects.into_iter().for_each(|effect| actor.perform(effect, ctx));
                actor.perform_waiting(ctx);
            }
            Err(error) => actor.give_up(&error, ctx),
        }
    }

    /// Without a store the machine's memory is ahead of what a restart would find. The actor dies
    /// and a fresh one begins from the store, as after a crash.
    fn give_up(&mut self, error: &VaultError, ctx: &mut Context<Self>) {
        tracing::error!(party = %self.vault.party(), %error, "cannot use the store");
        self.waiting.clear();
        ctx.stop();
    }

    fn perform(&mut self, effect: Effect, ctx: &mut Context<Self>) {
        match effect {
            // Collected by `Batch` before.
            Effect::Persist(_) | Effect::Forget(_) => {}
            Effect::SendRequest(intent) => {
                tracing::info!(session = %intent.session, "session cached, requesting it");
                self.send(ToCoordinator::RequestSession { intent: *intent });
            }
            Effect::Ask(intent) => self.ask(*intent, ctx),
            Effect::SendJoin { session, attempt, join } => {
                self.send(ToCoordinator::Join { session, attempt, join: *join });
            }
            Effect::SendDecline { session, attempt, reason } => {
                tracing::info!(%session, %attempt, %reason, "declined");
                self.send(ToCoordinator::Decline { session, attempt, reason });
            }
            Effect::Launch(launch) => self.launch(*launch, ctx),
            Effect::Kill { session, attempt } => {
                if let Some(runner) = self.running.remove(&(session, attempt)) {
                    kill(&runner, session);
                }
            }
            Effect::Deliver { session, attempt, messages } => {
                let runner = self.running.get(&(session, attempt));
                if runner.is_some_and(|r| !r.command(RunnerCommand::Deliver(messages))) {
                    self.overwhelmed(session, attempt, ctx);
                }
            }
            Effect::Refuse(header) => {
                tracing::warn!(session = %header.session, from = %header.from, "no room for a round message");
                self.send(ToCoordinator::RoundRefused { header });
            }
            Effect::Report { session, attempt, outcome } => {
                self.report(session, attempt, *outcome);
            }
            Effect::Over(session) => {
                self.callers.remove(&session);
            }
            Effect::Drop { session, cause } => {
                tracing::debug!(%session, ?cause, "nothing to do, skipped");
            }
        }
    }

    fn send(&mut self, message: ToCoordinator) {
        // What is lost here is sent again when the link is up, as far as it matters then.
        let Some(link) = &self.link else { return };
        if let Err(error) = link.outgoing.try_send(Outgoing(message)) {
            // A clean break instead of a gap: the coordinator sees that the party was away.
            tracing::warn!(%error, "no room for a message to the coordinator, reconnecting");
            if let Err(error) = link.reconnect.try_send(Reconnect) {
                tracing::warn!(%error, "the link is busy with its end already");
            }
        }
    }

    /// A runner has no room for a message that the machine holds for delivered: its attempt ends.
    fn overwhelmed(&mut self, session: SessionId, attempt: Attempt, ctx: &mut Context<Self>) {
        if let Some(runner) = self.running.remove(&(session, attempt)) {
            kill(&runner, session);
        }
        let detail = "the runner could not keep up with its messages";
        ctx.notify(failed(session, attempt, FailureKind::Internal, detail));
    }

    fn ask(&mut self, intent: Intent, ctx: &mut Context<Self>) {
        let vault = self.vault.clone();
        let session = intent.session;
        let judge = async move { policy::judge(&vault, &intent).await };
        ctx.spawn(judge.into_actor(self).map(move |verdict, actor, ctx| match verdict {
            Ok(Ok(())) => actor.apply(Event::Approved(session), ctx),
            Ok(Err(reason)) => actor.apply(Event::Refused { session, reason }, ctx),
            Err(error @ VaultError::Database(_)) => actor.give_up(&error, ctx),
            // One unreadable record is no reason to stop the sessions of all others.
            Err(error) => {
                tracing::error!(%session, %error, "declined: the account's record cannot be used");
                actor.apply(Event::Refused { session, reason: DeclineReason::NoShare }, ctx);
            }
        }));
    }

    fn launch(&mut self, launch: Launch, ctx: &mut Context<Self>) {
        let (session, attempt) = (launch.plan.session, launch.plan.attempt);
        let (party, kind) = (self.vault.party(), launch.intent.kind.name());
        tracing::info!(%party, %session, %attempt, kind, "session started, runner triggered");
        let Some(link) = self.link.clone() else {
            // A launch needs a `Started`, which came over a link.
            let detail = "the attempt was launched without a link";
            ctx.notify(failed(session, attempt, FailureKind::RunnerLost, detail));
            return;
        };
        let runner = self.runners.start(launch, link.outgoing, ctx.address().recipient());
        self.running.insert((session, attempt), runner);
    }

    fn report(&mut self, session: SessionId, attempt: Attempt, outcome: AttemptOutcome) {
        match &outcome {
            AttemptOutcome::Failed(failure) => {
                let kind = failure.kind.name();
                let (party, detail) = (self.vault.party(), &failure.detail);
                tracing::warn!(%party, %session, %attempt, kind, detail, "attempt failed");
            }
            AttemptOutcome::Keygen { .. }
            | AttemptOutcome::Aux { .. }
            | AttemptOutcome::Signed(_) => {
                tracing::info!(%session, %attempt, "attempt completed");
                if let Some(caller) = self.callers.remove(&session) {
                    caller.tell(session, outcome.clone());
                }
            }
        }
        self.send(ToCoordinator::Outcome { session, attempt, outcome });
    }

    /// Turns a message from outside into an event of the machine.
    fn event(message: ToParty) -> Result<Option<Event>, &'static str> {
        Ok(Some(match message {
            ToParty::Invite { intent, plan } => Event::Invited { intent, plan },
            ToParty::Started { session, attempt, joins } => {
                let joins: Result<_, _> = joins.iter().map(SignedJoin::verify).collect();
                let joins = joins.map_err(|_| "a join whose signature is wrong")?;
                Event::Started { session, attempt, joins }
            }
            ToParty::Round(envelope) => Event::RoundMessage(envelope),
            ToParty::Abort { session, attempt, .. } => Event::Aborted { session, attempt },
            ToParty::Finished { session } => Event::Finished(session),
            ToParty::SessionRequested { .. } => return Ok(None),
            ToParty::Error { code: ErrorCode::GoingAway, detail } => {
                tracing::info!(detail, "the gateway goes away");
                return Ok(None);
            }
            ToParty::Error { code, detail } => {
                tracing::warn!(?code, detail, "the gateway reports an error");
                return Ok(None);
            }
            ToParty::Challenge(_) | ToParty::Welcome { .. } => {
                return Err("a handshake message on an open connection");
            }
        }))
    }

    fn requested(
        &mut self,
        session: SessionId,
        result: Result<(), SessionRefusal>,
        ctx: &mut Context<Self>,
    ) {
        if let Some(accepted) =
            self.callers.get_mut(&session).and_then(|caller| caller.accepted.take())
            && accepted.send(result).is_err()
        {
            tracing::debug!(%session, "the caller did not wait for the answer");
        }
        if let Err(refusal) = result {
            tracing::info!(%session, %refusal, "the coordinator refused the session");
            self.apply(Event::Finished(session), ctx);
        }
    }
}

impl Actor for PendingActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
        ctx.run_interval(TICK, |actor, ctx| actor.apply(Event::Tick, ctx));
        let vault = self.vault.clone();
        let restore = async move { vault.sessions().await };
        // Nothing else is looked at before the stored sessions are back.
        ctx.wait(restore.into_actor(self).map(|records, actor, ctx| match records {
            Ok(records) => actor.apply(Event::Restored(records), ctx),
            Err(error) => actor.give_up(&error, ctx),
        }));
    }
}

impl Drop for PendingActor {
    fn drop(&mut self) {
        self.running.iter().for_each(|((session, _), runner)| kill(runner, *session));
    }
}

impl Handler<FromCoordinator> for PendingActor {
    type Result = ();

    fn handle(&mut self, FromCoordinator(message): FromCoordinator, ctx: &mut Self::Context) {
        if let ToParty::SessionRequested { session, result, .. } = *message {
            self.requested(session, result, ctx);
            return;
        }
        match Self::event(*message) {
            Ok(Some(event)) => self.apply(event, ctx),
            Ok(None) => {}
            Err(what) => tracing::warn!(what, "refused a message of the coordinator"),
        }
    }
}

impl Handler<LinkUp> for PendingActor {
    type Result = ();

    fn handle(&mut self, LinkUp(link): LinkUp, ctx: &mut Self::Context) {
        self.link = Some(link);
        self.apply(Event::Connected, ctx);
    }
}

impl Handler<Request> for PendingActor {
    type Result = ();

    fn handle(&mut self, Request { intent, caller }: Request, ctx: &mut Self::Context) {
        self.callers.insert(intent.session, caller);
        self.apply(Event::Intend(intent), ctx);
    }
}

impl Handler<RunnerEnded> for PendingActor {
    type Result = ();

    fn handle(&mut self, ended: RunnerEnded, ctx: &mut Self::Context) {
        let RunnerEnded { session, attempt, outcome } = ended;
        self.running.remove(&(session, attempt));
        self.apply(Event::RunnerEnded { session, attempt, outcome }, ctx);
    }
}

/// What is stored at once, and the effects behind it.
struct Batch {
    records: Vec<Record>,
    forgotten: Vec<SessionId>,
    behind: Vec<Effect>,
}

impl Batch {
    /// Of several records of one session only the last is stored: it says all that those before
    /// it did.
    fn collect(effects: VecDeque<Effect>) -> Self {
        let mut records = BTreeMap::new();
        let mut forgotten = Vec::new();
        let mut behind = Vec::new();
        for effect in effects {
            match effect {
                Effect::Persist(record) => {
                    forgotten.retain(|session| *session != record.intent.session);
                    records.insert(record.intent.session, *record);
                }
                Effect::Forget(session) => {
                    records.remove(&session);
                    forgotten.push(session);
                }
                Effect::SendRequest(_)
                | Effect::Ask(_)
                | Effect::SendJoin { .. }
                | Effect::SendDecline { .. }
                | Effect::Launch(_)
                | Effect::Kill { .. }
                | Effect::Deliver { .. }
                | Effect::Refuse(_)
                | Effect::Report { .. }
                | Effect::Over(_)
                | Effect::Drop { .. } => behind.push(effect),
            }
        }
        Self { records: records.into_values().collect(), forgotten, behind }
    }
}

/// The end of an attempt whose runner cannot report it.
fn failed(
    session: SessionId,
    attempt: Attempt,
    kind: FailureKind,
    detail: &'static str,
) -> RunnerEnded {
    let failure = AttemptFailure { kind, guilty: BTreeSet::new(), detail: detail.into() };
    RunnerEnded { session, attempt, outcome: AttemptOutcome::Failed(failure) }
}

fn kill(runner: &RunnerHandle, session: SessionId) {
    if !runner.command(RunnerCommand::Kill) {
        tracing::warn!(%session, "a runner has no room for its end; its engine ends unheard");
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mpc_pending::record::{StoredConsent, StoredProgress};
    use mpc_wire::{IntentKind, RequestId, Scheme};

    fn record(session: SessionId, floor: u32) -> Effect {
        let intent = Intent {
            session,
            request: RequestId::generate(),
            eligible: BTreeSet::new(),
            expires_at: UnixMillis(0),
            kind: IntentKind::Aux { scheme: Scheme::EcdsaCggmp24 },
        };
        let (consent, floor) = (StoredConsent::Approved, Attempt(floor));
        let progress = StoredProgress::Idle;
        Effect::Persist(Box::new(Record { intent, consent, floor, progress }))
    }

    fn collect(effects: Vec<Effect>) -> Batch {
        Batch::collect(effects.into())
    }

    #[test]
    fn a_batch_stores_the_last_word_on_each_session_and_keeps_the_rest_in_order() {
        let (a, b) = (SessionId::generate(), SessionId::generate());
        let batch = collect(vec![
            record(a, 1),
            Effect::Over(a),
            record(b, 1),
            record(a, 2),
            Effect::Over(b),
        ]);
        let stored: BTreeMap<_, _> =
            batch.records.iter().map(|record| (record.intent.session, record.floor)).collect();
        assert_eq!(stored, BTreeMap::from([(a, Attempt(2)), (b, Attempt(1))]));
        assert!(matches!(batch.behind[..], [Effect::Over(x), Effect::Over(y)] if x == a && y == b));
    }

    #[test]
    fn what_comes_last_decides_whether_a_session_is_stored_or_forgotten() {
        let a = SessionId::generate();
        let batch = collect(vec![record(a, 1), Effect::Forget(a)]);
        assert!(batch.records.is_empty() && batch.forgotten == [a]);
        let batch = collect(vec![Effect::Forget(a), record(a, 1)]);
        assert!(batch.records.len() == 1 && batch.forgotten.is_empty());
    }
}
