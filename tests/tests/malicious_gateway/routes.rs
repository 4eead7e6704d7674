//! Row 11: messages delivered to the wrong party, or in the wrong party's name; and one identity
//! on two connections.

use mpc_tests::malicious_gateway::{Crossing, MaliciousGateway, all, duo, pair};
use mpc_tests::proxy::Direction;
use mpc_tests::transcript::{Refusal, Run};
use mpc_wire::{ErrorCode, Objection, PartyId, ToCoordinator, ToParty};
use std::cell::Cell;
use std::collections::BTreeSet;
use std::rc::Rc;

/// How many round messages two members exchange at least: one each in seven steps.
const ROUND_MESSAGES: usize = 14;

/// Whoever is neither sender nor recipient.
fn third(parties: [PartyId; 3], crossing: &Crossing) -> PartyId {
    let header = crossing.round().unwrap().header;
    *parties.iter().find(|party| ![header.from, header.to].contains(*party)).unwrap()
}

fn parties(gateway: &MaliciousGateway) -> [PartyId; 3] {
    [0, 1, 2].map(|number| gateway.party(number))
}

/// Every message goes to the third party as well, as it is: there it is refused, in so many words.
#[actix_rt::test]
async fn row_11_misrouted_to_another_member() {
    let gateway = MaliciousGateway::start().await;
    let parties = parties(&gateway);
    gateway.cross_by(move |crossing| match crossing.arriving_round() {
        Some(_) => vec![crossing.redirected(third(parties, &crossing)), crossing],
        None => vec![crossing],
    });
    let signed = gateway.sign(all()).await;
    signed.assert_attempts(1);
    let run = Run { session: signed.session, attempt: mpc_wire::Attempt::FIRST };
    for party in parties {
        let refusals = gateway.transcript().refusals(party, run);
        assert!(refusals.iter().eq([&Refusal::Objected(Objection::Misrouted)]), "{refusals:?}");
    }
    signed.assert_objections(parties.map(|party| (party, Objection::Misrouted)));
    gateway.assert_all_is_well(all()).await;
}

/// To a party that is no member, and has never heard of the session: it has nothing to say to it.
#[actix_rt::test]
async fn row_11_misrouted_to_a_stranger() {
    let gateway = MaliciousGateway::start().await;
    let parties = parties(&gateway);
    gateway.cross_by(move |crossing| match crossing.arriving_round() {
        Some(mut envelope) => {
            let stranger = third(parties, &crossing);
            envelope.header.to = stranger;
            let readdressed = crossing.with_round(envelope).redirected(stranger);
            vec![crossing.redirected(stranger), readdressed, crossing]
        }
        None => vec![crossing],
    });
    let signed = gateway.sign(duo()).await;
    signed.assert_attempts(1);
    signed.assert_objections([]);
    assert!(gateway.tampered() >= ROUND_MESSAGES);
    assert!(!gateway.transcript().has_spoken(gateway.party(2), signed.session));
    gateway.assert_all_is_well(duo()).await;
}

/// A message takes the place of one that a member waits for: in the first attempt one that was for
/// another member, in the second one that came from another. The seal is neither for the one nor
/// from the other, and nobody is blamed.
#[actix_rt::test]
async fn row_11_readdressed_to_another_member_and_in_the_name_of_another() {
    let gateway = MaliciousGateway::start().await;
    let parties = parties(&gateway);
    let mut spoilt = BTreeSet::new();
    gateway.cross_by(move |crossing| {
        let Some(envelope) = crossing.arriving_round() else { return vec![crossing] };
        let third = third(parties, &crossing);
        let attempt = envelope.header.attempt.0;
        if attempt > 2 || !spoilt.insert(attempt) {
            return vec![crossing];
        }
        let mut copy = envelope;
        if attempt == 1 {
            copy.header.to = third;
            vec![crossing.with_round(copy).redirected(third), crossing]
        } else {
            copy.header.from = third;
            vec![crossing.with_round(copy), crossing]
        }
    });
    gateway.sign(all()).await.assert_attempts(3);
    gateway.assert_all_is_well(all()).await;
}

/// On its way to the recipient each message comes in the name of somebody who has nothing to say
/// there as well: the recipient itself, a party that is no member, nobody. None has a place.
#[actix_rt::test]
async fn row_11_a_forged_sender_on_the_way_down() {
    let gateway = MaliciousGateway::start().await;
    let parties = parties(&gateway);
    gateway.cross_by(move |crossing| {
        let Some(envelope) = crossing.arriving_round() else { return vec![crossing] };
        let senders = [crossing.party, third(parties, &crossing), PartyId::new([7; 32])];
        let copies = senders.map(|sender| {
            let mut copy = envelope.clone();
            copy.header.from = sender;
            crossing.with_round(copy)
        });
        copies.into_iter().chain([crossing]).collect()
    });
    let signed = gateway.sign(duo()).await;
    signed.assert_attempts(1);
    assert!(gateway.tampered() >= ROUND_MESSAGES);
    signed.assert_objections([0, 1].map(|member| (gateway.party(member), Objection::Misrouted)));
    gateway.assert_all_is_well(duo()).await;
}

/// On its way up: the gateway vouches for senders and ends the connection at once. The party comes
/// back, and the session goes on.
#[actix_rt::test]
async fn row_11_a_forged_sender_on_the_way_up() {
    let gateway = MaliciousGateway::start().await;
    let parties = parties(&gateway);
    let (done, answered) = (Cell::new(false), Rc::new(Cell::new(false)));
    let answer = Rc::clone(&answered);
    gateway.cross_by(move |crossing| {
        let code = crossing.told();
        if matches!(code, Some(ToParty::Error { code: ErrorCode::WrongSender, .. })) {
            answer.set(true);
        }
        match crossing.said() {
            Some(ToCoordinator::Round(mut envelope)) if !done.replace(true) => {
                envelope.header.from = third(parties, &crossing);
                vec![crossing.with_round(envelope), crossing]
            }
            Some(_) | None => vec![crossing],
        }
    });
    let signed = gateway.sign(duo()).await;
    assert!(answered.get(), "the gateway says why it closes");
    signed.assert_nobody_is_accused();
    gateway.assert_all_is_well(duo()).await;
}

/// A second process with the identity of one party, such as a stolen copy of its data: whoever
/// comes last is connected, the other is told, and what is spoilt by it is nobody's misbehaviour.
#[actix_rt::test]
async fn an_identity_that_is_connected_twice() {
    let gateway = MaliciousGateway::start().await;
    let replaced = Rc::new(Cell::new(0));
    let count = Rc::clone(&replaced);
    gateway.cross_by(move |crossing| {
        if matches!(crossing.told(), Some(ToParty::Error { code: ErrorCode::Replaced, .. })) {
            assert_eq!(crossing.direction, Direction::Down);
            count.set(count.get() + 1);
        }
        vec![crossing]
    });
    let twin = gateway.start_twin(0).await;
    gateway.until("the party to be told", || replaced.get() > 0).await;
    // Both stay alive and take the connection from each other, ever more slowly.
    gateway.sign(pair()).await.assert_nobody_is_accused();
    twin.stop().await;
    gateway.assert_all_is_well(duo()).await;
}
