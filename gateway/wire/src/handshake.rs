//! How a party proves its identity to a gateway.

use crate::canonical::{Canonical, CanonicalWriter};
use crate::ids::{Nonce, PartyId};
use crate::limits::{MAX_TOKEN, VERSION};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;
use zeroize::Zeroizing;

/// The gateway's challenge: the first message on a connection.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Challenge {
    /// The wire version that the gateway speaks.
    pub version: u16,
    /// The gateway's name; the party checks that it is the one it meant to reach.
    pub server: String,
    /// Used once.
    pub nonce: Nonce,
}

/// What a party signs to prove its identity. Canonical domain `mpc.v1/hello`: wire version, server
/// name, the server's nonce, party id, label, and (optional) the SHA-256 of the enrolment token.
#[derive(Debug)]
pub struct Hello<'a> {
    /// The challenge that is answered.
    pub challenge: &'a Challenge,
    /// Who answers.
    pub party: PartyId,
    /// The party's free-form label.
    pub label: &'a str,
    /// The token that lets a new identity in.
    pub token: Option<&'a EnrolmentToken>,
}

impl Canonical for Hello<'_> {
    const DOMAIN: &'static str = "mpc.v1/hello";

    fn write_fields(&self, out: &mut CanonicalWriter) {
        out.u16(VERSION)
            .text(&self.challenge.server)
            .fixed(self.challenge.nonce.as_bytes())
            .fixed(self.party.as_bytes())
            .text(self.label)
            .option(self.token, |out, token| {
                out.fixed(&<[u8; 32]>::from(Sha256::digest(token.expose())));
            });
    }
}

/// A single-use token that enrols a new identity: a JWT (RFC 7519). Zeroizes on drop and is never
/// formatted: until it is used it is as good as a key.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct EnrolmentToken(Zeroizing<String>);

/// A text that is too long to be a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an enrolment token: at most {MAX_TOKEN} bytes")]
pub struct TokenTooLong;

impl EnrolmentToken {
    /// The token's text.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for EnrolmentToken {
    type Error = TokenTooLong;

    fn try_from(token: String) -> Result<Self, TokenTooLong> {
        let token = Zeroizing::new(token);
        if token.len() <= MAX_TOKEN { Ok(Self(token)) } else { Err(TokenTooLong) }
    }
}

impl std::hash::Hash for EnrolmentToken {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.expose().hash(state);
    }
}

impl Serialize for EnrolmentToken {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.expose())
    }
}

impl fmt::Debug for EnrolmentToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EnrolmentToken(redacted)")
    }
}
