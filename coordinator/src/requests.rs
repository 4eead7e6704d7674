//! Sessions that a party asks for.

use crate::audit::Asker;
use crate::clock::Clock;
use crate::config::Limits;
use crate::names::{AccountState, Role};
use crate::opening::{OpenError, Opening};
use crate::store::account::Account;
use crate::store::{Store, StoreError};
use crate::supervisor::{Open, Supervisor};
use actix::Addr;
use mpc_wire::{Intent, IntentKind, PartyId, Payload, SessionRefusal};
use std::time::Duration;

/// Decides on sessions that parties ask for.
#[derive(Debug, Clone)]
pub(crate) struct Requests {
    pub(crate) store: Store,
    pub(crate) supervisor: Addr<Supervisor>,
    pub(crate) clock: Clock,
    pub(crate) max_life: Duration,
}

impl Requests {
    pub(crate) fn new(
        store: Store,
        supervisor: Addr<Supervisor>,
        clock: Clock,
        limits: &Limits,
    ) -> Self {
        Self { store, supervisor, clock, max_life: limits.max_requested_life }
    }

    /// Opens the session that `from` asks for. `Ok` means that it is durable.
    pub(crate) async fn accept(&self, from: PartyId, intent: Intent) -> Result<(), SessionRefusal> {
        // A party that saw no answer asks again with the very same intent.
        if let Some(known) = self.store.session(intent.session).await.map_err(unavailable)? {
            return if known.record.intent == intent {
                Ok(())
            } else {
                Err(SessionRefusal::Duplicate)
            };
        }
        let account = self.check(from, &intent).await?;
        let aux_id =
            self.store.covering_aux(account.scheme, &account.holders).await.map_err(unavailable)?;
        if aux_id.is_none() && account.scheme.needs_aux() {
            return Err(SessionRefusal::Unavailable);
        }
        let session = intent.session;
        let asker = Asker::Party(from);
        let opening = Opening { asker, ..Opening::plain(intent, aux_id) };
        match self.supervisor.send(Open(opening)).await {
            Ok(Ok(_)) => {
                tracing::info!(party = %from, %session, "a requested session was opened");
                Ok(())
            }
            Ok(Err(OpenError::NotEnoughParties { .. })) => Err(SessionRefusal::NotEnoughParties),
            Ok(Err(OpenError::SessionExists | OpenError::KeyTaken)) => {
                Err(SessionRefusal::Duplicate)
            }
            Ok(Err(
                error @ (OpenError::Overloaded | OpenError::Store(_) | OpenError::Stopping),
            )) => {
                tracing::warn!(party = %from, %session, %error, "cannot open a requested session");
                Err(SessionRefusal::Unavailable)
            }
            Err(_) => Err(SessionRefusal::Unavailable),
        }
    }

    async fn check(&self, from: PartyId, intent: &Intent) -> Result<Account, SessionRefusal> {
        intent.check().map_err(|_| SessionRefusal::IntentMismatch)?;
        let IntentKind::Sign { account, epoch, scheme, threshold, public_key, payload, .. } =
            &intent.kind
        else {
            return Err(SessionRefusal::NotAllowed);
        };
        // Only the coordinator knows when an account has to be proved.
        if matches!(payload, Payload::Canary { .. }) {
            return Err(SessionRefusal::NotAllowed);
        }
        let account = self
            .store
            .account(*account)
            .await
            .map_err(unavailable)?
            .filter(|account| account.state == AccountState::Active)
            .ok_or(SessionRefusal::UnknownAccount)?;
        let role = self.store.role(from).await.map_err(unavailable)?;
        if role != Some(Role::Device) || !account.holders.contains(&from) {
            return Err(SessionRefusal::NotAllowed);
        }
        let is_of_account = account.holders == intent.eligible
            && account.epoch == *epoch
            && account.scheme == *scheme
            && account.threshold == *threshold
            && account.public_key.as_ref() == Some(public_key);
        let expiry = intent.expires_at;
        let is_timely =
            expiry > self.clock.wall() && expiry <= self.clock.wall_after(self.max_life);
        if is_of_account && is_timely { Ok(account) } else { Err(SessionRefusal::IntentMismatch) }
    }
}

fn unavailable(error: StoreError) -> SessionRefusal {
    tracing::warn!(%error, "a requested session cannot be looked at");
    SessionRefusal::Unavailable
}
