//! Secrets of the wire: identities and enrolment tokens.

use crate::shown::{BYTES, Case, Shown, TEXT, check_all};
use coordinator::Arrival;
use gateway::Claim;
use mpc_wire::codec::{decode, encode};
use mpc_wire::handshake::{Challenge, Hello};
use mpc_wire::{EnrolmentToken, Identity, Nonce, PartySignature, ToCoordinator};

/// Secret types of `mpc-wire`, and what carries them.
pub(crate) const CASES: &[Case] = &[
    ("Identity", identity),
    ("EnrolmentToken", token),
    ("Hello", hello),
    ("ToCoordinator::Prove", prove),
    ("Claim", claim),
    ("Arrival", arrival),
];

#[test]
fn no_secret_of_the_wire_is_told() {
    check_all(CASES);
}

fn canary() -> EnrolmentToken {
    EnrolmentToken::try_from(TEXT.to_owned()).unwrap()
}

fn identity(shown: &mut Shown) {
    let identity = Identity::from_seed(&BYTES);
    let rotated = identity.rotate().unwrap();
    shown.look_for(rotated.seed().as_slice());
    for identity in [&identity, &rotated] {
        shown.debug(identity);
        shown.debug(&identity.sign(&BYTES[..4]));
        shown.debug(&identity.proven_key());
    }
    let stranger = Identity::generate().party();
    shown.refused(Identity::restore(stranger, &BYTES, &[]));
    shown.refused(Identity::restore(identity.party(), &BYTES, &rotated.rotations()));
    shown.refused(Identity::restore(identity.party(), &BYTES, &BYTES));
}

fn token(shown: &mut Shown) {
    shown.debug(&canary());
    shown.refused(EnrolmentToken::try_from(TEXT.repeat(500)));
    // As it comes from who shows too long a one.
    shown.refused(decode::<EnrolmentToken>(&encode(&TEXT.repeat(500)).unwrap()));
    shown.refused(serde_json::from_value::<EnrolmentToken>(TEXT.repeat(500).into()));
}

fn challenge() -> Challenge {
    Challenge { version: 1, server: "s".to_owned(), nonce: Nonce::generate() }
}

fn hello(shown: &mut Shown) {
    let (challenge, party, token) = (challenge(), Identity::generate().party(), canary());
    shown.debug(&Hello { challenge: &challenge, party, label: "x", token: Some(&token) });
}

fn prove(shown: &mut Shown) {
    let identity = Identity::from_seed(&BYTES);
    let prove = ToCoordinator::Prove {
        party: identity.party(),
        label: "x".to_owned(),
        token: Some(canary()),
        signature: identity.sign(b"x"),
    };
    shown.debug(&prove);
    // Cut, and with each byte changed: what the decoder says of it.
    let bytes = encode(&prove).unwrap();
    for at in 0..bytes.len() {
        shown.refused(decode::<ToCoordinator>(&bytes[..at]));
        let mut altered = bytes.clone();
        altered[at] ^= 0x11;
        match decode::<ToCoordinator>(&altered) {
            Ok(ToCoordinator::Prove { .. }) => {}
            Ok(other) => shown.debug(&other),
            Err(error) => shown.error(&error),
        }
    }
}

fn claim(shown: &mut Shown) {
    let identity = Identity::generate();
    shown.debug(&Claim {
        party: identity.party(),
        key: identity.proven_key(),
        signature: PartySignature::from([0; 64]),
        label: "x".to_owned(),
        token: Some(canary()),
    });
}

fn arrival(shown: &mut Shown) {
    let identity = Identity::generate();
    shown.debug(&Arrival {
        party: identity.party(),
        key: identity.proven_key(),
        signature: PartySignature::from([0; 64]),
        label: "x".to_owned(),
        token: Some(canary()),
    });
}
