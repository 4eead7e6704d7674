//! Revocation, which takes effect at once: it is written, then the party is out of reach of every
//! session, then its connections are closed. Whatever comes of the party after that counts for
//! nothing.

use super::Hub;
use crate::audit::Asker;
use crate::clock::Clock;
use crate::post::Undeliverable;
use crate::session_actor::ToSession;
use crate::store::StoreError;
use crate::store::party::Party;
use actix::prelude::*;
use mpc_wire::PartyId;

/// Revokes a party; shows it, if there is one.
#[derive(Debug, Message)]
#[rtype(result = "Result<Option<Party>, RevokeError>")]
pub(crate) struct Revoke {
    pub(crate) party: PartyId,
    pub(crate) asker: Asker,
}

/// Why a revocation is not, or not wholly, in effect.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RevokeError {
    /// It is not written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It is written, but the party may still be connected.
    #[error(transparent)]
    Undeliverable(#[from] Undeliverable),
}

impl Handler<Revoke> for Hub {
    type Result = ResponseActFuture<Self, Result<Option<Party>, RevokeError>>;

    /// Goes on to its end even if who asked does not wait for it.
    fn handle(&mut self, Revoke { party, asker }: Revoke, _: &mut Self::Context) -> Self::Result {
        let store = self.store.clone();
        let written = async move { store.revoke_party(party, Clock::start().wall(), &asker).await };
        Box::pin(written.into_actor(self).then(move |written, hub, _| {
            // A gateway asks the store before it lets anybody in, and once more when a
            // disconnection would find the connection: so nobody slips in between these lines.
            if matches!(&written, Ok(Some(_))) {
                hub.roster.revoke(party);
                hub.tell_sessions_of(party, ToSession::Offline);
            }
            let post = hub.post.clone();
            async move {
                let known = written?;
                if known.is_some() {
                    post.disconnect(party).await?;
                }
                Ok(known)
            }
            .into_actor(hub)
        }))
    }
}

impl Hub {
    /// A gateway says that a revoked party is connected: it has missed the disconnection, or it
    /// crossed with this.
    pub(super) fn send_away(&self, party: PartyId, ctx: &mut Context<Self>) {
        tracing::warn!(%party, "a revoked party was connected, and is sent away");
        let post = self.post.clone();
        let sent = async move { post.disconnect(party).await };
        ctx.spawn(sent.into_actor(self).map(move |sent, _, _| {
            if let Err(error) = sent {
                tracing::error!(%party, %error, "a revoked party may still be connected");
            }
        }));
    }
}
