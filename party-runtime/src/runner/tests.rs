use super::*;
use crate::vault::KeySource;
use mpc_engine::SecretBytes;
use mpc_wire::{
    AccountId, AuxId, DerivationPath, Epoch, PlanHash, PublicKey, RequestId, Scheme, SharesHash,
    Threshold, UnixMillis,
};

/// A share may be given up between the judgement of an intent, or the start of an attempt, and the
/// moment in which the share is taken.
#[tokio::test]
async fn a_share_below_the_accounts_floor_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let key = KeySource::File(folder.path().join("master.key"));
    let vault = Vault::open_or_create(&folder.path().join("vault.sqlite"), &key).await.unwrap();
    let (account, aux_id, epoch) = (AccountId::generate(), AuxId::new([3; 32]), FIRST_EPOCH);
    let (intent, plan) = signing(&vault, account, aux_id, epoch);
    let IntentKind::Sign { public_key, scheme, threshold, .. } = intent.kind.clone() else {
        panic!("an intent to sign");
    };
    let secret = || SecretBytes::new(vec![7; 32]);
    let record = ShareRecord {
        session: plan.session,
        plan: PlanHash::new([0x91; 32]),
        public_shares: SharesHash::new([0x92; 32]),
        scheme,
        threshold,
        holders: intent.eligible.clone(),
        public_key,
        share: secret(),
    };
    vault.store_share(account, epoch, &record).await.unwrap();
    let record = AuxRecord { scheme, parties: intent.eligible.clone(), secret: secret() };
    vault.store_aux(aux_id, &record).await.unwrap();
    let loaded = task(&vault, &intent, &plan).await;
    assert!(matches!(loaded, Ok(Task::Sign { .. })));

    let mut transaction = vault.begin().await.unwrap();
    transaction.raise_floor(account, Epoch(epoch.0 + 1)).await.unwrap();
    transaction.commit().await.unwrap();
    let Err(refused) = task(&vault, &intent, &plan).await else { panic!("an old share was used") };
    assert_eq!(refused.kind, FailureKind::Storage);
    assert!(refused.detail.contains("older than the account's epoch"), "{}", refused.detail);
}

/// Of the shares that wait side by side a canary takes the one that its plan made; nothing else is
/// signed with any of them.
#[tokio::test]
async fn a_share_that_waits_signs_its_canary_alone() {
    let folder = tempfile::tempdir().unwrap();
    let key = KeySource::File(folder.path().join("master.key"));
    let vault = Vault::open_or_create(&folder.path().join("vault.sqlite"), &key).await.unwrap();
    let (account, aux_id, epoch) = (AccountId::generate(), AuxId::new([3; 32]), FIRST_EPOCH);
    let (mut intent, plan) = signing(&vault, account, aux_id, epoch);
    let parties = intent.eligible.clone();
    for made in [1, 2] {
        let record = ShareRecord {
            session: plan.session,
            plan: PlanHash::new([made; 32]),
            public_shares: SharesHash::new([made; 32]),
            scheme: Scheme::EcdsaCggmp24,
            threshold: Threshold(1),
            holders: parties.clone(),
            public_key: PublicKey::new([2; 33]),
            share: SecretBytes::new(vec![made; 32]),
        };
        vault.prepare_share(account, epoch, &record).await.unwrap();
    }
    let secret = SecretBytes::new(vec![7; 32]);
    let record = AuxRecord { scheme: Scheme::EcdsaCggmp24, parties, secret };
    vault.store_aux(aux_id, &record).await.unwrap();
    let Err(refused) = task(&vault, &intent, &plan).await else { panic!("it signs") };
    assert_eq!(refused.kind, FailureKind::Storage);
    for made in [1, 2] {
        let IntentKind::Sign { payload, .. } = &mut intent.kind else { panic!("to sign") };
        *payload = Payload::Canary { plan: PlanHash::new([made; 32]) };
        let Ok(Task::Sign { share, .. }) = task(&vault, &intent, &plan).await else {
            panic!("no canary")
        };
        assert_eq!(share.expose(), [made; 32]);
    }
}

fn signing(
    vault: &Vault,
    account: AccountId,
    aux_id: AuxId,
    epoch: Epoch,
) -> (Intent, AttemptPlan) {
    let parties = BTreeSet::from([vault.party()]);
    let intent = Intent {
        session: SessionId::generate(),
        request: RequestId::generate(),
        eligible: parties.clone(),
        expires_at: UnixMillis(u64::MAX),
        kind: IntentKind::Sign {
            account,
            epoch,
            scheme: Scheme::EcdsaCggmp24,
            threshold: Threshold(1),
            public_key: PublicKey::new([2; 33]),
            path: DerivationPath::default(),
            payload: Payload::Digest([1; 32]),
            authorization: None,
        },
    };
    let plan = AttemptPlan {
        session: intent.session,
        intent_hash: intent.hash(),
        attempt: Attempt::FIRST,
        quorum: parties,
        aux_id: Some(aux_id),
    };
    (intent, plan)
}
