//! From the upgrade to the welcome, and every way not to get there.

use crate::book::Book;
use crate::party::{Party, Post, SERVER, decline, offline, online};
use crate::raw::{Raw, dial, play};
use awc::ws::{Frame, Message};
use awc::{Client, http::StatusCode, http::header};
use gateway::{CONNECT_PATH, GatewayConfig, GatewayError, HEALTH_PATH};
use mpc_wire::handshake::Challenge;
use mpc_wire::limits::{MAX_LABEL, SUBPROTOCOL, VERSION};
use mpc_wire::{ErrorCode, Identity, Nonce, PartySignature, ToCoordinator, Uplink};
use std::net::TcpStream;
use std::time::Duration;

#[actix_rt::test]
async fn a_proven_and_enrolled_party_is_welcome_and_online() {
    let mut post = Post::open().await;
    let identity = Identity::generate();
    post.enrol(identity.party());
    let mut party = Party::connect(post.gateway.addr()).await;
    let challenge = party.challenge().await;
    assert_eq!(challenge.server, SERVER);
    assert_eq!(challenge.version, VERSION);
    party.answer(&challenge, &identity, "label").await;
    assert_eq!(party.welcomed(&identity).await, 5_000);
    assert_eq!(post.up().await, online(&identity));
    assert_eq!(post.gateway.stats().admitted.value(), 1);
}

#[actix_rt::test]
async fn every_challenge_is_fresh() {
    let post = Post::open().await;
    let first = Party::connect(post.gateway.addr()).await.challenge().await;
    let second = Party::connect(post.gateway.addr()).await.challenge().await;
    assert_ne!(first.nonce, second.nonce);
}

#[actix_rt::test]
async fn a_proof_over_another_challenge_name_or_key_is_refused() {
    let mut post = Post::open().await;
    let identity = Identity::generate();
    post.enrol(identity.party());
    let addr = post.gateway.addr();

    let mut replayed = Party::connect(addr).await;
    let real = replayed.challenge().await;
    let other = Challenge { nonce: Nonce::generate(), ..real.clone() };
    replayed.answer(&other, &identity, "").await;
    replayed.dismissed(ErrorCode::NotAuthenticated, 1008).await;

    let mut misled = Party::connect(addr).await;
    let real = misled.challenge().await;
    let other = Challenge { server: "elsewhere.test".to_owned(), ..real };
    misled.answer(&other, &identity, "").await;
    misled.dismissed(ErrorCode::NotAuthenticated, 1008).await;

    let mut impostor = Party::connect(addr).await;
    impostor.challenge().await;
    let proof = ToCoordinator::Prove {
        party: identity.party(),
        label: String::new(),
        token: None,
        signature: Identity::generate().sign(b"anything"),
    };
    impostor.say(&proof).await;
    impostor.dismissed(ErrorCode::NotAuthenticated, 1008).await;

    assert!(post.uplink.try_recv().is_err(), "nobody came online");
}

#[actix_rt::test]
async fn the_longest_label_passes_and_a_longer_one_does_not() {
    let post = Post::open().await;
    let identity = Identity::generate();
    post.enrol(identity.party());
    let mut party = Party::connect(post.gateway.addr()).await;
    party.prove(&identity, &"x".repeat(MAX_LABEL)).await;
    party.welcomed(&identity).await;

    let mut party = Party::connect(post.gateway.addr()).await;
    party.prove(&identity, &"x".repeat(MAX_LABEL + 1)).await;
    party.dismissed(ErrorCode::Malformed, 1008).await;
}

#[actix_rt::test]
async fn a_message_before_the_proof_is_refused() {
    let post = Post::open().await;
    let mut party = Party::connect(post.gateway.addr()).await;
    party.challenge().await;
    party.say(&crate::party::decline(1)).await;
    party.dismissed(ErrorCode::NotAuthenticated, 1008).await;
}

#[actix_rt::test]
async fn garbage_before_the_proof_is_refused() {
    let post = Post::open().await;
    let mut party = Party::connect(post.gateway.addr()).await;
    party.challenge().await;
    party.send(Message::Binary(vec![0xc1; 40].into())).await;
    party.dismissed(ErrorCode::Malformed, 1007).await;
}

#[actix_rt::test]
async fn a_stranger_gets_no_large_frames() {
    let post = Post::open().await;
    let mut party = Party::connect(post.gateway.addr()).await;
    party.challenge().await;
    party.send(Message::Binary(vec![0; 5 * 1024 + 1].into())).await;
    party.dismissed(ErrorCode::TooLarge, 1009).await;
}

#[actix_rt::test]
async fn a_silent_client_is_cut() {
    let post = Post::open_with(|config| {
        config.timings.handshake = Duration::from_millis(100);
    })
    .await;
    let mut party = Party::connect(post.gateway.addr()).await;
    party.challenge().await;
    party.dismissed(ErrorCode::NotAuthenticated, 1008).await;
    party.ended().await;
}

#[actix_rt::test]
async fn one_proof_a_connection() {
    let mut post = Post::open().await;
    let identity = Identity::generate();
    let mut party = post.online(&identity).await;
    let signature = PartySignature::from([0; 64]);
    let (party_id, label) = (identity.party(), String::new());
    let proof = ToCoordinator::Prove { party: party_id, label, token: None, signature };
    party.say(&proof).await;
    party.dismissed(ErrorCode::Malformed, 1008).await;
    assert_eq!(post.up().await, offline(&identity));
}

#[actix_rt::test]
async fn the_subprotocol_must_be_offered() {
    let post = Post::open().await;
    let url = format!("http://{}{CONNECT_PATH}", post.gateway.addr());
    for offer in [None, Some("mpc.v2"), Some("xmpc.v1")] {
        let mut request = Client::new().get(&url);
        if let Some(offer) = offer {
            request = request.insert_header((header::SEC_WEBSOCKET_PROTOCOL, offer));
        }
        let mut response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        let body = response.body().await.unwrap();
        assert!(String::from_utf8_lossy(&body).contains(SUBPROTOCOL));
    }
    assert_eq!(post.gateway.stats().connections.value(), 0);
}

#[actix_rt::test]
async fn a_plain_request_is_refused_and_takes_no_seat() {
    let post = Post::open_with(|config| config.max_connections = 1).await;
    let url = format!("http://{}{CONNECT_PATH}", post.gateway.addr());
    for _ in 0..3 {
        let response = Client::new()
            .get(&url)
            .insert_header((header::SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL))
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    }
    Party::connect(post.gateway.addr()).await;
}

#[actix_rt::test]
async fn beyond_the_caps_clients_are_told_when_to_come_again() {
    for (all, per_ip, status) in
        [(1, 9, StatusCode::SERVICE_UNAVAILABLE), (9, 1, StatusCode::TOO_MANY_REQUESTS)]
    {
        let post = Post::open_with(|config| {
            config.max_connections = all;
            config.max_connections_per_ip = per_ip;
        })
        .await;
        let mut party = post.welcome(&Identity::generate()).await;
        let addr = post.gateway.addr();
        let head = play(move || Raw::<TcpStream>::ask(&mut dial(addr))).await;
        assert!(head.starts_with(&format!("http/1.1 {}", status.as_u16())), "{head}");
        assert!(head.contains("\r\nretry-after: "), "{head}");
        assert_eq!(post.gateway.stats().refused.value(), 1);

        // The seat comes back with the end of the socket.
        party.send(Message::Close(None)).await;
        assert!(matches!(party.frame().await, Some(Frame::Close(_))));
        party.ended().await;
        Party::connect(post.gateway.addr()).await;
    }
}

#[actix_rt::test]
async fn who_comes_finds_a_seat_though_strangers_hold_them_all() {
    let mut post = Post::open_with(|config| {
        config.max_connections = 4;
        // They last for as long as this test does.
        config.timings.handshake = Duration::from_secs(600);
    })
    .await;
    let mut strangers = Vec::new();
    for _ in 0..4 {
        strangers.push(Party::connect(post.gateway.addr()).await);
    }
    let mut proven = Vec::new();
    for _ in 0..4 {
        proven.push(post.online(&Identity::generate()).await);
    }
    for mut stranger in strangers {
        stranger.challenge().await;
        stranger.ended().await;
    }
    assert_eq!(post.gateway.stats().evicted.value(), 4);
    // Whoever has proven something keeps its seat.
    for party in &mut proven {
        party.say(&decline(1)).await;
        assert!(matches!(post.up().await, Uplink::Message { .. }));
    }
}

#[actix_rt::test]
async fn health_answers() {
    let post = Post::open().await;
    let url = format!("http://{}{HEALTH_PATH}", post.gateway.addr());
    let response = Client::new().get(url).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
}

#[actix_rt::test]
async fn a_wrong_configuration_does_not_start() {
    let start = async |adjust: fn(&mut GatewayConfig)| {
        let mut config = GatewayConfig::new(([127, 0, 0, 1], 0).into(), SERVER);
        adjust(&mut config);
        let (uplink, _up) = tokio::sync::mpsc::channel(1);
        let (_down, downlink) = tokio::sync::mpsc::channel(1);
        let book = std::sync::Arc::new(Book::broken());
        gateway::start(config, book, uplink, downlink).await.err()
    };
    let name = start(|config| config.server_name.clear()).await;
    assert!(matches!(name, Some(GatewayError::ServerName(0))));
    let name = start(|config| config.server_name = "x".repeat(MAX_LABEL + 1)).await;
    assert!(matches!(name, Some(GatewayError::ServerName(65))));
    let timings = start(|config| config.timings.heartbeat = config.timings.silence).await;
    assert!(matches!(timings, Some(GatewayError::Timings)));
    let taken = std::net::TcpListener::bind("192.0.2.1:1");
    assert!(taken.is_err(), "a documentation address is nobody's");
    let listen = start(|config| {
        config.listen = ([192, 0, 2, 1], 1).into();
        config.transport = mpc_wire::Transport::Plaintext;
    })
    .await;
    assert!(matches!(listen, Some(GatewayError::Listen { .. })));
}
