//! Keys among several parties, in memory, in random orders.

mod harness {
    pub(crate) mod network;
}

use harness::network::{Letter, Network, SCHEME, contexts, identities, keygen, parties};
use mpc_engine::verify::check_public_key;
use mpc_engine::{Step, Task, engine};
use mpc_wire::{FailureKind, Round, Stage, Threshold};
use std::collections::BTreeSet;
use std::time::Instant;

fn makes_a_key(threshold: u16, parties: u8, seeds: std::ops::Range<u64>) {
    let mut keys = BTreeSet::new();
    for seed in seeds.clone() {
        let began = Instant::now();
        let (shares, key) = keygen(&identities(parties), threshold, seed);
        println!("keygen {threshold} of {parties} took {:?}", began.elapsed());
        assert_eq!(check_public_key(SCHEME, &key), Ok(()));
        assert_eq!(shares.len(), usize::from(parties));
        keys.insert(key);
    }
    assert_eq!(keys.len(), seeds.count(), "every key is fresh");
}

#[test]
fn two_of_two() {
    makes_a_key(2, 2, 0..5);
}

#[test]
fn two_of_three() {
    makes_a_key(2, 3, 0..10);
}

#[test]
fn three_of_three() {
    makes_a_key(3, 3, 0..5);
}

#[test]
fn three_of_five() {
    makes_a_key(3, 5, 0..5);
}

/// A party keeps its name when its key is rotated, and signs its messages with the newest one.
#[test]
fn parties_whose_keys_were_rotated() {
    let mut identities = identities(3);
    for (identity, times) in identities.iter_mut().zip([0, 1, 3]) {
        for _ in 0..times {
            *identity = identity.rotate().unwrap();
        }
    }
    let (shares, key) = keygen(&identities, 2, 1);
    assert_eq!(check_public_key(SCHEME, &key), Ok(()));
    assert!(shares.keys().eq(&parties(&identities)));
}

#[test]
fn jobs_in_parallel_threads() {
    for seed in 0..5 {
        let task = |_| Task::Keygen { threshold: Threshold(3) };
        let products = Network::new(contexts(&identities(5)), task, seed).run_in_threads();
        assert_eq!(products.products().len(), 5);
    }
}

fn two_of_three_tampered(tamper: impl FnMut(Letter) -> Vec<Letter> + 'static) -> Network {
    let task = |_| Task::Keygen { threshold: Threshold(2) };
    Network::new(contexts(&identities(3)), task, 7).tampered(tamper).run()
}

#[test]
fn introduction_of_another_key_is_refused() {
    let ids: Vec<_> = parties(&identities(3)).into_iter().collect();
    let (liar, newcomer) = (ids[0], ids[2]);
    // Another run's introduction is consistent in itself, but not what the other founder says.
    let keep = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let kept = std::rc::Rc::clone(&keep);
    two_of_three_tampered(move |letter| {
        if letter.from == liar && letter.to == newcomer && letter.stage == Stage(1) {
            keep.borrow_mut().push(letter.payload.clone());
        }
        vec![letter]
    });
    let other = kept.borrow()[0].clone();
    let network = two_of_three_tampered(move |mut letter| {
        if letter.from == liar && letter.to == newcomer && letter.stage == Stage(1) {
            letter.payload = other.clone();
        }
        vec![letter]
    });
    let failure = network.failure(newcomer);
    assert_eq!(failure.kind, FailureKind::PeerMisbehaved);
    assert!(failure.guilty.is_empty());
}

#[test]
fn garbage_introduction_names_its_sender() {
    let ids: Vec<_> = parties(&identities(3)).into_iter().collect();
    let (liar, newcomer) = (ids[1], ids[2]);
    let network = two_of_three_tampered(move |mut letter| {
        if letter.from == liar && letter.to == newcomer && letter.stage == Stage(1) {
            letter.payload = b"hello".to_vec();
        }
        vec![letter]
    });
    let failure = network.failure(newcomer);
    assert_eq!(failure.kind, FailureKind::PeerMisbehaved);
    assert_eq!(failure.guilty, BTreeSet::from([liar]));
}

#[test]
fn newcomer_without_introductions_says_whom_it_waits_for() {
    let identities = identities(3);
    let ids: Vec<_> = parties(&identities).into_iter().collect();
    let context = contexts(&identities).remove(2);
    let task = Task::Keygen { threshold: Threshold(2) };
    let mut newcomer = engine(SCHEME, task, context).unwrap();
    let steps = newcomer.start();
    let [Step::Waiting { stage: Stage(1), waiting_for, .. }] = &steps[..] else {
        panic!("{steps:?}");
    };
    assert_eq!(*waiting_for, BTreeSet::from([ids[0], ids[1]]));

    // What founders send of stage 2 meanwhile is kept, twice is too often.
    assert!(newcomer.receive(ids[0], Stage(2), Round(1), vec![1]).is_empty());
    let steps = newcomer.receive(ids[0], Stage(2), Round(1), vec![1]);
    let [Step::Finished(Err(failure))] = &steps[..] else { panic!("{steps:?}") };
    assert_eq!(failure.guilty, BTreeSet::from([ids[0]]));
    assert!(newcomer.receive(ids[1], Stage(2), Round(1), vec![1]).is_empty(), "it is over");
}

#[test]
fn thresholds_that_are_none_are_refused() {
    for threshold in [0, 1, 4] {
        let context = contexts(&identities(3)).remove(0);
        let task = Task::Keygen { threshold: Threshold(threshold) };
        let failure = engine(SCHEME, task, context).err().unwrap();
        assert_eq!(failure.kind, FailureKind::Internal);
    }
}

#[test]
fn contexts_that_contradict_themselves_are_refused() {
    let task = || Task::Keygen { threshold: Threshold(2) };
    let good = contexts(&identities(3)).remove(0);
    let mut alone = good.clone();
    alone.joins.retain(|member, _| *member == good.identity.party());
    let mut absent = good.clone();
    absent.joins.remove(&good.identity.party());
    let mut other_plan = good.clone();
    other_plan.plan_hash = mpc_wire::PlanHash::new([0; 32]);
    let mut misfiled = good;
    let (_, last) = misfiled.joins.pop_last().unwrap();
    misfiled.joins.insert(mpc_wire::PartyId::new([0xff; 32]), last);
    for context in [alone, absent, other_plan, misfiled] {
        let failure = engine(SCHEME, task(), context).err().unwrap();
        assert_eq!(failure.kind, FailureKind::Internal);
    }
}

#[test]
fn dropped_letters_leave_everyone_waiting_for_their_sender() {
    let ids: Vec<_> = parties(&identities(3)).into_iter().collect();
    let silent = ids[1];
    let network =
        two_of_three_tampered(
            move |letter| {
                if letter.from == silent { Vec::new() } else { vec![letter] }
            },
        );
    assert!(network.ends.is_empty());
    assert_eq!(network.waiting[&ids[0]].2, BTreeSet::from([silent]));
    // The other founder is stuck, so its introduction is missing as well.
    assert_eq!(network.waiting[&ids[2]].2, BTreeSet::from([ids[0], silent]));
}

#[test]
fn introductions_have_a_round_of_their_own() {
    let last_round = |parties| {
        let task = |_| Task::Keygen { threshold: Threshold(2) };
        Network::new(contexts(&identities(parties)), task, 1).run().last_round[&Stage(1)]
    };
    assert_eq!(last_round(2), Round(5), "the protocol's last round");
    assert_eq!(last_round(3), Round(6));
}
