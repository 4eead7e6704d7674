//! Canonical bytes stand for one value of one type only.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

#[path = "canonical/leaves.rs"]
mod leaves;
#[path = "canonical/reader.rs"]
mod reader;
#[path = "arbitrary/statements.rs"]
mod statements;
#[path = "arbitrary/values.rs"]
mod values;

use leaves::changed_leaves;
use mpc_wire::audit::{Entry, Head};
use mpc_wire::canonical::CanonicalWriter;
use mpc_wire::handshake::{Challenge, Hello};
use mpc_wire::payload::canary_digest;
use mpc_wire::plan::protocol_session_id;
use mpc_wire::{
    Attempt, AttemptPlan, Canonical, EnrolmentToken, EntryHash, Epoch, EpochKey, EpochStatement,
    Identity, Inquiry, Intent, Nonce, PartyId, PlanHash, PublicKey, RoundHeader, SignedBan,
    SignedHead, SignedJoin, SigningRequest, Stage, Testimony, UnixMillis, VerifiedJoin,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};

fn config() -> ProptestConfig {
    ProptestConfig {
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..ProptestConfig::default()
    }
}

/// Changes every part of the value's JSON form in turn; each change must change the hash, except
/// in the fields that are not hashed.
fn every_field_counts<T>(value: &T, unhashed: &[&str])
where
    T: Canonical + Serialize + DeserializeOwned,
{
    let json = serde_json::to_value(value).unwrap();
    let changes = changed_leaves(&json);
    assert!(!changes.is_empty());
    for (at, changed) in changes {
        let changed: T = serde_json::from_value(changed)
            .unwrap_or_else(|error| panic!("{at} changed is no value: {error}"));
        let counts = !unhashed.iter().any(|field| at.starts_with(field));
        assert_eq!(changed.canonical_hash() != value.canonical_hash(), counts, "{at}");
    }
}

fn header_of(bytes: &[u8]) -> &[u8] {
    let (length, rest) = bytes.split_first().unwrap();
    rest.get(..usize::from(*length)).unwrap()
}

proptest! {
    #![proptest_config(config())]

    /// If the bytes can be read back, no two intents share them.
    #[test]
    fn an_intent_can_be_read_back_from_its_bytes(intent in values::intent()) {
        prop_assert_eq!(reader::intent(&intent.canonical_bytes()), Some(intent));
    }

    #[test]
    fn a_plan_can_be_read_back_from_its_bytes(plan in values::plan()) {
        prop_assert_eq!(reader::plan(&plan.canonical_bytes()), Some(plan));
    }

    #[test]
    fn two_intents_differ_in_their_bytes(one in values::intent(), two in values::intent()) {
        prop_assert_eq!(one == two, one.canonical_bytes() == two.canonical_bytes());
        prop_assert_eq!(one == two, one.hash() == two.hash());
    }

    /// The kind and payload alone: nothing else tells the two intents apart.
    #[test]
    fn two_kinds_differ_in_their_bytes(one in values::intent(), two in values::intent()) {
        let other = Intent { kind: two.kind, ..one.clone() };
        prop_assert_eq!(one == other, one.canonical_bytes() == other.canonical_bytes());
    }

    #[test]
    fn every_field_of_an_intent_counts(intent in values::intent()) {
        every_field_counts(&intent, &[]);
    }

    #[test]
    fn every_field_of_a_plan_counts(plan in values::plan()) {
        every_field_counts(&plan, &[]);
    }

    #[test]
    fn every_field_of_a_join_but_its_signature_counts(join in values::join()) {
        every_field_counts(&join, &["/signature"]);
    }

    #[test]
    fn every_field_of_a_round_header_counts(header in values::header()) {
        every_field_counts(&header, &[]);
    }

    #[test]
    fn every_field_of_an_audit_entry_counts(
        entry in statements::entry(), before in any::<[u8; 32]>(),
    ) {
        let before = EntryHash::new(before);
        let hash = entry.hash(&before);
        for (at, changed) in changed_leaves(&serde_json::to_value(&entry).unwrap()) {
            let changed: Entry = serde_json::from_value(changed).unwrap();
            prop_assert_ne!(changed.hash(&before), hash, "{}", at);
        }
        prop_assert_ne!(entry.hash(&hash), hash);
    }

    /// A text moved from one field into the next, for one, must not make the same bytes.
    #[test]
    fn two_audit_entries_differ_in_their_hash(
        one in statements::entry(), two in statements::entry(),
    ) {
        let moved = Entry {
            actor: String::new(),
            subject: format!("{}{}", one.actor, one.subject),
            ..one.clone()
        };
        for two in [two, moved] {
            let before = Head::EMPTY.hash;
            prop_assert_eq!(one == two, one.hash(&before) == two.hash(&before));
        }
    }

    #[test]
    fn every_field_of_a_signing_request_counts(
        (requester, request, expires_at) in (values::requester(), values::request(), any::<u64>()),
        (account, public_key) in (values::account(), values::public_key()),
        (path, payload) in (values::path(), values::payload()),
        (other_requester, other_request) in (values::requester(), values::request()),
        (other_account, other_key) in (values::account(), values::public_key()),
        (other_path, other_payload) in (values::path(), values::payload()),
    ) {
        let of = |requester, request, expires_at, account, public_key, path, payload| {
            let expires_at = UnixMillis(expires_at);
            SigningRequest { requester, request, expires_at, account, public_key, path, payload }
        };
        let (r, k, d, p) = (&requester, &public_key, &path, &payload);
        let one = of(r, request, expires_at, account, k, d, p);
        let others = [
            of(&other_requester, request, expires_at, account, k, d, p),
            of(r, other_request, expires_at, account, k, d, p),
            of(r, request, expires_at ^ 1, account, k, d, p),
            of(r, request, expires_at, other_account, k, d, p),
            of(r, request, expires_at, account, &other_key, d, p),
            of(r, request, expires_at, account, k, &other_path, p),
            of(r, request, expires_at, account, k, d, &other_payload),
        ];
        for other in others {
            prop_assert_eq!(one == other, one.canonical_bytes() == other.canonical_bytes());
        }
    }

    #[test]
    fn every_field_of_a_hello_counts(
        server in ".{0,9}", label in ".{0,9}", nonce in values::nonce(), party in values::party(),
    ) {
        let hash = |server: &str, nonce: Nonce, party: PartyId, label: &str, token| {
            let challenge = Challenge { version: 1, server: server.to_owned(), nonce };
            Hello { challenge: &challenge, party, label, token }.canonical_hash()
        };
        let token = |text: String| EnrolmentToken::try_from(text).unwrap();
        let all = [
            hash(&server, nonce, party, &label, None),
            hash(&format!("{server}x"), nonce, party, &label, None),
            hash(&server, Nonce::new(*party.as_bytes()), party, &label, None),
            hash(&server, nonce, PartyId::new(*nonce.as_bytes()), &label, None),
            hash(&server, nonce, party, &format!("x{label}"), None),
            hash(&server, nonce, party, &label, Some(&token(label.clone()))),
            hash(&server, nonce, party, &label, Some(&token(format!("{label}x")))),
        ];
        prop_assert_eq!(BTreeSet::from(all).len(), all.len());
    }

    #[test]
    fn the_order_of_a_set_does_not_matter(
        intent in values::intent(),
        (given, shuffled) in vec(values::party(), 0..8)
            .prop_flat_map(|parties| (Just(parties.clone()), Just(parties).prop_shuffle())),
    ) {
        let given = Intent { eligible: given.into_iter().collect(), ..intent.clone() };
        let mut json = serde_json::to_value(&intent).unwrap();
        let fields = json.as_object_mut().unwrap();
        fields.insert("eligible".to_owned(), serde_json::to_value(shuffled).unwrap());
        let shuffled: Intent = serde_json::from_value(json).unwrap();
        prop_assert_eq!(given.canonical_bytes(), shuffled.canonical_bytes());
    }

    #[test]
    fn types_have_domains_of_their_own(
        intent in values::intent(),
        plan in values::plan(),
        join in values::join(),
        header in values::header(),
        (head, ban) in (statements::head(), statements::ban()),
        (inquiry, testimony) in (statements::inquiry(), statements::testimony()),
        said in statements::epoch_statement(),
        (requester, public_key) in (values::requester(), values::public_key()),
        (path, payload) in (values::path(), values::payload()),
    ) {
        let request = SigningRequest {
            requester: &requester,
            request: intent.request,
            expires_at: intent.expires_at,
            account: mpc_wire::AccountId::generate(),
            public_key: &public_key,
            path: &path,
            payload: &payload,
        };
        let challenge = Challenge { version: 1, server: String::new(), nonce: join.nonce };
        let hello = Hello { challenge: &challenge, party: join.member, label: "", token: None };
        let all = [
            (Intent::DOMAIN, intent.canonical_bytes()),
            (AttemptPlan::DOMAIN, plan.canonical_bytes()),
            (SignedJoin::DOMAIN, join.canonical_bytes()),
            (RoundHeader::DOMAIN, header.canonical_bytes()),
            (Hello::DOMAIN, hello.canonical_bytes()),
            (SignedHead::DOMAIN, head.canonical_bytes()),
            (SignedBan::DOMAIN, ban.canonical_bytes()),
            (Inquiry::DOMAIN, inquiry.canonical_bytes()),
            (Testimony::DOMAIN, testimony.canonical_bytes()),
            (EpochStatement::DOMAIN, said.canonical_bytes()),
            (SigningRequest::DOMAIN, request.canonical_bytes()),
        ];
        for (domain, bytes) in &all {
            prop_assert_eq!(header_of(bytes), domain.as_bytes());
        }
        let domains: BTreeSet<_> = all.iter().map(|(domain, _)| domain).collect();
        prop_assert_eq!(domains.len(), all.len());
    }

    #[test]
    fn the_same_fields_under_another_domain_hash_otherwise(join in values::join()) {
        struct Impostor<'a>(&'a SignedJoin);
        impl Canonical for Impostor<'_> {
            const DOMAIN: &'static str = "mpc.v1/joi";
            fn write_fields(&self, out: &mut CanonicalWriter) {
                out.u8(b'n');
                self.0.write_fields(out);
            }
        }
        // All but the length of the domain is the same.
        let (impostor, own) = (Impostor(&join).canonical_bytes(), join.canonical_bytes());
        prop_assert_eq!(&impostor[1..], &own[1..]);
        prop_assert_ne!(Impostor(&join).canonical_hash(), join.canonical_hash());
    }
}

proptest! {
    // Signatures are hundreds of numbers, each changed in turn: fewer cases are as many changes.
    #![proptest_config(ProptestConfig { cases: 32, ..config() })]

    #[test]
    fn every_field_of_a_statement_but_its_signature_counts(
        head in statements::head(),
        ban in statements::ban(),
        inquiry in statements::inquiry(),
        testimony in statements::testimony(),
        said in statements::epoch_statement(),
    ) {
        every_field_counts(&head, &["/signature"]);
        every_field_counts(&ban, &["/signature"]);
        every_field_counts(&inquiry, &["/signature"]);
        every_field_counts(&testimony, &["/signature"]);
        every_field_counts(&said, &["/signature"]);
    }
}

#[test]
fn the_writer_writes_what_the_documentation_says() {
    struct Everything;
    impl Canonical for Everything {
        const DOMAIN: &'static str = "d";
        fn write_fields(&self, out: &mut CanonicalWriter) {
            out.u8(1)
                .u16(0x0203)
                .u32(0x0405_0607)
                .u64(0x0809_0a0b_0c0d_0e0f)
                .fixed(&[0x10])
                .bytes(&[0x11, 0x12])
                .text("é")
                .list([3_u8, 4].into_iter(), |out, item| {
                    out.u8(item);
                })
                .option(None::<u8>, |_, _| ())
                .option(Some(5), |out, item| {
                    out.u8(item);
                });
        }
    }
    let expected = [
        "0164",
        "01",
        "0203",
        "04050607",
        "08090a0b0c0d0e0f",
        "10",
        "00000002",
        "1112",
        "00000002",
        "c3a9",
        "00000002",
        "0304",
        "00",
        "0105",
    ];
    assert_eq!(hex::encode(Everything.canonical_bytes()), expected.concat());
}

fn joined(seeds: &[u8], plan: PlanHash, nonce: u8, key: u8) -> BTreeMap<PartyId, VerifiedJoin> {
    seeds
        .iter()
        .map(|seed| {
            let identity = Identity::from_seed(&[*seed; 32]);
            let join = SignedJoin::sign(&identity, plan, Nonce::new([nonce; 32]), [key; 32]);
            (identity.party(), join.verify().unwrap())
        })
        .collect()
}

#[test]
fn every_part_of_a_protocol_session_counts() {
    let (plan, other) = (PlanHash::new([1; 32]), PlanHash::new([2; 32]));
    let base = joined(&[1, 2], plan, 1, 1);
    let mut one_fresh = base.clone();
    one_fresh.extend(joined(&[2], plan, 9, 1));
    let mut one_rotated = base.clone();
    let rotated = Identity::from_seed(&[2; 32]).rotate().unwrap();
    let join = SignedJoin::sign(&rotated, plan, Nonce::new([1; 32]), [1; 32]);
    one_rotated.insert(rotated.party(), join.verify().unwrap());
    let ids = [
        protocol_session_id(Stage(1), plan, &base),
        protocol_session_id(Stage(2), plan, &base),
        protocol_session_id(Stage(1), other, &base),
        protocol_session_id(Stage(1), plan, &one_fresh),
        protocol_session_id(Stage(1), plan, &one_rotated),
        protocol_session_id(Stage(1), plan, &joined(&[1, 2], plan, 1, 2)),
        protocol_session_id(Stage(1), plan, &joined(&[1, 3], plan, 1, 1)),
        protocol_session_id(Stage(1), plan, &joined(&[1], plan, 1, 1)),
        protocol_session_id(Stage(1), plan, &joined(&[1, 2, 3], plan, 1, 1)),
        protocol_session_id(Stage(1), plan, &BTreeMap::new()),
    ];
    assert_eq!(BTreeSet::from(ids).len(), ids.len());
}

#[test]
fn every_part_of_a_canary_counts() {
    let account = |id| mpc_wire::AccountId::new(uuid::Uuid::from_u128(id));
    let key = |bytes: &[u8]| PublicKey::new(bytes);
    let digests = [
        canary_digest(account(1), Epoch(0), &key(&[2])),
        canary_digest(account(2), Epoch(0), &key(&[2])),
        canary_digest(account(1), Epoch(1), &key(&[2])),
        canary_digest(account(1), Epoch(0), &key(&[3])),
        canary_digest(account(1), Epoch(0), &key(&[])),
        canary_digest(account(1), Epoch(0), &key(&[2, 2])),
    ];
    assert_eq!(BTreeSet::from(digests).len(), digests.len());
}

#[test]
fn every_part_of_the_public_shares_counts() {
    let key = |bytes: &[u8]| PublicKey::new(bytes);
    let hash = |shares: &[(u8, &[u8])]| {
        let shares = shares.iter().map(|(n, share)| (PartyId::new([*n; 32]), key(share)));
        EpochKey::new(key(&[2]), &shares.collect()).shares
    };
    let hashes = [
        hash(&[]),
        hash(&[(1, &[2])]),
        hash(&[(2, &[2])]),
        hash(&[(1, &[3])]),
        hash(&[(1, &[2]), (2, &[3])]),
        hash(&[(1, &[3]), (2, &[2])]),
        hash(&[(1, &[2, 2]), (2, &[3])]),
    ];
    assert_eq!(BTreeSet::from(hashes).len(), hashes.len());
}

#[test]
fn counters_stop_at_their_end() {
    assert_eq!(Attempt::FIRST.next(), Attempt(2));
    assert_eq!(Attempt(u32::MAX).next(), Attempt(u32::MAX));
    assert_eq!(mpc_wire::Seq(u64::MAX).next(), mpc_wire::Seq(u64::MAX));
}
