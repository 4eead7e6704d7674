//! What a requester signs, and the names and paths in it.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "arbitrary/values.rs"]
mod values;

use mpc_wire::authorization::NotAName;
use mpc_wire::limits::{MAX_PATH, MAX_REQUESTER};
use mpc_wire::path::InvalidPath;
use mpc_wire::{
    Authorization, Canonical, DerivationPath, Intent, IntentKind, Payload, RequesterName,
    SigningRequest,
};
use proptest::prelude::*;

fn signed_for(intent: &Intent) -> Option<Vec<u8>> {
    SigningRequest::of_intent(intent).map(|(request, _)| request.canonical_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn only_authorized_signing_carries_a_request(intent in values::intent()) {
        let authorization = match &intent.kind {
            IntentKind::Sign { authorization, .. } => authorization.as_ref(),
            IntentKind::Keygen { .. }
            | IntentKind::Aux { .. }
            | IntentKind::Refresh { .. }
            | IntentKind::Reshare { .. }
            | IntentKind::Replace { .. } => None,
        };
        prop_assert_eq!(SigningRequest::of_intent(&intent).map(|(_, found)| found), authorization);
    }

    /// What a requester does not decide does not spoil its signature; what it decides is in it.
    #[test]
    fn a_request_is_what_the_requester_decides(one in values::intent(), two in values::intent()) {
        let bytes = signed_for(&one);
        let elsewhere = Intent {
            session: two.session,
            eligible: two.eligible,
            expires_at: two.expires_at,
            ..one.clone()
        };
        prop_assert_eq!(&signed_for(&elsewhere), &bytes);
        if bytes.is_some() {
            let renamed = Intent { request: two.request, ..one.clone() };
            prop_assert_eq!(signed_for(&renamed) == bytes, one.request == two.request);
            let mut other = one.clone();
            let IntentKind::Sign { epoch, threshold, .. } = &mut other.kind else { panic!() };
            (epoch.0, threshold.0) = (epoch.0 ^ 1, threshold.0 ^ 1);
            prop_assert_eq!(&signed_for(&other), &bytes);
            let IntentKind::Sign { payload, .. } = &mut other.kind else { panic!() };
            *payload = Payload::Digest([7; 32]);
            prop_assert_ne!(&signed_for(&other), &bytes);
            let with = |change: fn(&mut Authorization)| {
                let mut other = one.clone();
                if let IntentKind::Sign { authorization: Some(authorization), .. } = &mut other.kind
                {
                    change(authorization);
                }
                signed_for(&other)
            };
            prop_assert_eq!(&with(|authorization| authorization.signature[0] ^= 1), &bytes);
            prop_assert_ne!(&with(|authorization| authorization.expires_at.0 ^= 1), &bytes);
        }
    }

    #[test]
    fn paths_come_back(path in values::path()) {
        prop_assert_eq!(path.to_string().parse(), Ok(path.clone()));
        let json = serde_json::to_string(&path).unwrap();
        prop_assert_eq!(serde_json::from_str::<DerivationPath>(&json).unwrap(), path);
    }

    #[test]
    fn no_path_text_panics(text in "[m0-9/' -]{0,40}|.{0,20}") {
        // Whatever is accepted is the path and no other, but for leading zeros or a plus sign.
        if let Ok(path) = text.parse::<DerivationPath>() {
            prop_assert_eq!(path.to_string().parse(), Ok(path));
        }
    }

    #[test]
    fn no_name_panics(text in ".{0,80}") {
        let is_fine = (1..=MAX_REQUESTER).contains(&text.len())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
        prop_assert_eq!(text.parse::<RequesterName>().is_ok(), is_fine);
    }
}

#[test]
fn the_root_is_written_m() {
    let root: DerivationPath = "m".parse().unwrap();
    assert!(root.is_root() && root == DerivationPath::default());
    assert_eq!(root.to_string(), "m");
    let below: DerivationPath = "m/0/2147483647".parse().unwrap();
    assert!(!below.is_root());
    assert_eq!(below.as_slice(), [0, (1 << 31) - 1]);
}

#[test]
fn what_cannot_be_derived_is_no_path() {
    let deep = format!("m{}", "/0".repeat(MAX_PATH));
    assert!(deep.parse::<DerivationPath>().is_ok());
    let too_deep = format!("{deep}/0");
    for text in [
        "",
        "/",
        "0",
        "0/1",
        "m/",
        "M",
        "m//1",
        "m/1/",
        "m/x",
        "m/-1",
        "m/0'",
        "m/0h",
        " m",
        "m/ 1",
        "m/2147483648",
        "m/4294967296",
        &too_deep,
    ] {
        assert_eq!(text.parse::<DerivationPath>(), Err(InvalidPath), "{text}");
    }
    assert!(InvalidPath.to_string().contains("hardened derivation needs a private key"));
    // The wire refuses what the text form does.
    for json in ["[2147483648]", "[0,0,0,0,0,0,0,0,0,0,0]", "[-1]", "\"m\"", "null"] {
        assert!(serde_json::from_str::<DerivationPath>(json).is_err(), "{json}");
    }
}

#[test]
fn names_are_short_and_plain() {
    let longest = "x".repeat(MAX_REQUESTER);
    for name in ["a", "billing", "treasury.eu-1", "A_9", "..", &longest] {
        let parsed: RequesterName = name.parse().unwrap();
        assert_eq!((parsed.as_str(), parsed.to_string().as_str()), (name, name));
        assert_eq!(serde_json::to_value(&parsed).unwrap(), name);
    }
    let too_long = format!("{longest}x");
    for name in ["", " ", "a b", "a/b", "Zoë", "a\n", "a\0", "\u{ff41}", &too_long] {
        assert_eq!(name.parse::<RequesterName>(), Err(NotAName), "{name:?}");
        assert!(serde_json::from_value::<RequesterName>(name.into()).is_err(), "{name:?}");
    }
}
