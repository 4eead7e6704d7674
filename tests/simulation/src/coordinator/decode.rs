//! What parties say, as events.

use crate::around::Around;
use crate::cast::name;
use crate::engine::verified;
use crate::invariant::Invariant;
use mpc_session::{CheckedOutcome, Event};
use mpc_wire::{Intent, PartyId, ToCoordinator};

/// From what a party says to an event that the machine may believe, as `coordinator`'s own `decode`
/// makes it, but with signatures of stub engines.
pub(super) fn decode(
    intent: &Intent,
    from: PartyId,
    message: ToCoordinator,
    around: &mut Around,
) -> Option<Event> {
    match message {
        ToCoordinator::Join { session, attempt, join } => {
            let verified = around.verify(session, &join).filter(|join| join.member() == from);
            Some(match verified {
                Some(join) => Event::Joined { attempt, join },
                None => Event::JoinBroken { from, attempt },
            })
        }
        ToCoordinator::Decline { attempt, reason, .. } => {
            Some(Event::Declined { from, attempt, reason })
        }
        ToCoordinator::AwaitingApproval { attempt, .. } => {
            Some(Event::AwaitingApproval { from, attempt })
        }
        ToCoordinator::Objected { attempt, objection, .. } => {
            Some(Event::Objected { from, attempt, objection })
        }
        ToCoordinator::Round(envelope) => Some(Event::Round(envelope)),
        ToCoordinator::RoundRefused { header } => {
            around.ledger.must(false, Invariant::NobodyBlamed, header.session, around.now, || {
                format!("{} has no room for {header:?}", name(from))
            });
            Some(Event::RoundRefused(header))
        }
        ToCoordinator::Ack(ack) => Some(Event::Acknowledged(ack)),
        ToCoordinator::Progress { attempt, stage, round, waiting_for, .. } => {
            Some(Event::Progress { from, attempt, stage, round, waiting_for })
        }
        ToCoordinator::Outcome { attempt, outcome, .. } => {
            let is_valid = |signature: &_| verified(intent, signature).is_some();
            let outcome = CheckedOutcome::check(from, outcome, is_valid);
            Some(Event::Outcome { from, attempt, outcome })
        }
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
