//! From a request to sign to a running session.

use crate::audit::Asker;
use crate::clock::Clock;
use crate::names::AccountState;
use crate::opening::{EndWatch, OpenError, Opening};
use crate::store::Store;
use crate::store::account::Account;
use crate::store::idempotency::Claim;
use crate::supervisor::{Open, Supervisor};
use actix::Addr;
use mpc_wire::{Authorization, DerivationPath, Intent, IntentKind, Payload, RequestId, SessionId};
use std::time::Duration;

/// Why a session to sign was not opened. Nothing of it is stored then.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignError {
    #[error("the account is {0}")]
    NotActive(AccountState),
    #[error("the request id was used before")]
    RequestReused,
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

/// What is to be signed, and on whose word.
#[derive(Debug, Clone)]
pub(crate) struct SignOrder {
    pub(crate) payload: Payload,
    pub(crate) path: DerivationPath,
    /// The requester's name for its request; without one it gets one.
    pub(crate) request: Option<RequestId>,
    /// The requester's own consent, which is for the parties to judge.
    pub(crate) authorization: Option<Authorization>,
    /// How long the session may take, if not as long as any.
    pub(crate) life: Option<Duration>,
    pub(crate) claim: Option<Claim>,
    pub(crate) asker: Asker,
}

impl Signing {
    /// Opens a session that signs for the account.
    pub(crate) async fn open(
        &self,
        account: Account,
        order: SignOrder,
    ) -> Result<EndWatch, SignError> {
        let SignOrder { payload, path, request, authorization, life, claim, asker } = order;
        // Only an active account's key is known to sign.
        let (AccountState::Active, Some(public_key)) = (account.state, account.public_key) else {
            return Err(SignError::NotActive(account.state));
        };
        let aux = self.store.covering_aux(account.scheme, &account.holders).await;
        let aux_id = aux.map_err(OpenError::from)?;
        // A session does not outlive the consent that it stands on: no party would join it.
        let deadline = self.clock.wall_after(life.unwrap_or(self.deadline));
        let expires_at =
            authorization.as_ref().map_or(deadline, |given| deadline.min(given.expires_at));
        let intent = Intent {
            session: SessionId::generate(),
            request: request.unwrap_or_else(RequestId::generate),
            eligible: account.holders,
            expires_at,
            kind: IntentKind::Sign {
                account: account.id,
                epoch: account.epoch,
                scheme: account.scheme,
                threshold: account.threshold,
                public_key,
                path,
                payload,
                authorization,
            },
        };
        let opening = Opening { claim, asker, ..Opening::plain(intent, aux_id) };
        let opened = self.supervisor.send(Open(opening)).await;
        match opened.unwrap_or(Err(OpenError::Stopping)) {
            // Session ids are fresh: it is the request's id that is known.
            Err(OpenError::SessionExists) if request.is_some() => Err(SignError::RequestReused),
            opened => Ok(opened?),
        }
    }
}
