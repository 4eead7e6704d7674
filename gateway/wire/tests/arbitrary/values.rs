//! Strategies for the values that have canonical bytes.

use mpc_wire::{
    AccountId, Attempt, AttemptPlan, AuxId, Epoch, HashFunction, Intent, IntentHash, IntentKind,
    Nonce, PartyId, Payload, PlanHash, PublicKey, RequestId, Round, RoundHeader, Scheme, Seq,
    SessionId, SignedJoin, Stage, Threshold, UnixMillis,
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

fn account() -> impl Strategy<Value = AccountId> {
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

fn payload() -> impl Strategy<Value = Payload> {
    let hash = prop_oneof![Just(HashFunction::Sha256), Just(HashFunction::Keccak256)];
    prop_oneof![
        any::<[u8; 32]>().prop_map(Payload::Digest),
        (vec(any::<u8>(), 0..40), hash).prop_map(|(bytes, hash)| Payload::Bytes { bytes, hash }),
        Just(Payload::Canary),
    ]
}

fn kind() -> impl Strategy<Value = IntentKind> {
    let at = || (account(), epoch(), scheme(), threshold());
    prop_oneof![
        (account(), scheme(), threshold()).prop_map(|(account, scheme, threshold)| {
            IntentKind::Keygen { account, scheme, threshold }
        }),
        scheme().prop_map(|scheme| IntentKind::Aux { scheme }),
        (at(), public_key(), payload()).prop_map(
            |((account, epoch, scheme, threshold), public_key, payload)| IntentKind::Sign {
                account,
                epoch,
                scheme,
                threshold,
                public_key,
                payload,
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
    let arrays = any::<([u8; 32], [u8; 32], [[u8; 32]; 2])>();
    (party(), nonce(), arrays).prop_map(|(member, nonce, (plan_hash, hpke_key, [r, s]))| {
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&r);
        signature[32..].copy_from_slice(&s);
        SignedJoin { member, plan_hash: PlanHash::new(plan_hash), nonce, hpke_key, signature }
    })
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
