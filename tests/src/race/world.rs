//! One party's real machine over a simulated durable store.

use super::cast::{self, ForetoldJoiner, Member};
use super::facts::Facts;
use super::shared::Shared;
use super::stimulus::{Step, Stimulus};
use mpc_pending::record::StoredProgress;
use mpc_pending::{Effect, Event, Now, Pending, Record};
use mpc_wire::{
    Attempt, AttemptPlan, DeclineReason, Objection, PartyId, Seq, SessionId, SignedJoin,
    UnixMillis, VerifiedJoin,
};
use std::collections::BTreeMap;

/// A party, what it has stored, what has arrived there, and what it did.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct World {
    /// The machine under test.
    pub machine: Pending,
    /// Makes its joins, and counts the lives of its process.
    pub joiner: ForetoldJoiner,
    /// Milliseconds of this life.
    pub monotonic: u64,
    /// The wall clock.
    pub wall: u64,
    /// Whether the store was read in this life.
    pub is_restored: bool,
    /// What is durable: what `Persist` put there and `Forget` did not take away.
    pub store: BTreeMap<SessionId, Shared<Record>>,
    /// What has arrived and is still valid.
    pub facts: BTreeMap<SessionId, Shared<Facts>>,
    /// What was done, in all lives.
    pub ledger: Shared<Ledger>,
}

/// What a party did. It outlives every crash, unless it says otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Ledger {
    /// How often each attempt was launched, ever.
    pub launches: BTreeMap<(SessionId, Attempt), u32>,
    /// How often the store came to say that an attempt was launched, ever. If a crash follows,
    /// the launch is lost: it counts as happened, and is to be reported.
    pub recorded: BTreeMap<(SessionId, Attempt), u32>,
    /// The highest join of each session that became durable, ever.
    pub joined: BTreeMap<SessionId, (Attempt, SignedJoin)>,
    /// The runners of this life.
    pub running: BTreeMap<SessionId, Running>,
    /// The newest attempt of each session of which it was said, in this life, that a person
    /// ponders it.
    pub pondered: BTreeMap<SessionId, Attempt>,
    /// What was objected to in this life, and how often.
    pub objected: BTreeMap<(SessionId, Attempt, Objection), u32>,
}

/// A runner.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Running {
    /// Its attempt.
    pub attempt: Attempt,
    /// The next message of each sender.
    pub next: BTreeMap<PartyId, Seq>,
}

/// An effect that was performed, and how things stood for its session at that moment.
#[derive(Debug, Clone)]
pub struct Act {
    /// The effect.
    pub effect: Effect,
    /// The session's record in the store.
    pub stored: Option<Shared<Record>>,
    /// The session's runner.
    pub running: Option<Running>,
    /// The session's highest durable join.
    pub joined: Option<(Attempt, SignedJoin)>,
    /// The newest attempt of which it was said that a person ponders it.
    pub pondered: Option<Attempt>,
}

/// A step that was taken.
#[derive(Debug, Clone)]
pub struct Done {
    /// What happened.
    pub event: Event,
    /// What was performed of what it brought about.
    pub acts: Vec<Act>,
    /// Whether a crash follows at once.
    pub is_cut: bool,
    /// What the facts call for.
    pub due: super::hearing::Due,
}

impl Default for World {
    fn default() -> Self {
        Self {
            machine: Pending::new(Member::Me.party()),
            joiner: ForetoldJoiner::default(),
            monotonic: 0,
            wall: cast::START,
            is_restored: true,
            store: BTreeMap::new(),
            facts: BTreeMap::new(),
            ledger: Shared::default(),
        }
    }
}

impl World {
    /// Takes a step and checks everything about it, but for what is left to do in the end: that is
    /// a matter of the state alone ([`super::invariants::forgets_after_the_end`]).
    ///
    /// # Errors
    /// The first invariant that does not hold.
    pub fn step(&mut self, step: &Step) -> Result<Option<Done>, super::invariants::Breach> {
        let (stimulus, cut) = match step {
            Step::Happen(stimulus) => (stimulus, None),
            Step::CutShort(stimulus, behind) => (stimulus, Some(*behind)),
            Step::Crash => {
                self.crash();
                return Ok(None);
            }
        };
        if !self.can_happen(stimulus) {
            return Ok(None);
        }
        let done = self.apply(stimulus, cut);
        super::invariants::check(self, &done)?;
        if done.is_cut {
            self.crash();
        }
        Ok(Some(done))
    }

    /// Whether a process can meet this now: it reads its store before it looks at anything else,
    /// save for messages that may be on their way already.
    pub fn can_happen(&self, stimulus: &Stimulus) -> bool {
        match stimulus {
            Stimulus::Restored => !self.is_restored,
            Stimulus::Started(..) | Stimulus::Round(_) => true,
            Stimulus::Intend(..)
            | Stimulus::Invited(..)
            | Stimulus::Pondering(_)
            | Stimulus::Approved(_)
            | Stimulus::Refused(_)
            | Stimulus::Unverified(..)
            | Stimulus::RunnerEnded(..)
            | Stimulus::Aborted(..)
            | Stimulus::Finished(_)
            | Stimulus::Connected
            | Stimulus::Tick(_) => self.is_restored,
        }
    }

    /// Lets it happen, and performs the effects in order: all, or those before the cut.
    pub fn apply(&mut self, stimulus: &Stimulus, cut: Option<usize>) -> Done {
        if let Stimulus::Tick(passed) = stimulus {
            self.monotonic += passed;
            self.wall += passed;
        }
        let event = self.event(stimulus);
        let due = self.due(&event);
        let now = self.now();
        let effects = self.machine.handle(event.clone(), now, &mut self.joiner);
        self.hear(&event, &due, &effects);
        let is_cut = cut.is_some_and(|behind| behind < effects.len());
        let performed = cut.unwrap_or(usize::MAX);
        let acts = effects.into_iter().take(performed).map(|effect| self.perform(effect)).collect();
        Done { event, acts, is_cut, due }
    }

    /// Behind which of its effects a crash can make a difference: those that leave something
    /// behind. (Behind the last one it is the same as a crash between events.)
    pub fn cuts(&self, stimulus: &Stimulus) -> Vec<usize> {
        let event = self.event(stimulus);
        let effects = self.machine.clone().handle(event, self.now(), &mut self.joiner.clone());
        let leaves_a_trace = |effect: &Effect| {
            matches!(effect, Effect::Persist(_) | Effect::Forget(_) | Effect::Launch(_))
        };
        let before_the_last = effects.iter().rev().skip(1).rev();
        let traces = before_the_last.zip(1..).filter(|(effect, _)| leaves_a_trace(effect));
        traces.map(|(_, behind)| behind).collect()
    }

    /// The process dies: what was not durable has not been.
    pub fn crash(&mut self) {
        self.machine = Pending::new(Member::Me.party());
        self.joiner.life += 1;
        self.monotonic = 0;
        self.is_restored = false;
        self.facts.clear();
        let ledger = &self.ledger;
        if !(ledger.running.is_empty() && ledger.pondered.is_empty() && ledger.objected.is_empty())
        {
            self.ledger.running.clear();
            self.ledger.pondered.clear();
            self.ledger.objected.clear();
        }
    }

    /// The time on both clocks.
    pub fn now(&self) -> Now {
        Now { monotonic: self.monotonic, wall: UnixMillis(self.wall) }
    }

    /// The event that the stimulus stands for.
    pub fn event(&self, stimulus: &Stimulus) -> Event {
        match stimulus {
            Stimulus::Intend(session, purpose) => Event::Intend(cast::intent(*session, *purpose)),
            Stimulus::Invited(session, attempt, purpose, layout) => Event::Invited {
                intent: cast::intent(*session, *purpose),
                plan: cast::plan(*session, *attempt, *purpose, *layout),
            },
            Stimulus::Pondering(session) => Event::Pondering(cast::session(*session)),
            Stimulus::Approved(session) => Event::Approved(cast::session(*session)),
            Stimulus::Refused(session) => {
                Event::Refused { session: cast::session(*session), reason: DeclineReason::Refused }
            }
            Stimulus::Started(session, attempt, joins) => Event::Started {
                session: cast::session(*session),
                attempt: *attempt,
                joins: joins.build(*session, *attempt, |plan| self.own_join(plan)),
            },
            Stimulus::Unverified(session, attempt) => Event::Unverified {
                session: cast::session(*session),
                attempt: *attempt,
                objection: Objection::ForgedJoin,
            },
            Stimulus::Round(letter) => Event::RoundMessage(letter.envelope()),
            Stimulus::RunnerEnded(session, attempt, end) => Event::RunnerEnded {
                session: cast::session(*session),
                attempt: *attempt,
                outcome: end.outcome(),
            },
            Stimulus::Aborted(session, attempt) => {
                Event::Aborted { session: cast::session(*session), attempt: *attempt }
            }
            Stimulus::Finished(session) => Event::Finished(cast::session(*session)),
            Stimulus::Connected => Event::Connected,
            Stimulus::Tick(_) => Event::Tick,
            Stimulus::Restored => Event::Restored(self.records()),
        }
    }

    /// What the store holds.
    pub fn records(&self) -> Vec<Record> {
        self.store.values().map(|record| Record::clone(record)).collect()
    }

    /// This party's join of a plan: the one it made durable, or the one it would make now.
    fn own_join(&self, plan: &AttemptPlan) -> VerifiedJoin {
        let hash = plan.hash();
        let kept = self.ledger.joined.get(&plan.session).filter(|(_, join)| join.plan_hash == hash);
        let life = kept.map_or(self.joiner.life, |(_, join)| join.nonce.as_bytes()[0]);
        cast::join(Member::Me.party(), hash, life)
    }

    fn perform(&mut self, effect: Effect) -> Act {
        let session = session_of(&effect);
        let act = Act {
            stored: self.store.get(&session).cloned(),
            running: self.ledger.running.get(&session).cloned(),
            joined: self.ledger.joined.get(&session).cloned(),
            pondered: self.ledger.pondered.get(&session).copied(),
            effect,
        };
        match &act.effect {
            Effect::Persist(record) => self.persist(record, act.stored.as_deref()),
            Effect::Forget(_) => {
                self.store.remove(&session);
                self.facts.remove(&session);
            }
            Effect::Launch(launch) => {
                let attempt = launch.plan.attempt;
                *self.ledger.launches.entry((session, attempt)).or_default() += 1;
                let running = Running { attempt, next: BTreeMap::new() };
                self.ledger.running.insert(session, running);
                self.facts.entry(session).or_default().starts.remove(&attempt);
            }
            Effect::Kill { .. } => {
                self.ledger.running.remove(&session);
            }
            Effect::Deliver { attempt, messages, .. } => {
                for message in messages {
                    let header = &message.header;
                    if let Some(running) = self.ledger.running.get_mut(&session) {
                        running.next.insert(header.from, header.seq.next());
                    }
                    if let Some(facts) = self.facts.get_mut(&session)
                        && let Some(senders) = facts.held.get_mut(attempt)
                        && let Some(seqs) = senders.get_mut(&header.from)
                    {
                        seqs.remove(&header.seq);
                    }
                }
            }
            Effect::SendAwaitingApproval { attempt, .. } => {
                self.ledger.pondered.insert(session, *attempt);
            }
            Effect::Object { attempt, objection, .. } => {
                let key = (session, *attempt, *objection);
                *self.ledger.objected.entry(key).or_default() += 1;
            }
            Effect::SendRequest(_)
            | Effect::Ask(_)
            | Effect::SendJoin { .. }
            | Effect::SendDecline { .. }
            | Effect::Refuse(_)
            | Effect::Report { .. }
            | Effect::Over(_)
            | Effect::Drop { .. } => {}
        }
        act
    }

    fn persist(&mut self, record: &Record, before: Option<&Record>) {
        let session = record.intent.session;
        match &record.progress {
            StoredProgress::Joined { plan, prepared } => {
                let join = (plan.attempt, prepared.join.clone());
                self.ledger.joined.insert(session, join);
            }
            StoredProgress::Launched { plan, .. } => {
                let key = (session, plan.attempt);
                let is_new = before.is_none_or(|before| before.progress != record.progress);
                *self.ledger.recorded.entry(key).or_default() += u32::from(is_new);
            }
            StoredProgress::Idle | StoredProgress::Ended { .. } | StoredProgress::Over => {}
        }
        self.store.insert(session, record.clone().into());
    }
}

/// The session that an effect is about.
pub fn session_of(effect: &Effect) -> SessionId {
    match effect {
        Effect::Persist(record) => record.intent.session,
        Effect::SendRequest(intent) | Effect::Ask(intent) => intent.session,
        Effect::Launch(launch) => launch.plan.session,
        Effect::Refuse(header) => header.session,
        Effect::SendJoin { session, .. }
        | Effect::SendDecline { session, .. }
        | Effect::SendAwaitingApproval { session, .. }
        | Effect::Object { session, .. }
        | Effect::Kill { session, .. }
        | Effect::Deliver { session, .. }
        | Effect::Report { session, .. }
        | Effect::Over(session)
        | Effect::Forget(session)
        | Effect::Drop { session, .. } => *session,
    }
}
