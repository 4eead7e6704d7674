//! A member that signs what it should not: messages opened, changed and signed again with its own
//! key, so that only the protocol itself can tell.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code fails by panicking"
)]

mod harness {
    pub(crate) mod forge;
    pub(crate) mod network;
}

use harness::forge::{DIRECT, ECHO, NORMAL, Opened, write};
use harness::network::{Letter, Network, contexts, identities};
use k256::elliptic_curve::PrimeField;
use k256::elliptic_curve::sec1::{FromEncodedPoint, ToEncodedPoint};
use k256::{AffinePoint, EncodedPoint, ProjectivePoint, Scalar};
use mpc_engine::Task;
use mpc_wire::{FailureKind, Identity, Round, Stage, Threshold};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use std::collections::BTreeSet;

#[derive(Serialize, Deserialize)]
struct ProofOfKnowledge {
    psi: Schnorr,
}

#[derive(Serialize, Deserialize)]
struct Schnorr {
    challenge: ByteBuf,
    proof: ByteBuf,
}

#[derive(Serialize, Deserialize)]
struct Redistribution {
    public_polynomial: Vec<ByteBuf>,
    old_share_id: ByteBuf,
}

#[derive(Serialize, Deserialize)]
struct Subshare {
    subshare: ByteBuf,
}

#[derive(Serialize, Deserialize)]
struct Commitment {
    cap_v: ByteBuf,
}

/// Founders commit to their parts of the key.
const COMMITTING: (Stage, Round) = (Stage(1), Round(1));
/// Founders prove that they know their parts of the key.
const PROVING: (Stage, Round) = (Stage(1), Round(5));
/// Founders redistribute the key.
const RESHARING: (Stage, Round) = (Stage(2), Round(1));

/// Runs a keygen in which the first founder's messages of one round are changed.
fn keygen(
    threshold: u16,
    parties: u8,
    (stage, round): (Stage, Round),
    mut change: impl FnMut(&Identity, &Letter, &mut Opened) + 'static,
) -> Network {
    let liar = identities(parties).remove(0);
    let task = move |_| Task::Keygen { threshold: Threshold(threshold) };
    Network::new(contexts(&identities(parties)), task, 11)
        .tampered(move |mut letter| {
            if letter.from == liar.party() && letter.stage == stage && letter.round == round {
                let mut opened: Opened = rmp_serde::from_slice(&letter.payload).unwrap();
                assert_eq!(write(&opened), letter.payload, "opened and closed again, it is whole");
                change(&liar, &letter, &mut opened);
                letter.payload = write(&opened);
            }
            vec![letter]
        })
        .run()
}

#[test]
fn message_signed_again_without_a_change_passes() {
    let network = keygen(2, 3, RESHARING, |liar, _, opened| {
        opened.direct_message.forge(DIRECT, liar, |_: &mut Subshare| {});
        opened.echo_broadcast.forge(ECHO, liar, |_: &mut Redistribution| {});
    });
    assert_eq!(network.products().len(), 3);
}

#[test]
fn wrong_subshare_panics_the_library_and_names_its_sender() {
    let network = keygen(2, 3, RESHARING, |liar, _, opened| {
        opened.direct_message.forge(DIRECT, liar, |direct: &mut Subshare| {
            direct.subshare[31] ^= 1;
        });
    });
    for honest in &identities(3)[1..] {
        let failure = network.failure(honest.party());
        assert_eq!(failure.kind, FailureKind::Panicked, "{failure:?}");
        assert_eq!(failure.guilty, BTreeSet::from([identities(3)[0].party()]));
    }
}

#[test]
fn polynomial_of_one_point_panics_the_library_and_names_its_sender() {
    let network = keygen(2, 3, RESHARING, |liar, _, opened| {
        opened.echo_broadcast.forge(ECHO, liar, |echo: &mut Redistribution| {
            echo.public_polynomial.truncate(1);
        });
    });
    for honest in &identities(3)[1..] {
        let failure = network.failure(honest.party());
        assert_eq!(failure.kind, FailureKind::Panicked, "{failure:?}");
        assert_eq!(failure.guilty, BTreeSet::from([identities(3)[0].party()]));
    }
}

#[test]
fn another_secret_than_the_share_panics_the_library_and_names_nobody() {
    let network = keygen(2, 3, RESHARING, |liar, _, opened| {
        // A constant term that is one more, and sub-shares that fit it.
        opened.direct_message.forge(DIRECT, liar, |direct: &mut Subshare| {
            let bytes: [u8; 32] = direct.subshare[..].try_into().unwrap();
            let subshare = Scalar::from_repr(bytes.into()).unwrap() + Scalar::ONE;
            direct.subshare = ByteBuf::from(subshare.to_bytes().to_vec());
        });
        opened.echo_broadcast.forge(ECHO, liar, |echo: &mut Redistribution| {
            let constant = EncodedPoint::from_bytes(&echo.public_polynomial[0]).unwrap();
            let constant = AffinePoint::from_encoded_point(&constant).unwrap();
            let raised = (ProjectivePoint::from(constant) + ProjectivePoint::GENERATOR).to_affine();
            echo.public_polynomial[0] = ByteBuf::from(raised.to_encoded_point(true).as_bytes());
        });
    });
    for honest in &identities(3)[1..] {
        let failure = network.failure(honest.party());
        assert_eq!(failure.kind, FailureKind::Panicked, "{failure:?}");
        assert!(failure.guilty.is_empty());
    }
}

#[test]
fn raised_threshold_is_noticed_by_whoever_gets_a_share() {
    let network = keygen(2, 3, RESHARING, |liar, letter, opened| {
        // A quadratic term, and sub-shares that fit it: the library counts no coefficients.
        let position =
            identities(3).iter().position(|identity| identity.party() == letter.to).unwrap();
        let at = Scalar::from(position as u64 + 1);
        opened.direct_message.forge(DIRECT, liar, |direct: &mut Subshare| {
            let bytes: [u8; 32] = direct.subshare[..].try_into().unwrap();
            let subshare = Scalar::from_repr(bytes.into()).unwrap() + at * at;
            direct.subshare = ByteBuf::from(subshare.to_bytes().to_vec());
        });
        opened.echo_broadcast.forge(ECHO, liar, |echo: &mut Redistribution| {
            let term = AffinePoint::GENERATOR.to_encoded_point(true);
            echo.public_polynomial.push(ByteBuf::from(term.as_bytes()));
        });
    });
    for honest in &identities(3)[1..] {
        let failure = network.failure(honest.party());
        assert_eq!(failure.kind, FailureKind::ResultInvalid, "{failure:?}");
    }
}

#[test]
fn equivocation_names_the_liar_and_not_who_tells_of_it() {
    let told_otherwise = identities(3)[1].party();
    let network = keygen(3, 3, COMMITTING, move |liar, letter, opened| {
        if letter.to == told_otherwise {
            opened.echo_broadcast.forge(ECHO, liar, |echo: &mut Commitment| echo.cap_v[0] ^= 1);
        }
    });
    for honest in &identities(3)[1..] {
        let failure = network.failure(honest.party());
        assert_eq!(failure.kind, FailureKind::PeerMisbehaved, "{failure:?}");
        assert_eq!(failure.guilty, BTreeSet::from([identities(3)[0].party()]), "{failure:?}");
    }
}

#[test]
fn wrong_proof_is_proven() {
    let network = keygen(2, 2, PROVING, |liar, _, opened| {
        opened.normal_broadcast.forge(NORMAL, liar, |normal: &mut ProofOfKnowledge| {
            normal.psi.proof[31] ^= 1;
        });
    });
    let failure = network.failure(identities(2)[1].party());
    assert_eq!(failure.kind, FailureKind::PeerMisbehaved, "{failure:?}");
    assert_eq!(failure.guilty, BTreeSet::from([identities(2)[0].party()]), "{failure:?}");
    assert!(failure.detail.starts_with("Protocol error: Round 3"), "{}", failure.detail);
}

#[test]
fn undecodable_part_is_refused_without_being_quoted() {
    let network = keygen(2, 2, PROVING, |liar, _, opened| {
        // A text where numbers should be.
        let part = &mut opened.normal_broadcast;
        part.message_with_metadata.message = Some(ByteBuf::from(write(&["quoted text"])));
        part.forge(NORMAL, liar, |_: &mut Vec<String>| {});
    });
    let failure = network.failure(identities(2)[1].party());
    assert_eq!(failure.guilty, BTreeSet::from([identities(2)[0].party()]), "{failure:?}");
    assert!(!failure.detail.contains("quoted text"), "{}", failure.detail);
}
