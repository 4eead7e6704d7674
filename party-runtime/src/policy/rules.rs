//! The rules that need neither database nor person. Each is a function of its own, every one must
//! pass, and none depends on another having passed before: their order decides which reason is
//! given, never whether there is one.

use super::decision::SessionKind;
use super::file::{ApprovalRule, PayloadKind};
use super::requester::RequesterKey;
use super::{Policy, SignatureRule};
use mpc_wire::canonical::Canonical;
use mpc_wire::{DeclineReason, Intent, IntentKind, SigningRequest, UnixMillis};

/// Why a rule does not let an intent pass: a reason for the coordinator, and which case of it this
/// is for the party's own people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) reason: DeclineReason,
    pub(crate) detail: String,
}

impl Refusal {
    pub(crate) fn new(reason: DeclineReason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }
}

/// A rule: nothing to say, or why the party does not take part.
type Rule = fn(&Policy, &Intent, UnixMillis) -> Result<(), Refusal>;

/// Every rule, in the order in which reasons are given.
const RULES: [Rule; 4] = [hours, authorization, accounts, payloads];

/// Whose word is still needed once the rules have passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Consent {
    /// Nobody's.
    Automatic,
    /// A person's.
    ByPerson,
}

impl Policy {
    /// Judges an intent by the rules at the time `now`.
    pub(crate) fn judge(&self, intent: &Intent, now: UnixMillis) -> Result<Consent, Refusal> {
        RULES.into_iter().try_for_each(|rule| rule(self, intent, now))?;
        Ok(self.consent(intent))
    }

    fn consent(&self, intent: &Intent) -> Consent {
        let account = intent.kind.account().filter(|_| is_asked_for(intent));
        match account.map(|account| self.rules.approval.of(account)) {
            Some(ApprovalRule::Always) => Consent::ByPerson,
            Some(ApprovalRule::Never) | None => Consent::Automatic,
        }
    }
}

/// Whether somebody outside asks for a signature. The other kinds of session are the house's own
/// work: a canary signs a digest that the party computes by itself, key and aux generation sign
/// nothing at all. There is no requester in them whose word could be asked for, and accounts,
/// payloads, hours and approval are about what is signed.
fn is_asked_for(intent: &Intent) -> bool {
    match SessionKind::of(intent) {
        SessionKind::Sign => true,
        SessionKind::Canary
        | SessionKind::Keygen
        | SessionKind::Aux
        | SessionKind::Refresh
        | SessionKind::Reshare
        | SessionKind::Replace => false,
    }
}

fn hours(policy: &Policy, intent: &Intent, now: UnixMillis) -> Result<(), Refusal> {
    let hours = &policy.rules.hours;
    if !is_asked_for(intent) || hours.is_empty() || hours.iter().any(|hours| hours.include(now)) {
        Ok(())
    } else {
        Err(Refusal::new(DeclineReason::OutsideHours, "not within any of the hours"))
    }
}

fn authorization(policy: &Policy, intent: &Intent, now: UnixMillis) -> Result<(), Refusal> {
    let authorized = SigningRequest::of_intent(intent);
    if !is_asked_for(intent) {
        // Nobody signs for the house's own work, so nobody may be named in it either.
        return match authorized {
            None => Ok(()),
            Some(_) => Err(Refusal::new(
                DeclineReason::AuthorizationInvalid,
                "a session that nobody asks for names a requester",
            )),
        };
    }
    let Some((request, authorization)) = authorized else {
        return match policy.signature {
            SignatureRule::Optional => Ok(()),
            SignatureRule::Required => {
                let detail = if policy.rules.requesters.is_empty() {
                    "none is given, and the policy knows no requester who could"
                } else {
                    "none is given"
                };
                Err(Refusal::new(DeclineReason::AuthorizationMissing, detail))
            }
        };
    };
    let named: Vec<_> = policy
        .rules
        .requesters
        .iter()
        .filter(|requester| requester.name == authorization.requester)
        .collect();
    let valid: Vec<_> = named.iter().filter(|requester| requester.is_valid_at(now)).collect();
    if valid.is_empty() {
        let detail = if named.is_empty() {
            "the policy has no requester of this name"
        } else {
            "no key of the requester counts at this time (not_before, expires_at)"
        };
        return Err(Refusal::new(DeclineReason::UnknownRequester, detail));
    }
    let bytes = request.canonical_bytes();
    let is_signed = |key: &RequesterKey| key.is_signed(&bytes, &authorization.signature);
    let mut signers = valid.iter().filter(|signer| is_signed(&signer.public_key)).peekable();
    if signers.peek().is_none() {
        return Err(Refusal::new(
            DeclineReason::AuthorizationInvalid,
            "the signature is not by the requester's key over this account, payload and request",
        ));
    }
    if let Some(detail) = untimely(policy, intent, authorization.expires_at, now) {
        return Err(Refusal::new(DeclineReason::AuthorizationExpired, detail));
    }
    if signers.any(|signer| signer.may_use(request.account)) {
        Ok(())
    } else {
        Err(Refusal::new(DeclineReason::NotAllowed, "the account is not one of the requester's"))
    }
}

/// What is wrong with a signature's expiry, if anything is.
fn untimely(
    policy: &Policy,
    intent: &Intent,
    expiry: UnixMillis,
    now: UnixMillis,
) -> Option<&'static str> {
    let latest = now.0.saturating_add(policy.rules.max_authorization_life.millis());
    if expiry <= now {
        Some("the signature has expired")
    } else if expiry.0 > latest {
        Some("the signature lives longer than max_authorization_life")
    } else if intent.expires_at > expiry {
        // A person, or a party that comes late, may take until the session's end.
        Some("the session would outlive the signature")
    } else {
        None
    }
}

fn accounts(policy: &Policy, intent: &Intent, _: UnixMillis) -> Result<(), Refusal> {
    let account = intent.kind.account().filter(|_| is_asked_for(intent));
    if account.is_none_or(|account| policy.rules.accounts.include(account)) {
        Ok(())
    } else {
        Err(Refusal::new(DeclineReason::NotAllowed, "the account is not one that signs"))
    }
}

fn payloads(policy: &Policy, intent: &Intent, _: UnixMillis) -> Result<(), Refusal> {
    let IntentKind::Sign { payload, .. } = &intent.kind else { return Ok(()) };
    if PayloadKind::of(payload).is_none_or(|kind| policy.rules.payloads.contains(&kind)) {
        Ok(())
    } else {
        Err(Refusal::new(DeclineReason::NotAllowed, "payloads of this kind are not signed"))
    }
}

#[cfg(test)]
mod tests;
