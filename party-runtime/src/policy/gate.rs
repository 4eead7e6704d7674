//! All of the party's judgement, in its order.

use super::decision::{PolicyDecision, SessionKind, Verdict};
use super::ledger::{Admission, Ledger};
use super::rules::{Consent, Refusal};
use super::{LivePolicy, Policy};
use crate::epochs::{EpochFault, EpochRecord};
use crate::quarantine::Quarantine;
use crate::vault::{ShareRecord, Vault, VaultError};
use mpc_wire::{
    AccountId, AttemptPlan, DeclineReason, Epoch, Intent, IntentKind, PartyId, Payload, SessionId,
    SigningRequest, UnixMillis,
};
use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

/// The epoch that a key generation makes.
pub(crate) const FIRST_EPOCH: Epoch = Epoch(1);

/// What judges intents.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    vault: Vault,
    policy: LivePolicy,
    quarantine: Quarantine,
    ledger: Ledger,
}

impl Gate {
    /// Must be called inside a tokio runtime: the ledger's writer is a task.
    pub(crate) fn new(vault: Vault, policy: LivePolicy, quarantine: Quarantine) -> Self {
        let ledger = Ledger::start(vault.clone());
        Self { vault, policy, quarantine, ledger }
    }

    /// The policy in force.
    pub(crate) fn policy(&self) -> &LivePolicy {
        &self.policy
    }

    /// Judges an intent: does it fit what this party knows, do its rules let it pass, and was the
    /// request not used before? What is approved, or left to a person, is remembered durably when
    /// this returns.
    pub(crate) async fn judge(&self, intent: &Intent) -> Result<PolicyDecision, VaultError> {
        let policy = self.policy.current();
        let verdict = match self.weigh(intent, &policy, wall_clock()).await? {
            Ok(Consent::Automatic) => Verdict::Approved,
            Ok(Consent::ByPerson) => Verdict::AsksPerson,
            Err(Refusal { reason, detail }) => Verdict::Declined { reason, detail },
        };
        Ok(decision(intent, &policy, verdict))
    }

    /// Judges once more, by the rules alone, an intent that this party has consented to: the
    /// decision to decline, if they do not let it pass any more. Its request was admitted before.
    pub(crate) fn judge_again(&self, intent: &Intent) -> Option<PolicyDecision> {
        let policy = self.policy.current();
        let Refusal { reason, detail } = policy.judge(intent, wall_clock()).err()?;
        Some(decision(intent, &policy, Verdict::Declined { reason, detail }))
    }

    /// Judges an intent that the party's own people ask for. They need no requester's signature,
    /// no person's approval and no hours: whoever commands the party's process can change its
    /// policy. What protects them and the other holders from mistakes holds for them too: the
    /// party's own records, its quarantine, those it refuses to work with, and that a request is
    /// good for one session and counts against the limits.
    pub(crate) async fn judge_own(
        &self,
        intent: &Intent,
        banned: &BTreeSet<PartyId>,
    ) -> Result<Result<(), Refusal>, VaultError> {
        let (policy, now) = (self.policy.current(), wall_clock());
        if let Err(refusal) = self.is_fit(intent, &policy, now).await? {
            return Ok(Err(refusal));
        }
        let is_refused = |peer: PartyId| banned.contains(&peer) || policy.refuses(peer);
        let willing = intent.eligible.iter().filter(|peer| !is_refused(**peer)).count();
        if willing < intent.quorum_size() {
            let detail = "too few are left without those whom the party refuses";
            return Ok(Err(Refusal::new(DeclineReason::Banned, detail)));
        }
        self.admit(intent, &policy, now).await
    }

    /// Whether the party refuses to work with a member of the plan's quorum. Asked for each
    /// attempt: another quorum of the same session may do without that member.
    pub(crate) fn judge_plan(&self, plan: &AttemptPlan) -> Result<(), DeclineReason> {
        let policy = self.policy.current();
        if plan.quorum.iter().any(|peer| policy.refuses(*peer)) {
            Err(DeclineReason::Banned)
        } else {
            Ok(())
        }
    }

    async fn weigh(
        &self,
        intent: &Intent,
        policy: &Policy,
        now: UnixMillis,
    ) -> Result<Result<Consent, Refusal>, VaultError> {
        if let Err(refusal) = self.is_fit(intent, policy, now).await? {
            return Ok(Err(refusal));
        }
        let consent = match policy.judge(intent, now) {
            Ok(consent) => consent,
            Err(refusal) => return Ok(Err(refusal)),
        };
        Ok(self.admit(intent, policy, now).await?.map(|()| consent))
    }

    /// Whether the party is able to take part, whoever asks.
    async fn is_fit(
        &self,
        intent: &Intent,
        policy: &Policy,
        now: UnixMillis,
    ) -> Result<Result<(), Refusal>, VaultError> {
        if let Err(reason) = self.own_records(intent).await? {
            return Ok(Err(Refusal::new(reason, "by the party's own records")));
        }
        let life = self.authorization_life(policy).await?;
        Ok(self
            .quarantine
            .judge(intent, now, life)
            .map_err(|reason| Refusal::new(reason, "the party was restored from a backup")))
    }

    /// How long a requester's signature may live that was used before the party was restored: under
    /// whichever policy was in force then.
    async fn authorization_life(&self, policy: &Policy) -> Result<Duration, VaultError> {
        let present = policy.authorization_life();
        if !self.quarantine.is_restored() {
            return Ok(present);
        }
        let longest = self.vault.authorization_life().await?;
        Ok(longest.map_or(present, |longest| longest.max(present)))
    }

    /// Uses the request up, if it was not before.
    async fn admit(
        &self,
        intent: &Intent,
        policy: &Policy,
        now: UnixMillis,
    ) -> Result<Result<(), Refusal>, VaultError> {
        let authorization = SigningRequest::of_intent(intent).map(|(_, given)| given);
        let expires_at = authorization.map_or(intent.expires_at, |authorization| {
            authorization.expires_at.max(intent.expires_at)
        });
        let admission = Admission {
            request: intent.request,
            session: intent.session,
            intent: intent.hash(),
            kind: SessionKind::of(intent),
            account: intent.kind.account(),
            requester: authorization.map(|authorization| authorization.requester.clone()),
            now,
            expires_at,
            authorization_life: policy.authorization_life(),
            limits: policy.rules.limits.clone(),
        };
        self.ledger.admit(admission).await
    }

    /// Does the intent fit what this party has stored?
    async fn own_records(&self, intent: &Intent) -> Result<Result<(), DeclineReason>, VaultError> {
        match &intent.kind {
            IntentKind::Keygen { account, .. } => self.keygen(intent.session, *account).await,
            IntentKind::Aux { .. } => Ok(Ok(())),
            IntentKind::Sign { account, epoch, payload, .. } => {
                if self.vault.floor(*account).await?.is_some_and(|floor| *epoch < floor) {
                    return Ok(Err(DeclineReason::StaleEpoch));
                }
                let share = self.share(*account, *epoch, payload).await?;
                Ok(share.and_then(|share| judge_sign(intent, &share)))
            }
            IntentKind::Refresh { .. }
            | IntentKind::Reshare { .. }
            | IntentKind::Replace { .. } => Ok(Err(DeclineReason::Unsupported)),
        }
    }

    /// The share that signs a payload: the active one, or for a canary the one that its plan made,
    /// which may still wait for its activation.
    async fn share(
        &self,
        account: AccountId,
        epoch: Epoch,
        payload: &Payload,
    ) -> Result<Result<ShareRecord, DeclineReason>, VaultError> {
        let active = self.vault.share(account, epoch).await?;
        let waiting = match active {
            Some(_) => EpochRecord::default(),
            None => self.vault.epoch(account, epoch).await?,
        };
        Ok(match (payload, active) {
            (Payload::Canary { plan }, Some(active)) if active.plan == *plan => Ok(active),
            (Payload::Canary { plan }, None) => match waiting.may_prove(*plan) {
                Ok(()) => waiting.share(*plan).cloned().ok_or(DeclineReason::NoShare),
                // It would not say that this one has proven itself.
                Err(EpochFault::OtherProven) => Err(DeclineReason::IntentMismatch),
                Err(_) => Err(DeclineReason::NoShare),
            },
            (Payload::Canary { .. }, Some(_)) => Err(DeclineReason::NoShare),
            (Payload::Digest(_) | Payload::Bytes { .. } | Payload::Message(_), Some(active)) => {
                Ok(active)
            }
            (Payload::Digest(_) | Payload::Bytes { .. } | Payload::Message(_), None) => {
                let is_waiting = waiting.shares().next().is_some();
                let reason = DeclineReason::NotActive;
                Err(if is_waiting { reason } else { DeclineReason::NoShare })
            }
        })
    }

    /// A new account must be new, except to the session that is making it.
    async fn keygen(
        &self,
        session: SessionId,
        account: AccountId,
    ) -> Result<Result<(), DeclineReason>, VaultError> {
        if self.vault.share(account, FIRST_EPOCH).await?.is_some() {
            return Ok(Err(DeclineReason::AccountExists));
        }
        let waiting = self.vault.epoch(account, FIRST_EPOCH).await?;
        Ok(if waiting.shares().any(|share| share.session != session) {
            Err(DeclineReason::AccountExists)
        } else if waiting.has_room() {
            Ok(())
        } else {
            Err(DeclineReason::Overloaded)
        })
    }
}

fn decision(intent: &Intent, policy: &Policy, verdict: Verdict) -> PolicyDecision {
    PolicyDecision {
        session: intent.session,
        request: intent.request,
        intent: intent.hash(),
        kind: SessionKind::of(intent),
        account: intent.kind.account(),
        requester: SigningRequest::of_intent(intent).map(|(r, _)| r.requester.clone()),
        policy: policy.version().clone(),
        verdict,
    }
}

/// The account that a signature is asked of must be the account as this party knows it.
fn judge_sign(intent: &Intent, share: &ShareRecord) -> Result<(), DeclineReason> {
    let IntentKind::Sign { scheme, threshold, public_key, path, .. } = &intent.kind else {
        return Err(DeclineReason::IntentMismatch);
    };
    let fits = *scheme == share.scheme
        && *threshold == share.threshold
        && *public_key == share.public_key
        && intent.eligible == share.holders;
    if !fits {
        Err(DeclineReason::IntentMismatch)
    } else if !path.is_root() {
        // No engine derives keys yet, and the account's own key must not sign in their place.
        Err(DeclineReason::Unsupported)
    } else {
        Ok(())
    }
}

/// The party's own clock.
pub(crate) fn wall_clock() -> UnixMillis {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
