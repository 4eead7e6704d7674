//! Every bound of the wire, with its reason.

use std::time::Duration;

/// Version of the wire protocol and of the canonical encoding.
pub const VERSION: u16 = 1;

/// WebSocket subprotocol of [`VERSION`].
pub const SUBPROTOCOL: &str = "mpc.v1";

/// Largest WebSocket message, in bytes. The largest honest one is a round of AuxGen: about 150 kB
/// for a 2048-bit Paillier modulus; signing rounds grow with the quorum to about as much at
/// [`MAX_PARTIES`]. The rest is head room for header and a second parameter set. What is longer,
/// as proofs in error rounds are, parties send in parts.
pub const MAX_FRAME: usize = 1 << 20;

/// Most parties of one account or aux set. AuxGen's cost grows with the square of it.
pub const MAX_PARTIES: usize = 20;

/// Longest message that may be signed as bytes. What is larger is hashed by the requester.
pub const MAX_PAYLOAD_BYTES: usize = 64 << 10;

/// Longest encoded public key, in bytes: an uncompressed point of secp256k1 (SEC 1).
pub const MAX_PUBLIC_KEY: usize = 65;

/// Longest label of a party or server, in bytes.
pub const MAX_LABEL: usize = 64;

/// Longest free-form detail of a refusal or failure, in bytes.
pub const MAX_DETAIL: usize = 512;

/// Most rotations of a party's key: each makes every signature of the party 96 bytes longer, and a
/// key that is rotated each month lasts for years. After that the party is replaced by a new one.
pub const MAX_KEY_ROTATIONS: usize = 32;

/// Longest enrolment token, in bytes: a JWT with the few claims that are needed takes some 400.
pub const MAX_TOKEN: usize = 1024;

/// Longest name of a requester, in bytes.
pub const MAX_REQUESTER: usize = 64;

/// Deepest derivation path of a sign request. BIP 44 has five levels.
pub const MAX_PATH: usize = 10;

/// Most accounts that one inquiry names; who has more asks again. An answer then takes some 40 kB.
pub const MAX_INQUIRY: usize = 1000;

/// Most bans that one testimony carries.
pub const MAX_BANS: usize = 256;

/// Most statements that come with an activation: two by each holder.
pub const MAX_STATEMENTS: usize = 2 * MAX_PARTIES;

/// Longest text of an audit entry's field, in bytes.
pub const MAX_AUDIT_TEXT: usize = 1024;

/// Deepest nesting of a MessagePack value; an intent inside a message has seven levels.
pub const MAX_DEPTH: usize = 32;

/// How often the gateway pings a party.
pub const HEARTBEAT: Duration = Duration::from_secs(5);

/// How long a socket may stay silent before it counts as gone: two lost heartbeats and a margin.
pub const SILENCE: Duration = Duration::from_secs(12);

/// How long a connection may take from its upgrade to a valid proof of identity.
pub const HANDSHAKE: Duration = Duration::from_secs(5);

/// Shortens a detail text to [`MAX_DETAIL`] bytes, at a character boundary.
pub fn bounded_detail(mut detail: String) -> String {
    if detail.len() > MAX_DETAIL {
        let end = (0..=MAX_DETAIL).rev().find(|at| detail.is_char_boundary(*at)).unwrap_or(0);
        detail.truncate(end);
    }
    detail
}
