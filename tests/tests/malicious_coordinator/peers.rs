//! A member in bad hands, among real parties on real sockets: it joins as anybody does, its engine
//! is a real one, and what it says is changed before it is signed and sealed. What is wrong in which
//! message, and what becomes of it, is for the engine's own tests (`party-runtime/engine/tests/hostile`);
//! here a party has to outlive it.

use crate::harness::forge::{Kind, Opened};
use mpc_engine::{Engine, RunContext, Step, Task, engine};
use mpc_tests::malicious_coordinator::proposal::Proposal;
use mpc_tests::malicious_coordinator::{MaliciousCoordinator, honest};
use mpc_tests::transcript::{Run, Transcript};
use mpc_wire::{
    AccountId, AttemptFailure, AttemptOutcome, FailureKind, Identity, IntentKind, PartyId, Round,
    RoundEnvelope, RoundHeader, Scheme, Seq, SignedJoin, Stage, Threshold,
};
use party_runtime::seal::{Channels, FreshJoiner};
use std::collections::{BTreeMap, BTreeSet};

/// A leaf of a message that the liar spoils.
#[derive(Debug, Clone, Copy)]
struct Lie {
    stage: Stage,
    round: Round,
    kind: Kind,
    leaf: &'static str,
}

/// Does not fit the polynomial of the same message: the library alone would panic.
const WRONG_SUBSHARE: Lie =
    Lie { stage: Stage(2), round: Round(1), kind: Kind::Direct, leaf: "subshare" };

/// Proves nothing.
const WRONG_PROOF: Lie =
    Lie { stage: Stage(1), round: Round(5), kind: Kind::Normal, leaf: "psi.proof" };

/// The member.
struct Liar {
    identity: Identity,
    run: Run,
    engine: Box<dyn Engine>,
    channels: Channels,
    /// What the others have said so far: who acknowledges nothing hears it again.
    heard: BTreeSet<(PartyId, Seq)>,
    lie: Lie,
}

impl Liar {
    /// Lets the parties' joins to a keygen in, adds the liar's own, and starts them all. Returns
    /// the liar and what it says first.
    async fn start(
        coordinator: &mut MaliciousCoordinator,
        identity: Identity,
        proposal: &Proposal,
        lie: Lie,
    ) -> (Self, Vec<RoundEnvelope>) {
        let run = proposal.run();
        let own = FreshJoiner::new(identity.clone()).prepare(&proposal.plan);
        let mut joins = vec![own.join];
        for member in others(&proposal.plan.quorum, identity.party()) {
            coordinator.invite(member, proposal).await;
            joins.push(coordinator.join_of(member, run).await);
        }
        joins.sort_by_key(|join| join.member);
        for member in others(&proposal.plan.quorum, identity.party()) {
            coordinator.start_run(member, run, &joins).await;
        }
        let verified = |join: &SignedJoin| (join.member, join.verify().unwrap());
        let joins: BTreeMap<_, _> = joins.iter().map(verified).collect();
        let plan_hash = proposal.plan.hash();
        let channels = Channels::new(identity.party(), &own.secret, plan_hash, &joins).unwrap();
        let context = RunContext { identity: identity.clone(), plan_hash, joins };
        let task = Task::Keygen { threshold: Threshold(2) };
        let engine = engine(Scheme::EcdsaCggmp24, task, context).unwrap();
        let heard = BTreeSet::new();
        let mut liar = Self { identity, run, engine, channels, heard, lie };
        let steps = liar.engine.start();
        let said = liar.perform(steps);
        (liar, said)
    }

    /// Hears a message and says what it has to say to it.
    fn answer(&mut self, envelope: &RoundEnvelope) -> Vec<RoundEnvelope> {
        let RoundHeader { from, stage, round, seq, .. } = envelope.header;
        if !self.heard.insert((from, seq)) {
            return Vec::new();
        }
        let Some(payload) = self.channels.open(envelope).unwrap() else { return Vec::new() };
        let steps = self.engine.receive(from, stage, round, payload);
        self.perform(steps)
    }

    fn perform(&mut self, mut steps: Vec<Step>) -> Vec<RoundEnvelope> {
        let mut said = Vec::new();
        while let Some(step) = steps.pop() {
            match step {
                Step::Send { to, stage, round, payload } => {
                    let Run { session, attempt } = self.run;
                    let (from, seq) = (self.identity.party(), Seq::default());
                    let header = RoundHeader { session, attempt, from, to, stage, round, seq };
                    let payload = self.spoil(stage, round, payload);
                    said.extend(self.channels.seal(header, &payload).unwrap());
                }
                Step::Work(job) => steps.extend(self.engine.complete(job.run())),
                Step::Waiting { .. } | Step::Finished(_) => {}
            }
        }
        said
    }

    fn spoil(&self, stage: Stage, round: Round, payload: Vec<u8>) -> Vec<u8> {
        let Lie { kind, leaf, .. } = self.lie;
        if (self.lie.stage, self.lie.round) != (stage, round) {
            return payload;
        }
        let mut opened = Opened::read(&payload);
        opened.forge(kind, &self.identity, |content| content.at(leaf).spoil());
        opened.write()
    }
}

fn others(members: &BTreeSet<PartyId>, one: PartyId) -> impl Iterator<Item = PartyId> {
    members.iter().copied().filter(move |member| *member != one)
}

/// How an attempt has failed in every member that has ended it, once that are so many.
fn failures(transcript: &Transcript, run: Run, count: usize) -> Option<Vec<AttemptFailure>> {
    let failures: Vec<_> = transcript
        .outcomes(run)
        .into_values()
        .map(|outcome| {
            let AttemptOutcome::Failed(failure) = outcome else { panic!("{outcome:?}") };
            failure
        })
        .collect();
    (failures.len() == count).then_some(failures)
}

/// The first of three founds a key with the others and lies, while the others sign something that
/// has nothing to do with it. Checks that `count` of them end the keygen, and how.
async fn lies_while_the_others_sign(lie: Lie, count: usize, kind: FailureKind) {
    let mut coordinator = MaliciousCoordinator::start().await;
    let everybody = coordinator.everybody();
    // Who founds a key is a matter of the ids' order, and not of the order of the vaults.
    let first = *everybody.first().unwrap();
    let number = (0..everybody.len()).find(|number| coordinator.party(*number) == first).unwrap();
    let identity = coordinator.accomplice(number);
    let keygen = IntentKind::Keygen {
        account: AccountId::generate(),
        scheme: Scheme::EcdsaCggmp24,
        threshold: Threshold(2),
    };
    let keygen = Proposal::new(everybody.clone(), keygen);
    let signing = Proposal::sign(&coordinator.founding().pair, others(&everybody, first).collect());
    let joins = coordinator.gather(&signing).await;
    for member in &signing.plan.quorum {
        coordinator.start_run(*member, signing.run(), &joins).await;
    }
    let (mut liar, said) = Liar::start(&mut coordinator, identity, &keygen, lie).await;
    for envelope in said {
        coordinator.say(envelope.header.to, mpc_wire::ToParty::Round(envelope)).await;
    }
    let (failures, signed) = coordinator
        .relay(
            "both outcomes",
            |envelope| {
                if envelope.header.to == first {
                    let said = liar.answer(envelope).into_iter();
                    return said.map(|envelope| (envelope.header.to, envelope)).collect();
                }
                let runs = [keygen.run(), signing.run()];
                runs.into_iter().flat_map(|run| honest(run, envelope)).collect()
            },
            |transcript| {
                let failures = failures(transcript, keygen.run(), count)?;
                let signed = transcript.outcomes(signing.run());
                (signed.len() == signing.plan.quorum.len()).then_some((failures, signed))
            },
        )
        .await;
    for failure in failures {
        assert_eq!(failure.kind, kind, "{failure:?}");
        assert_eq!(failure.guilty, BTreeSet::from([first]), "{failure:?}");
    }
    coordinator.assert_signed(&signing, &signed);
    // They live, and sign again, even with the party that somebody lied in the name of.
    coordinator.sign(&coordinator.founding().all.clone(), everybody).await;
}

#[actix_rt::test]
async fn row_16_what_the_library_would_panic_over_ends_one_attempt() {
    lies_while_the_others_sign(WRONG_SUBSHARE, 2, FailureKind::PeerMisbehaved).await;
}

/// A newcomer to the key hears of it only by waiting in vain.
#[actix_rt::test]
async fn row_13_a_members_wrong_proof_ends_one_attempt() {
    lies_while_the_others_sign(WRONG_PROOF, 1, FailureKind::PeerMisbehaved).await;
}
