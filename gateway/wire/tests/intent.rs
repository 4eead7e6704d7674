//! What an intent must be to be considered at all, and what it signs.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use mpc_wire::intent::InvalidIntent;
use mpc_wire::limits::{MAX_PARTIES, MAX_PAYLOAD_BYTES};
use mpc_wire::payload::canary_digest;
use mpc_wire::{
    AccountId, DerivationPath, Epoch, HashFunction, Intent, IntentKind, PartyId, Payload, PlanHash,
    PublicKey, RequestId, Scheme, SessionId, Threshold, UnixMillis,
};
use std::collections::BTreeSet;
use uuid::Uuid;

const SCHEME: Scheme = Scheme::EcdsaCggmp24;

const CANARY: Payload = Payload::Canary { plan: PlanHash::new([5; 32]) };

fn account() -> AccountId {
    AccountId::new(Uuid::from_u128(3))
}

fn parties(count: usize) -> BTreeSet<PartyId> {
    (1..).map(|party| PartyId::new([party; 32])).take(count).collect()
}

fn intent(eligible: usize, kind: IntentKind) -> Intent {
    Intent {
        session: SessionId::new(Uuid::from_u128(1)),
        request: RequestId::new(Uuid::from_u128(2)),
        eligible: parties(eligible),
        expires_at: UnixMillis(1),
        kind,
    }
}

fn sign(threshold: u16, payload: Payload) -> IntentKind {
    IntentKind::Sign {
        account: account(),
        epoch: Epoch(0),
        scheme: SCHEME,
        threshold: Threshold(threshold),
        public_key: PublicKey::new([2; 33]),
        path: DerivationPath::default(),
        payload,
        authorization: None,
    }
}

fn reshare(old: u16, new: u16, new_holders: usize) -> IntentKind {
    IntentKind::Reshare {
        account: account(),
        epoch: Epoch(0),
        scheme: SCHEME,
        old_threshold: Threshold(old),
        new_threshold: Threshold(new),
        new_holders: parties(new_holders),
    }
}

/// One of each kind that has a single threshold.
fn with_threshold(threshold: u16) -> [IntentKind; 4] {
    let (account, epoch, scheme) = (account(), Epoch(0), SCHEME);
    let threshold = Threshold(threshold);
    [
        IntentKind::Keygen { account, scheme, threshold },
        sign(threshold.0, CANARY),
        IntentKind::Refresh { account, epoch, scheme, threshold, aux_id: None },
        IntentKind::Replace { account, epoch, scheme, threshold, lost: PartyId::new([1; 32]) },
    ]
}

#[test]
fn two_to_the_most_parties_can_take_part() {
    let kinds =
        with_threshold(2).into_iter().chain([IntentKind::Aux { scheme: SCHEME }, reshare(2, 2, 3)]);
    for kind in kinds {
        for count in [0, 1, MAX_PARTIES + 1] {
            assert_eq!(intent(count, kind.clone()).check(), Err(InvalidIntent::Parties(count)));
        }
        for count in [2, 3, MAX_PARTIES] {
            assert_eq!(intent(count, kind.clone()).check(), Ok(()));
        }
    }
}

#[test]
fn a_threshold_is_two_to_all() {
    for (threshold, fits) in
        [(0, false), (1, false), (2, true), (5, true), (6, false), (u16::MAX, false)]
    {
        for kind in with_threshold(threshold) {
            let expected = InvalidIntent::Threshold { threshold: Threshold(threshold), parties: 5 };
            let expected = if fits { Ok(()) } else { Err(expected) };
            assert_eq!(intent(5, kind).check(), expected);
        }
    }
}

#[test]
fn a_reshare_has_two_thresholds_of_two_sets() {
    let check = |kind| intent(3, kind).check();
    let refused = |threshold, parties| {
        Err(InvalidIntent::Threshold { threshold: Threshold(threshold), parties })
    };
    assert_eq!(check(reshare(3, 4, 4)), Ok(()));
    assert_eq!(check(reshare(4, 4, 4)), refused(4, 3));
    assert_eq!(check(reshare(1, 4, 4)), refused(1, 3));
    assert_eq!(check(reshare(3, 5, 4)), refused(5, 4));
    assert_eq!(check(reshare(3, 1, 4)), refused(1, 4));
    for count in [1, MAX_PARTIES + 1] {
        assert_eq!(check(reshare(2, 2, count)), Err(InvalidIntent::Parties(count)));
    }
}

#[test]
fn a_payload_is_bounded() {
    let check = |length| {
        let payload = Payload::Bytes { bytes: vec![0; length], hash: HashFunction::Sha256 };
        intent(3, sign(2, payload)).check()
    };
    assert_eq!(check(0), Ok(()));
    assert_eq!(check(MAX_PAYLOAD_BYTES), Ok(()));
    let error = check(MAX_PAYLOAD_BYTES + 1).unwrap_err();
    assert_eq!(
        error.to_string(),
        "message of 65537 bytes; at most 65536 can be signed, hash it first"
    );
}

#[test]
fn errors_say_what_is_possible() {
    assert_eq!(
        InvalidIntent::Parties(21).to_string(),
        "21 eligible parties; an intent names 2 to 20"
    );
    let error = InvalidIntent::Threshold { threshold: Threshold(4), parties: 3 };
    assert_eq!(
        error.to_string(),
        "threshold 4 of 3 parties; it must be at least 2 and at most all"
    );
}

#[test]
fn only_signing_needs_no_more_than_the_threshold() {
    let size = |kind| intent(5, kind).quorum_size();
    assert_eq!(with_threshold(2).map(size), [5, 2, 5, 5]);
    assert_eq!(size(IntentKind::Aux { scheme: SCHEME }), 5);
    assert_eq!(size(reshare(2, 2, 3)), 5);
}

#[test]
fn kinds_say_what_they_concern() {
    for kind in with_threshold(2).into_iter().chain([reshare(2, 2, 3)]) {
        assert_eq!(kind.account(), Some(account()), "{}", kind.name());
        assert_eq!(kind.scheme(), SCHEME);
        let json = serde_json::to_value(&kind).unwrap();
        assert!(json.get(kind.name()).is_some(), "{}", kind.name());
    }
    let aux = IntentKind::Aux { scheme: SCHEME };
    assert_eq!((aux.account(), aux.name()), (None, "aux"));
}

/// The digests of "abc" are those of FIPS 180-4 and of the Keccak team; the second is not SHA3's.
#[test]
fn payloads_have_the_digests_of_their_functions() {
    let key = PublicKey::new([2; 33]);
    let digest = |payload: Payload| hex::encode(payload.message(account(), Epoch(4), &key));
    let abc = |hash| Payload::Bytes { bytes: b"abc".to_vec(), hash };
    assert_eq!(
        digest(abc(HashFunction::Sha256)),
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
    assert_eq!(
        digest(abc(HashFunction::Keccak256)),
        "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45"
    );
    assert_eq!(digest(Payload::Digest([9; 32])), "09".repeat(32));
    assert_eq!(digest(Payload::Message(b"abc".to_vec())), "616263");
    assert_eq!(digest(CANARY), hex::encode(canary_digest(account(), Epoch(4), &key)));
}

#[test]
fn a_public_key_longer_than_any_schemes_is_refused() {
    let with_key = |len: usize| {
        let mut kind = sign(2, CANARY);
        if let IntentKind::Sign { public_key, .. } = &mut kind {
            *public_key = PublicKey::new(vec![2; len]);
        }
        intent(3, kind).check()
    };
    assert_eq!(with_key(65), Ok(()));
    assert_eq!(with_key(66), Err(InvalidIntent::PublicKey(66)));
}

#[test]
fn only_a_holder_can_have_lost_its_share() {
    let replace = |lost: u8| {
        let (account, epoch, scheme) = (account(), Epoch(0), SCHEME);
        let (threshold, lost) = (Threshold(2), PartyId::new([lost; 32]));
        intent(3, IntentKind::Replace { account, epoch, scheme, threshold, lost }).check()
    };
    assert_eq!(replace(3), Ok(()));
    assert_eq!(replace(4), Err(InvalidIntent::NotAHolder));
}

#[test]
fn a_payload_fits_its_scheme() {
    let hashed = || Payload::Bytes { bytes: b"abc".to_vec(), hash: HashFunction::Sha256 };
    for scheme in Scheme::ALL {
        let signs_bytes = scheme.signs_bytes();
        assert_eq!(Payload::Message(b"abc".to_vec()).check_fits(*scheme).is_ok(), signs_bytes);
        assert_eq!(Payload::Digest([9; 32]).check_fits(*scheme).is_ok(), !signs_bytes);
        assert_eq!(hashed().check_fits(*scheme).is_ok(), !signs_bytes);
        assert_eq!(CANARY.check_fits(*scheme), Ok(()));
    }
}
