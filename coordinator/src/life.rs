//! An account's way from its order to its first use.
//!
//! Everything on it starts from what is stored, so that it can begin anywhere: generating (the
//! session's end changes the state), activating (canaries by quorums that together include every
//! party, once an aux set covers them; then every party that can be reached takes the shares up),
//! active or failed.

use crate::activation::{Activation, Made, NotActivated, Proofs};
use crate::backoff::Backoff;
use crate::clock::Clock;
use crate::names::AccountState;
use crate::opening::{EndWatch, OpenError, Opening, Stopping};
use crate::pool::{Pool, WaitForAux};
use crate::roster::Roster;
use crate::store::account::{Account, Timings};
use crate::store::{Store, StoreError};
use crate::supervisor::{Find, Open, Supervisor};
use actix::Addr;
use mpc_session::Millis;
use mpc_wire::{
    AccountId, AuxId, DerivationPath, EpochStatement, Intent, IntentKind, PartyId, Payload,
    RequestId, SessionId,
};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::sync::watch;

/// What a life needs around it.
#[derive(Debug, Clone)]
pub(crate) struct LifeParts {
    pub(crate) store: Store,
    pub(crate) supervisor: Addr<Supervisor>,
    pub(crate) pool: Addr<Pool>,
    pub(crate) roster: Roster,
    pub(crate) clock: Clock,
    pub(crate) activation: Activation,
    pub(crate) canary_deadline: Duration,
    pub(crate) retry_pause: Duration,
}

/// One account on its way.
pub(crate) struct Life {
    id: AccountId,
    parts: LifeParts,
    state: watch::Sender<AccountState>,
    backoff: Backoff,
}

/// Why a step could not be made now.
#[derive(Debug, thiserror::Error)]
enum Obstacle {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Stopping(#[from] Stopping),
    #[error("the account is not in the store, or has no key")]
    Incomplete,
    #[error("the canaries failed")]
    CanariesFailed,
    #[error(transparent)]
    NotActivated(NotActivated),
}

impl From<NotActivated> for Obstacle {
    fn from(error: NotActivated) -> Self {
        match error {
            NotActivated::Stopping(stopping) => Self::Stopping(stopping),
            refused @ NotActivated::Refused { .. } => Self::NotActivated(refused),
        }
    }
}

impl Life {
    pub(crate) fn new(id: AccountId, parts: LifeParts, state: watch::Sender<AccountState>) -> Self {
        let backoff = Backoff::new(parts.retry_pause);
        Self { id, parts, state, backoff }
    }

    /// Goes on until the account is active or has failed, or the coordinator stops.
    pub(crate) async fn run(mut self) {
        loop {
            match self.step().await {
                Ok(state) => {
                    self.backoff.reset();
                    self.state.send_replace(state);
                    if matches!(state, AccountState::Active | AccountState::Failed) {
                        tracing::info!(account = %self.id, %state, "the account has settled");
                        return;
                    }
                }
                Err(Obstacle::Stopping(_)) => return,
                Err(obstacle) => {
                    let pause = self.backoff.pause();
                    tracing::warn!(account = %self.id, %obstacle, ?pause, "no progress");
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    /// Makes the next step; says where the account stands then.
    async fn step(&mut self) -> Result<AccountState, Obstacle> {
        let account = self.parts.store.account(self.id).await?.ok_or(Obstacle::Incomplete)?;
        match account.state {
            AccountState::Generating => self.wait_for_key(account).await,
            AccountState::Activating => {
                self.state.send_replace(AccountState::Activating);
                self.activate(account).await
            }
            AccountState::Active | AccountState::Failed => Ok(account.state),
        }
    }

    async fn wait_for_key(&self, account: Account) -> Result<AccountState, Obstacle> {
        if let Some(mut end) = self.running(account.keygen).await? {
            end.ended().await?;
        }
        // The session's end and the account's new state were stored together.
        let account = self.parts.store.account(self.id).await?.ok_or(Obstacle::Incomplete)?;
        match account.state {
            AccountState::Generating => Err(Obstacle::Incomplete),
            AccountState::Activating | AccountState::Active | AccountState::Failed => {
                Ok(account.state)
            }
        }
    }

    async fn activate(&self, account: Account) -> Result<AccountState, Obstacle> {
        let LifeParts { pool, store, clock, activation, .. } = &self.parts;
        let made = activation.made(&account).await?.ok_or(Obstacle::Incomplete)?;
        let began = clock.now();
        let aux_id = if account.scheme.needs_aux() {
            let wanted = WaitForAux { scheme: account.scheme, parties: account.holders.clone() };
            Some(pool.send(wanted).await.map_err(|_| Stopping)??)
        } else {
            None
        };
        let aux_ready = clock.now();
        let mut proofs = self.proved_before(&account, &made).await?;
        while !account.holders.iter().all(|holder| proofs.contains_key(holder)) {
            let proved = proofs.keys().copied().collect();
            let newly = self.canaries(&account, &made, aux_id, &proved).await?;
            if newly.keys().all(|party| proved.contains(party)) {
                return Err(Obstacle::CanariesFailed);
            }
            proofs.extend(newly);
        }
        activation.spread(&account, &made, &proofs).await?;
        let timings = Timings {
            aux_wait: aux_id.map(|_| elapsed(began, aux_ready)),
            canary: Some(elapsed(aux_ready, clock.now())),
            ..account.timings
        };
        store.activate_account(self.id, timings).await?;
        Ok(AccountState::Active)
    }

    /// The proofs of the parties whose shares have signed a canary already; canaries that run are
    /// waited for. A proof by a key that its party has replaced counts for nothing any more.
    async fn proved_before(&self, account: &Account, made: &Made) -> Result<Proofs, Obstacle> {
        let mut proofs = Proofs::new();
        for canary in self.parts.store.canaries(self.id).await? {
            if canary.record.end.is_some() {
                proofs.extend(made.proofs(&canary));
            } else if let Some(mut end) = self.running(canary.id()).await? {
                proofs.extend(made.proofs(&*end.ended().await?));
            }
        }
        for holder in &account.holders {
            let key = self.parts.store.party(*holder).await?.map(|party| party.key);
            let is_current = |said: &EpochStatement| said.verify().ok() == key;
            if proofs.get(holder).is_some_and(|said| !is_current(said)) {
                proofs.remove(holder);
            }
        }
        Ok(proofs)
    }

    /// Has quorums sign that together include every party that is not proved and can be reached;
    /// waits until there is one. Says who has proven its share.
    async fn canaries(
        &self,
        account: &Account,
        made: &Made,
        aux_id: Option<AuxId>,
        proved: &BTreeSet<PartyId>,
    ) -> Result<Proofs, Obstacle> {
        let threshold = usize::from(account.threshold.0);
        let mut online = self.parts.roster.subscribe();
        let there: BTreeSet<PartyId> = online
            .wait_for(|online| {
                account.holders.intersection(online).count() >= threshold
                    && account.holders.difference(proved).any(|party| online.contains(party))
            })
            .await
            .map_err(|_| Stopping)?
            .intersection(&account.holders)
            .copied()
            .collect();
        let mut running = Vec::new();
        for quorum in quorums(&there, proved, threshold) {
            match self.open(account, made, aux_id, quorum).await {
                Ok(end) => running.push(end),
                Err(OpenError::Stopping) => return Err(Stopping.into()),
                Err(error) => tracing::info!(account = %self.id, %error, "no canary now"),
            }
        }
        let mut newly = Proofs::new();
        for mut end in running {
            newly.extend(made.proofs(&*end.ended().await?));
        }
        Ok(newly)
    }

    async fn open(
        &self,
        account: &Account,
        made: &Made,
        aux_id: Option<AuxId>,
        quorum: BTreeSet<PartyId>,
    ) -> Result<EndWatch, OpenError> {
        let intent = Intent {
            session: SessionId::generate(),
            request: RequestId::generate(),
            eligible: account.holders.clone(),
            expires_at: self.parts.clock.wall_after(self.parts.canary_deadline),
            kind: IntentKind::Sign {
                account: account.id,
                epoch: made.of.epoch,
                scheme: account.scheme,
                threshold: account.threshold,
                public_key: made.key.public_key.clone(),
                path: DerivationPath::default(),
                payload: Payload::Canary { plan: made.of.plan },
                authorization: None,
            },
        };
        let opening = Opening { preferred: quorum, ..Opening::plain(intent, aux_id) };
        let opened = self.parts.supervisor.send(Open(opening)).await;
        opened.unwrap_or(Err(OpenError::Stopping))
    }

    async fn running(&self, session: SessionId) -> Result<Option<EndWatch>, Stopping> {
        let found = self.parts.supervisor.send(Find(session)).await.map_err(|_| Stopping)?;
        Ok(found.map(|running| running.end))
    }
}

/// Quorums of `threshold` that together include everybody in `there` but not in `proved`.
fn quorums(
    there: &BTreeSet<PartyId>,
    proved: &BTreeSet<PartyId>,
    threshold: usize,
) -> Vec<BTreeSet<PartyId>> {
    let unproved: Vec<_> = there.difference(proved).copied().collect();
    unproved
        .chunks(threshold.max(1))
        .map(|chunk| {
            let mut quorum: BTreeSet<_> = chunk.iter().copied().collect();
            let others: Vec<_> = there.difference(&quorum).copied().collect();
            let lacking = threshold.saturating_sub(quorum.len());
            quorum.extend(others.into_iter().take(lacking));
            quorum
        })
        .collect()
}

fn elapsed(from: Millis, to: Millis) -> u64 {
    to.0.saturating_sub(from.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parties(all: &[u8]) -> BTreeSet<PartyId> {
        all.iter().map(|n| PartyId::new([*n; 32])).collect()
    }

    #[test]
    fn quorums_together_include_everybody() {
        for threshold in 2..=5 {
            for n in threshold..=7 {
                let there: Vec<u8> = (1..=u8::try_from(n).unwrap()).collect();
                let there = parties(&there);
                let made = quorums(&there, &BTreeSet::new(), threshold);
                assert!(made.iter().all(|quorum| quorum.len() == threshold));
                assert_eq!(made.iter().flatten().copied().collect::<BTreeSet<_>>(), there);
                assert_eq!(made.len(), n.div_ceil(threshold));
            }
        }
    }

    #[test]
    fn only_the_unproved_need_a_quorum() {
        let made = quorums(&parties(&[1, 2, 3]), &parties(&[1, 2]), 2);
        assert_eq!(made, [parties(&[1, 3])]);
        assert_eq!(quorums(&parties(&[1, 2]), &parties(&[1, 2]), 2), []);
    }
}
