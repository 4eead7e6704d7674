//! Every reason for which the gateway closes a connection, and how it tells the party.

use mpc_wire::ErrorCode;
use mpc_wire::codec::CodecError;
use mpc_wire::frame::FrameFault;

// Close codes of RFC 6455, 7.4.1, and of the IANA registry that it opened.

/// The server goes away; the party should come back elsewhere or later.
const AWAY: u16 = 1001;
/// What came is not WebSocket.
const PROTOCOL: u16 = 1002;
/// A kind of frame that this subprotocol does not use.
const UNSUPPORTED: u16 = 1003;
/// A frame of the right kind with the wrong content.
const INVALID: u16 = 1007;
/// The party broke a rule of this subprotocol; coming back at once will not help.
const POLICY: u16 = 1008;
/// The frame is too large, or a piece of what may become so.
const SIZE: u16 = 1009;
/// The server cannot answer now; the party should come back.
const AGAIN: u16 = 1013;

/// Why the gateway closes a connection. The texts go to the party and say what to do next.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Farewell {
    #[error("no valid proof of identity came in time: answer the challenge at once")]
    HandshakeLate,
    #[error("answer the challenge before anything else")]
    NotProven,
    #[error("the proof is not signed by the identity it names, over this challenge")]
    BadProof,
    #[error("the label is too long")]
    LabelTooLong,
    #[error("the identity was proven already; one proof a connection")]
    ProvenTwice,
    #[error("this identity is not registered: enrol it first")]
    NotEnrolled,
    #[error("the roster cannot be read now: come again")]
    RosterUnavailable,
    #[error("the message names a sender other than this connection's party")]
    WrongSender,
    #[error("{0}")]
    Malformed(CodecError),
    #[error("text frames are not used here: send binary ones")]
    Text,
    #[error(transparent)]
    Frame(FrameFault),
    #[error("what came is not a WebSocket frame")]
    NotWebSocket,
    #[error("this identity connected again; this connection is the older one")]
    Replaced,
    #[error("the enrolment token is wrong, expired or used: ask for a new one")]
    TokenRefused,
    #[error("a newer key of this identity is known: this one was rotated away")]
    KeySuperseded,
    #[error("this identity was revoked")]
    Revoked,
    #[error("the gateway goes away: connect elsewhere or later")]
    GoingAway,
}

impl Farewell {
    /// The code of the error message that goes before the close frame.
    pub(crate) fn error(&self) -> ErrorCode {
        match self {
            Self::HandshakeLate | Self::NotProven | Self::BadProof => ErrorCode::NotAuthenticated,
            Self::NotEnrolled => ErrorCode::NotEnrolled,
            Self::TokenRefused => ErrorCode::TokenRefused,
            Self::KeySuperseded => ErrorCode::KeySuperseded,
            Self::Revoked => ErrorCode::Revoked,
            Self::RosterUnavailable => ErrorCode::Overloaded,
            Self::WrongSender => ErrorCode::WrongSender,
            Self::LabelTooLong
            | Self::ProvenTwice
            | Self::Malformed(_)
            | Self::Text
            | Self::Frame(FrameFault::Fragmented)
            | Self::NotWebSocket => ErrorCode::Malformed,
            Self::Frame(FrameFault::TooLarge) => ErrorCode::TooLarge,
            Self::Replaced => ErrorCode::Replaced,
            Self::GoingAway => ErrorCode::GoingAway,
        }
    }

    /// The code of the close frame.
    pub(crate) fn close_code(&self) -> u16 {
        match self {
            Self::HandshakeLate
            | Self::NotProven
            | Self::BadProof
            | Self::LabelTooLong
            | Self::ProvenTwice
            | Self::NotEnrolled
            | Self::WrongSender
            | Self::Replaced
            | Self::TokenRefused
            | Self::KeySuperseded
            | Self::Revoked => POLICY,
            Self::RosterUnavailable => AGAIN,
            Self::Malformed(_) => INVALID,
            Self::Text => UNSUPPORTED,
            Self::Frame(FrameFault::TooLarge | FrameFault::Fragmented) => SIZE,
            Self::NotWebSocket => PROTOCOL,
            Self::GoingAway => AWAY,
        }
    }
}
