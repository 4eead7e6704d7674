//! The pending actor: a thin shell around [`mpc_pending::Pending`]. It decodes, calls the machine
//! and performs its effects in their order; what must be durable first is stored first.

mod asking;
mod delivering;
mod draining;
mod epochs;
mod hearing;
mod judging;
mod peers;
mod requesting;
mod rotating;
mod running;

use judging::Judging;

pub(crate) use asking::Command;
pub(crate) use draining::Drain;
pub(crate) use hearing::FromCoordinator;
pub(crate) use requesting::{Caller, Request};
pub use rotating::NEW_BACKUP_NEEDED;
pub(crate) use rotating::RotateIdentity;
use running::{kill, log_loss};

use crate::audit::{self, Auditor, Witness};
use crate::bans;
use crate::link::{Outgoing, Reconnect};
use crate::peer_keys::{self, PeerKeys};
use crate::peer_rooms::PeerRooms;
use crate::policy::LivePolicy;
use crate::policy::desk::Desk;
use crate::policy::gate::{Gate, wall_clock};
use crate::quarantine::{Quarantine, Restoration};
use crate::runner::{RunnerHandle, Runners};
use crate::seal::FreshJoiner;
use crate::supervisor::DeathNotice;
use crate::vault::{Vault, VaultError};
use actix::prelude::*;
use mpc_pending::reminders::{REMINDER, Reminders};
use mpc_pending::{Batch, Delivery, Effect, Event, Now, Pending};
use mpc_wire::{
    Attempt, AttemptOutcome, Nonce, PartyId, ProvenKey, SessionId, SignedBan, ToCoordinator,
    UnixMillis,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::Notify;

/// Messages that may wait for this actor: the rounds of some hundred attempts at once.
const MAILBOX: usize = 1024;

/// How often the machine looks for what has expired, and how long heads of audit logs wait for
/// something else to be sent or stored with. No session depends on it.
const TICK: Duration = Duration::from_secs(1);

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

/// The actor.
pub(crate) struct PendingActor {
    vault: Vault,
    gate: Gate,
    judging: Judging,
    desk: Desk,
    /// Whom the party never works with, as its vault has it.
    banned: BTreeSet<PartyId>,
    peer_keys: PeerKeys,
    quarantine: Quarantine,
    /// The nonces of the questions to which an answer may come.
    asked: BTreeSet<Nonce>,
    /// Which of the questions each peer has answered.
    answered: BTreeSet<(Nonce, PartyId)>,
    /// Peers whose words are being worked on.
    attended: BTreeSet<PartyId>,
    /// With whom the party holds shares of accounts, as of `fellows_known`.
    fellows: BTreeSet<PartyId>,
    fellows_known: Option<Instant>,
    epochs: epochs::Epochs,
    machine: Pending,
    /// Round messages that are on their way.
    delivery: Delivery,
    /// What each runner has said last of where it stands.
    standings: BTreeMap<SessionId, ToCoordinator>,
    reminders: Reminders,
    joiner: FreshJoiner,
    runners: Rc<dyn Runners>,
    running: BTreeMap<(SessionId, Attempt), RunnerHandle>,
    rooms: PeerRooms,
    callers: BTreeMap<SessionId, Caller>,
    link: Option<LinkHandle>,
    /// Effects whose turn has not come: everything behind a record that is being stored.
    waiting: VecDeque<Effect>,
    storing: Option<SpawnHandle>,
    auditor: Auditor,
    /// Told once nothing is under way; there if the party is to stop.
    draining: Option<Rc<Notify>>,
    started: Instant,
    _death_notice: DeathNotice,
}

impl PendingActor {
    pub(crate) fn new(
        vault: Vault,
        policy: LivePolicy,
        runners: Rc<dyn Runners>,
        death_notice: DeathNotice,
    ) -> Self {
        let quarantine = Quarantine::default();
        Self {
            machine: Pending::new(vault.party()),
            delivery: Delivery::new(vault.party()),
            standings: BTreeMap::new(),
            reminders: Reminders::default(),
            joiner: FreshJoiner::new(vault.identity()),
            gate: Gate::new(vault.clone(), policy, quarantine.clone()),
            quarantine,
            judging: Judging::new(),
            asked: BTreeSet::new(),
            answered: BTreeSet::new(),
            attended: BTreeSet::new(),
            fellows: BTreeSet::new(),
            fellows_known: None,
            epochs: epochs::Epochs::default(),
            desk: Desk::default(),
            banned: BTreeSet::new(),
            peer_keys: PeerKeys::default(),
            vault,
            runners,
            running: BTreeMap::new(),
            rooms: PeerRooms::default(),
            callers: BTreeMap::new(),
            link: None,
            waiting: VecDeque::new(),
            storing: None,
            auditor: Auditor::default(),
            draining: None,
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
        while !self.auditor.must_store()
            && let Some(effect) = self.waiting.pop_front()
        {
            if matches!(effect, Effect::Persist(_) | Effect::Forget(_))
                || self.auditor.journal.concerns(&effect)
            {
                self.waiting.push_front(effect);
                break;
            }
            self.perform(effect, ctx);
        }
        if self.waiting.is_empty() && !self.auditor.must_store() {
            self.tell_if_drained();
            return;
        }
        let entered = self.auditor.take(&self.waiting);
        let Batch { records, forgotten, behind } =
            Batch::collect(std::mem::take(&mut self.waiting));
        let vault = self.vault.clone();
        let news = self.peer_keys.news(behind.iter().filter_map(|effect| {
            let Effect::Launch(launch) = effect else { return None };
            Some(&**launch)
        }));
        let store = async move {
            peer_keys::store(&vault, &news).await?;
            audit::store(&vault, &records, &forgotten, entered).await?;
            Ok((behind, news))
        };
        self.storing = Some(ctx.spawn(store.into_actor(self).map(Self::stored)));
    }

    fn stored(result: Result<Stored, VaultError>, actor: &mut Self, ctx: &mut Context<Self>) {
        actor.storing = None;
        match result {
            Ok((effects, news)) => {
                actor.peer_keys.learn(news);
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
                tracing::debug!(session = %intent.session, "requesting a session");
                self.send(ToCoordinator::RequestSession { intent: *intent });
            }
            Effect::Ask(intent) => self.judging.judge(*intent, ctx),
            Effect::SendJoin { session, attempt, join } => {
                self.show_head();
                self.send(ToCoordinator::Join { session, attempt, join: *join });
            }
            Effect::SendDecline { session, attempt, reason } => {
                tracing::info!(%session, %attempt, %reason, "declined");
                self.show_head();
                self.send(ToCoordinator::Decline { session, attempt, reason });
            }
            Effect::SendAwaitingApproval { session, attempt } => {
                tracing::debug!(%session, %attempt, "waits for a person's approval");
                self.send(ToCoordinator::AwaitingApproval { session, attempt });
            }
            Effect::Object { session, attempt, objection } => {
                let party = self.vault.party();
                tracing::warn!(%party, %session, %attempt, %objection, "objected");
                self.show_head();
                self.send(ToCoordinator::Objected { session, attempt, objection });
            }
            Effect::Launch(launch) => self.launch(*launch, ctx),
            Effect::Kill { session, attempt } => {
                self.delivery.over(session);
                self.standings.remove(&session);
                if let Some(runner) = self.running.remove(&(session, attempt)) {
                    kill(&runner, session);
                }
            }
            Effect::Deliver { session, attempt, messages } => {
                self.delivery.delivered(&messages, self.now());
                self.deliver(session, attempt, messages, ctx);
            }
            Effect::Refuse(header) => {
                tracing::warn!(session = %header.session, from = %header.from, "no room for a round message");
                self.send(ToCoordinator::RoundRefused { header });
            }
            Effect::Report { session, attempt, outcome } => {
                self.report(session, attempt, *outcome);
            }
            Effect::Over(session) => {
                self.delivery.over(session);
                self.standings.remove(&session);
                self.callers.remove(&session);
                self.desk.over(session, wall_clock());
            }
            Effect::Drop { session, cause } => {
                tracing::debug!(%session, ?cause, "nothing to do, skipped");
            }
        }
    }

    /// Shows the coordinator where the party's log stands, unless it was shown that before. It covers
    /// what is about to be said, so the entry of that cannot be taken away unnoticed.
    fn show_head(&mut self) {
        if self.link.is_some()
            && let Some(head) = self.auditor.show(&self.vault)
        {
            self.send(ToCoordinator::AuditHead(head));
        }
    }

    /// Looks for what has expired, and shows and stores heads that nothing else has taken along.
    fn tick(&mut self, ctx: &mut Context<Self>) {
        self.show_head();
        self.auditor.waited();
        self.apply(Event::Tick, ctx);
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

    fn report(&mut self, session: SessionId, attempt: Attempt, outcome: AttemptOutcome) {
        let is_product = !matches!(outcome, AttemptOutcome::Failed(_));
        if is_product && let Some(caller) = self.callers.remove(&session) {
            caller.tell(session, outcome.clone());
        }
        self.show_head();
        self.send(ToCoordinator::Outcome { session, attempt, outcome });
    }
}

/// What the actor begins with, beside its sessions.
struct OwnRecords {
    witness: Witness,
    bans: Vec<SignedBan>,
    peer_keys: PeerKeys,
    restoration: Option<Restoration>,
}

impl Actor for PendingActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
        ctx.run_interval(TICK, Self::tick);
        ctx.run_interval(delivering::PULSE, |actor, _| actor.dispatch_due());
        ctx.run_interval(Duration::from_millis(REMINDER), Self::say_again);
        ctx.run_interval(peers::INQUIRY_PAUSE, |actor, ctx| {
            actor.inquire();
            actor.remind(ctx);
        });
        self.judging.start(self.gate.clone(), ctx);
        let vault = self.vault.clone();
        let life = self.gate.policy().current().authorization_life();
        let restore = async move {
            vault.raise_authorization_life(life).await?;
            let own = OwnRecords {
                witness: Witness::load(vault.database()).await?,
                bans: bans::own(&vault).await?,
                peer_keys: PeerKeys::load(&vault).await?,
                restoration: crate::peers::restoration(&vault).await?,
            };
            Ok((own, vault.sessions().await?))
        };
        // Nothing else is looked at before the stored sessions are back.
        ctx.wait(restore.into_actor(self).map(|restored, actor, ctx| match restored {
            Ok((own, records)) => {
                let OwnRecords { witness, bans, peer_keys, restoration } = own;
                actor.banned = bans::banned(&bans);
                actor.peer_keys = peer_keys;
                actor.quarantine.set(restoration);
                actor.auditor.restore(witness, &records);
                records.iter().for_each(log_loss);
                let policy = actor.gate.policy().current();
                actor.auditor.enter(audit::notes::started(policy.version()));
                actor.apply(Event::Restored(records), ctx);
            }
            Err(error) => actor.give_up(&error, ctx),
        }));
    }
}

impl Drop for PendingActor {
    fn drop(&mut self) {
        self.running.iter().for_each(|((session, _), runner)| kill(runner, *session));
    }
}

/// The effects behind a commit, and the peers' keys that it has made durable.
type Stored = (Vec<Effect>, BTreeMap<PartyId, ProvenKey>);

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
