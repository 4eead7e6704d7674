//! Frames that a party may not send.

use crate::party::{Post, offline, online};
use crate::raw::{BINARY, Raw, TEXT, play};
use awc::ws::Message;
use mpc_wire::limits::MAX_FRAME;
use mpc_wire::{ErrorCode, Identity};
use std::io::Write;

/// Lets a proven party send these bytes, and returns the codes it is dismissed with.
async fn dismissal(bytes: Vec<u8>) -> (ErrorCode, u16) {
    let mut post = Post::open().await;
    let identity = Identity::generate();
    post.enrol(identity.party());
    let (addr, seed) = (post.gateway.addr(), identity.seed());
    let codes = play(move || {
        let mut raw = Raw::welcome(addr, &Identity::from_seed(&seed));
        raw.0.write_all(&bytes).unwrap();
        raw.dismissal()
    })
    .await;
    assert_eq!(post.up().await, online(&identity));
    assert_eq!(post.up().await, offline(&identity));
    codes
}

fn header(first: u8, len: u64) -> Vec<u8> {
    [&[first, 0xff][..], &len.to_be_bytes(), &[0; 4]].concat()
}

#[actix_rt::test]
async fn a_text_frame() {
    let frame = [&header(TEXT, 2)[..], b"hi"].concat();
    assert_eq!(dismissal(frame).await, (ErrorCode::Malformed, 1003));
}

#[actix_rt::test]
async fn a_fragment_is_refused_by_its_header() {
    for first in [BINARY & 0x7f, TEXT & 0x7f, 0x80, 0x00] {
        let codes = dismissal(header(first, 1000)).await;
        assert_eq!(codes, (ErrorCode::Malformed, 1009), "{first:#x}");
    }
}

#[actix_rt::test]
async fn an_oversize_frame_is_refused_by_its_header() {
    for len in [MAX_FRAME as u64 + 1, 1 << 40, u64::MAX] {
        let codes = dismissal(header(BINARY, len)).await;
        assert_eq!(codes, (ErrorCode::TooLarge, 1009), "{len}");
    }
}

#[actix_rt::test]
async fn a_whole_oversize_frame_is_refused_and_the_refusal_arrives() {
    let mut post = Post::open().await;
    let identity = Identity::generate();
    let mut party = post.online(&identity).await;
    party.send(Message::Binary(vec![0; MAX_FRAME + 1].into())).await;
    party.dismissed(ErrorCode::TooLarge, 1009).await;
}

#[actix_rt::test]
async fn the_largest_frame_is_read() {
    let mut post = Post::open().await;
    let identity = Identity::generate();
    let mut party = post.online(&identity).await;
    // It is read and found to be no message.
    party.send(Message::Binary(vec![0; MAX_FRAME].into())).await;
    party.dismissed(ErrorCode::Malformed, 1007).await;
}

#[actix_rt::test]
async fn what_is_not_websocket() {
    let unmasked = vec![BINARY, 3, 1, 2, 3];
    let reserved_bits = vec![0xf2, 0x81, 0, 0, 0, 0, 1];
    let unknown_kind = vec![0x83, 0x81, 0, 0, 0, 0, 1];
    for bytes in [unmasked, reserved_bits, unknown_kind] {
        assert_eq!(dismissal(bytes).await, (ErrorCode::Malformed, 1002));
    }
}

#[actix_rt::test]
async fn garbage() {
    let empty = header(BINARY, 0);
    let noise = [&header(BINARY, 5)[..], &[0xc1, 0xff, 0, 1, 2]].concat();
    let nested = [&header(BINARY, 4000)[..], &[0x91; 4000]].concat();
    for bytes in [empty, noise, nested] {
        assert_eq!(dismissal(bytes).await, (ErrorCode::Malformed, 1007));
    }
}
