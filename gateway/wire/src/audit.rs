//! Audit logs: entries chained by hashes, and signed heads that others keep.
//!
//! The coordinator and each party keep a log. Entry n's hash covers its fields and the hash of entry
//! n − 1, so nothing before a known head can be altered, dropped or reordered unnoticed. Heads are
//! signed and handed out whenever they have changed: a log that was cut at its end, or rewritten as a
//! whole, contradicts the heads that others hold.

use crate::canonical::{Canonical, CanonicalWriter};
use crate::identity::Identity;
use crate::ids::{EntryHash, PartyId, UnixMillis};
use crate::limits::MAX_AUDIT_TEXT;
use crate::signature::{InvalidSignature, PartySignature, ProvenKey};
use serde::{Deserialize, Serialize};

/// One entry. Canonical domain `mpc.v1/audit-entry`: hash of the entry before (32 zero bytes before
/// the first), number, time, event, actor, subject, decision, policy, detail.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Counts from 1, without gaps.
    pub number: u64,
    /// When it was written.
    pub at: UnixMillis,
    /// What happened, as a stable code such as `sign_requested`.
    pub event: String,
    /// Who asked: an API key's name, a requester, a party, an operator.
    pub actor: String,
    /// What it was about: a session, an account, a party, a key.
    pub subject: String,
    /// What was decided or how it ended, as a stable code; may be empty.
    pub decision: String,
    /// The version of the policy that decided; may be empty.
    pub policy: String,
    /// More, as compact JSON; may be empty. Nothing secret.
    pub detail: String,
}

impl Entry {
    /// The hash that chains this entry to the one before.
    pub fn hash(&self, before: &EntryHash) -> EntryHash {
        EntryHash::new(Chained { before, entry: self }.canonical_hash())
    }
}

/// What is to be entered, before it has its place in the log. All but the event may be empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Note {
    /// See [`Entry::event`].
    pub event: &'static str,
    /// See [`Entry::actor`].
    pub actor: String,
    /// See [`Entry::subject`].
    pub subject: String,
    /// See [`Entry::decision`].
    pub decision: String,
    /// See [`Entry::policy`].
    pub policy: String,
    /// See [`Entry::detail`].
    pub detail: String,
}

struct Chained<'a> {
    before: &'a EntryHash,
    entry: &'a Entry,
}

impl Canonical for Chained<'_> {
    const DOMAIN: &'static str = "mpc.v1/audit-entry";

    fn write_fields(&self, out: &mut CanonicalWriter) {
        let Entry { number, at, event, actor, subject, decision, policy, detail } = self.entry;
        out.fixed(self.before.as_bytes()).u64(*number).u64(at.0);
        for text in [event, actor, subject, decision, policy, detail] {
            out.text(text);
        }
    }
}

/// Where a log ends: how many entries it has, and the hash of the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// The number of entries.
    pub count: u64,
    /// The hash of the last one.
    pub hash: EntryHash,
}

impl Head {
    /// The head of a log without entries.
    pub const EMPTY: Self = Self { count: 0, hash: EntryHash::new([0; 32]) };

    /// The entry that `note` becomes at the end of this log, its texts cut to [`MAX_AUDIT_TEXT`],
    /// and the log's head with it.
    pub fn append(&self, at: UnixMillis, note: Note) -> (Entry, Self) {
        let Note { event, actor, subject, decision, policy, detail } = note;
        let entry = Entry {
            number: self.count.saturating_add(1),
            at,
            event: bounded(event.to_owned()),
            actor: bounded(actor),
            subject: bounded(subject),
            decision: bounded(decision),
            policy: bounded(policy),
            detail: bounded(detail),
        };
        let head = Self { count: entry.number, hash: entry.hash(&self.hash) };
        (entry, head)
    }

    /// Whether a log that had the head `kept` can have this one now. A log only grows: with fewer
    /// entries, or with as many others, it was cut or rewritten. More entries say nothing either way.
    pub fn can_follow(&self, kept: &Self) -> bool {
        self.count > kept.count || self == kept
    }
}

/// Cuts a text to [`MAX_AUDIT_TEXT`] bytes, at a character boundary.
fn bounded(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(MAX_AUDIT_TEXT));
    text
}

/// A head, signed by whoever keeps the log. The signature is over the canonical bytes (domain
/// `mpc.v1/audit-head`): keeper, count, hash.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedHead {
    /// Whose log it is: a party, or the Ed25519 key of a coordinator.
    pub keeper: PartyId,
    /// The head.
    pub head: Head,
    /// The keeper's signature.
    pub signature: PartySignature,
}

impl Canonical for SignedHead {
    const DOMAIN: &'static str = "mpc.v1/audit-head";

    fn write_fields(&self, out: &mut CanonicalWriter) {
        out.fixed(self.keeper.as_bytes()).u64(self.head.count).fixed(self.head.hash.as_bytes());
    }
}

impl SignedHead {
    /// Signs a head of the identity's own log.
    pub fn sign(identity: &Identity, head: Head) -> Self {
        let mut signed =
            Self { keeper: identity.party(), head, signature: PartySignature::from([0; 64]) };
        signed.signature = identity.sign(&signed.canonical_bytes());
        signed
    }

    /// Checks the keeper's signature.
    ///
    /// # Errors
    /// [`InvalidSignature`] if it is not the keeper's.
    pub fn verify(&self) -> Result<ProvenKey, InvalidSignature> {
        self.keeper.verify(&self.canonical_bytes(), &self.signature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_take_their_numbers_and_are_bounded() {
        let note = Note { event: "test", detail: "ä".repeat(MAX_AUDIT_TEXT), ..Note::default() };
        let (first, head) = Head::EMPTY.append(UnixMillis(1), note.clone());
        let (second, end) = head.append(UnixMillis(2), note);
        assert_eq!((first.number, second.number), (1, 2));
        assert_eq!(head, Head { count: 1, hash: first.hash(&Head::EMPTY.hash) });
        assert_eq!(end, Head { count: 2, hash: second.hash(&head.hash) });
        assert_eq!(first.detail.len(), MAX_AUDIT_TEXT);
    }

    #[test]
    fn a_log_only_grows() {
        let head = |count, byte| Head { count, hash: EntryHash::new([byte; 32]) };
        let kept = head(5, 1);
        for (shown, can_follow) in [
            (head(5, 1), true),
            (head(6, 9), true),
            (head(500, 9), true),
            (head(5, 2), false),
            (head(4, 1), false),
            (Head::EMPTY, false),
        ] {
            assert_eq!(shown.can_follow(&kept), can_follow, "{shown:?}");
        }
        assert!(kept.can_follow(&Head::EMPTY));
    }
}
