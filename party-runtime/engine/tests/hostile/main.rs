//! Members that sign what they should not: messages opened, changed and signed again with the
//! sender's own key, so that only the protocol itself can tell. Fault rows 13, 14 and 16.
//!
//! - `keygen`, `aux`, `signing`, `error_rounds`: row 13, something wrong in each round.
//! - `equivocation`: row 14.
//! - `findings`: what the library alone lets pass or panics over; `guard`: rows 15, 16 and 17, that the
//!   guard refuses it, by round and field; `attacks`, by `make attacks`: that it is so without.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code fails by panicking"
)]

#[path = "../harness"]
mod harness {
    pub(crate) mod forge;
    pub(crate) mod lies;
    pub(crate) mod network;
    pub(crate) mod oracle;
    pub(crate) mod value;
}

mod attacks;
mod aux;
mod equivocation;
mod error_rounds;
mod findings;
mod guard;
mod keygen;
mod signing;

use harness::network::{Guard, Network, contexts, identities, parties};
use mpc_engine::dealer::{Dealt, deal, deal_key};
use mpc_engine::{SecretBytes, Task};
use mpc_wire::{FailureKind, Identity, PartyId, PublicKey, Threshold};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

/// What all tests sign.
const DIGEST: [u8; 32] = [0x42; 32];

/// The first of `count` members, who lies, and the others, who do not.
fn cast(count: u8) -> (Identity, Vec<Identity>) {
    let mut everybody = identities(count);
    let liar = everybody.remove(0);
    (liar, everybody)
}

/// Two who sign with a 2-of-3 key, of whom the first lies.
fn pair() -> (Identity, Vec<Identity>) {
    let (liar, mut honest) = cast(3);
    honest.truncate(1);
    (liar, honest)
}

/// Three who sign with a 3-of-3 key, of whom the first lies.
fn trio() -> (Identity, Vec<Identity>) {
    cast(3)
}

/// One deal of an aux set and a 2-of-3 key for all tests: its primes take a while.
fn dealt() -> &'static BTreeMap<PartyId, Dealt> {
    static DEALT: OnceLock<BTreeMap<PartyId, Dealt>> = OnceLock::new();
    DEALT.get_or_init(|| deal(&parties(&identities(3)), Threshold(2)).unwrap())
}

/// A 3-of-3 key for the same aux set, which is bound to the parties and not to a key.
fn key_of_three() -> &'static BTreeMap<PartyId, (SecretBytes, PublicKey)> {
    static KEY: OnceLock<BTreeMap<PartyId, (SecretBytes, PublicKey)>> = OnceLock::new();
    KEY.get_or_init(|| deal_key(&parties(&identities(3)), Threshold(3)).unwrap())
}

/// Two or three sign.
fn sign(liar: &Identity, honest: &[Identity]) -> Network {
    sign_with(Guard::On, liar, honest)
}

fn sign_with(guard: Guard, liar: &Identity, honest: &[Identity]) -> Network {
    let signers: Vec<Identity> = [liar].into_iter().chain(honest).cloned().collect();
    let of_two = signers.len() == 2;
    let task = move |party| {
        let Dealt { share, public_key, aux, .. } = dealt()[&party].clone();
        let (share, public_key) =
            if of_two { (share, public_key) } else { key_of_three()[&party].clone() };
        Task::Sign { share, aux: Some(aux), public_key, message: DIGEST.to_vec() }
    };
    Network::with(guard, contexts(&signers), task, 3)
}

/// A keygen among `count` members.
fn keygen(threshold: u16, count: u8) -> Network {
    keygen_with(Guard::On, threshold, count)
}

fn keygen_with(guard: Guard, threshold: u16, count: u8) -> Network {
    let task = move |_| Task::Keygen { threshold: Threshold(threshold) };
    Network::with(guard, contexts(&identities(count)), task, 11)
}

/// Checks that every honest member's attempt has failed and names exactly these.
fn assert_all_name(network: &Network, honest: &[Identity], kind: FailureKind, guilty: &[PartyId]) {
    for member in honest {
        let failure = network.failure(member.party());
        assert_eq!(failure.kind, kind, "{failure:?}");
        assert_eq!(failure.guilty, guilty.iter().copied().collect(), "{failure:?}");
    }
}

/// Checks that honest members' attempts have failed, that each of these names the liar and nobody
/// else, and that who has not failed was only waiting for one who has, or for the liar.
fn assert_liar_is_named(network: &Network, honest: &[Identity], liar: &Identity) {
    let ended: Vec<Identity> = honest
        .iter()
        .filter(|member| network.ends.contains_key(&member.party()))
        .cloned()
        .collect();
    assert!(!ended.is_empty(), "nobody noticed: {:?}", network.waiting);
    assert_all_name(network, &ended, FailureKind::PeerMisbehaved, &[liar.party()]);
    let over: BTreeSet<PartyId> = network.ends.keys().copied().chain([liar.party()]).collect();
    for member in honest.iter().filter(|member| !over.contains(&member.party())) {
        let (_, _, waiting_for) = &network.waiting[&member.party()];
        assert!(waiting_for.is_subset(&over), "{waiting_for:?}");
    }
}
