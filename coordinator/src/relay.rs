//! Carries what parties say to each other apart from sessions. All of it is signed by its sender and
//! checked by its recipient: nothing here is believed, and nothing here is secret.

use crate::post::Post;
use crate::roster::Roster;
use crate::store::{Store, StoreError};
use mpc_wire::limits::MAX_INQUIRY;
use mpc_wire::{Inquiry, PartyId, SignedBan, Testimony, ToCoordinator, ToParty};
use std::collections::BTreeSet;

/// Something that one party says to others.
#[derive(Debug)]
pub(crate) enum Word {
    /// A restored party asks the other holders of its accounts.
    Inquiry(Inquiry),
    /// One of them answers.
    Testimony(Testimony),
    /// A party tells its fellow holders of a ban.
    Ban(SignedBan),
}

impl Word {
    /// The word that a message is; the message if it is none.
    pub(crate) fn of(message: Box<ToCoordinator>) -> Result<Self, Box<ToCoordinator>> {
        match *message {
            ToCoordinator::Inquiry(inquiry) => Ok(Self::Inquiry(inquiry)),
            ToCoordinator::Testimony(testimony) => Ok(Self::Testimony(testimony)),
            ToCoordinator::Ban(ban) => Ok(Self::Ban(ban)),
            other @ (ToCoordinator::Prove { .. }
            | ToCoordinator::Join { .. }
            | ToCoordinator::Decline { .. }
            | ToCoordinator::AwaitingApproval { .. }
            | ToCoordinator::Objected { .. }
            | ToCoordinator::AuditHead(_)
            | ToCoordinator::Round(_)
            | ToCoordinator::RoundRefused { .. }
            | ToCoordinator::Ack(_)
            | ToCoordinator::Progress { .. }
            | ToCoordinator::Outcome { .. }
            | ToCoordinator::RequestSession { .. }
            | ToCoordinator::Activated { .. }
            | ToCoordinator::Statement(_)) => Err(Box::new(other)),
        }
    }
}

/// The relay.
#[derive(Debug, Clone)]
pub(crate) struct Relay {
    pub(crate) store: Store,
    pub(crate) roster: Roster,
    pub(crate) post: Post,
}

impl Relay {
    /// Carries a word of `from` to whom it concerns, as far as they are connected; whoever is not
    /// hears it when it is said again.
    pub(crate) async fn carry(&self, from: PartyId, word: Word) -> Result<(), StoreError> {
        match word {
            Word::Inquiry(inquiry) => {
                let accounts = inquiry.accounts.iter().take(MAX_INQUIRY).copied().collect();
                let holders = self.store.fellow_holders(from, Some(accounts)).await?;
                self.tell(from, holders, || ToParty::Inquiry(inquiry.clone())).await;
            }
            Word::Testimony(testimony) => {
                let to = BTreeSet::from([testimony.to]);
                self.tell(from, to, || ToParty::Testimony(testimony.clone())).await;
            }
            Word::Ban(ban) => {
                let fellows = self.store.fellow_holders(from, None).await?;
                self.tell(from, fellows, || ToParty::Ban(ban.clone())).await;
            }
        }
        Ok(())
    }

    async fn tell(&self, from: PartyId, parties: BTreeSet<PartyId>, message: impl Fn() -> ToParty) {
        for party in parties {
            if party != from
                && self.roster.is_online(party)
                && let Err(error) = self.post.deliver(party, Box::new(message())).await
            {
                tracing::warn!(%party, %from, %error, "a peer's word was lost");
            }
        }
    }
}
