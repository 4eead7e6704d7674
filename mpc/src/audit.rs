//! Checks audit logs: each chain from its first entry on, against the head that its keeper has signed
//! or sealed, against the heads of it that others hold, and against what is stored beside it.
//!
//! It reads only, copies as well as databases that are in use. The chain itself needs no key; with a
//! party's master key its sealed head is looked at too, and with the coordinator's secret whether the
//! coordinator's head is signed by the key that comes from it.
//!
//! Reading order: this file (what is checked), `source` (where logs are, and must be), `database`
//! (what is read), `chain` (the walk through the entries), `deeds` (what must have an entry), `judge`
//! (what follows), `absent` (of logs that are not here), `report` (how it is told), `head` (heads in
//! files).

mod absent;
mod chain;
mod database;
mod deeds;
mod head;
mod judge;
mod report;
mod source;

pub use head::{HeadFile, KeptHead, NotAHead};
pub use report::{Finding, LogReport, Problem, Report, Verdict};
pub use source::{Expected, LogKey, LogSource, logs_in};

use crate::node::KnownPartiesError;
use database::{Database, LogKind};
use mpc_wire::audit::Entry;
use mpc_wire::{PartyId, SignedHead};
use std::path::{Path, PathBuf};

/// A head that somebody has kept elsewhere.
#[derive(Debug, Clone)]
pub struct WitnessedHead {
    /// Who kept it, for the report.
    pub witness: String,
    /// The log that it is of, by its name, if the witness knows.
    pub log: Option<String>,
    /// The head.
    pub head: SignedHead,
}

/// Why nothing could be checked.
#[derive(Debug, thiserror::Error)]
pub enum CannotCheck {
    /// The folder holds no log.
    #[error("no audit log in {0}: give a node's data folder, a party's folder, or --database FILE")]
    NoLog(PathBuf),
    /// Whose logs there must be cannot be told.
    #[error(transparent)]
    Parties(#[from] KnownPartiesError),
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The database cannot be read.
    #[error("cannot read the database {path}: {source}; to check a copy, copy its -wal file too")]
    Database {
        /// The file.
        path: PathBuf,
        /// Why.
        source: sea_orm::DbErr,
    },
    /// The database is neither a coordinator's nor a party's.
    #[error("{0} is no database of a coordinator or a party, or of a version without audit log")]
    NotOurs(PathBuf),
    /// The party's sealed head cannot be read.
    #[error("cannot open the sealed head of {log}: {source}")]
    Sealed {
        /// The log.
        log: String,
        /// Why.
        source: party_runtime::VaultError,
    },
}

/// Checks the logs against themselves, each other, and what was kept elsewhere.
///
/// # Errors
/// [`CannotCheck`] if one of them cannot be read.
pub async fn verify(
    logs: &[LogSource],
    mut witnessed: Vec<WitnessedHead>,
) -> Result<Report, CannotCheck> {
    // What others hold is read first, and the logs after it: in a running node they grow meanwhile,
    // and a head that is newer than the log that was read would look like a log that was cut.
    let (lost, there): (Vec<_>, Vec<_>) = logs.iter().partition(|log| log.is_lost());
    let mut evidence = Vec::new();
    for log in &there {
        let held = Database::open(&log.database).await?.heads().await?;
        witnessed.extend(held.shown.into_iter().map(|head| WitnessedHead {
            witness: log.name.clone(),
            log: None,
            head,
        }));
        evidence.push(judge::Evidence {
            witness: log.name.clone(),
            heads: held.contradicting,
            unreadable: held.unreadable,
        });
    }
    let mut read = Vec::new();
    for log in &there {
        let database = Database::open(&log.database).await?;
        read.push(database.read(log, &witnessed).await?);
    }
    let mut report = judge::judge(&read, &lost, &witnessed, evidence);
    // Lost or not, in the order in which they were named.
    report.logs.sort_by_key(|told| logs.iter().position(|log| log.name == told.log));
    Ok(report)
}

/// The last `count` entries of a log, oldest first; those that cannot be read are left out.
///
/// # Errors
/// [`CannotCheck`] if it cannot be read.
pub async fn last_entries(log: &LogSource, count: u32) -> Result<Vec<Entry>, CannotCheck> {
    Database::open(&log.database).await?.last(count).await
}

/// The newest signed head of a log, for keeping elsewhere: of a coordinator's the one that it has
/// signed, of a party's one that is signed with the identity in its vault.
///
/// # Errors
/// [`CannotCheck`] if it cannot be had: of a party's without its master key.
pub async fn signed_head(log: &LogSource) -> Result<Option<KeptHead>, CannotCheck> {
    let database = Database::open(&log.database).await?;
    let head = match (database.kind(), &log.key) {
        (LogKind::Coordinator, _) => database.signed_head().await?,
        (LogKind::Party, Some(LogKey::Party(key))) => {
            let sealed = |source| CannotCheck::Sealed { log: log.name.clone(), source };
            let connection = database.connection();
            Some(party_runtime::signed_audit_head(connection, key).await.map_err(sealed)?)
        }
        (LogKind::Party, Some(LogKey::Coordinator(_)) | None) => None,
    };
    Ok(head.map(|head| KeptHead::new(log.name.clone(), &head)))
}

/// Whose log a database holds.
///
/// # Errors
/// [`CannotCheck`] if it cannot be read.
pub async fn is_party(database: &Path) -> Result<bool, CannotCheck> {
    Ok(Database::open(database).await?.kind() == LogKind::Party)
}

/// A log's keeper, by the first digits of its key.
fn keeper_name(keeper: &PartyId) -> String {
    let mut digits = keeper.to_string();
    digits.truncate(16);
    digits
}
