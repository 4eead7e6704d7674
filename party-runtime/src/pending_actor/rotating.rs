//! Another key for the party, while it works.

use super::PendingActor;
use crate::control::{ControlAnswer, ControlError};
use crate::link::Reconnect;
use crate::seal::FreshJoiner;
use crate::vault::RotateIdentityError;
use actix::prelude::*;
use mpc_wire::ProvenKey;

/// What people must know once a key was rotated.
pub const NEW_BACKUP_NEEDED: &str =
    "every backup from before holds the old key only, which is refused from now on: make a new one";

/// Gives the party a new key, and says which one it has then.
#[derive(Message)]
#[rtype(result = "Result<ProvenKey, RotateIdentityError>")]
pub(crate) struct RotateIdentity;

impl Handler<RotateIdentity> for PendingActor {
    type Result = ResponseActFuture<Self, Result<ProvenKey, RotateIdentityError>>;

    fn handle(&mut self, _: RotateIdentity, _: &mut Self::Context) -> Self::Result {
        let vault = self.vault.clone();
        let rotated = async move { vault.rotate_identity().await }.into_actor(self);
        Box::pin(rotated.map(|rotated, actor, _| {
            let identity = rotated?;
            let (party, key) = (identity.party(), identity.proven_key());
            tracing::warn!(%party, number = %key.number, "the party's key was rotated: {NEW_BACKUP_NEEDED}");
            // What is joined from here on is signed with the new key. What was joined before and
            // has not started ends when it does: a member signs with the key that it joined with,
            // and this party has that no more. What runs keeps it to its end.
            actor.joiner = FreshJoiner::new(identity);
            // The link proves the newest key whenever it connects. One that is connecting just now
            // finds out by itself that it has proven the old one.
            if let Some(link) = &actor.link
                && let Err(error) = link.reconnect.try_send(Reconnect)
            {
                tracing::debug!(%party, %error, "the link is busy with its end already");
            }
            Ok(key)
        }))
    }
}

impl PendingActor {
    /// Answers who asked for it at the party's control socket.
    pub(super) fn rotate_identity(
        &mut self,
        ctx: &mut Context<Self>,
    ) -> ResponseActFuture<Self, ControlAnswer> {
        let rotated = <Self as Handler<RotateIdentity>>::handle(self, RotateIdentity, ctx);
        Box::pin(rotated.map(|rotated, _, _| match rotated {
            Ok(key) => {
                let number = key.number;
                ControlAnswer::done(format!(
                    "the key was rotated, {number} times now; {NEW_BACKUP_NEEDED}"
                ))
            }
            Err(error) => ControlAnswer::failed(ControlError::KeyRotation, error),
        }))
    }
}
