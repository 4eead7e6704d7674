//! What a proven party may say: the gateway checks the sender on the envelope, nothing inside.

use crate::farewell::Farewell;
use mpc_wire::{PartyId, ToCoordinator, codec};

/// Decodes a frame of this party.
pub(crate) fn accept(party: PartyId, frame: &[u8]) -> Result<ToCoordinator, Farewell> {
    let message: ToCoordinator = codec::decode(frame).map_err(Farewell::Malformed)?;
    let sender = match &message {
        ToCoordinator::Prove { .. } => return Err(Farewell::ProvenTwice),
        ToCoordinator::Join { join, .. } => join.member,
        ToCoordinator::Round(envelope) => envelope.header.from,
        // A refusal is spoken by the one that the refused message was for.
        ToCoordinator::RoundRefused { header } => header.to,
        ToCoordinator::Ack(ack) => ack.from,
        ToCoordinator::AuditHead(head) => head.keeper,
        ToCoordinator::Inquiry(inquiry) => inquiry.by,
        ToCoordinator::Testimony(testimony) => testimony.by,
        ToCoordinator::Ban(ban) => ban.by,
        ToCoordinator::Statement(statement) => statement.by,
        // These carry no sender of their own: the coordinator gets the connection's party.
        ToCoordinator::Decline { .. }
        | ToCoordinator::AwaitingApproval { .. }
        | ToCoordinator::Objected { .. }
        | ToCoordinator::Progress { .. }
        | ToCoordinator::Outcome { .. }
        | ToCoordinator::RequestSession { .. }
        | ToCoordinator::Activated { .. } => party,
    };
    if sender == party { Ok(message) } else { Err(Farewell::WrongSender) }
}
