//! A party that stops reading is cut, in bounded memory, and harms nobody.

use crate::party::{Post, offline, online, round};
use crate::raw::{Raw, play};
use awc::ws::{Frame, Message};
use mpc_wire::{Identity, ToParty, Uplink, codec};
use std::time::Duration;

/// What the gateway may hold for one party, and what two sockets' kernel buffers take at most.
const BOUND: u64 = (8 << 20) + (16 << 20);

#[actix_rt::test]
async fn a_party_that_stops_reading_is_cut_while_another_goes_on() {
    let mut post = Post::open().await;
    let (alice, bob) = (Identity::generate(), Identity::generate());
    let mut at_alice = post.online(&alice).await;
    post.enrol(bob.party());
    let (addr, seed) = (post.gateway.addr(), bob.seed());
    let at_bob = play(move || Raw::welcome(addr, &Identity::from_seed(&seed))).await;
    assert_eq!(post.up().await, online(&bob));

    let to_bob = ToParty::Round(round(alice.party(), bob.party(), 500_000));
    let to_alice = ToParty::Round(round(bob.party(), alice.party(), 1_000));
    let mut sent = 0;
    // 100 MB would be far more than the bound.
    for _ in 0..200 {
        post.deliver(bob.party(), to_bob.clone()).await;
        sent += 1;
        post.deliver(alice.party(), to_alice.clone()).await;
        assert_eq!(at_alice.message().await, to_alice);
        match post.uplink.try_recv() {
            Ok(Uplink::Offline { party }) => {
                assert_eq!(party, bob.party());
                break;
            }
            Ok(other) => panic!("unexpected: {other:?}"),
            Err(_) => {}
        }
    }
    let handed = sent * codec::encode(&to_bob).unwrap().len() as u64;
    println!("{handed} bytes were handed over before the cut");
    assert!(handed < BOUND, "{handed} bytes were taken for a slow party");
    assert_eq!(post.gateway.stats().slow_consumers.value(), 1);
    assert!(post.gateway.stats().bytes_out.value() < BOUND);

    // The socket is dead: what the kernel had is read to the end.
    play(move || {
        let mut at_bob = at_bob;
        while at_bob.frame().is_some() {}
    })
    .await;
    post.deliver(alice.party(), to_alice.clone()).await;
    assert_eq!(at_alice.message().await, to_alice);
}

/// A few unread messages do not fill the window; time tells.
#[actix_rt::test]
async fn a_party_that_acknowledges_nothing_is_cut_in_time() {
    let mut post = Post::open_with(|config| {
        config.timings.heartbeat = Duration::from_millis(50);
        config.timings.silence = Duration::from_millis(300);
    })
    .await;
    let bob = Identity::generate();
    let at_bob = post.online(&bob).await;
    let message = ToParty::Round(round(bob.party(), bob.party(), 1_000));
    post.deliver(bob.party(), message).await;
    assert_eq!(post.up().await, offline(&bob));
    assert_eq!(post.gateway.stats().slow_consumers.value(), 1);
    drop(at_bob);
}

/// The actor of a client that floods pings and reads no pongs is not polled, so its own handshake
/// timer cannot fire.
#[actix_rt::test]
async fn a_stranger_who_never_reads_is_cut_from_outside() {
    let post = Post::open_with(|config| {
        config.timings.handshake = Duration::from_millis(200);
        config.timings.farewell = Duration::from_millis(100);
    })
    .await;
    let addr = post.gateway.addr();
    play(move || {
        let mut raw = Raw::connect(addr);
        let ping = [&[0x89, 0x80 | 125, 0, 0, 0, 0][..], &[7; 125]].concat();
        let flood = ping.repeat(500);
        // Until the gateway ends it.
        while std::io::Write::write_all(&mut raw.0, &flood).is_ok() {}
    })
    .await;
    let mut next = crate::party::Party::connect(addr).await;
    next.challenge().await;
}

/// A party that reads slowly but steadily is no slow consumer, however much is sent to it.
#[actix_rt::test]
async fn a_party_that_acknowledges_may_get_any_amount() {
    // No heartbeat comes to help: the pings are those that follow a large message.
    let mut post = Post::open_with(|config| {
        config.timings.heartbeat = Duration::from_secs(300);
        config.timings.silence = Duration::from_secs(600);
    })
    .await;
    let alice = Identity::generate();
    let mut party = post.online(&alice).await;
    let message = ToParty::Round(round(alice.party(), alice.party(), 700_000));
    for _ in 0..60 {
        post.deliver(alice.party(), message.clone()).await;
        assert_eq!(party.message().await, message);
        match party.frame().await {
            Some(Frame::Ping(count)) => party.send(Message::Pong(count)).await,
            other => panic!("no ping: {other:?}"),
        }
    }
    assert_eq!(post.gateway.stats().cut.value(), 0);
}
