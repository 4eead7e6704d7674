//! The way out to the parties.

use mpc_wire::{Downlink, PartyId, ToParty};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::sync::mpsc::Permit;
use tokio::time::timeout;

/// How long a full downlink is waited for. A gateway that takes nothing for so long does not work;
/// the message's party then counts as out of reach.
const DOWNLINK_PATIENCE: Duration = Duration::from_secs(5);

/// The gateway did not take the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the gateway does not take messages")]
pub(crate) struct Undeliverable;

/// Hands messages to the gateway.
#[derive(Debug, Clone)]
pub(crate) struct Post(mpsc::Sender<Downlink>);

impl Post {
    pub(crate) fn new(downlink: mpsc::Sender<Downlink>) -> Self {
        Self(downlink)
    }

    /// Hands over a message that may be lost: it is, if there is no room for it now.
    pub(crate) fn offer(&self, to: PartyId, message: Box<ToParty>) -> Result<(), Undeliverable> {
        self.0.try_send(Downlink::Deliver { to, message }).map_err(|_| Undeliverable)
    }

    /// Hands over a message, waiting for room within bounds.
    pub(crate) async fn deliver(
        &self,
        to: PartyId,
        message: Box<ToParty>,
    ) -> Result<(), Undeliverable> {
        self.hand_over(Downlink::Deliver { to, message }).await
    }

    /// Has every connection of a party closed, since it was revoked. With several gateways the
    /// downlink is their bus, which brings this to all of them.
    pub(crate) async fn disconnect(&self, party: PartyId) -> Result<(), Undeliverable> {
        self.hand_over(Downlink::Disconnect { party }).await
    }

    /// Waits for room within bounds, for a message that is made when there is some.
    pub(crate) async fn room(&self) -> Result<Room<'_>, Undeliverable> {
        match timeout(DOWNLINK_PATIENCE, self.0.reserve()).await {
            Ok(Ok(permit)) => Ok(Room(permit)),
            Ok(Err(_)) | Err(_) => Err(Undeliverable),
        }
    }

    async fn hand_over(&self, message: Downlink) -> Result<(), Undeliverable> {
        let Room(permit) = self.room().await?;
        permit.send(message);
        Ok(())
    }
}

/// Room for one message.
#[derive(Debug)]
pub(crate) struct Room<'a>(Permit<'a, Downlink>);

impl Room<'_> {
    /// Hands the message over; it comes behind whatever was handed over before.
    pub(crate) fn put(self, to: PartyId, message: Box<ToParty>) {
        self.0.send(Downlink::Deliver { to, message });
    }
}
