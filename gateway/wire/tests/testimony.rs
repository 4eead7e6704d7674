//! What parties say about each other is theirs, whole, and bounded.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use mpc_wire::identity::InvalidSignature;
use mpc_wire::limits::{MAX_BANS, MAX_FRAME, MAX_INQUIRY};
use mpc_wire::{
    AccountId, Epoch, Identity, Inquiry, Nonce, PartyId, SignedBan, Testimony, ToCoordinator,
};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

fn identity(seed: u8) -> Identity {
    Identity::from_seed(&[seed; 32])
}

fn accounts(count: usize) -> BTreeSet<AccountId> {
    (1..=count as u128).map(|id| AccountId::new(Uuid::from_u128(id))).collect()
}

fn inquiry(count: usize) -> Inquiry {
    Inquiry::sign(&identity(1), Nonce::new([9; 32]), accounts(count))
}

fn floors(count: usize) -> BTreeMap<AccountId, Epoch> {
    accounts(count).into_iter().map(|account| (account, Epoch(u32::MAX))).collect()
}

/// Bans whose signatures are as long as they can be.
fn bans(count: usize) -> Vec<SignedBan> {
    let oldest = (0..mpc_wire::limits::MAX_KEY_ROTATIONS)
        .fold(identity(1), |identity, _| identity.rotate().unwrap());
    let ban = SignedBan::sign(&oldest, identity(3).party());
    assert_eq!(ban.verify(), Ok(oldest.proven_key()));
    vec![ban; count]
}

#[test]
fn a_ban_is_of_one_by_another() {
    let (by, banned) = (identity(1), identity(2).party());
    let ban = SignedBan::sign(&by, banned);
    assert_eq!((ban.by, ban.banned), (by.party(), banned));
    assert_eq!(ban.verify(), Ok(by.proven_key()));
    let forged = [
        SignedBan { banned: identity(3).party(), ..ban.clone() },
        SignedBan { by: banned, banned: by.party(), ..ban.clone() },
        SignedBan { signature: SignedBan::sign(&identity(3), banned).signature, ..ban },
    ];
    for forged in forged {
        assert_eq!(forged.verify(), Err(InvalidSignature));
    }
}

#[test]
fn an_inquiry_is_the_askers_and_whole() {
    let asked = inquiry(2);
    assert_eq!(asked.verify(), Ok(identity(1).proven_key()));
    let forged = [
        Inquiry { nonce: Nonce::new([8; 32]), ..asked.clone() },
        Inquiry { accounts: accounts(1), ..asked.clone() },
        Inquiry { accounts: accounts(3), ..asked.clone() },
        Inquiry { by: identity(2).party(), ..asked },
    ];
    for forged in forged {
        assert_eq!(forged.verify(), Err(InvalidSignature));
    }
}

#[test]
fn a_testimony_answers_one_inquiry_and_is_whole() {
    let (asked, witness) = (inquiry(2), identity(2));
    let told = Testimony::sign(&witness, &asked, floors(2), bans(1));
    assert_eq!((told.to, told.nonce), (asked.by, asked.nonce));
    assert_eq!(told.verify(), Ok(witness.proven_key()));
    let lower = floors(2).into_keys().map(|account| (account, Epoch(0))).collect();
    let forged = [
        // A floor lowered or left out, a ban left out or made up: the point of it all.
        Testimony { floors: lower, ..told.clone() },
        Testimony { floors: floors(1), ..told.clone() },
        Testimony { bans: Vec::new(), ..told.clone() },
        Testimony { bans: bans(2), ..told.clone() },
        Testimony { to: identity(3).party(), ..told.clone() },
        Testimony { nonce: Nonce::new([8; 32]), ..told.clone() },
        Testimony { by: identity(3).party(), ..told },
    ];
    for forged in forged {
        assert_eq!(forged.verify(), Err(InvalidSignature));
    }
}

/// Validly signed, and refused for its size alone.
#[test]
fn more_than_the_bounds_is_refused() {
    assert!(inquiry(MAX_INQUIRY).verify().is_ok());
    assert_eq!(inquiry(MAX_INQUIRY + 1).verify(), Err(InvalidSignature));
    let told = |accounts, banned| {
        Testimony::sign(&identity(2), &inquiry(0), floors(accounts), bans(banned)).verify().is_ok()
    };
    assert!(told(MAX_INQUIRY, MAX_BANS));
    assert!(!told(MAX_INQUIRY + 1, 0));
    assert!(!told(0, MAX_BANS + 1));
}

#[test]
fn the_largest_of_them_fit_into_a_frame() {
    let asked = inquiry(MAX_INQUIRY);
    let told = Testimony::sign(&identity(2), &asked, floors(MAX_INQUIRY), bans(MAX_BANS));
    for message in [ToCoordinator::Inquiry(asked), ToCoordinator::Testimony(told)] {
        let bytes = mpc_wire::codec::encode(&message).unwrap();
        assert!(bytes.len() <= MAX_FRAME);
        assert_eq!(mpc_wire::codec::decode(&bytes), Ok(message));
    }
}

/// A party that founds itself anew is another party: nothing said of the first counts for it.
#[test]
fn a_rotated_key_bans_for_the_party_that_it_is() {
    let rotated = identity(1).rotate().unwrap();
    let ban = SignedBan::sign(&rotated, identity(2).party());
    assert_eq!(ban.by, identity(1).party());
    assert_eq!(ban.verify().unwrap().number.0, 1);
    let own_name = PartyId::new(*rotated.proven_key().key.as_bytes());
    assert_eq!(SignedBan { by: own_name, ..ban }.verify(), Err(InvalidSignature));
}
