//! Row 10 and what belongs to it: joins and starts that are replayed, swapped, stripped, forged or
//! late. A party that refuses one goes on waiting for the right one, and takes it.

use mpc_tests::malicious_coordinator::MaliciousCoordinator;
use mpc_tests::malicious_coordinator::proposal::{Proposal, fresh_digest};
use mpc_tests::transcript::Refusal;
use mpc_wire::{Identity, Nonce, Objection, PartyId, SignedJoin};
use party_runtime::seal::FreshJoiner;

/// The joins of two members, to be tampered with.
struct Hand {
    own: SignedJoin,
    peer: SignedJoin,
    /// A third party, no member, who signs what the coordinator likes.
    accomplice: Identity,
    proposal: Proposal,
}

impl Hand {
    /// The accomplice's join to the same plan.
    fn accomplices(&self) -> SignedJoin {
        FreshJoiner::new(self.accomplice.clone()).prepare(&self.proposal.plan).join
    }

    fn peer_with(&self, alter: impl FnOnce(&mut SignedJoin)) -> Vec<SignedJoin> {
        let mut peer = self.peer.clone();
        alter(&mut peer);
        vec![self.own.clone(), peer]
    }
}

type Forgery = (&'static str, fn(&Hand) -> Vec<SignedJoin>);

/// For each forgery: two parties join a session of its own, the first is started with the forged
/// joins, objects, and goes on waiting. Returns the last session with its joins.
async fn assert_each_is_refused(
    coordinator: &mut MaliciousCoordinator,
    objection: Objection,
    forgeries: &[Forgery],
) -> (Proposal, Vec<SignedJoin>) {
    let [victim, peer] = [0, 1].map(|number| coordinator.party(number));
    let mut last = None;
    for (what, forge) in forgeries {
        let proposal = Proposal::sign(&coordinator.founding().pair, coordinator.quorum([0, 1]));
        let (run, joins) = (proposal.run(), coordinator.gather(&proposal).await);
        let hand = Hand {
            own: join_of(&joins, victim),
            peer: join_of(&joins, peer),
            accomplice: coordinator.accomplice(2),
            proposal: proposal.clone(),
        };
        coordinator.start_run(victim, run, &forge(&hand)).await;
        let refusals = coordinator.refusals(victim, run).await;
        assert!(refusals.iter().eq([&Refusal::Objected(objection)]), "{what}: {refusals:?}");
        coordinator.assert_still_waits(victim, &proposal).await;
        last = Some((proposal, joins));
    }
    last.unwrap()
}

fn join_of(joins: &[SignedJoin], member: PartyId) -> SignedJoin {
    joins.iter().find(|join| join.member == member).unwrap().clone()
}

/// The right joins, shown after the forged ones, start the attempt as if nothing had been.
async fn assert_the_right_start_is_taken(
    mut coordinator: MaliciousCoordinator,
    (proposal, joins): (Proposal, Vec<SignedJoin>),
) {
    let outcomes = coordinator.play(&proposal, &joins).await;
    coordinator.assert_signed(&proposal, &outcomes);
    coordinator.assert_all_is_well(&[]).await;
}

#[actix_rt::test]
async fn row_10_forged_and_swapped_joins() {
    const FORGERIES: &[Forgery] = &[
        ("a signature over another join", |hand| {
            hand.peer_with(|join| join.signature = hand.own.signature.clone())
        }),
        ("another nonce", |hand| hand.peer_with(|join| join.nonce = Nonce::generate())),
        ("the coordinator's own HPKE key", |hand| {
            hand.peer_with(|join| join.hpke_key = hand.accomplices().hpke_key)
        }),
        ("the member's own HPKE key", |hand| {
            hand.peer_with(|join| join.hpke_key = hand.own.hpke_key)
        }),
        ("the accomplice's join in the peer's name", |hand| {
            let mut join = hand.accomplices();
            join.member = hand.peer.member;
            vec![hand.own.clone(), join]
        }),
        ("the peer's join in the accomplice's name", |hand| {
            hand.peer_with(|join| join.member = hand.accomplice.party())
        }),
        ("the names swapped", |hand| {
            let (mut own, mut peer) = (hand.own.clone(), hand.peer.clone());
            std::mem::swap(&mut own.member, &mut peer.member);
            vec![own, peer]
        }),
        ("the own join altered", |hand| {
            let own = SignedJoin { nonce: Nonce::generate(), ..hand.own.clone() };
            vec![own, hand.peer.clone()]
        }),
        ("a join to another plan, under the signature for this one", |hand| {
            let other = hand.proposal.with_digest(fresh_digest()).plan.hash();
            hand.peer_with(|join| join.plan_hash = other)
        }),
    ];
    let mut coordinator = MaliciousCoordinator::start().await;
    let last = assert_each_is_refused(&mut coordinator, Objection::ForgedJoin, FORGERIES).await;
    assert_the_right_start_is_taken(coordinator, last).await;
}

#[actix_rt::test]
async fn row_10_stripped_doubled_and_extra_joins() {
    const FORGERIES: &[Forgery] = &[
        ("no joins", |_| Vec::new()),
        ("the own join alone", |hand| vec![hand.own.clone()]),
        ("the peer's join alone", |hand| vec![hand.peer.clone()]),
        ("the own join twice", |hand| vec![hand.own.clone(), hand.own.clone()]),
        ("the peer's join twice", |hand| vec![hand.peer.clone(), hand.peer.clone()]),
        ("one join too many", |hand| vec![hand.own.clone(), hand.peer.clone(), hand.peer.clone()]),
        ("an extra member", |hand| vec![hand.own.clone(), hand.peer.clone(), hand.accomplices()]),
        ("another member in the peer's place", |hand| vec![hand.own.clone(), hand.accomplices()]),
        ("another member in the party's own place", |hand| {
            vec![hand.accomplices(), hand.peer.clone()]
        }),
    ];
    let mut coordinator = MaliciousCoordinator::start().await;
    let last = assert_each_is_refused(&mut coordinator, Objection::WrongJoins, FORGERIES).await;
    assert_the_right_start_is_taken(coordinator, last).await;
}

/// Joins that their members did sign, but to something else: an earlier attempt, an earlier
/// session, another plan of the same attempt.
#[actix_rt::test]
async fn row_10_replayed_joins() {
    let mut coordinator = MaliciousCoordinator::start().await;
    let pair = &coordinator.founding().pair;
    let [victim, peer] = [0, 1].map(|number| coordinator.party(number));

    let earlier_session = Proposal::sign(pair, coordinator.quorum([0, 1]));
    let of_session = coordinator.gather(&earlier_session).await;
    let first = Proposal::sign(pair, coordinator.quorum([0, 1]));
    let of_attempt = coordinator.gather(&first).await;
    // In the second attempt the peer is shown another quorum, and then nothing else any more.
    let second = first.attempt(2);
    coordinator.invite(victim, &second).await;
    coordinator.invite(peer, &second.among(coordinator.quorum([1, 2]))).await;
    let own = coordinator.join_of(victim, second.run()).await;
    let of_plan = coordinator.join_of(peer, second.run()).await;

    let replays = [
        vec![own.clone(), join_of(&of_session, peer)],
        vec![own.clone(), join_of(&of_attempt, peer)],
        vec![own.clone(), of_plan],
        vec![join_of(&of_attempt, victim), join_of(&of_attempt, peer)],
        vec![join_of(&of_session, victim), join_of(&of_session, peer)],
    ];
    for joins in &replays {
        coordinator.start_run(victim, second.run(), joins).await;
        coordinator.refused(victim, second.run(), Refusal::Objected(Objection::WrongJoins)).await;
        coordinator.assert_still_waits(victim, &second).await;
    }
    // Only a third attempt, shown to both alike, starts.
    let third = first.attempt(3);
    let joins = coordinator.gather(&third).await;
    for run in [first.run(), second.run()] {
        assert!(coordinator.transcript.rounds(run).is_empty());
    }
    assert_the_right_start_is_taken(coordinator, (third, joins)).await;
}

/// Starts that come before the party knows what they are to start. They are kept, within bounds;
/// however many wrong ones there are, the right one has room once the party has joined.
#[actix_rt::test]
async fn wrong_starts_before_the_invitation_leave_room_for_the_right_one() {
    const FLOOD: u8 = 40;
    let mut coordinator = MaliciousCoordinator::start().await;
    let pair = &coordinator.founding().pair;
    let proposal = Proposal::sign(pair, coordinator.quorum([0, 1]));
    let run = proposal.run();
    let [victim, peer] = [0, 1].map(|number| coordinator.party(number));
    let accomplice = FreshJoiner::new(coordinator.accomplice(2));
    for _ in 0..FLOOD {
        let wrong = accomplice.prepare(&proposal.plan).join;
        coordinator.start_run(victim, run, &[wrong]).await;
    }
    coordinator.invite(victim, &proposal).await;
    coordinator.refused(victim, run, Refusal::Objected(Objection::WrongJoins)).await;
    coordinator.assert_still_waits(victim, &proposal).await;
    coordinator.invite(peer, &proposal).await;
    let joins = coordinator.joins_to(&proposal).await;
    assert_the_right_start_is_taken(coordinator, (proposal, joins)).await;
}

/// The start of an attempt that a newer one has superseded, with the very joins that it had.
#[actix_rt::test]
async fn row_10_an_old_attempt_is_started_again_after_a_newer_one() {
    let mut coordinator = MaliciousCoordinator::start().await;
    let pair = &coordinator.founding().pair;
    let first = Proposal::sign(pair, coordinator.quorum([0, 1]));
    let second = first.attempt(2);
    let old = coordinator.gather(&first).await;
    let new = coordinator.gather(&second).await;
    for member in coordinator.quorum([0, 1]) {
        coordinator.start_run(member, first.run(), &old).await;
        coordinator.invite(member, &first).await;
        coordinator.start_run(member, first.run(), &old).await;
        coordinator.settle(member).await;
        coordinator.assert_still_waits(member, &second).await;
    }
    let outcomes = coordinator.play(&second, &new).await;
    coordinator.assert_signed(&second, &outcomes);

    // Neither the old nor the new one starts once more, before the end or behind it.
    let rounds = |coordinator: &MaliciousCoordinator| {
        [&first, &second].map(|proposal| coordinator.transcript.rounds(proposal.run()).len())
    };
    let before = rounds(&coordinator);
    assert_eq!(before[0], 0);
    for member in coordinator.quorum([0, 1]) {
        coordinator.start_run(member, first.run(), &old).await;
        coordinator.start_run(member, second.run(), &new).await;
        coordinator.finish(member, first.intent.session).await;
        coordinator.start_run(member, first.run(), &old).await;
        coordinator.start_run(member, second.run(), &new).await;
        coordinator.settle(member).await;
    }
    let third = Proposal::sign(pair, coordinator.quorum([0, 1]));
    let outcomes = coordinator.run(&third).await;
    coordinator.assert_signed(&third, &outcomes);
    assert_eq!(rounds(&coordinator), before);
    coordinator.assert_all_is_well(&[]).await;
}

/// A newer attempt kills the runner of the one before, wherever that stands: nothing of the old
/// one is taken up again.
#[actix_rt::test]
async fn row_10_messages_and_starts_of_an_attempt_that_a_newer_one_has_killed() {
    let mut coordinator = MaliciousCoordinator::start().await;
    let pair = &coordinator.founding().pair;
    let first = Proposal::sign(pair, coordinator.quorum([0, 1]));
    let run = first.run();
    let old = coordinator.gather(&first).await;
    for member in coordinator.quorum([0, 1]) {
        coordinator.start_run(member, run, &old).await;
    }
    // Both have sent their first messages, which are held back.
    let held = coordinator
        .hear("first messages", |transcript| {
            let rounds: Vec<_> = transcript.rounds(run).into_iter().cloned().collect();
            (rounds.len() == 2).then_some(rounds)
        })
        .await;
    let second = first.attempt(2);
    let new = coordinator.gather(&second).await;
    for member in coordinator.quorum([0, 1]) {
        coordinator.start_run(member, run, &old).await;
        for envelope in held.iter().filter(|envelope| envelope.header.to == member) {
            let mut renamed = envelope.clone();
            renamed.header.attempt = second.plan.attempt;
            // As it is it is dropped; under the new attempt's number it would take the place of a
            // message there, so that comes last and only to the side.
            coordinator.say(member, mpc_wire::ToParty::Round(envelope.clone())).await;
            renamed.header.session = mpc_wire::SessionId::generate();
            coordinator.say(member, mpc_wire::ToParty::Round(renamed)).await;
        }
        coordinator.settle(member).await;
    }
    let outcomes = coordinator.play(&second, &new).await;
    coordinator.assert_signed(&second, &outcomes);
    assert_eq!(coordinator.transcript.rounds(run).len(), 2, "the old attempt went on");
    coordinator.assert_all_is_well(&[]).await;
}
