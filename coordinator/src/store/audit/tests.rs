#![allow(clippy::wildcard_enum_match_arm, reason = "test code fails by panicking")]

use super::*;
use crate::audit::Asker;
use crate::names::Role;
use crate::store::account::{NewAccount, Timings};
use crate::store::idempotency::Claim;
use crate::store::session::{NewSession, Saving};
use crate::store::witnessed::Witnessed;
use crate::store::writer::Written;
use futures_util::future::join_all;
use mpc_session::{Order, Record, Session, SessionEnd};
use mpc_wire::audit::Entry;
use mpc_wire::limits::MAX_AUDIT_TEXT;
use mpc_wire::{
    AccountId, AuxId, DerivationPath, EntryHash, Epoch, HashFunction, Intent, IntentKind, PartyId,
    Payload, PublicKey, RequestId, Scheme, SessionId, Threshold, UnixMillis,
};
use sea_orm::{Database, Statement};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;

/// A database of its own.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("coordinator.sqlite")
    }

    async fn open(&self) -> Store {
        Store::open(&format!("sqlite://{}?mode=rwc", self.file().display())).await.unwrap()
    }

    async fn sql(&self, sql: &str) -> Result<(), DbErr> {
        let db = Database::connect(format!("sqlite://{}", self.file().display())).await.unwrap();
        let done = db.execute_unprepared(sql).await;
        db.close().await.unwrap();
        done.map(drop)
    }

    async fn rows(&self, sql: &str) -> Vec<Vec<String>> {
        let db = Database::connect(format!("sqlite://{}", self.file().display())).await.unwrap();
        let statement = Statement::from_string(db.get_database_backend(), sql);
        let rows = db.query_all_raw(statement).await.unwrap();
        let rows = rows.iter().map(|row| {
            let columns = 0..row.column_names().len();
            columns.map(|at| row.try_get_by_index(at).unwrap()).collect()
        });
        let rows = rows.collect();
        db.close().await.unwrap();
        rows
    }

    /// The events, with decision and subject, after the chain was checked from its first entry on.
    async fn entries(&self) -> Vec<Entry> {
        let sql = "SELECT CAST(number AS TEXT), CAST(at AS TEXT), event, actor, subject, decision, \
                   policy, detail, hash FROM audit_log ORDER BY number";
        let mut before = Head::EMPTY;
        let mut entries = Vec::new();
        for row in self.rows(sql).await {
            let [number, at, event, actor, subject, decision, policy, detail, hash] =
                row.try_into().unwrap();
            let number = number.parse().unwrap();
            let at = UnixMillis(at.parse().unwrap());
            let entry = Entry { number, at, event, actor, subject, decision, policy, detail };
            assert_eq!(entry.number, before.count + 1);
            before = Head { count: entry.number, hash: entry.hash(&before.hash) };
            assert_eq!(hash, before.hash.to_string());
            entries.push(entry);
        }
        entries
    }
}

fn parties() -> BTreeSet<PartyId> {
    (0..3).map(|_| Identity::generate().party()).collect()
}

async fn register(store: &Store, parties: &BTreeSet<PartyId>) {
    for party in parties {
        store.register_party(*party, Role::Server, "").await.unwrap();
    }
}

fn record(kind: IntentKind) -> Record {
    let eligible = parties();
    let intent = Intent {
        session: SessionId::generate(),
        request: RequestId::generate(),
        eligible: eligible.clone(),
        expires_at: UnixMillis(u64::from(u32::MAX) * 1000),
        kind,
    };
    let now = Clock::start().now();
    let order = Order {
        intent,
        aux_id: Some(AuxId::new([7; 32])),
        deadline: now.after(60_000),
        online: eligible.into_iter().collect(),
    };
    Session::open(order, now).0.record()
}

fn aux() -> Record {
    record(IntentKind::Aux { scheme: Scheme::EcdsaCggmp24 })
}

fn new(record: Record) -> NewSession {
    let asker = Asker::Operator;
    NewSession { record, created_at: UnixMillis(1), account: None, claim: None, asker }
}

fn ended(record: &Record) -> Saving {
    let record = Record { end: Some(SessionEnd::Cancelled), ..record.clone() };
    Saving { record, created_at: UnixMillis(1), at: UnixMillis(2) }
}

fn events(entries: &[Entry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.event.as_str()).collect()
}

#[actix_web::test]
async fn who_asked_for_what_and_what_came_of_it_is_entered() {
    let folder = Folder::new();
    let store = folder.open().await;
    store.keep_audit(Identity::generate()).await.unwrap();
    let account = AccountId::generate();
    let (scheme, threshold) = (Scheme::EcdsaCggmp24, Threshold(2));
    let keygen = record(IntentKind::Keygen { account, scheme, threshold });
    let user_id = "a name that is nobody's business".to_owned();
    let holders = keygen.intent.eligible.clone();
    register(&store, &holders).await;
    let order = NewSession {
        account: Some(NewAccount { id: account, user_id, scheme, threshold, holders }),
        ..new(keygen.clone())
    };
    assert_eq!(store.open_session(order).await.unwrap(), Written::Stored);
    store.save_session(ended(&keygen)).await.unwrap();
    store.activate_account(account, Timings::default()).await.unwrap();
    store.close().await.unwrap();

    let entries = folder.entries().await;
    let expected = [
        "coordinator_started",
        "party_registered",
        "party_registered",
        "party_registered",
        "account_created",
        "session_opened",
        "account_failed",
        "session_ended",
    ];
    assert_eq!(events(&entries), expected, "an account that failed is not activated");
    let opened = &entries[5];
    assert_eq!(opened.actor, "operator");
    assert_eq!(opened.subject, keygen.intent.session.to_string());
    assert!(opened.detail.contains(&keygen.intent.hash().to_string()), "{opened:?}");
    assert!(opened.detail.contains(&account.to_string()), "{opened:?}");
    assert_eq!(entries[7].decision, "cancelled");
}

#[actix_web::test]
async fn what_was_not_stored_is_not_entered_and_takes_nobody_with_it() {
    let folder = Folder::new();
    let store = folder.open().await;
    let (first, other) = (aux(), aux());
    store.open_session(new(first.clone())).await.unwrap();
    let claim = Claim { key: "once".into(), path: "/".into(), body_hash: [0; 32] };
    let with_claim = |record: Record| NewSession { claim: Some(claim.clone()), ..new(record) };
    store.open_session(with_claim(other)).await.unwrap();
    // In one batch: a session that exists, a key that is taken, and some that are fine.
    let fine: Vec<_> = (0..5).map(|_| aux()).collect();
    let mut writes: Vec<_> = fine.iter().map(|record| new(record.clone())).collect();
    writes.insert(2, new(first));
    writes.push(with_claim(aux()));
    let written = join_all(writes.into_iter().map(|write| store.open_session(write))).await;
    let written: Vec<_> = written.into_iter().map(Result::unwrap).collect();
    assert_eq!(written.iter().filter(|written| **written == Written::Stored).count(), 5);
    assert!(written.contains(&Written::SessionExists) && written.contains(&Written::KeyTaken));
    store.save_session(ended(&fine[0])).await.unwrap();
    assert!(store.save_session(ended(&fine[0])).await.is_err());
    let entries = folder.entries().await;
    assert_eq!(entries.len(), 2 + 5 + 1);
    assert_eq!(facts_without_entries(&folder).await, (0, 0));
}

/// Sessions without their entry, and entries without their session.
async fn facts_without_entries(folder: &Folder) -> (usize, usize) {
    // In one statement, for one view: what was under way when a test's runtime ended may still be
    // committed.
    let compare = async |facts: &str, entries: &str| {
        let sql =
            format!("SELECT 'fact', * FROM ({facts}) UNION ALL SELECT 'entry', * FROM ({entries})");
        let rows = folder.rows(&sql).await;
        let set = |kind: &str| -> BTreeSet<String> {
            rows.iter().filter(|row| row[0] == kind).map(|row| row[1].clone()).collect()
        };
        let (facts, entries) = (set("fact"), set("entry"));
        (facts.difference(&entries).count(), entries.difference(&facts).count())
    };
    let opened = compare(
        "SELECT session_id FROM sessions",
        "SELECT subject FROM audit_log WHERE event = 'session_opened'",
    )
    .await;
    let ended = compare(
        "SELECT session_id FROM sessions WHERE state <> 'running'",
        "SELECT subject FROM audit_log WHERE event = 'session_ended'",
    )
    .await;
    (opened.0 + ended.0, opened.1 + ended.1)
}

#[actix_web::test]
async fn writes_at_once_leave_no_gap_and_heads_that_only_grow() {
    let folder = Folder::new();
    let store = folder.open().await;
    store.keep_audit(Identity::generate()).await.unwrap();
    let session = async |n: usize| {
        let record = aux();
        let before = store.audit_head().unwrap().head.count;
        store.open_session(new(record.clone())).await.unwrap();
        let between = store.audit_head().unwrap().head.count;
        match n % 3 {
            0 => store.save_session(ended(&record)).await.unwrap(),
            1 => store
                .note(audit::cancel_asked(record.intent.session, &Asker::Operator))
                .await
                .unwrap(),
            // Past the writer's queue.
            _ => {
                let mut writing = store.begin().await.unwrap();
                writing.enter(audit::cancel_asked(record.intent.session, &Asker::Coordinator));
                writing.commit().await.unwrap();
            }
        }
        let after = store.audit_head().unwrap().head.count;
        assert!(before < between && between < after, "shown once it is durable");
    };
    join_all((0..300).map(session)).await;
    let newest = store.audit_head().unwrap();
    newest.verify().unwrap();
    let entries = folder.entries().await;
    assert_eq!((entries.len(), newest.head.count), (601, 601));
    assert_eq!(facts_without_entries(&folder).await, (0, 0));
}

/// Ends everything that runs at some moment, as a crash would, and looks what is there.
#[test]
fn a_crash_between_write_and_answer_leaves_entry_and_fact_together() {
    let mut sessions = 0;
    for round in 0..30_u32 {
        let folder = Folder::new();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let store = folder.open().await;
            let work = async |_: u32| {
                let record = aux();
                store.open_session(new(record.clone())).await.unwrap();
                store.save_session(ended(&record)).await.unwrap();
            };
            let all = join_all((0..50).map(work));
            let moment = Duration::from_micros(u64::from(round) * 700);
            tokio::time::timeout(moment, all).await.ok();
        });
        // Without a word to the tasks: the writer's answers are lost.
        runtime.shutdown_background();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let store = folder.open().await;
            assert_eq!(facts_without_entries(&folder).await, (0, 0), "round {round}");
            sessions += folder.entries().await.len();
            store.open_session(new(aux())).await.unwrap();
            folder.entries().await;
        });
    }
    assert!(sessions > 0, "no write came through before its crash");
}

#[actix_web::test]
async fn rows_are_neither_changed_nor_deleted_by_mistake() {
    let folder = Folder::new();
    let store = folder.open().await;
    store.open_session(new(aux())).await.unwrap();
    let triggers = [
        "UPDATE audit_log SET actor = 'nobody'",
        "DELETE FROM audit_log",
        "DELETE FROM audit_log WHERE number = 1",
    ];
    for sql in triggers {
        let error = folder.sql(sql).await.unwrap_err().to_string();
        assert!(error.contains("append-only"), "{sql}: {error}");
    }
    assert_eq!(folder.entries().await.len(), 1);
}

/// Lets a test do what the database refuses.
const FREE: &str = "DROP TRIGGER audit_log_is_never_changed; DROP TRIGGER audit_log_is_never_cut;";

async fn start(folder: &Folder) -> Store {
    let store = folder.open().await;
    store.keep_audit(Identity::from_seed(&[3; 32])).await.unwrap();
    store
}

/// The faults that were entered.
async fn doubts(folder: &Folder) -> Vec<String> {
    let sql = "SELECT decision FROM audit_log WHERE event = 'audit_log_in_doubt' ORDER BY number";
    folder.rows(sql).await.concat()
}

/// A log of three entries, tampered with while the coordinator was down; the head of it.
async fn tampered(sql: &str) -> (Folder, Head) {
    let folder = Folder::new();
    let store = start(&folder).await;
    store.open_session(new(aux())).await.unwrap();
    store.open_session(new(aux())).await.unwrap();
    let before = store.audit_head().unwrap().head;
    store.close().await.unwrap();
    folder.sql(&format!("{FREE}{sql}")).await.unwrap();
    (folder, before)
}

#[actix_web::test]
async fn a_log_that_is_not_as_it_was_left_is_told_at_the_next_start() {
    struct Case(&'static str, &'static [&'static str], Evidence);
    #[derive(PartialEq)]
    enum Evidence {
        Kept,
        None,
    }
    let cases = [
        Case("", &[], Evidence::None),
        Case("DELETE FROM audit_log WHERE number = 3;", &["cut"], Evidence::Kept),
        Case("DELETE FROM audit_log;", &["cut"], Evidence::Kept),
        Case(
            "UPDATE audit_log SET hash = substr(hash, 2) || '0' WHERE number = 3;",
            &["rewritten"],
            Evidence::Kept,
        ),
        Case("UPDATE audit_head SET count = 2;", &["head_not_signed"], Evidence::Kept),
        Case("DELETE FROM audit_head;", &["head_lost"], Evidence::None),
        Case("UPDATE audit_head SET hash = 'none';", &["head_unreadable"], Evidence::None),
        Case("UPDATE audit_head SET keeper = 'nobody';", &["head_unreadable"], Evidence::None),
        Case("UPDATE audit_head SET signature = '00';", &["head_unreadable"], Evidence::None),
        Case(
            "UPDATE audit_log SET hash = 'none' WHERE number = 3;",
            &["end_unreadable", "rewritten"],
            Evidence::Kept,
        ),
        Case(
            "UPDATE audit_log SET hash = '' WHERE number = 3; DELETE FROM audit_head;",
            &["end_unreadable", "head_lost"],
            Evidence::None,
        ),
    ];
    for Case(sql, faults, expected) in cases {
        let (folder, before) = tampered(sql).await;
        let store = start(&folder).await;
        assert_eq!(doubts(&folder).await, faults, "{sql}");
        let evidence =
            folder.rows("SELECT hash FROM witnessed_heads WHERE place > 0").await.concat();
        let expected = (expected == Evidence::Kept).then(|| before.hash.to_string());
        assert_eq!(evidence, Vec::from_iter(expected), "{sql}");
        if faults == ["cut"] {
            // The numbers are not given again: the gap stays.
            let numbers = folder.rows("SELECT CAST(number AS TEXT) FROM audit_log").await.concat();
            assert!(
                !numbers.contains(&"3".to_owned()) && numbers.contains(&"4".to_owned()),
                "{numbers:?}"
            );
        }
        // Work goes on, and what was told is not told again.
        store.open_session(new(aux())).await.unwrap();
        store.close().await.unwrap();
        start(&folder).await.audit_head().unwrap().verify().unwrap();
        assert_eq!(doubts(&folder).await, faults, "{sql}");
    }
}

#[actix_web::test]
async fn a_head_that_cannot_be_read_is_entered_as_it_was_found() {
    let (folder, before) = tampered("UPDATE audit_head SET signature = 'scrawl';").await;
    start(&folder).await;
    let details = "SELECT detail FROM audit_log WHERE event = 'audit_log_in_doubt'";
    let detail = folder.rows(details).await.concat().remove(0);
    for found in ["scrawl", &before.hash.to_string(), "\"count\":3"] {
        assert!(detail.contains(found), "{found}: {detail}");
    }
}

/// A node registers its parties before its coordinator starts.
#[actix_web::test]
async fn whoever_writes_first_behind_an_unreadable_end_tells_of_it() {
    let (folder, _) = tampered("UPDATE audit_log SET hash = 'none' WHERE number = 3;").await;
    let store = folder.open().await;
    register(&store, &parties()).await;
    assert_eq!(doubts(&folder).await, ["end_unreadable"]);
    store.keep_audit(Identity::from_seed(&[3; 32])).await.unwrap();
    assert_eq!(doubts(&folder).await, ["end_unreadable", "rewritten"]);
}

#[actix_web::test]
async fn entries_from_before_the_first_start_need_no_head() {
    let folder = Folder::new();
    let store = folder.open().await;
    register(&store, &parties()).await;
    store.close().await.unwrap();
    start(&folder).await;
    assert_eq!(doubts(&folder).await, Vec::<String>::new());
}

#[actix_web::test]
async fn another_secret_is_another_keeper_and_told() {
    let folder = Folder::new();
    let store = folder.open().await;
    store.keep_audit(Identity::generate()).await.unwrap();
    store.keep_audit(Identity::generate()).await.unwrap();
    let entries = folder.entries().await;
    let expected = ["coordinator_started", "audit_log_in_doubt", "coordinator_started"];
    assert_eq!(events(&entries), expected);
    assert_eq!(entries[1].decision, "another_keeper");
}

fn head(count: u64, byte: u8) -> Head {
    Head { count, hash: EntryHash::new([byte; 32]) }
}

#[actix_web::test]
async fn the_newest_head_of_each_party_is_kept_and_what_contradicts_it() {
    let folder = Folder::new();
    let store = folder.open().await;
    let (party, other) = (Identity::generate(), Identity::generate());
    let show = |store: &Store, head| store.witness(party.party(), &SignedHead::sign(&party, head));
    assert_eq!(show(&store, head(5, 1)), Witnessed::Taken);
    assert_eq!(show(&store, head(5, 1)), Witnessed::Taken);
    assert_eq!(show(&store, head(9, 2)), Witnessed::Taken, "a count that jumps is fine");
    let foreign = SignedHead::sign(&other, head(1, 1));
    assert_eq!(store.witness(party.party(), &foreign), Witnessed::NotItsHead);
    let altered = SignedHead { head: head(10, 1), ..SignedHead::sign(&party, head(9, 2)) };
    assert_eq!(store.witness(party.party(), &altered), Witnessed::NotItsHead);
    // Stored with whatever is written next.
    let kept = "SELECT CAST(count AS TEXT) FROM witnessed_heads ORDER BY place, count";
    assert_eq!(folder.rows(kept).await.concat(), Vec::<String>::new());
    store.open_session(new(aux())).await.unwrap();
    assert_eq!(folder.rows(kept).await.concat(), ["9"]);

    for wrong in [head(8, 2), head(9, 3), head(8, 2)] {
        assert_eq!(show(&store, wrong), Witnessed::Contradicts);
        store.keep_evidence(SignedHead::sign(&party, wrong)).await.unwrap();
    }
    assert_eq!(show(&store, head(11, 4)), Witnessed::Taken);
    store.close().await.unwrap();
    assert_eq!(folder.rows(kept).await.concat(), ["11", "8", "9"], "at the latest when it closes");
    let entries = folder.entries().await;
    assert_eq!(events(&entries)[1..], ["audit_head_contradicts"; 2], "each once");

    let store = folder.open().await;
    assert_eq!(show(&store, head(10, 4)), Witnessed::Contradicts, "remembered");
    assert_eq!(show(&store, head(12, 5)), Witnessed::Taken);
    // Who forges without end does not fill the database.
    for count in 0..100 {
        let wrong = SignedHead::sign(&party, head(1, count));
        assert_eq!(store.witness(party.party(), &wrong), Witnessed::Contradicts);
        store.keep_evidence(wrong).await.unwrap();
    }
    assert_eq!(folder.rows(kept).await.len(), 1 + 16);
    assert_eq!(folder.entries().await.len(), 1 + 16);
}

#[actix_web::test]
async fn entries_are_bounded_and_hold_nothing_of_what_is_signed() {
    const PLANTED: &str = "planted-secret-b1946ac9";
    let folder = Folder::new();
    let store = folder.open().await;
    let account = AccountId::generate();
    let sign = record(IntentKind::Sign {
        account,
        epoch: Epoch(1),
        scheme: Scheme::EcdsaCggmp24,
        threshold: Threshold(2),
        public_key: PublicKey::new([2; 33]),
        path: DerivationPath::default(),
        payload: Payload::Bytes {
            bytes: PLANTED.repeat(100).into_bytes(),
            hash: HashFunction::Sha256,
        },
        authorization: None,
    });
    let user_id = PLANTED.to_owned();
    let (scheme, threshold) = (Scheme::EcdsaCggmp24, Threshold(2));
    let holders = sign.intent.eligible.clone();
    register(&store, &holders).await;
    let order = NewSession {
        account: Some(NewAccount { id: account, user_id, scheme, threshold, holders }),
        ..new(sign.clone())
    };
    store.open_session(order).await.unwrap();
    store.save_session(ended(&sign)).await.unwrap();
    let long = Note { event: "test", detail: "ä".repeat(MAX_AUDIT_TEXT), ..Note::default() };
    store.note(long).await.unwrap();
    let entries = folder.entries().await;
    assert_eq!(entries.len(), 3 + 4);
    let planted = [PLANTED.to_owned(), hex::encode(PLANTED)];
    for entry in &entries {
        let Entry { event, actor, subject, decision, policy, detail, .. } = entry;
        for text in [event, actor, subject, decision, policy, detail] {
            assert!(text.len() <= MAX_AUDIT_TEXT);
            assert!(planted.iter().all(|planted| !text.contains(planted)), "{entry:?}");
        }
    }
    assert_eq!(entries[6].detail.len(), MAX_AUDIT_TEXT);
}
