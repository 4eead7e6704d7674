//! From a request to sign to a running session.

use crate::clock::Clock;
use crate::names::AccountState;
use crate::opening::{EndWatch, OpenError, Opening};
use crate::store::Store;
use crate::store::account::Account;
use crate::store::idempotency::Claim;
use crate::supervisor::{Open, Supervisor};
use actix::Addr;
use mpc_wire::{Intent, IntentKind, Payload, RequestId, SessionId};
use std::time::Duration;

/// Why a session to sign was not opened. Nothing of it is stored then.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignError {
    #[error("the account is {0}")]
    NotActive(AccountState),
    #[error(transparent)]
    Open(#[from] OpenError),
}

/// Opens signing sessions.
#[derive(Debug, Clone)]
pub(crate) struct Signing {
    pub(crate) store: Store,
    pub(crate) supervisor: Addr<Supervisor>,
    pub(crate) clock: Clock,
    pub(crate) deadline: Duration,
}

impl Signing {
    /// Opens a session that signs `payload` for the account.
    pub(crate) async fn open(
        &self,
        account: Account,
        payload: Payload,
        claim: Option<Claim>,
    ) -> Result<EndWatch, SignError> {
        // Only an active account's key is known to sign.
        let (AccountState::Active, Some(public_key)) = (account.state, account.public_key) else {
            return Err(SignError::NotActive(account.state));
        };
        let aux = self.store.covering_aux(account.scheme, &account.holders).await;
        let aux_id = aux.map_err(OpenError::from)?;
        let intent = Intent {
            session: SessionId::generate(),
            request: RequestId::generate(),
            eligible: account.holders,
            expires_at: self.clock.wall_after(self.deadline),
            kind: IntentKind::Sign {
                account: account.id,
                epoch: account.epoch,
                scheme: account.scheme,
                threshold: account.threshold,
                public_key,
                payload,
            },
        };
        let opening = Opening { claim, ..Opening::plain(intent, aux_id) };
        let opened = self.supervisor.send(Open(opening)).await;
        Ok(opened.unwrap_or(Err(OpenError::Stopping))?)
    }
}
