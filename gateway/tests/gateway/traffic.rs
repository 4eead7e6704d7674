//! Messages both ways, presence, and order.

use crate::book::Book;
use crate::party::{Party, Post, decline, header, join, offline, online, round, said};
use awc::ws::{Frame, Message};
use mpc_wire::audit::{Head, SignedHead};
use mpc_wire::{
    Downlink, ErrorCode, Identity, Inquiry, Nonce, SignedBan, Testimony, ToCoordinator, ToParty,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What a party signs and others may read: each names its signer.
fn signed_by(identity: &Identity) -> [ToCoordinator; 4] {
    let inquiry = Inquiry::sign(identity, Nonce::new([4; 32]), BTreeSet::new());
    let testimony = Testimony::sign(identity, &inquiry, BTreeMap::new(), Vec::new());
    [
        ToCoordinator::AuditHead(SignedHead::sign(identity, Head::EMPTY)),
        ToCoordinator::Inquiry(inquiry),
        ToCoordinator::Testimony(testimony),
        ToCoordinator::Ban(SignedBan::sign(identity, Identity::generate().party())),
    ]
}

#[actix_rt::test]
async fn messages_pass_both_ways_with_their_sender() {
    let mut post = Post::open().await;
    let (alice, bob) = (Identity::generate(), Identity::generate());
    let mut at_alice = post.online(&alice).await;
    let mut at_bob = post.online(&bob).await;

    let envelope = round(alice.party(), bob.party(), 150_000);
    at_alice.say(&ToCoordinator::Round(envelope.clone())).await;
    let up = post.up().await;
    assert_eq!(up, said(&alice, ToCoordinator::Round(envelope.clone())));

    post.deliver(bob.party(), ToParty::Round(envelope.clone())).await;
    assert_eq!(at_bob.message().await, ToParty::Round(envelope));

    let stats = post.gateway.stats();
    assert_eq!(stats.messages_in.value(), 1);
    assert_eq!(stats.messages_out.value(), 1);
    assert!(stats.bytes_in.value() > 150_000);
    assert!(stats.bytes_out.value() > 150_000);
}

#[actix_rt::test]
async fn everything_a_party_may_say_about_itself_passes() {
    let mut post = Post::open().await;
    let (alice, bob) = (Identity::generate(), Identity::generate());
    let mut party = post.online(&alice).await;
    let join = join(&alice);
    let refused = ToCoordinator::RoundRefused { header: header(bob.party(), alice.party()) };
    let mut messages = vec![join, refused, decline(3)];
    messages.extend(signed_by(&alice));
    for message in messages {
        party.say(&message).await;
        assert_eq!(post.up().await, said(&alice, message));
    }
}

#[actix_rt::test]
async fn a_forged_sender_is_closed() {
    let mut post = Post::open().await;
    let (mallory, bob) = (Identity::generate(), Identity::generate());
    let mut messages = vec![
        ToCoordinator::Round(round(bob.party(), mallory.party(), 10)),
        ToCoordinator::RoundRefused { header: header(mallory.party(), bob.party()) },
        join(&bob),
    ];
    messages.extend(signed_by(&bob));
    let count = messages.len();
    for message in messages {
        let mut party = post.online(&mallory).await;
        party.say(&message).await;
        party.dismissed(ErrorCode::WrongSender, 1008).await;
        // Nothing but the end comes up.
        assert_eq!(post.up().await, offline(&mallory));
    }
    assert_eq!(post.gateway.stats().dismissed.value(), count as u64);
}

#[actix_rt::test]
async fn all_that_was_said_comes_before_offline() {
    let mut post = Post::open().await;
    let alice = Identity::generate();
    let mut party = post.welcome(&alice).await;
    for attempt in 1..=200 {
        party.say(&decline(attempt)).await;
    }
    party.send(Message::Close(None)).await;
    assert_eq!(party.frame().await, Some(Frame::Close(None)));

    assert_eq!(post.up().await, online(&alice));
    for attempt in 1..=200 {
        assert_eq!(post.up().await, said(&alice, decline(attempt)));
    }
    assert_eq!(post.up().await, offline(&alice));
}

#[actix_rt::test]
async fn a_vanished_party_is_offline() {
    let mut post = Post::open().await;
    let alice = Identity::generate();
    drop(post.online(&alice).await);
    assert_eq!(post.up().await, offline(&alice));
}

#[actix_rt::test]
async fn a_second_connection_replaces_the_first() {
    let mut post = Post::open().await;
    let alice = Identity::generate();
    let mut older = post.online(&alice).await;
    let mut newer = post.online(&alice).await;
    older.dismissed(ErrorCode::Replaced, 1008).await;

    // The end of the older one is not the end of the party.
    newer.say(&decline(1)).await;
    assert_eq!(post.up().await, said(&alice, decline(1)));
    let envelope = round(alice.party(), alice.party(), 8);
    post.deliver(alice.party(), ToParty::Round(envelope.clone())).await;
    assert_eq!(newer.message().await, ToParty::Round(envelope));

    drop(newer);
    assert_eq!(post.up().await, offline(&alice));
}

#[actix_rt::test]
async fn presence_keeps_its_order_while_a_party_flaps() {
    let mut post = Post::open().await;
    let alice = Identity::generate();
    for _ in 0..20 {
        let mut first = post.welcome(&alice).await;
        first.say(&decline(1)).await;
        let mut second = post.welcome(&alice).await;
        second.say(&decline(2)).await;
        drop((first, second));

        assert_eq!(post.up().await, online(&alice));
        // What the replaced connection said may be lost with it, never come late.
        let mut next = post.up().await;
        if next == said(&alice, decline(1)) {
            next = post.up().await;
        }
        assert_eq!(next, online(&alice));
        let mut next = post.up().await;
        if next == said(&alice, decline(2)) {
            next = post.up().await;
        }
        assert_eq!(next, offline(&alice));
    }
}

#[actix_rt::test]
async fn a_message_for_nobody_is_counted_and_harms_nobody() {
    let mut post = Post::open().await;
    let (alice, bob) = (Identity::generate(), Identity::generate());
    let mut party = post.online(&alice).await;
    let envelope = round(alice.party(), alice.party(), 8);
    post.deliver(bob.party(), ToParty::Round(envelope.clone())).await;
    post.deliver(alice.party(), ToParty::Round(envelope.clone())).await;
    assert_eq!(party.message().await, ToParty::Round(envelope));
    assert_eq!(post.gateway.stats().undeliverable.value(), 1);
}

#[actix_rt::test]
async fn a_revoked_party_is_disconnected() {
    let mut post = Post::open().await;
    let alice = Identity::generate();
    let mut party = post.online(&alice).await;
    let disconnect = Downlink::Disconnect { party: alice.party() };
    post.downlink.send(disconnect).await.unwrap();
    party.dismissed(ErrorCode::Revoked, 1008).await;
    assert_eq!(post.up().await, offline(&alice));
}

/// While nobody reads the uplink, nothing is lost, nobody is cut, and deliveries go on.
#[actix_rt::test]
async fn a_stalled_coordinator_slows_parties_down_and_loses_nothing() {
    let silence = Duration::from_millis(300);
    let book = Book::default();
    let mut post = Post::open_full(
        |config| {
            config.timings.heartbeat = Duration::from_millis(50);
            config.timings.silence = silence;
        },
        1,
        book,
    )
    .await;
    let alice = Identity::generate();
    let mut party = post.welcome(&alice).await;
    for attempt in 1..=500 {
        party.say(&decline(attempt)).await;
    }
    // This passing of time is what is tested: the party's pongs are not read meanwhile.
    actix_rt::time::sleep(silence * 3).await;
    let envelope = round(alice.party(), alice.party(), 8);
    post.deliver(alice.party(), ToParty::Round(envelope.clone())).await;
    assert_eq!(party.message().await, ToParty::Round(envelope));

    assert_eq!(post.up().await, online(&alice));
    for attempt in 1..=500 {
        assert_eq!(post.up().await, said(&alice, decline(attempt)));
    }
    assert_eq!(post.gateway.stats().cut.value(), 0);
}

#[actix_rt::test]
async fn without_a_coordinator_parties_are_sent_away() {
    let mut post = Post::open().await;
    let alice = Identity::generate();
    let mut party = post.online(&alice).await;
    post.uplink.close();
    party.say(&decline(1)).await;
    party.dismissed(ErrorCode::GoingAway, 1001).await;

    post.enrol(alice.party());
    let mut late = Party::connect(post.gateway.addr()).await;
    late.prove(&alice, "").await;
    late.dismissed(ErrorCode::GoingAway, 1001).await;
}

#[actix_rt::test]
async fn heartbeats_keep_an_idle_party_and_their_lack_ends_a_dead_one() {
    let mut post = Post::open_with(|config| {
        config.timings.heartbeat = Duration::from_millis(40);
        config.timings.silence = Duration::from_millis(400);
    })
    .await;
    let (alice, bob) = (Identity::generate(), Identity::generate());
    let mut living = post.online(&alice).await;
    // Bob's link is half open: nothing comes back, and nothing says so.
    let dead = post.online(&bob).await;
    let living = actix_rt::spawn(async move {
        for _ in 0..30 {
            match living.frame().await {
                Some(Frame::Ping(count)) => living.send(Message::Pong(count)).await,
                other => panic!("no ping: {other:?}"),
            }
        }
        living
    });
    assert_eq!(post.up().await, offline(&bob));
    let mut living = living.await.unwrap();
    living.say(&decline(1)).await;
    assert_eq!(post.up().await, said(&alice, decline(1)));
    assert_eq!(post.gateway.stats().cut.value(), 1);
    assert_eq!(post.gateway.stats().slow_consumers.value(), 0);
    drop(dead);
}
