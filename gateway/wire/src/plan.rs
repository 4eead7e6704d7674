//! One try at an intent: who takes part, and each member's signed consent to exactly that.

use crate::canonical::{Canonical, CanonicalWriter};
use crate::identity::{Identity, InvalidSignature};
use crate::ids::{
    Attempt, AuxId, IntentHash, Nonce, PartyId, PlanHash, ProtocolSessionId, SessionId, Stage,
};
use crate::limits::VERSION;
use crate::signature::{PartySignature, ProvenKey};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// One try within a session. Canonical domain `mpc.v1/plan`; fields in the order given here.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttemptPlan {
    /// The session.
    pub session: SessionId,
    /// The intent that this is a try at.
    pub intent_hash: IntentHash,
    /// The number of the try.
    pub attempt: Attempt,
    /// The parties that take part.
    pub quorum: BTreeSet<PartyId>,
    /// The aux set to use, for schemes that need one.
    pub aux_id: Option<AuxId>,
}

impl AttemptPlan {
    /// SHA-256 of the canonical bytes.
    pub fn hash(&self) -> PlanHash {
        PlanHash::new(self.canonical_hash())
    }
}

impl Canonical for AttemptPlan {
    const DOMAIN: &'static str = "mpc.v1/plan";

    fn write_fields(&self, out: &mut CanonicalWriter) {
        out.fixed(self.session.as_bytes())
            .fixed(self.intent_hash.as_bytes())
            .u32(self.attempt.0)
            .parties(&self.quorum)
            .option(self.aux_id.as_ref(), |out, id| {
                out.fixed(id.as_bytes());
            });
    }
}

/// A member's consent to one plan, with its half of the attempt's key agreement. The signature is
/// over the canonical bytes (domain `mpc.v1/join`): member, plan hash, nonce, HPKE key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedJoin {
    /// Who joins.
    pub member: PartyId,
    /// What is joined.
    pub plan_hash: PlanHash,
    /// Fresh randomness of the member, so that no two runs share a protocol session id.
    pub nonce: Nonce,
    /// The member's X25519 public key for this attempt alone.
    #[serde(with = "serde_bytes")]
    pub hpke_key: [u8; 32],
    /// The member's signature.
    pub signature: PartySignature,
}

impl Canonical for SignedJoin {
    const DOMAIN: &'static str = "mpc.v1/join";

    fn write_fields(&self, out: &mut CanonicalWriter) {
        out.fixed(self.member.as_bytes())
            .fixed(self.plan_hash.as_bytes())
            .fixed(self.nonce.as_bytes())
            .fixed(&self.hpke_key);
    }
}

impl SignedJoin {
    /// Joins the plan with this hash.
    pub fn sign(
        identity: &Identity,
        plan_hash: PlanHash,
        nonce: Nonce,
        hpke_key: [u8; 32],
    ) -> Self {
        let signature = PartySignature::from([0; 64]);
        let mut join = Self { member: identity.party(), plan_hash, nonce, hpke_key, signature };
        join.signature = identity.sign(&join.canonical_bytes());
        join
    }

    /// Checks the member's signature.
    ///
    /// # Errors
    /// [`InvalidSignature`] if it is not the member's.
    pub fn verify(&self) -> Result<VerifiedJoin, InvalidSignature> {
        let key = self.member.verify(&self.canonical_bytes(), &self.signature)?;
        Ok(VerifiedJoin { join: self.clone(), key })
    }
}

/// A join whose signature is its member's: only [`SignedJoin::verify`] makes one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct VerifiedJoin {
    join: SignedJoin,
    key: ProvenKey,
}

impl VerifiedJoin {
    /// The join.
    pub fn as_join(&self) -> &SignedJoin {
        &self.join
    }

    /// The key that the member signed with.
    pub fn key(&self) -> ProvenKey {
        self.key
    }

    /// Who joined.
    pub fn member(&self) -> PartyId {
        self.join.member
    }

    /// What was joined.
    pub fn plan_hash(&self) -> PlanHash {
        self.join.plan_hash
    }

    /// The member's X25519 public key for this attempt.
    pub fn hpke_key(&self) -> &[u8; 32] {
        &self.join.hpke_key
    }
}

/// The session id that a protocol run of one stage uses: SHA-256 over the domain
/// `mpc.v1/protocol-session`, the wire version, the stage, the plan's hash and every member's
/// member id, nonce, HPKE key and Ed25519 key that it signed the join with, in the order of the
/// members. Every member put a fresh nonce in, so nobody, the coordinator least of all, can make two
/// runs share it; and members who hold one id expect each other's signatures by the same keys.
pub fn protocol_session_id(
    stage: Stage,
    plan_hash: PlanHash,
    joins: &BTreeMap<PartyId, VerifiedJoin>,
) -> ProtocolSessionId {
    ProtocolSessionId::new(CanonicalWriter::hash("mpc.v1/protocol-session", |out| {
        out.u16(VERSION).u8(stage.0).fixed(plan_hash.as_bytes()).list(
            joins.values(),
            |out, join| {
                out.fixed(join.join.member.as_bytes())
                    .fixed(join.join.nonce.as_bytes())
                    .fixed(&join.join.hpke_key)
                    .fixed(join.key.key.as_bytes());
            },
        );
    }))
}
