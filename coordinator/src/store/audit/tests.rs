#![allow(clippy::wildcard_enum_match_arm, reason = "test code fails by panicking")]

mod doubt;
mod entered;
mod witnessed;

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

fn head(count: u64, byte: u8) -> Head {
    Head { count, hash: EntryHash::new([byte; 32]) }
}

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
