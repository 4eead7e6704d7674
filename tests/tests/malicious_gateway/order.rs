//! Messages that come late, early, often, or with other bytes a second time.

use mpc_tests::malicious_gateway::{Crossing, MaliciousGateway, all, duo};
use mpc_wire::RoundHeader;
use std::collections::BTreeMap;

#[actix_rt::test]
async fn the_same_message_many_times() {
    const TIMES: usize = 100;
    let gateway = MaliciousGateway::start().await;
    gateway.cross_by(|crossing| match crossing.round() {
        // Both ways: the coordinator gets it often, and the recipient each of those often again.
        Some(_) => vec![crossing; TIMES.isqrt()],
        None => vec![crossing],
    });
    gateway.sign(duo()).await.assert_attempts(1);
    gateway.assert_all_is_well(duo()).await;
}

/// Everything that is not a round message comes twice.
#[actix_rt::test]
async fn every_other_message_twice() {
    let gateway = MaliciousGateway::start().await;
    gateway.cross_by(|crossing| match crossing.round() {
        Some(_) => vec![crossing],
        None => vec![crossing.clone(), crossing],
    });
    gateway.sign(duo()).await.assert_attempts(1);
    gateway.assert_all_is_well(duo()).await;
}

/// The sequence number of a valid message comes again with other bytes: the earlier one counts.
#[actix_rt::test]
async fn a_sequence_number_again_with_other_bytes() {
    let gateway = MaliciousGateway::start().await;
    gateway.cross_by(|crossing| {
        let Some(envelope) = crossing.arriving_round() else { return vec![crossing] };
        let with = |sealed: Vec<u8>| {
            let mut other = envelope.clone();
            other.sealed = sealed;
            crossing.with_round(other)
        };
        let mut flipped = envelope.sealed.clone();
        flipped[0] ^= 1;
        let again = [with(flipped), with(vec![0; envelope.sealed.len()]), with(Vec::new())];
        [crossing].into_iter().chain(again).collect()
    });
    gateway.sign(duo()).await.assert_attempts(1);
    gateway.assert_all_is_well(duo()).await;
}

/// Of every sender the first two messages change places: the second comes first and waits.
#[actix_rt::test]
async fn messages_of_one_sender_out_of_order() {
    let gateway = MaliciousGateway::start().await;
    let mut held: BTreeMap<_, Crossing> = BTreeMap::new();
    gateway.cross_by(move |crossing| {
        let Some(envelope) = crossing.arriving_round() else { return vec![crossing] };
        let RoundHeader { session, from, to, seq, .. } = envelope.header;
        // A sender does not wait for its recipient's first message to be taken, but for its first
        // message to come: one direction of each pair is held.
        match seq.0 {
            0 if from < to => {
                held.insert((session, from, to), crossing);
                Vec::new()
            }
            _later => {
                let first = held.remove(&(session, from, to));
                [crossing].into_iter().chain(first).collect()
            }
        }
    });
    gateway.sign(duo()).await.assert_attempts(1);
    gateway.assert_all_is_well(duo()).await;
}

/// Of two senders the one that speaks first is heard last, in every step.
#[actix_rt::test]
async fn messages_of_different_senders_out_of_order() {
    let gateway = MaliciousGateway::start().await;
    let mut held: BTreeMap<_, Crossing> = BTreeMap::new();
    gateway.cross_by(move |crossing| {
        let Some(envelope) = crossing.arriving_round() else { return vec![crossing] };
        let RoundHeader { session, attempt, to, seq, .. } = envelope.header;
        match held.remove(&(session, attempt, to, seq)) {
            Some(first) => vec![crossing, first],
            None => {
                held.insert((session, attempt, to, seq), crossing);
                Vec::new()
            }
        }
    });
    gateway.sign(all()).await.assert_attempts(1);
    gateway.assert_all_is_well(all()).await;
}
