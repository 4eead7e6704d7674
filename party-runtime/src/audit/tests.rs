#![allow(clippy::wildcard_enum_match_arm, reason = "test code fails by panicking")]

use super::*;
use crate::audit::log::end;
use crate::vault::{KeySource, ShareRecord};
use mpc_engine::SecretBytes;
use mpc_pending::Launch;
use mpc_pending::record::{StoredConsent, StoredProgress};
use mpc_wire::audit::{Entry, Head};
use mpc_wire::limits::MAX_AUDIT_TEXT;
use mpc_wire::{
    AccountId, Attempt, AttemptFailure, AttemptOutcome, AttemptPlan, AuxId, DeclineReason,
    EntryHash, FailureKind, Identity, Intent, IntentKind, Nonce, Objection, PartySignature,
    PlanHash, PublicKey, RequestId, Scheme, SharesHash, SignedJoin, Threshold, UnixMillis,
};
use sea_orm::{ConnectionTrait, Database, DbErr, Statement};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use zeroize::Zeroizing;

mod witnessed;

const SECRET: &[u8] = b"planted-share-7f3a9c";

/// A party's folder.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("vault.sqlite")
    }

    async fn open(&self) -> Vault {
        let key = KeySource::Hex(Zeroizing::new("0a".repeat(32)));
        Vault::open_or_create(&self.file(), &key).await.unwrap()
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

    /// The entries, after the chain was checked from the first on.
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

    async fn numbers(&self) -> Vec<String> {
        self.rows("SELECT CAST(number AS TEXT) FROM audit_log ORDER BY number").await.concat()
    }
}

fn record(session: SessionId) -> Record {
    Record {
        intent: Intent {
            session,
            request: RequestId::generate(),
            eligible: BTreeSet::new(),
            expires_at: UnixMillis(0),
            kind: IntentKind::Aux { scheme: Scheme::EcdsaCggmp24 },
        },
        consent: StoredConsent::Approved,
        floor: Attempt(1),
        progress: StoredProgress::Idle,
    }
}

fn note(subject: impl std::fmt::Display) -> Note {
    Note { event: "test", subject: subject.to_string(), ..Note::default() }
}

fn with_notes(notes: Vec<Note>) -> Unstored {
    Unstored { notes, ..Unstored::default() }
}

fn events(entries: &[Entry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.event.as_str()).collect()
}

#[tokio::test]
async fn an_entry_and_what_it_is_about_are_one_commit() {
    let folder = Folder::new();
    let vault = folder.open().await;
    let session = SessionId::generate();
    store(&vault, &[record(session)], &[], with_notes(vec![note(session)])).await.unwrap();
    let mut dropped = vault.begin().await.unwrap();
    dropped.put(Kind::Floor, "x", Epoch(0), &1_u32).await.unwrap();
    dropped.enter(note("never"));
    drop(dropped);
    let share = ShareRecord {
        session,
        plan: PlanHash::new([0x91; 32]),
        public_shares: SharesHash::new([0x92; 32]),
        scheme: Scheme::EcdsaCggmp24,
        threshold: Threshold(2),
        holders: BTreeSet::from([vault.party()]),
        public_key: PublicKey::new([2; 33]),
        share: SecretBytes::new(SECRET.to_vec()),
    };
    let account = AccountId::generate();
    vault.store_share(account, Epoch(1), &share).await.unwrap();
    let entries = folder.entries().await;
    assert_eq!(events(&entries), ["test", "share_stored"]);
    assert_eq!(entries[1].subject, account.to_string());
    let head = vault.audit_head();
    assert_eq!(head.count, 2);
    assert_eq!(folder.open().await.audit_head(), head, "it is sealed");
}

#[tokio::test]
async fn entries_at_once_leave_no_gap() {
    let folder = Folder::new();
    let vault = folder.open().await;
    // Another handle, as a command beside the running party has one.
    let other = folder.open().await;
    let enter = async |n: usize| {
        let vault = if n.is_multiple_of(7) { &other } else { &vault };
        let notes = (0..n % 4).map(note).collect();
        store(vault, &[record(SessionId::generate())], &[], with_notes(notes)).await.unwrap();
        vault.enter(note(n)).await.unwrap();
    };
    futures_util::future::join_all((0..100).map(enter)).await;
    let entries = folder.entries().await;
    assert_eq!(entries.len(), 100 + 25 * 6);
    assert!(entries.iter().all(|entry| entry.event == "test"), "nothing is in doubt");
}

/// Ends everything that runs at some moment, as a crash would, and looks what is there.
#[test]
fn a_crash_leaves_entry_and_fact_together() {
    let mut found = 0;
    for round in 0..20_u32 {
        let folder = Folder::new();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let vault = folder.open().await;
            let work = async {
                for n in 0..50 {
                    vault.put_record(Kind::Floor, "before", Epoch(0), &n).await.unwrap();
                    let mut both = vault.begin().await.unwrap();
                    both.put(Kind::Floor, &format!("{n}"), Epoch(0), &n).await.unwrap();
                    both.enter(note(n));
                    both.commit().await.unwrap();
                }
            };
            let moment = Duration::from_micros(u64::from(round) * 900);
            tokio::time::timeout(moment, work).await.ok();
        });
        runtime.shutdown_background();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let vault = folder.open().await;
            let entries = folder.entries().await;
            let sql = "SELECT name FROM sealed_records WHERE kind = 'floor' AND name <> 'before'";
            let facts: BTreeSet<_> = folder.rows(sql).await.concat().into_iter().collect();
            let entered: BTreeSet<_> = entries.into_iter().map(|entry| entry.subject).collect();
            assert_eq!(facts, entered, "round {round}");
            found += facts.len();
            vault.enter(note("afterwards")).await.unwrap();
            assert_eq!(folder.entries().await.len(), facts.len() + 1);
        });
    }
    assert!(found > 0, "no write came through before its crash");
}

#[tokio::test]
async fn rows_are_neither_changed_nor_deleted_by_mistake() {
    let folder = Folder::new();
    folder.open().await.enter(note(1)).await.unwrap();
    for sql in ["UPDATE audit_log SET actor = 'nobody'", "DELETE FROM audit_log"] {
        let error = folder.sql(sql).await.unwrap_err().to_string();
        assert!(error.contains("append-only"), "{sql}: {error}");
    }
}

#[tokio::test]
async fn a_log_that_is_not_as_it_was_left_is_told_with_the_next_entry() {
    const FREE: &str =
        "DROP TRIGGER audit_log_is_never_changed; DROP TRIGGER audit_log_is_never_cut;";
    let append = "INSERT INTO audit_log SELECT 4, at, event, actor, subject, decision, policy, \
                  detail, hash FROM audit_log WHERE number = 3";
    let cases = [
        ("", None, "1 2 3 4"),
        ("DELETE FROM audit_log WHERE number = 3", Some("cut"), "1 2 4 5"),
        ("DELETE FROM audit_log", Some("cut"), "4 5"),
        ("UPDATE audit_log SET hash = 'x' WHERE number = 3", Some("rewritten"), "1 2 3 4 5"),
        (append, Some("appended"), "1 2 3 4 5 6"),
    ];
    for (sql, fault, numbers) in cases {
        for is_running in [true, false] {
            let folder = Folder::new();
            let mut vault = folder.open().await;
            for n in 1..=3 {
                vault.enter(note(n)).await.unwrap();
            }
            if !is_running {
                vault.close().await.unwrap();
            }
            folder.sql(&format!("{FREE}{sql}")).await.unwrap();
            if !is_running {
                vault = folder.open().await;
            }
            vault.enter(note("next")).await.unwrap();
            let found =
                folder.rows("SELECT decision FROM audit_log WHERE event = 'audit_log_in_doubt'");
            assert_eq!(found.await.concat().first().map(String::as_str), fault, "{sql}");
            let kept = folder.rows("SELECT keeper FROM witnessed_heads WHERE place > 0").await;
            assert_eq!(kept.len(), usize::from(fault.is_some()), "{sql}");
            if fault.is_some() || sql.is_empty() {
                assert_eq!(folder.numbers().await.join(" "), numbers, "{sql}");
            }
            let goes_on = folder.open().await.audit_head();
            assert_eq!(goes_on, vault.audit_head(), "{sql}");
            vault.enter(note("and on")).await.unwrap();
        }
    }
}

fn head(count: u64, byte: u8) -> Head {
    Head { count, hash: EntryHash::new([byte; 32]) }
}

fn join() -> SignedJoin {
    SignedJoin::sign(&Identity::generate(), PlanHash::new([1; 32]), Nonce::new([2; 32]), [3; 32])
}

#[test]
fn what_is_repeated_is_entered_once() {
    let (session, other) = (SessionId::generate(), SessionId::generate());
    let join = |session, attempt| Effect::SendJoin {
        session,
        attempt: Attempt(attempt),
        join: Box::new(join()),
    };
    let report = |attempt| Effect::Report {
        session,
        attempt: Attempt(attempt),
        outcome: Box::new(AttemptOutcome::Aux { aux_id: AuxId::new([1; 32]) }),
    };
    let mut auditor = Auditor::default();
    let mut enter = |effects: Vec<Effect>| -> Vec<&str> {
        let notes = auditor.take(&effects.into()).notes;
        notes.into_iter().map(|note| note.event).collect()
    };
    assert_eq!(enter(vec![join(session, 1), join(session, 1)]), ["joined"]);
    assert_eq!(enter(vec![join(session, 1), report(1)]), ["outcome_reported"]);
    assert_eq!(enter(vec![report(1), join(session, 2), join(other, 1)]), ["joined"; 2]);
    // A late word on an attempt that was reported with a newer one.
    assert_eq!(enter(vec![report(2), report(1)]), ["outcome_reported"]);
    assert!(enter(vec![Effect::Over(session), Effect::Forget(session)]).is_empty());

    // What was stored before a restart was entered then.
    let plan = AttemptPlan {
        session,
        intent_hash: mpc_wire::IntentHash::new([1; 32]),
        attempt: Attempt(4),
        quorum: BTreeSet::new(),
        aux_id: None,
    };
    let progress = StoredProgress::Launched { plan, join: super::tests::join() };
    let stored = Record { progress, ..record(session) };
    let mut auditor = Auditor::default();
    auditor.restore(Witness::default(), &[stored]);
    let entered = auditor.take(&vec![join(session, 4), join(session, 5)].into()).notes;
    assert_eq!(entered.len(), 1);
    assert!(entered[0].detail.contains("\"attempt\":5"), "{entered:?}");
}

#[test]
fn every_effect_that_leaves_is_entered_before_and_no_text_is_too_long() {
    let session = SessionId::generate();
    let quorum: BTreeSet<_> = (0..20).map(|_| Identity::generate().party()).collect();
    let plan = AttemptPlan {
        session,
        intent_hash: record(session).intent.hash(),
        attempt: Attempt(1),
        quorum: quorum.clone(),
        aux_id: None,
    };
    let secret = mpc_pending::AttemptSecret::new([0x5e; 32]);
    let launch = Launch { intent: record(session).intent, plan, joins: BTreeMap::new(), secret };
    let failure = AttemptFailure {
        kind: FailureKind::PeerMisbehaved,
        guilty: quorum,
        detail: String::from_utf8(SECRET.to_vec()).unwrap(),
    };
    let attempt = Attempt(1);
    let effects = vec![
        Effect::SendRequest(Box::new(record(session).intent)),
        Effect::SendJoin { session, attempt, join: Box::new(join()) },
        Effect::SendDecline { session, attempt, reason: DeclineReason::NoShare },
        Effect::Object { session, attempt, objection: Objection::WrongJoins },
        Effect::Launch(Box::new(launch)),
        Effect::Report { session, attempt, outcome: Box::new(AttemptOutcome::Failed(failure)) },
    ];
    let mut auditor = Auditor::default();
    for effect in &effects {
        assert!(auditor.journal.concerns(effect), "{effect:?}");
    }
    let notes = auditor.take(&effects.into()).notes;
    let events: Vec<_> = notes.iter().map(|note| note.event).collect();
    let expected =
        ["session_requested", "joined", "declined", "objected", "launched", "outcome_reported"];
    assert_eq!(events, expected);
    let decisions: Vec<_> = notes.iter().map(|note| note.decision.as_str()).collect();
    assert_eq!(decisions, ["", "", "no_share", "wrong_joins", "", "failed"]);
    for Note { subject, detail, .. } in notes {
        assert_eq!(subject, session.to_string());
        assert!(detail.len() < MAX_AUDIT_TEXT, "{detail}");
        assert!(serde_json::from_str::<serde_json::Value>(&detail).is_ok(), "{detail}");
        for secret in [hex::encode(SECRET), "5e".repeat(32)] {
            assert!(!detail.contains(&secret));
        }
        assert!(!detail.contains("planted-share"), "details of failures are for the log: {detail}");
    }
}

/// Run by name, for figures: what the log adds to a commit of a party.
#[tokio::test]
#[ignore = "prints figures"]
async fn what_an_entry_costs() {
    const COMMITS: u32 = 2000;
    for (what, sessions, notes) in [
        ("one session, no entry", 1, 0),
        ("one session, one entry", 1, 1),
        ("one session, two entries", 1, 2),
        ("32 sessions, no entry", 32, 0),
        ("32 sessions, 32 entries", 32, 32),
    ] {
        let folder = Folder::new();
        let vault = folder.open().await;
        let records: Vec<_> = (0..sessions).map(|_| record(SessionId::generate())).collect();
        let started = Instant::now();
        for _ in 0..COMMITS / sessions {
            let notes = (0..notes).map(note).collect();
            store(&vault, &records, &[], with_notes(notes)).await.unwrap();
        }
        let each = started.elapsed() / (COMMITS / sessions);
        println!("{what}: {each:?} a commit");
        assert_eq!(end(vault.database()).await.unwrap().count > 0, notes > 0);
    }
}
