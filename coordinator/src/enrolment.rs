//! Who is let in: enrolment tokens, pre-registered parties, and what a gateway is answered about
//! whoever has proven an identity to it.
//!
//! Reading order: [`secret`] (what tokens are signed with), [`token`] over [`hs256`] (what a token
//! is), and [`Admissions`] below. What is remembered of all of it is in `store::party` and
//! `store::enrolment`.

mod hs256;
mod secret;
mod token;

pub use secret::{EnrolmentSecret, EnrolmentSecretTooShort, MIN_ENROLMENT_SECRET};
pub(crate) use token::{
    CannotSign, DEFAULT_TOKEN_LIFE, MAX_TOKEN_LIFE, Ticket, TokenFault, TokenId,
};

use crate::clock::Clock;
use crate::store::{Store, StoreError};
use mpc_wire::{EnrolmentToken, PartyId, PartySignature, ProvenKey};

/// Who has proven an identity to a gateway.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// The party.
    pub party: PartyId,
    /// Which of its keys it has proven to hold.
    pub key: ProvenKey,
    /// The proof's signature, which was checked: it says what the key descends from.
    pub signature: PartySignature,
    /// The label that the party gives itself.
    pub label: String,
    /// What lets a new identity in.
    pub token: Option<EnrolmentToken>,
}

/// What becomes of an arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is registered, or its token was good and is used up now.
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

/// Decides who may connect, over the coordinator's store.
#[derive(Debug, Clone)]
pub struct Admissions {
    store: Store,
    secret: Option<EnrolmentSecret>,
    clock: Clock,
}

impl Admissions {
    /// Decides over this store; without a secret no token lets anybody in.
    pub fn new(store: Store, secret: Option<EnrolmentSecret>) -> Self {
        Self { store, secret, clock: Clock::start() }
    }

    /// Decides on an arrival. A newer key and a used token are durable before this returns.
    ///
    /// # Errors
    /// [`StoreError`] if the database does not answer.
    pub async fn admit(&self, arrival: &Arrival) -> Result<Verdict, StoreError> {
        // Most arrivals are known and have the key that is known: nothing is written for them.
        if let Some(known) = self.store.party(arrival.party).await? {
            match known.judge(arrival.key, &arrival.signature) {
                Judgement::Same => return Ok(Verdict::Admitted),
                Judgement::Revoked => return Ok(Verdict::Revoked),
                Judgement::Superseded => return Ok(Verdict::KeySuperseded),
                Judgement::Newer => {}
            }
            return self.store.admit(arrival, None, self.clock.wall()).await;
        }
        let Some(token) = &arrival.token else {
            return Ok(Verdict::NotEnrolled);
        };
        let now = self.clock.wall();
        let ticket = match &self.secret {
            None => Err(TokenFault::Off),
            // No identity may appear under two names.
            Some(_) if !arrival.party.is_canonical() => Err(TokenFault::NoIdentity),
            Some(secret) => token::verify(secret, token, now),
        };
        match ticket {
            Ok(ticket) => self.store.admit(arrival, Some(&ticket), now).await,
            Err(fault) => {
                tracing::info!(party = %arrival.party, %fault, "an enrolment token is refused");
                Ok(Verdict::TokenRefused)
            }
        }
    }

    /// Whether a party that was admitted with this key would still be.
    ///
    /// # Errors
    /// [`StoreError`] if the database does not answer.
    pub async fn confirm(&self, party: PartyId, key: ProvenKey) -> Result<Verdict, StoreError> {
        Ok(match self.store.party(party).await? {
            None => Verdict::NotEnrolled,
            Some(known) if known.is_revoked() => Verdict::Revoked,
            Some(known) if known.key != key => Verdict::KeySuperseded,
            Some(_) => Verdict::Admitted,
        })
    }
}

/// How a key that a party has proven stands to what is known of the party.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// It is the key that is known.
    Same,
    /// It descends from the key that is known, and takes its place.
    Newer,
    /// It does not descend from the key that is known.
    Superseded,
    /// The party was revoked, whatever its key.
    Revoked,
}
