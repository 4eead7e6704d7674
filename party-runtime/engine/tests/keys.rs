//! Members whose keys were rotated: in an attempt each signs with the key that it joined with, and
//! with no other, older or newer.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code fails by panicking"
)]

mod harness {
    pub(crate) mod forge;
    pub(crate) mod network;
    pub(crate) mod value;
}

use harness::forge::{EchoPack, Kind, Opened, write};
use harness::network::{Letter, Network, SCHEME, contexts, identities};
use mpc_engine::{Task, engine};
use mpc_wire::{FailureKind, Identity, PartyId, Round, Stage, Threshold};
use std::collections::BTreeSet;

/// Founders commit to their parts of the key.
const COMMITTING: (Stage, Round) = (Stage(1), Round(1));
/// Founders tell what they were told.
const ECHOING: (Stage, Round) = (Stage(1), Round(2));
/// Founders prove that they know their parts of the key.
const PROVING: (Stage, Round) = (Stage(1), Round(5));
/// Founders redistribute the key.
const RESHARING: (Stage, Round) = (Stage(2), Round(1));

const KEYGEN: Task = Task::Keygen { threshold: Threshold(3) };

/// Three members, each with a key that was rotated once.
fn members() -> Vec<Identity> {
    identities(3).iter().map(|founded| founded.rotate().unwrap()).collect()
}

/// Runs a keygen in which the first member's messages of one round are changed.
fn keygen(
    members: &[Identity],
    (stage, round): (Stage, Round),
    mut change: impl FnMut(&mut Opened) + 'static,
) -> Network {
    let changed = members[0].party();
    Network::new(contexts(members), |_| KEYGEN, 7)
        .tampered(move |mut letter: Letter| {
            if letter.from == changed && letter.stage == stage && letter.round == round {
                let mut opened: Opened = rmp_serde::from_slice(&letter.payload).unwrap();
                change(&mut opened);
                letter.payload = write(&opened);
            }
            vec![letter]
        })
        .run()
}

#[track_caller]
fn assert_is_named_for_its_key(network: &Network, guilty: PartyId, by: &[Identity]) {
    for member in by {
        let failure = network.failure(member.party());
        assert_eq!(failure.kind, FailureKind::PeerMisbehaved, "{failure:?}");
        assert_eq!(failure.guilty, BTreeSet::from([guilty]), "{failure:?}");
        assert!(failure.detail.contains("the key that its member joined with"), "{failure:?}");
    }
}

#[test]
fn members_with_rotated_keys_make_a_key() {
    assert_eq!(keygen(&members(), COMMITTING, |_| ()).products().len(), 3);
}

/// Each kind of part, as it is but signed with a key that is the member's too.
#[test]
fn a_part_under_another_key_of_its_member_is_refused() {
    type Resign = fn(&mut Opened, &Identity);
    const PARTS: [((Stage, Round), Resign); 3] = [
        (RESHARING, |opened, key| opened.sign_again(Kind::Direct, key)),
        (COMMITTING, |opened, key| opened.sign_again(Kind::Echo, key)),
        (PROVING, |opened, key| opened.sign_again(Kind::Normal, key)),
    ];
    let members = members();
    let present = members[0].clone();
    let founding = identities(3).remove(0);
    let fork = founding.rotate().unwrap();
    let next = present.rotate().unwrap();
    for (step, sign_again) in PARTS {
        let run = |key: &Identity| {
            let key = key.clone();
            keygen(&members, step, move |opened| sign_again(opened, &key))
        };
        assert_eq!(run(&present).products().len(), 3);
        for key in [&founding, &fork, &next] {
            assert_is_named_for_its_key(&run(key), present.party(), &members[1..]);
        }
    }
}

/// Who has stolen a key that a member has rotated away since can make no liar of it.
#[test]
fn an_echo_under_a_key_that_was_rotated_away_names_who_echoes() {
    let members = members();
    let (liar, stolen) = (members[0].clone(), identities(3).remove(1));
    let network = keygen(&members, ECHOING, move |opened| {
        opened.forge_as(Kind::Normal, &liar, |pack: &mut EchoPack| {
            let victim = stolen.party();
            let echoes = &mut pack.message_hashes;
            let (_, echo) =
                echoes.iter_mut().find(|(of, _)| **of == victim.as_bytes()[..]).unwrap();
            echo.forge(&stolen);
        });
    });
    assert_is_named_for_its_key(&network, members[0].party(), &members[1..]);
}

/// The peers would take what it signs for forged: better it says so itself.
#[test]
fn a_member_that_has_rotated_its_key_since_it_joined_does_not_begin() {
    let mut context = contexts(&members()).remove(0);
    context.identity = context.identity.rotate().unwrap();
    let failure = engine(SCHEME, KEYGEN, context).err().unwrap();
    assert_eq!(failure.kind, FailureKind::Internal);
    assert!(failure.detail.contains("rotated its key"), "{failure:?}");
}
