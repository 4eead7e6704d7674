//! Whether the party takes part: judged by its own records, its own rules and its own clock, never
//! by the coordinator's word.
//!
//! Reading order: [`file`] (what an operator writes) with [`requester`], [`hours`], [`limit`] and
//! [`span`] (its parts), `rules` (what can be judged without a database), `ledger` (what must be
//! remembered), `gate` (all of it in its order), [`decision`] (what comes out) and `desk` (what
//! waits for a person).
//!
//! `policy.sample.toml` beside this crate's manifest explains every field.

pub mod decision;
pub(crate) mod desk;
pub mod file;
pub(crate) mod gate;
pub mod hours;
pub(crate) mod ledger;
pub mod limit;
pub mod requester;
mod rules;
pub mod span;

pub use decision::{PolicyDecision, SessionKind, Verdict};
pub use file::{LoadError, PolicyError, PolicyVersion, Profile};
pub(crate) use gate::FIRST_EPOCH;
pub use ledger::LedgerFault;
pub(crate) use rules::Refusal;

use file::PolicyFile;
use mpc_wire::PartyId;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// A party's policy.
#[derive(Debug, Clone)]
pub struct Policy {
    pub(crate) rules: PolicyFile,
    /// Whether a request must carry a requester's signature.
    pub(crate) signature: SignatureRule,
    version: PolicyVersion,
}

/// Whether a request must carry a requester's signature. One that it carries must be right in any
/// case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureRule {
    /// A request without one is declined.
    Required,
    /// A request may come without.
    Optional,
}

impl Policy {
    /// Reads a policy from its TOML text. What it leaves out is as the profile has it.
    ///
    /// # Errors
    /// [`PolicyError`] says what is wrong, and in which line.
    pub fn parse(text: &str, profile: Profile) -> Result<Self, PolicyError> {
        let rules = PolicyFile::parse(text)?;
        let signature = rules.signature_rule(profile);
        let version = rules.version(signature)?;
        Ok(Self { rules, signature, version })
    }

    /// The policy of a party that was given none.
    ///
    /// # Errors
    /// [`PolicyError`] never in fact: the empty text is a policy.
    pub fn of_profile(profile: Profile) -> Result<Self, PolicyError> {
        Self::parse("", profile)
    }

    /// Names the policy in logs and in the audit: the same rules have the same version, whatever
    /// the file's comments and order of fields.
    pub fn version(&self) -> &PolicyVersion {
        &self.version
    }

    /// Whether the policy can never be satisfied: it asks for a requester's signature and knows no
    /// requester.
    pub fn signs_nothing(&self) -> bool {
        self.signature == SignatureRule::Required && self.rules.requesters.is_empty()
    }

    /// How long it lets a requester's signature live.
    pub(crate) fn authorization_life(&self) -> Duration {
        self.rules.max_authorization_life.duration()
    }

    /// Whether the policy refuses to work with a party.
    pub(crate) fn refuses(&self, peer: PartyId) -> bool {
        self.rules.peers.refuse.contains(&peer)
    }
}

/// The policy of a party that is in force. Clones share it, so that a reload reaches all of the
/// party at once.
#[derive(Debug, Clone)]
pub struct LivePolicy {
    current: Arc<RwLock<Arc<Policy>>>,
    source: Option<(PathBuf, Profile)>,
}

impl LivePolicy {
    /// A policy that no file stands behind: it cannot be reloaded.
    pub fn fixed(policy: Policy) -> Self {
        Self { current: Arc::new(RwLock::new(Arc::new(policy))), source: None }
    }

    /// The profile's own policy.
    ///
    /// # Errors
    /// See [`Policy::of_profile`].
    pub fn of_profile(profile: Profile) -> Result<Self, LoadError> {
        Ok(Self::fixed(Policy::of_profile(profile).map_err(LoadError::Built)?))
    }

    /// The policy in a file.
    ///
    /// # Errors
    /// [`LoadError`] if the file cannot be read or is no policy.
    pub fn load(path: &Path, profile: Profile) -> Result<Self, LoadError> {
        let policy = file::load(path, profile)?;
        let source = Some((path.to_owned(), profile));
        Ok(Self { source, ..Self::fixed(policy) })
    }

    /// The same policy for another party of this process, which reads the file for itself from now
    /// on.
    pub fn apart(&self) -> Self {
        let current = Arc::new(RwLock::new(self.current()));
        Self { current, source: self.source.clone() }
    }

    /// The policy that is in force now.
    pub fn current(&self) -> Arc<Policy> {
        // The lock guards one pointer, which no panic can leave half written.
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the file again. A file that cannot be used changes nothing.
    ///
    /// # Errors
    /// [`LoadError`]; the policy before stays in force then.
    pub fn reload(&self) -> Result<Arc<Policy>, LoadError> {
        let (path, profile) = self.source.as_ref().ok_or(LoadError::NoFile)?;
        let policy = Arc::new(file::load(path, *profile)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&policy);
        Ok(policy)
    }
}
