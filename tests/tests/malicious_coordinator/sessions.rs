//! Sessions that change what they are for, ids that serve twice, canaries that carry something,
//! intents that have expired.

use mpc_tests::malicious_coordinator::MaliciousCoordinator;
use mpc_tests::malicious_coordinator::proposal::{Proposal, fresh_digest};
use mpc_tests::transcript::Refusal;
use mpc_wire::payload::canary_digest;
use mpc_wire::{DeclineReason, Objection, Payload, Round, UnixMillis};
use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

const NOTHING: Round = Round(0);

/// A refusal of an invitation, and of nothing else.
fn declined(reason: DeclineReason) -> BTreeSet<Refusal> {
    BTreeSet::from([Refusal::Declined(reason)])
}

#[actix_rt::test]
async fn row_18_an_intent_that_changes_between_two_attempts() {
    let mut coordinator = MaliciousCoordinator::start().await;
    let pair = &coordinator.founding().pair;
    let first = Proposal::sign(pair, coordinator.quorum([0, 1]));
    let changed = first.with_digest(fresh_digest()).attempt(2);
    let members = coordinator.quorum([0, 1]);
    coordinator.gather(&first).await;
    for member in &members {
        coordinator.invite(*member, &changed).await;
        let refusals = coordinator.refusals(*member, changed.run()).await;
        assert_eq!(refusals, declined(DeclineReason::IntentMismatch));
    }
    // To one of them alone: it is declined there, and the other's join is of no use.
    let truth = first.attempt(3);
    let lie = first.with_digest(fresh_digest()).attempt(3);
    coordinator.invite(coordinator.party(0), &truth).await;
    coordinator.invite(coordinator.party(1), &lie).await;
    let join = coordinator.join_of(coordinator.party(0), truth.run()).await;
    let refusals = coordinator.refusals(coordinator.party(1), lie.run()).await;
    assert_eq!(refusals, declined(DeclineReason::IntentMismatch));
    for member in &members {
        coordinator.start_run(*member, truth.run(), std::slice::from_ref(&join)).await;
    }
    let objection = Refusal::Objected(Objection::WrongJoins);
    coordinator.refused(coordinator.party(0), truth.run(), objection).await;
    coordinator.assert_still_waits(coordinator.party(0), &truth).await;
    coordinator.assert_all_is_well(&[(first.intent.session, NOTHING)]).await;
}

#[actix_rt::test]
async fn one_session_id_for_two_intents() {
    let mut coordinator = MaliciousCoordinator::start().await;
    let pair = &coordinator.founding().pair;
    let first = Proposal::sign(pair, coordinator.quorum([0, 1]));
    let member = coordinator.party(0);
    coordinator.gather(&first).await;
    let second = first.with_digest(fresh_digest());
    coordinator.invite(member, &second).await;
    let refusals = coordinator.refusals(member, first.run()).await;
    assert_eq!(refusals, declined(DeclineReason::IntentMismatch));
    coordinator.assert_still_waits(member, &first).await;

    // Once the session is over its id serves nothing any more, not even the same intent.
    coordinator.finish(member, first.intent.session).await;
    for again in [first.attempt(2), second.attempt(3)] {
        coordinator.invite(member, &again).await;
        let refusals = coordinator.refusals(member, again.run()).await;
        assert_eq!(refusals, declined(DeclineReason::Expired));
    }
    coordinator.assert_all_is_well(&[(first.intent.session, NOTHING)]).await;
}

#[actix_rt::test]
async fn one_request_id_in_two_sessions() {
    let mut coordinator = MaliciousCoordinator::start().await;
    let pair = &coordinator.founding().pair;
    let first = Proposal::sign(pair, coordinator.quorum([0, 1]));
    let outcomes = coordinator.run(&first).await;
    coordinator.assert_signed(&first, &outcomes);
    let mut spoiled = Vec::new();
    for payload in [Payload::Digest(fresh_digest()), pair.canary()] {
        let request = first.intent.request;
        let second = Proposal::sign(pair, coordinator.quorum([0, 1]))
            .altered(|intent| intent.request = request)
            .with_payload(payload);
        for member in coordinator.quorum([0, 1]) {
            coordinator.invite(member, &second).await;
            let refusals = coordinator.refusals(member, second.run()).await;
            assert_eq!(refusals, declined(DeclineReason::RequestReused));
        }
        spoiled.push((second.intent.session, NOTHING));
    }
    coordinator.assert_all_is_well(&spoiled).await;
}

/// One member is told of a canary, the other of a digest to sign: of any, and of the very one that
/// the canary has.
#[actix_rt::test]
async fn row_18_a_canary_that_carries_a_digest() {
    let mut coordinator = MaliciousCoordinator::start().await;
    let pair = &coordinator.founding().pair;
    let members = coordinator.quorum([0, 1]);
    let of_canary = canary_digest(pair.id, pair.epoch, &pair.public_key);
    let mut spoiled = Vec::new();
    for digest in [fresh_digest(), of_canary] {
        let canary = Proposal::sign(pair, members.clone()).with_payload(pair.canary());
        let run = canary.run();
        let shown = [canary.clone(), canary.with_digest(digest)];
        let mut joins = Vec::new();
        for (member, proposal) in members.iter().zip(&shown) {
            coordinator.invite(*member, proposal).await;
            joins.push(coordinator.join_of(*member, run).await);
        }
        for (member, proposal) in members.iter().zip(&shown) {
            coordinator.start_run(*member, run, &joins).await;
            let objection = Refusal::Objected(Objection::WrongJoins);
            coordinator.refused(*member, run, objection).await;
            coordinator.assert_still_waits(*member, proposal).await;
        }
        spoiled.push((run.session, NOTHING));
    }
    // A canary that both agree on signs the digest of the parties' own records.
    let canary = Proposal::sign(pair, members).with_payload(pair.canary());
    let outcomes = coordinator.run(&canary).await;
    coordinator.assert_signed(&canary, &outcomes);
    coordinator.assert_all_is_well(&spoiled).await;
}

#[actix_rt::test]
async fn invitations_after_their_expiry() {
    let mut coordinator = MaliciousCoordinator::start().await;
    let pair = &coordinator.founding().pair;
    let member = coordinator.party(0);
    let mut spoiled = Vec::new();
    for long_ago in [UnixMillis(0), just_now()] {
        let proposal = Proposal::sign(pair, coordinator.quorum([0, 1]))
            .altered(|intent| intent.expires_at = long_ago);
        coordinator.invite(member, &proposal).await;
        let refusals = coordinator.refusals(member, proposal.run()).await;
        assert_eq!(refusals, declined(DeclineReason::Expired));
        spoiled.push((proposal.intent.session, NOTHING));
    }
    coordinator.assert_all_is_well(&spoiled).await;
}

/// The members have joined in time, and are started when it is too late.
#[actix_rt::test]
async fn a_start_after_the_expiry() {
    const LIFE: Duration = Duration::from_millis(1_500);
    let mut coordinator = MaliciousCoordinator::start().await;
    let pair = &coordinator.founding().pair;
    let proposal = Proposal::sign(pair, coordinator.quorum([0, 1]))
        .altered(|intent| intent.expires_at = after(LIFE));
    let joins = coordinator.gather(&proposal).await;
    let refusal = Refusal::Declined(DeclineReason::Expired);
    for member in coordinator.quorum([0, 1]) {
        // The member says itself when its time is up.
        while !coordinator.transcript.refusals(member, proposal.run()).contains(&refusal) {
            coordinator.invite(member, &proposal).await;
            coordinator.settle(member).await;
        }
        coordinator.start_run(member, proposal.run(), &joins).await;
    }
    coordinator.assert_all_is_well(&[(proposal.intent.session, NOTHING)]).await;
}

fn just_now() -> UnixMillis {
    after(Duration::ZERO)
}

fn after(pause: Duration) -> UnixMillis {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    UnixMillis((now + pause).as_millis().try_into().unwrap())
}
