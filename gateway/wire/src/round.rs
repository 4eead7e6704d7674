//! Sealed bytes from one party to another within one attempt.

use crate::canonical::{Canonical, CanonicalWriter};
use crate::ids::{Attempt, PartyId, Round, Seq, SessionId, Stage};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What gateway and coordinator may know of a round message. Its canonical bytes (domain
/// `mpc.v1/round`; fields in the order given here) are the associated data of the seal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RoundHeader {
    /// The session.
    pub session: SessionId,
    /// The attempt.
    pub attempt: Attempt,
    /// The sender.
    pub from: PartyId,
    /// The recipient.
    pub to: PartyId,
    /// The stage.
    pub stage: Stage,
    /// The round within the stage.
    pub round: Round,
    /// Position among the messages of this sender to this recipient in this attempt, and the
    /// sequence number of the HPKE context (RFC 9180, 5.2).
    pub seq: Seq,
}

impl Canonical for RoundHeader {
    const DOMAIN: &'static str = "mpc.v1/round";

    fn write_fields(&self, out: &mut CanonicalWriter) {
        out.fixed(self.session.as_bytes())
            .u32(self.attempt.0)
            .fixed(self.from.as_bytes())
            .fixed(self.to.as_bytes())
            .u8(self.stage.0)
            .u16(self.round.0)
            .u64(self.seq.0);
    }
}

/// A round message on its way.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RoundEnvelope {
    /// Who, to whom, and where in the protocol.
    pub header: RoundHeader,
    /// HPKE ciphertext; the message with sequence number 0 starts with the 32 bytes of the
    /// encapsulated key.
    #[serde(with = "serde_bytes")]
    pub sealed: Vec<u8>,
}

impl fmt::Debug for RoundEnvelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoundEnvelope")
            .field("header", &self.header)
            .field("sealed", &format_args!("{} bytes", self.sealed.len()))
            .finish()
    }
}

/// A member tells another one which of its round messages have arrived: all below a sequence number.
/// It is relayed as round messages are. It is neither signed nor sealed: who forges one can make a
/// message be lost, as who keeps that message back can.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RoundAck {
    /// The session.
    pub session: SessionId,
    /// The attempt.
    pub attempt: Attempt,
    /// The member that has got the messages.
    pub from: PartyId,
    /// The member that has sent them.
    pub to: PartyId,
    /// The sequence number that is expected next.
    pub next: Seq,
}
