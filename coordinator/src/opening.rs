//! What it takes to open a session, and what may speak against it.

use crate::audit::Asker;
use crate::store::StoreError;
use crate::store::account::NewAccount;
use crate::store::idempotency::Claim;
use crate::store::session::StoredSession;
use mpc_wire::{AuxId, Intent, PartyId, SessionId};
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::watch;

/// A session to be opened.
#[derive(Debug, Clone)]
pub(crate) struct Opening {
    pub(crate) intent: Intent,
    pub(crate) aux_id: Option<AuxId>,
    /// The parties to take first.
    pub(crate) preferred: BTreeSet<PartyId>,
    /// The account whose key is to be generated.
    pub(crate) account: Option<NewAccount>,
    /// The idempotency key of the request.
    pub(crate) claim: Option<Claim>,
    /// Who asked for it.
    pub(crate) asker: Asker,
}

impl Opening {
    /// A session that nothing else hangs on.
    pub(crate) fn plain(intent: Intent, aux_id: Option<AuxId>) -> Self {
        Self {
            intent,
            aux_id,
            preferred: BTreeSet::new(),
            account: None,
            claim: None,
            asker: Asker::Coordinator,
        }
    }
}

/// Why a session was not opened. Nothing of it is stored then.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error("{needed} parties must be online, {online} are")]
    NotEnoughParties { online: usize, needed: usize, missing: BTreeSet<PartyId> },
    #[error("as many sessions run as may run at a time")]
    Overloaded,
    #[error("a session with this id, or for this request, exists")]
    SessionExists,
    #[error("the idempotency key is in use")]
    KeyTaken,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the coordinator is stopping")]
    Stopping,
}

/// The coordinator stops; what was waited for goes on after its next start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the coordinator is stopping")]
pub(crate) struct Stopping;

/// Tells of the end of a running session.
#[derive(Debug, Clone)]
pub(crate) struct EndWatch {
    pub(crate) session: SessionId,
    end: watch::Receiver<Option<Arc<StoredSession>>>,
}

impl EndWatch {
    pub(crate) fn new(
        session: SessionId,
        end: watch::Receiver<Option<Arc<StoredSession>>>,
    ) -> Self {
        Self { session, end }
    }

    /// Waits for the end.
    pub(crate) async fn ended(&mut self) -> Result<Arc<StoredSession>, Stopping> {
        let end = self.end.wait_for(Option::is_some).await.map_err(|_| Stopping)?;
        end.clone().ok_or(Stopping)
    }
}
