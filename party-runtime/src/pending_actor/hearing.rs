//! What the coordinator says: decoded, checked where no state is needed, and handed on.

use super::PendingActor;
use crate::party::RequestError;
use crate::peer_keys::PeerKeyFault;
use actix::prelude::*;
use mpc_pending::Event;
use mpc_wire::identity::InvalidSignature;
use mpc_wire::{
    ErrorCode, Objection, SessionId, SessionRefusal, SignedJoin, ToParty, VerifiedJoin,
};

/// A message from the coordinator.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct FromCoordinator(pub(crate) Box<ToParty>);

impl Handler<FromCoordinator> for PendingActor {
    type Result = ();

    fn handle(&mut self, FromCoordinator(message): FromCoordinator, ctx: &mut Self::Context) {
        match *message {
            ToParty::Invite { plan, .. } if self.is_draining() => {
                tracing::debug!(session = %plan.session, "stopping: not answered");
            }
            ToParty::Invite { intent, plan } => {
                if !self.refuses(&intent, &plan, ctx) {
                    self.apply(Event::Invited { intent, plan }, ctx);
                }
            }
            ToParty::Started { session, attempt, joins } => {
                let event = match self.check_joins(&joins) {
                    Ok(joins) => Event::Started { session, attempt, joins },
                    Err(objection) => {
                        tracing::warn!(%session, %attempt, %objection, "refused a start");
                        Event::Unverified { session, attempt, objection }
                    }
                };
                self.apply(event, ctx);
            }
            ToParty::Round(envelope) => {
                self.delivery.heard(&envelope.header, self.now());
                self.apply(Event::RoundMessage(envelope), ctx);
            }
            ToParty::Ack(ack) => self.delivery.acknowledged(&ack, self.now()),
            ToParty::Abort { session, attempt, .. } => {
                self.apply(Event::Aborted { session, attempt }, ctx);
            }
            ToParty::Finished { session } => self.apply(Event::Finished(session), ctx),
            ToParty::SessionRequested { session, result, .. } => {
                self.requested(session, result, ctx);
            }
            ToParty::AuditHead(head) => {
                self.auditor.witness(self.vault.party(), head);
                self.perform_waiting(ctx);
            }
            ToParty::Inquiry(inquiry) => self.inquired(inquiry, ctx),
            ToParty::Testimony(testimony) => self.testified(testimony, ctx),
            ToParty::Ban(ban) => self.told_of_ban(ban, ctx),
            ToParty::Error { code: ErrorCode::GoingAway, detail } => {
                tracing::info!(detail, "the gateway goes away");
            }
            ToParty::Error { code, detail } => {
                tracing::warn!(?code, detail, "the gateway reports an error");
            }
            ToParty::Activate { of, statements } => self.activate(of, statements, ctx),
            ToParty::Attest { plan } => self.attest(plan, ctx),
            ToParty::Discard(refused) => self.discard(refused, ctx),
            ToParty::Challenge(_) | ToParty::Welcome { .. } => {
                tracing::warn!("refused a handshake message on an open connection");
            }
        }
    }
}

impl PendingActor {
    /// Checks that every join is signed by its member, with a key that is still the member's.
    fn check_joins(&self, joins: &[SignedJoin]) -> Result<Vec<VerifiedJoin>, Objection> {
        let joins: Vec<_> = joins
            .iter()
            .map(SignedJoin::verify)
            .collect::<Result<_, _>>()
            .map_err(|InvalidSignature| Objection::ForgedJoin)?;
        if self.peer_keys.check(&joins) == Err(PeerKeyFault::Superseded) {
            return Err(Objection::SupersededKey);
        }
        Ok(joins)
    }

    fn requested(
        &mut self,
        session: SessionId,
        result: Result<(), SessionRefusal>,
        ctx: &mut Context<Self>,
    ) {
        if let Some(accepted) =
            self.callers.get_mut(&session).and_then(|caller| caller.accepted.take())
            && accepted.send(result.map_err(RequestError::from)).is_err()
        {
            tracing::debug!(%session, "the caller did not wait for the answer");
        }
        if let Err(refusal) = result {
            tracing::info!(%session, %refusal, "the coordinator refused the session");
            self.apply(Event::Finished(session), ctx);
        }
    }
}
