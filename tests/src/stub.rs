//! Runners without cryptography between the parties, for tests of everything around it.
//!
//! A stub runner talks as a real one does (one round message to every peer, then an outcome), so
//! sessions, gateway and parties do all of their work. Its signatures are real ECDSA by one key
//! that the test holds, because the coordinator verifies them.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use actix::prelude::*;
use k256::ecdsa::SigningKey;
use mpc_engine::SecretBytes;
use mpc_pending::Launch;
use mpc_wire::{
    Attempt, AttemptOutcome, AuxId, EcdsaSignature, Epoch, EpochKey, EpochPlan, IntentKind,
    PartyId, Payload, PublicKey, Round, RoundEnvelope, RoundHeader, Seq, SessionId, Signature,
    Stage, ToCoordinator,
};
use party_runtime::vault::ShareRecord;
use party_runtime::{
    Delivered, Outgoing, RunnerCommand, RunnerEnded, RunnerHandle, Runners, Vault,
};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

/// The id that every stub aux session reports.
pub const STUB_AUX: AuxId = AuxId::new([0xa5; 32]);

/// Something that a stub runner saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// The party launched the attempt.
    Launched(SessionId, Attempt),
    /// The runner took a round message.
    Delivered(RoundHeader),
}

/// What all stub runners of a test have seen, in order.
pub type Log = Rc<RefCell<Vec<(PartyId, Seen)>>>;

/// Starts stub runners.
#[derive(Debug, Clone)]
pub struct StubRunners {
    vault: Vault,
    key: SigningKey,
    log: Log,
}

impl StubRunners {
    /// Stub runners of the party with this vault, which all sign with `key`.
    pub fn new(vault: Vault, key: SigningKey, log: Log) -> Self {
        Self { vault, key, log }
    }
}

impl Runners for StubRunners {
    fn start(
        &self,
        launch: Launch,
        link: Recipient<Outgoing>,
        ended: Recipient<RunnerEnded>,
    ) -> RunnerHandle {
        let me = self.vault.party();
        let (session, attempt) = (launch.plan.session, launch.plan.attempt);
        self.log.borrow_mut().push((me, Seen::Launched(session, attempt)));
        let mut awaited = launch.plan.quorum.clone();
        awaited.remove(&me);
        let runner = StubRunner { parts: self.clone(), launch, link, ended, awaited };
        RunnerHandle::new(runner.start().recipient())
    }
}

struct StubRunner {
    parts: StubRunners,
    launch: Launch,
    link: Recipient<Outgoing>,
    ended: Recipient<RunnerEnded>,
    awaited: BTreeSet<PartyId>,
}

impl Actor for StubRunner {
    type Context = Context<Self>;

    fn started(&mut self, _: &mut Self::Context) {
        for peer in &self.awaited {
            let header = RoundHeader {
                session: self.launch.plan.session,
                attempt: self.launch.plan.attempt,
                from: self.parts.vault.party(),
                to: *peer,
                stage: Stage(1),
                round: Round(1),
                seq: Seq(0),
            };
            let envelope = RoundEnvelope { header, sealed: vec![0; 64] };
            self.link.try_send(Outgoing(ToCoordinator::Round(envelope))).expect("room in the link");
        }
    }
}

impl Handler<RunnerCommand> for StubRunner {
    type Result = ();

    fn handle(&mut self, command: RunnerCommand, ctx: &mut Self::Context) {
        match command {
            RunnerCommand::Kill => ctx.stop(),
            RunnerCommand::Deliver(messages) => {
                for Delivered { envelope: RoundEnvelope { header, .. }, .. } in messages {
                    let me = self.parts.vault.party();
                    self.parts.log.borrow_mut().push((me, Seen::Delivered(header)));
                    self.awaited.remove(&header.from);
                }
                if self.awaited.is_empty() {
                    self.conclude(ctx);
                }
            }
        }
    }
}

impl StubRunner {
    fn conclude(&self, ctx: &mut Context<Self>) {
        let (parts, launch, ended) = (self.parts.clone(), self.launch.clone(), self.ended.clone());
        let conclude = async move {
            let (session, attempt) = (launch.plan.session, launch.plan.attempt);
            let outcome = parts.outcome(launch).await;
            ended.send(RunnerEnded { session, attempt, outcome }).await.expect("somebody listens");
        };
        ctx.spawn(conclude.into_actor(self).map(|(), _, ctx| ctx.stop()));
    }
}

impl StubRunners {
    async fn outcome(&self, launch: Launch) -> AttemptOutcome {
        let public_key = PublicKey::new(self.key.verifying_key().to_encoded_point(true).as_bytes());
        match launch.intent.kind {
            IntentKind::Keygen { account, scheme, threshold } => {
                let holders = launch.plan.quorum.iter();
                let public_shares = holders.map(|party| (*party, public_key.clone())).collect();
                let EpochKey { shares, .. } = EpochKey::new(public_key.clone(), &public_shares);
                let record = ShareRecord {
                    session: launch.plan.session,
                    plan: launch.plan.hash(),
                    public_shares: shares,
                    scheme,
                    threshold,
                    holders: launch.plan.quorum,
                    public_key: public_key.clone(),
                    share: SecretBytes::new(vec![0; 32]),
                };
                let epoch = Epoch(1);
                let stored = self.vault.prepare_share(account, epoch, &record).await;
                let stored = stored.expect("stored");
                AttemptOutcome::Keygen { public_key, epoch, public_shares, stored }
            }
            IntentKind::Aux { .. } => AttemptOutcome::Aux { aux_id: STUB_AUX },
            IntentKind::Sign { account, epoch, payload, public_key, .. } => {
                let digest = payload.message(account, epoch, &public_key);
                let (signature, recovery_id) =
                    self.key.sign_prehash_recoverable(&digest).expect("a digest of 32 bytes");
                let (r, s) = signature.split_bytes();
                let signature = Signature::Ecdsa(EcdsaSignature {
                    r: r.into(),
                    s: s.into(),
                    recovery_id: recovery_id.to_byte(),
                });
                match payload {
                    Payload::Canary { plan } => {
                        let of = EpochPlan { account, epoch, plan };
                        let proven = self.vault.prove_share(of).await.expect("proven");
                        AttemptOutcome::Proven { signature, proven }
                    }
                    Payload::Digest(_) | Payload::Bytes { .. } | Payload::Message(_) => {
                        AttemptOutcome::Signed(signature)
                    }
                }
            }
            IntentKind::Refresh { .. }
            | IntentKind::Reshare { .. }
            | IntentKind::Replace { .. } => unreachable!("policy declines these"),
        }
    }
}
