use super::super::{Policy, Profile};
use super::*;
use crate::vault::{KeySource, begin};
use futures_util::future::join_all;
use sea_orm::DatabaseConnection;
use std::path::PathBuf;
use tempfile::TempDir;

const HOUR: u64 = 3_600_000;

/// A ledger in a party's own database, which can be opened again.
pub(super) struct Party {
    folder: TempDir,
}

impl Party {
    pub(super) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(super) fn key(&self) -> KeySource {
        KeySource::File(self.folder.path().join("master.key"))
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.path().join("vault.sqlite")
    }

    pub(super) async fn open(&self) -> (Vault, Ledger) {
        let vault = Vault::open_or_create(&self.path(), &self.key()).await.unwrap();
        let ledger = Ledger::start(vault.clone());
        (vault, ledger)
    }

    /// The file in another process's hands.
    pub(super) async fn other(&self) -> DatabaseConnection {
        let url = format!("sqlite://{}", self.path().display());
        let mut options = sea_orm::ConnectOptions::new(url);
        options.max_connections(1);
        sea_orm::Database::connect(options).await.unwrap()
    }
}

fn limits(text: &str) -> Vec<Limit> {
    Policy::parse(text, Profile::Development).unwrap().rules.limits
}

pub(super) fn admission(at: u64, limits: &[Limit]) -> Admission {
    Admission {
        request: RequestId::generate(),
        session: SessionId::generate(),
        intent: IntentHash::new([1; 32]),
        kind: SessionKind::Sign,
        account: Some(AccountId::generate()),
        requester: Some("backend".parse().unwrap()),
        now: UnixMillis(at),
        expires_at: UnixMillis(at + 60_000),
        authorization_life: Duration::from_secs(3600),
        limits: limits.to_vec(),
    }
}

pub(super) async fn reason(ledger: &Ledger, admission: &Admission) -> Option<DeclineReason> {
    ledger.admit(admission.clone()).await.unwrap().err().map(|refusal| refusal.reason)
}

pub(super) const REUSED: Option<DeclineReason> = Some(DeclineReason::RequestReused);
const REACHED: Option<DeclineReason> = Some(DeclineReason::LimitReached);

#[tokio::test]
async fn a_request_is_good_for_one_session_and_one_purpose_across_restarts() {
    let party = Party::new();
    let first = admission(1000, &[]);
    let in_another_session = Admission { session: SessionId::generate(), ..first.clone() };
    let for_something_else = Admission { intent: IntentHash::new([2; 32]), ..first.clone() };
    for opened in 0..2 {
        let (_, ledger) = party.open().await;
        assert_eq!(reason(&ledger, &first).await, None, "opened {opened} times before");
        assert_eq!(reason(&ledger, &first).await, None);
        assert_eq!(reason(&ledger, &in_another_session).await, REUSED);
        assert_eq!(reason(&ledger, &for_something_else).await, REUSED);
    }
}

#[tokio::test]
async fn of_many_sessions_at_once_one_gets_the_request() {
    let party = Party::new();
    let (_, ledger) = party.open().await;
    let first = admission(1000, &[]);
    let twins = (0..200).map(|_| Admission { session: SessionId::generate(), ..first.clone() });
    let twins: Vec<_> = twins.collect();
    let verdicts = join_all(twins.iter().map(|twin| reason(&ledger, twin))).await;
    assert_eq!(verdicts.iter().filter(|verdict| verdict.is_none()).count(), 1);
    assert_eq!(verdicts.iter().filter(|verdict| **verdict == REUSED).count(), 199);
}

#[tokio::test]
async fn a_limit_counts_requests_in_a_sliding_window_across_restarts() {
    let party = Party::new();
    let limits = limits("[[limit]]\nwindow = \"1h\"\nrequests = 3\nper = \"party\"");
    let (_, ledger) = party.open().await;
    let first = admission(HOUR, &limits);
    assert_eq!(reason(&ledger, &first).await, None);
    for _ in 0..5 {
        // The same request again, as each new attempt after a restart: it counts once.
        assert_eq!(reason(&ledger, &first).await, None);
    }
    assert_eq!(reason(&ledger, &admission(HOUR + 10, &limits)).await, None);
    assert_eq!(reason(&ledger, &admission(HOUR + 20, &limits)).await, None);
    assert_eq!(reason(&ledger, &admission(HOUR + 30, &limits)).await, REACHED);

    let (_, ledger) = party.open().await;
    assert_eq!(reason(&ledger, &admission(2 * HOUR - 1, &limits)).await, REACHED);
    // The first one has left the window, and what was refused has never been in it.
    assert_eq!(reason(&ledger, &admission(2 * HOUR, &limits)).await, None);
    assert_eq!(reason(&ledger, &admission(2 * HOUR + 1, &limits)).await, REACHED);
    // A clock that was set back opens nothing.
    assert_eq!(reason(&ledger, &admission(HOUR / 2, &limits)).await, REACHED);
    // A known request passes a full window: it was counted.
    assert_eq!(reason(&ledger, &first).await, None);
}

#[tokio::test]
async fn limits_count_apart_what_they_say() {
    let party = Party::new();
    let (_, ledger) = party.open().await;
    let limits = limits(
        "[[limit]]\nwindow = \"1h\"\nrequests = 1\nper = \"account\"\n\
         [[limit]]\nwindow = \"1h\"\nrequests = 2\nper = \"requester\"\n\
         [[limit]]\nwindow = \"1h\"\nrequests = 1\nper = \"party\"\nsessions = \"aux\"",
    );
    let a = admission(1, &limits);
    assert_eq!(reason(&ledger, &a).await, None);
    let same_account = Admission { account: a.account, ..admission(2, &limits) };
    assert_eq!(reason(&ledger, &same_account).await, REACHED);
    // The requester's second one, on another account, then none.
    assert_eq!(reason(&ledger, &admission(3, &limits)).await, None);
    assert_eq!(reason(&ledger, &admission(4, &limits)).await, REACHED);
    // Another requester, and those without a name, which count together.
    let other = Admission { requester: Some("other".parse().unwrap()), ..admission(5, &limits) };
    assert_eq!(reason(&ledger, &other).await, None);
    for expected in [None, None, REACHED] {
        let unsigned = Admission { requester: None, ..admission(6, &limits) };
        assert_eq!(reason(&ledger, &unsigned).await, expected);
    }
    // Canaries and keys have no limit here, aux sets have.
    let of_kind =
        |kind| Admission { kind, account: None, requester: None, ..admission(7, &limits) };
    for _ in 0..3 {
        assert_eq!(reason(&ledger, &of_kind(SessionKind::Canary)).await, None);
        assert_eq!(reason(&ledger, &of_kind(SessionKind::Keygen)).await, None);
    }
    assert_eq!(reason(&ledger, &of_kind(SessionKind::Aux)).await, None);
    assert_eq!(reason(&ledger, &of_kind(SessionKind::Aux)).await, REACHED);
}

/// However many come in one commit, no more than the limit pass.
#[tokio::test]
async fn a_burst_does_not_pass_a_limit() {
    let party = Party::new();
    let (_, ledger) = party.open().await;
    let limits = limits("[[limit]]\nwindow = \"1h\"\nrequests = 50\nper = \"party\"");
    let burst: Vec<_> = (0..300).map(|at| admission(at, &limits)).collect();
    let verdicts = join_all(burst.iter().map(|one| reason(&ledger, one))).await;
    assert_eq!(verdicts.iter().filter(|verdict| verdict.is_none()).count(), 50);
    assert_eq!(verdicts.iter().filter(|verdict| **verdict == REACHED).count(), 250);
}

#[tokio::test]
async fn what_expired_long_ago_is_forgotten_and_nothing_sooner() {
    let party = Party::new();
    let (vault, ledger) = party.open().await;
    let weekly = limits("[[limit]]\nwindow = \"7d\"\nrequests = 9\nper = \"party\"");
    let plain = admission(1000, &[]);
    let counted = admission(1000, &weekly);
    assert_eq!(reason(&ledger, &plain).await, None);
    assert_eq!(reason(&ledger, &counted).await, None);
    let rows = || async { Entity::find().all(vault.database()).await.unwrap().len() };
    // Expiry and a day.
    let kept_until = 61_000 + AFTER_EXPIRY;
    prune(&vault, UnixMillis(kept_until)).await.unwrap();
    assert_eq!(rows().await, 2);
    prune(&vault, UnixMillis(kept_until + 1)).await.unwrap();
    assert_eq!(rows().await, 1);
    prune(&vault, UnixMillis(1000 + 7 * 24 * HOUR)).await.unwrap();
    assert_eq!(rows().await, 1);
    prune(&vault, UnixMillis(1001 + 7 * 24 * HOUR)).await.unwrap();
    assert_eq!(rows().await, 0);
}

/// Another process has the file in its hands, and has changed it when the admission's turn comes.
#[tokio::test]
async fn an_admission_waits_for_another_writer_of_the_file() {
    const HELD: Duration = Duration::from_millis(200);
    let party = Party::new();
    let (_vault, ledger) = party.open().await;
    // Every connection has its own view: the ledger's has been in use before.
    assert_eq!(reason(&ledger, &admission(1, &[])).await, None);
    let other = party.other().await;
    for at in 2..5 {
        let writing = begin(&other).await.unwrap();
        let change = format!("CREATE TABLE another_{at} (x)");
        writing.execute_unprepared(&change).await.unwrap();
        let mine = admission(at, &[]);
        let mut admitted = std::pin::pin!(reason(&ledger, &mine));
        // Nothing tells that an admission has begun. One that fails would have failed by then.
        let early = tokio::time::timeout(HELD, &mut admitted).await;
        assert!(early.is_err(), "admitted while another process writes: {early:?}");
        writing.commit().await.unwrap();
        assert_eq!(admitted.await, None);
    }
}

#[tokio::test]
async fn a_ledger_that_cannot_write_admits_nothing() {
    let party = Party::new();
    let (vault, ledger) = party.open().await;
    vault.database().execute_unprepared("PRAGMA query_only = ON").await.unwrap();
    let refused = ledger.admit(admission(1, &[])).await;
    assert!(matches!(refused, Err(VaultError::Database(_))), "{refused:?}");
}
