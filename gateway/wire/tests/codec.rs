//! What is encoded comes back; what is no message is refused, and nothing panics.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "arbitrary/messages.rs"]
mod messages;
#[path = "arbitrary/statements.rs"]
mod statements;
#[path = "arbitrary/values.rs"]
mod values;

use mpc_wire::codec::{CodecError, decode, encode};
use mpc_wire::limits::{MAX_DEPTH, MAX_FRAME};
use mpc_wire::{AttemptPlan, Downlink, RoundEnvelope, SessionId, ToCoordinator, ToParty, Uplink};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::FileFailurePersistence;
use serde::de::DeserializeOwned;
use serde::{Serialize, Serializer};
use serde_json::Value;
use std::fmt::Debug;
use uuid::Uuid;

trait Message: Serialize + DeserializeOwned + PartialEq + Debug {}
impl<T: Serialize + DeserializeOwned + PartialEq + Debug> Message for T {}

fn config() -> ProptestConfig {
    ProptestConfig {
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..ProptestConfig::default()
    }
}

fn comes_back<T: Message>(message: &T) {
    assert_eq!(decode::<T>(&encode(message).unwrap()).as_ref(), Ok(message));
    let json = serde_json::to_string(message).unwrap();
    assert_eq!(&serde_json::from_str::<T>(&json).unwrap(), message);
}

/// Bytes from a stranger either are refused or are a message like any other.
fn is_harmless<T: Message>(bytes: &[u8]) {
    if let Ok(message) = decode::<T>(bytes) {
        assert_eq!(decode::<T>(&encode(&message).unwrap()).as_ref(), Ok(&message));
    }
}

fn is_harmless_anywhere(bytes: &[u8]) {
    is_harmless::<ToParty>(bytes);
    is_harmless::<ToCoordinator>(bytes);
    is_harmless::<Uplink>(bytes);
    is_harmless::<Downlink>(bytes);
}

fn is_refused_when_cut<T: Message>(message: &T, at: &Index) {
    let bytes = encode(message).unwrap();
    let cut = decode::<T>(&bytes[..at.index(bytes.len())]);
    assert!(matches!(cut, Err(CodecError::Malformed(_))), "{cut:?}");
}

fn is_refused_with_a_tail<T: Message>(message: &T, tail: &[u8]) {
    let mut bytes = encode(message).unwrap();
    bytes.extend_from_slice(tail);
    assert_eq!(decode::<T>(&bytes), Err(CodecError::Trailing(tail.len())));
}

fn is_harmless_when_damaged<T: Message>(message: &T, damage: &[(Index, u8)]) {
    let mut bytes = encode(message).unwrap();
    for (at, value) in damage {
        let at = at.index(bytes.len());
        bytes[at] ^= value;
    }
    is_harmless_anywhere(&bytes);
}

/// Removes each field of each map in turn and expects a refusal, except where absence means
/// something: a set or map may have fewer entries, and an optional field may be left out.
fn misses_every_field<T: Message>(message: &T) {
    let whole = serde_json::to_value(message).unwrap();
    let mut fields = Vec::new();
    list_fields(&whole, "", &mut fields);
    for (parent, name) in fields {
        let is_optional = match name.as_str() {
            "aux_id" => parent != "/outcome/outcome/aux",
            "authorization" | "token" => true,
            _ => parent.ends_with("public_shares") || parent.ends_with("floors"),
        };
        if is_optional {
            continue;
        }
        let mut less = whole.clone();
        let map = less.pointer_mut(&parent).and_then(Value::as_object_mut);
        map.unwrap().remove(&name);
        let decoded = serde_json::from_value::<T>(less);
        assert!(decoded.is_err(), "{parent}/{name} can be left out");
    }
}

fn list_fields(value: &Value, at: &str, fields: &mut Vec<(String, String)>) {
    if let Value::Object(map) = value {
        for (name, value) in map {
            fields.push((at.to_owned(), name.clone()));
            list_fields(value, &format!("{at}/{name}"), fields);
        }
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn to_party_comes_back(message in messages::to_party()) {
        comes_back(&message);
    }

    #[test]
    fn to_coordinator_comes_back(message in messages::to_coordinator()) {
        comes_back(&message);
    }

    #[test]
    fn bus_messages_come_back(up in messages::uplink(), down in messages::downlink()) {
        comes_back(&up);
        comes_back(&down);
    }

    #[test]
    fn a_cut_message_is_refused(
        to in messages::to_party(), from in messages::to_coordinator(), at in any::<Index>(),
    ) {
        is_refused_when_cut(&to, &at);
        is_refused_when_cut(&from, &at);
    }

    #[test]
    fn bytes_after_a_message_are_refused(
        to in messages::to_party(),
        from in messages::to_coordinator(),
        tail in vec(any::<u8>(), 1..64),
    ) {
        is_refused_with_a_tail(&to, &tail);
        is_refused_with_a_tail(&from, &tail);
    }

    #[test]
    fn damage_is_harmless(
        to in messages::to_party(),
        from in messages::to_coordinator(),
        damage in vec((any::<Index>(), 1u8..), 1..4),
    ) {
        is_harmless_when_damaged(&to, &damage);
        is_harmless_when_damaged(&from, &damage);
    }

    #[test]
    fn garbage_is_harmless(bytes in vec(any::<u8>(), 0..2000)) {
        is_harmless_anywhere(&bytes);
    }

    #[test]
    fn no_field_can_be_left_out(to in messages::to_party(), from in messages::to_coordinator()) {
        misses_every_field(&to);
        misses_every_field(&from);
    }
}

#[test]
fn every_single_bit_of_a_message_can_flip() {
    let bytes = encode(&ToParty::Finished { session: session() }).unwrap();
    for bit in 0..bytes.len() * 8 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        is_harmless_anywhere(&damaged);
    }
}

/// Messages that this version does not have, or has otherwise.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Foreign {
    Finished {
        #[serde(skip_serializing_if = "Option::is_none")]
        session: Option<SessionId>,
        surplus: Nested,
    },
    Unheard {
        session: SessionId,
    },
    Abort {
        session: SessionId,
        attempt: u64,
        reason: &'static str,
    },
}

/// Lists within lists, so many deep.
#[derive(Clone, Copy)]
struct Nested(usize);

impl Serialize for Nested {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            0 => serializer.serialize_unit(),
            depth => [Nested(depth - 1)].serialize(serializer),
        }
    }
}

fn session() -> SessionId {
    SessionId::new(Uuid::from_u128(7))
}

fn foreign(message: &Foreign) -> Result<ToParty, CodecError> {
    decode(&rmp_serde::to_vec_named(message).unwrap())
}

fn nested(depth: usize) -> Result<ToParty, CodecError> {
    foreign(&Foreign::Finished { session: Some(session()), surplus: Nested(depth) })
}

fn complaint(result: Result<ToParty, CodecError>) -> String {
    match result {
        Err(CodecError::Malformed(text)) => text,
        other => format!("{other:?}"),
    }
}

#[test]
fn an_unknown_variant_is_refused() {
    let result = foreign(&Foreign::Unheard { session: session() });
    assert!(complaint(result).contains("unknown variant `unheard`"));
    for reason in ["bored", "Cancelled", ""] {
        let result = foreign(&Foreign::Abort { session: session(), attempt: 1, reason });
        assert!(complaint(result).contains("unknown variant"), "{reason}");
    }
}

#[test]
fn a_missing_field_is_refused() {
    let result = foreign(&Foreign::Finished { session: None, surplus: Nested(0) });
    assert_eq!(complaint(result), "missing field `session`");
}

#[test]
fn a_number_beyond_its_type_is_refused() {
    let abort =
        |attempt| foreign(&Foreign::Abort { session: session(), attempt, reason: "failed" });
    assert!(abort(u64::from(u32::MAX)).is_ok());
    assert!(complaint(abort(u64::from(u32::MAX) + 1)).contains("invalid value"));
}

/// Fields of a later version pass unseen: what is signed or hashed has canonical bytes of its own,
/// so nothing that counts can hide in them.
#[test]
fn an_unknown_field_is_ignored() {
    assert_eq!(nested(0), Ok(ToParty::Finished { session: session() }));
}

/// What is hashed has no fields that this version does not hash.
#[test]
fn an_unknown_field_in_what_is_hashed_is_refused() {
    #[derive(Serialize)]
    struct Plan {
        session: SessionId,
        intent_hash: serde_bytes::ByteArray<32>,
        attempt: u32,
        quorum: [(); 0],
        aux: u8,
    }
    let bytes = rmp_serde::to_vec_named(&Plan {
        session: session(),
        intent_hash: [1; 32].into(),
        attempt: 1,
        quorum: [],
        aux: 1,
    });
    let result: Result<AttemptPlan, _> = decode(&bytes.unwrap());
    assert!(matches!(result, Err(CodecError::Malformed(text)) if text.contains("unknown field")));
}

#[test]
fn an_optional_field_that_is_left_out_is_none() {
    #[derive(Serialize)]
    struct Plan {
        session: SessionId,
        intent_hash: serde_bytes::ByteArray<32>,
        attempt: u32,
        quorum: [(); 0],
    }
    let bytes = rmp_serde::to_vec_named(&Plan {
        session: session(),
        intent_hash: [1; 32].into(),
        attempt: 1,
        quorum: [],
    });
    let plan: AttemptPlan = decode(&bytes.unwrap()).unwrap();
    assert_eq!(plan.aux_id, None);
}

#[test]
fn nesting_is_bounded() {
    // The message is a map of one variant, the variant a map of fields, the rest is lists.
    let deepest = MAX_DEPTH - 2;
    assert!(nested(deepest).is_ok());
    assert_eq!(complaint(nested(deepest + 1)), "depth limit exceeded");

    // As deep as a frame can be, in lists and in maps from nothing to a map.
    let whole = rmp_serde::to_vec_named(&Foreign::Finished {
        session: Some(session()),
        surplus: Nested(0),
    });
    let shallow = whole.unwrap();
    let head = &shallow[..shallow.len() - 1];
    for level in [&[0x91][..], &[0x81, 0xc0]] {
        let levels = level.repeat((MAX_FRAME - head.len()) / level.len());
        let result = decode([head, &levels].concat().as_slice());
        assert_eq!(complaint(result), "depth limit exceeded");
    }
}

#[test]
fn a_length_beyond_the_frame_allocates_nothing() {
    // Byte string, text, list, map and extension, each said to have 2^32 - 1 items or bytes.
    for marker in [0xc6, 0xdb, 0xdd, 0xdf, 0xc9] {
        let length = [marker, 0xff, 0xff, 0xff, 0xff];
        let mut bytes = encode(&ToParty::Finished { session: session() }).unwrap();
        bytes.truncate(bytes.len() - 18);
        bytes.extend_from_slice(&length);
        assert!(decode::<ToParty>(&bytes).is_err(), "{marker:#x}");
        assert!(decode::<ToParty>(&length).is_err(), "{marker:#x}");
        assert!(decode::<Vec<RoundEnvelope>>(&length).is_err());
    }
}

#[test]
fn a_frame_is_bounded_both_ways() {
    // The size of the sealed bytes that fills a frame to the last byte.
    let bytes_of = |sealed: usize| serde_bytes::ByteBuf::from(vec![0; sealed]);
    let overhead = encode(&bytes_of(1 << 17)).unwrap().len() - (1 << 17);
    let largest = MAX_FRAME - overhead;

    let full = encode(&bytes_of(largest)).unwrap();
    assert_eq!(full.len(), MAX_FRAME);
    assert_eq!(decode::<serde_bytes::ByteBuf>(&full), Ok(bytes_of(largest)));
    let too_large = CodecError::TooLarge(MAX_FRAME + 1);
    assert_eq!(encode(&bytes_of(largest + 1)), Err(too_large.clone()));
    let bytes = rmp_serde::to_vec_named(&bytes_of(largest + 1)).unwrap();
    assert_eq!(decode::<serde_bytes::ByteBuf>(&bytes), Err(too_large));
}
