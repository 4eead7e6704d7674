//! All of the party's judgement, in its order.

use super::decision::{PolicyDecision, SessionKind, Verdict};
use super::ledger::{Admission, Ledger};
use super::rules::{Consent, Refusal};
use super::{LivePolicy, Policy};
use crate::quarantine::Quarantine;
use crate::vault::{ShareRecord, Vault, VaultError};
use mpc_wire::{
    AccountId, AttemptPlan, DeclineReason, Epoch, Intent, IntentKind, SessionId, SigningRequest,
    UnixMillis,
};
use std::time::SystemTime;

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
        let ledger = Ledger::start(vault.database().clone());
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
        Ok(PolicyDecision {
            session: intent.session,
            request: intent.request,
            intent: intent.hash(),
            kind: SessionKind::of(intent),
            account: intent.kind.account(),
            requester: SigningRequest::of_intent(intent).map(|(r, _)| r.requester.clone()),
            policy: policy.version().clone(),
            verdict,
        })
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
        if let Err(reason) = self.own_records(intent).await? {
            return Ok(Err(Refusal::new(reason, "by the party's own records")));
        }
        let life = policy.rules.max_authorization_life.duration();
        if let Err(reason) = self.quarantine.judge(intent, now, life) {
            return Ok(Err(Refusal::new(reason, "the party was restored from a backup")));
        }
        let consent = match policy.judge(intent, now) {
            Ok(consent) => consent,
            Err(refusal) => return Ok(Err(refusal)),
        };
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
            limits: policy.rules.limits.clone(),
        };
        Ok(self.ledger.admit(admission).await?.map(|()| consent))
    }

    /// Does the intent fit what this party has stored?
    async fn own_records(&self, intent: &Intent) -> Result<Result<(), DeclineReason>, VaultError> {
        match &intent.kind {
            IntentKind::Keygen { account, .. } => self.keygen(intent.session, *account).await,
            IntentKind::Aux { .. } => Ok(Ok(())),
            IntentKind::Sign { account, epoch, .. } => {
                if self.vault.floor(*account).await?.is_some_and(|floor| *epoch < floor) {
                    return Ok(Err(DeclineReason::StaleEpoch));
                }
                Ok(match self.vault.share(*account, *epoch).await? {
                    Some(share) => judge_sign(intent, &share),
                    None => Err(DeclineReason::NoShare),
                })
            }
            IntentKind::Refresh { .. }
            | IntentKind::Reshare { .. }
            | IntentKind::Replace { .. } => Ok(Err(DeclineReason::Unsupported)),
        }
    }

    /// A new account must be new, except to the session that is making it.
    async fn keygen(
        &self,
        session: SessionId,
        account: AccountId,
    ) -> Result<Result<(), DeclineReason>, VaultError> {
        Ok(match self.vault.share(account, FIRST_EPOCH).await? {
            Some(share) if share.session != session => Err(DeclineReason::AccountExists),
            Some(_) | None => Ok(()),
        })
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
