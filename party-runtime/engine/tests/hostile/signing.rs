//! Row 13 in signing: something wrong in each round, of each kind that the round has. The rounds in
//! which a failed check is looked into are in `error_rounds`.

use super::harness::forge::Kind::{self, Direct, Echo, Normal};
use super::harness::forge::Opened;
use super::harness::lies::{At, Lie, run_with};
use super::harness::network::Letter;
use super::{assert_liar_is_named, pair, sign};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

/// Spoils one leaf of one message of the first of two signers.
fn spoilt(at: At, kind: Kind, leaf: &str) {
    let (liar, honest) = pair();
    println!("step {at:?}, {kind:?} part, {leaf}");
    let network = run_with(sign(&liar, &honest), vec![Lie::leaf(&liar, at, kind, leaf)]);
    assert_liar_is_named(&network, &honest, &liar);
}

fn all_spoilt(at: At, leaves: &[(Kind, &str)]) {
    for (kind, leaf) in leaves {
        spoilt(at, *kind, leaf);
    }
}

#[test]
fn row_13_signing_round_1() {
    let leaves = [
        (Echo, "cap_k.ciphertext"),
        (Echo, "cap_g.ciphertext"),
        (Echo, "cap_y"),
        (Echo, "cap_a2"),
        (Echo, "cap_b1"),
        (Direct, "psi0.e"),
        (Direct, "psi0.z1.abs_bytes"),
        (Direct, "psi0.cap_t"),
        (Direct, "psi1.w"),
        (Direct, "psi1.z2"),
        (Direct, "psi1.z3.is_negative"),
    ];
    all_spoilt((1, 1), &leaves);
}

#[test]
fn row_13_signing_round_2() {
    let leaves = [
        (Echo, "cap_gamma"),
        (Echo, "cap_fs.0.0"),
        (Echo, "cap_fs.0.1.ciphertext"),
        (Echo, "hat_cap_fs.0.1.ciphertext"),
        (Normal, "cap_ds.0.0"),
        (Normal, "cap_ds.0.1.ciphertext"),
        (Normal, "hat_cap_ds.0.1.ciphertext"),
        (Normal, "psi_elog.u"),
        (Normal, "psis.0.0"),
        (Normal, "psis.0.1.z2.abs_bytes"),
        (Normal, "hat_psis.0.1.w_y"),
    ];
    all_spoilt((1, 3), &leaves);
}

/// The library counts the entries of two of its four maps, and takes it for a fault of its own
/// party if something in the others is missing.
#[test]
fn row_13_signing_round_2_entries_that_are_missing_or_strange() {
    for leaf in ["hat_cap_ds.0.0", "hat_psis.0.0"] {
        spoilt((1, 3), Normal, leaf);
    }
    spoilt((1, 3), Echo, "hat_cap_fs.0.0");
    let (liar, honest) = pair();
    for map in ["cap_ds", "hat_cap_ds", "psis", "hat_psis"] {
        let emptied = Lie::part(&liar, (1, 3), Normal, |value| value.at(map).list_mut().clear());
        let network = run_with(sign(&liar, &honest), vec![emptied]);
        assert_liar_is_named(&network, &honest, &liar);
    }
}

/// Its other two fields are checked in sums: `error_rounds`.
#[test]
fn row_13_signing_round_3() {
    let leaves = [
        (Normal, "cap_delta"),
        (Normal, "psi_prime.e"),
        (Normal, "psi_prime.z"),
        (Normal, "psi_prime.cap_b"),
    ];
    all_spoilt((1, 5), &leaves);
}

#[test]
fn row_13_signing_round_4() {
    spoilt((1, 7), Normal, "sigma");
}

#[test]
fn row_13_signing_echo_rounds() {
    for round in [2, 4, 6] {
        let leaves = [
            (Normal, "message_hashes.0.0"),
            (Normal, "message_hashes.0.1.signature"),
            (Normal, "message_hashes.0.1.message_part_hash"),
        ];
        all_spoilt((1, round), &leaves);
    }
    let (liar, honest) = pair();
    let silent = Lie::part(&liar, (1, 2), Normal, |echo| {
        echo.at("message_hashes").list_mut().clear();
    });
    let network = run_with(sign(&liar, &honest), vec![silent]);
    assert_liar_is_named(&network, &honest, &liar);
}

/// All fields of all messages. Takes minutes.
#[test]
#[ignore = "the full figure: minutes"]
fn row_13_signing_every_field() {
    let (liar, honest) = pair();
    let said = Rc::new(RefCell::new(BTreeSet::new()));
    let (saying, party) = (Rc::clone(&said), liar.party());
    let listen = move |letter: Letter| {
        let opened = Opened::read(&letter.payload);
        for kind in Kind::ALL.into_iter().filter(|_| letter.from == party) {
            let leaves = opened.content(kind).map_or(Vec::new(), |content| content.leaves());
            let at = (letter.stage.0, letter.round.0);
            saying.borrow_mut().extend(leaves.into_iter().map(|leaf| (at, kind, leaf)));
        }
        vec![letter]
    };
    assert_eq!(sign(&liar, &honest).tampered(listen).run().products().len(), 2);
    // A bound that is one too high says nothing wrong of its number.
    let said = said.take().into_iter().filter(|(_, _, leaf)| !leaf.ends_with("bound"));
    let said: Vec<_> = said.collect();
    println!("{} fields", said.len());
    for (at, kind, leaf) in said {
        spoilt(at, kind, &leaf);
    }
}
