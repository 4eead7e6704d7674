//! What an engine is, what it is given and what it yields.

use crate::cggmp24::{self, Guarding};
use crate::failure::EngineFailure;
use crate::frost;
use crate::job::{Done, Job};
use crate::secret::SecretBytes;
use frost_ed25519::Ed25519Sha512;
use frost_secp256k1_tr::Secp256K1Sha256TR;
use mpc_wire::limits::MAX_PARTIES;
use mpc_wire::plan::protocol_session_id;
use mpc_wire::{
    AuxId, Identity, PartyId, PlanHash, ProtocolSessionId, ProvenKey, PublicKey, Round, Scheme,
    Signature, Stage, Threshold, VerifiedJoin,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// One attempt of one scheme's protocol, from its start to its product. Every call is cheap: what
/// takes time leaves as a [`Job`].
pub trait Engine: Send {
    /// Begins the attempt. Called once.
    fn start(&mut self) -> Vec<Step>;

    /// Takes a message that the transport has authenticated, put in order and freed of duplicates.
    fn receive(&mut self, from: PartyId, stage: Stage, round: Round, payload: Vec<u8>)
    -> Vec<Step>;

    /// Takes back a job that has run.
    fn complete(&mut self, done: Done) -> Vec<Step>;
}

/// What an engine wants done. After [`Step::Finished`] it wants nothing more, and whatever still
/// reaches it is ignored.
pub enum Step {
    /// A message for one peer, in the clear: the caller seals it.
    Send {
        /// The recipient.
        to: PartyId,
        /// The stage.
        stage: Stage,
        /// The round within the stage.
        round: Round,
        /// The message.
        payload: Vec<u8>,
    },
    /// Work to be run and handed back.
    Work(Job),
    /// Where the attempt stands: told when a round begins and whenever a message was taken while
    /// others are missing.
    Waiting {
        /// The stage.
        stage: Stage,
        /// The round within the stage.
        round: Round,
        /// From whom a message is missing.
        waiting_for: BTreeSet<PartyId>,
    },
    /// The end: the last step, exactly once.
    Finished(Result<Product, EngineFailure>),
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Send { to, stage, round, payload } => {
                write!(f, "Send({to:?}, {stage}.{round}, {} bytes)", payload.len())
            }
            Self::Work(job) => write!(f, "Work({job:?})"),
            Self::Waiting { stage, round, waiting_for } => {
                write!(f, "Waiting({stage}.{round}, {waiting_for:?})")
            }
            Self::Finished(result) => write!(f, "Finished({result:?})"),
        }
    }
}

/// One Ed25519 key of each member.
pub(crate) type Keys = BTreeMap<PartyId, ProvenKey>;

/// Who runs the attempt, and with whom.
#[derive(Debug, Clone)]
pub struct RunContext {
    /// This party, with the key that it joined with.
    pub identity: Identity,
    /// The plan that every member joined.
    pub plan_hash: PlanHash,
    /// Every member's join, this party's included. The keys are the members.
    pub joins: BTreeMap<PartyId, VerifiedJoin>,
}

impl RunContext {
    /// This party.
    pub(crate) fn me(&self) -> PartyId {
        self.identity.party()
    }

    /// Everybody who takes part.
    pub(crate) fn members(&self) -> BTreeSet<PartyId> {
        self.joins.keys().copied().collect()
    }

    /// The key that each member signs with in this attempt: the one that it joined with.
    pub(crate) fn keys(&self) -> Keys {
        self.joins.iter().map(|(member, join)| (*member, join.key())).collect()
    }

    /// The session id that a stage's protocol uses.
    pub(crate) fn session_id(&self, stage: Stage) -> ProtocolSessionId {
        protocol_session_id(stage, self.plan_hash, &self.joins)
    }

    fn check(&self) -> Result<(), EngineFailure> {
        let Some(own) = self.joins.get(&self.me()) else {
            return Err(EngineFailure::internal("this party is not among the members"));
        };
        let fault = if own.key() != self.identity.proven_key() {
            // Its peers would take what it signs with the other key for a forgery.
            "this party has rotated its key since it joined"
        } else if !(2..=MAX_PARTIES).contains(&self.joins.len()) {
            "too few or too many members"
        } else if self.joins.iter().any(|(member, join)| join.member() != *member) {
            "a join is filed under another member"
        } else if self.joins.values().any(|join| join.plan_hash() != self.plan_hash) {
            "a join is for another plan"
        } else {
            return Ok(());
        };
        Err(EngineFailure::internal(fault))
    }
}

/// What the attempt is to make.
#[derive(Debug, Clone)]
pub enum Task {
    /// A new key among all members.
    Keygen {
        /// How many of them will sign together.
        threshold: Threshold,
    },
    /// An aux set of all members.
    Aux,
    /// A signature by the members, who are exactly as many as the key's threshold.
    Sign {
        /// This party's share, from [`Product::Keygen`].
        share: SecretBytes,
        /// This party's part of an aux set that all members belong to, from [`Product::Aux`], for
        /// schemes that need one.
        aux: Option<SecretBytes>,
        /// The key that the share must belong to.
        public_key: PublicKey,
        /// What is signed: a digest of 32 bytes, or bytes as they are where the scheme signs such.
        message: Vec<u8>,
    },
}

/// What an attempt made.
#[derive(Debug, Clone)]
pub enum Product {
    /// A key.
    Keygen {
        /// This party's share: a format-version byte, then what the library keeps, in MessagePack.
        share: SecretBytes,
        /// The key.
        public_key: PublicKey,
        /// Every member's public share, checked to belong to the key.
        public_shares: BTreeMap<PartyId, PublicKey>,
    },
    /// An aux set.
    Aux {
        /// The set's id, the same for every member.
        aux_id: AuxId,
        /// This party's part: a format-version byte, then the library's value in MessagePack.
        secret: SecretBytes,
    },
    /// A signature that stood its verification.
    Signature(Signature),
}

/// Makes the engine for one attempt.
///
/// # Errors
/// [`EngineFailure`] of kind `Internal` if task and context contradict each other.
pub fn engine(
    scheme: Scheme,
    task: Task,
    context: RunContext,
) -> Result<Box<dyn Engine>, EngineFailure> {
    context.check()?;
    match scheme {
        Scheme::EcdsaCggmp24 => cggmp24::engine(task, context, Guarding::On),
        Scheme::EddsaFrostEd25519 => frost::engine::<Ed25519Sha512>(task, &context),
        Scheme::SchnorrFrostSecp256k1Tr => frost::engine::<Secp256K1Sha256TR>(task, &context),
    }
}

/// As [`engine`], with nothing between the wire and the library: what that alone lets pass.
///
/// # Errors
/// As [`engine`].
#[cfg(feature = "attacks")]
pub fn engine_without_guard(
    task: Task,
    context: RunContext,
) -> Result<Box<dyn Engine>, EngineFailure> {
    context.check()?;
    cggmp24::engine(task, context, Guarding::Off)
}
