//! Round messages over a network that loses, repeats and reorders: each reaches its runner once and
//! in order, and nothing is sent for ever.

#![allow(clippy::unwrap_used, clippy::panic, reason = "test code fails by panicking")]

use mpc_pending::limits::{ACK_DELAY, FIRST_RESEND, MAX_RESEND, MAX_UNACKED_MESSAGES};
use mpc_pending::{Delivery, Dispatch, NotTaken, Now};
use mpc_wire::{
    Attempt, PartyId, Round, RoundAck, RoundEnvelope, RoundHeader, Seq, SessionId, Stage,
    UnixMillis,
};
use proptest::prelude::*;
use std::collections::BTreeMap;
use uuid::Uuid;

const ATTEMPT: Attempt = Attempt(1);

fn party(n: u8) -> PartyId {
    PartyId::new([n; 32])
}

fn session(n: u8) -> SessionId {
    SessionId::new(Uuid::from_u128(n.into()))
}

fn at(monotonic: u64) -> Now {
    Now { monotonic, wall: UnixMillis(0) }
}

fn message(from: u8, to: u8, seq: u64) -> RoundEnvelope {
    let header = RoundHeader {
        session: session(1),
        attempt: ATTEMPT,
        from: party(from),
        to: party(to),
        stage: Stage(1),
        round: Round(1),
        seq: Seq(seq),
    };
    RoundEnvelope { header, sealed: vec![from, to, u8::try_from(seq).unwrap()] }
}

fn launched(n: u8) -> Delivery {
    let mut delivery = Delivery::new(party(n));
    delivery.launched(session(1), ATTEMPT);
    delivery
}

fn ack(from: u8, to: u8, next: u64) -> RoundAck {
    let (from, to) = (party(from), party(to));
    RoundAck { session: session(1), attempt: ATTEMPT, from, to, next: Seq(next) }
}

#[test]
fn what_is_not_acknowledged_is_sent_again_with_growing_pauses() {
    let mut delivery = launched(1);
    delivery.send(message(1, 2, 0), at(0)).unwrap();
    let mut sent_at = Vec::new();
    for now in 0..18_000 {
        let due = delivery.due(at(now));
        if !due.is_empty() {
            // The identical bytes.
            assert_eq!(due, [Dispatch::Round(message(1, 2, 0))]);
            sent_at.push(now);
        }
    }
    let pauses: Vec<_> = sent_at.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(sent_at[0], FIRST_RESEND);
    assert_eq!(pauses, [2 * FIRST_RESEND, MAX_RESEND, MAX_RESEND, MAX_RESEND]);
}

#[test]
fn an_acknowledgement_ends_it_and_counts_for_all_before() {
    let mut delivery = launched(1);
    for seq in 0..3 {
        delivery.send(message(1, 2, seq), at(0)).unwrap();
    }
    delivery.acknowledged(&ack(2, 1, 2), at(10));
    assert_eq!(delivery.due(at(10 + FIRST_RESEND)), [Dispatch::Round(message(1, 2, 2))]);
    // An older one takes nothing back.
    delivery.acknowledged(&ack(2, 1, 1), at(20));
    delivery.acknowledged(&ack(2, 1, 3), at(20));
    assert_eq!((delivery.wake_at(), delivery.unacked_bytes()), (None, 0));
}

#[test]
fn acknowledgements_of_others_or_to_others_end_nothing() {
    let mut delivery = launched(1);
    delivery.send(message(1, 2, 0), at(0)).unwrap();
    for wrong in [ack(3, 1, 1), ack(2, 3, 1), RoundAck { attempt: Attempt(2), ..ack(2, 1, 1) }] {
        delivery.acknowledged(&wrong, at(1));
    }
    assert_eq!(delivery.due(at(FIRST_RESEND)).len(), 1);
}

#[test]
fn a_quick_attempt_costs_no_acknowledgement() {
    let mut delivery = launched(1);
    delivery.delivered(&[message(2, 1, 0)], at(0));
    delivery.delivered(&[message(2, 1, 1)], at(5));
    assert!(delivery.due(at(ACK_DELAY - 1)).is_empty());
    assert_eq!(delivery.due(at(ACK_DELAY)), [Dispatch::Ack(ack(1, 2, 2))]);
    assert!(delivery.due(at(100_000)).is_empty(), "it is said once");
    delivery.delivered(&[message(2, 1, 2)], at(100_000));
    delivery.over(session(1));
    assert_eq!(delivery.wake_at(), None);
}

#[test]
fn who_repeats_what_has_arrived_is_told_so_at_once() {
    let mut delivery = launched(1);
    delivery.delivered(&[message(2, 1, 0)], at(0));
    delivery.due(at(ACK_DELAY));
    delivery.heard(&message(2, 1, 1).header, at(1_000));
    assert!(delivery.due(at(1_000)).is_empty(), "what is new waits for its turn");
    delivery.heard(&message(2, 1, 0).header, at(1_001));
    assert_eq!(delivery.due(at(1_001)), [Dispatch::Ack(ack(1, 2, 1))]);
}

#[test]
fn a_new_link_carries_everything_that_is_open_at_once() {
    let mut delivery = launched(1);
    delivery.send(message(1, 2, 0), at(0)).unwrap();
    delivery.delivered(&[message(2, 1, 0)], at(0));
    let due = delivery.connected(at(1));
    assert_eq!(due, [Dispatch::Ack(ack(1, 2, 1)), Dispatch::Round(message(1, 2, 0))]);
    assert!(delivery.due(at(2)).is_empty());
}

#[test]
fn what_waits_is_bounded_and_belongs_to_the_newest_attempt() {
    let mut delivery = launched(1);
    for seq in 0..MAX_UNACKED_MESSAGES as u64 {
        delivery.send(message(1, 2, seq), at(0)).unwrap();
    }
    let next = message(1, 2, MAX_UNACKED_MESSAGES as u64);
    assert_eq!(delivery.send(next, at(0)), Err(NotTaken::TooMany));
    delivery.send(message(1, 3, 0), at(0)).unwrap();
    delivery.launched(session(1), Attempt(2));
    assert_eq!((delivery.wake_at(), delivery.unacked_bytes()), (None, 0));
    assert_eq!(delivery.send(message(1, 2, 0), at(0)), Err(NotTaken::Over));
    // Other sessions are none of its business.
    delivery.launched(session(2), Attempt(1));
    let mut other = message(1, 2, 0);
    other.header.session = session(2);
    delivery.send(other, at(0)).unwrap();
    delivery.over(session(1));
    assert_eq!(delivery.unacked_bytes(), 3);
}

/// Two parties, and what is between them.
struct Pair {
    parties: BTreeMap<u8, (Delivery, Vec<Seq>, Vec<RoundEnvelope>)>,
    network: Vec<(u8, Dispatch)>,
}

impl Pair {
    fn new() -> Self {
        let parties = [1, 2].map(|n| (n, (launched(n), Vec::new(), Vec::new()))).into();
        Self { parties, network: Vec::new() }
    }

    /// Brings a dispatch to the party, whose inbox restores the order and drops duplicates.
    fn arrive(&mut self, at_party: u8, dispatch: Dispatch, now: Now) {
        let (delivery, taken, held) = self.parties.get_mut(&at_party).unwrap();
        match dispatch {
            Dispatch::Ack(ack) => delivery.acknowledged(&ack, now),
            Dispatch::Round(envelope) => {
                delivery.heard(&envelope.header, now);
                held.push(envelope);
                loop {
                    let next = taken.last().map_or(Seq(0), |seq: &Seq| seq.next());
                    let Some(found) = held.iter().position(|held| held.header.seq == next) else {
                        break;
                    };
                    let envelope = held.swap_remove(found);
                    taken.push(next);
                    delivery.delivered(&[envelope], now);
                }
            }
        }
    }
}

proptest! {
    /// However much is lost, repeated and reordered for a while: in the end everything has arrived
    /// once and in order, everybody knows, and the line is quiet.
    #[test]
    fn everything_arrives_once_and_in_order(
        fates in prop::collection::vec((any::<u8>(), any::<prop::sample::Index>()), 0..400),
        counts in (1_u64..20, 0_u64..20),
    ) {
        let mut pair = Pair::new();
        for (from, to, count) in [(1, 2, counts.0), (2, 1, counts.1)] {
            for seq in 0..count {
                let envelope = message(from, to, seq);
                pair.parties.get_mut(&from).unwrap().0.send(envelope.clone(), at(0)).unwrap();
                pair.network.push((to, Dispatch::Round(envelope)));
            }
        }
        let mut fates = fates.into_iter();
        let mut now = 0;
        while now < 200_000 {
            while !pair.network.is_empty() {
                // Once its troubles are over the network is a good one.
                let (fate, index) = fates.next().map_or((255, 0), |(fate, index)| {
                    (fate, index.index(pair.network.len()))
                });
                let (to, dispatch) = pair.network.remove(index);
                match fate {
                    0..=99 => {}
                    100..=149 => {
                        pair.network.push((to, dispatch.clone()));
                        pair.arrive(to, dispatch, at(now));
                    }
                    150..=255 => pair.arrive(to, dispatch, at(now)),
                }
            }
            now += 50;
            for (n, other) in [(1, 2), (2, 1)] {
                let due = pair.parties.get_mut(&n).unwrap().0.due(at(now));
                pair.network.extend(due.into_iter().map(|dispatch| (other, dispatch)));
            }
        }
        for (n, count) in [(1, counts.1), (2, counts.0)] {
            let (delivery, taken, _) = &pair.parties[&n];
            prop_assert_eq!(taken, &(0..count).map(Seq).collect::<Vec<_>>());
            prop_assert_eq!((delivery.wake_at(), delivery.unacked_bytes()), (None, 0));
        }
    }
}
