//! The search itself: a control that would be found in each form.

use crate::shown::BYTES;
use mpc_tests::canary::{Canaries, forms};
use std::collections::BTreeSet;

fn found(text: &[u8]) -> BTreeSet<&'static str> {
    let canaries = Canaries::new([("canary", BYTES.to_vec())]);
    canaries.find(text).into_iter().map(|found| found.form).collect()
}

#[test]
fn every_form_is_found_wherever_it_stands() {
    for (form, trace) in forms(&BYTES) {
        for before in ["", "x", "the key is: ", "line\n["] {
            let text = [before.as_bytes(), &trace, b"], and more"].concat();
            assert!(found(&text).contains(form), "{form} behind {before:?}");
        }
    }
    assert!(found(b"nothing of it: c50f, 197, 15, \xc5\x0f").is_empty());
}

/// By what people and libraries really print with, not by what the search makes of it.
#[test]
fn what_real_formatting_makes_of_it_is_found() {
    let (hex, list) = (hex::encode(BYTES), BYTES.to_vec());
    for (text, form) in [
        (format!("{list:?}"), "array"),
        (format!("{list:#?}"), "array"),
        (format!("{list:x?}"), "array of {:x?}"),
        (format!("{list:#x?}"), "array of {:#x?}"),
        (format!("{list:02x?}"), "array of {:02x?}"),
        (format!("{list:#04x?}"), "array of {:#04x?}"),
        (hex.clone(), "hexadecimal"),
        (hex.to_uppercase(), "HEXADECIMAL"),
        (format!("b\"{}\"", BYTES.escape_ascii()), "escaped"),
    ] {
        assert!(found(text.as_bytes()).contains(form), "{text}");
    }
    assert!(found(&BYTES).contains("raw"));
    let reversed: Vec<u8> = BYTES.iter().rev().copied().collect();
    assert!(found(&reversed).contains("raw, reversed"));
    assert!(found(hex::encode(&reversed).as_bytes()).contains("hexadecimal, reversed"));
}

/// By `base64` of coreutils, behind 0, 1 and 2 other bytes.
#[test]
fn base64_is_found_at_every_alignment() {
    for text in [
        "xQ+KPVLh+2m0HHsCn+YzqA==",
        "AMUPij1S4ftptBx7Ap/mM6g=",
        "AADFD4o9UuH7abQcewKf5jOo",
        "xQ+KPVLh+2m0\nHHsCn+YzqA==",
    ] {
        assert!(found(text.as_bytes()).contains("base64"), "{text}");
        let url = text.replace('+', "-").replace('/', "_");
        assert!(found(url.as_bytes()).contains("base64url"), "{url}");
    }
}

#[test]
fn a_piece_of_a_secret_is_found() {
    let canaries = Canaries::new([("canary", BYTES.to_vec())]);
    for at in 0..=8 {
        // Whatever 24 bytes of it have leaked.
        assert!(!canaries.find(hex::encode(&BYTES[at..at + 24]).as_bytes()).is_empty(), "{at}");
    }
    assert!(canaries.find(hex::encode(&BYTES[3..13]).as_bytes()).is_empty());
}
