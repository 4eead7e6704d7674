//! The party's audit log: what it was asked, what it decided under which policy, and what came of
//! it; and the heads of the coordinator's log that it was shown.
//!
//! Entries are chained by hashes and appended by the vault, in the same commit as what they
//! describe. With each commit that appends, the log's head is sealed in the root of the vault's
//! manifest: who can write the database, but has not the master key, can neither cut nor rewrite the log unnoticed.
//! Who has a copy of the whole database from before can put that back; then the heads tell that the
//! party has shown the coordinator since.
//!
//! Reading order: `notes` (what is entered), `journal` (what of the machine's effects is), `log`
//! (the table), `witness` (heads of the coordinator's log).

mod journal;
pub(crate) mod log;
pub(crate) mod notes;
pub(crate) mod witness;

pub(crate) use journal::Journal;
pub(crate) use witness::Witness;

use crate::vault::{Kind, Vault, VaultError};
use mpc_pending::{Effect, Record};
use mpc_wire::audit::Note;
use mpc_wire::{Epoch, PartyId, SessionId, SignedHead};
use std::collections::VecDeque;
use witness::News;

/// What the pending actor has to enter and to show.
#[derive(Debug, Default)]
pub(crate) struct Auditor {
    pub(crate) journal: Journal,
    witness: Witness,
    unstored: Unstored,
    /// Whether the coordinator's newest head has waited for another commit to take it along.
    is_overdue: bool,
    /// The head that the link's other end was shown last.
    shown: Option<SignedHead>,
}

/// What the next commit is to take along.
#[derive(Debug, Default)]
pub(crate) struct Unstored {
    notes: Vec<Note>,
    /// The newest head of the coordinator's log.
    newest: Option<SignedHead>,
    /// Those that it followed, of earlier connections.
    earlier: Vec<SignedHead>,
    /// Heads that contradict it.
    doubted: Vec<SignedHead>,
}

impl Auditor {
    /// Goes on from what is stored.
    pub(crate) fn restore(&mut self, witness: Witness, records: &[Record]) {
        self.witness = witness;
        self.journal.restore(records);
    }

    /// Enters a note with the next commit.
    pub(crate) fn enter(&mut self, note: Note) {
        self.unstored.notes.push(note);
    }

    /// Whether something must be durable before anything else happens.
    pub(crate) fn must_store(&self) -> bool {
        let Unstored { notes, newest: _, earlier, doubted } = &self.unstored;
        self.is_overdue || !(notes.is_empty() && earlier.is_empty() && doubted.is_empty())
    }

    /// Has what still waits for a commit not wait any longer. Heads that come with sessions are
    /// stored with them, so that they cost none of their own; for others none may come.
    pub(crate) fn waited(&mut self) {
        self.is_overdue = self.unstored.newest.is_some();
    }

    /// What is to be stored now, so that the effects can be performed then.
    pub(crate) fn take(&mut self, effects: &VecDeque<Effect>) -> Unstored {
        let notes = effects.iter().filter_map(|effect| self.journal.note(effect));
        self.unstored.notes.extend(notes);
        self.is_overdue = false;
        std::mem::take(&mut self.unstored)
    }

    /// Takes a head of the coordinator's log. One that contradicts what was shown before is kept,
    /// entered and told to the log; sessions go on: a coordinator that was restored from a backup is
    /// to be noticed, not to stop everything.
    pub(crate) fn witness(&mut self, party: PartyId, shown: SignedHead) {
        if shown.verify().is_err() {
            tracing::warn!(%party, "the head of an audit log is not signed by its keeper");
            return;
        }
        match self.witness.judge(&shown) {
            Ok(News::Newer { earlier }) => {
                self.unstored.newest = Some(shown);
                self.unstored.earlier.extend(earlier);
            }
            Ok(News::Same) => {}
            Err(doubt) => {
                let (keeper, count) = (shown.keeper, shown.head.count);
                tracing::error!(%party, %keeper, count, %doubt, "the coordinator's audit log is in doubt");
                // The newest one that is not in doubt stays.
                self.unstored.doubted.push(shown);
            }
        }
    }

    /// The head of the party's own log, unless the other end was shown this very one over this
    /// connection.
    pub(crate) fn show(&mut self, vault: &Vault) -> Option<SignedHead> {
        let head = vault.audit_head();
        if self.shown.as_ref().is_some_and(|shown| shown.head == head) {
            return None;
        }
        let signed = SignedHead::sign(&vault.identity(), head);
        self.shown = Some(signed.clone());
        Some(signed)
    }

    /// The other end is a new one.
    pub(crate) fn reconnected(&mut self) {
        self.shown = None;
        self.witness.reconnected();
    }
}

/// Stores and deletes session records and whatever the audit takes along, all of it or nothing.
pub(crate) async fn store(
    vault: &Vault,
    records: &[Record],
    forgotten: &[SessionId],
    unstored: Unstored,
) -> Result<(), VaultError> {
    let Unstored { notes, newest, earlier, doubted } = unstored;
    let mut transaction = vault.begin().await?;
    for record in records {
        let name = record.intent.session.to_string();
        transaction.put(Kind::Session, &name, Epoch(0), record).await?;
    }
    for session in forgotten {
        transaction.delete(Kind::Session, &session.to_string(), Epoch(0)).await?;
    }
    for note in notes {
        transaction.enter(note);
    }
    for head in earlier {
        witness::keep_earlier(transaction.connection(), &head).await?;
    }
    if let Some(newest) = newest {
        witness::store(transaction.connection(), &newest).await?;
    }
    for head in doubted {
        if witness::keep_evidence(transaction.connection(), &head).await? {
            transaction.enter(notes::head_contradicts(&head));
        }
    }
    transaction.commit().await
}

#[cfg(test)]
mod tests;
