//! The vault keeps what it is given, and refuses whatever was tampered with.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod files;
mod keys;
mod leaks;
mod rotation;
mod storing;
mod tampering;

use mpc_engine::SecretBytes;
use mpc_pending::Record;
use mpc_pending::record::{StoredConsent, StoredProgress};
use mpc_wire::{
    AccountId, Attempt, AuxId, Epoch, Intent, IntentKind, PlanHash, PublicKey, RequestId, Scheme,
    SessionId, SharesHash, Threshold, UnixMillis,
};
use party_runtime::vault::{AuxRecord, Kind, ShareRecord};
use party_runtime::{KeySource, Vault, VaultError};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, Statement};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use zeroize::Zeroizing;

const SECRET: &[u8] = b"a share that must not lie open on disk";

/// A folder with the place for a vault in it.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn vault(&self) -> PathBuf {
        self.path().join("vault.sqlite")
    }

    /// Another folder with copies of the vault's files. The vault must be closed.
    fn copy(&self) -> Self {
        let copy = Self::new();
        for entry in std::fs::read_dir(self.path()).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
        }
        copy
    }

    async fn create(&self, digit: char) -> Vault {
        Vault::create(&self.vault(), &key(digit)).await.unwrap()
    }

    async fn open(&self, digit: char) -> Result<Vault, VaultError> {
        Vault::open(&self.vault(), &key(digit)).await
    }
}

fn key(digit: char) -> KeySource {
    KeySource::Hex(Zeroizing::new(digit.to_string().repeat(64)))
}

fn share(vault: &Vault) -> ShareRecord {
    ShareRecord {
        session: SessionId::generate(),
        plan: PlanHash::new([0x91; 32]),
        public_shares: SharesHash::new([0x92; 32]),
        scheme: Scheme::EcdsaCggmp24,
        threshold: Threshold(2),
        holders: BTreeSet::from([vault.party()]),
        public_key: PublicKey::new([2; 33]),
        share: SecretBytes::new(SECRET.to_vec()),
    }
}

fn aux(vault: &Vault) -> AuxRecord {
    AuxRecord {
        scheme: Scheme::EcdsaCggmp24,
        parties: BTreeSet::from([vault.party()]),
        secret: SecretBytes::new(SECRET.to_vec()),
    }
}

fn session(session: SessionId) -> Record {
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

/// What [`fill`] stores: two of everything.
#[derive(Clone, Copy)]
struct Names {
    accounts: [AccountId; 2],
    aux: [AuxId; 2],
    sessions: [SessionId; 2],
}

const BANS: [&str; 2] = ["0011", "2233"];
const FLOORS: [&str; 2] = ["account-1", "account-2"];

/// Fills a vault with two records of each kind.
async fn fill(vault: &Vault) -> Names {
    let names = Names {
        accounts: [AccountId::generate(), AccountId::generate()],
        aux: [AuxId::new([1; 32]), AuxId::new([2; 32])],
        sessions: [SessionId::generate(), SessionId::generate()],
    };
    for account in names.accounts {
        vault.store_share(account, Epoch(1), &share(vault)).await.unwrap();
    }
    for id in names.aux {
        vault.store_aux(id, &aux(vault)).await.unwrap();
    }
    for ban in BANS {
        vault.put_record(Kind::Ban, ban, Epoch(0), &"cheated").await.unwrap();
    }
    for floor in FLOORS {
        vault.put_record(Kind::Floor, floor, Epoch(0), &7_u32).await.unwrap();
    }
    vault.store_sessions(&names.sessions.map(session), &[]).await.unwrap();
    names
}

/// Reads everything that [`fill`] stored; the first refusal, if any, or what is missing.
async fn read_all(vault: &Vault, names: &Names) -> Result<(), VaultError> {
    for account in names.accounts {
        let share = vault.share(account, Epoch(1)).await?.expect("the share is there");
        assert_eq!(share.share.expose(), SECRET);
    }
    for id in names.aux {
        let aux = vault.aux(id).await?.expect("the aux part is there");
        assert_eq!(aux.secret.expose(), SECRET);
    }
    for ban in BANS {
        let ban: Option<String> = vault.read_record(Kind::Ban, ban, Epoch(0)).await?;
        assert_eq!(ban.as_deref(), Some("cheated"));
    }
    for floor in FLOORS {
        assert_eq!(vault.read_record(Kind::Floor, floor, Epoch(0)).await?, Some(7_u32));
    }
    let sessions = vault.sessions().await?;
    assert_eq!(sessions.len(), 2);
    assert!(sessions.iter().all(|record| names.sessions.contains(&record.intent.session)));
    Ok(())
}

/// The vault's file, opened behind the vault's back.
async fn raw(path: &Path) -> DatabaseConnection {
    Database::connect(format!("sqlite://{}", path.display())).await.unwrap()
}

/// Changes the vault's file behind the vault's back.
async fn tamper(path: &Path, sql: &str) {
    let db = raw(path).await;
    let statement = Statement::from_string(db.get_database_backend(), sql);
    let done = db.execute_raw(statement).await.unwrap();
    assert!(done.rows_affected() > 0, "the test must change something: {sql}");
    db.close().await.unwrap();
}

/// Every text column of a query, of every row.
async fn query(path: &Path, sql: &str) -> Vec<Vec<Option<String>>> {
    let db = raw(path).await;
    let rows =
        db.query_all_raw(Statement::from_string(db.get_database_backend(), sql)).await.unwrap();
    let columns = |row: &sea_orm::QueryResult| row.column_names().len();
    let rows = rows
        .iter()
        .map(|row| (0..columns(row)).map(|at| row.try_get_by_index(at).unwrap()).collect())
        .collect();
    db.close().await.unwrap();
    rows
}
