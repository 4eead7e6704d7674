//! Engines without cryptography: some rounds with each peer, then a product that says who made it.

use crate::cast::{AUX, bits};
use mpc_pending::Launch;
use mpc_wire::{
    Attempt, AttemptOutcome, AttemptPlan, EcdsaSignature, Intent, IntentKind, PartyId, Payload,
    Round, RoundEnvelope, RoundHeader, Seq, SessionId, Signature, Stage,
};
use std::collections::{BTreeMap, BTreeSet};

const STAGE: Stage = Stage(1);

/// One attempt's engine in one party, with what is around it in the runner.
#[derive(Debug)]
pub struct StubRun {
    me: PartyId,
    intent: Intent,
    plan: AttemptPlan,
    rounds: u16,
    /// The round whose messages are awaited.
    at: Round,
    /// How many messages of each peer are here: one a round.
    heard: BTreeMap<PartyId, u16>,
    /// Whether a job is being done.
    is_at_work: bool,
}

/// What an engine does.
#[derive(Debug)]
pub enum Step {
    /// Its messages of a round, one to each peer.
    Say(Vec<RoundEnvelope>),
    /// It waits for these peers' messages of a round.
    Wait(Stage, Round, BTreeSet<PartyId>),
    /// It has a job to be done.
    Work,
    /// It is done.
    End(Box<AttemptOutcome>),
}

/// A round message that no engine may get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misdelivered {
    /// It has another place in its sender's order.
    OutOfOrder,
    /// It is not for this engine.
    Strange,
}

impl StubRun {
    /// The engine of a launched attempt, and its first steps.
    pub fn start(launch: Launch, me: PartyId, rounds: u16) -> (Self, Vec<Step>) {
        let Launch { intent, plan, joins: _, secret: _ } = launch;
        let peers = plan.quorum.iter().filter(|peer| **peer != me);
        let heard = peers.map(|peer| (*peer, 0)).collect();
        let at = Round(1);
        let run = Self { me, intent, plan, rounds, at, heard, is_at_work: false };
        let steps = vec![run.says(), run.waits()];
        (run, steps)
    }

    /// Takes a message of a peer.
    ///
    /// # Errors
    /// [`Misdelivered`] if it should not have come here now.
    pub fn receive(&mut self, envelope: &RoundEnvelope) -> Result<Option<Step>, Misdelivered> {
        let RoundHeader { session, attempt, from, to, stage, round, seq } = envelope.header;
        let is_mine =
            (session, attempt, to, stage) == (self.plan.session, self.plan.attempt, self.me, STAGE);
        let heard = self.heard.get_mut(&from).filter(|_| is_mine).ok_or(Misdelivered::Strange)?;
        let is_next = seq.0 == u64::from(*heard) && round.0 == *heard + 1;
        if !is_next || envelope.sealed != sealed(round) {
            return Err(Misdelivered::OutOfOrder);
        }
        *heard += 1;
        Ok(self.works_if_it_can())
    }

    /// Goes on behind a job.
    pub fn worked(&mut self) -> Vec<Step> {
        self.is_at_work = false;
        if self.at.0 >= self.rounds {
            return vec![Step::End(Box::new(self.outcome()))];
        }
        self.at = Round(self.at.0 + 1);
        let mut steps = vec![self.says(), self.waits()];
        steps.extend(self.works_if_it_can());
        steps
    }

    fn works_if_it_can(&mut self) -> Option<Step> {
        let has_all = self.heard.values().all(|heard| *heard >= self.at.0);
        let starts = has_all && !self.is_at_work;
        self.is_at_work |= starts;
        starts.then_some(Step::Work)
    }

    fn says(&self) -> Step {
        let message = |to: &PartyId| RoundEnvelope {
            header: RoundHeader {
                session: self.plan.session,
                attempt: self.plan.attempt,
                from: self.me,
                to: *to,
                stage: STAGE,
                round: self.at,
                seq: Seq(u64::from(self.at.0) - 1),
            },
            sealed: sealed(self.at),
        };
        Step::Say(self.heard.keys().map(message).collect())
    }

    fn waits(&self) -> Step {
        let lacks = self.heard.iter().filter(|(_, heard)| **heard < self.at.0);
        Step::Wait(STAGE, self.at, lacks.map(|(peer, _)| *peer).collect())
    }

    fn outcome(&self) -> AttemptOutcome {
        match &self.intent.kind {
            IntentKind::Sign { payload, .. } => {
                let AttemptPlan { session, attempt, quorum, .. } = &self.plan;
                let signers = bits(&self.intent.eligible, quorum);
                AttemptOutcome::Signed(signature(*session, payload, *attempt, signers))
            }
            IntentKind::Aux { .. }
            | IntentKind::Keygen { .. }
            | IntentKind::Refresh { .. }
            | IntentKind::Reshare { .. }
            | IntentKind::Replace { .. } => AttemptOutcome::Aux { aux_id: AUX },
        }
    }
}

fn sealed(round: Round) -> Vec<u8> {
    round.0.to_be_bytes().to_vec()
}

/// The signature of a stub engine: it says all that there is to be checked.
fn signature(session: SessionId, payload: &Payload, attempt: Attempt, signers: u8) -> Signature {
    let (mut r, mut s) = (digest(payload), [0; 32]);
    // The nonce of an attempt is its own: `r` would be the point made of it.
    for (byte, number) in r.iter_mut().zip(attempt.0.to_be_bytes()) {
        *byte ^= number;
    }
    let said = attempt.0.to_be_bytes().into_iter().chain([signers]);
    s.iter_mut().zip(session.as_bytes().iter().copied().chain(said)).for_each(|(s, b)| *s = b);
    Signature::Ecdsa(EcdsaSignature { r, s, recovery_id: 0 })
}

/// Verifies a signature of a stub engine under the intent, as the coordinator does with real ones;
/// says which attempt made it, and which of the eligible parties.
pub fn verified(intent: &Intent, given: &Signature) -> Option<(Attempt, u8)> {
    let IntentKind::Sign { payload, .. } = &intent.kind else { return None };
    let Signature::Ecdsa(EcdsaSignature { s, .. }) = given else { return None };
    let (_, said) = s.split_at_checked(16)?;
    let (number, said) = said.split_first_chunk::<4>()?;
    let (attempt, signers) = (Attempt(u32::from_be_bytes(*number)), *said.first()?);
    let is_valid = signature(intent.session, payload, attempt, signers) == *given;
    is_valid.then_some((attempt, signers))
}

fn digest(payload: &Payload) -> [u8; 32] {
    match payload {
        Payload::Digest(digest) => *digest,
        Payload::Canary { plan } => *plan.as_bytes(),
        // No order of this simulation has bytes to be hashed.
        Payload::Bytes { .. } | Payload::Message(_) => [0; 32],
    }
}
