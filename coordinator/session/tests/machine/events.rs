//! What ops mean to the machine that is driven: the events of its parties.

use crate::harness::{CANARY_PLAN, Harness, IDENTITIES, PARTIES, Purpose};
use crate::ops::{Joined, Op};
use mpc_session::{CheckedOutcome, Event, Phase, Status};
use mpc_wire::{
    AccountId, Attempt, AttemptFailure, AttemptOutcome, AttemptPlan, AuxId, EcdsaSignature, Epoch,
    EpochKey, EpochPlan, EpochStatement, FailureKind, Nonce, PlanHash, PublicKey, Round, RoundAck,
    RoundEnvelope, RoundHeader, Seq, Signature, SignedJoin, Stage, Verdict,
};
use std::collections::{BTreeMap, BTreeSet};

impl Harness {
    pub(crate) fn events(&mut self, op: &Op) -> Vec<Event> {
        let Status { attempt: newest, phase, .. } = self.session.status();
        if let Op::AwaitApproval { from, stale: false } = *op
            && matches!(
                phase,
                Phase::Joining | Phase::WaitingForParties | Phase::WaitingForApproval
            )
        {
            self.awaiting.insert((newest, self.party(from)));
        }
        if let Op::Product { from, .. } | Op::WrongProduct { from } = *op {
            self.reported.insert((newest, self.party(from)));
        }
        let attempt =
            |stale: bool| if stale { Attempt(newest.0.saturating_sub(1)) } else { newest };
        let party = |n: usize| IDENTITIES[n].party();
        let header = |from, to, stale| RoundHeader {
            session: self.durable.intent.session,
            attempt: attempt(stale),
            from: party(from),
            to: party(to),
            stage: Stage(1),
            round: Round(1),
            seq: Seq(0),
        };
        let event = match *op {
            Op::Online(n) => {
                self.online.insert(party(n));
                self.away.remove(&party(n));
                Event::Online(party(n))
            }
            Op::Offline(n) => {
                self.online.remove(&party(n));
                self.away.entry(party(n)).or_insert(self.now);
                Event::Offline(party(n))
            }
            Op::Join { from, stale, plan } => {
                return self.join(from, attempt(stale), plan).into_iter().collect();
            }
            Op::JoinAll => {
                return (0..PARTIES).filter_map(|n| self.join(n, newest, Joined::Named)).collect();
            }
            Op::Decline { from, reason, stale } => {
                Event::Declined { from: party(from), attempt: attempt(stale), reason }
            }
            Op::AwaitApproval { from, stale } => {
                Event::AwaitingApproval { from: party(from), attempt: attempt(stale) }
            }
            Op::Object { from, objection, stale } => {
                Event::Objected { from: party(from), attempt: attempt(stale), objection }
            }
            Op::Round { from, to, stale } => Event::Round(RoundEnvelope {
                header: header(from, to, stale),
                sealed: vec![1, 2, 3],
            }),
            Op::RoundRefused { from, to, stale } => Event::RoundRefused(header(from, to, stale)),
            Op::Acknowledge { from, to, stale } => Event::Acknowledged(RoundAck {
                session: self.durable.intent.session,
                attempt: attempt(stale),
                from: party(from),
                to: party(to),
                next: Seq(1),
            }),
            Op::Progress { from, lacks, stale } => Event::Progress {
                from: party(from),
                attempt: attempt(stale),
                stage: Stage(1),
                round: Round(2),
                waiting_for: BTreeSet::from([party(lacks)]),
            },
            Op::Product { from, valid, stale } => {
                let product = self.product(self.purpose, from, attempt(stale), valid);
                self.outcome(from, attempt(stale), product, valid)
            }
            Op::WrongProduct { from } => {
                let other =
                    if self.purpose == Purpose::Aux { Purpose::Keygen } else { Purpose::Aux };
                let product = self.product(other, from, newest, true);
                self.outcome(from, newest, product, true)
            }
            Op::Fail { from, guilty } => self.outcome(from, newest, failed(guilty), true),
            Op::Cancel => Event::Cancelled,
            Op::Tick(millis) => {
                self.now = self.now.after(millis);
                Event::Tick
            }
            Op::CrashAfter(_) => return Vec::new(),
        };
        vec![event]
    }

    fn join(&self, n: usize, attempt: Attempt, plan: Joined) -> Option<Event> {
        let hash_of = |attempt| self.plans.get(&attempt).map(AttemptPlan::hash);
        let hash = match plan {
            Joined::Named => hash_of(attempt)?,
            Joined::Earlier => hash_of(Attempt(attempt.0.checked_sub(1)?))?,
            Joined::Strange => PlanHash::new([0; 32]),
            Joined::Broken => return Some(Event::JoinBroken { from: self.party(n), attempt }),
        };
        let join = SignedJoin::sign(&IDENTITIES[n], hash, Nonce::new([5; 32]), [6; 32]);
        Some(Event::Joined { attempt, join: join.verify().unwrap() })
    }

    pub(crate) fn outcome(
        &self,
        n: usize,
        attempt: Attempt,
        outcome: AttemptOutcome,
        valid: bool,
    ) -> Event {
        let from = self.party(n);
        let outcome = CheckedOutcome::check(from, outcome, |_| valid);
        Event::Outcome { from, attempt, outcome }
    }

    /// What a party reports of an attempt of this purpose.
    fn product(&self, purpose: Purpose, n: usize, attempt: Attempt, valid: bool) -> AttemptOutcome {
        let byte = if valid { 7 } else { 8 };
        let signature =
            Signature::Ecdsa(EcdsaSignature { r: [byte; 32], s: [byte; 32], recovery_id: 0 });
        let public_key = PublicKey::new([byte; 33]);
        let key = EpochKey::new(public_key.clone(), &BTreeMap::new());
        let says = |plan, verdict| {
            let account = self.session.intent().kind.account().unwrap_or(AccountId::generate());
            let of = EpochPlan { account, epoch: Epoch(1), plan };
            EpochStatement::sign(&IDENTITIES[n], of, verdict)
        };
        match purpose {
            Purpose::Sign => AttemptOutcome::Signed(signature),
            Purpose::Canary => AttemptOutcome::Proven {
                signature,
                proven: says(CANARY_PLAN, Verdict::Proven(key)),
            },
            Purpose::Keygen => {
                let plan = self.plans.get(&attempt).map_or(CANARY_PLAN, AttemptPlan::hash);
                let stored = says(plan, Verdict::Stored(key));
                let public_shares = BTreeMap::new();
                AttemptOutcome::Keygen { public_key, epoch: Epoch(1), public_shares, stored }
            }
            Purpose::Aux => AttemptOutcome::Aux { aux_id: AuxId::new([byte; 32]) },
        }
    }
}

pub(crate) fn failed(guilty: Option<usize>) -> AttemptOutcome {
    AttemptOutcome::Failed(AttemptFailure {
        kind: FailureKind::PeerMisbehaved,
        guilty: guilty.into_iter().map(|n| IDENTITIES[n].party()).collect(),
        detail: "scripted".into(),
    })
}
