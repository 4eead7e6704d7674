//! The bytes of every message, so that a change of the wire shows as a change of a file.
//!
//! After an intended change: `INSTA_UPDATE=always cargo test -p mpc-wire --test snapshots`, and
//! read the difference.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "samples/messages.rs"]
mod samples;

use mpc_wire::codec::encode;
use mpc_wire::{
    AbortReason, ActivationRefusal, Attempt, AttemptOutcome, AuxId, DeclineReason, DerivationPath,
    Downlink, EntryHash, Epoch, ErrorCode, FailureKind, HashFunction, IntentHash, IntentKind,
    KeyNumber, Nonce, Objection, PartyKey, Payload, PlanHash, ProtocolSessionId, RequestId,
    RequesterName, Round, Scheme, Seq, SessionRefusal, SharesHash, Signature, Stage, Threshold,
    ToCoordinator, ToParty, UnixMillis, Uplink,
};
use samples::{account, key, party, session, uuid};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;
use std::fmt::Write;

/// Every variant of an enum, from the error that serde gives when it is offered another.
fn variants<T: DeserializeOwned>() -> BTreeSet<String> {
    let Err(error) = serde_json::from_str::<T>("\"no such variant\"") else {
        panic!("a variant by this name");
    };
    let error = error.to_string();
    let (_, known) = error.split_once("expected").unwrap();
    let quoted = known.split('`').skip(1).step_by(2);
    quoted.map(str::to_owned).collect()
}

/// The name under which serde writes a value of an enum.
fn variant(value: &impl Serialize) -> String {
    let json = serde_json::to_value(value).unwrap();
    let with_content = json.as_object().and_then(|map| map.keys().next());
    let name = with_content.map(String::as_str).or(json.as_str());
    name.unwrap().to_owned()
}

fn has_every_variant<T: Serialize + DeserializeOwned>(samples: &[T]) {
    let sampled: BTreeSet<_> = samples.iter().map(variant).collect();
    assert_eq!(sampled, variants::<T>());
}

/// Each message's name, size and MessagePack bytes, 32 a line.
fn bytes_of<T: Serialize + DeserializeOwned>(samples: &[T]) -> String {
    has_every_variant(samples);
    let mut text = String::new();
    for sample in samples {
        let bytes = encode(sample).unwrap();
        writeln!(text, "{}, {} bytes", variant(sample), bytes.len()).unwrap();
        for line in bytes.chunks(32) {
            writeln!(text, "  {}", hex::encode(line)).unwrap();
        }
    }
    text
}

#[test]
fn to_party() {
    insta::assert_snapshot!(bytes_of(&samples::to_party()));
}

#[test]
fn to_coordinator() {
    insta::assert_snapshot!(bytes_of(&samples::to_coordinator()));
}

#[test]
fn uplink() {
    insta::assert_snapshot!(bytes_of::<Uplink>(&samples::uplink()));
}

#[test]
fn downlink() {
    insta::assert_snapshot!(bytes_of::<Downlink>(&samples::downlink()));
}

#[test]
fn the_samples_hold_every_kind_of_intent_payload_and_outcome() {
    let (mut kinds, mut payloads) = (Vec::new(), Vec::new());
    for message in samples::to_party() {
        if let ToParty::Invite { intent, .. } = message {
            if let IntentKind::Sign { payload, .. } = &intent.kind {
                payloads.push(payload.clone());
            }
            kinds.push(intent.kind);
        }
    }
    has_every_variant::<IntentKind>(&kinds);
    has_every_variant::<Payload>(&payloads);

    let mut outcomes = Vec::new();
    for message in samples::to_coordinator() {
        if let ToCoordinator::Outcome { outcome, .. } = message {
            outcomes.push(outcome);
        }
    }
    has_every_variant::<AttemptOutcome>(&outcomes);
}

/// The names in lists that the messages above show one of.
#[test]
fn closed_lists() {
    let lists = [
        ("AbortReason", variants::<AbortReason>()),
        ("ActivationRefusal", variants::<ActivationRefusal>()),
        ("DeclineReason", variants::<DeclineReason>()),
        ("ErrorCode", variants::<ErrorCode>()),
        ("FailureKind", variants::<FailureKind>()),
        ("HashFunction", variants::<HashFunction>()),
        ("Objection", variants::<Objection>()),
        ("Scheme", variants::<Scheme>()),
        ("SessionRefusal", variants::<SessionRefusal>()),
        ("Signature", variants::<Signature>()),
    ];
    let mut text = String::new();
    for (name, variants) in lists {
        let variants: Vec<_> = variants.into_iter().collect();
        writeln!(text, "{name}\n  {}", variants.join("\n  ")).unwrap();
    }
    insta::assert_snapshot!(text);
}

#[test]
fn failures_are_named_as_serde_names_them() {
    for name in variants::<FailureKind>() {
        let kind: FailureKind = serde_json::from_value(name.clone().into()).unwrap();
        assert_eq!(kind.name(), name);
    }
}

#[test]
fn ids_in_json() {
    fn line(text: &mut String, name: &str, id: &impl Serialize) {
        writeln!(text, "{name} {}", serde_json::to_string(id).unwrap()).unwrap();
    }
    let mut text = String::new();
    line(&mut text, "PartyId", &party(0xa1));
    line(&mut text, "AuxId", &AuxId::new([0xa2; 32]));
    line(&mut text, "IntentHash", &IntentHash::new([0xa3; 32]));
    line(&mut text, "PlanHash", &PlanHash::new([0xa4; 32]));
    line(&mut text, "Nonce", &Nonce::new([0xa5; 32]));
    let protocol_session = ProtocolSessionId::new([0xa6; 32]);
    line(&mut text, "ProtocolSessionId", &protocol_session);
    line(&mut text, "PublicKey", &key());
    line(&mut text, "SessionId", &session());
    line(&mut text, "AccountId", &account());
    line(&mut text, "RequestId", &RequestId::new(uuid(3)));
    line(&mut text, "Epoch", &Epoch(u32::MAX));
    line(&mut text, "Attempt", &Attempt::FIRST);
    line(&mut text, "Seq", &Seq(u64::MAX));
    line(&mut text, "Stage", &Stage(u8::MAX));
    line(&mut text, "Round", &Round(u16::MAX));
    line(&mut text, "Threshold", &Threshold(2));
    line(&mut text, "PartyKey", &PartyKey::new([0xa7; 32]));
    line(&mut text, "EntryHash", &EntryHash::new([0xa8; 32]));
    line(&mut text, "SharesHash", &SharesHash::new([0xa9; 32]));
    line(&mut text, "KeyNumber", &KeyNumber(1));
    line(&mut text, "DerivationPath", &"m/0/7".parse::<DerivationPath>().unwrap());
    line(&mut text, "RequesterName", &"billing".parse::<RequesterName>().unwrap());
    line(&mut text, "UnixMillis", &UnixMillis(1_900_000_000_123));
    line(&mut text, "Scheme", &Scheme::EcdsaCggmp24);
    insta::assert_snapshot!(text);
}
