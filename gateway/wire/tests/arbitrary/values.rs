//! Strategies for the values that have canonical bytes.

#![allow(dead_code, reason = "each test uses its part of it")]

use mpc_wire::limits::MAX_PATH;
use mpc_wire::{
    AccountId, Attempt, AttemptPlan, Authorization, AuxId, DerivationPath, Epoch, HashFunction,
    Intent, IntentHash, IntentKind, Nonce, PartyId, PartySignature, Payload, PlanHash, PublicKey,
    RequestId, RequesterName, Round, RoundAck, RoundHeader, Scheme, Seq, SessionId, SignedJoin,
    Stage, Threshold, UnixMillis,
};
use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use std::collections::BTreeSet;
use uuid::Uuid;

pub(crate) fn party() -> impl Strategy<Value = PartyId> {
    any::<[u8; 32]>().prop_map(PartyId::new)
}

pub(crate) fn parties() -> impl Strategy<Value = BTreeSet<PartyId>> {
    btree_set(party(), 0..5)
}

pub(crate) fn aux_id() -> impl Strategy<Value = AuxId> {
    any::<[u8; 32]>().prop_map(AuxId::new)
}

pub(crate) fn nonce() -> impl Strategy<Value = Nonce> {
    any::<[u8; 32]>().prop_map(Nonce::new)
}

fn uuid() -> impl Strategy<Value = Uuid> {
    any::<[u8; 16]>().prop_map(Uuid::from_bytes)
}

pub(crate) fn session() -> impl Strategy<Value = SessionId> {
    uuid().prop_map(SessionId::new)
}

pub(crate) fn request() -> impl Strategy<Value = RequestId> {
    uuid().prop_map(RequestId::new)
}

pub(crate) fn account() -> impl Strategy<Value = AccountId> {
    uuid().prop_map(AccountId::new)
}

pub(crate) fn epoch() -> impl Strategy<Value = Epoch> {
    any::<u32>().prop_map(Epoch)
}

fn threshold() -> impl Strategy<Value = Threshold> {
    any::<u16>().prop_map(Threshold)
}

pub(crate) fn attempt() -> impl Strategy<Value = Attempt> {
    any::<u32>().prop_map(Attempt)
}

fn scheme() -> impl Strategy<Value = Scheme> {
    proptest::sample::select(Scheme::ALL)
}

pub(crate) fn public_key() -> impl Strategy<Value = PublicKey> {
    vec(any::<u8>(), 0..40).prop_map(PublicKey::new)
}

pub(crate) fn payload() -> impl Strategy<Value = Payload> {
    let hash = prop_oneof![Just(HashFunction::Sha256), Just(HashFunction::Keccak256)];
    prop_oneof![
        any::<[u8; 32]>().prop_map(Payload::Digest),
        (vec(any::<u8>(), 0..40), hash).prop_map(|(bytes, hash)| Payload::Bytes { bytes, hash }),
        any::<[u8; 32]>().prop_map(|plan| Payload::Canary { plan: PlanHash::new(plan) }),
        vec(any::<u8>(), 0..40).prop_map(Payload::Message),
    ]
}

/// Non-hardened child numbers.
pub(crate) fn path() -> impl Strategy<Value = DerivationPath> {
    vec(0..1_u32 << 31, 0..=MAX_PATH).prop_map(|numbers| DerivationPath::try_from(numbers).unwrap())
}

pub(crate) fn requester() -> impl Strategy<Value = RequesterName> {
    "[A-Za-z0-9._-]{1,64}".prop_map(|name| RequesterName::try_from(name).unwrap())
}

/// An authorization with an arbitrary signature, which is never valid.
fn authorization() -> impl Strategy<Value = Authorization> {
    (requester(), any::<u64>(), signature_bytes()).prop_map(|(requester, expires_at, signature)| {
        Authorization { requester, expires_at: UnixMillis(expires_at), signature }
    })
}

fn signature_bytes() -> impl Strategy<Value = [u8; 64]> {
    any::<[[u8; 32]; 2]>().prop_map(|halves| {
        let mut signature = [0; 64];
        signature.copy_from_slice(&halves.concat());
        signature
    })
}

/// Up to three rotations and a signature, all arbitrary and hardly ever valid.
pub(crate) fn party_signature() -> impl Strategy<Value = PartySignature> {
    let rotation = (any::<[u8; 32]>(), signature_bytes())
        .prop_map(|(key, signature)| [&key[..], &signature].concat());
    (vec(rotation, 0..=3), signature_bytes()).prop_map(|(rotations, signature)| {
        PartySignature::from_bytes(&[&rotations.concat()[..], &signature].concat()).unwrap()
    })
}

fn kind() -> impl Strategy<Value = IntentKind> {
    let at = || (account(), epoch(), scheme(), threshold());
    prop_oneof![
        (account(), scheme(), threshold()).prop_map(|(account, scheme, threshold)| {
            IntentKind::Keygen { account, scheme, threshold }
        }),
        scheme().prop_map(|scheme| IntentKind::Aux { scheme }),
        (at(), public_key(), path(), payload(), option::of(authorization())).prop_map(
            |((account, epoch, scheme, threshold), public_key, path, payload, authorization)| {
                IntentKind::Sign {
                    account,
                    epoch,
                    scheme,
                    threshold,
                    public_key,
                    path,
                    payload,
                    authorization,
                }
            }
        ),
        (at(), option::of(aux_id())).prop_map(|((account, epoch, scheme, threshold), aux_id)| {
            IntentKind::Refresh { account, epoch, scheme, threshold, aux_id }
        }),
        (at(), threshold(), parties()).prop_map(
            |((account, epoch, scheme, old_threshold), new_threshold, new_holders)| {
                IntentKind::Reshare {
                    account,
                    epoch,
                    scheme,
                    old_threshold,
                    new_threshold,
                    new_holders,
                }
            }
        ),
        (at(), party()).prop_map(|((account, epoch, scheme, threshold), lost)| {
            IntentKind::Replace { account, epoch, scheme, threshold, lost }
        }),
    ]
}

pub(crate) fn intent() -> impl Strategy<Value = Intent> {
    (session(), request(), parties(), any::<u64>(), kind()).prop_map(
        |(session, request, eligible, expires_at, kind)| Intent {
            session,
            request,
            eligible,
            expires_at: UnixMillis(expires_at),
            kind,
        },
    )
}

pub(crate) fn plan() -> impl Strategy<Value = AttemptPlan> {
    let aux_id = option::of(aux_id());
    (session(), any::<[u8; 32]>(), attempt(), parties(), aux_id).prop_map(
        |(session, intent_hash, attempt, quorum, aux_id)| AttemptPlan {
            session,
            intent_hash: IntentHash::new(intent_hash),
            attempt,
            quorum,
            aux_id,
        },
    )
}

/// Joins with arbitrary signatures, which are hardly ever valid.
pub(crate) fn join() -> impl Strategy<Value = SignedJoin> {
    let arrays = any::<([u8; 32], [u8; 32])>();
    (party(), nonce(), arrays, party_signature()).prop_map(
        |(member, nonce, (plan_hash, hpke_key), signature)| SignedJoin {
            member,
            plan_hash: PlanHash::new(plan_hash),
            nonce,
            hpke_key,
            signature,
        },
    )
}

pub(crate) fn ack() -> impl Strategy<Value = RoundAck> {
    (session(), attempt(), party(), party(), any::<u64>()).prop_map(
        |(session, attempt, from, to, next)| RoundAck {
            session,
            attempt,
            from,
            to,
            next: Seq(next),
        },
    )
}

pub(crate) fn header() -> impl Strategy<Value = RoundHeader> {
    (session(), attempt(), party(), party(), any::<(u8, u16, u64)>()).prop_map(
        |(session, attempt, from, to, (stage, round, seq))| RoundHeader {
            session,
            attempt,
            from,
            to,
            stage: Stage(stage),
            round: Round(round),
            seq: Seq(seq),
        },
    )
}
