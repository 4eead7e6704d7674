//! The text forms of ids.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use mpc_wire::scheme::UnknownScheme;
use mpc_wire::{AccountId, Epoch, Nonce, PartyId, PublicKey, Scheme, SessionId};
use proptest::prelude::*;
use uuid::Uuid;

const HEX: &str = "00ff0123456789abcdef0123456789abcdef0123456789abcdef0123456789ab";

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn texts_come_back(bytes in any::<[u8; 32]>(), uuid in any::<u128>()) {
        let party = PartyId::new(bytes);
        prop_assert_eq!(party.to_string().parse(), Ok(party));
        prop_assert_eq!(party.to_string(), hex::encode(bytes));
        let session = SessionId::new(Uuid::from_u128(uuid));
        prop_assert_eq!(session.to_string().parse(), Ok(session));
    }

    #[test]
    fn no_text_panics(text in ".{0,80}") {
        // Whatever is accepted is the id and no other.
        if let Ok(party) = text.parse::<PartyId>() {
            prop_assert_eq!(party.to_string(), text.to_lowercase());
        }
        if let Ok(session) = text.parse::<SessionId>() {
            prop_assert_eq!(session.to_string().parse(), Ok(session));
        }
    }
}

#[test]
fn bad_hexadecimal_is_refused_with_advice() {
    let long = format!("{HEX}00");
    let prefixed = format!("0x{}", &HEX[2..]);
    let spaced = format!(" {}", &HEX[1..]);
    let accented = format!("é{}", &HEX[2..]);
    for text in ["", "0", &HEX[1..], &HEX[2..], &long, &prefixed, &spaced, &accented] {
        let error = text.parse::<PartyId>().unwrap_err();
        assert_eq!(error.to_string(), "not PartyId: give 64 hexadecimal digits");
        assert!(serde_json::from_value::<Nonce>(text.into()).is_err());
    }
    let error = "x".parse::<Nonce>().unwrap_err();
    assert_eq!(error.to_string(), "not Nonce: give 64 hexadecimal digits");
}

#[test]
fn upper_case_names_the_same_party() {
    let upper: PartyId = HEX.to_uppercase().parse().unwrap();
    assert_eq!(Ok(upper), HEX.parse());
    assert_eq!(upper.to_string(), HEX);
}

#[test]
fn bad_uuids_are_refused_with_advice() {
    for text in ["", "1", "00000000-0000-0000-0000-00000000000g", HEX] {
        let error = text.parse::<SessionId>().unwrap_err();
        assert_eq!(error.to_string(), "not SessionId: give a UUID");
    }
    let error = "x".parse::<AccountId>().unwrap_err();
    assert_eq!(error.to_string(), "not AccountId: give a UUID");
}

#[test]
fn json_of_the_wrong_shape_is_refused() {
    for json in ["1", "null", "[]", "{}", "\"\"", "true"] {
        assert!(serde_json::from_str::<PartyId>(json).is_err(), "{json}");
        assert!(serde_json::from_str::<SessionId>(json).is_err(), "{json}");
    }
    for json in ["-1", "4294967296", "1.5", "\"1\"", "null"] {
        assert!(serde_json::from_str::<Epoch>(json).is_err(), "{json}");
    }
    for json in ["\"0\"", "\"0g\"", "1", "[1]"] {
        assert!(serde_json::from_str::<PublicKey>(json).is_err(), "{json}");
    }
}

#[test]
fn ids_of_the_wrong_length_are_refused_in_binary() {
    for length in [0, 31, 33] {
        let bytes = rmp_serde::to_vec(&serde_bytes::ByteBuf::from(vec![1; length])).unwrap();
        assert!(mpc_wire::codec::decode::<PartyId>(&bytes).is_err());
    }
    for length in [0, 15, 17] {
        let bytes = rmp_serde::to_vec(&serde_bytes::ByteBuf::from(vec![1; length])).unwrap();
        assert!(mpc_wire::codec::decode::<SessionId>(&bytes).is_err());
    }
}

#[test]
fn logs_show_the_start_of_an_id() {
    let party: PartyId = HEX.parse().unwrap();
    assert_eq!(format!("{party:?}"), "PartyId(00ff0123…)");
}

#[test]
fn generated_ids_are_of_version_7_and_sort_by_time() {
    let ids: Vec<_> = (0..1000).map(|_| SessionId::generate()).collect();
    assert!(ids.is_sorted_by(|one, two| one < two));
    for id in ids {
        assert_eq!(Uuid::from_bytes(*id.as_bytes()).get_version_num(), 7);
    }
}

#[test]
fn schemes_are_known_by_name() {
    for scheme in Scheme::ALL {
        assert_eq!(scheme.to_string().parse(), Ok(*scheme));
        assert_eq!(serde_json::to_value(scheme).unwrap(), scheme.name());
    }
    assert_eq!("ECDSA-CGGMP24".parse::<Scheme>(), Err(UnknownScheme));
    assert_eq!(
        UnknownScheme.to_string(),
        "unknown scheme; known are: ecdsa-cggmp24, eddsa-frost-ed25519, schnorr-frost-secp256k1-tr"
    );
}
