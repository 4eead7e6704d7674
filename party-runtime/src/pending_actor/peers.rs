//! What the party tells its peers, and hears from them, apart from sessions.

use super::PendingActor;
use crate::bans;
use crate::peers;
use crate::vault::VaultError;
use actix::prelude::*;
use mpc_wire::{Inquiry, PartyId, SignedBan, Testimony, ToCoordinator};
use std::time::{Duration, Instant};

/// How long a restored party waits before it asks again the peers that have not answered. Each
/// connection asks at once, so this is for peers that come back later than it.
pub(super) const INQUIRY_PAUSE: Duration = Duration::from_secs(15);

/// Peers whose words are worked on at a time; who finds no room says it again.
const MAX_ATTENDED: usize = 4;

/// How long what is known of the fellow holders serves, before it is read again for a stranger.
const FELLOWS_PAUSE: Duration = Duration::from_secs(10);

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
        self.answered.clear();
        self.asked = inquiries.iter().map(|inquiry| inquiry.nonce).collect();
        inquiries.into_iter().for_each(|inquiry| self.send(ToCoordinator::Inquiry(inquiry)));
    }

    pub(super) fn inquired(&mut self, inquiry: Inquiry, ctx: &mut Context<Self>) {
        let by = inquiry.by;
        if !self.peer_keys.accepts(by, &inquiry.signature) || !self.attend(by) {
            return;
        }
        let vault = self.vault.clone();
        let answer = async move { peers::testify(&vault, &inquiry).await };
        ctx.spawn(answer.into_actor(self).map(move |answer, actor, ctx| {
            actor.attended.remove(&by);
            match answer {
                Ok(Some(testimony)) => actor.send(ToCoordinator::Testimony(testimony)),
                Ok(None) => {}
                Err(error) => actor.peers_failed(&error, ctx),
            }
        }));
    }

    pub(super) fn testified(&mut self, testimony: Testimony, ctx: &mut Context<Self>) {
        let (by, nonce) = (testimony.by, testimony.nonce);
        if !self.peer_keys.accepts(by, &testimony.signature) {
            return;
        }
        let me = self.vault.party();
        let Some(answer) = peers::Answer::check(me, &self.quarantine, &self.asked, testimony)
        else {
            tracing::warn!(%by, "a testimony that answers no question of this party");
            return;
        };
        // Each question is answered once by each; whoever says it again is not heard again.
        if !self.answered.insert((nonce, answer.by())) {
            return;
        }
        let (vault, quarantine) = (self.vault.clone(), self.quarantine.clone());
        let heard = async move { peers::hear(&vault, &quarantine, &answer).await };
        ctx.spawn(heard.into_actor(self).map(|heard, actor, ctx| match heard {
            Ok((heard, recovered)) => {
                let party = actor.vault.party();
                actor.banned.extend(recovered);
                for account in &heard.released {
                    tracing::info!(%party, %account, "the peers have confirmed the backup's share");
                }
                for (account, newest) in &heard.stale {
                    tracing::error!(
                        %party, %account, %newest,
                        "a holder says that the backup's share is older than the account: it stays \
                         closed unless others contradict; use a newer backup"
                    );
                }
            }
            Err(error) => actor.peers_failed(&error, ctx),
        }));
    }

    pub(super) fn told_of_ban(&mut self, ban: SignedBan, ctx: &mut Context<Self>) {
        let by = ban.by;
        if !self.peer_keys.accepts(by, &ban.signature) || !self.attend(by) {
            return;
        }
        // Who the fellow holders are is looked up seldom, however often strangers ask for it.
        let must_look = !self.fellows.contains(&by)
            && self.fellows_known.is_none_or(|known| known.elapsed() >= FELLOWS_PAUSE);
        let is_fellow = self.fellows.contains(&by);
        let vault = self.vault.clone();
        let kept = async move {
            let fellows = match must_look {
                true => Some(peers::fellow_holders(&vault).await?),
                false => None,
            };
            if is_fellow || fellows.as_ref().is_some_and(|fellows| fellows.contains(&by)) {
                peers::keep_ban(&vault, &ban).await?;
            }
            Ok(fellows)
        };
        ctx.spawn(kept.into_actor(self).map(move |kept, actor, ctx| {
            actor.attended.remove(&by);
            match kept {
                Ok(Some(fellows)) => {
                    actor.fellows = fellows;
                    actor.fellows_known = Some(Instant::now());
                }
                Ok(None) => {}
                Err(error) => actor.peers_failed(&error, ctx),
            }
        }));
    }

    /// Whether there is time for a peer's word: one at a time of each, and a few in all.
    fn attend(&mut self, peer: PartyId) -> bool {
        let is_free = self.attended.len() < MAX_ATTENDED && self.attended.insert(peer);
        if !is_free {
            tracing::debug!(%peer, "a peer's word was passed over; it is said again");
        }
        is_free
    }

    fn peers_failed(&mut self, error: &VaultError, ctx: &mut Context<Self>) {
        if matches!(error, VaultError::Database(_)) {
            self.give_up(error, ctx);
        } else {
            tracing::error!(party = %self.vault.party(), %error, "a peer cannot be answered");
        }
    }
}
