use super::*;
use mpc_wire::limits::MAX_FRAME;
use mpc_wire::{Attempt, IntentHash, SessionId, ToCoordinator, codec};

struct Member {
    id: PartyId,
    channels: Channels,
}

fn members() -> [Member; 3] {
    let identities = [1, 2, 3].map(|seed| Identity::from_seed(&[seed; 32]));
    let plan = AttemptPlan {
        session: SessionId::generate(),
        intent_hash: IntentHash::new([7; 32]),
        attempt: Attempt::FIRST,
        quorum: identities.iter().map(Identity::party).collect(),
        aux_id: None,
    };
    let prepared: Vec<_> =
        identities.iter().map(|i| FreshJoiner::new(i.clone()).join(&plan)).collect();
    let joins: BTreeMap<_, _> =
        prepared.iter().map(|p| (p.join.member, p.join.verify().expect("own signature"))).collect();
    [0, 1, 2].map(|at| Member {
        id: identities[at].party(),
        channels: Channels::new(identities[at].party(), &prepared[at].secret, plan.hash(), &joins)
            .expect("usable keys"),
    })
}

fn header(from: PartyId, to: PartyId) -> RoundHeader {
    RoundHeader {
        session: SessionId::generate(),
        attempt: Attempt::FIRST,
        from,
        to,
        stage: Stage(1),
        round: Round(1),
        seq: Seq(0),
    }
}

#[test]
fn messages_open_in_order_and_nowhere_else() {
    let [mut a, mut b, mut c] = members();
    let first = a.channels.seal(header(a.id, b.id), b"first").unwrap().remove(0);
    let second = a.channels.seal(header(a.id, b.id), b"second").unwrap().remove(0);
    assert_eq!((first.header.seq, second.header.seq), (Seq(0), Seq(1)));

    assert_eq!(b.channels.open(&second), Err(SealError::DoesNotOpen));
    assert_eq!(c.channels.open(&first), Err(SealError::DoesNotOpen));
    assert_eq!(b.channels.open(&first).unwrap().unwrap(), b"first");
    assert_eq!(b.channels.open(&first), Err(SealError::DoesNotOpen), "a replay");
    assert_eq!(b.channels.open(&second).unwrap().unwrap(), b"second");
}

#[test]
fn every_header_field_and_byte_is_bound() {
    let [mut a, mut b, c] = members();
    let sealed = a.channels.seal(header(a.id, b.id), b"payload").unwrap().remove(0);
    let mut altered: Vec<RoundEnvelope> = vec![sealed.clone(); 6];
    altered[0].header.session = SessionId::generate();
    altered[1].header.attempt = Attempt(2);
    altered[2].header.from = c.id;
    altered[3].header.stage = Stage(2);
    altered[4].header.round = Round(2);
    altered[5].header.seq = Seq(1);
    for at in 0..sealed.sealed.len() {
        let mut flipped = sealed.clone();
        flipped.sealed[at] ^= 1;
        altered.push(flipped);
    }
    for envelope in &altered {
        assert_eq!(b.channels.open(envelope), Err(SealError::DoesNotOpen), "{envelope:?}");
    }
    assert_eq!(b.channels.open(&sealed).unwrap().unwrap(), b"payload", "refusals change nothing");
}

#[test]
fn members_who_hold_different_joins_have_no_channel() {
    let identities = [1, 2, 3].map(|seed| Identity::from_seed(&[seed; 32]));
    let plan = AttemptPlan {
        session: SessionId::generate(),
        intent_hash: IntentHash::new([7; 32]),
        attempt: Attempt::FIRST,
        quorum: identities.iter().map(Identity::party).collect(),
        aux_id: None,
    };
    let [a, b, cheat] = identities.map(FreshJoiner::new);
    let (own, peer) = (a.prepare(&plan), b.prepare(&plan));
    let channels = |me: &PreparedJoin, cheats: &PreparedJoin| {
        let joins = [&own, &peer, cheats].map(|prepared| prepared.join.verify().unwrap());
        let joins = joins.into_iter().map(|join| (join.member(), join)).collect();
        Channels::new(me.join.member, &me.secret, plan.hash(), &joins).unwrap()
    };
    let (one, other) = (cheat.prepare(&plan), cheat.prepare(&plan));
    let (from, to) = (own.join.member, peer.join.member);
    let sealed = channels(&own, &one).seal(header(from, to), b"payload").unwrap().remove(0);
    let opened = channels(&peer, &other).open(&sealed);
    assert_eq!(opened, Err(SealError::DoesNotOpen));
    assert_eq!(channels(&peer, &one).open(&sealed).unwrap().unwrap(), b"payload");
}

#[test]
fn debug_shows_no_key() {
    let [a, ..] = members();
    assert_eq!(format!("{:?}", a.channels), "Channels(2 peers, keys redacted)");
}

#[test]
fn a_payload_that_no_frame_holds_goes_in_parts() {
    let [mut a, mut b, _] = members();
    for length in [0, 1, MAX_PART, MAX_PART + 1, 3 * MAX_PART, 1_400_000] {
        let payload: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
        let sealed = a.channels.seal(header(a.id, b.id), &payload).unwrap();
        assert_eq!(sealed.len(), length.div_ceil(MAX_PART).max(1));
        let mut opened = Vec::new();
        for envelope in sealed {
            let frame = codec::encode(&ToCoordinator::Round(envelope.clone())).unwrap();
            assert!(frame.len() < MAX_FRAME);
            assert_eq!(b.channels.open(&envelope).map(|whole| opened.extend(whole)), Ok(()));
        }
        assert_eq!(opened, [payload]);
    }
    let too_long = a.channels.seal(header(a.id, b.id), &vec![0; MAX_PAYLOAD + 1]);
    assert_eq!(too_long, Err(SealError::TooLong(MAX_PAYLOAD + 1)));
}

#[test]
fn parts_that_do_not_belong_together_are_refused() {
    let other_round = |header: RoundHeader| RoundHeader { round: Round(2), ..header };
    let other_stage = |header: RoundHeader| RoundHeader { stage: Stage(2), ..header };
    for other in [other_round, other_stage] {
        let [mut a, mut b, _] = members();
        let header = header(a.id, b.id);
        let first = a.channels.seal_part(header, MORE, b"begun").unwrap();
        let second = a.channels.seal_part(other(header), LAST, b"another").unwrap();
        assert_eq!(b.channels.open(&first), Ok(None));
        assert_eq!(b.channels.open(&second), Err(SealError::BadPart));
    }
    let [mut a, mut b, _] = members();
    let header = header(a.id, b.id);
    let unknown = a.channels.seal_part(header, 7, b"part").unwrap();
    assert_eq!(b.channels.open(&unknown), Err(SealError::BadPart));
    // Nor is more gathered than a payload may have.
    let part = vec![0; MAX_PART];
    for _ in 0..MAX_PAYLOAD / MAX_PART {
        let sealed = a.channels.seal_part(header, MORE, &part).unwrap();
        assert_eq!(b.channels.open(&sealed), Ok(None));
    }
    let sealed = a.channels.seal_part(header, MORE, &part).unwrap();
    assert_eq!(b.channels.open(&sealed), Err(SealError::BadPart));
}
