//! What sealing costs: the same engine run, with its messages sealed and in the clear.
//!
//! Two engines in two threads, with nothing between them but memory. The sealed run makes the
//! attempt's channels and carries every message through them, as a party's runner does; the clear
//! one, which exists for this comparison only, hands the payloads over as they are.

use anyhow::{Context, bail};
use mpc_engine::dealer::{Dealt, deal};
use mpc_engine::{Engine, Product, RunContext, Step, Task, engine};
use mpc_wire::{
    Attempt, AttemptPlan, Identity, IntentHash, PartyId, RoundEnvelope, RoundHeader, Scheme, Seq,
    SessionId, Threshold, VerifiedJoin,
};
use party_runtime::seal::{Channels, FreshJoiner};
use std::collections::{BTreeMap, VecDeque};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// Messages in flight: neither side is ever more than one round ahead of the other.
const IN_FLIGHT: usize = 4;

/// How messages travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Carriage {
    Sealed,
    Clear,
}

/// Two parties of a dealt key, ready to sign either way.
pub(super) struct Pair {
    parties: Vec<(Identity, Dealt)>,
}

impl Pair {
    /// Deals a 2-of-2 key and an aux set. Takes seconds.
    pub(super) fn deal() -> anyhow::Result<Self> {
        let identities = [Identity::generate(), Identity::generate()];
        let ids = identities.iter().map(Identity::party).collect();
        let mut dealt = deal(&ids, Threshold(2)).map_err(|failure| anyhow::anyhow!("{failure}"))?;
        let parties = identities
            .into_iter()
            .map(|identity| {
                let dealt = dealt.remove(&identity.party()).context("a share is missing")?;
                Ok((identity, dealt))
            })
            .collect::<anyhow::Result<_>>()?;
        Ok(Self { parties })
    }

    /// Signs once and returns the time from the members' joins to the later of the two results.
    pub(super) fn sign(&self, digest: [u8; 32], carriage: Carriage) -> anyhow::Result<Duration> {
        let began = Instant::now();
        let sides = self.sides(digest, carriage)?;
        let (to_first, from_second) = sync_channel(IN_FLIGHT);
        let (to_second, from_first) = sync_channel(IN_FLIGHT);
        let channels = [(to_second, from_second), (to_first, from_first)];
        thread::scope(|scope| {
            let threads: Vec<_> = sides
                .into_iter()
                .zip(channels)
                .map(|(side, (out, inbox))| scope.spawn(move || side.run(&out, &inbox)))
                .collect();
            threads.into_iter().try_for_each(|thread| {
                thread.join().unwrap_or_else(|_| bail!("an engine's thread panicked"))
            })
        })?;
        Ok(began.elapsed())
    }

    fn sides(&self, digest: [u8; 32], carriage: Carriage) -> anyhow::Result<Vec<Side>> {
        let plan = AttemptPlan {
            session: SessionId::generate(),
            intent_hash: IntentHash::new([0; 32]),
            attempt: Attempt::FIRST,
            quorum: self.parties.iter().map(|(identity, _)| identity.party()).collect(),
            aux_id: None,
        };
        let prepared: Vec<_> = self
            .parties
            .iter()
            .map(|(identity, _)| FreshJoiner::new(identity.clone()).prepare(&plan))
            .collect();
        let joins = prepared
            .iter()
            .map(|prepared| Ok((prepared.join.member, prepared.join.verify()?)))
            .collect::<anyhow::Result<BTreeMap<PartyId, VerifiedJoin>>>()?;
        self.parties
            .iter()
            .zip(&prepared)
            .map(|((identity, dealt), prepared)| {
                let me = identity.party();
                let task = Task::Sign {
                    share: dealt.share.clone(),
                    aux: Some(dealt.aux.clone()),
                    public_key: dealt.public_key.clone(),
                    message: digest.to_vec(),
                };
                let plan_hash = plan.hash();
                let context =
                    RunContext { identity: identity.clone(), plan_hash, joins: joins.clone() };
                let channels = match carriage {
                    Carriage::Sealed => {
                        Some(Channels::new(me, &prepared.secret, plan_hash, &joins)?)
                    }
                    Carriage::Clear => None,
                };
                let engine = engine(Scheme::EcdsaCggmp24, task, context)
                    .map_err(|failure| anyhow::anyhow!("{failure}"))?;
                Ok(Side { me, session: plan.session, engine, channels })
            })
            .collect()
    }
}

/// One party of a run.
struct Side {
    me: PartyId,
    session: SessionId,
    engine: Box<dyn Engine>,
    channels: Option<Channels>,
}

impl Side {
    fn run(
        mut self,
        out: &SyncSender<RoundEnvelope>,
        inbox: &Receiver<RoundEnvelope>,
    ) -> anyhow::Result<()> {
        let mut steps = VecDeque::from(self.engine.start());
        loop {
            let step = match steps.pop_front() {
                Some(step) => step,
                None => {
                    let envelope = inbox.recv().context("the other engine is gone")?;
                    let RoundHeader { from, stage, round, .. } = envelope.header;
                    let payload = match &mut self.channels {
                        Some(channels) => channels.open(&envelope)?,
                        None => Some(envelope.sealed),
                    };
                    let Some(payload) = payload else { continue };
                    steps.extend(self.engine.receive(from, stage, round, payload));
                    continue;
                }
            };
            match step {
                Step::Send { to, stage, round, payload } => {
                    let header = RoundHeader {
                        session: self.session,
                        attempt: Attempt::FIRST,
                        from: self.me,
                        to,
                        stage,
                        round,
                        seq: Seq::default(),
                    };
                    let envelopes = match &mut self.channels {
                        Some(channels) => channels.seal(header, &payload)?,
                        None => vec![RoundEnvelope { header, sealed: payload }],
                    };
                    for envelope in envelopes {
                        // Whoever has its result already needs no more messages.
                        let _delivered = out.send(envelope).is_ok();
                    }
                }
                Step::Work(job) => steps.extend(self.engine.complete(job.run())),
                Step::Waiting { .. } => {}
                Step::Finished(Ok(Product::Signature(_))) => return Ok(()),
                Step::Finished(Ok(Product::Keygen { .. } | Product::Aux { .. })) => {
                    bail!("the engine made something else than a signature")
                }
                Step::Finished(Err(failure)) => bail!("the engine failed: {failure}"),
            }
        }
    }
}
