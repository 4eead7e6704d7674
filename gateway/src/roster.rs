//! Who may connect.

use mpc_wire::{EnrolmentToken, PartyId, PartySignature, ProvenKey};
use std::error::Error;
use std::future::Future;
use std::pin::Pin;

/// Who has proven its identity and wants to connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The party.
    pub party: PartyId,
    /// Which of its keys it has proven to hold.
    pub key: ProvenKey,
    /// The proof's signature, which was checked: it says what the key descends from.
    pub signature: PartySignature,
    /// Its label.
    pub label: String,
    /// What lets a new identity in.
    pub token: Option<EnrolmentToken>,
}

/// What becomes of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It may connect: it is registered, or its token was good and is used up now.
    Admitted,
    /// It is not registered and showed no token.
    NotEnrolled,
    /// It is not registered, and its token is wrong, expired or used.
    TokenRefused,
    /// It was revoked.
    Revoked,
    /// A newer key of the party is known, or one that this key does not descend from.
    KeySuperseded,
}

/// What a roster answers with, once it can.
pub type Answer<'a> =
    Pin<Box<dyn Future<Output = Result<Admission, RosterUnavailable>> + Send + 'a>>;

/// Who may connect; the composition implements it over the coordinator's store.
///
/// Each party is asked about twice. Between the first answer and the moment from which a
/// [`mpc_wire::Downlink::Disconnect`] finds the connection, its party may be revoked; a revocation
/// is written before it is told, so one that was told too early is seen by the second question.
pub trait Roster: Send + Sync + 'static {
    /// Decides on a claim, and remembers a newer key and a used token before it answers.
    ///
    /// # Errors
    /// [`RosterUnavailable`] if nobody can say now; the party is asked to come again.
    fn admit(&self, claim: Claim) -> Answer<'_>;

    /// Whether a party that was admitted with this key would still be. Changes nothing.
    ///
    /// # Errors
    /// [`RosterUnavailable`] if nobody can say now; the party is asked to come again.
    fn confirm(&self, party: PartyId, key: ProvenKey) -> Answer<'_>;
}

/// The roster could not be read.
#[derive(Debug, thiserror::Error)]
#[error("the roster cannot be read")]
pub struct RosterUnavailable(#[source] Box<dyn Error + Send + Sync>);

impl RosterUnavailable {
    /// Wraps the reason, which goes to the log only.
    pub fn new(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(source.into())
    }
}
