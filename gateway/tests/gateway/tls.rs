//! The gateway over TLS, and its refusal to do without where others listen in.

use crate::book::Book;
use crate::party::{Post, SERVER, decline, offline, online, round, said, soon};
use crate::raw::{BINARY, Raw, dial, play};
use gateway::{Gateway, GatewayConfig, GatewayError};
use mpc_wire::{Identity, ToParty, Transport, Uplink, codec};
use rcgen::CertifiedKey;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::TLS13;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, StreamOwned};
use socket2::{Domain, Socket, Type};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

/// What the gateway may hold for one party, what two sockets' kernel buffers take at most, and
/// what TLS holds.
const BOUND: u64 = (8 << 20) + (16 << 20) + (1 << 20);

/// The places that an address has besides its seats.
const PLACES: usize = 16;

type TlsStream = StreamOwned<ClientConnection, TcpStream>;

/// A certificate for `localhost` that nobody signed, and who believes it.
struct Certificate {
    der: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

impl Certificate {
    fn new() -> Self {
        let names = ["localhost".to_owned()];
        let CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(names).unwrap();
        Self { der: cert.der().clone(), key: signing_key.into() }
    }

    fn listener(&self) -> Transport<Arc<ServerConfig>> {
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![self.der.clone()], self.key.clone_key())
            .unwrap();
        Transport::Tls(Arc::new(config))
    }

    fn believer(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&TLS13])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Arc::new(config)
    }
}

/// A gateway over TLS, and who believes its certificate.
async fn open(adjust: impl FnOnce(&mut GatewayConfig)) -> (Post, Arc<ClientConfig>) {
    let certificate = Certificate::new();
    let post = Post::open_with(|config| {
        config.transport = certificate.listener();
        adjust(config);
    })
    .await;
    (post, certificate.believer())
}

fn over_tls(tcp: TcpStream, believer: Arc<ClientConfig>) -> TlsStream {
    let name = "localhost".try_into().unwrap();
    StreamOwned::new(ClientConnection::new(believer, name).unwrap(), tcp)
}

/// An enrolled party over TLS; its `Online` is taken from the uplink.
async fn admitted(
    post: &mut Post,
    identity: &Identity,
    believer: &Arc<ClientConfig>,
) -> Raw<TlsStream> {
    post.enrol(identity.party());
    let (addr, seed, believer) = (post.gateway.addr(), identity.seed(), Arc::clone(believer));
    let raw = play(move || {
        Raw::upgrade(over_tls(dial(addr), believer)).proven(&Identity::from_seed(&seed))
    })
    .await;
    assert_eq!(post.up().await, online(identity));
    raw
}

/// Reads to the end, which must come before [`dial`]'s patience does.
fn read_to_the_end(mut stream: impl Read) {
    let mut piece = [0; 4096];
    loop {
        match stream.read(&mut piece) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                panic!("the socket stays open")
            }
            Err(_) => return,
        }
    }
}

#[actix_rt::test]
async fn a_party_speaks_and_is_spoken_to() {
    let (mut post, believer) = open(|_| {}).await;
    let alice = Identity::generate();
    let mut at_alice = admitted(&mut post, &alice, &believer).await;
    let message = ToParty::Round(round(alice.party(), alice.party(), 300_000));
    post.deliver(alice.party(), message.clone()).await;
    let at_alice = play(move || {
        assert_eq!(at_alice.message(), message);
        at_alice.send(BINARY, &codec::encode(&decline(1)).unwrap());
        at_alice
    })
    .await;
    assert_eq!(post.up().await, said(&alice, decline(1)));
    play(move || drop(at_alice)).await;
    assert_eq!(post.up().await, offline(&alice));
    assert_eq!(post.gateway.stats().handshakes_failed.value(), 0);
}

#[actix_rt::test]
async fn a_party_that_stops_reading_is_cut() {
    let (mut post, believer) = open(|_| {}).await;
    let bob = Identity::generate();
    let at_bob = admitted(&mut post, &bob, &believer).await;
    let message = ToParty::Round(round(bob.party(), bob.party(), 500_000));
    let size = codec::encode(&message).unwrap().len() as u64;
    let mut handed = 0;
    // 100 MB would be far more than the bound.
    for _ in 0..200 {
        post.deliver(bob.party(), message.clone()).await;
        handed += size;
        match post.uplink.try_recv() {
            Ok(Uplink::Offline { party }) => {
                assert_eq!(party, bob.party());
                break;
            }
            Ok(other) => panic!("unexpected: {other:?}"),
            Err(_) => {}
        }
    }
    assert!(handed < BOUND, "{handed} bytes were taken for a slow party");
    assert_eq!(post.gateway.stats().slow_consumers.value(), 1);
    // The socket below TLS is dead: what the kernel had is read to the end.
    play(move || read_to_the_end(at_bob.0)).await;
}

/// Its window is not full; time tells, and the cut does not need its actor.
#[actix_rt::test]
async fn a_party_that_acknowledges_nothing_is_cut_in_time() {
    let (mut post, believer) = open(|config| {
        config.timings.heartbeat = Duration::from_millis(50);
        config.timings.silence = Duration::from_millis(300);
    })
    .await;
    let bob = Identity::generate();
    let at_bob = admitted(&mut post, &bob, &believer).await;
    let message = ToParty::Round(round(bob.party(), bob.party(), 1_000));
    post.deliver(bob.party(), message).await;
    assert_eq!(post.up().await, offline(&bob));
    assert_eq!(post.gateway.stats().slow_consumers.value(), 1);
    play(move || read_to_the_end(at_bob.0)).await;
}

#[actix_rt::test]
async fn a_handshake_that_does_not_end_is_cut() {
    let (post, _) = open(|config| config.timings.handshake = Duration::from_millis(100)).await;
    let addr = post.gateway.addr();
    play(move || {
        read_to_the_end(dial(addr));
        // A record's header, and nothing of what it announces.
        let mut hello = dial(addr);
        hello.write_all(&[0x16, 3, 1, 2, 0]).unwrap();
        read_to_the_end(hello);
    })
    .await;
    failed(&post, 2).await;
    assert_eq!(post.gateway.stats().connections.value(), 0);
}

#[actix_rt::test]
async fn slow_handshakes_count_against_their_address_alone() {
    let (post, believer) = open(|config| {
        // They last for as long as this test does.
        config.timings.handshake = Duration::from_secs(600);
        config.max_connections_per_ip = PLACES + 4;
        // With one, sockets are taken in as they come.
        config.workers = 1;
    })
    .await;
    let addr = post.gateway.addr();
    let honest = Arc::clone(&believer);
    let slow = play(move || {
        let slow: Vec<_> = (0..PLACES + 4).map(|_| dial(addr)).collect();
        read_to_the_end(dial(addr));
        // Somebody else is let in meanwhile.
        drop(Raw::upgrade(over_tls(dial_from([127, 0, 0, 2], addr), honest)));
        slow
    })
    .await;
    assert_eq!(post.gateway.stats().refused.value(), 1);
    assert_eq!(post.gateway.stats().handshakes_failed.value(), 0);

    // With the sockets their places come back.
    play(move || {
        drop(slow);
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        loop {
            let mut stream = over_tls(dial(addr), Arc::clone(&believer));
            if stream.flush().is_ok() && !stream.conn.is_handshaking() {
                return;
            }
            assert!(std::time::Instant::now() < deadline, "the places do not come back");
        }
    })
    .await;
}

fn dial_from(ip: [u8; 4], addr: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((ip, 0)).into()).unwrap();
    socket.connect(&addr.into()).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    socket.into()
}

#[actix_rt::test]
async fn plain_http_is_refused_at_once() {
    // Not by the time it takes.
    let (post, _) = open(|config| config.timings.handshake = Duration::from_secs(600)).await;
    let addr = post.gateway.addr();
    let answer = play(move || {
        let mut stream = dial(addr);
        stream.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        // The end may be a reset, since not all was read.
        let _ = stream.read_to_end(&mut answer).map_err(|error| {
            assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "the socket stays open");
        });
        answer
    })
    .await;
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    failed(&post, 1).await;
}

/// Waits until so many handshakes have failed: a socket is closed a moment before that is counted.
async fn failed(post: &Post, count: u64) {
    let stats = post.gateway.stats();
    soon("a failure to be counted", async {
        while stats.handshakes_failed.value() < count {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(stats.handshakes_failed.value(), count);
}

async fn started(
    listen: [u8; 4],
    transport: Transport<Arc<ServerConfig>>,
) -> Result<Gateway, GatewayError> {
    let mut config = GatewayConfig::new((listen, 0).into(), SERVER);
    config.transport = transport;
    let (uplink, _up) = tokio::sync::mpsc::channel(1);
    let (_down, downlink) = tokio::sync::mpsc::channel(1);
    gateway::start(config, Arc::new(Book::broken()), uplink, downlink).await
}

#[actix_rt::test]
async fn other_hosts_are_not_listened_to_in_plain_text() {
    for listen in [[0, 0, 0, 0], [10, 0, 0, 1], [192, 0, 2, 1]] {
        match started(listen, Transport::Loopback).await {
            Err(GatewayError::Plaintext(error)) => {
                let text = error.to_string();
                assert!(
                    text.contains("--tls-cert") && text.contains("--allow-plaintext"),
                    "{text}"
                );
            }
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("{listen:?} was listened at"),
        }
    }
    for transport in [Transport::Plaintext, Certificate::new().listener()] {
        started([0, 0, 0, 0], transport).await.unwrap().stop().await;
    }
}
