//! From what a party says to an event that the session machine may believe.

use mpc_engine::verify::{check_public_key, check_public_share, verify_signature};
use mpc_session::{CheckedOutcome, Event};
use mpc_wire::identity::InvalidSignature;
use mpc_wire::{
    AttemptFailure, AttemptOutcome, EpochKey, EpochPlan, EpochStatement, FailureKind, Intent,
    IntentKind, PartyId, Payload, SessionId, Signature, ToCoordinator, Verdict,
};
use std::collections::BTreeSet;

/// A message that is no event of a session. Nobody is blamed; it is dropped and noted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unfit {
    /// It speaks for another party than the one that sent it.
    #[error("the message speaks for another party than its sender")]
    WrongSender,
    /// It concerns no running session.
    #[error("the message is not one to a session")]
    NotToASession,
}

/// The session that a message is for, if it is for one.
pub(crate) fn session_of(message: &ToCoordinator) -> Option<SessionId> {
    match message {
        ToCoordinator::Join { session, .. }
        | ToCoordinator::Decline { session, .. }
        | ToCoordinator::AwaitingApproval { session, .. }
        | ToCoordinator::Objected { session, .. }
        | ToCoordinator::Progress { session, .. }
        | ToCoordinator::Outcome { session, .. } => Some(*session),
        ToCoordinator::Round(envelope) => Some(envelope.header.session),
        ToCoordinator::RoundRefused { header } => Some(header.session),
        ToCoordinator::Ack(ack) => Some(ack.session),
        ToCoordinator::Prove { .. }
        | ToCoordinator::AuditHead(_)
        | ToCoordinator::Inquiry(_)
        | ToCoordinator::Testimony(_)
        | ToCoordinator::Ban(_)
        | ToCoordinator::RequestSession { .. }
        | ToCoordinator::Activated { .. }
        | ToCoordinator::Statement(_) => None,
    }
}

/// Checks a message of `from` about the session of `intent`.
pub(crate) fn decode(
    intent: &Intent,
    from: PartyId,
    message: ToCoordinator,
) -> Result<Event, Unfit> {
    match message {
        ToCoordinator::Join { attempt, join, .. } => {
            if join.member != from {
                return Err(Unfit::WrongSender);
            }
            Ok(match join.verify() {
                Ok(join) => Event::Joined { attempt, join },
                Err(InvalidSignature) => Event::JoinBroken { from, attempt },
            })
        }
        ToCoordinator::Decline { attempt, reason, .. } => {
            Ok(Event::Declined { from, attempt, reason })
        }
        ToCoordinator::AwaitingApproval { attempt, .. } => {
            Ok(Event::AwaitingApproval { from, attempt })
        }
        ToCoordinator::Objected { attempt, objection, .. } => {
            Ok(Event::Objected { from, attempt, objection })
        }
        ToCoordinator::Round(envelope) if envelope.header.from == from => {
            Ok(Event::Round(envelope))
        }
        ToCoordinator::RoundRefused { header } if header.to == from => {
            Ok(Event::RoundRefused(header))
        }
        ToCoordinator::Ack(ack) if ack.from == from => Ok(Event::Acknowledged(ack)),
        ToCoordinator::Round(_) | ToCoordinator::RoundRefused { .. } | ToCoordinator::Ack(_) => {
            Err(Unfit::WrongSender)
        }
        ToCoordinator::Progress { attempt, stage, round, waiting_for, .. } => {
            Ok(Event::Progress { from, attempt, stage, round, waiting_for })
        }
        ToCoordinator::Outcome { attempt, outcome, .. } => {
            let outcome = check(intent, from, outcome);
            Ok(Event::Outcome { from, attempt, outcome })
        }
        ToCoordinator::Prove { .. }
        | ToCoordinator::AuditHead(_)
        | ToCoordinator::Inquiry(_)
        | ToCoordinator::Testimony(_)
        | ToCoordinator::Ban(_)
        | ToCoordinator::RequestSession { .. }
        | ToCoordinator::Activated { .. }
        | ToCoordinator::Statement(_) => Err(Unfit::NotToASession),
    }
}

/// Believes a key only if it is one of the scheme, a signature only if it verifies, and a party's
/// word on its share only if it is signed and about just that.
fn check(intent: &Intent, from: PartyId, outcome: AttemptOutcome) -> CheckedOutcome {
    let fault = match &outcome {
        AttemptOutcome::Keygen { public_key, epoch, public_shares, stored } => {
            let scheme = intent.kind.scheme();
            let are_keys = check_public_key(scheme, public_key).is_ok()
                && public_shares.values().all(|it| check_public_share(scheme, it).is_ok());
            let key = EpochKey::new(public_key.clone(), public_shares);
            let is_said = intent.kind.account() == Some(stored.of.account)
                && stored.of.epoch == *epoch
                && stored.verdict == Verdict::Stored(key)
                && is_signed(stored, from);
            if !are_keys || !public_shares.keys().eq(&intent.eligible) {
                Some("the reported keys are not one of the scheme for every party")
            } else {
                (!is_said).then_some("the reporter does not say that its share is stored")
            }
        }
        AttemptOutcome::Proven { proven, .. } => {
            let is_said = is_proof(intent, proven) && is_signed(proven, from);
            (!is_said).then_some("the reporter does not say that its share has proven itself")
        }
        AttemptOutcome::Aux { .. } | AttemptOutcome::Signed(_) | AttemptOutcome::Failed(_) => None,
    };
    let outcome = match fault {
        None => outcome,
        Some(fault) => AttemptOutcome::Failed(AttemptFailure {
            kind: FailureKind::ResultInvalid,
            guilty: BTreeSet::from([from]),
            detail: fault.into(),
        }),
    };
    CheckedOutcome::check(from, outcome, |signature| is_valid(intent, signature))
}

fn is_signed(statement: &EpochStatement, by: PartyId) -> bool {
    statement.by == by && statement.verify().is_ok()
}

/// Whether it is the proof that the canary is for.
fn is_proof(intent: &Intent, proven: &EpochStatement) -> bool {
    match (&intent.kind, &proven.verdict) {
        (
            IntentKind::Sign {
                account, epoch, public_key, payload: Payload::Canary { plan }, ..
            },
            Verdict::Proven(key),
        ) => {
            let of = EpochPlan { account: *account, epoch: *epoch, plan: *plan };
            proven.of == of && key.public_key == *public_key
        }
        (_, Verdict::Stored(_) | Verdict::Refused | Verdict::Proven(_)) => false,
    }
}

/// Whether it is a signature over just what the intent asks for, under its key.
pub(crate) fn is_valid(intent: &Intent, signature: &Signature) -> bool {
    match &intent.kind {
        IntentKind::Sign { account, epoch, scheme, public_key, payload, .. } => {
            let message = payload.message(*account, *epoch, public_key);
            verify_signature(*scheme, public_key, &message, signature).is_ok()
        }
        IntentKind::Keygen { .. }
        | IntentKind::Aux { .. }
        | IntentKind::Refresh { .. }
        | IntentKind::Reshare { .. }
        | IntentKind::Replace { .. } => false,
    }
}
