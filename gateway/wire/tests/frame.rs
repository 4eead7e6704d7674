//! Heads of frames.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use mpc_wire::frame::{FrameFault, FrameHead};

const LIMIT: usize = 70_000;

/// The head of a frame with this first byte and payload.
fn head(first: u8, payload: u64, mask: &[u8]) -> Vec<u8> {
    let masked = if mask.is_empty() { 0 } else { 0x80 };
    let mut head = vec![first];
    match payload {
        0..126 => head.push(masked | payload as u8),
        126..65_536 => {
            head.push(masked | 126);
            head.extend((payload as u16).to_be_bytes());
        }
        65_536.. => {
            head.push(masked | 127);
            head.extend(payload.to_be_bytes());
        }
    }
    head.extend(mask);
    head
}

#[test]
fn a_frame_is_as_long_as_its_head_says() {
    for payload in [0, 1, 125, 126, 65_535, 65_536, 70_000] {
        for mask in [&[][..], &[1, 2, 3, 4]] {
            let bytes = head(0x82, payload, mask);
            let whole = FrameHead::read(&bytes).unwrap().judge(LIMIT).unwrap();
            assert_eq!(whole, bytes.len() + usize::try_from(payload).unwrap());
        }
    }
}

#[test]
fn too_little_is_no_head_yet() {
    for payload in [0, 126, 65_536] {
        let bytes = head(0x82, payload, &[]);
        for end in 0..bytes.len() {
            assert_eq!(FrameHead::read(bytes.get(..end).unwrap()), None, "{end} of {payload}");
        }
    }
}

#[test]
fn a_frame_beyond_the_limit_is_refused_by_its_head() {
    for payload in [70_001, 64 << 20, 1 << 40, u64::MAX] {
        let head = FrameHead::read(&head(0x82, payload, &[0; 4])).unwrap();
        assert_eq!(head.judge(LIMIT), Err(FrameFault::TooLarge));
    }
    // Where a length has no bound but the address space, it must still not wrap around.
    let head = FrameHead::read(&head(0x82, u64::MAX, &[0; 4])).unwrap();
    assert_eq!(head.judge(usize::MAX), Err(FrameFault::TooLarge));
}

#[test]
fn a_piece_of_a_message_is_refused_whatever_its_length() {
    // Begun and not ended, continued, ended; and of text.
    for first in [0x02, 0x00, 0x80, 0x01] {
        for payload in [0, 1, u64::MAX] {
            let head = FrameHead::read(&head(first, payload, &[0; 4])).unwrap();
            assert_eq!(head.judge(LIMIT), Err(FrameFault::Fragmented), "{first:#x}");
        }
    }
}
