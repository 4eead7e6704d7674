//! Strategies for what parties and audit logs say, with arbitrary signatures.

#![allow(dead_code, reason = "each test uses its part of it")]

use crate::values::{account, epoch, nonce, party, party_signature, public_key};
use mpc_wire::audit::{Entry, Head};
use mpc_wire::{
    EntryHash, EpochKey, EpochPlan, EpochStatement, Inquiry, PlanHash, SharesHash, SignedBan,
    SignedHead, Testimony, UnixMillis, Verdict,
};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;

pub(crate) fn entry() -> impl Strategy<Value = Entry> {
    (any::<(u64, u64)>(), proptest::array::uniform6(".{0,9}")).prop_map(
        |((number, at), [event, actor, subject, decision, policy, detail])| Entry {
            number,
            at: UnixMillis(at),
            event,
            actor,
            subject,
            decision,
            policy,
            detail,
        },
    )
}

pub(crate) fn head() -> impl Strategy<Value = SignedHead> {
    (party(), any::<(u64, [u8; 32])>(), party_signature()).prop_map(
        |(keeper, (count, hash), signature)| {
            let head = Head { count, hash: EntryHash::new(hash) };
            SignedHead { keeper, head, signature }
        },
    )
}

pub(crate) fn ban() -> impl Strategy<Value = SignedBan> {
    (party(), party(), party_signature()).prop_map(|(by, banned, signature)| SignedBan {
        by,
        banned,
        signature,
    })
}

pub(crate) fn inquiry() -> impl Strategy<Value = Inquiry> {
    (party(), nonce(), btree_set(account(), 0..4), party_signature())
        .prop_map(|(by, nonce, accounts, signature)| Inquiry { by, nonce, accounts, signature })
}

pub(crate) fn testimony() -> impl Strategy<Value = Testimony> {
    let floors = btree_map(account(), epoch(), 0..4);
    (party(), party(), nonce(), floors, vec(ban(), 0..3), party_signature()).prop_map(
        |(by, to, nonce, floors, bans, signature)| Testimony {
            by,
            to,
            nonce,
            floors,
            bans,
            signature,
        },
    )
}

pub(crate) fn epoch_plan() -> impl Strategy<Value = EpochPlan> {
    (account(), epoch(), any::<[u8; 32]>()).prop_map(|(account, epoch, plan)| EpochPlan {
        account,
        epoch,
        plan: PlanHash::new(plan),
    })
}

pub(crate) fn epoch_statement() -> impl Strategy<Value = EpochStatement> {
    let key = || {
        (public_key(), any::<[u8; 32]>()).prop_map(|(public_key, shares)| EpochKey {
            public_key,
            shares: SharesHash::new(shares),
        })
    };
    let verdict = prop_oneof![
        key().prop_map(Verdict::Stored),
        Just(Verdict::Refused),
        key().prop_map(Verdict::Proven),
    ];
    (party(), epoch_plan(), verdict, party_signature())
        .prop_map(|(by, of, verdict, signature)| EpochStatement { by, of, verdict, signature })
}
