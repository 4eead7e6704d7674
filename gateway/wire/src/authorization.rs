//! A requester's own signature under what it asks for, so that a coordinator cannot ask in its name.

use crate::canonical::{Canonical, CanonicalWriter};
use crate::ids::{AccountId, RequestId, UnixMillis};
use crate::intent::{Intent, IntentKind};
use crate::limits::MAX_REQUESTER;
use crate::outcome::PublicKey;
use crate::path::DerivationPath;
use crate::payload::Payload;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A requester's consent to one sign request, as an intent carries it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Authorization {
    /// By which name the parties' configurations know the requester's key.
    pub requester: RequesterName,
    /// When the consent loses its force.
    pub expires_at: UnixMillis,
    /// 64 bytes over the canonical bytes of [`SigningRequest`]: Ed25519 (RFC 8032), or ECDSA over
    /// P-256 with SHA-256 as `r ‖ s` (IEEE P1363).
    #[serde(with = "serde_bytes")]
    pub signature: [u8; 64],
}

impl Authorization {
    pub(crate) fn write(&self, out: &mut CanonicalWriter) {
        out.text(self.requester.as_str()).u64(self.expires_at.0).fixed(&self.signature);
    }
}

/// What a requester signs: everything about a sign request that it decides, and nothing that others
/// do (who takes part, in which session). Canonical domain `mpc.v1/signing-request`: requester,
/// request, expiry, account, public key, derivation path (a list of `u32`), payload as in an intent.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SigningRequest<'a> {
    /// By which name the parties know the requester's key.
    pub requester: &'a RequesterName,
    /// The requester's name for its request, which can be used once.
    pub request: RequestId,
    /// When the consent loses its force.
    pub expires_at: UnixMillis,
    /// The account.
    pub account: AccountId,
    /// The account's public key.
    pub public_key: &'a PublicKey,
    /// The derivation of the key that signs.
    pub path: &'a DerivationPath,
    /// What is signed.
    pub payload: &'a Payload,
}

impl<'a> SigningRequest<'a> {
    /// The request that an intent claims to fulfil; none if it carries no authorization.
    pub fn of_intent(intent: &'a Intent) -> Option<(Self, &'a Authorization)> {
        let IntentKind::Sign { account, public_key, path, payload, authorization, .. } =
            &intent.kind
        else {
            return None;
        };
        let authorization = authorization.as_ref()?;
        let request = Self {
            requester: &authorization.requester,
            request: intent.request,
            expires_at: authorization.expires_at,
            account: *account,
            public_key,
            path,
            payload,
        };
        Some((request, authorization))
    }
}

impl Canonical for SigningRequest<'_> {
    const DOMAIN: &'static str = "mpc.v1/signing-request";

    fn write_fields(&self, out: &mut CanonicalWriter) {
        out.text(self.requester.as_str())
            .fixed(self.request.as_bytes())
            .u64(self.expires_at.0)
            .fixed(self.account.as_bytes())
            .bytes(self.public_key.as_bytes());
        self.path.write(out);
        self.payload.write(out);
    }
}

/// A requester's name: 1 to [`MAX_REQUESTER`] bytes of ASCII letters, digits, `.`, `_` and `-`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RequesterName(String);

/// A text that is no requester's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a requester's name: give 1 to {MAX_REQUESTER} letters, digits, dots, dashes or underscores"
)]
pub struct NotAName;

impl RequesterName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for RequesterName {
    type Error = NotAName;

    fn try_from(name: String) -> Result<Self, NotAName> {
        let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if (1..=MAX_REQUESTER).contains(&name.len()) && name.bytes().all(is_fine) {
            Ok(Self(name))
        } else {
            Err(NotAName)
        }
    }
}

impl std::str::FromStr for RequesterName {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Self, NotAName> {
        Self::try_from(text.to_owned())
    }
}

impl From<RequesterName> for String {
    fn from(name: RequesterName) -> Self {
        name.0
    }
}

impl fmt::Display for RequesterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RequesterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequesterName({})", self.0)
    }
}
