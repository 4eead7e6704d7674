//! The published vectors, which a second implementation made, are what this crate computes.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a vector that cannot be read is a failure of the test"
)]

use mpc_wire::handshake::{Challenge, Hello};
use mpc_wire::payload::canary_digest;
use mpc_wire::plan::protocol_session_id;
use mpc_wire::{
    AccountId, AttemptPlan, Canonical, Epoch, Identity, Intent, IntentKind, PartyId, Payload,
    PlanHash, PublicKey, RoundHeader, SignedJoin, Stage,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    r#type: Type,
    name: String,
    value: Value,
    canonical: String,
    sha256: String,
    seed: Option<String>,
    signature: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Type {
    Intent,
    Plan,
    Join,
    ProtocolSession,
    Hello,
    Round,
    Canary,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProtocolSession {
    stage: Stage,
    plan_hash: PlanHash,
    joins: Vec<SignedJoin>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HelloValue {
    challenge: Challenge,
    party: PartyId,
    label: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Canary {
    account: AccountId,
    epoch: Epoch,
    public_key: PublicKey,
}

impl Vector {
    fn value<T: DeserializeOwned>(&self) -> T {
        serde_json::from_value(self.value.clone())
            .unwrap_or_else(|error| panic!("{:?}, {}: {error}", self.r#type, self.name))
    }

    fn identity(&self) -> Identity {
        let seed: PartyId = self.seed.as_deref().expect("a seed").parse().expect("hex");
        Identity::from_seed(seed.as_bytes())
    }

    /// What this crate makes of the value: the bytes, where it hands them out, and the hash.
    fn compute(&self) -> (Option<Vec<u8>>, [u8; 32]) {
        match self.r#type {
            Type::Intent => {
                let intent: Intent = self.value();
                assert_eq!(intent.hash().as_bytes(), &intent.canonical_hash());
                both(&intent)
            }
            Type::Plan => {
                let plan: AttemptPlan = self.value();
                assert_eq!(plan.hash().as_bytes(), &plan.canonical_hash());
                both(&plan)
            }
            Type::Join => both(&self.value::<SignedJoin>()),
            Type::Round => both(&self.value::<RoundHeader>()),
            Type::Hello => {
                let value: HelloValue = self.value();
                both(&Hello {
                    challenge: &value.challenge,
                    party: value.party,
                    label: &value.label,
                })
            }
            Type::ProtocolSession => {
                let value: ProtocolSession = self.value();
                let joins: BTreeMap<_, _> = value
                    .joins
                    .iter()
                    .map(|join| (join.member, join.verify().expect("a valid join")))
                    .collect();
                let id = protocol_session_id(value.stage, value.plan_hash, &joins);
                (None, *id.as_bytes())
            }
            Type::Canary => {
                let value: Canary = self.value();
                (None, canary_digest(value.account, value.epoch, &value.public_key))
            }
        }
    }
}

fn both(value: &impl Canonical) -> (Option<Vec<u8>>, [u8; 32]) {
    (Some(value.canonical_bytes()), value.canonical_hash())
}

fn vectors() -> Vec<Vector> {
    serde_json::from_str(include_str!("../vectors/canonical.json")).expect("the vectors")
}

#[test]
fn bytes_and_hashes_are_the_published_ones() {
    for vector in vectors() {
        let at = format!("{:?}, {}", vector.r#type, vector.name);
        let published = hex::decode(&vector.canonical).unwrap();
        let (bytes, hash) = vector.compute();
        if let Some(bytes) = bytes {
            assert_eq!(hex::encode(bytes), vector.canonical, "{at}");
        }
        assert_eq!(hex::encode(hash), vector.sha256, "{at}");
        // For types that hand out their hash alone this is what ties it to the published bytes.
        assert_eq!(hash, <[u8; 32]>::from(Sha256::digest(&published)), "{at}");
    }
}

#[test]
fn signatures_are_the_published_ones() {
    let mut signed = BTreeSet::new();
    for vector in vectors().iter().filter(|vector| vector.seed.is_some()) {
        let bytes = hex::decode(&vector.canonical).unwrap();
        let identity = vector.identity();
        let signature = identity.sign(&bytes);
        assert_eq!(Some(hex::encode(signature)), vector.signature);
        assert_eq!(identity.party().verify(&bytes, &signature), Ok(()));
        signed.insert(vector.r#type);
    }
    assert_eq!(signed, BTreeSet::from([Type::Join, Type::Hello]));
}

#[test]
fn joins_are_made_and_accepted_as_published() {
    for vector in vectors().iter().filter(|v| v.r#type == Type::Join) {
        let join: SignedJoin = vector.value();
        let made = SignedJoin::sign(&vector.identity(), join.plan_hash, join.nonce, join.hpke_key);
        assert_eq!(made, join);
        assert_eq!(join.verify().unwrap().as_join(), &join);
    }
}

#[test]
fn every_type_and_every_kind_of_intent_and_payload_has_a_vector() {
    let mut types = BTreeMap::<_, usize>::new();
    let mut seen = BTreeSet::new();
    for vector in vectors() {
        *types.entry(vector.r#type).or_default() += 1;
        if vector.r#type != Type::Intent {
            continue;
        }
        let intent: Intent = vector.value();
        assert_eq!(intent.check(), Ok(()), "{}", vector.name);
        seen.insert(match intent.kind {
            IntentKind::Sign { payload, .. } => match payload {
                Payload::Digest(_) => "sign digest".to_owned(),
                Payload::Bytes { hash, .. } => format!("sign {hash:?}"),
                Payload::Canary => "sign canary".to_owned(),
            },
            IntentKind::Refresh { aux_id, .. } => format!("refresh {}", aux_id.is_some()),
            IntentKind::Keygen { .. }
            | IntentKind::Aux { .. }
            | IntentKind::Reshare { .. }
            | IntentKind::Replace { .. } => intent.kind.name().to_owned(),
        });
    }
    assert_eq!(
        seen.iter().map(String::as_str).collect::<Vec<_>>(),
        [
            "aux",
            "keygen",
            "refresh false",
            "refresh true",
            "replace",
            "reshare",
            "sign Keccak256",
            "sign Sha256",
            "sign canary",
            "sign digest",
        ]
    );
    let types: Vec<_> = types.into_values().collect();
    assert_eq!(types, [11, 2, 2, 2, 2, 2, 1], "in the order of `Type`");
}
