//! Audit logs of a whole house: entries are there before what they are about leaves, heads are
//! exchanged with every session, and a coordinator that lost its past is noticed.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use coordinator::Role;
use k256::ecdsa::SigningKey;
use mpc::audit::{LogSource, Problem, logs_in, verify};
use mpc_tests::cluster::{Cluster, Engine, PartySpec};
use mpc_tests::proxy::{Direction, Interceptor};
use mpc_tests::stub::Log;
use mpc_wire::audit::Head;
use mpc_wire::{SessionId, ToCoordinator, ToParty, codec};
use party_runtime::policy::Profile;
use party_runtime::{LivePolicy, Policy};
use sea_orm::{ConnectionTrait, Database, Statement};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// A party that signs digests only.
const DIGESTS_ONLY: &str = "payloads = [\"digest\"]";

fn server() -> PartySpec {
    let key = SigningKey::from_slice(&[0x42; 32]).unwrap();
    PartySpec::new(Role::Server, Engine::Stub(key, Log::default()))
}

/// Asks a database, from a thread of its own: whoever asks waits.
fn ask(database: &Path, sql: String) -> Vec<String> {
    let url = format!("sqlite://{}", database.display());
    let asked = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let db = Database::connect(url).await.unwrap();
            let statement = Statement::from_string(db.get_database_backend(), sql);
            let rows = db.query_all_raw(statement).await.unwrap();
            let rows = rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect();
            db.close().await.unwrap();
            rows
        })
    });
    asked.join().unwrap()
}

/// Looks at every message of a party at the moment when it passes.
struct Watcher {
    party: PathBuf,
    coordinator: PathBuf,
    /// The heads that were shown last: by the party, and to it.
    shown: Option<Head>,
    heard: Option<Head>,
    seen: BTreeMap<&'static str, usize>,
    wrong: Vec<String>,
}

impl Watcher {
    fn new(folder: &Path, party: &str) -> Rc<RefCell<Self>> {
        Rc::new(RefCell::new(Self {
            party: folder.join(party).join("vault.sqlite"),
            coordinator: folder.join("coordinator.sqlite"),
            shown: None,
            heard: None,
            seen: BTreeMap::new(),
            wrong: Vec::new(),
        }))
    }

    /// The entry must be durable, and the head that went before must cover it.
    fn expect(&mut self, event: &'static str, session: SessionId, head: Option<Head>) {
        let is_coordinators = event.starts_with("session_");
        let database = if is_coordinators { &self.coordinator } else { &self.party };
        let sql = format!(
            "SELECT CAST(number AS TEXT) FROM audit_log WHERE event = '{event}' AND subject = '{session}'"
        );
        let number: Option<u64> = ask(database, sql).first().map(|number| number.parse().unwrap());
        let is_covered = number.zip(head).is_some_and(|(number, head)| number <= head.count);
        *self.seen.entry(event).or_default() += 1;
        if !is_covered {
            self.wrong.push(format!("{event} of {session}: entry {number:?}, head {head:?}"));
        }
    }

    fn up(&mut self, message: ToCoordinator) {
        match message {
            ToCoordinator::AuditHead(head) => {
                head.verify().unwrap();
                self.shown = Some(head.head);
            }
            ToCoordinator::Join { session, .. } => {
                self.expect("joined", session, self.shown);
            }
            ToCoordinator::Decline { session, .. } => {
                self.expect("declined", session, self.shown);
            }
            ToCoordinator::Outcome { session, .. } => {
                self.expect("outcome_reported", session, self.shown);
            }
            ToCoordinator::Prove { .. }
            | ToCoordinator::AwaitingApproval { .. }
            | ToCoordinator::Objected { .. }
            | ToCoordinator::Inquiry(_)
            | ToCoordinator::Testimony(_)
            | ToCoordinator::Ban(_)
            | ToCoordinator::Round(_)
            | ToCoordinator::RoundRefused { .. }
            | ToCoordinator::Ack(_)
            | ToCoordinator::Progress { .. }
            | ToCoordinator::RequestSession { .. }
            | ToCoordinator::Activated { .. }
            | ToCoordinator::Statement(_) => {}
        }
    }
}

impl Interceptor for Watcher {
    fn pass(&mut self, direction: Direction, message: Vec<u8>) -> Vec<Vec<u8>> {
        match direction {
            Direction::Up => self.up(codec::decode(&message).unwrap()),
            Direction::Down => match codec::decode(&message).unwrap() {
                ToParty::AuditHead(head) => {
                    head.verify().unwrap();
                    self.heard = Some(head.head);
                }
                ToParty::Invite { intent, .. } => {
                    self.expect("session_opened", intent.session, self.heard);
                }
                ToParty::Finished { session } => {
                    self.expect("session_ended", session, self.heard);
                }
                ToParty::Challenge(_)
                | ToParty::Welcome { .. }
                | ToParty::Started { .. }
                | ToParty::Round(_)
                | ToParty::Ack(_)
                | ToParty::Abort { .. }
                | ToParty::Inquiry(_)
                | ToParty::Testimony(_)
                | ToParty::Ban(_)
                | ToParty::SessionRequested { .. }
                | ToParty::Activate { .. }
                | ToParty::Attest { .. }
                | ToParty::Discard(_)
                | ToParty::Error { .. } => {}
            },
        }
        vec![message]
    }
}

#[actix_rt::test]
async fn what_leaves_was_entered_before_and_heads_cover_it() {
    let folder = tempfile::tempdir().unwrap();
    let watchers =
        ["party-1", "party-2", "party-3"].map(|party| Watcher::new(folder.path(), party));
    let mut specs: Vec<_> =
        watchers.iter().map(|watcher| server().behind(watcher.clone())).collect();
    let policy = Policy::parse(DIGESTS_ONLY, Profile::Development).unwrap();
    let version = policy.version().clone();
    specs[2].policy = LivePolicy::fixed(policy);
    let cluster = Cluster::start(folder.path(), specs).await.unwrap();
    let account = cluster.create_account(2, &[0, 1, 2]).await.unwrap();
    let path = format!("/api/v1/accounts/{}/sign", account["account_id"].as_str().unwrap());
    for round in 0..12_u8 {
        let digest = serde_json::json!({ "message": hex::encode([round; 32]) });
        let text = serde_json::json!({ "message": format!("{round}"), "hash": "sha256" });
        for body in [digest, text] {
            let (status, session) = cluster.post(&path, &body).await.unwrap();
            assert_eq!(status, 200, "{session}");
        }
    }
    cluster.stop().await;

    let mut declined = 0;
    for watcher in &watchers {
        let watcher = watcher.borrow();
        assert_eq!(watcher.wrong, Vec::<String>::new());
        for event in ["session_opened", "session_ended", "joined", "outcome_reported"] {
            assert!(watcher.seen[event] > 5, "{:?}", watcher.seen);
        }
        declined += watcher.seen.get("declined").copied().unwrap_or_default();
    }
    assert!(declined > 0, "the third party declines texts");
    let sql = "SELECT policy FROM audit_log WHERE event = 'intent_judged' \
               AND decision = 'declined:not_allowed'";
    let policies = ask(&watchers[2].borrow().party, sql.to_owned());
    assert_eq!((policies.len(), policies[0].as_str()), (declined, version.as_str()));

    let sql = "SELECT actor FROM audit_log WHERE event = 'session_opened' \
               AND detail LIKE '%\"kind\":\"sign\"%'";
    let askers = ask(&watchers[0].borrow().coordinator, sql.to_owned());
    assert_eq!(askers, vec!["api_key:bootstrap"; 24]);

    // Each log, against all the others.
    let report = verify(&logs_in(folder.path()).unwrap(), Vec::new()).await.unwrap();
    assert!(report.is_whole(), "{report:#?}");
    assert!(report.logs.iter().all(|log| !log.agrees_with.is_empty()), "{report:#?}");
}

#[actix_rt::test]
async fn a_coordinator_that_is_restored_from_a_backup_is_noticed_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(folder.path(), vec![server(), server(), server()]).await.unwrap();
    let account = cluster.create_account(2, &[0, 1, 2]).await.unwrap();
    let path = format!("/api/v1/accounts/{}/sign", account["account_id"].as_str().unwrap());
    let sign = async |cluster: &Cluster, byte: u8| {
        let body = serde_json::json!({ "message": hex::encode([byte; 32]) });
        let (status, session) = cluster.post(&path, &body).await.unwrap();
        assert_eq!(status, 200, "{session}");
    };
    sign(&cluster, 0).await;
    let older = tempfile::tempdir().unwrap();
    let backup = older.path().join("coordinator.sqlite");
    ask(&folder.path().join("coordinator.sqlite"), format!("VACUUM INTO '{}'", backup.display()));
    for byte in 1..=9 {
        sign(&cluster, byte).await;
    }
    let cluster = cluster.restart_office(older.path()).await.unwrap();
    cluster.wait_online(3).await.unwrap();
    for byte in 10..=13 {
        sign(&cluster, byte).await;
    }
    cluster.stop().await;

    let mut noticed = 0;
    let mut logs = vec![LogSource::of("coordinator", backup.clone())];
    for party in ["party-1", "party-2", "party-3"] {
        let database = folder.path().join(party).join("vault.sqlite");
        let sql = "SELECT subject FROM audit_log WHERE event = 'audit_head_contradicts'";
        noticed += ask(&database, sql.to_owned()).len();
        logs.push(LogSource::of(party, database));
    }
    assert!(noticed > 0, "no party has noticed");
    let report = verify(&logs, Vec::new()).await.unwrap();
    let coordinator = report.log("coordinator").unwrap();
    let problems: Vec<_> = coordinator.findings.iter().map(|found| found.problem).collect();
    assert!(problems.contains(&Problem::Contradiction), "{coordinator:#?}");
    assert!(
        problems.contains(&Problem::Missing) || problems.contains(&Problem::Rewritten),
        "{coordinator:#?}"
    );
    // The parties' own logs are as they were written.
    assert!(report.logs[1..].iter().all(|log| log.findings.is_empty()), "{report:#?}");
}
