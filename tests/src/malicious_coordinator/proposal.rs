//! What parties are asked to join.

use super::founding::Account;
use crate::transcript::Run;
use mpc_engine::verify::verify_signature;
use mpc_wire::{
    Attempt, AttemptPlan, AuxId, DerivationPath, Intent, IntentKind, PartyId, Payload, RequestId,
    Scheme, SessionId, Signature, UnixMillis,
};
use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

/// How long an intent lives: longer than any test.
const LIFE: Duration = Duration::from_secs(600);

/// An intent and a plan for it.
#[derive(Debug, Clone)]
pub struct Proposal {
    /// What the session is for.
    pub intent: Intent,
    /// Who is to take part in the attempt.
    pub plan: AttemptPlan,
}

impl Proposal {
    /// The first attempt at a new session of these parties.
    pub fn new(eligible: BTreeSet<PartyId>, kind: IntentKind) -> Self {
        let session = SessionId::generate();
        let request = RequestId::generate();
        let intent =
            Intent { session, request, eligible: eligible.clone(), expires_at: in_time(), kind };
        let plan = AttemptPlan {
            session,
            intent_hash: intent.hash(),
            attempt: Attempt::FIRST,
            quorum: eligible,
            aux_id: None,
        };
        Self { intent, plan }
    }

    /// The first attempt of these members to sign something new with an account.
    pub fn sign(account: &Account, quorum: BTreeSet<PartyId>) -> Self {
        let kind = IntentKind::Sign {
            account: account.id,
            epoch: account.epoch,
            scheme: Scheme::EcdsaCggmp24,
            threshold: account.threshold,
            public_key: account.public_key.clone(),
            path: DerivationPath::default(),
            payload: Payload::Digest(fresh_digest()),
            authorization: None,
        };
        let mut proposal = Self::new(account.holders.clone(), kind);
        proposal.plan.quorum = quorum;
        proposal.plan.aux_id = Some(account.aux);
        proposal
    }

    /// The same session with another intent, planned for as before.
    pub fn altered(&self, alter: impl FnOnce(&mut Intent)) -> Self {
        let Self { mut intent, mut plan } = self.clone();
        alter(&mut intent);
        plan.session = intent.session;
        plan.intent_hash = intent.hash();
        Self { intent, plan }
    }

    /// The same session with another digest to sign.
    pub fn with_digest(&self, digest: [u8; 32]) -> Self {
        self.with_payload(Payload::Digest(digest))
    }

    /// The same session with something else to sign.
    pub fn with_payload(&self, other: Payload) -> Self {
        self.altered(|intent| {
            if let IntentKind::Sign { payload, .. } = &mut intent.kind {
                *payload = other;
            }
        })
    }

    /// The same intent with another quorum.
    pub fn among(&self, quorum: BTreeSet<PartyId>) -> Self {
        let mut proposal = self.clone();
        proposal.plan.quorum = quorum;
        proposal
    }

    /// The same intent with another aux set, or none.
    pub fn with_aux(&self, aux_id: Option<AuxId>) -> Self {
        let mut proposal = self.clone();
        proposal.plan.aux_id = aux_id;
        proposal
    }

    /// The same intent in another attempt.
    pub fn attempt(&self, number: u32) -> Self {
        let mut proposal = self.clone();
        proposal.plan.attempt = Attempt(number);
        proposal
    }

    /// Session and attempt.
    pub fn run(&self) -> Run {
        Run::from(&self.plan)
    }

    /// Checks a signature over what is proposed.
    ///
    /// # Panics
    /// If it is none.
    pub fn assert_signature(&self, signature: &Signature) {
        let IntentKind::Sign { account, epoch, scheme, public_key, payload, .. } =
            &self.intent.kind
        else {
            panic!("nothing to sign was proposed");
        };
        let digest = payload.message(*account, *epoch, public_key);
        verify_signature(*scheme, public_key, &digest, signature).unwrap();
    }
}

/// A digest that no other test signs.
pub fn fresh_digest() -> [u8; 32] {
    *mpc_wire::Nonce::generate().as_bytes()
}

fn in_time() -> UnixMillis {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    UnixMillis((now + LIFE).as_millis().try_into().unwrap_or(u64::MAX))
}
