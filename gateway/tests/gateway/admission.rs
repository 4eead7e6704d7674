//! What the roster decides, and what becomes of a party that it decides about meanwhile.

use crate::book::{Book, Hold, Question};
use crate::party::{Party, Post, decline, offline, online, proof, round, said, soon};
use gateway::Admission;
use mpc_wire::limits::{MAX_KEY_ROTATIONS, MAX_LABEL, MAX_TOKEN};
use mpc_wire::{Downlink, EnrolmentToken, ErrorCode, Identity, KeyNumber, ToParty};

fn token(text: &str) -> EnrolmentToken {
    text.to_owned().try_into().unwrap()
}

async fn disconnect(post: &Post, identity: &Identity) {
    let message = Downlink::Disconnect { party: identity.party() };
    soon("room in the downlink", post.downlink.send(message)).await.unwrap();
}

/// Shows that the router has done with everything that was sent down before.
async fn settled(post: &Post, witness: &mut Party, at: &Identity) {
    let envelope = round(at.party(), at.party(), 8);
    post.deliver(at.party(), ToParty::Round(envelope.clone())).await;
    assert_eq!(witness.message().await, ToParty::Round(envelope));
}

#[actix_rt::test]
async fn every_refusal_has_its_code() {
    for (answer, code) in [
        (Admission::NotEnrolled, ErrorCode::NotEnrolled),
        (Admission::TokenRefused, ErrorCode::TokenRefused),
        (Admission::Revoked, ErrorCode::Revoked),
        (Admission::KeySuperseded, ErrorCode::KeySuperseded),
    ] {
        let mut post = Post::open().await;
        let identity = Identity::generate();
        post.book.enter(identity.party(), answer);
        let mut party = Party::connect(post.gateway.addr()).await;
        party.prove(&identity, "").await;
        party.dismissed(code, 1008).await;
        party.ended().await;
        assert!(post.uplink.try_recv().is_err(), "nobody came online");
        assert_eq!(post.gateway.stats().admitted.value(), 0);
    }
}

#[actix_rt::test]
async fn the_roster_sees_token_label_and_key() {
    let post = Post::open().await;
    let founder = Identity::generate();
    let rotated = founder.rotate().unwrap();
    post.enrol(founder.party());
    let mut party = Party::connect(post.gateway.addr()).await;
    let challenge = party.challenge().await;
    party.say(&proof(&challenge, &rotated, "phone", Some(token("a.b.c")))).await;
    party.welcomed(&founder).await;

    let claims = post.book.claims();
    let [claim] = &claims[..] else { panic!("not one claim: {claims:?}") };
    assert_eq!(claim.party, founder.party());
    assert_eq!(claim.key, rotated.proven_key());
    assert_eq!(claim.key.number, KeyNumber(1));
    assert!(claim.signature.descends_from(claim.party, founder.proven_key()));
    assert_eq!(claim.label, "phone");
    assert_eq!(claim.token, Some(token("a.b.c")));
}

#[actix_rt::test]
async fn a_token_belongs_to_the_proof_that_it_came_with() {
    let post = Post::open().await;
    let identity = Identity::generate();
    post.enrol(identity.party());
    for swapped in [None, Some(token("another"))] {
        let mut party = Party::connect(post.gateway.addr()).await;
        let challenge = party.challenge().await;
        let mut forged = proof(&challenge, &identity, "", Some(token("own")));
        if let mpc_wire::ToCoordinator::Prove { token, .. } = &mut forged {
            *token = swapped;
        }
        party.say(&forged).await;
        party.dismissed(ErrorCode::NotAuthenticated, 1008).await;
    }
    assert_eq!(post.book.claims(), []);
}

#[actix_rt::test]
async fn the_largest_honest_proof_has_room() {
    let post = Post::open().await;
    let mut identity = Identity::generate();
    for _ in 0..MAX_KEY_ROTATIONS {
        identity = identity.rotate().unwrap();
    }
    post.enrol(identity.party());
    let mut party = Party::connect(post.gateway.addr()).await;
    let challenge = party.challenge().await;
    let (label, token) = ("x".repeat(MAX_LABEL), token(&"t".repeat(MAX_TOKEN)));
    party.say(&proof(&challenge, &identity, &label, Some(token))).await;
    party.welcomed(&identity).await;
}

#[actix_rt::test]
async fn a_disconnected_party_hears_and_says_nothing_more() {
    let mut post = Post::open().await;
    let (alice, bob) = (Identity::generate(), Identity::generate());
    let mut at_alice = post.online(&alice).await;
    let mut at_bob = post.online(&bob).await;
    disconnect(&post, &alice).await;
    post.deliver(alice.party(), ToParty::Round(round(bob.party(), alice.party(), 8))).await;
    settled(&post, &mut at_bob, &bob).await;
    at_alice.dismissed(ErrorCode::Revoked, 1008).await;
    at_alice.ended().await;
    assert_eq!(post.up().await, offline(&alice));
    at_bob.say(&decline(1)).await;
    assert_eq!(post.up().await, said(&bob, decline(1)), "nothing of the other came between");
    assert_eq!(post.gateway.stats().undeliverable.value(), 1);
    // Nobody is there to be disconnected any more.
    disconnect(&post, &alice).await;
    settled(&post, &mut at_bob, &bob).await;
}

/// The revocation is written, and told, while the first answer is on its way.
#[actix_rt::test]
async fn a_revocation_between_the_answer_and_the_arrival_is_seen() {
    let mut post = Post::open().await;
    let (alice, bob) = (Identity::generate(), Identity::generate());
    let mut at_bob = post.online(&bob).await;
    post.enrol(alice.party());
    let Hold { decided, go_on } = post.book.hold(Question::Admit);
    let mut at_alice = Party::connect(post.gateway.addr()).await;
    at_alice.prove(&alice, "").await;
    soon("the first answer", decided).await.unwrap();
    post.book.enter(alice.party(), Admission::Revoked);
    disconnect(&post, &alice).await;
    settled(&post, &mut at_bob, &bob).await;
    go_on.send(()).unwrap();
    at_alice.dismissed(ErrorCode::Revoked, 1008).await;
    at_alice.ended().await;
    at_bob.say(&decline(1)).await;
    assert_eq!(post.up().await, said(&bob, decline(1)), "the revoked one was never online");
}

/// The revocation is written after the second look, and told before the party is announced.
#[actix_rt::test]
async fn a_revocation_between_the_arrival_and_the_welcome_is_obeyed() {
    let mut post = Post::open().await;
    let (alice, bob) = (Identity::generate(), Identity::generate());
    let mut at_bob = post.online(&bob).await;
    post.enrol(alice.party());
    let Hold { decided, go_on } = post.book.hold(Question::Confirm);
    let mut at_alice = Party::connect(post.gateway.addr()).await;
    at_alice.prove(&alice, "").await;
    soon("the second answer", decided).await.unwrap();
    disconnect(&post, &alice).await;
    settled(&post, &mut at_bob, &bob).await;
    at_alice.dismissed(ErrorCode::Revoked, 1008).await;
    at_alice.ended().await;
    assert_eq!(go_on.send(()), Err(()), "the question ended with its connection");
    at_bob.say(&decline(1)).await;
    assert_eq!(post.up().await, said(&bob, decline(1)), "the revoked one was never online");
}

/// Whoever has an older key of a party and was admitted a moment before the newer one.
#[actix_rt::test]
async fn a_key_that_is_superseded_meanwhile_does_not_stay() {
    let mut post = Post::open().await;
    let alice = Identity::generate();
    post.enrol(alice.party());
    let Hold { decided, go_on } = post.book.hold(Question::Confirm);
    let mut late = Party::connect(post.gateway.addr()).await;
    late.prove(&alice, "").await;
    soon("the second answer", decided).await.unwrap();
    let mut newer = post.welcome(&alice.rotate().unwrap()).await;
    late.dismissed(ErrorCode::Replaced, 1008).await;
    late.ended().await;
    assert_eq!(go_on.send(()), Err(()), "the question ended with its connection");
    assert_eq!(post.up().await, online(&alice));
    newer.say(&decline(1)).await;
    assert_eq!(post.up().await, said(&alice, decline(1)));
}

/// Until the second answer the older connection's end is not the party's.
#[actix_rt::test]
async fn a_replacement_that_is_refused_leaves_the_party_offline() {
    let mut post = Post::open().await;
    let alice = Identity::generate();
    let mut older = post.online(&alice).await;
    let Hold { decided, go_on } = post.book.hold(Question::Admit);
    let mut newer = Party::connect(post.gateway.addr()).await;
    newer.prove(&alice, "").await;
    soon("the first answer", decided).await.unwrap();
    post.book.enter(alice.party(), Admission::KeySuperseded);
    go_on.send(()).unwrap();
    newer.dismissed(ErrorCode::KeySuperseded, 1008).await;
    older.dismissed(ErrorCode::Replaced, 1008).await;
    assert_eq!(post.up().await, offline(&alice));
}

#[actix_rt::test]
async fn without_an_answer_of_the_roster_the_party_is_to_come_again() {
    let post = Post::open_full(|_| {}, 16, Book::broken()).await;
    let mut party = Party::connect(post.gateway.addr()).await;
    party.prove(&Identity::generate(), "").await;
    party.dismissed(ErrorCode::Overloaded, 1013).await;
}
