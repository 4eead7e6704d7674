//! The driver of one protocol: a state machine around a manul session.
//!
//! Steps of the protocol are numbered from 1, and every transition of the session counts, so an
//! echo round is a step of its own. Members may part in a step (signing has error rounds beside its
//! last one); the step's number is the same for all of them and manul sees the rounds' own ids.

use super::guard::Guard;
use super::message::{Processed, Rules, Siblings, compose, process, report_failure};
use super::session::{Accumulator, ProtocolOf, Running, Verifier, local_failure};
use crate::attempt::Turn;
use crate::engine::{Keys, RunContext, Step};
use crate::failure::EngineFailure;
use crate::job::{Done, Job};
use manul::session::{CanFinalize, RoundOutcome, SessionOutcome};
use mpc_wire::{PartyId, Round, Stage};
use rand_core_06::OsRng;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use zeroize::Zeroizing;

/// How many steps a peer can honestly be ahead. Every step needs something from everybody, so it
/// is one; before our session has opened it is two, since a new holder speaks only in the second
/// step of a resharing. One message is kept for each peer and step, hence also the buffer's bound.
const MAX_LEAD: u16 = 2;

/// Sorts before every party.
const LOWEST: PartyId = PartyId::new([0; 32]);

/// Opens the session and makes its guard, in a job.
pub(crate) type Open<P> = Box<dyn FnOnce() -> Result<(Running<P>, Guard), EngineFailure> + Send>;

/// Makes the stage's result of the protocol's, in the job that finalizes the last round.
pub(crate) type Conclude<P, T> = Arc<
    dyn Fn(<P as manul::protocol::Protocol<Verifier>>::Result) -> Result<T, EngineFailure>
        + Send
        + Sync,
>;

/// Who takes part in a stage.
pub(crate) struct Cast {
    pub(crate) stage: Stage,
    /// Everybody else in the stage.
    pub(crate) peers: BTreeSet<PartyId>,
    /// Who speaks to us in the first step. In later steps it is whoever we speak to.
    pub(crate) first_speakers: BTreeSet<PartyId>,
    pub(crate) siblings: Siblings,
    /// What the members of the attempt sign with.
    pub(crate) keys: Arc<Keys>,
}

impl Cast {
    /// A stage where everybody speaks to everybody in each step.
    pub(crate) fn symmetric(
        stage: Stage,
        members: &BTreeSet<PartyId>,
        context: &RunContext,
    ) -> Self {
        let me = context.me();
        let peers: BTreeSet<PartyId> =
            members.iter().copied().filter(|member| *member != me).collect();
        let keys = Arc::new(context.keys());
        Self { stage, first_speakers: peers.clone(), peers, siblings: Siblings::NONE, keys }
    }
}

/// One stage's protocol, from before its session opens to its result.
pub(crate) struct Rounds<P: ProtocolOf, T> {
    cast: Cast,
    /// The step that began last; 0 before the first.
    round: Round,
    state: State<P>,
    /// Messages of steps to come.
    early: BTreeMap<(Round, PartyId), Zeroizing<Vec<u8>>>,
    conclude: Option<Conclude<P, T>>,
    /// There once the session is open: no message is looked at before.
    guard: Option<Arc<Guard>>,
}

enum State<P: ProtocolOf> {
    /// No session: not opened yet, or a job is making the next one.
    Between,
    /// A step is under way.
    InRound(InRound<P>),
}

struct InRound<P: ProtocolOf> {
    session: Arc<Running<P>>,
    accumulator: Arc<Mutex<Accumulator<P>>>,
    guard: Arc<Guard>,
    waiting_for: BTreeSet<PartyId>,
    jobs_out: usize,
    /// Why the step has failed, if that is clear before it is clear who is to blame.
    unclear: Option<&'static str>,
}

/// What a job of this driver brings back.
enum Outcome<P: ProtocolOf, T> {
    Opened(Box<(Running<P>, Guard)>),
    Advanced(Box<Running<P>>),
    Composed { to: PartyId, payload: Vec<u8> },
    Processed(Processed),
    Concluded(T),
}

type Brought<P, T> = Result<Outcome<P, T>, EngineFailure>;

impl<P: ProtocolOf, T: Send + 'static> Rounds<P, T> {
    pub(crate) fn new(cast: Cast) -> Self {
        Self {
            cast,
            round: Round(0),
            state: State::Between,
            early: BTreeMap::new(),
            conclude: None,
            guard: None,
        }
    }

    /// Opens the session. Called once.
    pub(crate) fn open(&mut self, open: Open<P>, conclude: Conclude<P, T>) -> Vec<Step> {
        self.conclude = Some(conclude);
        let job = Job::new("opening a session", move || -> Brought<P, T> {
            open().map(|opened| Outcome::Opened(Box::new(opened)))
        });
        vec![Step::Work(job)]
    }

    /// Takes a message of this stage: now, later if it is of a step to come, or not at all.
    pub(crate) fn receive(
        &mut self,
        from: PartyId,
        round: Round,
        payload: Vec<u8>,
    ) -> Result<Vec<Step>, EngineFailure> {
        let payload = Zeroizing::new(payload);
        let refuse = |why: &str| Err(EngineFailure::misbehaved(from, why));
        if !self.cast.peers.contains(&from) {
            return refuse("a message from a party that has no part in the stage");
        }
        if round.0 > self.round.0.saturating_add(MAX_LEAD) {
            return refuse("a message from further ahead than the protocol allows");
        }
        if round > self.round {
            return match self.early.insert((round, from), payload) {
                None => Ok(Vec::new()),
                Some(_) => refuse("a second message for one round"),
            };
        }
        match &mut self.state {
            State::InRound(current) if round == self.round => {
                if !current.waiting_for.remove(&from) {
                    return refuse("a message that its round does not expect, or a second one");
                }
                let mut steps = vec![current.process::<T>(from, payload, &self.cast)];
                steps.extend(self.waiting());
                Ok(steps)
            }
            State::InRound(_) | State::Between => refuse("a message for a round that is over"),
        }
    }

    /// Takes back a job.
    pub(crate) fn complete(&mut self, done: Done) -> Result<Turn<T>, EngineFailure> {
        let mut steps = match done.take::<Brought<P, T>>()?? {
            Outcome::Opened(opened) => {
                let (session, guard) = *opened;
                self.guard = Some(Arc::new(guard));
                self.enter(session)?
            }
            Outcome::Advanced(session) => self.enter(*session)?,
            Outcome::Composed { to, payload } => {
                self.job_is_back()?;
                vec![Step::Send { to, stage: self.cast.stage, round: self.round, payload }]
            }
            Outcome::Processed(processed) => {
                let current = self.job_is_back()?;
                if let Processed::Unclear(why) = processed {
                    current.unclear = Some(why);
                }
                Vec::new()
            }
            Outcome::Concluded(result) => return Ok(Turn::result(result)),
        };
        steps.extend(self.finalize_if_ready()?);
        Ok(Turn::steps(steps))
    }

    /// Begins the step that `session` has reached.
    fn enter(&mut self, session: Running<P>) -> Result<Vec<Step>, EngineFailure> {
        self.round = Round(self.round.0.saturating_add(1));
        tracing::debug!(stage = self.cast.stage.0, round = self.round.0, "round begins");
        let destinations: BTreeSet<PartyId> =
            session.message_destinations().iter().map(|verifier| verifier.0).collect();
        let first = self.round == Round(1);
        let waiting_for =
            if first { self.cast.first_speakers.clone() } else { destinations.clone() };
        let accumulator = Arc::new(Mutex::new(session.make_accumulator()));
        let session = Arc::new(session);
        let guard = self.guard.clone();
        let guard = guard.ok_or_else(|| EngineFailure::internal("a round without a guard"))?;
        let mut current =
            InRound { session, accumulator, guard, waiting_for, jobs_out: 0, unclear: None };

        let mut steps: Vec<Step> =
            destinations.into_iter().map(|to| current.compose::<T>(to)).collect();
        let later = self.early.split_off(&(Round(self.round.0.saturating_add(1)), LOWEST));
        for ((_, from), payload) in std::mem::replace(&mut self.early, later) {
            if !current.waiting_for.remove(&from) {
                return Err(EngineFailure::misbehaved(
                    from,
                    "a message that its round does not expect",
                ));
            }
            steps.push(current.process::<T>(from, payload, &self.cast));
        }
        self.state = State::InRound(current);
        steps.extend(self.waiting());
        Ok(steps)
    }

    fn waiting(&self) -> Option<Step> {
        match &self.state {
            State::InRound(current) if !current.waiting_for.is_empty() => Some(Step::Waiting {
                stage: self.cast.stage,
                round: self.round,
                waiting_for: current.waiting_for.clone(),
            }),
            State::InRound(_) | State::Between => None,
        }
    }

    fn job_is_back(&mut self) -> Result<&mut InRound<P>, EngineFailure> {
        match &mut self.state {
            State::InRound(current) => {
                current.jobs_out = current.jobs_out.saturating_sub(1);
                Ok(current)
            }
            State::Between => Err(EngineFailure::internal("a job came back to no round")),
        }
    }

    /// Ends the step once everybody has spoken and every job is back.
    fn finalize_if_ready(&mut self) -> Result<Option<Step>, EngineFailure> {
        match std::mem::replace(&mut self.state, State::Between) {
            State::InRound(current) if current.jobs_out == 0 && current.waiting_for.is_empty() => {
                let conclude = self
                    .conclude
                    .clone()
                    .ok_or_else(|| EngineFailure::internal("a session that was never opened"))?;
                let job = Job::new("finalizing a round", move || current.finalize(&conclude));
                Ok(Some(Step::Work(job)))
            }
            state @ (State::InRound(_) | State::Between) => {
                self.state = state;
                Ok(None)
            }
        }
    }
}

impl<P: ProtocolOf> InRound<P> {
    fn compose<T: Send + 'static>(&mut self, to: PartyId) -> Step {
        self.jobs_out += 1;
        let (session, accumulator) = (Arc::clone(&self.session), Arc::clone(&self.accumulator));
        let guard = Arc::clone(&self.guard);
        // What is composed for one member depends on its values and ours, on nobody else's.
        Step::Work(Job::on_values_of(to, "composing a message", move || -> Brought<P, T> {
            compose(&session, &accumulator, &guard, to)
                .map(|payload| Outcome::Composed { to, payload })
        }))
    }

    fn process<T: Send + 'static>(
        &mut self,
        from: PartyId,
        payload: Zeroizing<Vec<u8>>,
        cast: &Cast,
    ) -> Step {
        self.jobs_out += 1;
        let (session, accumulator) = (Arc::clone(&self.session), Arc::clone(&self.accumulator));
        let guard = Arc::clone(&self.guard);
        let (siblings, keys) = (cast.siblings, Arc::clone(&cast.keys));
        Step::Work(Job::on_values_of(from, "processing a message", move || -> Brought<P, T> {
            let rules = Rules { guard: &guard, siblings, keys: &keys };
            process(&session, &accumulator, rules, from, &payload).map(Outcome::Processed)
        }))
    }

    /// Leaves the step: to the next one, to the result or to a failure. CPU-heavy: for jobs.
    fn finalize<T>(self, conclude: &Conclude<P, T>) -> Brought<P, T> {
        let still_shared = || EngineFailure::internal("a round ended with a job still out");
        let session = Arc::into_inner(self.session).ok_or_else(still_shared)?;
        let accumulator = Arc::into_inner(self.accumulator)
            .ok_or_else(still_shared)?
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        if self.unclear.is_some() {
            let report = session.terminate(accumulator).map_err(local_failure)?;
            return Err(report_failure(&report, self.unclear));
        }
        match session.can_finalize(&accumulator) {
            CanFinalize::Yes => self.guard.check_round(&session.round_id())?,
            CanFinalize::Never => {
                let report = session.terminate_due_to_errors(accumulator).map_err(local_failure)?;
                return Err(report_failure(&report, None));
            }
            CanFinalize::NotYet => {
                return Err(EngineFailure::internal("a round misses messages that nobody owes"));
            }
        }
        match session.finalize_round(&mut OsRng, accumulator).map_err(local_failure)? {
            // Messages of later rounds never reach manul early, so it has cached none.
            RoundOutcome::AnotherRound { session, .. } => Ok(Outcome::Advanced(Box::new(session))),
            RoundOutcome::Finished(report) => match report.outcome {
                SessionOutcome::Result(result) => conclude(result).map(Outcome::Concluded),
                SessionOutcome::NotEnoughMessages | SessionOutcome::Terminated => {
                    Err(report_failure(&report, None))
                }
            },
        }
    }
}
