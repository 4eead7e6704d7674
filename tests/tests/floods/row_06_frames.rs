//! Frames that are too large, and messages in too many pieces, both ways.

use crate::hostile::{BINARY, CLOSE, Hostile, dial, head, play};
use crate::house::House;
use mpc_tests::cluster::{Engine, PartySpec, open_vault, start_party};
use mpc_tests::stub::Log;
use mpc_wire::handshake::Challenge;
use mpc_wire::limits::{SUBPROTOCOL, VERSION};
use mpc_wire::{Identity, Nonce, PartyId, ToCoordinator, ToParty, codec};
use serde_json::json;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

const FROM: Ipv4Addr = Ipv4Addr::new(127, 6, 0, 1);

/// What is announced.
const LARGE: u64 = 64 << 20;

/// What the house may need for a socket more, in kilobytes: far less than what is announced.
const MARGIN: u64 = 8 << 10;

/// Sends all of this, or as much as is taken, and says how the socket was closed.
fn pour(
    gateway: SocketAddr,
    identity: Option<Identity>,
    bytes: impl Iterator<Item = Vec<u8>>,
) -> Option<u16> {
    let mut socket = Hostile::upgrade(dial(FROM, gateway).unwrap()).unwrap();
    if let Some(identity) = identity {
        socket = socket.proven(&identity).unwrap();
    }
    for piece in bytes {
        if socket.0.write_all(&piece).is_err() {
            break;
        }
    }
    socket.close_code()
}

/// A frame of 64 MiB, all of it.
fn large() -> impl Iterator<Item = Vec<u8>> {
    let pieces = std::iter::repeat_n(vec![0; 64 << 10], (LARGE >> 16) as usize);
    std::iter::once(head(BINARY, LARGE)).chain(pieces)
}

/// The first piece of a message and so many more, none of them the last.
fn fragments(count: usize) -> impl Iterator<Item = Vec<u8>> {
    let piece = |first: u8| [&head(first, 64)[..], &[7; 64]].concat();
    std::iter::once(piece(BINARY & 0x7f)).chain(std::iter::repeat_n(piece(0), count - 1))
}

async fn flood(frames: usize, pieces: usize) {
    let house = House::build(json!({})).await;
    let gateway = house.gateway;
    let (before, _) = house.memory();
    house.forget_peak();
    let mut scripts: Vec<Box<dyn FnOnce() -> Option<u16> + Send>> = Vec::new();
    for _ in 0..frames {
        let identity = house.enrol().await;
        scripts.push(Box::new(move || pour(gateway, Some(identity), large())));
        scripts.push(Box::new(move || pour(gateway, None, large())));
    }
    let identity = house.enrol().await;
    scripts.push(Box::new(move || pour(gateway, Some(identity), fragments(pieces))));
    scripts.push(Box::new(move || pour(gateway, None, fragments(pieces))));
    for code in play(scripts).await {
        assert_eq!(code, Some(1009));
    }
    let (_, peak) = house.memory();
    let growth = peak.saturating_sub(before);
    println!(
        "{frames} frames of 64 MiB and a message in {pieces} pieces, each by a party and by a \
         stranger: memory {before} kB before, {peak} kB at most, {growth} kB more"
    );
    assert!(growth < MARGIN, "{growth} kB");
    assert_eq!(house.sign(1).await.state, "completed");
    house.end().await;
}

#[actix_rt::test]
async fn row_06_large_frames_and_many_fragments() {
    flood(4, 20_000).await;
}

#[ignore = "takes a while"]
#[actix_rt::test]
async fn row_06_large_frames_and_a_million_fragments() {
    flood(16, 1_000_000).await;
}

/// A gateway that welcomes a party and then sends this; says how the party closed, and how much of it
/// was taken.
fn betray(listener: &TcpListener, bytes: impl Iterator<Item = Vec<u8>>) -> (u16, usize) {
    let mut socket = accept(listener);
    let mut taken = 0;
    for piece in bytes {
        if socket.write_all(&piece).is_err() {
            break;
        }
        taken += piece.len();
    }
    loop {
        let (first, payload) = masked(&mut socket);
        if first == CLOSE {
            return (u16::from_be_bytes(*payload.first_chunk().unwrap()), taken);
        }
    }
}

fn accept(listener: &TcpListener) -> TcpStream {
    let (mut socket, _) = listener.accept().unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte).unwrap();
        request.extend(byte);
    }
    let request = String::from_utf8(request).unwrap();
    let key = request.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("sec-websocket-key").then(|| value.trim().to_owned())
    });
    let accept = actix_http::ws::hash_key(key.unwrap().as_bytes());
    let accept = String::from_utf8(accept.to_vec()).unwrap();
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: {SUBPROTOCOL}\r\n\r\n"
    );
    socket.write_all(answer.as_bytes()).unwrap();
    let server = "test-gateway".to_owned();
    let challenge = Challenge { version: VERSION, server, nonce: Nonce::new([7; 32]) };
    say(&mut socket, &ToParty::Challenge(challenge));
    let party = prover(&mut socket);
    say(&mut socket, &ToParty::Welcome { party, heartbeat_ms: 5_000 });
    socket
}

fn prover(socket: &mut TcpStream) -> PartyId {
    let (_, payload) = masked(socket);
    let ToCoordinator::Prove { party, .. } = codec::decode(&payload).unwrap() else {
        panic!("no proof");
    };
    party
}

fn say(socket: &mut TcpStream, message: &ToParty) {
    let payload = codec::encode(message).unwrap();
    let head = [&[BINARY, 126][..], &(payload.len() as u16).to_be_bytes()].concat();
    socket.write_all(&[head, payload].concat()).unwrap();
}

/// A frame of a client's.
fn masked(socket: &mut TcpStream) -> (u8, Vec<u8>) {
    let mut read = |len: usize| {
        let mut bytes = vec![0; len];
        socket.read_exact(&mut bytes).unwrap();
        bytes
    };
    let start = read(2);
    let len = match start[1] & 0x7f {
        126 => usize::from(u16::from_be_bytes(*read(2).first_chunk().unwrap())),
        short => usize::from(short),
    };
    let mask = read(4);
    let payload = read(len);
    (start[0], payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect())
}

/// The same as [`head`], but not masked.
fn unmasked(first: u8, payload: u64) -> Vec<u8> {
    [&[first, 127][..], &payload.to_be_bytes()].concat()
}

#[actix_rt::test]
async fn row_06_a_gateway_that_sends_them_to_a_party() {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let gateway = listener.local_addr().unwrap();
    let key = k256::ecdsa::SigningKey::from_slice(&[0x42; 32]).unwrap();
    let spec = PartySpec::new(coordinator::Role::Server, Engine::Stub(key, Log::default()));
    let vault = open_vault(folder.path()).await.unwrap();
    let party = start_party(gateway, vault, spec).await.unwrap();
    // The party comes back after each, as after any connection that was lost.
    let script = move || {
        let pieces = || std::iter::repeat_n(vec![0; 64 << 10], (LARGE >> 16) as usize);
        let large = std::iter::once(unmasked(BINARY, LARGE)).chain(pieces());
        let piece = |first: u8| [&unmasked(first, 64)[..], &[7; 64]].concat();
        let first = std::iter::once(piece(BINARY & 0x7f));
        let fragments = first.chain(std::iter::repeat_n(piece(0), 1_000_000));
        (betray(&listener, large), betray(&listener, fragments))
    };
    let scripts: [Box<dyn FnOnce() -> _ + Send>; 1] = [Box::new(script)];
    let [(large, fragments)] = play(scripts).await.try_into().unwrap();
    println!("a party's closes, and the bytes that its socket took: {large:?}, {fragments:?}");
    for (code, taken) in [large, fragments] {
        assert_eq!(code, 1009);
        // No more than what the two sockets' buffers hold.
        assert!(taken < 16 << 20, "{taken}");
    }
    party.stop().await;
}
