//! The policy as it stands in its TOML file.

use super::hours::Hours;
use super::limit::Limit;
use super::requester::Requester;
use super::span::Span;
use super::{Policy, SignatureRule};
use mpc_wire::{AccountId, PartyId, Payload};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Largest policy file, in bytes: hundreds of requesters with long lists of accounts.
pub const MAX_POLICY_FILE: usize = 1 << 20;

/// Most requesters, which are looked through for each request.
pub const MAX_REQUESTERS: usize = 256;

/// Most limits, each of which is a query for each request.
pub const MAX_LIMITS: usize = 32;

/// Most entries of hours: one for each day and shift.
pub const MAX_HOURS: usize = 64;

/// Digits of a version: enough that no two policies of a house share one.
const VERSION_DIGITS: usize = 16;

/// What holds where the file is silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Requesters must sign.
    Production,
    /// Requests may come without a requester's signature.
    Development,
}

/// Names a policy: the first 16 hexadecimal digits of SHA-256 over its rules as JSON, defaults
/// included.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PolicyVersion(String);

impl PolicyVersion {
    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PolicyVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that is no policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// A value is wrong. The line is named and not shown: what stands there may be a private key in
    /// the place of a public one.
    #[error("line {line}, column {column}: {message}")]
    Toml {
        /// The line, counted from 1.
        line: usize,
        /// The character in it, counted from 1.
        column: usize,
        /// What is wrong in it.
        message: String,
    },
    /// More entries than a policy may have.
    #[error("{count} entries of [[{name}]]; at most {at_most} are allowed")]
    TooMany {
        /// Of what.
        name: &'static str,
        /// How many there are.
        count: usize,
        /// How many there may be.
        at_most: usize,
    },
    /// An account for which the file says two things.
    #[error("account {0} is both in approval.always and in approval.never: take it out of one")]
    Contradiction(AccountId),
    /// The policy cannot be written down again, so that it has no version.
    #[error("the policy has no canonical form")]
    NoCanonicalForm,
}

/// A policy that cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("cannot read the policy file {path}: {fault}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        fault: std::io::Error,
    },
    /// The file is too large.
    #[error("the policy file {path} is longer than {MAX_POLICY_FILE} bytes")]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// Others than the owner can change the file, and with it what the party signs.
    #[error("others can write the policy file {path} (mode {mode:o}): chmod go-w {path}")]
    Writable {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file belongs to another user, who can change it.
    #[error(
        "the policy file {path} belongs to another user (uid {owner}): chown it to root or to the \
         user that runs the party"
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Whom it belongs to.
        owner: u32,
    },
    /// The file is no policy.
    #[error("the policy file {path} cannot be used: {fault}")]
    Policy {
        /// The file.
        path: PathBuf,
        /// What is wrong in it. Said above, and so no source of its own.
        fault: PolicyError,
    },
    /// The profile's own policy cannot be made.
    #[error(transparent)]
    Built(PolicyError),
    /// The party was started without a policy file.
    #[error("the party was started without a policy file: start it with --policy FILE")]
    NoFile,
}

/// Reads a policy file.
pub(crate) fn load(path: &Path, profile: Profile) -> Result<Policy, LoadError> {
    use std::os::unix::fs::MetadataExt;
    let failed = |fault| LoadError::Read { path: path.to_owned(), fault };
    let file = std::fs::File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    let (mode, owner) = (metadata.mode() & 0o777, metadata.uid());
    if mode & 0o022 != 0 {
        return Err(LoadError::Writable { path: path.to_owned(), mode });
    }
    if owner != 0 && owner != rustix::process::geteuid().as_raw() {
        return Err(LoadError::Foreign { path: path.to_owned(), owner });
    }
    let mut text = String::new();
    let at_most = u64::try_from(MAX_POLICY_FILE).unwrap_or(u64::MAX);
    file.take(at_most.saturating_add(1)).read_to_string(&mut text).map_err(failed)?;
    if text.len() > MAX_POLICY_FILE {
        return Err(LoadError::TooLong { path: path.to_owned() });
    }
    Policy::parse(&text, profile)
        .map_err(|fault| LoadError::Policy { path: path.to_owned(), fault })
}

/// The rules of a policy, as the file gives them. `policy.sample.toml` says what each field is for.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PolicyFile {
    require_requester_signature: Option<bool>,
    pub(crate) max_authorization_life: Span,
    pub(crate) payloads: BTreeSet<PayloadKind>,
    pub(crate) accounts: Accounts,
    #[serde(rename = "requester")]
    pub(crate) requesters: Vec<Requester>,
    #[serde(rename = "limit")]
    pub(crate) limits: Vec<Limit>,
    pub(crate) hours: Vec<Hours>,
    pub(crate) approval: ApprovalRules,
    pub(crate) peers: Peers,
}

impl Default for PolicyFile {
    fn default() -> Self {
        Self {
            require_requester_signature: None,
            max_authorization_life: Span::HOUR,
            payloads: BTreeSet::from([
                PayloadKind::Digest,
                PayloadKind::Bytes,
                PayloadKind::Message,
            ]),
            accounts: Accounts::default(),
            requesters: Vec::new(),
            limits: Vec::new(),
            hours: Vec::new(),
            approval: ApprovalRules::default(),
            peers: Peers::default(),
        }
    }
}

/// The accounts that sign.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Accounts {
    /// Only these; without the field, all.
    allow: Option<BTreeSet<AccountId>>,
    /// None of these, whatever `allow` says.
    deny: BTreeSet<AccountId>,
}

impl Accounts {
    pub(crate) fn include(&self, account: AccountId) -> bool {
        !self.deny.contains(&account)
            && self.allow.as_ref().is_none_or(|allowed| allowed.contains(&account))
    }
}

/// The kinds of payload that a requester can give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PayloadKind {
    /// A digest of which nobody but the requester knows what it stands for.
    Digest,
    /// Bytes that the party hashes by itself.
    Bytes,
    /// Bytes that are signed as they are.
    Message,
}

impl PayloadKind {
    /// The kind; none for what no requester can give.
    pub(crate) const fn of(payload: &Payload) -> Option<Self> {
        match payload {
            Payload::Digest(_) => Some(Self::Digest),
            Payload::Bytes { .. } => Some(Self::Bytes),
            Payload::Message(_) => Some(Self::Message),
            Payload::Canary { .. } => None,
        }
    }
}

/// When a person is asked.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ApprovalRules {
    default: ApprovalRule,
    always: BTreeSet<AccountId>,
    never: BTreeSet<AccountId>,
}

/// Whether a person is asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ApprovalRule {
    #[default]
    Never,
    Always,
}

impl ApprovalRules {
    pub(crate) fn of(&self, account: AccountId) -> ApprovalRule {
        if self.always.contains(&account) {
            ApprovalRule::Always
        } else if self.never.contains(&account) {
            ApprovalRule::Never
        } else {
            self.default
        }
    }
}

/// What the party thinks of others.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Peers {
    pub(crate) refuse: BTreeSet<PartyId>,
}

fn misread(text: &str, error: &toml::de::Error) -> PolicyError {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = 1 + before.matches('\n').count();
    let column = 1 + before.rsplit('\n').next().unwrap_or_default().chars().count();
    PolicyError::Toml { line, column, message: without_values(error.message()) }
}

/// What a parser says without what it quotes of the file: `invalid type: string "…", expected a
/// sequence` without the string. What was expected stays, and which field is missing.
fn without_values(message: &str) -> String {
    let Some(quoted) = message.find(['"', '`']) else { return message.to_owned() };
    let (own_words, _) = message.split_at(quoted);
    if own_words.contains("expected") || own_words.starts_with("missing field") {
        return message.to_owned();
    }
    let expected = message.rfind(", expected").and_then(|at| message.get(at..));
    format!("{}{}", own_words.trim_end(), expected.unwrap_or_default())
}

impl PolicyFile {
    pub(super) fn parse(text: &str) -> Result<Self, PolicyError> {
        let rules: Self = toml::from_str(text).map_err(|error| misread(text, &error))?;
        let counts = [
            ("requester", rules.requesters.len(), MAX_REQUESTERS),
            ("limit", rules.limits.len(), MAX_LIMITS),
            ("hours", rules.hours.len(), MAX_HOURS),
        ];
        for (name, count, at_most) in counts {
            if count > at_most {
                return Err(PolicyError::TooMany { name, count, at_most });
            }
        }
        let ApprovalRules { always, never, .. } = &rules.approval;
        match always.intersection(never).next() {
            Some(account) => Err(PolicyError::Contradiction(*account)),
            None => Ok(rules),
        }
    }

    pub(super) fn signature_rule(&self, profile: Profile) -> SignatureRule {
        let is_required = self.require_requester_signature.unwrap_or(match profile {
            Profile::Production => true,
            Profile::Development => false,
        });
        if is_required { SignatureRule::Required } else { SignatureRule::Optional }
    }

    /// The version of these rules, with the profile's default filled in.
    pub(super) fn version(&self, signature: SignatureRule) -> Result<PolicyVersion, PolicyError> {
        let whole = Self {
            require_requester_signature: Some(signature == SignatureRule::Required),
            ..self.clone()
        };
        let text = serde_json::to_vec(&whole).map_err(|_| PolicyError::NoCanonicalForm)?;
        let mut digits = hex::encode(Sha256::digest(text));
        digits.truncate(VERSION_DIGITS);
        Ok(PolicyVersion(digits))
    }
}

#[cfg(test)]
mod tests;
