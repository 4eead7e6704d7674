//! Activation: whatever a coordinator tells to whom, one epoch signs.

use mpc_tests::malicious_coordinator::founding::Account;
use mpc_tests::malicious_coordinator::proposal::Proposal;
use mpc_tests::malicious_coordinator::{MaliciousCoordinator, PARTIES};
use mpc_tests::transcript::Refusal;
use mpc_wire::{
    AccountId, ActivationRefusal, AttemptOutcome, DeclineReason, EpochPlan, EpochStatement,
    Identity, IntentKind, Payload, Round, Scheme, Threshold, ToParty, Verdict,
};
use std::collections::BTreeSet;

/// How far an attempt that a member declines goes.
const NOTHING: Round = Round(0);

fn declined(reason: DeclineReason) -> BTreeSet<Refusal> {
    BTreeSet::from([Refusal::Declined(reason)])
}

async fn refuses(
    coordinator: &mut MaliciousCoordinator,
    proposal: &Proposal,
    reason: DeclineReason,
) {
    for member in &proposal.plan.quorum {
        coordinator.invite(*member, proposal).await;
        let refusals = coordinator.refusals(*member, proposal.run()).await;
        assert_eq!(refusals, declined(reason));
    }
}

/// Runs one more attempt of a key generation; says which shares it made, and who said so.
async fn generate(
    coordinator: &mut MaliciousCoordinator,
    proposal: &Proposal,
) -> (Account, Vec<EpochStatement>) {
    let joins = coordinator.gather(proposal).await;
    let mut stored = Vec::new();
    let mut account = None;
    for outcome in coordinator.play(proposal, &joins).await.into_values() {
        let AttemptOutcome::Keygen { public_key, epoch, stored: said, .. } = outcome else {
            panic!("{outcome:?}")
        };
        let IntentKind::Keygen { account: id, threshold, .. } = proposal.intent.kind else {
            panic!("a key generation")
        };
        let (holders, plan) = (proposal.intent.eligible.clone(), proposal.plan.hash());
        let aux = coordinator.founding().pair.aux;
        account = Some(Account { id, public_key, threshold, holders, epoch, plan, aux });
        stored.push(said);
    }
    (account.unwrap(), stored)
}

/// The coordinator withholds `Finished` and has the key generated again. The shares of both
/// attempts lie side by side, canaries of one of them are signed, and only that one becomes active,
/// in one party now and in the others when they are told.
#[actix_rt::test]
async fn a_second_key_replaces_no_share_and_one_of_them_signs() {
    let mut coordinator = MaliciousCoordinator::start().await;
    let (id, holders) = (AccountId::generate(), coordinator.everybody());
    let (scheme, threshold) = (Scheme::EcdsaCggmp24, Threshold(2));
    let kind = IntentKind::Keygen { account: id, scheme, threshold };
    let proposal = Proposal::new(holders, kind);
    let (first, stored) = generate(&mut coordinator, &proposal).await;
    let (second, stored_again) = generate(&mut coordinator, &proposal.attempt(2)).await;
    assert_ne!(first.public_key, second.public_key);

    // Nothing but canaries is signed with either.
    let mut spoiled = Vec::new();
    for account in [&first, &second] {
        let sign = Proposal::sign(account, coordinator.quorum([0, 1]));
        refuses(&mut coordinator, &sign, DeclineReason::NotActive).await;
        spoiled.push((sign.intent.session, NOTHING));
    }
    let proven = coordinator.prove(&first).await;
    let canary = Proposal::sign(&second, coordinator.quorum([0, 1])).with_payload(second.canary());
    refuses(&mut coordinator, &canary, DeclineReason::IntentMismatch).await;
    spoiled.push((canary.intent.session, NOTHING));

    // One is told to take the first up, another the second.
    let statements = [stored, proven.clone()].concat();
    let [one, other, third] = [0, 1, 2].map(|number| coordinator.party(number));
    let of_second: Vec<_> = stored_again.iter().chain(&proven).cloned().collect();
    let refused = coordinator.tell_to_activate(other, second.shares(), &of_second).await;
    assert_eq!(refused, Err(ActivationRefusal::Mismatch));
    let refused = coordinator.tell_to_activate(other, second.shares(), &stored_again).await;
    assert_eq!(refused, Err(ActivationRefusal::Incomplete));
    coordinator.activate(one, first.shares(), &statements).await;
    // Only one is active: two sign with it when the other is told, in whatever order.
    let early = Proposal::sign(&first, coordinator.quorum([1, 2]));
    refuses(&mut coordinator, &early, DeclineReason::NotActive).await;
    spoiled.push((early.intent.session, NOTHING));

    // What waits, and what is active, survives a restart; who waits says so by itself.
    coordinator = coordinator.restart().await;
    for party in [other, third] {
        let of = first.shares();
        coordinator
            .hear("a share that waits", |transcript| {
                let waits = |said: &&EpochStatement| {
                    said.of == of && matches!(said.verdict, Verdict::Stored(_))
                };
                transcript.statements(party).iter().any(waits).then_some(())
            })
            .await;
    }
    for party in [one, other, third] {
        coordinator.activate(party, first.shares(), &statements).await;
    }
    for quorum in [[0, 1], [1, 2]] {
        let quorum = coordinator.quorum(quorum);
        coordinator.sign(&first, quorum).await;
    }
    coordinator.assert_all_is_well(&spoiled).await;
}

/// Statements that are missing, forged, of another account or by a stranger activate nothing.
#[actix_rt::test]
async fn statements_that_do_not_belong_activate_nothing() {
    let mut coordinator = MaliciousCoordinator::start().await;
    let pair = &coordinator.founding().pair;
    let (account, stored) = coordinator.make_shares(2, pair.aux).await;
    let proven = coordinator.prove(&account).await;
    let statements = [stored, proven].concat();
    let of = account.shares();
    let key = statements[0].verdict.key().unwrap().clone();
    let with = |said: EpochStatement| [&statements[1..], &[said]].concat();
    let stranger = Identity::generate();
    let of_stranger = EpochStatement::sign(&stranger, of, Verdict::Stored(key.clone()));
    let forged = EpochStatement { by: statements[0].by, ..of_stranger.clone() };
    let elsewhere = EpochPlan { account: pair.id, ..of };
    let of_other =
        EpochStatement::sign(&coordinator.accomplice(0), elsewhere, Verdict::Stored(key));
    let refusing = EpochStatement::sign(&coordinator.accomplice(0), of, Verdict::Refused);
    for (statements, refusal) in [
        (Vec::new(), ActivationRefusal::Incomplete),
        (statements[1..].to_vec(), ActivationRefusal::Incomplete),
        (with(of_stranger), ActivationRefusal::NotAHolder),
        (with(forged), ActivationRefusal::Forged),
        (with(of_other), ActivationRefusal::Mismatch),
        (with(refusing.clone()), ActivationRefusal::Refused),
    ] {
        for number in 0..PARTIES {
            let party = coordinator.party(number);
            let answer = coordinator.tell_to_activate(party, of, &statements).await;
            assert_eq!(answer, Err(refusal));
        }
    }
    // Nor does an accomplice's refusal have a share erased that the others have proven.
    let party = coordinator.party(1);
    coordinator.say(party, ToParty::Discard(refusing)).await;
    let sign = Proposal::sign(&account, coordinator.quorum([0, 1]));
    refuses(&mut coordinator, &sign, DeclineReason::NotActive).await;
    for number in 0..PARTIES {
        coordinator.activate(coordinator.party(number), of, &statements).await;
    }
    let quorum = coordinator.quorum([0, 1]);
    coordinator.sign(&account, quorum).await;
    coordinator.assert_all_is_well(&[(sign.intent.session, NOTHING)]).await;
}

/// Whoever is asked of an attempt that came to nothing refuses it for good, of one with a share it
/// says that it is stored; and of what it never joined it says nothing.
#[actix_rt::test]
async fn an_attempt_is_refused_or_stored() {
    let mut coordinator = MaliciousCoordinator::start().await;
    let kind = IntentKind::Keygen {
        account: AccountId::generate(),
        scheme: Scheme::EcdsaCggmp24,
        threshold: Threshold(2),
    };
    let first = Proposal::new(coordinator.everybody(), kind);
    let party = coordinator.party(0);
    coordinator.gather(&first).await;
    let (account, _) = generate(&mut coordinator, &first.attempt(2)).await;
    let stranger = first.attempt(7);
    for plan in [&stranger.plan, &first.plan, &first.attempt(2).plan] {
        coordinator.say(party, ToParty::Attest { plan: plan.clone() }).await;
    }
    let said = coordinator
        .hear("two statements", |transcript| {
            let said: Vec<_> = transcript.statements(party).into_iter().cloned().collect();
            let of = |plan| said.iter().find(|said| said.of.plan == plan).cloned();
            Some([of(first.plan.hash())?, of(account.plan)?])
        })
        .await;
    assert_eq!(said[0].verdict, Verdict::Refused);
    assert_eq!(said[1].verdict.name(), "stored");
    assert!(said.iter().all(|said| said.verify().is_ok() && said.by == party));
    let of_stranger = coordinator.transcript.statements(party);
    assert!(of_stranger.iter().all(|said| said.of.plan != stranger.plan.hash()));
    // A canary that names what was refused, or nothing, is none.
    for plan in [first.plan.hash(), stranger.plan.hash()] {
        let canary = Proposal::sign(&account, coordinator.quorum([0, 1]));
        let canary = canary.with_payload(Payload::Canary { plan });
        refuses(&mut coordinator, &canary, DeclineReason::NoShare).await;
    }
    coordinator.assert_all_is_well(&[]).await;
}
