//! Parties whose shares wait for an activation that they have missed.

use super::{Hub, MAX_LOOKUPS};
use actix::prelude::*;
use mpc_wire::{EpochStatement, PartyId, Verdict};

impl Hub {
    /// Takes a party's word on its share. One that waits is told what it may have missed.
    pub(super) fn stated(
        &mut self,
        from: PartyId,
        statement: EpochStatement,
        ctx: &mut Context<Self>,
    ) {
        let waits = matches!(statement.verdict, Verdict::Stored(_)) && statement.by == from;
        // Who is passed over says it again in a while.
        if !waits || self.lookups >= MAX_LOOKUPS {
            tracing::debug!(party = %from, "a word on a share was passed over");
            return;
        }
        self.lookups += 1;
        let activation = self.activation.clone();
        let reminded = async move { activation.remind(from, &statement).await };
        ctx.spawn(reminded.into_actor(self).map(move |reminded, hub, _| {
            hub.lookups -= 1;
            if let Err(error) = reminded {
                tracing::warn!(party = %from, %error, "a share that waits cannot be looked up");
            }
        }));
    }
}
