//! Why an attempt ended without a product.

use mpc_wire::limits::bounded_detail;
use mpc_wire::{FailureKind, PartyId};
use std::collections::BTreeSet;

/// The end of an attempt that made nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {detail}", kind.name())]
pub struct EngineFailure {
    /// Why.
    pub kind: FailureKind,
    /// Whom the engine holds responsible; empty if nobody can be named.
    pub guilty: BTreeSet<PartyId>,
    /// For people: what happened. At most [`mpc_wire::limits::MAX_DETAIL`] bytes, nothing secret.
    pub detail: String,
}

impl EngineFailure {
    fn new(kind: FailureKind, guilty: BTreeSet<PartyId>, detail: impl Into<String>) -> Self {
        Self { kind, guilty, detail: bounded_detail(detail.into()) }
    }

    /// Something went wrong here, or was asked for that cannot be.
    pub(crate) fn internal(detail: impl Into<String>) -> Self {
        Self::new(FailureKind::Internal, BTreeSet::new(), detail)
    }

    /// One peer did what the protocol forbids.
    pub(crate) fn misbehaved(guilty: PartyId, detail: impl Into<String>) -> Self {
        Self::new(FailureKind::PeerMisbehaved, BTreeSet::from([guilty]), detail)
    }

    /// Peers did what the protocol forbids; perhaps none of them can be named.
    pub(crate) fn misbehaviour(guilty: BTreeSet<PartyId>, detail: impl Into<String>) -> Self {
        Self::new(FailureKind::PeerMisbehaved, guilty, detail)
    }

    /// A library panicked, over what `sender` sent if it had to do with one peer alone.
    pub(crate) fn panicked(sender: Option<PartyId>, detail: impl Into<String>) -> Self {
        Self::new(FailureKind::Panicked, sender.into_iter().collect(), detail)
    }

    /// The product did not stand its check.
    pub(crate) fn invalid_result(detail: impl Into<String>) -> Self {
        Self::new(FailureKind::ResultInvalid, BTreeSet::new(), detail)
    }
}
