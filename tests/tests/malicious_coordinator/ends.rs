//! `Abort` and `Finished` at every point of a session's life, to one member alone.

use mpc_tests::malicious_coordinator::proposal::Proposal;
use mpc_tests::malicious_coordinator::{MaliciousCoordinator, honest};
use mpc_tests::transcript::{PARTIAL_SIGNATURE, Run};
use mpc_wire::{AbortReason, PartyId, Round, SignedJoin, ToParty};

async fn abort(coordinator: &mut MaliciousCoordinator, party: PartyId, run: Run) {
    let Run { session, attempt } = run;
    let message = ToParty::Abort { session, attempt, reason: AbortReason::Superseded };
    coordinator.say(party, message).await;
}

fn sent(coordinator: &MaliciousCoordinator, party: PartyId, run: Run) -> usize {
    let rounds = coordinator.transcript.rounds(run);
    rounds.iter().filter(|envelope| envelope.header.from == party).count()
}

/// Starts the attempt and carries its messages until the party has spoken in this step.
async fn play_until(
    coordinator: &mut MaliciousCoordinator,
    proposal: &Proposal,
    joins: &[SignedJoin],
    party: PartyId,
    round: Round,
) {
    let run = proposal.run();
    for member in &proposal.plan.quorum {
        coordinator.start_run(*member, run, joins).await;
    }
    coordinator
        .relay(
            "the step",
            |envelope| honest(run, envelope),
            |transcript| {
                let mut rounds = transcript.rounds(run).into_iter();
                rounds
                    .any(|envelope| envelope.header.from == party && envelope.header.round == round)
                    .then_some(())
            },
        )
        .await;
}

/// Before the invitation it says nothing; behind it the attempt is dead. Either way the next one is
/// joined, and signs.
#[actix_rt::test]
async fn an_abort_before_the_launch() {
    let mut coordinator = MaliciousCoordinator::start().await;
    let pair = &coordinator.founding().pair;
    let member = coordinator.party(0);
    for invited_before in [0, 1] {
        let first = Proposal::sign(pair, coordinator.quorum([0, 1]));
        for _ in 0..invited_before {
            coordinator.invite(member, &first).await;
            coordinator.join_of(member, first.run()).await;
        }
        abort(&mut coordinator, member, first.run()).await;
        coordinator.settle(member).await;
        let second = first.attempt(2);
        let joins = coordinator.gather(&second).await;
        // Whatever was joined before is dead.
        if let Some(join) = coordinator.transcript.join_of(member, first.run()) {
            coordinator.start_run(member, first.run(), &[join]).await;
        }
        let outcomes = coordinator.play(&second, &joins).await;
        coordinator.assert_signed(&second, &outcomes);
        assert!(coordinator.transcript.rounds(first.run()).is_empty());
    }
    coordinator.assert_all_is_well(&[]).await;
}

/// In every step of the protocol: the member says nothing more, the other one waits in vain, and a
/// new attempt of the same session signs.
#[actix_rt::test]
async fn an_abort_in_every_step() {
    let mut coordinator = MaliciousCoordinator::start().await;
    let pair = &coordinator.founding().pair;
    let [member, peer] = [0, 1].map(|number| coordinator.party(number));
    for step in 1..PARTIAL_SIGNATURE.0 {
        let first = Proposal::sign(pair, coordinator.quorum([0, 1]));
        let joins = coordinator.gather(&first).await;
        play_until(&mut coordinator, &first, &joins, member, Round(step)).await;
        abort(&mut coordinator, member, first.run()).await;
        // The first answer says that the runner has been told to stop, the second comes when it has
        // had its turn: a last message that it had ready may go out between them.
        coordinator.settle(member).await;
        coordinator.settle(member).await;
        let before = sent(&coordinator, member, first.run());
        coordinator.start_run(member, first.run(), &joins).await;
        coordinator.invite(member, &first).await;
        coordinator.settle(member).await;
        assert_eq!(sent(&coordinator, member, first.run()), before, "killed in step {step}");
        if step + 1 == PARTIAL_SIGNATURE.0 {
            let second = first.attempt(2);
            let joins = coordinator.gather(&second).await;
            let outcomes = coordinator.play(&second, &joins).await;
            coordinator.assert_signed(&second, &outcomes);
        } else {
            abort(&mut coordinator, peer, first.run()).await;
            coordinator
                .transcript
                .assert_nothing_was_signed(first.intent.session, Round(PARTIAL_SIGNATURE.0 - 1));
        }
    }
    coordinator.assert_all_is_well(&[]).await;
}

/// Before the launch `Finished` ends the session for good: nothing of it can be started.
#[actix_rt::test]
async fn a_finish_before_the_launch() {
    let mut coordinator = MaliciousCoordinator::start().await;
    let pair = &coordinator.founding().pair;
    let member = coordinator.party(0);
    let proposal = Proposal::sign(pair, coordinator.quorum([0, 1]));
    // Of a session that nobody knows it says nothing.
    coordinator.finish(member, proposal.intent.session).await;
    let joins = coordinator.gather(&proposal).await;
    coordinator.finish(member, proposal.intent.session).await;
    for member in coordinator.quorum([0, 1]) {
        coordinator.start_run(member, proposal.run(), &joins).await;
        coordinator.settle(member).await;
    }
    // The other member is in the first step and stays there.
    coordinator
        .hear("the other's first message", |transcript| {
            (!transcript.rounds(proposal.run()).is_empty()).then_some(())
        })
        .await;
    assert_eq!(sent(&coordinator, member, proposal.run()), 0);
    coordinator.assert_all_is_well(&[(proposal.intent.session, Round(1))]).await;
}

/// In every step: the member's runner may end what both have agreed to, and what comes of it is a
/// signature over just that; a new attempt is not joined any more.
#[actix_rt::test]
async fn a_finish_in_every_step() {
    let mut coordinator = MaliciousCoordinator::start().await;
    let pair = &coordinator.founding().pair;
    let member = coordinator.party(0);
    for step in (1..=PARTIAL_SIGNATURE.0).step_by(2) {
        let proposal = Proposal::sign(pair, coordinator.quorum([0, 1]));
        let (run, joins) = (proposal.run(), coordinator.gather(&proposal).await);
        play_until(&mut coordinator, &proposal, &joins, member, Round(step)).await;
        coordinator.finish(member, run.session).await;
        coordinator.invite(member, &proposal.attempt(2)).await;
        let outcomes = coordinator
            .relay(
                "both outcomes",
                |envelope| honest(run, envelope),
                |transcript| Some(transcript.outcomes(run)).filter(|outcomes| outcomes.len() == 2),
            )
            .await;
        coordinator.assert_signed(&proposal, &outcomes);
        assert!(coordinator.transcript.joins(proposal.attempt(2).run()).is_empty());
    }
    coordinator.assert_all_is_well(&[]).await;
}
