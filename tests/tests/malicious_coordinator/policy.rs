//! Consents and the rules that they were given under, and what a party's own people ask for.

use mpc::requester::{Algorithm, RequesterKey, Wanted};
use mpc_tests::malicious_coordinator::MaliciousCoordinator;
use mpc_tests::malicious_coordinator::proposal::Proposal;
use mpc_tests::transcript::{Refusal, Run, Transcript};
use mpc_wire::{
    AccountId, Attempt, Authorization, DeclineReason, Intent, IntentKind, Round, SessionId,
    ToCoordinator,
};
use party_runtime::RequestError;
use sea_orm::{Database, SqliteTransactionMode, TransactionOptions, TransactionTrait};
use std::collections::BTreeSet;
use std::time::Duration;

const NOTHING: Round = Round(0);

const REQUIRED: &str = "require_requester_signature = true\n";

fn declined(reason: DeclineReason) -> BTreeSet<Refusal> {
    BTreeSet::from([Refusal::Declined(reason)])
}

/// The same proposal, asked for by a requester of this name.
fn authorized(proposal: &Proposal, name: &str, key: &RequesterKey) -> Proposal {
    proposal.altered(|intent| {
        let Intent { request, expires_at, .. } = *intent;
        let IntentKind::Sign { account, public_key, path, payload, authorization, .. } =
            &mut intent.kind
        else {
            panic!("an intent to sign");
        };
        let requester = &name.parse().unwrap();
        let account = *account;
        let wanted = Wanted { requester, request, expires_at, account, public_key, path, payload };
        let signature = hex::decode(key.authorize(&wanted).signature).unwrap();
        *authorization = Some(Authorization {
            requester: requester.clone(),
            expires_at,
            signature: signature.try_into().unwrap(),
        });
    })
}

/// A party has consented to a session: that is good for each of its attempts, but only while the
/// rules let the session pass.
#[actix_rt::test]
async fn a_consent_does_not_outlive_the_policy() {
    let mut coordinator = MaliciousCoordinator::start().await;
    let key = RequesterKey::generate(Algorithm::Ed25519).unwrap();
    let known = format!(
        "{REQUIRED}[[requester]]\nname = \"backend\"\npublic_key = '''{}'''\n",
        key.public_pem().unwrap()
    );
    coordinator.set_policy(0, &known);
    let pair = &coordinator.founding().pair;
    let (member, quorum) = (coordinator.party(0), coordinator.quorum([0, 1]));
    let first = authorized(&Proposal::sign(pair, quorum), "backend", &key);
    coordinator.invite(member, &first).await;
    coordinator.join_of(member, first.run()).await;

    coordinator.set_policy(0, REQUIRED);
    let gone = declined(DeclineReason::UnknownRequester);
    let second = first.attempt(2);
    coordinator.invite(member, &second).await;
    assert_eq!(coordinator.refusals(member, second.run()).await, gone);
    assert!(coordinator.transcript.joins(second.run()).is_empty());

    // What is stored of the session says that the party has consented.
    let mut coordinator = coordinator.restart().await;
    let third = first.attempt(3);
    coordinator.invite(member, &third).await;
    assert_eq!(coordinator.refusals(member, third.run()).await, gone);
    assert!(coordinator.transcript.joins(third.run()).is_empty());

    coordinator.set_policy(0, &known);
    let fourth = first.attempt(4);
    coordinator.invite(member, &fourth).await;
    coordinator.join_of(member, fourth.run()).await;
    coordinator.set_policy(0, "");
    coordinator.assert_all_is_well(&[(first.intent.session, NOTHING)]).await;
}

/// The rules change after a party has looked at them and before it has said anything: here while
/// it waits to remember the request, because another process writes its file.
#[actix_rt::test]
async fn a_policy_that_was_replaced_decides_nothing() {
    const HELD: Duration = Duration::from_millis(500);
    let mut coordinator = MaliciousCoordinator::start().await;
    let pair = &coordinator.founding().pair;
    let (member, quorum) = (coordinator.party(0), coordinator.quorum([0, 1]));
    let proposal = Proposal::sign(pair, quorum);
    let url = format!("sqlite://{}", coordinator.vault_file(0).display());
    let other = Database::connect(&url).await.unwrap();
    let options = TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    };
    let writing = other.begin_with_options(options).await.unwrap();
    coordinator.invite(member, &proposal).await;
    // Nothing tells that the party has begun to judge; by then it has.
    let early = coordinator.refusals(member, proposal.run());
    assert!(tokio::time::timeout(HELD, early).await.is_err(), "judged without its ledger");
    coordinator.set_policy(0, REQUIRED);
    writing.rollback().await.unwrap();
    let refusals = coordinator.refusals(member, proposal.run()).await;
    assert_eq!(refusals, declined(DeclineReason::AuthorizationMissing));
    assert!(coordinator.transcript.joins(proposal.run()).is_empty());
    coordinator.set_policy(0, "");
    coordinator.assert_all_is_well(&[(proposal.intent.session, NOTHING)]).await;
}

fn requested(transcript: &Transcript, session: SessionId) -> Option<()> {
    (0..transcript.len()).filter_map(|at| transcript.get(at)).find_map(|said| {
        let ToCoordinator::RequestSession { intent } = &said.message else { return None };
        (intent.session == session).then_some(())
    })
}

/// Whoever asks: the party does not join what its own records, its ledger or its bans forbid.
#[actix_rt::test]
async fn what_a_partys_own_people_ask_for_passes_its_gate() {
    let mut coordinator = MaliciousCoordinator::start().await;
    let pair = &coordinator.founding().pair;
    let party = coordinator.running(0);
    let quorum = coordinator.quorum([0, 1]);
    let sign = || Proposal::sign(pair, quorum.clone());
    let used = sign();
    let outcomes = coordinator.run(&used).await;
    coordinator.assert_signed(&used, &outcomes);
    for number in [0, 1] {
        coordinator.settle(coordinator.party(number)).await;
    }

    let unknown = sign().altered(|intent| {
        if let IntentKind::Sign { account, .. } = &mut intent.kind {
            *account = AccountId::generate();
        }
    });
    let too_few = sign().altered(|intent| intent.eligible.clone_from(&quorum));
    let reused = sign().altered(|intent| intent.request = used.intent.request);
    for (proposal, reason) in [
        (unknown, DeclineReason::NoShare),
        (too_few, DeclineReason::IntentMismatch),
        (reused, DeclineReason::RequestReused),
    ] {
        let session = proposal.intent.session;
        let refused = party.request_session(proposal.intent.clone()).await;
        assert_eq!(refused.err(), Some(RequestError::Declined(reason)));
        // Nor does the session get in by another door.
        let run = Run { session, attempt: Attempt::FIRST };
        coordinator.invite(party.id(), &proposal).await;
        assert_eq!(coordinator.refusals(party.id(), run).await, declined(reason));
        assert!(requested(&coordinator.transcript, session).is_none());
    }

    let others = [1, 2].map(|number| format!("\"{}\"", coordinator.party(number)));
    coordinator.set_policy(0, &format!("[peers]\nrefuse = [{}]", others.join(", ")));
    let refused = party.request_session(sign().intent).await;
    assert_eq!(refused.err(), Some(RequestError::Declined(DeclineReason::Banned)));

    // No requester has signed it: the party's own people need none.
    coordinator.set_policy(0, REQUIRED);
    let own = sign();
    let session = own.intent.session;
    let asked = actix_rt::spawn(async move { party.request_session(own.intent).await });
    coordinator.hear("the request", |transcript| requested(transcript, session)).await;
    asked.abort();
    coordinator.set_policy(0, "");
    coordinator.assert_all_is_well(&[]).await;
}
