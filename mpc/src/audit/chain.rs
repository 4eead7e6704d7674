//! The walk through a log's entries.

use mpc_wire::EntryHash;
use mpc_wire::audit::{Entry, Head};
use std::collections::{BTreeMap, BTreeSet};

/// A row of a log.
#[derive(Debug, Clone)]
pub(super) struct Row {
    /// Where it stands.
    pub(super) number: i64,
    /// What it says; none if it cannot be read as an entry.
    pub(super) content: Option<(Entry, EntryHash)>,
}

/// The first thing that is wrong with a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The row of this number does not follow from those before it.
    Altered(u64),
    /// The row of this number is not there, and later ones are.
    Missing(u64),
    /// The row that belongs here stands elsewhere.
    Moved {
        /// Here.
        number: u64,
        /// Elsewhere.
        stands_at: u64,
    },
    /// A row stands before the first.
    BeforeFirst(i64),
}

impl Fault {
    pub(super) fn number(self) -> u64 {
        match self {
            Self::Altered(number) | Self::Missing(number) | Self::Moved { number, .. } => number,
            Self::BeforeFirst(_) => 0,
        }
    }
}

/// A log, as far as it was walked through.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    /// Where the part ends that holds together.
    pub(super) head: Head,
    pub(super) fault: Option<Fault>,
    /// How many rows there are in all.
    pub(super) rows: u64,
    /// The hashes at the numbers that somebody holds heads of.
    pub(super) hashes: BTreeMap<u64, EntryHash>,
    wanted: &'a BTreeSet<u64>,
}

impl<'a> Walk<'a> {
    /// Begins before the first entry.
    pub(super) fn begin(wanted: &'a BTreeSet<u64>) -> Self {
        let mut hashes = BTreeMap::new();
        if wanted.contains(&0) {
            hashes.insert(0, Head::EMPTY.hash);
        }
        Self { head: Head::EMPTY, fault: None, rows: 0, hashes, wanted }
    }

    /// Takes the next row, in the order of the numbers.
    pub(super) fn take(&mut self, row: &Row) {
        self.rows = self.rows.saturating_add(1);
        if self.fault.is_some() {
            return;
        }
        match self.step(row) {
            Ok(head) => {
                self.head = head;
                if self.wanted.contains(&head.count) {
                    self.hashes.insert(head.count, head.hash);
                }
            }
            Err(fault) => self.fault = Some(fault),
        }
    }

    fn step(&self, row: &Row) -> Result<Head, Fault> {
        let expected = self.head.count.saturating_add(1);
        let number = match u64::try_from(row.number) {
            Ok(number) if number > 0 => number,
            Ok(_) | Err(_) => return Err(Fault::BeforeFirst(row.number)),
        };
        if number != expected {
            return Err(Fault::Missing(expected));
        }
        match self.belongs(row, expected) {
            true => {
                let (entry, hash) = row.content.as_ref().ok_or(Fault::Altered(expected))?;
                Ok(Head { count: entry.number, hash: *hash })
            }
            false => Err(Fault::Altered(expected)),
        }
    }

    /// Whether what the row says follows here, as the entry of this number.
    fn belongs(&self, row: &Row, number: u64) -> bool {
        row.content.as_ref().is_some_and(|(entry, hash)| {
            let entry = Entry { number, ..entry.clone() };
            entry.hash(&self.head.hash) == *hash
        })
    }

    /// Looks whether this row, standing elsewhere, is the one that is missing where the walk
    /// stopped.
    pub(super) fn look_for_moved(&mut self, row: &Row) {
        let (Some(Fault::Altered(number) | Fault::Missing(number)), Ok(stands_at)) =
            (self.fault, u64::try_from(row.number))
        else {
            return;
        };
        if stands_at != number && self.belongs(row, number) {
            self.fault = Some(Fault::Moved { number, stands_at });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mpc_wire::UnixMillis;
    use mpc_wire::audit::Note;

    fn log(entries: u64) -> Vec<Row> {
        let mut head = Head::EMPTY;
        (1..=entries)
            .map(|n| {
                let note = Note { event: "test", subject: n.to_string(), ..Note::default() };
                let (entry, next) = head.append(UnixMillis(n), note);
                head = next;
                Row { number: n.cast_signed(), content: Some((entry, head.hash)) }
            })
            .collect()
    }

    fn fault(rows: &[Row]) -> Option<Fault> {
        let wanted = BTreeSet::new();
        let mut walk = Walk::begin(&wanted);
        rows.iter().for_each(|row| walk.take(row));
        rows.iter().for_each(|row| walk.look_for_moved(row));
        assert_eq!(walk.rows, rows.len() as u64);
        walk.fault
    }

    #[test]
    fn an_intact_log_has_no_fault_and_tells_its_hashes() {
        let rows = log(9);
        let wanted = BTreeSet::from([0, 4, 20]);
        let mut walk = Walk::begin(&wanted);
        rows.iter().for_each(|row| walk.take(row));
        assert_eq!((walk.fault, walk.head.count), (None, 9));
        let hash = rows[3].content.as_ref().unwrap().1;
        assert_eq!(walk.hashes, BTreeMap::from([(0, Head::EMPTY.hash), (4, hash)]));
    }

    #[test]
    fn every_field_of_every_row_counts() {
        for at in 0..9 {
            for field in 0..8 {
                let mut rows = log(9);
                let (entry, hash) = rows[at].content.as_mut().unwrap();
                match field {
                    0 => entry.at = UnixMillis(0),
                    1 => entry.event.push('x'),
                    2 => entry.actor.push('x'),
                    3 => entry.subject.push('x'),
                    4 => entry.decision.push('x'),
                    5 => entry.policy.push('x'),
                    6 => entry.detail.push('x'),
                    _ => *hash = Head::EMPTY.hash,
                }
                assert_eq!(fault(&rows), Some(Fault::Altered(at as u64 + 1)), "{at} {field}");
            }
            let mut rows = log(9);
            rows[at].content = None;
            assert_eq!(fault(&rows), Some(Fault::Altered(at as u64 + 1)));
        }
    }

    #[test]
    fn rows_that_are_gone_moved_or_added_are_found() {
        for at in 0..8 {
            let mut rows = log(9);
            rows.remove(at);
            assert_eq!(fault(&rows), Some(Fault::Missing(at as u64 + 1)));
            // With the numbers closed up behind it.
            rows.iter_mut().skip(at).for_each(|row| row.number -= 1);
            assert_eq!(fault(&rows), Some(Fault::Altered(at as u64 + 1)));
        }
        for (a, b) in [(0, 1), (2, 7), (7, 8)] {
            let mut rows = log(9);
            rows.swap(a, b);
            rows[a].number = a as i64 + 1;
            rows[b].number = b as i64 + 1;
            let (number, stands_at) = (a as u64 + 1, b as u64 + 1);
            assert_eq!(fault(&rows), Some(Fault::Moved { number, stands_at }));
        }
        let mut rows = log(9);
        rows.insert(0, Row { number: 0, content: None });
        assert_eq!(fault(&rows), Some(Fault::BeforeFirst(0)));
    }
}
