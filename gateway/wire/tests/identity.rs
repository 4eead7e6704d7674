//! Only the named party's own signature, in its one strict form, is accepted.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test fails by panicking")]

use ed25519_dalek::{Signature, Verifier, VerifyingKey};
use mpc_wire::handshake::{Challenge, Hello};
use mpc_wire::identity::InvalidSignature;
use mpc_wire::limits::VERSION;
use mpc_wire::{
    Canonical, EnrolmentToken, Identity, Nonce, PartyId, PartySignature, PlanHash, ProvenKey,
    SignedJoin,
};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

fn bytes<const N: usize>(hex: &str) -> [u8; N] {
    hex::decode(hex).unwrap().try_into().unwrap()
}

fn flipped<const N: usize>(mut bytes: [u8; N], bit: usize) -> [u8; N] {
    bytes[bit / 8 % N] ^= 1 << (bit % 8);
    bytes
}

fn identity() -> impl Strategy<Value = Identity> {
    any::<[u8; 32]>().prop_map(|seed| Identity::from_seed(&seed))
}

fn nonce() -> impl Strategy<Value = Nonce> {
    any::<[u8; 32]>().prop_map(Nonce::new)
}

fn signed() -> impl Strategy<Value = SignedJoin> {
    let rest = any::<([u8; 32], [u8; 32])>();
    (identity(), nonce(), rest).prop_map(|(identity, nonce, (plan, hpke_key))| {
        SignedJoin::sign(&identity, PlanHash::new(plan), nonce, hpke_key)
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64,
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_join_is_its_members(join in signed()) {
        let verified = join.verify().unwrap();
        prop_assert_eq!(verified.as_join(), &join);
        prop_assert_eq!(verified.member(), join.member);
        prop_assert_eq!(verified.plan_hash(), join.plan_hash);
        prop_assert_eq!(verified.hpke_key(), &join.hpke_key);
        prop_assert_eq!(verified.key(), ProvenKey::founding(join.member));
    }

    #[test]
    fn any_flipped_bit_spoils_a_join(join in signed(), bit in 0..512_usize) {
        let with = |change: fn(&mut SignedJoin, usize)| {
            let mut join = join.clone();
            change(&mut join, bit);
            join
        };
        let spoiled = [
            with(|join, bit| join.member = PartyId::new(flipped(*join.member.as_bytes(), bit))),
            with(|join, bit| {
                join.plan_hash = PlanHash::new(flipped(*join.plan_hash.as_bytes(), bit));
            }),
            with(|join, bit| join.nonce = Nonce::new(flipped(*join.nonce.as_bytes(), bit))),
            with(|join, bit| join.hpke_key = flipped(join.hpke_key, bit)),
            with(|join, bit| {
                let signature = join.signature.to_bytes().try_into().unwrap();
                join.signature = PartySignature::from(flipped(signature, bit));
            }),
        ];
        for join in spoiled {
            prop_assert_eq!(join.verify(), Err(InvalidSignature));
        }
    }

    #[test]
    fn a_join_is_nobody_elses(join in signed(), other in identity()) {
        let claimed = SignedJoin { member: other.party(), ..join.clone() };
        prop_assert_eq!(claimed.verify(), Err(InvalidSignature));
        // Nor can another sign for the member.
        let signature = other.sign(&join.canonical_bytes());
        let forged = SignedJoin { signature, ..join };
        prop_assert_eq!(forged.verify(), Err(InvalidSignature));
    }

    #[test]
    fn a_proof_answers_one_challenge(identity in identity(), nonce in nonce()) {
        let challenge = |server: &str, nonce| Challenge {
            version: VERSION,
            server: server.to_owned(),
            nonce,
        };
        let hello = |challenge: &Challenge, label: &str, token| {
            Hello { challenge, party: identity.party(), label, token }.canonical_bytes()
        };
        let [mine, stolen] = ["mine", "stolen"]
            .map(|token| EnrolmentToken::try_from(token.to_owned()).unwrap());
        let asked = challenge("gateway", nonce);
        let proof = identity.sign(&hello(&asked, "label", Some(&mine)));
        let accepted = |bytes: &[u8]| identity.party().verify(bytes, &proof).is_ok();
        prop_assert!(accepted(&hello(&asked, "label", Some(&mine))));
        prop_assert!(!accepted(&hello(&asked, "label", Some(&stolen))));
        prop_assert!(!accepted(&hello(&asked, "label", None)));
        prop_assert!(!accepted(&hello(&asked, "other", Some(&mine))));
        prop_assert!(!accepted(&hello(&challenge("elsewhere", nonce), "label", Some(&mine))));
        let replayed = challenge("gateway", Nonce::new(flipped(*nonce.as_bytes(), 0)));
        prop_assert!(!accepted(&hello(&replayed, "label", Some(&mine))));
    }

    #[test]
    fn an_identitys_name_is_canonical(identity in identity()) {
        prop_assert!(identity.party().is_canonical());
    }

    #[test]
    fn an_identity_comes_back_from_its_seed(seed in any::<[u8; 32]>()) {
        let identity = Identity::from_seed(&seed);
        prop_assert_eq!(*identity.seed(), seed);
        prop_assert_eq!(Identity::from_seed(&identity.seed()).party(), identity.party());
    }

    #[test]
    fn the_secret_is_not_formatted(seed in any::<[u8; 32]>()) {
        let text = format!("{:?}", Identity::from_seed(&seed)).to_lowercase();
        prop_assert!(text.contains("redacted"));
        for window in hex::encode(seed).as_bytes().chunks(8) {
            prop_assert!(!text.contains(std::str::from_utf8(window).unwrap()));
        }
    }
}

#[test]
fn what_is_generated_differs() {
    assert_ne!(Identity::generate().party(), Identity::generate().party());
    assert_ne!(Nonce::generate(), Nonce::generate());
}

/// RFC 8032, 7.1, tests 1 to 3: seed, public key, message, signature.
const RFC_8032: [[&str; 4]; 3] = [
    [
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ],
    [
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ],
    [
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ],
];

#[test]
fn signatures_are_those_of_the_rfc() {
    for [seed, key, message, signature] in RFC_8032 {
        let identity = Identity::from_seed(&bytes(seed));
        let message = hex::decode(message).unwrap();
        assert_eq!(identity.party().to_string(), key);
        assert_eq!(hex::encode(identity.sign(&message).to_bytes()), signature);
        let verified = identity.party().verify(&message, &bytes(signature).into());
        assert_eq!(verified, Ok(ProvenKey::founding(identity.party())));
    }
}

/// Every encoding of a point of small order, the last six of them not canonical.
const SMALL_ORDER: [&str; 14] = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
];

/// With such a key the signature (identity, 0) holds for one message in eight at least, by the
/// equation alone: whoever registered it could deny or transfer everything signed under it.
#[test]
fn keys_of_small_order_are_refused() {
    let mut signature = [0; 64];
    signature[0] = 1;
    for key in SMALL_ORDER {
        let party: PartyId = key.parse().unwrap();
        let lax = VerifyingKey::from_bytes(party.as_bytes()).unwrap();
        let accepted_by_equation = (0_u32..1000).map(u32::to_be_bytes).find(|message| {
            let signature = Signature::from_bytes(&signature);
            lax.verify(message, &signature).is_ok()
        });
        let message = accepted_by_equation.unwrap();
        let strict = party.verify(&message, &signature.into());
        assert_eq!(strict, Err(InvalidSignature), "{key}");
        assert!(!party.is_canonical(), "{key}");
    }
}

/// An honest key's owner can make a signature whose commitment is the identity and whose equation
/// holds; no honest signer does.
#[test]
fn a_commitment_of_small_order_is_refused() {
    let party = Identity::from_seed(&[7; 32]).party();
    let signature = bytes(
        "0100000000000000000000000000000000000000000000000000000000000000d4c5323131ff9683cfb3d30197c786c9043f1052d6c2d5293f19d6f36b911104",
    );
    let lax = VerifyingKey::from_bytes(party.as_bytes()).unwrap();
    let by_equation = lax.verify(b"message", &Signature::from_bytes(&signature));
    assert!(by_equation.is_ok());
    assert_eq!(party.verify(b"message", &signature.into()), Err(InvalidSignature));
}

/// `s + L` in place of `s` satisfies the equation too, but is not the one form of the signature.
#[test]
fn the_second_form_of_a_signature_is_refused() {
    let order: [u8; 32] = bytes("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
    let [_, key, message, signature] = RFC_8032[1];
    let mut signature: [u8; 64] = bytes(signature);
    let mut carry = 0;
    for (byte, add) in signature[32..].iter_mut().zip(order) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        *byte = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
    assert_eq!(carry, 0);
    let party: PartyId = key.parse().unwrap();
    let message = hex::decode(message).unwrap();
    assert_eq!(party.verify(&message, &signature.into()), Err(InvalidSignature));
}

#[test]
fn keys_that_are_no_point_are_refused() {
    // No point of the curve has y = 2.
    let mut key = [0; 32];
    key[0] = 2;
    assert!(VerifyingKey::from_bytes(&key).is_err());
    let result = PartyId::new(key).verify(b"message", &[0; 64].into());
    assert_eq!(result, Err(InvalidSignature));
    assert!(!PartyId::new(key).is_canonical());
}

/// Encodings of `y` as `y + p` name a point a second time: with them one key would be two parties.
#[test]
fn second_names_of_a_key_are_refused() {
    let mut usable = 0;
    for sign in [0, 0x80] {
        // p = 2^255 - 19: all that fits in 255 bits is p to p + 18.
        for above in 0..19_u8 {
            let mut name = [0xff; 32];
            (name[0], name[31]) = (0xed + above, 0x7f | sign);
            assert!(!PartyId::new(name).is_canonical(), "{}", hex::encode(name));
            usable += u32::from(VerifyingKey::from_bytes(&name).is_ok_and(|key| !key.is_weak()));
        }
    }
    assert!(usable > 0, "without the check some of them would do");
}
