//! What the party tells its peers, and hears from them, apart from sessions.

use super::PendingActor;
use crate::bans;
use crate::peers;
use crate::vault::VaultError;
use actix::prelude::*;
use mpc_wire::{Inquiry, SignedBan, Testimony, ToCoordinator};
use std::time::Duration;

/// How long a restored party waits before it asks again the peers that have not answered. Each
/// connection asks at once, so this is for peers that come back later than it.
pub(super) const INQUIRY_PAUSE: Duration = Duration::from_secs(15);

/// Questions of peers that are answered at a time; who finds no room asks again.
const MAX_ANSWERING: usize = 4;

impl PendingActor {
    /// Tells the party's bans again, and asks about what is still confined. Old questions are void.
    pub(super) fn speak_to_peers(&mut self, ctx: &mut Context<Self>) {
        self.inquire();
        let vault = self.vault.clone();
        let own = async move { bans::own(&vault).await };
        ctx.spawn(own.into_actor(self).map(|own, actor, ctx| match own {
            Ok(own) => own.into_iter().for_each(|ban| actor.send(ToCoordinator::Ban(ban))),
            Err(error) => actor.peers_failed(&error, ctx),
        }));
    }

    /// Asks about what is still confined.
    pub(super) fn inquire(&mut self) {
        let Some(restoration) = self.quarantine.current() else { return };
        let inquiries = peers::inquiries(&self.vault, &restoration);
        self.asked = inquiries.iter().map(|inquiry| inquiry.nonce).collect();
        inquiries.into_iter().for_each(|inquiry| self.send(ToCoordinator::Inquiry(inquiry)));
    }

    pub(super) fn inquired(&mut self, inquiry: Inquiry, ctx: &mut Context<Self>) {
        if !self.peer_keys.accepts(inquiry.by, &inquiry.signature) {
            return;
        }
        if self.answering >= MAX_ANSWERING {
            tracing::warn!(by = %inquiry.by, "too many peers ask at once");
            return;
        }
        self.answering += 1;
        let vault = self.vault.clone();
        let answer = async move { peers::testify(&vault, &inquiry).await };
        ctx.spawn(answer.into_actor(self).map(|answer, actor, ctx| {
            actor.answering -= 1;
            match answer {
                Ok(Some(testimony)) => actor.send(ToCoordinator::Testimony(testimony)),
                Ok(None) => {}
                Err(error) => actor.peers_failed(&error, ctx),
            }
        }));
    }

    pub(super) fn testified(&mut self, testimony: Testimony, ctx: &mut Context<Self>) {
        if !self.peer_keys.accepts(testimony.by, &testimony.signature) {
            return;
        }
        let (vault, quarantine) = (self.vault.clone(), self.quarantine.clone());
        let asked = self.asked.clone();
        let heard = async move {
            let heard = peers::hear(&vault, &quarantine, &asked, &testimony).await?;
            Ok((heard, bans::own(&vault).await?))
        };
        ctx.spawn(heard.into_actor(self).map(|heard, actor, ctx| match heard {
            Ok((heard, own)) => {
                let party = actor.vault.party();
                actor.banned = bans::banned(&own);
                for account in &heard.released {
                    tracing::info!(%party, %account, "the peers have confirmed the backup's share");
                }
                for (account, newest) in &heard.stale {
                    tracing::error!(
                        %party, %account, %newest,
                        "the backup's share is older than the account: it stays closed; use a newer \
                         backup"
                    );
                }
            }
            Err(error) => actor.peers_failed(&error, ctx),
        }));
    }

    pub(super) fn told_of_ban(&mut self, ban: SignedBan, ctx: &mut Context<Self>) {
        if !self.peer_keys.accepts(ban.by, &ban.signature) {
            return;
        }
        if self.answering >= MAX_ANSWERING {
            tracing::warn!(by = %ban.by, "too many peers speak at once; the ban is told again");
            return;
        }
        self.answering += 1;
        let vault = self.vault.clone();
        let kept = async move { peers::keep_ban(&vault, &ban).await };
        ctx.spawn(kept.into_actor(self).map(|kept, actor, ctx| {
            actor.answering -= 1;
            if let Err(error) = kept {
                actor.peers_failed(&error, ctx);
            }
        }));
    }

    fn peers_failed(&mut self, error: &VaultError, ctx: &mut Context<Self>) {
        if matches!(error, VaultError::Database(_)) {
            self.give_up(error, ctx);
        } else {
            tracing::error!(party = %self.vault.party(), %error, "a peer cannot be answered");
        }
    }
}
