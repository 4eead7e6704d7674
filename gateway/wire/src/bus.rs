//! What gateways and coordinators say to each other about parties. In one process these travel
//! over bounded channels.

use crate::ids::PartyId;
use crate::to_coordinator::ToCoordinator;
use crate::to_party::ToParty;
use serde::{Deserialize, Serialize};

/// From a gateway to the coordinator.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Uplink {
    /// A party proved its identity and can be reached.
    Online {
        /// The party.
        party: PartyId,
        /// Its label.
        label: String,
    },
    /// A party can no longer be reached.
    Offline {
        /// The party.
        party: PartyId,
    },
    /// A party said something; the gateway vouches that it was this party.
    Message {
        /// The party.
        from: PartyId,
        /// What it said.
        message: Box<ToCoordinator>,
    },
}

/// From the coordinator to a gateway.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Downlink {
    /// A message for a party.
    Deliver {
        /// The party.
        to: PartyId,
        /// The message.
        message: Box<ToParty>,
    },
    /// A party's connection is to be closed: its identity was revoked. Every gateway gets it,
    /// whichever the party was last seen at.
    Disconnect {
        /// The party.
        party: PartyId,
    },
}
