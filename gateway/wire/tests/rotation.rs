//! A party keeps its name when its key is rotated, and nobody can rotate it for the party.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test fails by panicking")]

use mpc_wire::codec::{decode, encode};
use mpc_wire::identity::{InvalidSignature, NotItsKey, RotatedTooOften};
use mpc_wire::limits::MAX_KEY_ROTATIONS;
use mpc_wire::signature::MalformedSignature;
use mpc_wire::{
    Identity, KeyNumber, Nonce, PartyId, PartyKey, PartySignature, PlanHash, ProvenKey, SignedJoin,
};
use proptest::prelude::*;
use proptest::sample::Index;

/// Length of a rotation in a signature.
const ROTATION: usize = 96;

fn rotated(seed: u8, times: usize) -> Identity {
    (0..times).fold(Identity::from_seed(&[seed; 32]), |identity, _| identity.rotate().unwrap())
}

fn read(bytes: &[u8]) -> PartySignature {
    PartySignature::from_bytes(bytes).unwrap()
}

/// The canonical bytes of a rotation, by its documentation.
fn statement(party: PartyId, number: u32, before: &[u8; 32], key: &[u8; 32]) -> Vec<u8> {
    let domain = b"mpc.v1/key-rotation";
    let mut bytes = vec![domain.len() as u8];
    bytes.extend_from_slice(domain);
    bytes.extend_from_slice(party.as_bytes());
    bytes.extend_from_slice(&number.to_be_bytes());
    bytes.extend_from_slice(before);
    bytes.extend_from_slice(key);
    bytes
}

/// A signature over `message` by `newest`, a founding identity, that a rotation made by `signer`
/// over the statement claims to be a newer key of the party.
fn claimed(signer: &Identity, statement: &[u8], newest: &Identity, message: &[u8]) -> Vec<u8> {
    let rotation = signer.sign(statement).to_bytes();
    [newest.party().as_bytes().as_slice(), &rotation, &newest.sign(message).to_bytes()].concat()
}

proptest! {
    // Keys are drawn and chains verified: slow, and each case stands for many.
    #![proptest_config(ProptestConfig {
        cases: 48,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_rotated_key_signs_for_its_party(
        seed in any::<u8>(), times in 0..5_usize, message in any::<[u8; 9]>(),
    ) {
        let identity = rotated(seed, times);
        let founder = Identity::from_seed(&[seed; 32]).party();
        prop_assert_eq!(identity.party(), founder);
        let proven = founder.verify(&message, &identity.sign(&message)).unwrap();
        prop_assert_eq!(proven, identity.proven_key());
        prop_assert_eq!(proven.number, KeyNumber(u32::try_from(times).unwrap()));
        prop_assert_eq!(proven == ProvenKey::founding(founder), times == 0);
        // A join tells its key, too.
        let nonce = Nonce::new([1; 32]);
        let join = SignedJoin::sign(&identity, PlanHash::new([2; 32]), nonce, [3; 32]);
        prop_assert_eq!(join.verify().unwrap().key(), proven);
    }

    #[test]
    fn any_flipped_bit_spoils_the_chain(
        seed in any::<u8>(), times in 1..4_usize, bits in proptest::collection::vec(any::<Index>(), 8),
    ) {
        let identity = rotated(seed, times);
        let bytes = identity.sign(b"message").to_bytes();
        for bit in bits {
            let bit = bit.index(8 * bytes.len());
            let mut spoilt = bytes.clone();
            spoilt[bit / 8] ^= 1 << (bit % 8);
            let result = identity.party().verify(b"message", &read(&spoilt));
            prop_assert_eq!(result, Err(InvalidSignature), "bit {} of {}", bit, 8 * bytes.len());
        }
    }

    #[test]
    fn a_chain_is_whole_and_in_order(seed in any::<u8>(), gap in 0..3_usize) {
        let identity = rotated(seed, 3);
        let bytes = identity.sign(b"message").to_bytes();
        let (first, last) = (gap * ROTATION, (gap + 1) * ROTATION);
        let dropped = [&bytes[..first], &bytes[last..]].concat();
        let doubled = [&bytes[..last], &bytes[first..]].concat();
        let next = (gap + 1) % 3 * ROTATION;
        let mut swapped = bytes.clone();
        swapped[first..last].copy_from_slice(&bytes[next..next + ROTATION]);
        swapped[next..next + ROTATION].copy_from_slice(&bytes[first..last]);
        for bytes in [dropped, doubled, swapped] {
            let result = identity.party().verify(b"message", &read(&bytes));
            prop_assert_eq!(result, Err(InvalidSignature));
        }
    }

    #[test]
    fn an_identity_comes_back_from_its_store(seed in any::<u8>(), times in 0..4_usize) {
        let identity = rotated(seed, times);
        let stored = (identity.party(), identity.seed(), identity.rotations());
        let restored = Identity::restore(stored.0, &stored.1, &stored.2).unwrap();
        prop_assert_eq!(restored.proven_key(), identity.proven_key());
        prop_assert_eq!(restored.sign(b"message"), identity.sign(b"message"));
        // It can go on from there.
        let next = restored.rotate().unwrap();
        prop_assert_eq!(next.proven_key().number, identity.proven_key().number.next());
    }

    #[test]
    fn the_secret_of_a_rotated_key_is_not_formatted(seed in any::<u8>()) {
        let identity = rotated(seed, 2);
        let text = format!("{identity:?} {:?}", identity.sign(b"message")).to_lowercase();
        for window in hex::encode(*identity.seed()).as_bytes().chunks(8) {
            prop_assert!(!text.contains(std::str::from_utf8(window).unwrap()));
        }
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let expected = bytes.len() >= 64 && (bytes.len() - 64).is_multiple_of(ROTATION);
        let read = PartySignature::from_bytes(&bytes);
        prop_assert_eq!(read.is_ok(), expected);
        if let Ok(signature) = read {
            prop_assert_eq!(signature.to_bytes(), bytes);
            prop_assert!(PartyId::new([7; 32]).verify(b"message", &signature).is_err());
        }
    }
}

#[test]
fn every_bit_of_a_first_rotation_counts() {
    let identity = rotated(1, 1);
    let bytes = identity.sign(b"message").to_bytes();
    assert!(identity.party().verify(b"message", &read(&bytes)).is_ok());
    for bit in 0..8 * ROTATION {
        let mut spoilt = bytes.clone();
        spoilt[bit / 8] ^= 1 << (bit % 8);
        let result = identity.party().verify(b"message", &read(&spoilt));
        assert_eq!(result, Err(InvalidSignature), "bit {bit}");
    }
}

#[test]
fn a_rotation_of_one_party_does_not_serve_another() {
    let (one, two) = (rotated(1, 1), rotated(2, 1));
    assert_eq!(two.party().verify(b"message", &one.sign(b"message")), Err(InvalidSignature));
    // Not with its own key in front, nor with the other's key behind its own rotation.
    let [own, others] = [two.sign(b"message"), one.sign(b"message")].map(|s| s.to_bytes());
    let spliced = [&own[..ROTATION], &others].concat();
    assert_eq!(two.party().verify(b"message", &read(&spliced)), Err(InvalidSignature));
    let exchanged = [&own[..ROTATION], &others[ROTATION..]].concat();
    assert_eq!(two.party().verify(b"message", &read(&exchanged)), Err(InvalidSignature));
    // Nor does a join by the one pass for one by the other.
    let nonce = Nonce::new([1; 32]);
    let join = SignedJoin::sign(&one, PlanHash::new([2; 32]), nonce, [3; 32]);
    let claimed = SignedJoin { member: two.party(), ..join };
    assert_eq!(claimed.verify(), Err(InvalidSignature));
}

#[test]
fn a_rotation_is_what_the_key_before_says_of_this_party_and_number() {
    let [victim, thief, third] = [1, 2, 3].map(|seed| Identity::from_seed(&[seed; 32]));
    let (name, key) = (victim.party(), *thief.party().as_bytes());
    let verified = |signer: &Identity, statement: &[u8]| {
        let bytes = claimed(signer, statement, &thief, b"message");
        name.verify(b"message", &read(&bytes))
    };
    // The one statement that counts, to show that the others fail for their content alone.
    let right = statement(name, 1, name.as_bytes(), &key);
    let proven = ProvenKey { number: KeyNumber(1), key: PartyKey::new(key) };
    assert_eq!(verified(&victim, &right), Ok(proven));
    assert_eq!(verified(&thief, &right), Err(InvalidSignature), "the key before has to sign");
    let wrong = [
        statement(third.party(), 1, name.as_bytes(), &key),
        statement(name, 0, name.as_bytes(), &key),
        statement(name, 2, name.as_bytes(), &key),
        statement(name, 1, third.party().as_bytes(), &key),
        statement(name, 1, name.as_bytes(), third.party().as_bytes()),
        right[1..].to_vec(),
    ];
    for statement in wrong {
        assert_eq!(verified(&victim, &statement), Err(InvalidSignature));
    }
}

/// Which key is the newest is for the verifier to remember: the numbers say all that it needs.
#[test]
fn an_older_key_and_a_rival_of_the_same_number_can_be_told() {
    let founding = Identity::from_seed(&[1; 32]);
    let (newer, rival) = (founding.rotate().unwrap(), founding.rotate().unwrap());
    let party = founding.party();
    let proven =
        |identity: &Identity| party.verify(b"message", &identity.sign(b"message")).unwrap();
    assert!(proven(&founding).number < proven(&newer).number);
    assert_eq!(proven(&newer).number, proven(&rival).number);
    assert_ne!(proven(&newer).key, proven(&rival).key);
}

#[test]
fn rotations_are_bounded() {
    let last = rotated(1, MAX_KEY_ROTATIONS);
    let signature = last.sign(b"message");
    assert_eq!(last.party().verify(b"message", &signature), Ok(last.proven_key()));
    assert_eq!(last.rotate().unwrap_err(), RotatedTooOften);
    assert!(RotatedTooOften.to_string().contains("replace the party by a new one"));
    assert_eq!(decode(&encode(&signature).unwrap()), Ok(signature.clone()));

    // One more, which is valid but for the bound.
    let bytes = signature.to_bytes();
    let longer = [&bytes[..ROTATION], &bytes].concat();
    assert_eq!(PartySignature::from_bytes(&longer), Err(MalformedSignature));
    let packed = rmp_serde::to_vec(&serde_bytes::Bytes::new(&longer)).unwrap();
    assert!(decode::<PartySignature>(&packed).is_err());
    let json = serde_json::to_string(&longer).unwrap();
    assert!(serde_json::from_str::<PartySignature>(&json).is_err());
    let longer = &longer[..longer.len() - 64];
    assert_eq!(Identity::restore(last.party(), &last.seed(), longer).unwrap_err(), NotItsKey);
}

#[test]
fn bytes_of_no_signatures_length_are_refused() {
    for length in [0, 1, 63, 65, 64 + ROTATION - 1, 64 + ROTATION + 1] {
        let bytes = vec![1; length];
        assert_eq!(PartySignature::from_bytes(&bytes), Err(MalformedSignature), "{length}");
        let packed = rmp_serde::to_vec(&serde_bytes::Bytes::new(&bytes)).unwrap();
        assert!(decode::<PartySignature>(&packed).is_err(), "{length}");
    }
}

#[test]
fn foreign_parts_make_no_identity() {
    let (one, two) = (rotated(1, 2), rotated(2, 2));
    let refused = |party, seed: &[u8; 32], rotations: &[u8]| {
        assert_eq!(Identity::restore(party, seed, rotations).unwrap_err(), NotItsKey);
    };
    let (party, seed, rotations) = (one.party(), one.seed(), one.rotations());
    assert!(Identity::restore(party, &seed, &rotations).is_ok());
    refused(two.party(), &seed, &rotations);
    refused(party, &two.seed(), &rotations);
    refused(party, &seed, &two.rotations());
    // The newest seed with too few rotations, the founding one with some, and what is no rotation.
    refused(party, &seed, &rotations[..ROTATION]);
    refused(party, &seed, &[]);
    refused(party, &[1; 32], &rotations);
    refused(party, &seed, &rotations[1..]);
    refused(party, &seed, &[rotations.as_slice(), &[0; 64]].concat());
}
