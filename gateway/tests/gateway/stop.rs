//! The end of a gateway.

use crate::party::{Party, Post, offline, online, soon};
use crate::raw::{Raw, play};
use mpc_wire::{ErrorCode, Identity};
use std::net::TcpStream;
use std::time::Duration;

#[actix_rt::test]
async fn every_party_is_told_and_reported_and_the_port_is_free() {
    let mut post = Post::open().await;
    let (alice, bob) = (Identity::generate(), Identity::generate());
    let mut at_alice = post.online(&alice).await;
    let mut at_bob = post.online(&bob).await;
    let addr = post.gateway.addr();

    let stop = post.gateway.stop();
    let farewells = async {
        at_alice.dismissed(ErrorCode::GoingAway, 1001).await;
        at_alice.ended().await;
        at_bob.dismissed(ErrorCode::GoingAway, 1001).await;
        drop(at_bob);
    };
    soon("the end", async { tokio::join!(stop, farewells) }).await;

    let mut reported = vec![post.uplink.recv().await.unwrap(), post.uplink.recv().await.unwrap()];
    reported.sort_by_key(|report| *report != offline(&alice));
    assert_eq!(reported, [offline(&alice), offline(&bob)]);
    // Nobody holds the uplink any more, and nobody listens.
    assert_eq!(soon("the uplink's end", post.uplink.recv()).await, None);
    assert!(TcpStream::connect(addr).is_err());
}

/// Parties that do not react, in every state, do not hold the stop up.
#[actix_rt::test]
async fn a_stop_is_bounded_in_time() {
    let mut post = Post::open_with(|config| {
        config.timings.farewell = Duration::from_millis(100);
    })
    .await;
    let (alice, bob) = (Identity::generate(), Identity::generate());
    let _unproven = Party::connect(post.gateway.addr()).await;
    let _deaf = post.online(&alice).await;
    post.enrol(bob.party());
    let (addr, seed) = (post.gateway.addr(), bob.seed());
    let _stuck = play(move || Raw::welcome(addr, &Identity::from_seed(&seed))).await;
    assert_eq!(post.up().await, online(&bob));
    let message = crate::party::round(bob.party(), bob.party(), 500_000);
    for _ in 0..14 {
        post.deliver(bob.party(), mpc_wire::ToParty::Round(message.clone())).await;
    }
    soon("the end", post.gateway.stop()).await;
}
