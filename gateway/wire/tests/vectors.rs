//! The published vectors, which a second implementation made, are what this crate computes.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a vector that cannot be read is a failure of the test"
)]

use ed25519_dalek::{Signature, VerifyingKey};
use mpc_wire::audit::{Entry, Head};
use mpc_wire::handshake::{Challenge, Hello};
use mpc_wire::payload::canary_digest;
use mpc_wire::plan::protocol_session_id;
use mpc_wire::{
    AccountId, AttemptPlan, Canonical, DerivationPath, EnrolmentToken, EntryHash, Epoch, EpochKey,
    EpochStatement, Identity, Inquiry, Intent, IntentKind, KeyNumber, PartyId, PartyKey,
    PartySignature, Payload, PlanHash, ProvenKey, PublicKey, RequestId, RequesterName, RoundHeader,
    SignedBan, SignedHead, SignedJoin, SigningRequest, Stage, Testimony, UnixMillis,
};
use p256::ecdsa::signature::Verifier;
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
    /// The signer's secret key, and those before it and after it.
    seed: Option<String>,
    earlier_seeds: Option<Vec<String>>,
    next_seed: Option<String>,
    /// A requester's choice, and its public key.
    algorithm: Option<Algorithm>,
    verifying_key: Option<String>,
    rotations: Option<String>,
    signature: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Algorithm {
    Ed25519,
    P256,
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
    SigningRequest,
    KeyRotation,
    Ban,
    Inquiry,
    Testimony,
    PublicShares,
    Epoch,
    AuditEntry,
    AuditHead,
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
    token: Option<EnrolmentToken>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SigningRequestValue {
    requester: RequesterName,
    request: RequestId,
    expires_at: UnixMillis,
    account: AccountId,
    public_key: PublicKey,
    path: DerivationPath,
    payload: Payload,
}

impl SigningRequestValue {
    fn canonical_bytes(&self) -> Vec<u8> {
        let request = SigningRequest {
            requester: &self.requester,
            request: self.request,
            expires_at: self.expires_at,
            account: self.account,
            public_key: &self.public_key,
            path: &self.path,
            payload: &self.payload,
        };
        request.canonical_bytes()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyRotation {
    party: PartyId,
    number: KeyNumber,
    before: PartyKey,
    key: PartyKey,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AuditEntry {
    before: EntryHash,
    entry: Entry,
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

    /// The signer: with the rotations that the published signature starts with.
    fn identity(&self) -> Identity {
        let seeds = self.earlier_seeds.iter().flatten().map(String::as_str).chain(self.seed());
        let mut seeds: Vec<[u8; 32]> = seeds.map(bytes).collect();
        let party = Identity::from_seed(&seeds[0]).party();
        let rotations = hex::decode(self.rotations.as_deref().unwrap_or_default()).unwrap();
        Identity::restore(party, &seeds.pop().unwrap(), &rotations).unwrap()
    }

    fn seed(&self) -> Option<&str> {
        self.seed.as_deref()
    }

    fn signature(&self) -> Vec<u8> {
        hex::decode(self.signature.as_deref().expect("a signature")).unwrap()
    }

    fn is_by_a_party(&self) -> bool {
        self.seed.is_some() && self.algorithm.is_none() && self.r#type != Type::KeyRotation
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
                    token: value.token.as_ref(),
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
            Type::SigningRequest => {
                let bytes = self.value::<SigningRequestValue>().canonical_bytes();
                let hash = Sha256::digest(&bytes).into();
                (Some(bytes), hash)
            }
            // The crate makes and verifies rotations, and never hands out what they sign: see
            // `rotations_are_made_and_accepted_as_published`.
            Type::KeyRotation => {
                (None, Sha256::digest(hex::decode(&self.canonical).unwrap()).into())
            }
            Type::Ban => both(&self.value::<SignedBan>()),
            Type::Inquiry => both(&self.value::<Inquiry>()),
            Type::Testimony => both(&self.value::<Testimony>()),
            Type::PublicShares => {
                let shares: BTreeMap<PartyId, PublicKey> = self.value();
                (None, *EpochKey::new(PublicKey::new([]), &shares).shares.as_bytes())
            }
            Type::Epoch => both(&self.value::<EpochStatement>()),
            Type::AuditEntry => {
                let value: AuditEntry = self.value();
                (None, *value.entry.hash(&value.before).as_bytes())
            }
            Type::AuditHead => both(&self.value::<SignedHead>()),
        }
    }
}

fn bytes<const N: usize>(hex: &str) -> [u8; N] {
    hex::decode(hex).unwrap().try_into().unwrap()
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
    let mut signed = BTreeMap::<_, BTreeSet<_>>::new();
    for vector in vectors().iter().filter(|vector| vector.is_by_a_party()) {
        let bytes = hex::decode(&vector.canonical).unwrap();
        let identity = vector.identity();
        let signature = identity.sign(&bytes);
        assert_eq!(signature.to_bytes(), vector.signature(), "{}", vector.name);
        let verified = identity.party().verify(&bytes, &signature);
        assert_eq!(verified, Ok(identity.proven_key()), "{}", vector.name);
        let number = identity.proven_key().number;
        signed.entry(vector.r#type).or_default().insert(number.0);
    }
    // By how often a key was rotated.
    let expected = [
        (Type::Join, vec![0, 2]),
        (Type::Hello, vec![0, 1]),
        (Type::Ban, vec![0, 1]),
        (Type::Inquiry, vec![0]),
        (Type::Testimony, vec![0]),
        (Type::Epoch, vec![0, 1]),
        (Type::AuditHead, vec![0]),
    ];
    let expected = expected.map(|(of, numbers)| (of, numbers.into_iter().collect()));
    assert_eq!(signed, BTreeMap::from(expected));
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
fn statements_are_made_and_accepted_as_published() {
    let mut count = 0;
    for vector in vectors().iter().filter(|vector| vector.is_by_a_party()) {
        let identity = vector.identity();
        let proven = Ok(identity.proven_key());
        count += 1;
        match vector.r#type {
            Type::Ban => {
                let ban: SignedBan = vector.value();
                assert_eq!(ban.verify(), proven);
                assert_eq!(SignedBan::sign(&identity, ban.banned), ban);
            }
            Type::Inquiry => {
                let inquiry: Inquiry = vector.value();
                assert_eq!(inquiry.verify(), proven);
                let made = Inquiry::sign(&identity, inquiry.nonce, inquiry.accounts.clone());
                assert_eq!(made, inquiry);
            }
            Type::Testimony => {
                let told: Testimony = vector.value();
                assert_eq!(told.verify(), proven);
                assert!(told.bans.iter().all(|ban| ban.verify().is_ok()));
            }
            Type::Epoch => {
                let said: EpochStatement = vector.value();
                assert_eq!(said.verify(), proven);
                assert_eq!(EpochStatement::sign(&identity, said.of, said.verdict.clone()), said);
            }
            Type::AuditHead => {
                let head: SignedHead = vector.value();
                assert_eq!(head.verify(), proven);
                assert_eq!(SignedHead::sign(&identity, head.head), head);
            }
            Type::Join | Type::Hello => count -= 1,
            other @ (Type::Intent
            | Type::Plan
            | Type::ProtocolSession
            | Type::Round
            | Type::Canary
            | Type::SigningRequest
            | Type::KeyRotation
            | Type::PublicShares
            | Type::AuditEntry) => panic!("{other:?} is signed"),
        }
    }
    assert_eq!(count, 11);
}

/// What a rotation signs is never handed out: that the crate accepts the published signature, and
/// that this is one over the published bytes, shows that these are the same.
#[test]
fn rotations_are_made_and_accepted_as_published() {
    for vector in vectors().iter().filter(|v| v.r#type == Type::KeyRotation) {
        let value: KeyRotation = vector.value();
        let canonical = hex::decode(&vector.canonical).unwrap();
        let signature = bytes(vector.signature.as_deref().unwrap());
        let before = VerifyingKey::from_bytes(value.before.as_bytes()).unwrap();
        before.verify_strict(&canonical, &Signature::from_bytes(&signature)).unwrap();

        let rotations = hex::decode(vector.rotations.as_deref().unwrap()).unwrap();
        assert!(rotations.ends_with(&[value.key.as_bytes().as_slice(), &signature].concat()));
        let next = bytes(vector.next_seed.as_deref().unwrap());
        let identity = Identity::restore(value.party, &next, &rotations).unwrap();
        let proven = ProvenKey { number: value.number, key: value.key };
        assert_eq!(identity.proven_key(), proven, "{}", vector.name);
        let signed = identity.sign(b"message");
        let read = PartySignature::from_bytes(&signed.to_bytes()).unwrap();
        assert_eq!(value.party.verify(b"message", &read), Ok(proven), "{}", vector.name);
    }
}

#[test]
fn requesters_signatures_are_the_published_ones() {
    let mut algorithms = Vec::new();
    for vector in vectors().iter().filter(|v| v.r#type == Type::SigningRequest) {
        let signed = vector.value::<SigningRequestValue>().canonical_bytes();
        let secret: [u8; 32] = bytes(vector.seed().unwrap());
        let key = hex::decode(vector.verifying_key.as_deref().unwrap()).unwrap();
        let algorithm = vector.algorithm.expect("an algorithm");
        match algorithm {
            Algorithm::Ed25519 => {
                let identity = Identity::from_seed(&secret);
                assert_eq!(identity.party().as_bytes().as_slice(), key);
                assert_eq!(identity.sign(&signed).to_bytes(), vector.signature());
            }
            Algorithm::P256 => {
                let signing = p256::ecdsa::SigningKey::from_slice(&secret).unwrap();
                let verifying = p256::ecdsa::VerifyingKey::from_sec1_bytes(&key).unwrap();
                assert_eq!(signing.verifying_key(), &verifying);
                let signature = p256::ecdsa::Signature::from_slice(&vector.signature()).unwrap();
                verifying.verify(&signed, &signature).unwrap();
                assert!(verifying.verify(&signed[1..], &signature).is_err());
            }
        }
        algorithms.push(algorithm);
    }
    use Algorithm::{Ed25519, P256};
    assert_eq!(algorithms, [Ed25519, Ed25519, P256, P256]);
}

#[test]
fn authorized_intents_carry_published_signatures() {
    let requests: BTreeMap<_, _> = vectors()
        .iter()
        .filter(|vector| vector.r#type == Type::SigningRequest)
        .map(|vector| (vector.canonical.clone(), vector.signature()))
        .collect();
    let mut authorized = 0;
    for vector in vectors().iter().filter(|v| v.r#type == Type::Intent) {
        let intent: Intent = vector.value();
        let Some((request, authorization)) = SigningRequest::of_intent(&intent) else { continue };
        let signature = &requests[&hex::encode(request.canonical_bytes())];
        assert_eq!(signature, &authorization.signature, "{}", vector.name);
        authorized += 1;
    }
    assert_eq!(authorized, 2);
}

/// The chain that the published heads end.
#[test]
fn published_entries_are_one_log() {
    let (mut head, mut heads) = (Head::EMPTY, Vec::new());
    for vector in vectors() {
        if vector.r#type == Type::AuditEntry {
            let AuditEntry { before, entry } = vector.value();
            assert_eq!((before, entry.number), (head.hash, head.count + 1));
            head = Head { count: entry.number, hash: entry.hash(&before) };
        } else if vector.r#type == Type::AuditHead {
            heads.push(vector.value::<SignedHead>().head);
        }
    }
    assert_eq!(heads, [Head::EMPTY, head]);
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
            IntentKind::Sign { authorization: Some(_), path, .. } => {
                format!("sign authorized {}", if path.is_root() { "root" } else { "path" })
            }
            IntentKind::Sign { payload, .. } => match payload {
                Payload::Digest(_) => "sign digest".to_owned(),
                Payload::Bytes { hash, .. } => format!("sign {hash:?}"),
                Payload::Canary { .. } => "sign canary".to_owned(),
                Payload::Message(_) => "sign message".to_owned(),
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
            "sign authorized path",
            "sign authorized root",
            "sign canary",
            "sign digest",
            "sign message",
        ]
    );
    let types: Vec<_> = types.into_values().collect();
    let expected = [14, 2, 3, 3, 4, 2, 1, 4, 2, 2, 2, 2, 1, 3, 2, 2];
    assert_eq!(types, expected, "in the order of `Type`");
}
