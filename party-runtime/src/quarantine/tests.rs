use super::*;
use mpc_wire::{
    DerivationPath, Identity, Inquiry, Nonce, Payload, PublicKey, RequestId, Scheme, SessionId,
    Threshold,
};

const LIFE: Duration = Duration::from_secs(3600);
const NOW: UnixMillis = UnixMillis(10_000_000);

fn identity(seed: u8) -> Identity {
    Identity::from_seed(&[seed; 32])
}

fn party(seed: u8) -> PartyId {
    identity(seed).party()
}

fn share(account: AccountId, epoch: u32, threshold: usize, others: &[u8]) -> BackedUpShare {
    let others = others.iter().map(|seed| party(*seed)).collect();
    BackedUpShare { account, epoch: Epoch(epoch), threshold, others }
}

fn restored(mode: RestoreMode, shares: Vec<BackedUpShare>) -> Restoration {
    Restoration::new(mode, UnixMillis(1), NOW, shares)
}

fn testimony(by: u8, floors: &[(AccountId, u32)]) -> Testimony {
    let inquiry = Inquiry::sign(&identity(1), Nonce::generate(), BTreeSet::new());
    let floors = floors.iter().map(|(account, epoch)| (*account, Epoch(*epoch))).collect();
    Testimony::sign(&identity(by), &inquiry, floors, Vec::new())
}

fn intent(kind: IntentKind) -> Intent {
    Intent {
        session: SessionId::generate(),
        request: RequestId::generate(),
        eligible: BTreeSet::new(),
        expires_at: UnixMillis(u64::MAX),
        kind,
    }
}

fn sign(account: AccountId) -> Intent {
    intent(IntentKind::Sign {
        account,
        epoch: Epoch(1),
        scheme: Scheme::EcdsaCggmp24,
        threshold: Threshold(2),
        public_key: PublicKey::new([2; 33]),
        path: DerivationPath::default(),
        payload: Payload::Digest([0; 32]),
        authorization: None,
    })
}

fn aux() -> Intent {
    intent(IntentKind::Aux { scheme: Scheme::EcdsaCggmp24 })
}

#[test]
fn an_account_is_released_by_t_of_its_other_holders_and_by_nobody_else() {
    let account = AccountId::generate();
    let mut restoration =
        restored(RestoreMode::Quarantined, vec![share(account, 1, 2, &[2, 3, 4])]);
    assert_eq!(restoration.judge(&sign(account), NOW, LIFE), Err(DeclineReason::Quarantined));

    assert!(!restoration.hear(&testimony(9, &[(account, 1)])).is_news, "no holder");
    assert!(!restoration.hear(&testimony(2, &[])).is_news, "says nothing of the account");
    assert!(restoration.hear(&testimony(2, &[(account, 1)])).is_news);
    assert!(!restoration.hear(&testimony(2, &[(account, 1)])).is_news, "counts once");
    assert_eq!(restoration.judge(&sign(account), NOW, LIFE), Err(DeclineReason::Quarantined));

    let heard = restoration.hear(&testimony(3, &[(account, 1)]));
    assert_eq!(heard.released, BTreeSet::from([account]));
    assert_eq!(restoration.judge(&sign(account), NOW, LIFE), Ok(()));
}

#[test]
fn where_there_are_fewer_than_t_others_all_must_speak() {
    let account = AccountId::generate();
    let mut restoration = restored(RestoreMode::Quarantined, vec![share(account, 1, 2, &[2])]);
    assert_eq!(restoration.hear(&testimony(2, &[(account, 1)])).released.len(), 1);
}

#[test]
fn a_newer_epoch_closes_the_share_unless_t_others_contradict() {
    let account = AccountId::generate();
    let mut restoration = restored(RestoreMode::Quarantined, vec![share(account, 1, 2, &[2, 3])]);
    let heard = restoration.hear(&testimony(2, &[(account, 2)]));
    assert_eq!(heard.stale, BTreeMap::from([(account, Epoch(2))]));
    restoration.hear(&testimony(3, &[(account, 1)]));
    assert_eq!(restoration.judge(&sign(account), NOW, LIFE), Err(DeclineReason::StaleEpoch));
    assert_eq!(restoration.confined(), BTreeSet::from([account]), "the peers are still asked");

    let mut lied_to = restored(RestoreMode::Quarantined, vec![share(account, 1, 2, &[2, 3, 4])]);
    lied_to.hear(&testimony(2, &[(account, u32::MAX)]));
    lied_to.hear(&testimony(3, &[(account, 1)]));
    assert_eq!(lied_to.judge(&sign(account), NOW, LIFE), Err(DeclineReason::StaleEpoch));
    lied_to.hear(&testimony(4, &[(account, 1)]));
    assert_eq!(lied_to.judge(&sign(account), NOW, LIFE), Ok(()), "one lie against two words");
}

#[test]
fn the_newest_epoch_of_the_backup_counts() {
    let account = AccountId::generate();
    let shares = vec![share(account, 2, 2, &[2]), share(account, 1, 2, &[2])];
    let mut restoration = restored(RestoreMode::Quarantined, shares);
    assert_eq!(restoration.hear(&testimony(2, &[(account, 2)])).released.len(), 1);
}

#[test]
fn nothing_new_is_made_before_every_account_is_settled() {
    let (one, other) = (AccountId::generate(), AccountId::generate());
    let shares = vec![share(one, 1, 2, &[2]), share(other, 1, 2, &[2])];
    let mut restoration = restored(RestoreMode::Quarantined, shares);
    restoration.hear(&testimony(2, &[(one, 1)]));
    assert_eq!(restoration.judge(&sign(one), NOW, LIFE), Ok(()), "each account by itself");
    assert_eq!(restoration.judge(&aux(), NOW, LIFE), Err(DeclineReason::Quarantined));
    restoration.hear(&testimony(2, &[(other, 2)]));
    assert_eq!(restoration.judge(&aux(), NOW, LIFE), Ok(()), "an old share keeps nothing new back");
}

#[test]
fn a_disaster_waits_for_nobody() {
    let account = AccountId::generate();
    let restoration = restored(RestoreMode::Disaster, vec![share(account, 1, 2, &[2, 3])]);
    assert_eq!(restoration.judge(&sign(account), NOW, LIFE), Ok(()));
    assert!(restoration.confined().is_empty());
    assert_eq!(restoration.status().mode, RestoreMode::Disaster);
}

#[test]
fn requests_that_may_have_been_used_are_waited_out_in_a_disaster_too() {
    let account = AccountId::generate();
    let mut request = sign(account);
    let IntentKind::Sign { authorization, .. } = &mut request.kind else {
        panic!("a sign intent");
    };
    *authorization = Some(mpc_wire::Authorization {
        requester: "treasury".parse().unwrap(),
        expires_at: UnixMillis(u64::MAX),
        signature: [0; 64],
    });
    let restoration = restored(RestoreMode::Disaster, Vec::new());
    let judge = |after: u64| restoration.judge(&request, UnixMillis(NOW.0 + after), LIFE);
    assert_eq!(judge(3_599_999), Err(DeclineReason::Quarantined));
    assert_eq!(judge(3_600_000), Ok(()));
}
