//! The runner actor: drives one attempt's engine, from its launch to its outcome.

use crate::cpu::{CpuPool, Lane};
use crate::link::Outgoing;
use crate::peer_rooms::Delivered;
use crate::policy::FIRST_EPOCH;
use crate::seal::{Channels, SealError};
use crate::vault::{AuxRecord, ShareRecord, Vault, VaultError};
use actix::prelude::*;
use mpc_engine::{Engine, EngineFailure, Job, Product, RunContext, Step, Task, engine};
use mpc_pending::Launch;
use mpc_wire::limits::bounded_detail;
use mpc_wire::{
    Attempt, AttemptFailure, AttemptOutcome, AttemptPlan, EpochKey, EpochPlan, FailureKind, Intent,
    IntentKind, PartyId, Payload, RoundHeader, Seq, SessionId, ToCoordinator,
};
use std::collections::BTreeSet;
use tokio::sync::OwnedSemaphorePermit;

/// Deliveries that may wait for a runner: more than all messages of an attempt among
/// [`mpc_wire::limits::MAX_PARTIES`].
const MAILBOX: usize = 512;

/// What the pending actor tells a runner.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub enum RunnerCommand {
    /// Round messages, in the order of each sender.
    Deliver(Vec<Delivered>),
    /// The attempt is dead.
    Kill,
}

/// A runner has ended.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct RunnerEnded {
    /// The session.
    pub session: SessionId,
    /// The attempt.
    pub attempt: Attempt,
    /// How.
    pub outcome: AttemptOutcome,
}

/// The pending actor's hold on a runner.
#[derive(Debug, Clone)]
pub struct RunnerHandle(Recipient<RunnerCommand>);

impl RunnerHandle {
    /// Holds the runner behind `recipient`.
    pub fn new(recipient: Recipient<RunnerCommand>) -> Self {
        Self(recipient)
    }

    /// Hands a command over. False if the runner is there and has no room for it.
    #[must_use]
    pub(crate) fn command(&self, command: RunnerCommand) -> bool {
        match self.0.try_send(command) {
            // One that is gone has said so, or its guard has.
            Ok(()) | Err(SendError::Closed(_)) => true,
            Err(SendError::Full(_)) => false,
        }
    }
}

/// Starts runners: the factory behind every launch.
pub trait Runners: 'static {
    /// Starts the runner of a launched attempt. It sends through `link` and reports to `ended`.
    fn start(
        &self,
        launch: Launch,
        link: Recipient<Outgoing>,
        ended: Recipient<RunnerEnded>,
    ) -> RunnerHandle;
}

/// Starts runners that drive the real engines.
#[derive(Debug, Clone)]
pub struct EngineRunners {
    vault: Vault,
    cpu: CpuPool,
}

impl EngineRunners {
    /// Runners that take shares from the vault and run their jobs in the pool.
    pub fn new(vault: Vault, cpu: CpuPool) -> Self {
        Self { vault, cpu }
    }
}

impl Runners for EngineRunners {
    fn start(
        &self,
        launch: Launch,
        link: Recipient<Outgoing>,
        ended: Recipient<RunnerEnded>,
    ) -> RunnerHandle {
        let (session, attempt) = (launch.plan.session, launch.plan.attempt);
        let runner = Runner {
            vault: self.vault.clone(),
            cpu: self.cpu.clone(),
            launch,
            link,
            report: Some(Report { session, attempt, ended }),
            work: None,
        };
        RunnerHandle(runner.start().recipient())
    }
}

/// The actor.
struct Runner {
    vault: Vault,
    cpu: CpuPool,
    launch: Launch,
    link: Recipient<Outgoing>,
    /// Gone once the outcome is told.
    report: Option<Report>,
    /// There once the shares are loaded.
    work: Option<Work>,
}

struct Work {
    engine: Box<dyn Engine>,
    channels: Channels,
    /// The room of all parts of payloads but the last ones.
    gathered: Vec<OwnedSemaphorePermit>,
}

/// The duty to report: if the runner dies without an outcome, its end reports that.
struct Report {
    session: SessionId,
    attempt: Attempt,
    ended: Recipient<RunnerEnded>,
}

impl Report {
    fn ended(&self, outcome: AttemptOutcome) -> RunnerEnded {
        RunnerEnded { session: self.session, attempt: self.attempt, outcome }
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        let Some(report) = self.report.take() else { return };
        let outcome = AttemptOutcome::Failed(AttemptFailure {
            kind: FailureKind::Panicked,
            guilty: BTreeSet::new(),
            detail: "the attempt's runner died".into(),
        });
        if let Err(error) = report.ended.try_send(report.ended(outcome)) {
            tracing::error!(session = %report.session, %error, "a runner's death went unreported");
        }
    }
}

impl Actor for Runner {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
        let prepare = prepare(self.vault.clone(), self.launch.clone());
        ctx.wait(prepare.into_actor(self).map(|work, runner, ctx| match work {
            Ok(work) => {
                let steps = runner.work.insert(work).engine.start();
                runner.perform(steps, ctx);
            }
            Err(failure) => runner.end(AttemptOutcome::Failed(failure), ctx),
        }));
    }
}

impl Handler<RunnerCommand> for Runner {
    type Result = ();

    fn handle(&mut self, command: RunnerCommand, ctx: &mut Self::Context) {
        match command {
            RunnerCommand::Deliver(messages) => {
                messages.into_iter().for_each(|message| self.receive(message, ctx));
            }
            RunnerCommand::Kill => {
                self.report = None;
                ctx.stop();
            }
        }
    }
}

impl Runner {
    fn receive(&mut self, Delivered { envelope, room }: Delivered, ctx: &mut Context<Self>) {
        let Some(work) = &mut self.work else { return };
        let RoundHeader { from, stage, round, .. } = envelope.header;
        match work.channels.open(&envelope) {
            Ok(Some(payload)) => {
                let steps = work.engine.receive(from, stage, round, payload);
                self.perform(steps, ctx);
            }
            // More of it is to come. Only the last rounds of an attempt have such payloads: they
            // keep their room until its end.
            Ok(None) => work.gathered.push(room),
            Err(error @ SealError::BadPart) => {
                let guilty = BTreeSet::from([from]);
                let detail = error.to_string();
                let failure = AttemptFailure { kind: FailureKind::PeerMisbehaved, guilty, detail };
                self.end(AttemptOutcome::Failed(failure), ctx);
            }
            // Whoever altered it, the sender need not be to blame.
            Err(
                error @ (SealError::NoChannel
                | SealError::BadKey
                | SealError::DoesNotOpen
                | SealError::TooLong(_)),
            ) => self.fail(FailureKind::Transport, error.to_string(), ctx),
        }
    }

    fn perform(&mut self, steps: Vec<Step>, ctx: &mut Context<Self>) {
        for step in steps {
            match step {
                Step::Send { to, stage, round, payload } => {
                    let header = self.header(to, stage, round);
                    if let Err(detail) = self.send_round(header, &payload) {
                        self.fail(FailureKind::Transport, detail, ctx);
                        return;
                    }
                }
                Step::Work(job) => self.submit(job, ctx),
                Step::Waiting { stage, round, waiting_for } => {
                    let AttemptPlan { session, attempt, .. } = self.launch.plan;
                    let progress =
                        ToCoordinator::Progress { session, attempt, stage, round, waiting_for };
                    // Progress is for people to see: losing one costs nothing.
                    if let Err(error) = self.link.try_send(Outgoing(progress)) {
                        tracing::debug!(%session, %error, "progress not sent");
                    }
                }
                Step::Finished(Ok(product)) => self.conclude(product, ctx),
                Step::Finished(Err(failure)) => {
                    let EngineFailure { kind, guilty, detail } = failure;
                    let failure = AttemptFailure { kind, guilty, detail };
                    self.end(AttemptOutcome::Failed(failure), ctx);
                }
            }
        }
    }

    fn header(&self, to: PartyId, stage: mpc_wire::Stage, round: mpc_wire::Round) -> RoundHeader {
        let AttemptPlan { session, attempt, .. } = self.launch.plan;
        let from = self.vault.party();
        RoundHeader { session, attempt, from, to, stage, round, seq: Seq::default() }
    }

    fn send_round(&mut self, header: RoundHeader, payload: &[u8]) -> Result<(), String> {
        let work = self.work.as_mut().ok_or("the runner is not ready")?;
        for envelope in work.channels.seal(header, payload).map_err(|e| e.to_string())? {
            let message = Outgoing(ToCoordinator::Round(envelope));
            self.link.try_send(message).map_err(|e| e.to_string())?;
        }
        Ok(())
    }

    fn submit(&mut self, job: Job, ctx: &mut Context<Self>) {
        match self.cpu.submit(lane(&self.launch.intent.kind), job) {
            Ok(done) => {
                ctx.spawn(done.into_actor(self).map(|done, runner, ctx| {
                    match (done, &mut runner.work) {
                        (Ok(done), Some(work)) => {
                            let steps = work.engine.complete(done);
                            runner.perform(steps, ctx);
                        }
                        (Ok(_), None) => {}
                        (Err(_), _) => {
                            let detail = "the CPU pool dropped a job".to_owned();
                            runner.fail(FailureKind::Internal, detail, ctx);
                        }
                    }
                }));
            }
            Err(full) => self.fail(FailureKind::Internal, full.to_string(), ctx),
        }
    }

    /// Stores what was made, then reports it: an outcome is a promise that it is there.
    fn conclude(&mut self, product: Product, ctx: &mut Context<Self>) {
        let store = store(self.vault.clone(), self.launch.clone(), product);
        ctx.wait(store.into_actor(self).map(|stored, runner, ctx| match stored {
            Ok(outcome) => runner.end(outcome, ctx),
            Err(error) => runner.fail(FailureKind::Storage, error.to_string(), ctx),
        }));
    }

    fn fail(&mut self, kind: FailureKind, detail: String, ctx: &mut Context<Self>) {
        let detail = bounded_detail(detail);
        let failure = AttemptFailure { kind, guilty: BTreeSet::new(), detail };
        self.end(AttemptOutcome::Failed(failure), ctx);
    }

    fn end(&mut self, outcome: AttemptOutcome, ctx: &mut Context<Self>) {
        let Some(report) = self.report.take() else { return };
        self.work = None;
        let message = report.ended(outcome);
        let tell = async move { report.ended.send(message).await };
        ctx.wait(tell.into_actor(self).map(|told, _, ctx| {
            if let Err(error) = told {
                tracing::warn!(%error, "nobody is there to take a runner's outcome");
            }
            ctx.stop();
        }));
    }
}

fn lane(kind: &IntentKind) -> Lane {
    match kind {
        IntentKind::Sign { .. } | IntentKind::Keygen { .. } => Lane::Interactive,
        IntentKind::Aux { .. }
        | IntentKind::Refresh { .. }
        | IntentKind::Reshare { .. }
        | IntentKind::Replace { .. } => Lane::Background,
    }
}

/// Loads what the attempt needs and makes its engine.
async fn prepare(vault: Vault, launch: Launch) -> Result<Work, AttemptFailure> {
    let Launch { intent, plan, joins, secret } = launch;
    let plan_hash = plan.hash();
    let channels = Channels::new(vault.party(), &secret, plan_hash, &joins)
        .map_err(|error: SealError| failure(FailureKind::Transport, error.to_string()))?;
    let task = task(&vault, &intent, &plan).await?;
    // If the key was rotated since the join, the engine says so: the next attempt has the new one.
    let context = RunContext { identity: vault.identity(), plan_hash, joins };
    let engine = engine(intent.kind.scheme(), task, context).map_err(
        |EngineFailure { kind, guilty, detail }| AttemptFailure { kind, guilty, detail },
    )?;
    Ok(Work { engine, channels, gathered: Vec::new() })
}

async fn task(vault: &Vault, intent: &Intent, plan: &AttemptPlan) -> Result<Task, AttemptFailure> {
    match &intent.kind {
        IntentKind::Keygen { threshold, .. } => Ok(Task::Keygen { threshold: *threshold }),
        IntentKind::Aux { .. } => Ok(Task::Aux),
        IntentKind::Sign { account, epoch, scheme, public_key, payload, .. } => {
            // Once more: since the intent was judged the account may have moved on.
            if vault.floor(*account).await.map_err(storage)?.is_some_and(|floor| *epoch < floor) {
                let detail = "the share is older than the account's epoch";
                return Err(failure(FailureKind::Storage, detail.into()));
            }
            let share = match payload {
                Payload::Canary { plan } => {
                    vault
                        .share_of(EpochPlan { account: *account, epoch: *epoch, plan: *plan })
                        .await
                }
                Payload::Digest(_) | Payload::Bytes { .. } | Payload::Message(_) => {
                    vault.share(*account, *epoch).await
                }
            };
            let share = share
                .map_err(storage)?
                .ok_or_else(|| failure(FailureKind::Storage, "no share of the account".into()))?;
            let lacks = |what: &str| failure(FailureKind::Storage, what.into());
            let aux = if scheme.needs_aux() {
                let aux_id = plan.aux_id.ok_or_else(|| lacks("the plan names no aux set"))?;
                let aux = vault.aux(aux_id).await.map_err(storage)?;
                Some(aux.ok_or_else(|| lacks("no part of the aux set"))?.secret)
            } else {
                None
            };
            // For a canary the account's key is the one of this party's own records.
            let key = match payload {
                Payload::Canary { .. } => &share.public_key,
                Payload::Digest(_) | Payload::Bytes { .. } | Payload::Message(_) => public_key,
            };
            Ok(Task::Sign {
                message: payload.message(*account, *epoch, key),
                share: share.share,
                aux,
                public_key: public_key.clone(),
            })
        }
        IntentKind::Refresh { .. } | IntentKind::Reshare { .. } | IntentKind::Replace { .. } => {
            Err(failure(FailureKind::Internal, "this kind of session is not supported".into()))
        }
    }
}

/// Stores a product and says what is to be reported of it.
async fn store(
    vault: Vault,
    launch: Launch,
    product: Product,
) -> Result<AttemptOutcome, VaultError> {
    let Launch { intent, plan, .. } = launch;
    match (product, &intent.kind) {
        (
            Product::Keygen { share, public_key, public_shares },
            IntentKind::Keygen { account, scheme, threshold },
        ) => {
            let EpochKey { shares, .. } = EpochKey::new(public_key.clone(), &public_shares);
            let record = ShareRecord {
                session: plan.session,
                plan: plan.hash(),
                scheme: *scheme,
                threshold: *threshold,
                holders: plan.quorum,
                public_key: public_key.clone(),
                public_shares: shares,
                share,
            };
            let (account, epoch) = (*account, FIRST_EPOCH);
            let stored = vault.prepare_share(account, epoch, &record).await?;
            Ok(AttemptOutcome::Keygen { public_key, epoch, public_shares, stored })
        }
        (Product::Aux { aux_id, secret }, kind) => {
            let record = AuxRecord { scheme: kind.scheme(), parties: plan.quorum, secret };
            vault.store_aux(aux_id, &record).await?;
            Ok(AttemptOutcome::Aux { aux_id })
        }
        (
            Product::Signature(signature),
            IntentKind::Sign { account, epoch, payload: Payload::Canary { plan }, .. },
        ) => {
            let of = EpochPlan { account: *account, epoch: *epoch, plan: *plan };
            let proven = vault.prove_share(of).await?;
            Ok(AttemptOutcome::Proven { signature, proven })
        }
        (Product::Signature(signature), _) => Ok(AttemptOutcome::Signed(signature)),
        (Product::Keygen { .. }, _) => Ok(AttemptOutcome::Failed(failure(
            FailureKind::Internal,
            "the engine made a key that nobody asked for".into(),
        ))),
    }
}

fn storage(error: VaultError) -> AttemptFailure {
    failure(FailureKind::Storage, error.to_string())
}

fn failure(kind: FailureKind, detail: String) -> AttemptFailure {
    AttemptFailure { kind, guilty: BTreeSet::new(), detail: bounded_detail(detail) }
}

#[cfg(test)]
mod tests;
