//! From what a party says to an event that the session machine may believe.

use mpc_engine::verify::{check_public_key, verify_signature};
use mpc_session::{CheckedOutcome, Event};
use mpc_wire::{
    AttemptFailure, AttemptOutcome, FailureKind, Intent, IntentKind, PartyId, SessionId, Signature,
    ToCoordinator,
};
use std::collections::BTreeSet;

/// A message that is no event of a session. Nobody is blamed; it is dropped and noted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unfit {
    /// It speaks for another party than the one that sent it.
    #[error("the message speaks for another party than its sender")]
    WrongSender,
    /// The join's signature is not its member's.
    #[error("the join is not signed by its member")]
    BadJoin,
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
        | ToCoordinator::RequestSession { .. } => None,
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
            let join = join.verify().map_err(|_| Unfit::BadJoin)?;
            Ok(Event::Joined { attempt, join })
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
        | ToCoordinator::RequestSession { .. } => Err(Unfit::NotToASession),
    }
}

/// Believes a key only if it is one of the scheme, and a signature only if it verifies.
fn check(intent: &Intent, from: PartyId, outcome: AttemptOutcome) -> CheckedOutcome {
    let outcome = match outcome {
        AttemptOutcome::Keygen { public_key, epoch, public_shares } => {
            let scheme = intent.kind.scheme();
            let are_keys = public_shares
                .values()
                .chain([&public_key])
                .all(|key| check_public_key(scheme, key).is_ok());
            if are_keys && public_shares.keys().eq(&intent.eligible) {
                AttemptOutcome::Keygen { public_key, epoch, public_shares }
            } else {
                AttemptOutcome::Failed(AttemptFailure {
                    kind: FailureKind::ResultInvalid,
                    guilty: BTreeSet::from([from]),
                    detail: "the reported keys are not one of the scheme for every party".into(),
                })
            }
        }
        outcome @ (AttemptOutcome::Aux { .. }
        | AttemptOutcome::Signed(_)
        | AttemptOutcome::Failed(_)) => outcome,
    };
    CheckedOutcome::check(from, outcome, |signature| is_valid(intent, signature))
}

fn is_valid(intent: &Intent, signature: &Signature) -> bool {
    match &intent.kind {
        IntentKind::Sign { account, epoch, scheme, public_key, payload, .. } => {
            let digest = payload.digest(*account, *epoch, public_key);
            verify_signature(*scheme, public_key, &digest, signature).is_ok()
        }
        IntentKind::Keygen { .. }
        | IntentKind::Aux { .. }
        | IntentKind::Refresh { .. }
        | IntentKind::Reshare { .. }
        | IntentKind::Replace { .. } => false,
    }
}
