//! The API over TLS, and its refusal to do without where others listen in.

use crate::world::API_KEY;
use awc::http::{StatusCode, Version};
use awc::{Client, Connector};
use coordinator::{Coordinator, CoordinatorConfig, ListenError, StartError, Store};
use mpc_wire::{Downlink, Transport, Uplink};
use rcgen::CertifiedKey;
use rustls::crypto::ring;
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::mpsc;

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// A coordinator's own end of the world.
struct Office {
    coordinator: Coordinator,
    _uplink: mpsc::Sender<Uplink>,
    _downlink: mpsc::Receiver<Downlink>,
    _folder: TempDir,
}

async fn start(
    listen: [u8; 4],
    transport: Transport<Arc<ServerConfig>>,
) -> Result<Office, StartError> {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}?mode=rwc", folder.path().join("coordinator.db").display());
    let store = Store::open(&url).await.unwrap();
    let secret = "5e".repeat(32).parse().unwrap();
    let key = API_KEY.to_owned().try_into().unwrap();
    let mut config = CoordinatorConfig::new((listen, 0).into(), key, secret);
    config.transport = transport;
    let (uplink, to_coordinator) = mpsc::channel(1);
    let (from_coordinator, downlink) = mpsc::channel(1);
    let coordinator = coordinator::start(config, store, to_coordinator, from_coordinator).await?;
    Ok(Office { coordinator, _uplink: uplink, _downlink: downlink, _folder: folder })
}

/// A certificate for `localhost` that nobody signed: for a listener, and for who believes it.
fn certificate() -> (Transport<Arc<ServerConfig>>, Arc<ClientConfig>) {
    let CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let provider = Arc::new(ring::default_provider());
    let listener = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], signing_key.into())
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let mut believer = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    // As `curl` does.
    believer.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    (Transport::Tls(Arc::new(listener)), Arc::new(believer))
}

fn dial(addr: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// What comes until the end, which must come in time.
async fn last_words(mut stream: TcpStream) -> Vec<u8> {
    let read = actix_rt::task::spawn_blocking(move || {
        let mut words = Vec::new();
        match stream.read_to_end(&mut words) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("the socket stays open"),
            // The end may be a reset, since the server did not read everything.
            Ok(_) | Err(_) => words,
        }
    });
    read.await.unwrap()
}

#[actix_rt::test]
async fn the_api_speaks_http_1_over_tls() {
    let (transport, believer) = certificate();
    let office = start([127, 0, 0, 1], transport).await.unwrap();
    let connector = Connector::new().rustls_0_23(believer);
    let client = Client::builder().timeout(PATIENCE).connector(connector).finish();
    let base = format!("https://localhost:{}", office.coordinator.addr().port());
    let get = async |path: &str, key: &str| {
        let request = client.get(format!("{base}{path}")).insert_header(("X-API-Key", key));
        let answer = request.send().await.unwrap();
        // HTTP/2 was offered and not taken.
        assert_eq!(answer.version(), Version::HTTP_11);
        answer.status()
    };
    assert_eq!(get("/health", "").await, StatusCode::OK);
    assert_eq!(get("/api/v1/parties", API_KEY).await, StatusCode::OK);
    assert_eq!(get("/api/v1/parties", "another-key-than-that").await, StatusCode::UNAUTHORIZED);

    // An idle connection does not hold the stop up.
    tokio::time::timeout(PATIENCE / 5, office.coordinator.stop()).await.unwrap();
}

#[actix_rt::test]
async fn what_is_no_tls_ends_at_once_and_what_never_ends_is_cut() {
    let (transport, _) = certificate();
    let office = start([127, 0, 0, 1], transport).await.unwrap();
    let addr = office.coordinator.addr();
    let mut plain = dial(addr);
    plain.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let answer = last_words(plain).await;
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");

    let silent = dial(addr);
    let mut half = dial(addr);
    // A record's header, and nothing of what it announces.
    half.write_all(&[0x16, 3, 1, 2, 0]).unwrap();
    assert_eq!(last_words(silent).await, b"");
    assert_eq!(last_words(half).await, b"");
    office.coordinator.stop().await;
}

#[actix_rt::test]
async fn other_hosts_are_not_listened_to_in_plain_text() {
    for listen in [[0, 0, 0, 0], [10, 0, 0, 1], [192, 0, 2, 1]] {
        match start(listen, Transport::Loopback).await {
            Err(StartError::Listen(ListenError::Plaintext(error))) => {
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
    for transport in [Transport::Plaintext, certificate().0] {
        start([0, 0, 0, 0], transport).await.unwrap().coordinator.stop().await;
    }
}
