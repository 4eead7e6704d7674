//! Engines in memory: messages in a seeded random order across senders, first in, first out from
//! each sender to each recipient; jobs in random order.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "test code fails by panicking"
)]
// Each test binary uses its part of the harness.
#![allow(dead_code, unreachable_pub)]

use mpc_engine::{
    Engine, EngineFailure, Job, Product, RunContext, Step, Task, engine, engine_without_guard,
};
use mpc_wire::{
    Identity, Nonce, PartyId, PlanHash, PublicKey, Round, Scheme, SignedJoin, Stage, Threshold,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

pub const SCHEME: Scheme = Scheme::EcdsaCggmp24;

/// `count` identities, in the order of their ids.
pub fn identities(count: u8) -> Vec<Identity> {
    let mut identities: Vec<_> = (1..=count).map(|n| Identity::from_seed(&[n; 32])).collect();
    identities.sort_by_key(Identity::party);
    identities
}

/// The identity behind an id, as [`identities`] makes them.
pub fn identity_of(party: PartyId) -> Identity {
    (1..=u8::MAX)
        .map(|n| Identity::from_seed(&[n; 32]))
        .find(|identity| identity.party() == party)
        .unwrap()
}

pub fn parties<'a>(identities: impl IntoIterator<Item = &'a Identity>) -> BTreeSet<PartyId> {
    identities.into_iter().map(Identity::party).collect()
}

/// A context for each of the identities, all of the same attempt.
pub fn contexts(identities: &[Identity]) -> Vec<RunContext> {
    let plan_hash = PlanHash::new([0x77; 32]);
    let joins: BTreeMap<_, _> = identities
        .iter()
        .map(|identity| {
            let nonce = Nonce::new(*identity.party().as_bytes());
            let join = SignedJoin::sign(identity, plan_hash, nonce, [1; 32]).verify().unwrap();
            (identity.party(), join)
        })
        .collect();
    identities
        .iter()
        .map(|identity| RunContext { identity: identity.clone(), plan_hash, joins: joins.clone() })
        .collect()
}

/// A message on its way.
#[derive(Clone)]
pub struct Letter {
    pub from: PartyId,
    pub to: PartyId,
    pub stage: Stage,
    pub round: Round,
    pub payload: Vec<u8>,
}

/// SplitMix64: enough to shuffle by, and the same everywhere.
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }
}

/// Whether engines have what stands between the wire and the library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    On,
    Off,
}

/// What a test may do to a letter before it arrives. `None` loses it; more than one duplicates it.
pub type Tamper = Box<dyn FnMut(Letter) -> Vec<Letter>>;

pub struct Network {
    engines: BTreeMap<PartyId, Box<dyn Engine>>,
    jobs: Vec<(PartyId, Job)>,
    letters: BTreeMap<(PartyId, PartyId), VecDeque<Letter>>,
    pub ends: BTreeMap<PartyId, Result<Product, EngineFailure>>,
    pub waiting: BTreeMap<PartyId, (Stage, Round, BTreeSet<PartyId>)>,
    /// The largest message and the highest step by stage.
    pub largest: usize,
    pub last_round: BTreeMap<Stage, Round>,
    /// The longest that any call of an engine took.
    pub slowest_call: Duration,
    dice: Dice,
    tamper: Tamper,
}

impl Network {
    pub fn new(contexts: Vec<RunContext>, task: impl FnMut(PartyId) -> Task, seed: u64) -> Self {
        Self::with(Guard::On, contexts, task, seed)
    }

    /// Engines with the guard or without.
    pub fn with(
        guard: Guard,
        contexts: Vec<RunContext>,
        mut task: impl FnMut(PartyId) -> Task,
        seed: u64,
    ) -> Self {
        Self::of(contexts, seed, |me, context| match guard {
            Guard::On => engine(SCHEME, task(me), context),
            Guard::Off => engine_without_guard(task(me), context),
        })
    }

    /// Engines of another scheme.
    pub fn of_scheme(
        scheme: Scheme,
        contexts: Vec<RunContext>,
        mut task: impl FnMut(PartyId) -> Task,
        seed: u64,
    ) -> Self {
        Self::of(contexts, seed, |me, context| engine(scheme, task(me), context))
    }

    fn of(
        contexts: Vec<RunContext>,
        seed: u64,
        mut make: impl FnMut(PartyId, RunContext) -> Result<Box<dyn Engine>, EngineFailure>,
    ) -> Self {
        println!("seed {seed}");
        let engines = contexts
            .into_iter()
            .map(|context| {
                let me = context.identity.party();
                (me, make(me, context).unwrap())
            })
            .collect();
        Self {
            engines,
            jobs: Vec::new(),
            letters: BTreeMap::new(),
            ends: BTreeMap::new(),
            waiting: BTreeMap::new(),
            largest: 0,
            last_round: BTreeMap::new(),
            slowest_call: Duration::ZERO,
            dice: Dice(seed),
            tamper: Box::new(|letter| vec![letter]),
        }
    }

    pub fn tampered(mut self, tamper: impl FnMut(Letter) -> Vec<Letter> + 'static) -> Self {
        self.tamper = Box::new(tamper);
        self
    }

    /// Runs until nothing moves.
    pub fn run(mut self) -> Self {
        self.start();
        while self.advance() {}
        self
    }

    /// Every engine's product.
    pub fn products(self) -> BTreeMap<PartyId, Product> {
        assert_eq!(self.ends.len(), self.engines.len(), "still waiting: {:?}", self.waiting);
        self.ends.into_iter().map(|(party, end)| (party, end.expect("a product"))).collect()
    }

    /// How one engine failed.
    pub fn failure(&self, party: PartyId) -> EngineFailure {
        match self.ends.get(&party) {
            Some(Err(failure)) => failure.clone(),
            other => panic!("no failure of {party:?} but {other:?}"),
        }
    }

    /// Runs like [`Self::run`], but all jobs that are out at a time in threads of their own.
    pub fn run_in_threads(mut self) -> Self {
        self.start();
        while !self.jobs.is_empty() || self.advance() {
            let threads: Vec<_> = std::mem::take(&mut self.jobs)
                .into_iter()
                .map(|(party, job)| (party, std::thread::spawn(move || job.run())))
                .collect();
            for (party, thread) in threads {
                let done = thread.join().expect("jobs never panic");
                self.call(party, |engine| engine.complete(done));
            }
        }
        self
    }

    fn start(&mut self) {
        let everyone: Vec<PartyId> = self.engines.keys().copied().collect();
        for party in everyone {
            self.call(party, |engine| engine.start());
        }
    }

    fn advance(&mut self) -> bool {
        let roads: Vec<_> = self.letters.keys().copied().collect();
        let choices = self.jobs.len() + roads.len();
        if choices == 0 {
            return false;
        }
        let choice = self.dice.below(choices);
        if choice < self.jobs.len() {
            let (party, job) = self.jobs.swap_remove(choice);
            let done = job.run();
            self.call(party, |engine| engine.complete(done));
        } else {
            let road = roads[choice - self.jobs.len()];
            let queue = self.letters.get_mut(&road).unwrap();
            let letter = queue.pop_front().unwrap();
            if queue.is_empty() {
                self.letters.remove(&road);
            }
            self.deliver(letter);
        }
        true
    }

    fn deliver(&mut self, letter: Letter) {
        for Letter { from, to, stage, round, payload } in (self.tamper)(letter) {
            self.call(to, |engine| engine.receive(from, stage, round, payload));
        }
    }

    fn call(&mut self, party: PartyId, event: impl FnOnce(&mut dyn Engine) -> Vec<Step>) {
        let began = Instant::now();
        let steps = event(self.engines.get_mut(&party).unwrap().as_mut());
        self.slowest_call = self.slowest_call.max(began.elapsed());
        self.take(party, steps);
    }

    fn take(&mut self, party: PartyId, steps: Vec<Step>) {
        for step in steps {
            assert!(!self.ends.contains_key(&party), "a step after the last: {step:?}");
            match step {
                Step::Send { to, stage, round, payload } => {
                    self.largest = self.largest.max(payload.len());
                    self.last_round
                        .entry(stage)
                        .and_modify(|r| *r = round.max(*r))
                        .or_insert(round);
                    let letter = Letter { from: party, to, stage, round, payload };
                    self.letters.entry((party, to)).or_default().push_back(letter);
                }
                Step::Work(job) => self.jobs.push((party, job)),
                Step::Waiting { stage, round, waiting_for } => {
                    assert!(!waiting_for.is_empty() && !waiting_for.contains(&party));
                    self.waiting.insert(party, (stage, round, waiting_for));
                }
                Step::Finished(end) => {
                    self.ends.insert(party, end);
                }
            }
        }
    }
}

/// Runs two attempts at the same time, a step of the one after a step of the other.
pub fn run_together(mut one: Network, mut other: Network) -> (Network, Network) {
    one.start();
    other.start();
    // Both are asked each time: there is no short cut past the second.
    while one.advance() | other.advance() {}
    (one, other)
}

/// Runs a keygen and returns every party's share and the common public key.
pub fn keygen(
    identities: &[Identity],
    threshold: u16,
    seed: u64,
) -> (BTreeMap<PartyId, mpc_engine::SecretBytes>, PublicKey) {
    let task = |_| Task::Keygen { threshold: Threshold(threshold) };
    let network = Network::new(contexts(identities), task, seed).run();
    println!("keygen {threshold} of {}: largest message {}", identities.len(), network.largest);
    let mut common = None;
    let shares = network
        .products()
        .into_iter()
        .map(|(party, product)| match product {
            Product::Keygen { share, public_key, public_shares } => {
                assert_eq!(public_shares.len(), identities.len());
                let common = common.get_or_insert((public_key.clone(), public_shares.clone()));
                assert_eq!(*common, (public_key, public_shares), "all know the same key");
                (party, share)
            }
            other => panic!("not a key: {other:?}"),
        })
        .collect();
    (shares, common.unwrap().0)
}
