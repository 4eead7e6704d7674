//! A client without manners: bytes on a socket, blocking, on a thread of its own.

use gateway::CONNECT_PATH;
use mpc_wire::handshake::{Challenge, Hello};
use mpc_wire::limits::SUBPROTOCOL;
use mpc_wire::{Canonical, Identity, ToCoordinator, ToParty, codec};
use socket2::{Domain, Socket, Type};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

pub(crate) const TEXT: u8 = 0x81;
pub(crate) const BINARY: u8 = 0x82;
pub(crate) const CLOSE: u8 = 0x88;

/// Longer than any deadline of the gateway's: a socket that is silent for so long fails the test.
const SILENCE: Duration = Duration::from_secs(30);

/// A socket to the gateway, behind its upgrade.
pub(crate) struct Hostile(pub(crate) TcpStream);

/// Why there is no such socket.
#[derive(Debug)]
pub(crate) enum NotIn {
    /// The gateway has answered with this status.
    Refused(u16),
    /// The socket was closed or reset.
    Cut,
}

/// Connects from this address.
pub(crate) fn dial(from: Ipv4Addr, to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((from, 0)).into())?;
    socket.connect_timeout(&to.into(), SILENCE)?;
    socket.set_read_timeout(Some(SILENCE))?;
    socket.set_write_timeout(Some(SILENCE))?;
    Ok(socket.into())
}

impl Hostile {
    pub(crate) fn upgrade(mut stream: TcpStream) -> Result<Self, NotIn> {
        let request = format!(
            "GET {CONNECT_PATH} HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Protocol: {SUBPROTOCOL}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).map_err(|_| NotIn::Cut)?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).map_err(|_| NotIn::Cut)?;
            head.extend(byte);
        }
        let status = String::from_utf8_lossy(&head[9..12]).parse().unwrap();
        if status == 101 { Ok(Self(stream)) } else { Err(NotIn::Refused(status)) }
    }

    pub(crate) fn challenge(&mut self) -> Result<Challenge, NotIn> {
        match self.message() {
            Some(ToParty::Challenge(challenge)) => Ok(challenge),
            Some(other) => panic!("no challenge: {other:?}"),
            None => Err(NotIn::Cut),
        }
    }

    /// Answers a challenge as whoever has this identity should.
    pub(crate) fn prove(&mut self, challenge: &Challenge, identity: &Identity) {
        let party = identity.party();
        let hello = Hello { challenge, party, label: "", token: None };
        let signature = identity.sign(&hello.canonical_bytes());
        let proof = ToCoordinator::Prove { party, label: String::new(), token: None, signature };
        self.send(BINARY, &codec::encode(&proof).unwrap());
    }

    pub(crate) fn proven(mut self, identity: &Identity) -> Result<Self, NotIn> {
        let challenge = self.challenge()?;
        self.prove(&challenge, identity);
        match self.message() {
            Some(ToParty::Welcome { .. }) => Ok(self),
            Some(other) => panic!("not welcome: {other:?}"),
            None => Err(NotIn::Cut),
        }
    }

    /// Sends a masked frame (with a mask of zeros); what cannot be sent was refused before.
    pub(crate) fn send(&mut self, first: u8, payload: &[u8]) {
        let mut frame = head(first, payload.len() as u64);
        frame.extend(payload);
        let _ = self.0.write_all(&frame);
    }

    /// The code of the close frame, if the socket ends with one.
    pub(crate) fn close_code(&mut self) -> Option<u16> {
        loop {
            let (first, payload) = self.frame()?;
            if first == CLOSE {
                let code = payload.first_chunk().unwrap_or_else(|| panic!("no code: {payload:?}"));
                return Some(u16::from_be_bytes(*code));
            }
        }
    }

    fn message(&mut self) -> Option<ToParty> {
        loop {
            if let (BINARY, payload) = self.frame()? {
                return Some(codec::decode(&payload).unwrap());
            }
        }
    }

    /// The next frame: its first byte and payload; `None` at the end.
    fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let [first, len] = self.bytes()?;
        let len = match len {
            126 => usize::from(u16::from_be_bytes(self.bytes()?)),
            127 => usize::try_from(u64::from_be_bytes(self.bytes()?)).unwrap(),
            short => usize::from(short),
        };
        let mut payload = vec![0; len];
        self.0.read_exact(&mut payload).ok().map(|()| (first, payload))
    }

    fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        match self.0.read_exact(&mut bytes) {
            Ok(()) => Some(bytes),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                panic!("the gateway leaves the socket open and says nothing")
            }
            Err(_) => None,
        }
    }
}

/// The head of a masked frame (with a mask of zeros).
pub(crate) fn head(first: u8, payload: u64) -> Vec<u8> {
    [&[first, 0xff][..], &payload.to_be_bytes(), &[0; 4]].concat()
}

/// Plays scripts on threads of their own, beside the test.
pub(crate) async fn play<T: Send + 'static>(
    scripts: impl IntoIterator<Item = Box<dyn FnOnce() -> T + Send>>,
) -> Vec<T> {
    let playing: Vec<_> =
        scripts.into_iter().map(|script| actix_rt::task::spawn_blocking(script)).collect();
    let mut played = Vec::new();
    for script in playing {
        played.push(script.await.unwrap());
    }
    played
}
