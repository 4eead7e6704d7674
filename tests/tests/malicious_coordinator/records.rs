//! Row 18, too: what does not fit a party's own records, or not itself, is declined outright.

use mpc_tests::malicious_coordinator::MaliciousCoordinator;
use mpc_tests::malicious_coordinator::proposal::{Proposal, fresh_digest};
use mpc_tests::transcript::{Refusal, Run};
use mpc_wire::{
    AccountId, Attempt, DeclineReason, DerivationPath, Epoch, Intent, IntentHash, IntentKind,
    Payload, PublicKey, Round, SessionId, Threshold,
};
use std::collections::BTreeSet;

/// The fields of a `sign` intent that a party can compare with its own records.
struct Fields<'a> {
    account: &'a mut AccountId,
    epoch: &'a mut Epoch,
    threshold: &'a mut Threshold,
    public_key: &'a mut PublicKey,
    path: &'a mut DerivationPath,
    payload: &'a mut Payload,
}

fn with_fields(proposal: &Proposal, alter: impl FnOnce(Fields<'_>)) -> Proposal {
    proposal.altered(|Intent { kind, .. }| {
        let IntentKind::Sign { account, epoch, threshold, public_key, path, payload, .. } = kind
        else {
            panic!("an intent to sign");
        };
        alter(Fields { account, epoch, threshold, public_key, path, payload });
    })
}

/// Shows each proposal to the party, which declines it with that reason and nothing else.
async fn assert_declined(
    coordinator: &mut MaliciousCoordinator,
    cases: &[(&str, Proposal, DeclineReason)],
) -> Vec<(SessionId, Round)> {
    let party = coordinator.party(0);
    let mut spoiled = Vec::new();
    for (what, proposal, reason) in cases {
        let run = Run { session: proposal.intent.session, attempt: proposal.plan.attempt };
        coordinator.invite(party, proposal).await;
        let refusals = coordinator.refusals(party, run).await;
        assert_eq!(refusals, BTreeSet::from([Refusal::Declined(*reason)]), "{what}");
        assert!(coordinator.transcript.joins(run).is_empty(), "{what}: joined all the same");
        spoiled.push((run.session, Round(0)));
    }
    spoiled
}

#[actix_rt::test]
async fn row_18_what_does_not_fit_a_partys_own_records_is_declined() {
    let mut coordinator = MaliciousCoordinator::start().await;
    let (pair, other) = (&coordinator.founding().pair, &coordinator.founding().other_pair);
    let two = coordinator.quorum([0, 1]);
    let sign = || Proposal::sign(pair, two.clone());
    let mismatch = DeclineReason::IntentMismatch;
    let no_share = DeclineReason::NoShare;
    let path: DerivationPath = "m/0/7".parse().unwrap();
    let cases = [
        (
            "a higher threshold",
            with_fields(&sign().among(coordinator.everybody()), |f| *f.threshold = Threshold(3)),
            mismatch,
        ),
        (
            "an account that is none",
            with_fields(&sign(), |f| *f.account = AccountId::generate()),
            no_share,
        ),
        (
            "another account's key",
            with_fields(&sign(), |f| *f.public_key = other.public_key.clone()),
            mismatch,
        ),
        (
            "another account under its key",
            with_fields(&sign(), |f| *f.account = other.id),
            mismatch,
        ),
        ("an epoch to come", with_fields(&sign(), |f| *f.epoch = Epoch(2)), no_share),
        (
            "an epoch that is none",
            with_fields(&sign(), |f| *f.epoch = Epoch(0)),
            DeclineReason::StaleEpoch,
        ),
        ("a holder left out", sign().altered(|intent| intent.eligible.clone_from(&two)), mismatch),
        ("a swapped path", with_fields(&sign(), |f| *f.path = path), DeclineReason::Unsupported),
        (
            "a canary of another account's key",
            with_fields(&sign(), |f| {
                *f.payload = pair.canary();
                *f.public_key = other.public_key.clone();
            }),
            mismatch,
        ),
    ];
    let spoiled = assert_declined(&mut coordinator, &cases).await;
    coordinator.assert_all_is_well(&spoiled).await;
}

#[actix_rt::test]
async fn row_18_a_plan_that_does_not_fit_its_intent_is_declined() {
    let mut coordinator = MaliciousCoordinator::start().await;
    let pair = &coordinator.founding().pair;
    let sign = || Proposal::sign(pair, coordinator.quorum([0, 1]));
    let planned = |alter: &dyn Fn(&mut Proposal)| {
        let mut proposal = sign();
        alter(&mut proposal);
        proposal
    };
    let mismatch = DeclineReason::PlanMismatch;
    let cases = [
        ("too small a quorum", sign().among(coordinator.quorum([0])), mismatch),
        ("too large a quorum", sign().among(coordinator.everybody()), mismatch),
        ("a quorum without the party", sign().among(coordinator.quorum([1, 2])), mismatch),
        (
            "another intent's hash",
            {
                let other = sign().with_digest(fresh_digest()).plan.intent_hash;
                planned(&|proposal| proposal.plan.intent_hash = other)
            },
            mismatch,
        ),
        (
            "a hash of nothing",
            planned(&|proposal| proposal.plan.intent_hash = IntentHash::new([0; 32])),
            mismatch,
        ),
        (
            "another session's plan",
            planned(&|proposal| proposal.plan.session = SessionId::generate()),
            mismatch,
        ),
        ("no attempt", planned(&|proposal| proposal.plan.attempt = Attempt(0)), mismatch),
    ];
    let spoiled = assert_declined(&mut coordinator, &cases).await;
    coordinator.assert_all_is_well(&spoiled).await;
}
