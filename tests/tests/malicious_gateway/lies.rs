//! The gateway forges what the coordinator says: invitations, starts, ends, and bytes that are no
//! message.

use mpc_tests::malicious_gateway::{Crossing, MaliciousGateway, duo, pair};
use mpc_tests::proxy::Direction;
use mpc_tests::transcript::{Refusal, Run};
use mpc_wire::{
    AccountId, Attempt, AttemptPlan, DerivationPath, Epoch, Intent, IntentKind, Objection, PartyId,
    Payload, PublicKey, RequestId, Round, Scheme, SessionId, Threshold, ToCoordinator, ToParty,
    UnixMillis, codec,
};
use std::cell::Cell;
use std::collections::BTreeSet;
use std::rc::Rc;

/// The start of the first attempt comes to one member with a forged join: it refuses, and the
/// coordinator, who hears of it, plans another attempt.
#[actix_rt::test]
async fn row_18_a_start_with_a_forged_join() {
    let gateway = MaliciousGateway::start().await;
    let victim = Rc::new(Cell::new(None));
    let chosen = Rc::clone(&victim);
    gateway.cross_by(move |crossing| match crossing.told() {
        Some(ToParty::Started { session, attempt, mut joins }) if chosen.get().is_none() => {
            chosen.set(Some((crossing.party, Run { session, attempt })));
            let peer = joins.iter_mut().find(|join| join.member != crossing.party).unwrap();
            peer.hpke_key = [9; 32];
            vec![Crossing::down(crossing.party, &ToParty::Started { session, attempt, joins })]
        }
        Some(_) | None => vec![crossing],
    });
    let signed = gateway.sign(duo()).await;
    signed.assert_attempts(2);
    let (victim, run) = victim.get().unwrap();
    let refusals = gateway.transcript().refusals(victim, run);
    assert!(refusals.iter().eq([&Refusal::Objected(Objection::ForgedJoin)]), "{refusals:?}");
    signed.assert_objections([(victim, Objection::ForgedJoin)]);
    gateway.assert_all_is_well(duo()).await;
}

/// The start of the first attempt comes to one member with the joins of an earlier session.
#[actix_rt::test]
async fn row_10_a_start_with_replayed_joins() {
    let gateway = MaliciousGateway::start().await;
    let mut kept = None;
    let victim = Rc::new(Cell::new(None));
    let chosen = Rc::clone(&victim);
    gateway.cross_by(move |crossing| match crossing.told() {
        Some(ToParty::Started { session, attempt, joins }) => match &kept {
            None => {
                kept = Some((session, joins));
                vec![crossing]
            }
            Some((old, joins)) if *old != session && chosen.get().is_none() => {
                chosen.set(Some((crossing.party, Run { session, attempt })));
                let joins = joins.clone();
                vec![Crossing::down(crossing.party, &ToParty::Started { session, attempt, joins })]
            }
            Some(_) => vec![crossing],
        },
        Some(_) | None => vec![crossing],
    });
    gateway.sign(duo()).await.assert_attempts(1);
    let signed = gateway.sign(duo()).await;
    signed.assert_attempts(2);
    let (victim, run) = victim.get().unwrap();
    let refusals = gateway.transcript().refusals(victim, run);
    assert!(refusals.iter().eq([&Refusal::Objected(Objection::WrongJoins)]), "{refusals:?}");
    signed.assert_objections([(victim, Objection::WrongJoins)]);
    gateway.assert_all_is_well(duo()).await;
}

/// One member's invitation names another digest. It joins what it was shown, which is of no use to
/// the coordinator: that sees it at once and goes on without the member, of which nothing is said,
/// and nothing of the first attempt was started.
#[actix_rt::test]
async fn row_18_another_digest_on_the_way() {
    let gateway = MaliciousGateway::start().await;
    let lied = Rc::new(Cell::new(None));
    let told = Rc::clone(&lied);
    gateway.cross_by(move |crossing| match crossing.told() {
        Some(ToParty::Invite { mut intent, mut plan }) if told.get().is_none() => {
            told.set(Some(Run::from(&plan)));
            if let IntentKind::Sign { payload, .. } = &mut intent.kind {
                *payload = Payload::Digest([0x66; 32]);
            }
            plan.intent_hash = intent.hash();
            vec![Crossing::down(crossing.party, &ToParty::Invite { intent, plan })]
        }
        Some(_) | None => vec![crossing],
    });
    gateway.sign(pair()).await.assert_attempts(2);
    let run = lied.get().unwrap();
    assert_eq!(run.attempt, Attempt::FIRST);
    assert!(gateway.transcript().rounds(run).is_empty(), "the first attempt was started");
    gateway.assert_all_is_well(duo()).await;
}

/// A relay that drops messages, or ends an attempt for one member alone, can stop a session and no
/// more: the requester cancels it, and it has come to nothing.
#[actix_rt::test]
async fn a_message_that_never_arrives() {
    for step in [Round(1), Round(4)] {
        let gateway = MaliciousGateway::start().await;
        let dropped = Rc::new(Cell::new(None));
        let tell = Rc::clone(&dropped);
        gateway.cross_by(move |crossing| match crossing.arriving_round() {
            Some(envelope) if envelope.header.round == step => {
                tell.set(Some(envelope.header.session));
                Vec::new()
            }
            Some(_) | None => vec![crossing],
        });
        let view = gateway.sign_and_cancel(duo(), || dropped.get()).await;
        let session = dropped.get().unwrap();
        assert_eq!(view["state"], "cancelled", "{view}");
        gateway.transcript().assert_nothing_was_signed(session, step);
        gateway.assert_all_is_well(duo()).await;
    }
}

/// Bytes that are no message, and an invitation to a canary that carries a digest: the party ends
/// the connection, comes back, and signs.
#[actix_rt::test]
async fn row_18_bytes_that_are_no_message() {
    let gateway = MaliciousGateway::start().await;
    let party = gateway.party(0);
    let canary = canary_with_a_digest();
    assert!(codec::decode::<ToParty>(&canary).is_err(), "a canary carries nothing");
    let frames = [canary, Vec::new(), vec![0xc1], vec![0x91; 4096], b"{}".to_vec()];
    for bytes in frames {
        let proofs = Rc::new(Cell::new(0));
        let count = Rc::clone(&proofs);
        gateway.cross_by(move |crossing| {
            if matches!(crossing.said(), Some(ToCoordinator::Prove { .. })) {
                count.set(count.get() + 1);
            }
            vec![crossing]
        });
        gateway.insert(Crossing { party, direction: Direction::Down, bytes });
        gateway.until("the party to come back", || proofs.get() > 0).await;
        gateway.wait_online().await;
    }
    gateway.assert_all_is_well(duo()).await;
}

/// An invitation to sign a digest, renamed within the bytes: the names are equally long.
fn canary_with_a_digest() -> Vec<u8> {
    let session = SessionId::generate();
    let quorum: BTreeSet<_> = [1, 2].map(|byte| PartyId::new([byte; 32])).into();
    let intent = Intent {
        session,
        request: RequestId::generate(),
        eligible: quorum.clone(),
        expires_at: UnixMillis(u64::MAX),
        kind: IntentKind::Sign {
            account: AccountId::generate(),
            epoch: Epoch(1),
            scheme: Scheme::EcdsaCggmp24,
            threshold: Threshold(2),
            public_key: PublicKey::new([2; 33]),
            path: DerivationPath::default(),
            payload: Payload::Digest([7; 32]),
            authorization: None,
        },
    };
    let (intent_hash, attempt) = (intent.hash(), Attempt::FIRST);
    let plan = AttemptPlan { session, intent_hash, attempt, quorum, aux_id: None };
    let mut bytes = codec::encode(&ToParty::Invite { intent, plan }).unwrap();
    let name = bytes.windows(6).position(|window| window == b"digest").unwrap();
    bytes[name..name + 6].copy_from_slice(b"canary");
    bytes
}
