//! Which logs there are in a folder, and which there should be.

use super::CannotCheck;
use crate::node::{KnownParties, VAULT_FILE, is_data_folder};
use coordinator::CoordinatorSecret;
use mpc_wire::PartyId;
use party_runtime::KeySource;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The coordinator's database in a node's data folder.
const COORDINATOR: &str = "coordinator.sqlite";

/// What a vault leaves beside itself: its party's id.
const PARTY_FILE: &str = "vault.party";

/// A log to be checked.
#[derive(Debug, Clone)]
pub struct LogSource {
    /// What it is called in the report.
    pub name: String,
    /// The SQLite file that holds it.
    pub database: PathBuf,
    /// What opens the keeper's own word on it.
    pub key: Option<LogKey>,
    /// What the folder around it says of it, if there must be one.
    pub expected: Option<Expected>,
}

/// What opens a keeper's own word on its log.
#[derive(Debug, Clone)]
pub enum LogKey {
    /// A coordinator's secret.
    Coordinator(CoordinatorSecret),
    /// Where a party's master key comes from.
    Party(KeySource),
}

/// Whose log must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// The coordinator's: the folder is a node's.
    Coordinator,
    /// This party's.
    Party(PartyId),
}

impl LogSource {
    /// The log of a database of which nothing else is known.
    pub fn of(name: impl Into<String>, database: PathBuf) -> Self {
        Self { name: name.into(), database, key: None, expected: None }
    }

    /// Whether the log must be there and is not.
    pub fn is_lost(&self) -> bool {
        self.expected.is_some() && !self.database.exists()
    }
}

/// The logs in a node's data folder, or in one party's: those that are there, and those that must be.
///
/// # Errors
/// [`CannotCheck`] if there is none.
pub fn logs_in(data: &Path) -> Result<Vec<LogSource>, CannotCheck> {
    let known: BTreeMap<String, PartyId> = KnownParties::read(data)?.iter().collect();
    let is_node = is_data_folder(data) || !known.is_empty();
    let mut logs = Vec::new();
    let mut add = |name: &str, database: PathBuf, expected: Option<Expected>| {
        if database.exists() || expected.is_some() {
            logs.push(LogSource { expected, ..LogSource::of(name, database) });
        }
    };
    add("coordinator", data.join(COORDINATOR), is_node.then_some(Expected::Coordinator));
    add("party", data.join(VAULT_FILE), left_by_vault(data));
    let mut names = folders_in(data)?;
    names.extend(known.keys().cloned());
    for name in names {
        let folder = data.join(&name);
        let party = known.get(&name).copied().map(Expected::Party);
        add(&name, folder.join(VAULT_FILE), party.or_else(|| left_by_vault(&folder)));
    }
    if logs.is_empty() { Err(CannotCheck::NoLog(data.to_owned())) } else { Ok(logs) }
}

fn folders_in(data: &Path) -> Result<BTreeSet<String>, CannotCheck> {
    let failed = |source| CannotCheck::File { path: data.to_owned(), source };
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(data).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.path().is_dir() {
            names.insert(entry.file_name().to_string_lossy().into_owned());
        }
    }
    Ok(names)
}

/// The party whose vault is in a folder, or was.
fn left_by_vault(folder: &Path) -> Option<Expected> {
    let text = std::fs::read_to_string(folder.join(PARTY_FILE)).ok()?;
    Some(Expected::Party(text.trim().parse().ok()?))
}
