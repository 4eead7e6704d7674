//! What a running session says about itself.

use mpc_wire::{Attempt, PartyId, Round, Stage};
use serde::Serialize;
use std::collections::BTreeSet;

/// Where a session stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The phase.
    pub phase: Phase,
    /// The newest attempt; 0 before the first.
    pub attempt: Attempt,
    /// The parties of the newest attempt; empty while none runs.
    pub quorum: BTreeSet<PartyId>,
    /// The parties that the session cannot go on without.
    pub waiting_for: BTreeSet<PartyId>,
    /// Stage and round of the member that is furthest behind, once the attempt runs.
    pub position: Option<(Stage, Round)>,
}

/// The phases of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Too few parties can be reached, or not those that are needed for the attempt.
    WaitingForParties,
    /// Members have been invited and have yet to join.
    Joining,
    /// Everybody else has joined; persons have yet to approve. After
    /// [`crate::JOIN_PATIENCE`] others are asked instead, if there are enough of them; else it
    /// stays so until the deadline.
    WaitingForApproval,
    /// The protocol runs.
    Running,
    /// It is over.
    Ended,
}
