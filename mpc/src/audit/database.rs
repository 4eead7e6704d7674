//! What is read of a coordinator's or a party's database, without writing into it.

use super::chain::{Row, Walk};
use super::deeds::{Deed, Lasting};
use super::{CannotCheck, Expected, LogKey, LogSource, WitnessedHead};
use coordinator::audit_keeper;
use mpc_wire::audit::{Entry, Head};
use mpc_wire::{EntryHash, PartyId, PartySignature, SignedHead, UnixMillis};
use party_runtime::VaultError;
use sea_orm::{
    ConnectOptions, ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr, QueryResult,
    Statement, TransactionTrait,
};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Rows that are read at a time: a megabyte or so.
const PAGE: u32 = 1000;

/// How long is waited for a writer that just now cannot be read beside.
const PATIENCE: Duration = Duration::from_secs(5);

const ENTRIES: &str =
    "SELECT number, at, event, actor, subject, decision, policy, detail, hash FROM audit_log";

/// The heads of others that were not contradicted.
const NEWEST_HEADS: &str = "SELECT 1 FROM witnessed_heads WHERE place = 0";

/// Whose log it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LogKind {
    Coordinator,
    Party,
}

impl LogKind {
    /// Whether an entry tells of something before which others' heads were shown and stored: a party
    /// joins after the invitation, with which the coordinator's head came; when a session completes
    /// its members have joined.
    fn has_exchanged_heads(self, entry: &Entry) -> bool {
        match self {
            Self::Coordinator => entry.event == "session_ended" && entry.decision == "completed",
            Self::Party => entry.event == "joined",
        }
    }
}

/// One view of a database: what is written meanwhile does not show.
pub(super) struct Database {
    path: PathBuf,
    kind: LogKind,
    view: DatabaseTransaction,
    _db: DatabaseConnection,
}

/// The heads of others that a database holds.
#[derive(Debug, Default)]
pub(super) struct HeldHeads {
    /// The newest ones, and those of earlier connections.
    pub(super) shown: Vec<SignedHead>,
    pub(super) contradicting: Vec<SignedHead>,
    /// Rows that are no heads, or are not signed by their keepers.
    pub(super) unreadable: usize,
}

/// What a keeper itself says of its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OwnWord {
    /// Its head, signed or sealed.
    Head(Head),
    /// Nothing, although it would have if there were entries.
    Nothing,
    /// Something that is not its word: altered, or under another key.
    NotItsWord,
    /// No key was given to look.
    NotLookedAt,
}

/// A log as it was read.
#[derive(Debug)]
pub(super) struct ReadLog {
    pub(super) name: String,
    pub(super) database: PathBuf,
    pub(super) kind: LogKind,
    /// Whose log must be here.
    pub(super) expected: Option<Expected>,
    /// Whose log the database says it is.
    pub(super) keeper: Option<PartyId>,
    pub(super) own: OwnWord,
    /// Whether the keeper is sure: the coordinator's by its secret.
    pub(super) is_keeper_sure: bool,
    pub(super) head: Head,
    pub(super) rows: u64,
    pub(super) fault: Option<super::chain::Fault>,
    pub(super) hashes: BTreeMap<u64, EntryHash>,
    /// What the database holds without the entry that was written with it, for people.
    pub(super) unentered: Vec<String>,
    /// What was undone, for people, each with the entry that tells of it.
    pub(super) undone: Vec<(u64, String)>,
    /// Whether the entries tell of an exchange of heads, but no head of anybody is left.
    pub(super) has_lost_witnesses: bool,
}

impl Database {
    /// Opens the file for reading.
    pub(super) async fn open(path: &Path) -> Result<Self, CannotCheck> {
        std::fs::metadata(path)
            .map_err(|source| CannotCheck::File { path: path.to_owned(), source })?;
        let failed = |source| CannotCheck::Database { path: path.to_owned(), source };
        let db = sea_orm::Database::connect(options(path)).await.map_err(failed)?;
        let view = db.begin().await.map_err(failed)?;
        let kind = kind(&view).await.map_err(failed)?;
        let kind = kind.ok_or_else(|| CannotCheck::NotOurs(path.to_owned()))?;
        Ok(Self { path: path.to_owned(), kind, view, _db: db })
    }

    pub(super) fn kind(&self) -> LogKind {
        self.kind
    }

    pub(super) fn connection(&self) -> &DatabaseTransaction {
        &self.view
    }

    /// The heads of others.
    pub(super) async fn heads(&self) -> Result<HeldHeads, CannotCheck> {
        let sql = "SELECT keeper, place, count, hash, signature FROM witnessed_heads \
                   ORDER BY keeper, place";
        let mut held = HeldHeads::default();
        for row in self.all(sql, []).await? {
            match (place_of(&row), read_head(&row).filter(|head| head.verify().is_ok())) {
                (Some(..=0), Some(head)) => held.shown.push(head),
                (Some(_), Some(head)) => held.contradicting.push(head),
                (_, None) | (None, _) => held.unreadable += 1,
            }
        }
        Ok(held)
    }

    /// The head that a coordinator has signed last, whoever's the signature is.
    pub(super) async fn signed_head(&self) -> Result<Option<SignedHead>, CannotCheck> {
        let sql = "SELECT keeper, 0 AS place, count, hash, signature FROM audit_head";
        Ok(self.all(sql, []).await?.first().and_then(read_head))
    }

    /// The last entries, oldest first.
    pub(super) async fn last(&self, count: u32) -> Result<Vec<Entry>, CannotCheck> {
        let sql = format!("{ENTRIES} ORDER BY number DESC LIMIT ?");
        let mut rows: Vec<_> = self
            .all(&sql, [count.into()])
            .await?
            .iter()
            .filter_map(|row| read_row(row).content.map(|(entry, _)| entry))
            .collect();
        rows.reverse();
        Ok(rows)
    }

    /// Reads the log, its keeper and the keeper's own word on it.
    pub(super) async fn read(
        &self,
        log: &LogSource,
        witnessed: &[WitnessedHead],
    ) -> Result<ReadLog, CannotCheck> {
        let (keeper, own, is_keeper_sure) = match self.kind {
            LogKind::Coordinator => self.coordinators_word(log).await?,
            LogKind::Party => self.partys_word(log).await?,
        };
        let mut wanted: BTreeSet<u64> = witnessed.iter().map(|held| held.head.head.count).collect();
        if let OwnWord::Head(head) = own {
            wanted.insert(head.count);
        }
        let mut walk = Walk::begin(&wanted);
        let mut has_exchanged = false;
        let was_exchange = |row: &Row| {
            row.content.as_ref().is_some_and(|(entry, _)| self.kind.has_exchanged_heads(entry))
        };
        self.each(|row| {
            walk.take(row);
            has_exchanged |= was_exchange(row);
        })
        .await?;
        if walk.fault.is_some() {
            self.each(|row| walk.look_for_moved(row)).await?;
        }
        let Walk { head, fault, rows, hashes, .. } = walk;
        Ok(ReadLog {
            name: log.name.clone(),
            database: self.path.clone(),
            kind: self.kind,
            expected: log.expected,
            keeper,
            own,
            is_keeper_sure,
            head,
            rows,
            fault,
            hashes,
            unentered: self.unentered().await?,
            undone: self.undone().await?,
            has_lost_witnesses: has_exchanged && !self.is_there(NEWEST_HEADS).await?,
        })
    }

    /// What is stored without its entry.
    async fn unentered(&self) -> Result<Vec<String>, CannotCheck> {
        let mut told = Vec::new();
        for deed in Deed::of(self.kind) {
            let rows = self.all(&deed.sql(), []).await?;
            if !rows.is_empty() {
                told.push(deed.without_entry(rows.iter().map(name_of).collect()));
            }
        }
        Ok(told)
    }

    /// What is not stored any more although it is for good.
    async fn undone(&self) -> Result<Vec<(u64, String)>, CannotCheck> {
        let mut told = Vec::new();
        for lasting in Lasting::of(self.kind) {
            let rows = self.all(&lasting.sql(), []).await?;
            if let Some(first) = rows.first() {
                let number = first.try_get_by_index::<i64>(1).ok();
                let number = number.and_then(|number| number.try_into().ok()).unwrap_or(0);
                told.push((number, lasting.undone(rows.iter().map(name_of).collect())));
            }
        }
        Ok(told)
    }

    /// Whether a query has rows.
    async fn is_there(&self, sql: &str) -> Result<bool, CannotCheck> {
        Ok(!self.all(&format!("{sql} LIMIT 1"), []).await?.is_empty())
    }

    async fn coordinators_word(
        &self,
        log: &LogSource,
    ) -> Result<(Option<PartyId>, OwnWord, bool), CannotCheck> {
        let secret = match &log.key {
            Some(LogKey::Coordinator(secret)) => Some(audit_keeper(secret).party()),
            Some(LogKey::Party(_)) | None => None,
        };
        let rows = self.all("SELECT keeper FROM audit_head", []).await?;
        let signed = self.signed_head().await?;
        let keeper = secret.or(signed.as_ref().map(|signed| signed.keeper));
        let own = match signed {
            Some(signed) if Some(signed.keeper) == keeper && signed.verify().is_ok() => {
                OwnWord::Head(signed.head)
            }
            None if rows.is_empty() => OwnWord::Nothing,
            Some(_) | None => OwnWord::NotItsWord,
        };
        Ok((keeper, own, secret.is_some()))
    }

    async fn partys_word(
        &self,
        log: &LogSource,
    ) -> Result<(Option<PartyId>, OwnWord, bool), CannotCheck> {
        let rows = self.all("SELECT party_id FROM vault_header", []).await?;
        let keeper = rows
            .first()
            .and_then(|row| row.try_get_by_index::<Vec<u8>>(0).ok())
            .and_then(|bytes| bytes.try_into().ok())
            .map(PartyId::new);
        let Some(LogKey::Party(key)) = &log.key else {
            return Ok((keeper, OwnWord::NotLookedAt, false));
        };
        let own = match party_runtime::sealed_audit_head(&self.view, key).await {
            Ok(head) => OwnWord::Head(head),
            Err(
                VaultError::Altered(_)
                | VaultError::Form(_)
                | VaultError::Missing(_)
                | VaultError::RolledBack(_),
            ) => OwnWord::NotItsWord,
            Err(source) => return Err(CannotCheck::Sealed { log: log.name.clone(), source }),
        };
        Ok((keeper, own, true))
    }

    /// Shows every row, in the order of their numbers.
    async fn each(&self, mut show: impl FnMut(&Row)) -> Result<(), CannotCheck> {
        let sql = format!("{ENTRIES} WHERE number > ? ORDER BY number LIMIT ?");
        let mut after = i64::MIN;
        loop {
            let page = self.all(&sql, [after.into(), PAGE.into()]).await?;
            for row in &page {
                let row = read_row(row);
                after = row.number;
                show(&row);
            }
            if page.len() < PAGE as usize {
                return Ok(());
            }
        }
    }

    async fn all<const N: usize>(
        &self,
        sql: &str,
        values: [sea_orm::Value; N],
    ) -> Result<Vec<QueryResult>, CannotCheck> {
        let statement =
            Statement::from_sql_and_values(self.view.get_database_backend(), sql, values);
        let rows = self.view.query_all_raw(statement).await;
        rows.map_err(|source| CannotCheck::Database { path: self.path.clone(), source })
    }
}

async fn kind(view: &DatabaseTransaction) -> Result<Option<LogKind>, DbErr> {
    let sql = "SELECT name FROM sqlite_master WHERE type = 'table'";
    let rows = view.query_all_raw(Statement::from_string(view.get_database_backend(), sql)).await?;
    let names: BTreeSet<String> =
        rows.iter().filter_map(|row| row.try_get_by_index(0).ok()).collect();
    let has = |name: &str| names.contains(name);
    Ok(if !has("audit_log") || !has("witnessed_heads") {
        None
    } else if has("vault_header") {
        Some(LogKind::Party)
    } else {
        has("audit_head").then_some(LogKind::Coordinator)
    })
}

fn options(path: &Path) -> ConnectOptions {
    // The file's name is given below: in an address its characters could mean something.
    let mut options = ConnectOptions::new("sqlite://audit?mode=ro");
    let path = path.to_owned();
    // A database that nobody uses has no log of writes beside it. To be read like any other it
    // would be given one, so it is read as a file that does not change.
    let is_in_use = wal_of(&path).exists();
    options.max_connections(1).sqlx_logging(false).map_sqlx_sqlite_opts(move |sqlite| {
        sqlite
            .filename(&path)
            .read_only(true)
            .immutable(!is_in_use)
            .create_if_missing(false)
            .busy_timeout(PATIENCE)
    });
    options
}

fn wal_of(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push("-wal");
    PathBuf::from(name)
}

fn name_of(row: &QueryResult) -> String {
    row.try_get_by_index(0).unwrap_or_else(|_| "one whose name was altered".to_owned())
}

fn place_of(row: &QueryResult) -> Option<i64> {
    row.try_get_by_index(1).ok()
}

fn read_head(row: &QueryResult) -> Option<SignedHead> {
    let text = |at| row.try_get_by_index::<String>(at).ok();
    let count = row.try_get_by_index::<i64>(2).ok()?;
    let signature = hex::decode(text(4)?).ok()?;
    Some(SignedHead {
        keeper: text(0)?.parse().ok()?,
        head: Head { count: count.try_into().ok()?, hash: text(3)?.parse().ok()? },
        signature: PartySignature::from_bytes(&signature).ok()?,
    })
}

fn read_row(row: &QueryResult) -> Row {
    // The table's key is an integer whatever else was done to the row.
    let number = row.try_get_by_index::<i64>(0).unwrap_or(i64::MIN);
    Row { number, content: read_entry(row, number) }
}

fn read_entry(row: &QueryResult, number: i64) -> Option<(Entry, EntryHash)> {
    let text = |at| row.try_get_by_index::<String>(at).ok();
    let entry = Entry {
        number: number.try_into().ok()?,
        at: UnixMillis(row.try_get_by_index::<i64>(1).ok()?.try_into().ok()?),
        event: text(2)?,
        actor: text(3)?,
        subject: text(4)?,
        decision: text(5)?,
        policy: text(6)?,
        detail: text(7)?,
    };
    Some((entry, text(8)?.parse().ok()?))
}
