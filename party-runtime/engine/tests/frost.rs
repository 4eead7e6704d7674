//! FROST's engines: keys of all sizes sign with each quorum, by a verifier that had no part in it, and
//! who lies is named (fault rows 13 and 14).

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code fails by panicking"
)]

#[path = "harness/network.rs"]
mod network;

use mpc_engine::verify::{check_public_key, verify_signature};
use mpc_engine::{Product, SecretBytes, Task};
use mpc_wire::codec::decode;
use mpc_wire::{FailureKind, Identity, PartyId, PublicKey, Round, Scheme, Signature, Threshold};
use network::{Letter, Network, contexts, identities};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use std::collections::BTreeMap;

const SCHEMES: [Scheme; 2] = [Scheme::EddsaFrostEd25519, Scheme::SchnorrFrostSecp256k1Tr];

struct Key {
    public_key: PublicKey,
    shares: BTreeMap<PartyId, SecretBytes>,
}

fn keygen_network(scheme: Scheme, threshold: u16, count: u8) -> Network {
    let task = move |_| Task::Keygen { threshold: Threshold(threshold) };
    Network::of_scheme(scheme, contexts(&identities(count)), task, 7)
}

fn keygen(scheme: Scheme, threshold: u16, count: u8) -> Key {
    let network = keygen_network(scheme, threshold, count).run();
    let mut keys = Vec::new();
    let mut shares = BTreeMap::new();
    for (party, product) in network.products() {
        let Product::Keygen { share, public_key, public_shares } = product else {
            panic!("{product:?}")
        };
        assert_eq!(public_shares.len(), usize::from(count));
        check_public_key(scheme, &public_key).unwrap();
        keys.push((public_key, public_shares));
        shares.insert(party, share);
    }
    let (public_key, _) = keys[0].clone();
    assert!(keys.iter().all(|key| *key == keys[0]), "all know one key");
    Key { public_key, shares }
}

fn sign_network(scheme: Scheme, key: &Key, signers: &[Identity], message: &[u8]) -> Network {
    let (shares, public_key) = (key.shares.clone(), key.public_key.clone());
    let message = message.to_vec();
    let task = move |party| Task::Sign {
        share: shares[&party].clone(),
        aux: None,
        public_key: public_key.clone(),
        message: message.clone(),
    };
    Network::of_scheme(scheme, contexts(signers), task, 9)
}

/// Verified by libsecp256k1, which had no part in making it.
fn verify_outside(key: &PublicKey, message: &[u8], signature: &Signature) {
    if let Signature::Schnorr(bytes) = signature {
        let key: [u8; 32] = key.as_bytes().try_into().unwrap();
        let key = secp256k1::XOnlyPublicKey::from_byte_array(key).unwrap();
        let signature = secp256k1::schnorr::Signature::from_byte_array(*bytes);
        signature.verify(message, &key).unwrap();
    }
}

#[test]
fn every_quorum_signs() {
    for scheme in SCHEMES {
        for (threshold, count) in [(2, 2), (2, 3), (3, 5)] {
            let key = keygen(scheme, threshold, count);
            let everybody = identities(count);
            for first in 0..=usize::from(count) - usize::from(threshold) {
                let signers = &everybody[first..first + usize::from(threshold)];
                let message = [first as u8; 32];
                let network = sign_network(scheme, &key, signers, &message).run();
                let products = network.products();
                assert_eq!(products.len(), signers.len());
                for product in products.into_values() {
                    let Product::Signature(signature) = product else { panic!("{product:?}") };
                    verify_signature(scheme, &key.public_key, &message, &signature).unwrap();
                    verify_outside(&key.public_key, &message, &signature);
                    let other = verify_signature(scheme, &key.public_key, &[9; 32], &signature);
                    assert!(other.is_err());
                }
            }
        }
    }
}

/// Ed25519 signs bytes of any length as they are.
#[test]
fn ed25519_signs_bytes_of_any_length() {
    let scheme = Scheme::EddsaFrostEd25519;
    let key = keygen(scheme, 2, 2);
    for message in [&b""[..], b"as they are", &[7; 10_000]] {
        let network = sign_network(scheme, &key, &identities(2), message).run();
        for product in network.products().into_values() {
            let Product::Signature(signature) = product else { panic!("{product:?}") };
            verify_signature(scheme, &key.public_key, message, &signature).unwrap();
        }
    }
}

#[test]
fn two_signatures_of_one_message_have_nonces_of_their_own() {
    for scheme in SCHEMES {
        let key = keygen(scheme, 2, 2);
        let nonce = || {
            let network = sign_network(scheme, &key, &identities(2), &[1; 32]).run();
            match network.products().into_values().next() {
                Some(Product::Signature(Signature::Eddsa(it) | Signature::Schnorr(it))) => {
                    it[..32].to_vec()
                }
                other => panic!("{other:?}"),
            }
        };
        assert_ne!(nonce(), nonce());
    }
}

#[test]
fn a_key_of_another_account_is_refused() {
    let scheme = Scheme::EddsaFrostEd25519;
    let mut key = keygen(scheme, 2, 2);
    key.public_key = keygen(scheme, 2, 2).public_key;
    let network = sign_network(scheme, &key, &identities(2), &[1; 32]).run();
    for identity in identities(2) {
        let failure = network.failure(identity.party());
        assert_eq!(failure.kind, FailureKind::Internal);
        assert!(failure.detail.contains("another public key"), "{failure:?}");
    }
}

/// A letter of the liar's in this step has a bit flipped: in the hash of an echo, else near its end.
fn spoil(liar: PartyId, round: u16, letter: &mut Letter) {
    if letter.from == liar && letter.round == Round(round) {
        let in_hash = letter.payload.windows(4).position(|window| window == b"hash");
        // The name of the field, then two bytes that say how long it is.
        let at = in_hash.map_or(letter.payload.len() - 8, |name| name + 4 + 2);
        letter.payload[at] ^= 1;
    }
}

fn assert_named(network: &Network, honest: &[Identity], liar: &Identity) {
    let ended: Vec<_> =
        honest.iter().filter(|member| network.ends.contains_key(&member.party())).collect();
    assert!(!ended.is_empty(), "nobody noticed: {:?}", network.waiting);
    for member in ended {
        let failure = network.failure(member.party());
        assert_eq!(failure.kind, FailureKind::PeerMisbehaved, "{failure:?}");
        assert_eq!(failure.guilty, [liar.party()].into(), "{failure:?}");
    }
}

/// A wrong package, echo or share in each step of a key generation.
#[test]
fn row_13_keygen_each_step() {
    for scheme in SCHEMES {
        for round in 1..=3 {
            let everybody = identities(3);
            let (liar, honest) = (&everybody[0], &everybody[1..]);
            let party = liar.party();
            let network = keygen_network(scheme, 2, 3)
                .tampered(move |mut letter| {
                    spoil(party, round, &mut letter);
                    vec![letter]
                })
                .run();
            assert_named(&network, honest, liar);
        }
    }
}

/// A wrong commitment or share in each step of a signing, by one of two and by one of three.
#[test]
fn row_13_signing_each_step() {
    for scheme in SCHEMES {
        for (threshold, count, steps) in [(2, 2, 2), (3, 3, 3)] {
            let key = keygen(scheme, threshold, count);
            for round in 1..=steps {
                let everybody = identities(count);
                let (liar, honest) = (&everybody[0], &everybody[1..]);
                let party = liar.party();
                let network = sign_network(scheme, &key, &everybody, &[1; 32])
                    .tampered(move |mut letter| {
                        spoil(party, round, &mut letter);
                        vec![letter]
                    })
                    .run();
                assert_named(&network, honest, liar);
            }
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Spoken {
    words: ByteBuf,
    signature: mpc_wire::PartySignature,
}

/// A member that runs twice, and tells one of the others what its second self says.
#[test]
fn row_14_keygen_two_packages() {
    for scheme in SCHEMES {
        let everybody = identities(3);
        let (liar, honest) = (everybody[0].clone(), &everybody[1..]);
        let told = honest[0].party();
        // What its second self says, for the same step of the same session.
        let second = std::rc::Rc::new(std::cell::RefCell::new(None));
        let keeping = std::rc::Rc::clone(&second);
        let party = liar.party();
        keygen_network(scheme, 2, 3)
            .tampered(move |letter| {
                if letter.from == party && letter.round == Round(1) {
                    *keeping.borrow_mut() = Some(letter.payload.clone());
                }
                vec![letter]
            })
            .run();
        let second = second.take().unwrap();
        assert!(decode::<Spoken>(&second).is_ok());
        let network = keygen_network(scheme, 2, 3)
            .tampered(move |mut letter| {
                if (letter.from, letter.to, letter.round) == (party, told, Round(1)) {
                    letter.payload = second.clone();
                }
                vec![letter]
            })
            .run();
        assert_named(&network, honest, &liar);
        for member in honest {
            let failure = network.failure(member.party());
            assert!(failure.detail.contains("another one to others"), "{failure:?}");
        }
    }
}

/// Whoever echoes what its member has not signed is to blame itself.
#[test]
fn row_14_a_false_echo_names_who_tells_it() {
    for scheme in SCHEMES {
        let everybody = identities(3);
        let (liar, honest) = (everybody[2].clone(), &everybody[..2]);
        let party = liar.party();
        let network = keygen_network(scheme, 2, 3)
            .tampered(move |mut letter| {
                spoil(party, 2, &mut letter);
                vec![letter]
            })
            .run();
        assert_named(&network, honest, &liar);
    }
}
