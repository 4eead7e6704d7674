//! Row 10: messages of an earlier session, attempt or round.

use mpc_tests::malicious_gateway::{Crossing, MaliciousGateway, duo};
use mpc_wire::{RoundEnvelope, Seq, Stage};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

/// Every round message that reached its party.
type Kept = Rc<RefCell<Vec<RoundEnvelope>>>;

/// Lets everything cross and keeps a copy of the round messages.
fn keep(gateway: &MaliciousGateway) -> Kept {
    let kept = Kept::default();
    let copies = Rc::clone(&kept);
    gateway.cross_by(move |crossing| {
        copies.borrow_mut().extend(crossing.arriving_round());
        vec![crossing]
    });
    kept
}

/// Before and behind each message that arrives come all that are kept, each as `rename` has it.
fn replay(
    gateway: &MaliciousGateway,
    kept: Vec<RoundEnvelope>,
    rename: impl Fn(&RoundEnvelope, &RoundEnvelope) -> RoundEnvelope + 'static,
) {
    gateway.cross_by(move |crossing| {
        let Some(present) = crossing.arriving_round() else { return vec![crossing] };
        let old = || kept.iter().filter(|old| old.header.to == crossing.party);
        let renamed = || old().map(|old| crossing.with_round(rename(old, &present)));
        renamed().chain([crossing.clone()]).chain(renamed()).collect()
    });
}

#[actix_rt::test]
async fn row_10_replay_of_an_earlier_session() {
    let gateway = MaliciousGateway::start().await;
    let kept = keep(&gateway);
    gateway.sign(duo()).await.assert_attempts(1);
    let kept = kept.take();
    assert_eq!(kept.len(), 14, "seven steps of two parties");
    replay(&gateway, kept, |old, _| old.clone());
    gateway.sign(duo()).await.assert_attempts(1);
    gateway.assert_all_is_well(duo()).await;
}

/// The same under the present session's name, behind what the present session says: whatever
/// number it has, it takes the place of nothing.
#[actix_rt::test]
async fn row_10_replay_of_an_earlier_session_under_the_present_ones_name() {
    let gateway = MaliciousGateway::start().await;
    let kept = keep(&gateway);
    gateway.sign(duo()).await.assert_attempts(1);
    let kept = kept.take();
    gateway.cross_by(move |crossing| {
        let Some(present) = crossing.arriving_round() else { return vec![crossing] };
        let renamed = kept.iter().filter(|old| {
            let (old, present) = (&old.header, &present.header);
            (old.from, old.to) == (present.from, present.to) && old.seq <= present.seq
        });
        let renamed = renamed.map(|old| {
            let mut old = old.clone();
            (old.header.session, old.header.attempt) =
                (present.header.session, present.header.attempt);
            crossing.with_round(old)
        });
        let renamed: Vec<_> = renamed.collect();
        [crossing].into_iter().chain(renamed).collect()
    });
    gateway.sign(duo()).await.assert_attempts(1);
    gateway.assert_all_is_well(duo()).await;
}

/// Now before what the present session says, in its place: it does not open, the attempt fails in
/// transit, and the next one signs.
#[actix_rt::test]
async fn row_10_replay_of_an_earlier_session_in_the_place_of_the_present_one() {
    let gateway = MaliciousGateway::start().await;
    let kept = keep(&gateway);
    gateway.sign(duo()).await.assert_attempts(1);
    let kept = kept.take();
    let mut spoilt = BTreeSet::new();
    gateway.cross_by(move |crossing| {
        let Some(present) = crossing.arriving_round() else { return vec![crossing] };
        let now = present.header;
        // In the first attempt the first message, in the second attempt the second.
        let is_its_turn = now.seq == Seq(u64::from(now.attempt.0) - 1) && now.seq <= Seq(1);
        let old = kept.iter().find(|old| {
            (old.header.from, old.header.to, old.header.seq) == (now.from, now.to, now.seq)
        });
        match old {
            Some(old) if is_its_turn && spoilt.insert(now.attempt) => {
                let mut old = old.clone();
                old.header = now;
                vec![crossing.with_round(old), crossing]
            }
            Some(_) | None => vec![crossing],
        }
    });
    gateway.sign(duo()).await.assert_attempts(3);
    gateway.assert_all_is_well(duo()).await;
}

/// The first attempt is spoilt; everything that was said in it comes again in the second.
#[actix_rt::test]
async fn row_10_replay_of_an_earlier_attempt() {
    let gateway = MaliciousGateway::start().await;
    let mut kept: Vec<RoundEnvelope> = Vec::new();
    gateway.cross_by(move |crossing| {
        let Some(present) = crossing.arriving_round() else { return vec![crossing] };
        if present.header.attempt.0 == 1 {
            kept.push(present.clone());
            if present.header.seq == Seq(2) {
                let mut spoilt = present;
                spoilt.sealed[0] ^= 1;
                return vec![crossing.with_round(spoilt)];
            }
            return vec![crossing];
        }
        let old = kept.iter().filter(|old| old.header.to == crossing.party);
        let old: Vec<_> = old.map(|old| crossing.with_round(old.clone())).collect();
        old.iter().cloned().chain([crossing.clone()]).chain(old.clone()).collect()
    });
    gateway.sign(duo()).await.assert_attempts(2);
    gateway.assert_all_is_well(duo()).await;
}

/// With each message all earlier ones of its attempt come again; and behind it, under their own
/// numbers, the same with another stage or round on them.
#[actix_rt::test]
async fn row_10_replay_of_earlier_rounds() {
    let gateway = MaliciousGateway::start().await;
    let mut kept: Vec<RoundEnvelope> = Vec::new();
    gateway.cross_by(move |crossing| {
        let Some(present) = crossing.arriving_round() else { return vec![crossing] };
        let now = present.header;
        kept.push(present);
        let earlier = kept.iter().filter(|old| {
            old.header.to == now.to
                && (old.header.session, old.header.attempt) == (now.session, now.attempt)
        });
        let restaged = |old: &RoundEnvelope| {
            let mut old = old.clone();
            old.header.stage = Stage(old.header.stage.0 + 1);
            old
        };
        let renamed = |old: &RoundEnvelope| {
            let mut old = old.clone();
            old.header.round = now.round;
            old
        };
        let again: Vec<_> = earlier
            .flat_map(|old| [old.clone(), restaged(old), renamed(old)])
            .map(|old| crossing.with_round(old))
            .collect();
        [crossing].into_iter().chain(again).collect::<Vec<Crossing>>()
    });
    let signed = gateway.sign(duo()).await;
    signed.assert_attempts(1);
    assert!(gateway.tampered() >= 14, "seven steps of two parties");
    // What was taken is not looked at again.
    signed.assert_objections([]);
    gateway.assert_all_is_well(duo()).await;
}
