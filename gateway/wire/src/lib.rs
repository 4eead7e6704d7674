//! What gateway, coordinator and parties say to each other.
//!
//! Floor 0 of the house: plain data, no actors, no I/O. Two encodings live here and never mix:
//! MessagePack ([`codec`]) moves messages over a socket, and canonical bytes ([`canonical`]) are
//! what gets hashed and signed.
//!
//! Reading order: [`ids`], [`intent`], [`plan`], [`to_party`] and [`to_coordinator`], then the rest.

pub mod audit;
pub mod authorization;
pub mod bus;
pub mod canonical;
pub mod codec;
pub mod epoch;
pub mod frame;
pub mod handshake;
pub mod identity;
pub mod ids;
pub mod intent;
pub mod limits;
pub mod outcome;
pub mod path;
pub mod payload;
pub mod plan;
pub mod round;
pub mod scheme;
pub mod signature;
pub mod testimony;
pub mod to_coordinator;
pub mod to_party;
pub mod transport;

pub use audit::SignedHead;
pub use authorization::{Authorization, RequesterName, SigningRequest};
pub use bus::{Downlink, Uplink};
pub use canonical::Canonical;
pub use epoch::{ActivationRefusal, EpochKey, EpochPlan, EpochStatement, Verdict};
pub use handshake::EnrolmentToken;
pub use identity::Identity;
pub use ids::{
    AccountId, Attempt, AuxId, EntryHash, Epoch, IntentHash, KeyNumber, Nonce, PartyId, PartyKey,
    PlanHash, ProtocolSessionId, RequestId, Round, Seq, SessionId, SharesHash, Stage, Threshold,
    UnixMillis,
};
pub use intent::{Intent, IntentKind};
pub use outcome::{
    AttemptFailure, AttemptOutcome, EcdsaSignature, FailureKind, PublicKey, Signature,
};
pub use path::DerivationPath;
pub use payload::{HashFunction, Payload, UnfitPayload};
pub use plan::{AttemptPlan, SignedJoin, VerifiedJoin};
pub use round::{RoundAck, RoundEnvelope, RoundHeader};
pub use scheme::Scheme;
pub use signature::{PartySignature, ProvenKey};
pub use testimony::{Inquiry, SignedBan, Testimony};
pub use to_coordinator::{DeclineReason, DeclineScope, Objection, ToCoordinator};
pub use to_party::{AbortReason, ErrorCode, SessionRefusal, ToParty};
pub use transport::{PublicPlaintext, Transport};
