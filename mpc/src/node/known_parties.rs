//! Which parties live in a node's data folder.
//!
//! A folder that is gone must not be followed by another identity without a word: the accounts would
//! have lost a holder, and nobody would know. So the node writes down whom it has, and makes nobody
//! anew in the place of somebody.

use super::data_folder::{VAULT_FILE, label};
use mpc_wire::PartyId;
use party_runtime::VaultError;
use party_runtime::vault::private_file;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The list in the data folder: a line for each party, its folder's name and its id.
const FILE: &str = "parties";

/// The parties that a node has had, by their numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnownParties(BTreeMap<usize, PartyId>);

/// Why a node cannot tell, or does not like, who lives in its data folder.
#[derive(Debug, thiserror::Error)]
pub enum KnownPartiesError {
    /// The list cannot be read.
    #[error("cannot read the list of the node's parties in {path}: {source}")]
    Unreadable {
        /// The list.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The list is none.
    #[error(
        "line {line} of {path} is no party of this node, such as `party-1 ID`: write the id there \
         that `mpc party id --data DIR` prints"
    )]
    Form {
        /// The list.
        path: PathBuf,
        /// The line, from 1 on.
        line: usize,
    },
    /// The list cannot be written.
    #[error("cannot write the list of the node's parties: {0}")]
    Unwritable(VaultError),
    /// A party is not where it was.
    #[error(
        "{folder} has lost the vault of party {party}, which holds shares that nothing else here \
         does: put it back from a backup with `mpc party restore --data {folder}`, or, to begin \
         another party there which holds none of them, make it with `mpc party init --data {folder}`"
    )]
    Gone {
        /// The party's folder.
        folder: PathBuf,
        /// Who lived there.
        party: PartyId,
    },
}

impl KnownParties {
    /// Reads the list in a data folder. Without one nobody is known.
    ///
    /// # Errors
    /// [`KnownPartiesError`] if there is one that cannot be read.
    pub fn read(data: &Path) -> Result<Self, KnownPartiesError> {
        let path = data.join(FILE);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(source) => return Err(KnownPartiesError::Unreadable { path, source }),
        };
        let parties = text.lines().enumerate().map(|(at, line)| {
            let form =
                || KnownPartiesError::Form { path: path.clone(), line: at.saturating_add(1) };
            parse(line).ok_or_else(form)
        });
        parties.collect::<Result<_, _>>().map(Self)
    }

    /// The highest number of a party; 0 if there is none.
    pub fn highest(&self) -> usize {
        self.0.last_key_value().map_or(0, |(number, _)| *number)
    }

    /// The parties, with their folders' names.
    pub fn iter(&self) -> impl Iterator<Item = (String, PartyId)> + '_ {
        self.0.iter().map(|(number, party)| (label(*number), *party))
    }

    /// Refuses if one of the first `count` parties is gone from the data folder.
    pub(super) fn check(&self, data: &Path, count: usize) -> Result<(), KnownPartiesError> {
        for (number, party) in self.0.range(..=count) {
            let folder = data.join(label(*number));
            if !folder.join(VAULT_FILE).exists() {
                return Err(KnownPartiesError::Gone { folder, party: *party });
            }
        }
        Ok(())
    }

    /// Writes down whom the node has, if it does not say so yet.
    pub(super) fn note(
        &mut self,
        data: &Path,
        parties: impl Iterator<Item = PartyId>,
    ) -> Result<(), KnownPartiesError> {
        let before = self.clone();
        for (number, party) in (1..).zip(parties) {
            match self.0.insert(number, party) {
                // The vault was exchanged by hand, which is somebody's will: the node makes none
                // where it knows of one.
                Some(other) if other != party => tracing::warn!(
                    %party, before = %other, label = label(number),
                    "another party lives here than before"
                ),
                Some(_) | None => {}
            }
        }
        if *self == before {
            return Ok(());
        }
        let lines: String =
            self.iter().map(|(label, party)| format!("{label} {party}\n")).collect();
        private_file::write(&data.join(FILE), lines.as_bytes())
            .map_err(KnownPartiesError::Unwritable)
    }
}

fn parse(line: &str) -> Option<(usize, PartyId)> {
    let (name, party) = line.split_once(' ')?;
    let number = name.strip_prefix("party-")?.parse().ok()?;
    // Neither 0 nor 01.
    let is_ours = number > 0 && label(number) == name;
    Some((number, party.trim_end().parse().ok()?)).filter(|_| is_ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(count: u8) -> Vec<PartyId> {
        (1..=count).map(|byte| PartyId::new([byte; 32])).collect()
    }

    #[test]
    fn whom_it_has_is_written_down_and_read_again() {
        let data = tempfile::tempdir().unwrap();
        let mut known = KnownParties::read(data.path()).unwrap();
        assert_eq!((known.highest(), known.clone()), (0, KnownParties::default()));
        known.note(data.path(), ids(11).into_iter()).unwrap();
        assert_eq!(KnownParties::read(data.path()).unwrap(), known);
        let text = std::fs::read_to_string(data.path().join(FILE)).unwrap();
        assert!(text.starts_with("party-1 0101") && text.ends_with("0b0b\n"), "{text}");
        // Fewer run this time; the others are known all the same.
        known.note(data.path(), ids(2).into_iter()).unwrap();
        assert_eq!((known.highest(), known.iter().count()), (11, 11));
    }

    #[test]
    fn who_is_gone_is_missed_if_it_is_to_run() {
        let data = tempfile::tempdir().unwrap();
        let mut known = KnownParties::default();
        known.note(data.path(), ids(3).into_iter()).unwrap();
        for number in [1, 3] {
            let folder = data.path().join(label(number));
            std::fs::create_dir(&folder).unwrap();
            std::fs::write(folder.join(VAULT_FILE), "").unwrap();
        }
        known.check(data.path(), 0).unwrap();
        known.check(data.path(), 1).unwrap();
        let error = known.check(data.path(), 3).unwrap_err();
        let KnownPartiesError::Gone { folder, party } = &error else { panic!("{error}") };
        assert_eq!((folder.clone(), *party), (data.path().join("party-2"), PartyId::new([2; 32])));
        // An empty folder holds no party either.
        std::fs::create_dir(folder).unwrap();
        known.check(data.path(), 3).unwrap_err();
    }

    #[test]
    fn a_list_that_is_none_is_refused() {
        let data = tempfile::tempdir().unwrap();
        let id = "ab".repeat(32);
        for line in
            ["", "party-1", &format!("party-0 {id}"), &format!("party-01 {id}"), "party-2 x"]
        {
            std::fs::write(data.path().join(FILE), format!("party-1 {id}\n{line}\n")).unwrap();
            let error = KnownParties::read(data.path()).unwrap_err();
            assert!(matches!(error, KnownPartiesError::Form { line: 2, .. }), "{line}: {error}");
        }
    }
}
