//! A party without manners: bytes on a socket, blocking, on a thread of its own.

use gateway::CONNECT_PATH;
use mpc_wire::limits::SUBPROTOCOL;
use mpc_wire::{Identity, ToParty, codec};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

pub(crate) const TEXT: u8 = 0x81;
pub(crate) const BINARY: u8 = 0x82;
pub(crate) const CLOSE: u8 = 0x88;

/// Runs `script` beside the gateway's own thread.
pub(crate) async fn play<T: Send + 'static>(script: impl FnOnce() -> T + Send + 'static) -> T {
    let played = actix_rt::task::spawn_blocking(script);
    crate::party::soon("a raw client", played).await.unwrap()
}

pub(crate) struct Raw<S = TcpStream>(pub(crate) S);

impl Raw {
    pub(crate) fn connect(addr: SocketAddr) -> Self {
        Self::upgrade(dial(addr))
    }

    pub(crate) fn welcome(addr: SocketAddr, identity: &Identity) -> Self {
        Self::connect(addr).proven(identity)
    }
}

/// A connection whose silence fails the test.
pub(crate) fn dial(addr: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

impl<S: Read + Write> Raw<S> {
    pub(crate) fn upgrade(mut stream: S) -> Self {
        let head = Self::ask(&mut stream);
        assert!(head.starts_with("http/1.1 101"), "{head}");
        assert!(head.contains("sec-websocket-protocol: mpc.v1"), "{head}");
        Self(stream)
    }

    /// Asks for an upgrade; the head of the answer in small letters.
    pub(crate) fn ask(stream: &mut S) -> String {
        let request = format!(
            "GET {CONNECT_PATH} HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Protocol: {SUBPROTOCOL}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.extend(byte);
        }
        String::from_utf8(head).unwrap().to_ascii_lowercase()
    }

    pub(crate) fn proven(mut self, identity: &Identity) -> Self {
        let ToParty::Challenge(challenge) = self.message() else {
            panic!("no challenge");
        };
        let proof = crate::party::proof(&challenge, identity, "label", None);
        self.send(BINARY, &codec::encode(&proof).unwrap());
        assert!(matches!(self.message(), ToParty::Welcome { .. }));
        self
    }

    /// Sends a masked frame (with a mask of zeros) of at most 65,535 bytes.
    pub(crate) fn send(&mut self, first: u8, payload: &[u8]) {
        let len = u16::try_from(payload.len()).unwrap();
        let mut frame = vec![first, 0x80 | 126];
        frame.extend(len.to_be_bytes());
        frame.extend([0; 4]);
        frame.extend(payload);
        self.0.write_all(&frame).unwrap();
    }

    /// The next frame: its first byte and payload; `None` at the end.
    pub(crate) fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let [first, len] = self.bytes()?;
        let len = match len {
            126 => usize::from(u16::from_be_bytes(self.bytes()?)),
            127 => usize::try_from(u64::from_be_bytes(self.bytes()?)).unwrap(),
            short => usize::from(short),
        };
        let mut payload = vec![0; len];
        self.0.read_exact(&mut payload).ok()?;
        Some((first, payload))
    }

    pub(crate) fn message(&mut self) -> ToParty {
        match self.frame() {
            Some((BINARY, payload)) => codec::decode(&payload).unwrap(),
            other => panic!("no message: {other:?}"),
        }
    }

    /// The codes of the error message and of the close frame.
    pub(crate) fn dismissal(&mut self) -> (mpc_wire::ErrorCode, u16) {
        let ToParty::Error { code, .. } = self.message() else {
            panic!("no error");
        };
        let Some((CLOSE, reason)) = self.frame() else {
            panic!("no close frame");
        };
        (code, u16::from_be_bytes([reason[0], reason[1]]))
    }

    fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        self.0.read_exact(&mut bytes).ok()?;
        Some(bytes)
    }
}
