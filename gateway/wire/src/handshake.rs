//! How a party proves its identity to a gateway.

use crate::canonical::{Canonical, CanonicalWriter};
use crate::ids::{Nonce, PartyId};
use crate::limits::VERSION;
use serde::{Deserialize, Serialize};

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
/// name, the server's nonce, party id, label.
#[derive(Debug)]
pub struct Hello<'a> {
    /// The challenge that is answered.
    pub challenge: &'a Challenge,
    /// Who answers.
    pub party: PartyId,
    /// The party's free-form label.
    pub label: &'a str,
}

impl Canonical for Hello<'_> {
    const DOMAIN: &'static str = "mpc.v1/hello";

    fn write_fields(&self, out: &mut CanonicalWriter) {
        out.u16(VERSION)
            .text(&self.challenge.server)
            .fixed(self.challenge.nonce.as_bytes())
            .fixed(self.party.as_bytes())
            .text(self.label);
    }
}
