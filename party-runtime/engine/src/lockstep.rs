//! The driver of protocols in lock step that bring no driver of their own: in each step every member
//! says something to every other one, and goes on once it has heard from all.
//!
//! What a script does is done in jobs. What it says to all alike can be echoed ([`echo`]): then a step
//! follows in which the members tell each other what they heard, and nobody goes on with anything that
//! others were told differently.

mod echo;

use crate::attempt::{Stages, Turn};
use crate::engine::{Product, RunContext, Step};
use crate::failure::EngineFailure;
use crate::job::{Done, Job};
use echo::{Echoing, Voice};
use mpc_wire::{PartyId, Round, Stage};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use zeroize::Zeroizing;

/// The only stage of these protocols.
const STAGE: Stage = Stage(1);

/// How many steps a peer can honestly be ahead: every step needs something from everybody. One
/// message is kept for each peer and step, hence also the buffer's bound.
const MAX_LEAD: u16 = 1;

/// The round after this one.
fn after(round: Round) -> Round {
    Round(round.0.saturating_add(1))
}

/// What was heard in a step, of every peer.
pub(crate) type Heard = BTreeMap<PartyId, Zeroizing<Vec<u8>>>;

/// One member's part of a protocol. Its methods are CPU-heavy: they run in jobs, and are dropped with
/// whatever is secret as soon as the attempt is over.
pub(crate) trait Script: Send + Sized + 'static {
    /// What is said first.
    fn begin(self) -> Result<Move<Self>, EngineFailure>;

    /// Takes what all peers have said.
    fn hear(self, heard: Heard) -> Result<Move<Self>, EngineFailure>;
}

/// What a script does next.
pub(crate) enum Move<S> {
    /// It says this, and wants to hear everybody.
    Say(S, Said),
    /// It has made what it was for.
    Make(Product),
}

/// What is said in a step.
pub(crate) enum Said {
    /// The same to all, whom nobody could harm by telling them something else.
    ToAll(Vec<u8>),
    /// The same to all, and echoed.
    Echoed(Vec<u8>),
    /// To each its own.
    ToEach(BTreeMap<PartyId, Zeroizing<Vec<u8>>>),
}

/// A protocol run.
pub(crate) struct Lockstep<S: Script> {
    voice: Arc<Voice>,
    peers: BTreeSet<PartyId>,
    /// The step that began last; 0 before the first.
    round: Round,
    state: State<S>,
    /// Messages of the step to come.
    early: BTreeMap<(Round, PartyId), Zeroizing<Vec<u8>>>,
}

enum State<S> {
    Before(S),
    /// A job is out.
    Working,
    Listening(Listening<S>),
}

struct Listening<S> {
    next: Next<S>,
    waiting_for: BTreeSet<PartyId>,
    heard: Heard,
}

/// What is done with what was heard.
enum Next<S> {
    Script(S),
    /// It is told to the others first.
    Echo(S, Vec<u8>),
    /// It is compared with what the others heard, and then given to the script.
    Compare(S, Echoing),
}

/// What a job brings back: what is to be said to each, and what follows.
enum Outcome<S> {
    Said(BTreeMap<PartyId, Vec<u8>>, Next<S>),
    Made(Product),
}

type Brought<S> = Result<Outcome<S>, EngineFailure>;

impl<S: Script> Lockstep<S> {
    pub(crate) fn new(script: S, context: &RunContext) -> Self {
        let voice = Voice::new(context, STAGE);
        let peers = voice.peers();
        let (round, early) = (Round(0), BTreeMap::new());
        Self { voice: Arc::new(voice), peers, round, state: State::Before(script), early }
    }

    fn work(
        &self,
        doing: &'static str,
        work: impl FnOnce() -> Brought<S> + Send + 'static,
    ) -> Step {
        Step::Work(Job::new(doing, work))
    }

    /// Begins the next step with what is to be said in it.
    fn enter(&mut self, said: BTreeMap<PartyId, Vec<u8>>, next: Next<S>) -> Vec<Step> {
        self.round = after(self.round);
        let (stage, round) = (STAGE, self.round);
        tracing::debug!(stage = stage.0, round = round.0, "round begins");
        let mut steps: Vec<Step> = said
            .into_iter()
            .map(|(to, payload)| Step::Send { to, stage, round, payload })
            .collect();
        let mut listening =
            Listening { next, waiting_for: self.peers.clone(), heard: Heard::new() };
        for ((_, from), payload) in std::mem::take(&mut self.early) {
            listening.take(from, payload);
        }
        steps.push(self.listen(listening));
        steps
    }

    /// Goes on if everybody was heard, else says who is waited for.
    fn listen(&mut self, listening: Listening<S>) -> Step {
        if !listening.waiting_for.is_empty() {
            let waiting_for = listening.waiting_for.clone();
            self.state = State::Listening(listening);
            return Step::Waiting { stage: STAGE, round: self.round, waiting_for };
        }
        self.state = State::Working;
        let (voice, round) = (Arc::clone(&self.voice), self.round);
        let Listening { next, heard, .. } = listening;
        self.work("going on with what was heard", move || match next {
            Next::Script(script) => script.hear(heard).map(|it| voice.say(it, after(round)))?,
            Next::Echo(script, own) => {
                let (echoes, echoing) = voice.echo(own, heard, round)?;
                Ok(Outcome::Said(echoes, Next::Compare(script, echoing)))
            }
            Next::Compare(script, echoing) => {
                let contents = voice.compare(echoing, &heard)?;
                script.hear(contents).map(|it| voice.say(it, after(round)))?
            }
        })
    }
}

impl<S> Listening<S> {
    fn take(&mut self, from: PartyId, payload: Zeroizing<Vec<u8>>) {
        self.waiting_for.remove(&from);
        self.heard.insert(from, payload);
    }
}

impl Voice {
    /// Puts what a script does into words.
    fn say<S>(&self, done: Move<S>, round: Round) -> Brought<S> {
        let (script, said) = match done {
            Move::Say(script, said) => (script, said),
            Move::Make(product) => return Ok(Outcome::Made(product)),
        };
        let peers = self.peers();
        Ok(match said {
            Said::ToAll(words) => {
                let said = peers.into_iter().map(|peer| (peer, words.clone())).collect();
                Outcome::Said(said, Next::Script(script))
            }
            // Of two, nobody else could have been told something else.
            Said::Echoed(words) if peers.len() == 1 => {
                let said = peers.into_iter().map(|peer| (peer, words.clone())).collect();
                Outcome::Said(said, Next::Script(script))
            }
            Said::Echoed(words) => {
                let signed = self.sign(&words, round)?;
                let said = peers.into_iter().map(|peer| (peer, signed.clone())).collect();
                Outcome::Said(said, Next::Echo(script, words))
            }
            Said::ToEach(mut words) => {
                let said = peers.into_iter().map(|peer| {
                    let own = words.remove(&peer);
                    own.map(|own| (peer, own.to_vec())).ok_or_else(|| {
                        EngineFailure::internal("there is nothing to be said to a member")
                    })
                });
                Outcome::Said(said.collect::<Result<_, _>>()?, Next::Script(script))
            }
        })
    }
}

impl<S: Script> Stages for Lockstep<S> {
    fn start(&mut self) -> Result<Turn<Product>, EngineFailure> {
        match std::mem::replace(&mut self.state, State::Working) {
            State::Before(script) => {
                let (voice, round) = (Arc::clone(&self.voice), after(self.round));
                let begin = self.work("beginning", move || voice.say(script.begin()?, round));
                Ok(Turn::steps(vec![begin]))
            }
            State::Working | State::Listening(_) => {
                Err(EngineFailure::internal("started a second time"))
            }
        }
    }

    fn receive(
        &mut self,
        from: PartyId,
        stage: Stage,
        round: Round,
        payload: Vec<u8>,
    ) -> Result<Turn<Product>, EngineFailure> {
        let payload = Zeroizing::new(payload);
        let refuse = |why: &str| Err(EngineFailure::misbehaved(from, why));
        if stage != STAGE || !self.peers.contains(&from) {
            return refuse("a message for a stage in which it has no part");
        }
        if round.0 > self.round.0.saturating_add(MAX_LEAD) {
            return refuse("a message from further ahead than the protocol allows");
        }
        if round > self.round {
            return match self.early.insert((round, from), payload) {
                None => Ok(Turn::steps(Vec::new())),
                Some(_) => refuse("a second message for one round"),
            };
        }
        match std::mem::replace(&mut self.state, State::Working) {
            State::Listening(mut listening)
                if round == self.round && listening.waiting_for.contains(&from) =>
            {
                listening.take(from, payload);
                Ok(Turn::steps(vec![self.listen(listening)]))
            }
            State::Listening(_) | State::Before(_) | State::Working => {
                refuse("a second message, or one for a round that is over")
            }
        }
    }

    fn complete(&mut self, done: Done) -> Result<Turn<Product>, EngineFailure> {
        match done.take::<Brought<S>>()?? {
            Outcome::Said(said, next) => Ok(Turn::steps(self.enter(said, next))),
            Outcome::Made(product) => Ok(Turn::result(product)),
        }
    }
}
