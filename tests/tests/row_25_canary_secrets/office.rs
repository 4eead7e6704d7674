//! Secrets of the coordinator: what it is given at its start.

use crate::shown::{BYTES, Case, Shown, TEXT, check_all};
use coordinator::{ApiKey, CoordinatorConfig, CoordinatorSecret, EnrolmentSecret, Networks};
use mpc::node::{MasterKey, NodeDoor};
use party_runtime::KeySource;
use zeroize::Zeroizing;

/// Secret types of `coordinator`, and what carries them to it.
pub(crate) const CASES: &[Case] = &[
    ("coordinator::ApiKey", api_key),
    ("CoordinatorSecret", coordinator_secret),
    ("EnrolmentSecret", enrolment_secret),
    ("CoordinatorConfig", config),
    ("NodeDoor", door),
    ("MasterKey", master_key),
];

#[test]
fn no_secret_of_the_coordinator_is_told() {
    check_all(CASES);
}

fn secret() -> CoordinatorSecret {
    Zeroizing::new(BYTES).into()
}

fn key() -> ApiKey {
    ApiKey::try_from(TEXT.to_owned()).unwrap()
}

fn enrolment() -> EnrolmentSecret {
    EnrolmentSecret::try_from(TEXT.to_owned()).unwrap()
}

fn api_key(shown: &mut Shown) {
    shown.debug(&key());
    let short = &TEXT[..15];
    shown.look_for(short.as_bytes());
    shown.refused(ApiKey::try_from(short.to_owned()));
}

fn coordinator_secret(shown: &mut Shown) {
    let secret = secret();
    shown.look_for(secret.subkey("x").as_slice());
    shown.debug(&secret);
    let digits = hex::encode(BYTES);
    for wrong in [&digits[1..], &format!("{digits}0"), &digits.replace('c', "x"), TEXT] {
        shown.refused(wrong.parse::<CoordinatorSecret>());
    }
}

fn enrolment_secret(shown: &mut Shown) {
    shown.debug(&enrolment());
    let short = &TEXT[..31];
    shown.look_for(short.as_bytes());
    shown.refused(EnrolmentSecret::try_from(short.to_owned()));
}

fn config(shown: &mut Shown) {
    let mut config = CoordinatorConfig::new("127.0.0.1:0".parse().unwrap(), key(), secret());
    config.enrolment = Some(enrolment());
    shown.debug(&config);
}

fn door(shown: &mut Shown) {
    let (allowed, trusted_proxies) = (Networks::default(), Networks::default());
    shown.debug(&NodeDoor { secret: secret(), allowed, trusted_proxies });
}

fn master_key(shown: &mut Shown) {
    let hex = KeySource::Hex(Zeroizing::new(hex::encode(BYTES)));
    shown.debug(&MasterKey::Shared(hex));
}
