//! Row 18: the members of one attempt are shown different things.

use mpc_tests::malicious_coordinator::MaliciousCoordinator;
use mpc_tests::malicious_coordinator::proposal::{Proposal, fresh_digest};
use mpc_tests::transcript::{Refusal, Run};
use mpc_wire::{
    AttemptOutcome, AuxId, FailureKind, IntentKind, Objection, PartyId, RequestId, Round,
    SessionId, UnixMillis,
};
use party_runtime::seal::FreshJoiner;
use std::collections::BTreeSet;

/// Nothing was launched, so nothing left.
const NOTHING: Round = Round(0);

const WRONG_JOINS: Refusal = Refusal::Objected(Objection::WrongJoins);

/// Shows each party its own version of one attempt, and hands everybody the joins that come of it:
/// all of them, and its own with each of the others'. Each party refuses, and goes on waiting.
async fn split(
    coordinator: &mut MaliciousCoordinator,
    shown: &[(PartyId, Proposal)],
) -> (SessionId, Round) {
    let run = shown[0].1.run();
    let mut joins = Vec::new();
    for (party, proposal) in shown {
        assert_eq!(proposal.run(), run, "one session, one attempt");
        coordinator.invite(*party, proposal).await;
        joins.push(coordinator.join_of(*party, run).await);
    }
    for (party, proposal) in shown {
        coordinator.start_run(*party, run, &joins).await;
        for join in &joins {
            let own = coordinator.join_of(*party, run).await;
            coordinator.start_run(*party, run, &[own, join.clone()]).await;
        }
        coordinator.refused(*party, run, WRONG_JOINS).await;
        coordinator.assert_still_waits(*party, proposal).await;
    }
    (run.session, NOTHING)
}

#[actix_rt::test]
async fn row_18_different_digests_to_two_parties() {
    let mut coordinator = MaliciousCoordinator::start().await;
    let pair = &coordinator.founding().pair;
    let first = Proposal::sign(pair, coordinator.quorum([0, 1]));
    let second = first.with_digest(fresh_digest());
    let shown = [(coordinator.party(0), first), (coordinator.party(1), second)];
    let spoiled = split(&mut coordinator, &shown).await;
    coordinator.assert_all_is_well(&[spoiled]).await;
}

#[actix_rt::test]
async fn row_18_another_digest_to_one_of_three() {
    let mut coordinator = MaliciousCoordinator::start().await;
    let all = &coordinator.founding().all;
    let truth = Proposal::sign(all, coordinator.everybody());
    let lie = truth.with_digest(fresh_digest());
    let shown = [
        (coordinator.party(0), truth.clone()),
        (coordinator.party(1), truth),
        (coordinator.party(2), lie),
    ];
    let spoiled = split(&mut coordinator, &shown).await;
    coordinator.assert_all_is_well(&[spoiled]).await;
}

#[actix_rt::test]
async fn row_18_different_quorums() {
    let mut coordinator = MaliciousCoordinator::start().await;
    let pair = &coordinator.founding().pair;
    let first = Proposal::sign(pair, coordinator.quorum([0, 1]));
    let shown = [
        (coordinator.party(0), first.clone()),
        (coordinator.party(1), first.among(coordinator.quorum([1, 2]))),
        (coordinator.party(2), first.among(coordinator.quorum([0, 2]))),
    ];
    let spoiled = split(&mut coordinator, &shown).await;
    coordinator.assert_all_is_well(&[spoiled]).await;
}

/// Everything else in an intent or plan that parties cannot check by themselves: one session each.
#[actix_rt::test]
async fn row_18_different_accounts_aux_sets_requests_and_expiries() {
    let mut coordinator = MaliciousCoordinator::start().await;
    let (pair, other) = (&coordinator.founding().pair, &coordinator.founding().other_pair);
    let proposal = || Proposal::sign(pair, coordinator.quorum([0, 1]));
    let to_other_account = |proposal: &Proposal| {
        proposal.altered(|intent| {
            if let IntentKind::Sign { account, public_key, .. } = &mut intent.kind {
                *account = other.id;
                *public_key = other.public_key.clone();
            }
        })
    };
    let alter: [&dyn Fn(&Proposal) -> Proposal; 5] = [
        &to_other_account,
        &|proposal| proposal.with_aux(Some(AuxId::new([7; 32]))),
        &|proposal| proposal.with_aux(None),
        &|proposal| proposal.altered(|intent| intent.request = RequestId::generate()),
        &|p| p.altered(|intent| intent.expires_at = UnixMillis(intent.expires_at.0 + 1)),
    ];
    let shown = alter.map(|alter| {
        let first = proposal();
        let second = alter(&first);
        [(coordinator.party(0), first), (coordinator.party(1), second)]
    });
    let mut spoiled = Vec::new();
    for shown in &shown {
        spoiled.push(split(&mut coordinator, shown).await);
    }
    coordinator.assert_all_is_well(&spoiled).await;
}

/// An aux set that no party has, shown to both: they agree, and neither can go on.
#[actix_rt::test]
async fn row_18_an_aux_set_that_is_none() {
    let mut coordinator = MaliciousCoordinator::start().await;
    let pair = &coordinator.founding().pair;
    let mut spoiled = Vec::new();
    for aux in [Some(AuxId::new([7; 32])), None] {
        let proposal = Proposal::sign(pair, coordinator.quorum([0, 1])).with_aux(aux);
        let outcomes = coordinator.run(&proposal).await;
        for outcome in outcomes.values() {
            let AttemptOutcome::Failed(failure) = outcome else { panic!("{outcome:?}") };
            assert_eq!(failure.kind, FailureKind::Storage, "{failure:?}");
        }
        spoiled.push((proposal.intent.session, NOTHING));
    }
    coordinator.assert_all_is_well(&spoiled).await;
}

/// Waits for so many messages of these attempts, which are held back meanwhile: a member whose
/// attempt has failed says nothing more.
async fn all_have_spoken(coordinator: &mut MaliciousCoordinator, runs: &[Run], count: usize) {
    coordinator
        .hear("first messages", |transcript| {
            let spoken = runs.iter().map(|run| transcript.rounds(*run).len()).sum::<usize>();
            (spoken == count).then_some(())
        })
        .await;
}

/// One member plays along with the coordinator: it signs two joins to one plan, and the two honest
/// members are started with one each. Nothing that either of them sends opens at the other, and
/// neither takes the other for a cheat.
#[actix_rt::test]
async fn row_18_two_sets_of_joins_with_an_accomplice() {
    let mut coordinator = MaliciousCoordinator::start().await;
    let all = &coordinator.founding().all;
    let proposal = Proposal::sign(all, coordinator.everybody());
    let run = proposal.run();
    let honest: BTreeSet<PartyId> = coordinator.quorum([0, 1]);
    let accomplice = FreshJoiner::new(coordinator.accomplice(2));
    for member in &honest {
        coordinator.invite(*member, &proposal).await;
    }
    let mut joins = Vec::new();
    for member in &honest {
        joins.push(coordinator.join_of(*member, run).await);
    }
    for member in &honest {
        let mut shown = joins.clone();
        shown.push(accomplice.prepare(&proposal.plan).join);
        coordinator.start_run(*member, run, &shown).await;
    }
    all_have_spoken(&mut coordinator, &[run], 4).await;
    let deliver = |envelope: &mpc_wire::RoundEnvelope| {
        let to = envelope.header.to;
        if honest.contains(&to) { vec![(to, envelope.clone())] } else { Vec::new() }
    };
    let outcomes = coordinator
        .relay("both outcomes", deliver, |transcript| {
            Some(transcript.outcomes(run)).filter(|outcomes| outcomes.len() == 2)
        })
        .await;
    for outcome in outcomes.values() {
        let AttemptOutcome::Failed(failure) = outcome else { panic!("{outcome:?}") };
        assert_eq!(failure.kind, FailureKind::Transport, "{failure:?}");
    }
    coordinator.assert_all_is_well(&[(run.session, Round(1))]).await;
}

/// Two honest sessions over different digests, and their messages carried into one another.
#[actix_rt::test]
async fn row_18_two_sessions_wired_into_one_another() {
    let mut coordinator = MaliciousCoordinator::start().await;
    let pair = &coordinator.founding().pair;
    let sessions = [(); 2].map(|()| Proposal::sign(pair, coordinator.quorum([0, 1])));
    for proposal in &sessions {
        let joins = coordinator.gather(proposal).await;
        for member in &proposal.plan.quorum {
            coordinator.start_run(*member, proposal.run(), &joins).await;
        }
    }
    let [first, second] = sessions.each_ref().map(Proposal::run);
    all_have_spoken(&mut coordinator, &[first, second], 4).await;
    let cross = |envelope: &mpc_wire::RoundEnvelope| {
        let mut envelope = envelope.clone();
        let header = &mut envelope.header;
        header.session =
            if header.session == first.session { second.session } else { first.session };
        vec![(header.to, envelope)]
    };
    coordinator
        .relay("all outcomes", cross, |transcript| {
            let ended = [first, second].map(|run| transcript.outcomes(run).len());
            (ended == [2, 2]).then_some(())
        })
        .await;
    let failed = BTreeSet::from([Refusal::Failed(FailureKind::Transport)]);
    for run in [first, second] {
        for member in coordinator.quorum([0, 1]) {
            assert_eq!(coordinator.transcript.refusals(member, run), failed);
        }
    }
    let spoiled = [(first.session, Round(1)), (second.session, Round(1))];
    coordinator.assert_all_is_well(&spoiled).await;
}
