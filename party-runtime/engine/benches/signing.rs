//! What a CGGMP'24 signing of two costs in CPU time, with the guard and without it.
//!
//! Both parties run in one thread, one job after the other, so that a measurement is CPU time and
//! nothing else. Compare within one run: `cargo bench -p mpc-engine`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench fails by panicking")]

#[path = "../tests/harness/network.rs"]
mod network;

use criterion::{Criterion, criterion_group, criterion_main};
use mpc_engine::Task;
use mpc_engine::dealer::{Dealt, deal};
use mpc_wire::{PartyId, Threshold};
use network::{Guard, Network, contexts, identities, parties};
use std::collections::BTreeMap;

fn sign(dealt: &BTreeMap<PartyId, Dealt>, guard: Guard) {
    let signers = identities(2);
    let task = |party| {
        let Dealt { share, public_key, aux, .. } = dealt[&party].clone();
        Task::Sign { share, aux: Some(aux), public_key, message: vec![0x42; 32] }
    };
    let products = Network::with(guard, contexts(&signers), task, 3).run().products();
    assert_eq!(products.len(), 2);
}

fn signing(criterion: &mut Criterion) {
    let dealt = deal(&parties(&identities(2)), Threshold(2)).unwrap();
    let mut group = criterion.benchmark_group("cggmp24 signing of two");
    group.sample_size(20);
    group.bench_function("guarded", |bench| bench.iter(|| sign(&dealt, Guard::On)));
    group.bench_function("unguarded", |bench| bench.iter(|| sign(&dealt, Guard::Off)));
    group.finish();
}

criterion_group!(benches, signing);
criterion_main!(benches);
