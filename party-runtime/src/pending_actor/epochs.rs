//! Shares that wait for their activation: what the party says of them, and when they become its
//! active ones. Whatever is said here is durable first ([`crate::epochs`]).

use super::PendingActor;
use crate::policy::FIRST_EPOCH;
use crate::vault::{Kind, Vault, VaultError};
use actix::prelude::*;
use mpc_pending::Record;
use mpc_wire::limits::MAX_STATEMENTS;
use mpc_wire::{
    AccountId, ActivationRefusal, AttemptPlan, Epoch, EpochPlan, EpochStatement, IntentKind,
    ToCoordinator, Verdict,
};
use std::collections::BTreeSet;

/// Accounts whose epochs are worked on at a time: each takes a commit, and whoever finds no room is
/// told to come again.
const MAX_SETTLING: usize = 64;

/// Shares of which the coordinator is reminded at a time, so that they do not fill the link; the
/// others have their turn at the next time.
const MAX_REMINDED: usize = 64;

/// The accounts whose epochs are worked on, and how far reminding has come.
#[derive(Debug, Default)]
pub(super) struct Epochs {
    settling: BTreeSet<AccountId>,
    attesting: usize,
    reminded: Option<EpochPlan>,
}

impl PendingActor {
    /// Activates a prepared share, if the holders' statements are all there.
    pub(super) fn activate(
        &mut self,
        of: EpochPlan,
        statements: Vec<EpochStatement>,
        ctx: &mut Context<Self>,
    ) {
        // Whoever stole a key that was replaced must not speak for a holder that has no share. `Stored`
        // may be older than the key: a share that has proven itself was stored.
        let is_superseded = |said: &EpochStatement| {
            matches!(said.verdict, Verdict::Proven(_))
                && !self.peer_keys.accepts(said.by, &said.signature)
        };
        let refusal = if self.quarantine.confines(of.account) {
            Some(ActivationRefusal::Quarantined)
        } else if statements.iter().take(MAX_STATEMENTS).any(is_superseded) {
            Some(ActivationRefusal::SupersededKey)
        } else if !self.settles(of.account) {
            Some(ActivationRefusal::Overloaded)
        } else {
            None
        };
        if let Some(refusal) = refusal {
            self.activated(of, Err(refusal));
            return;
        }
        let vault = self.vault.clone();
        let activate = async move { vault.activate_share(of, &statements).await };
        ctx.spawn(activate.into_actor(self).map(move |result, actor, ctx| {
            actor.epochs.settling.remove(&of.account);
            match result {
                Ok(result) => actor.activated(of, result),
                Err(error) => {
                    actor.activated(of, Err(ActivationRefusal::Storage));
                    actor.epoch_failed(&error, ctx);
                }
            }
        }));
    }

    fn activated(&mut self, of: EpochPlan, result: Result<(), ActivationRefusal>) {
        let EpochPlan { account, epoch, .. } = of;
        let party = self.vault.party();
        match &result {
            Ok(()) => tracing::info!(%party, %account, %epoch, "the epoch is active"),
            Err(refusal) => tracing::warn!(%party, %account, %epoch, %refusal, "not activated"),
        }
        self.send(ToCoordinator::Activated { of, result });
    }

    /// Says, for good, what the party has of an attempt.
    pub(super) fn attest(&mut self, plan: AttemptPlan, ctx: &mut Context<Self>) {
        // What was said before the restoration is not known.
        let may_run = self.running.contains_key(&(plan.session, plan.attempt));
        let is_busy = self.epochs.attesting >= MAX_SETTLING;
        if may_run || is_busy || self.quarantine.is_restored() {
            return;
        }
        self.epochs.attesting += 1;
        let vault = self.vault.clone();
        let attest = async move {
            match dead_attempt(&vault, &plan).await? {
                Some(of) => vault.attest_share(of).await,
                None => Ok(None),
            }
        };
        ctx.spawn(attest.into_actor(self).map(|attested, actor, ctx| {
            actor.epochs.attesting -= 1;
            match attested {
                Ok(Some(statement)) => actor.send(ToCoordinator::Statement(statement)),
                Ok(None) => {}
                Err(error) => actor.epoch_failed(&error, ctx),
            }
        }));
    }

    /// Erases a prepared share that a holder has refused.
    pub(super) fn discard(&mut self, refused: EpochStatement, ctx: &mut Context<Self>) {
        let is_known = self.peer_keys.accepts(refused.by, &refused.signature);
        if !is_known || !self.settles(refused.of.account) {
            return;
        }
        let vault = self.vault.clone();
        let account = refused.of.account;
        let discard = async move { vault.discard_share(&refused).await };
        ctx.spawn(discard.into_actor(self).map(move |discarded, actor, ctx| {
            actor.epochs.settling.remove(&account);
            match discarded {
                Ok(true) => tracing::info!(%account, "a share that a holder refused was erased"),
                Ok(false) => {}
                Err(error) => actor.epoch_failed(&error, ctx),
            }
        }));
    }

    /// Reminds the coordinator of the shares that wait: it may have activated their epoch while this
    /// party was away, or before this party was restored from a backup.
    pub(super) fn remind(&mut self, ctx: &mut Context<Self>) {
        if self.link.is_none() {
            return;
        }
        let (vault, behind) = (self.vault.clone(), self.epochs.reminded);
        let waiting = async move { vault.waiting(behind, MAX_REMINDED).await };
        ctx.spawn(waiting.into_actor(self).map(|waiting, actor, ctx| match waiting {
            Ok(statements) => {
                actor.epochs.reminded = statements.last().map(|statement| statement.of);
                for statement in statements {
                    actor.send(ToCoordinator::Statement(statement));
                }
            }
            Err(error) => actor.epoch_failed(&error, ctx),
        }));
    }

    /// Whether there is time for an account: one thing at a time for each, and some in all.
    fn settles(&mut self, account: AccountId) -> bool {
        self.epochs.settling.len() < MAX_SETTLING && self.epochs.settling.insert(account)
    }

    fn epoch_failed(&mut self, error: &VaultError, ctx: &mut Context<Self>) {
        if matches!(error, VaultError::Database(_)) {
            self.give_up(error, ctx);
        } else {
            tracing::error!(party = %self.vault.party(), %error, "an epoch cannot be settled");
        }
    }
}

/// The shares that an attempt was to make, if this party knows the attempt as dead or over: it has
/// joined it, or a later one, and cannot join it any more.
async fn dead_attempt(vault: &Vault, plan: &AttemptPlan) -> Result<Option<EpochPlan>, VaultError> {
    let name = plan.session.to_string();
    let known: Option<Record> = vault.read_record(Kind::Session, &name, Epoch(0)).await?;
    let is_it = |known: &Record| {
        known.floor >= plan.attempt
            && known.intent.hash() == plan.intent_hash
            && plan.quorum.contains(&vault.party())
    };
    Ok(known.filter(is_it).and_then(|known| match known.intent.kind {
        IntentKind::Keygen { account, .. } => {
            Some(EpochPlan { account, epoch: FIRST_EPOCH, plan: plan.hash() })
        }
        IntentKind::Aux { .. }
        | IntentKind::Sign { .. }
        | IntentKind::Refresh { .. }
        | IntentKind::Reshare { .. }
        | IntentKind::Replace { .. } => None,
    }))
}
