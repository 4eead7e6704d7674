//! Row 13 in key generation: every field of every message.

use super::harness::forge::{Kind, Opened};
use super::harness::lies::{At, Lie, run_with};
use super::harness::network::{Letter, identities};
use super::harness::value::Value;
use super::{assert_liar_is_named, cast, keygen};
use mpc_wire::Identity;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

/// The step in which founders redistribute the key.
const RESHARING: At = (2, 1);

/// A founder's introduction of the key: made by this house, not by the library. `keygen.rs` lies
/// in it.
const INTRODUCTION: At = (1, 6);

/// Everything that a member says in a keygen.
fn said_by(member: &Identity, threshold: u16, parties: u8) -> BTreeSet<(At, Kind, String)> {
    let said = Rc::new(RefCell::new(BTreeSet::new()));
    let (saying, party) = (Rc::clone(&said), member.party());
    let listen = move |letter: Letter| {
        let at = (letter.stage.0, letter.round.0);
        if letter.from == party && at != INTRODUCTION {
            let opened = Opened::read(&letter.payload);
            for kind in Kind::ALL {
                let leaves = opened.content(kind).map_or(Vec::new(), |content| content.leaves());
                saying.borrow_mut().extend(leaves.into_iter().map(|leaf| (at, kind, leaf)));
            }
        }
        vec![letter]
    };
    let network = keygen(threshold, parties).tampered(listen).run();
    assert_eq!(network.products().len(), usize::from(parties));
    said.take()
}

/// Spoils every field of every message of one member, one at a time.
fn every_field(threshold: u16, parties: u8, liar: usize) {
    let mut honest = identities(parties);
    let liar = honest.remove(liar);
    let said = said_by(&liar, threshold, parties);
    let steps: BTreeSet<At> = said.iter().map(|(at, _, _)| *at).collect();
    println!("{} fields in {} steps", said.len(), steps.len());
    for (at, kind, leaf) in said {
        println!("step {at:?}, {kind:?} part, {leaf}");
        let network = run_with(keygen(threshold, parties), vec![Lie::leaf(&liar, at, kind, &leaf)]);
        assert_liar_is_named(&network, &honest, &liar);
    }
}

#[test]
fn row_13_keygen_every_field_of_a_founder() {
    every_field(2, 3, 0);
}

#[test]
fn row_13_keygen_every_field_of_a_newcomer() {
    every_field(2, 3, 2);
}

#[test]
fn row_13_keygen_every_field_of_one_of_three_founders() {
    every_field(3, 3, 1);
}

/// Whatever fails in these tests, it is not that a message was signed again.
#[test]
fn message_signed_again_without_a_change_passes() {
    let (liar, _) = cast(3);
    let unchanged = |kind| Lie::part(&liar, RESHARING, kind, |_| {});
    let network = run_with(keygen(2, 3), vec![unchanged(Kind::Direct), unchanged(Kind::Echo)]);
    assert_eq!(network.products().len(), 3);
}

#[test]
fn row_13_keygen_undecodable_part_is_refused_without_being_quoted() {
    let (liar, honest) = cast(2);
    // A name of a field where the proof should be.
    let lie = Lie::part(&liar, (1, 5), Kind::Normal, |content| {
        *content = Value::fields([("quoted text", Value::Bool(true))]);
    });
    let network = run_with(keygen(2, 2), vec![lie]);
    assert_liar_is_named(&network, &honest, &liar);
    let failure = network.failure(honest[0].party());
    assert!(!failure.detail.contains("quoted text"), "{failure:?}");
}
