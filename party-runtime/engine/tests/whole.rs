//! The whole road with a real aux set, once: it takes most of a minute.

mod harness {
    pub(crate) mod network;
}

use harness::network::{Network, SCHEME, contexts, identities, keygen};
use mpc_engine::verify::verify_signature;
use mpc_engine::{Product, Task};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

#[test]
fn keygen_then_aux_then_every_pair_signs() {
    let identities = identities(3);
    let began = Instant::now();
    let (shares, public_key) = keygen(&identities, 2, 1);
    println!("keygen took {:?}", began.elapsed());

    let began = Instant::now();
    let network = Network::new(contexts(&identities), |_| Task::Aux, 2).run();
    println!(
        "aux took {:?}, largest message {}, slowest call {:?}",
        began.elapsed(),
        network.largest,
        network.slowest_call
    );
    let mut ids = BTreeSet::new();
    let aux_parts: BTreeMap<_, _> = network
        .products()
        .into_iter()
        .map(|(party, product)| {
            let Product::Aux { aux_id, secret } = product else { panic!("{product:?}") };
            ids.insert(aux_id);
            (party, secret)
        })
        .collect();
    assert_eq!(ids.len(), 1, "all know the set by the same id");

    for absent in 0..3 {
        let mut signers = identities.clone();
        signers.remove(absent);
        let digest = [absent as u8 + 1; 32];
        let task = |party| Task::Sign {
            share: shares[&party].clone(),
            aux: Some(aux_parts[&party].clone()),
            public_key: public_key.clone(),
            message: digest.to_vec(),
        };
        let began = Instant::now();
        let network = Network::new(contexts(&signers), task, 3 + absent as u64).run();
        println!(
            "sign took {:?}, largest message {}, slowest call {:?}",
            began.elapsed(),
            network.largest,
            network.slowest_call
        );
        for product in network.products().into_values() {
            let Product::Signature(signature) = product else { panic!("{product:?}") };
            assert_eq!(verify_signature(SCHEME, &public_key, &digest, &signature), Ok(()));
        }
    }
}
