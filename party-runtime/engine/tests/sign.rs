//! Signatures with a dealt key, honest and not.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "test code fails by panicking"
)]

mod harness {
    pub(crate) mod network;
}

use harness::network::{Letter, Network, SCHEME, contexts, identities, parties};
use mpc_engine::dealer::{Dealt, deal, deal_key};
use mpc_engine::raw::RawSigner;
use mpc_engine::verify::verify_signature;
use mpc_engine::{EngineFailure, Product, SecretBytes, Step, Task, engine};
use mpc_wire::{FailureKind, Identity, PartyId, PublicKey, Round, Stage, Threshold};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;
use std::time::Instant;

const DIGEST: [u8; 32] = [0x42; 32];

/// One 2-of-3 deal for all tests: its primes take a while.
fn dealt() -> &'static BTreeMap<PartyId, Dealt> {
    static DEALT: OnceLock<BTreeMap<PartyId, Dealt>> = OnceLock::new();
    DEALT.get_or_init(|| {
        let began = Instant::now();
        let dealt = deal(&parties(&identities(3)), Threshold(2)).unwrap();
        println!("dealing took {:?}", began.elapsed());
        dealt
    })
}

fn sign_task(party: PartyId) -> Task {
    let Dealt { share, aux, public_key, .. } = dealt()[&party].clone();
    Task::Sign { share, aux: Some(aux), public_key, message: DIGEST.to_vec() }
}

fn pair() -> [Identity; 2] {
    let [first, second, _] = identities(3).try_into().unwrap();
    [first, second]
}

fn first_two() -> (PartyId, PartyId) {
    let [first, second] = pair();
    (first.party(), second.party())
}

/// The first two sign, with letters tampered on their way.
fn tampered(tamper: impl FnMut(Letter) -> Vec<Letter> + 'static) -> Network {
    Network::new(contexts(&pair()), sign_task, 3).tampered(tamper).run()
}

fn assert_blames(failure: &EngineFailure, guilty: PartyId) {
    assert_eq!(failure.kind, FailureKind::PeerMisbehaved, "{failure:?}");
    assert_eq!(failure.guilty, BTreeSet::from([guilty]), "{failure:?}");
}

#[test]
fn every_pair_signs_in_any_order() {
    let identities = identities(3);
    let mut seed = 0;
    for absent in 0..3 {
        let mut signers = identities.clone();
        signers.remove(absent);
        for in_threads in [false, true] {
            seed += 1;
            let began = Instant::now();
            let network = Network::new(contexts(&signers), sign_task, seed);
            let network = if in_threads { network.run_in_threads() } else { network.run() };
            println!(
                "sign took {:?}, largest message {}, rounds {:?}",
                began.elapsed(),
                network.largest,
                network.last_round
            );
            let mut signatures = BTreeSet::new();
            for product in network.products().into_values() {
                let Product::Signature(signature) = product else { panic!("{product:?}") };
                let key = &dealt()[&signers[0].party()].public_key;
                assert_eq!(verify_signature(SCHEME, key, &DIGEST, &signature), Ok(()));
                signatures.insert(format!("{signature:?}"));
            }
            assert_eq!(signatures.len(), 1, "both have the same signature");
        }
    }
}

#[test]
fn garbage_names_its_sender_in_every_round() {
    let (first, second) = first_two();
    let rounds = Network::new(contexts(&pair()), sign_task, 1).run().last_round[&Stage(1)];
    let run = |bad: u16, garbage: Vec<u8>| {
        let network = tampered(move |mut letter| {
            if letter.from == second && letter.round == Round(bad) {
                letter.payload = garbage.clone();
            }
            vec![letter]
        });
        assert_blames(&network.failure(first), second);
    };
    for round in 1..=rounds.0 {
        run(round, b"garbage".to_vec());
    }
    for garbage in [Vec::new(), vec![0x91; 1 << 20], vec![0xc0], vec![0x80], vec![0xdf; 5]] {
        run(1, garbage);
    }
}

#[test]
fn flipped_bits_never_pass_and_never_panic_the_engine() {
    let (first, second) = first_two();
    for at in [100, 700, 2000] {
        let network = tampered(move |mut letter| {
            if letter.from == second
                && letter.round == Round(1)
                && let Some(byte) = letter.payload.get_mut(at)
            {
                *byte ^= 1;
            }
            vec![letter]
        });
        assert_blames(&network.failure(first), second);
    }
}

#[test]
fn trailing_byte_is_refused() {
    let (first, second) = first_two();
    let network = tampered(move |mut letter| {
        if letter.from == second {
            letter.payload.push(0xc0);
        }
        vec![letter]
    });
    assert_blames(&network.failure(first), second);
}

#[test]
fn message_of_another_round_is_refused() {
    let (first, second) = first_two();
    // The content of round 1 again, in the envelope of round 2.
    let mut first_payload = None;
    let network = tampered(move |mut letter| {
        if letter.from == second {
            match letter.round {
                Round(1) => first_payload = Some(letter.payload.clone()),
                Round(2) => letter.payload = first_payload.clone().unwrap(),
                Round(_) => {}
            }
        }
        vec![letter]
    });
    assert_blames(&network.failure(first), second);
}

#[test]
fn second_past_and_far_messages_are_refused() {
    let (first, second) = first_two();
    let repeated = tampered(move |letter| {
        let copies = if letter.from == second { 2 } else { 1 };
        vec![letter; copies]
    });
    assert_blames(&repeated.failure(first), second);

    let past = tampered(move |mut letter| {
        if letter.from == second && letter.round == Round(3) {
            letter.round = Round(1);
        }
        vec![letter]
    });
    assert_blames(&past.failure(first), second);

    for round in [Round(0), Round(4), Round(u16::MAX)] {
        let far = tampered(move |mut letter| {
            if letter.from == second && letter.round == Round(1) {
                letter.round = round;
            }
            vec![letter]
        });
        assert_blames(&far.failure(first), second);
    }
}

#[test]
fn unknown_stage_and_stranger_are_refused() {
    let (first, second) = first_two();
    let network = tampered(move |mut letter| {
        if letter.from == second {
            letter.stage = Stage(2);
        }
        vec![letter]
    });
    assert_blames(&network.failure(first), second);

    let stranger = identities(3)[2].party();
    let network = tampered(move |mut letter| {
        if letter.from == second {
            letter.from = stranger;
        }
        vec![letter]
    });
    assert_blames(&network.failure(first), stranger);
}

#[test]
fn message_made_for_another_is_refused() {
    // All three share a 3-of-3 key, so that there is somebody else to address. The aux set is that
    // of the other tests; it is bound to the parties, not to a key.
    let identities = identities(3);
    let ids: Vec<_> = parties(&identities).into_iter().collect();
    let keys = deal_key(&parties(&identities), Threshold(3)).unwrap();
    let task = move |party: PartyId| {
        let (share, public_key) = keys[&party].clone();
        let aux = Some(dealt()[&party].aux.clone());
        Task::Sign { share, aux, public_key, message: DIGEST.to_vec() }
    };
    let (liar, meant, reached) = (ids[0], ids[1], ids[2]);
    let network = Network::new(contexts(&identities), task.clone(), 5)
        .tampered(move |mut letter| {
            if letter.from == liar && letter.to == reached && letter.round == Round(1) {
                letter.payload = swap_destination(letter.payload, reached, meant);
            }
            vec![letter]
        })
        .run();
    assert_blames(&network.failure(reached), liar);
    assert!(network.failure(reached).detail.contains("another party"));

    // And untampered, three sign as well as two.
    let products = Network::new(contexts(&identities), task, 6).run().products();
    assert_eq!(products.len(), 3);
}

/// Replaces the first mention of one party, which is the destination, by another.
fn swap_destination(mut payload: Vec<u8>, from: PartyId, to: PartyId) -> Vec<u8> {
    let at = payload.windows(32).position(|window| window == from.as_bytes()).unwrap();
    payload[at..at + 32].copy_from_slice(to.as_bytes());
    payload
}

/// Runs the first party's engine alone until its opening job is back.
fn opening_failure(task: Task, signers: &[Identity]) -> EngineFailure {
    let context = contexts(signers).remove(0);
    let mut engine = engine(SCHEME, task, context).unwrap();
    let mut steps = engine.start();
    let Some(Step::Work(job)) = steps.pop() else { panic!("{steps:?}") };
    let mut steps = engine.complete(job.run());
    match steps.pop() {
        Some(Step::Finished(Err(failure))) => failure,
        other => panic!("{other:?}"),
    }
}

#[test]
fn shares_that_do_not_fit_are_refused() {
    let signers = pair();
    let (first, second) = first_two();
    let Dealt { share, aux, public_key, .. } = dealt()[&first].clone();
    let other = dealt()[&second].clone();
    let task = |share: &SecretBytes, aux: &SecretBytes, public_key: &PublicKey| Task::Sign {
        share: share.clone(),
        aux: Some(aux.clone()),
        public_key: public_key.clone(),
        message: DIGEST.to_vec(),
    };
    let (_, foreign_key) = deal_key(&parties(&signers), Threshold(2)).unwrap()[&first].clone();
    let cases = [
        ("another public key", task(&share, &aux, &foreign_key), &signers[..]),
        ("another party", task(&other.share, &aux, &public_key), &signers),
        ("threshold", task(&share, &aux, &public_key), &identities(3)),
        ("same party", task(&share, &other.aux, &public_key), &signers),
        ("share cannot be read", task(&SecretBytes::new(vec![9, 9]), &aux, &public_key), &signers),
        ("share cannot be read", task(&SecretBytes::new(vec![]), &aux, &public_key), &signers),
        ("aux part cannot be read", task(&share, &share, &public_key), &signers),
    ];
    for (expected, task, signers) in cases {
        let failure = opening_failure(task, signers);
        assert_eq!(failure.kind, FailureKind::Internal, "{failure:?}");
        assert!(failure.guilty.is_empty());
        assert!(failure.detail.contains(expected), "{expected}: {}", failure.detail);
    }
}

#[test]
fn debug_of_task_product_and_steps_shows_no_secret() {
    let (first, _) = first_two();
    let task = format!("{:?}", sign_task(first));
    let secret = dealt()[&first].share.expose();
    assert!(task.contains("redacted"), "{task}");
    assert!(!task.contains(&format!("{:?}", &secret[..8]).replace(['[', ']'], "")), "{task}");
    let step = Step::Send { to: first, stage: Stage(1), round: Round(1), payload: vec![171; 9] };
    assert!(format!("{step:?}").ends_with("9 bytes)"));
}

#[test]
fn bare_sessions_sign_too() {
    let signer = RawSigner::deal(pair()).unwrap();
    for _ in 0..3 {
        println!("raw signing took {:?}", signer.sign(DIGEST).unwrap());
    }
}
