//! Enrolment tokens: JWTs (RFC 7519) that this coordinator makes and takes, of one form only.

use super::hs256;
use super::secret::EnrolmentSecret;
use crate::names::{Role, UnknownName};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use mpc_wire::{EnrolmentToken, UnixMillis};
use serde::{Deserialize, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;
use uuid::Uuid;
use zeroize::Zeroizing;

/// The longest life of a token. It is as good as a key until it is used, and whoever is to use it
/// is waiting for it.
pub(crate) const MAX_TOKEN_LIFE: Duration = Duration::from_secs(3600);

/// The life of a token unless its request says otherwise: enough to carry it to the party's host.
pub(crate) const DEFAULT_TOKEN_LIFE: Duration = Duration::from_secs(15 * 60);

/// The one algorithm. What a token's header says of it is compared, never obeyed.
const ALGORITHM: Algorithm = Algorithm::HS256;

const ISSUER: &str = "mpc-coordinator";
const AUDIENCE: &str = "mpc-enrolment";

/// How far ahead of its clock the coordinator believes itself to have been when it made a token: a
/// clock that was set back must not spoil the tokens of a minute ago.
const SKEW_SECONDS: u64 = 60;

/// A token's id (`jti`): a UUIDv7.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TokenId(Uuid);

/// A text that is no id of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the id of an enrolment token: give a UUIDv7")]
pub(crate) struct NotATokenId;

impl TokenId {
    pub(crate) fn generate() -> Self {
        Self(Uuid::now_v7())
    }
}

impl FromStr for TokenId {
    type Err = NotATokenId;

    fn from_str(text: &str) -> Result<Self, NotATokenId> {
        let id = Uuid::try_parse(text).map_err(|_| NotATokenId)?;
        if id.get_version_num() == 7 { Ok(Self(id)) } else { Err(NotATokenId) }
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenId({self})")
    }
}

impl Serialize for TokenId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What a token says, once its signature is known to be the coordinator's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ticket {
    pub(crate) id: TokenId,
    /// What the party will be there for.
    pub(crate) role: Role,
    /// The party's label; without it, the one that the party gives itself.
    pub(crate) label: Option<String>,
    pub(crate) created_at: UnixMillis,
    pub(crate) expires_at: UnixMillis,
}

/// Why a token lets nobody in. For the log: the party is only told that it is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenFault {
    #[error("enrolment by token is off: the coordinator has no JWT_SECRET_KEY")]
    Off,
    #[error("the party's id is not the one encoding of a usable key")]
    NoIdentity,
    #[error("it is no token of this coordinator: {0}")]
    Jwt(#[from] jsonwebtoken::errors::Error),
    #[error("its header is not the one of this coordinator's tokens")]
    Header,
    #[error("{0}")]
    Id(#[from] NotATokenId),
    #[error("{0}")]
    Role(#[from] UnknownName),
    #[error("it has expired")]
    Expired,
    #[error("it would live longer than a token may, or is from the future")]
    Life,
}

/// A token could not be signed.
#[derive(Debug, thiserror::Error)]
#[error("an enrolment token cannot be signed: {0}")]
pub(crate) struct CannotSign(#[from] jsonwebtoken::errors::Error);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims {
    iss: String,
    aud: String,
    jti: String,
    /// Seconds since 1970, like `exp`.
    iat: u64,
    exp: u64,
    role: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    label: Option<String>,
}

impl Ticket {
    /// A new token's, valid from `now` for `life`.
    pub(crate) fn new(role: Role, label: Option<String>, now: UnixMillis, life: Duration) -> Self {
        // Tokens count in seconds.
        let created = now.0 / 1000;
        let expires = created.saturating_add(life.min(MAX_TOKEN_LIFE).as_secs());
        let millis = |seconds: u64| UnixMillis(seconds.saturating_mul(1000));
        let (created_at, expires_at) = (millis(created), millis(expires));
        Self { id: TokenId::generate(), role, label, created_at, expires_at }
    }

    /// The token. The same ticket always makes the same token.
    pub(crate) fn sign(&self, secret: &EnrolmentSecret) -> Result<Zeroizing<String>, CannotSign> {
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            jti: self.id.to_string(),
            iat: self.created_at.0 / 1000,
            exp: self.expires_at.0 / 1000,
            role: self.role.name().to_owned(),
            label: self.label.clone(),
        };
        hs256::install();
        let key = EncodingKey::from_secret(secret.as_bytes());
        Ok(Zeroizing::new(jsonwebtoken::encode(&Header::new(ALGORITHM), &claims, &key)?))
    }
}

/// Reads a token that is this coordinator's and valid now. Whether it was used is for the store.
pub(super) fn verify(
    secret: &EnrolmentSecret,
    token: &EnrolmentToken,
    now: UnixMillis,
) -> Result<Ticket, TokenFault> {
    hs256::install();
    // A header with anything more, such as a key of its own, is nobody's who is to be believed.
    if jsonwebtoken::decode_header(token.expose())? != Header::new(ALGORITHM) {
        return Err(TokenFault::Header);
    }
    let mut validation = Validation::new(ALGORITHM);
    validation.set_required_spec_claims(&["exp", "iss", "aud"]);
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[AUDIENCE]);
    validation.leeway = 0;
    let key = DecodingKey::from_secret(secret.as_bytes());
    let Claims { jti, iat, exp, role, label, .. } =
        jsonwebtoken::decode::<Claims>(token.expose(), &key, &validation)?.claims;
    let seconds = now.0 / 1000;
    if exp <= seconds {
        return Err(TokenFault::Expired);
    }
    let is_timely = iat <= seconds.saturating_add(SKEW_SECONDS);
    if !is_timely || exp.saturating_sub(iat) > MAX_TOKEN_LIFE.as_secs() {
        return Err(TokenFault::Life);
    }
    Ok(Ticket {
        id: jti.parse()?,
        role: role.parse()?,
        label,
        created_at: UnixMillis(iat.saturating_mul(1000)),
        expires_at: UnixMillis(exp.saturating_mul(1000)),
    })
}

#[cfg(test)]
mod tests;
