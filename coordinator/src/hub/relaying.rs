//! One word at a time for each party that says something to others.

use super::Hub;
use crate::relay::{Relay, Word};
use actix::prelude::*;
use mpc_wire::PartyId;
use mpc_wire::limits::MAX_BANS;
use std::collections::VecDeque;

/// Words of one party that may wait: all of its bans, which it tells whenever it connects, and a
/// few questions and answers.
const MAX_WORDS: usize = MAX_BANS + 64;

impl Hub {
    /// Carries a word, behind those that the party has said before.
    pub(super) fn relay(&mut self, from: PartyId, word: Word, ctx: &mut Context<Self>) {
        match self.words.get_mut(&from) {
            Some(waiting) if waiting.len() < MAX_WORDS => waiting.push_back(word),
            Some(_) => tracing::warn!(party = %from, "too much to relay: a word was dropped"),
            None => {
                self.words.insert(from, VecDeque::new());
                self.carry(from, word, ctx);
            }
        }
    }

    fn carry(&self, from: PartyId, word: Word, ctx: &mut Context<Self>) {
        let relay = Relay {
            store: self.store.clone(),
            roster: self.roster.clone(),
            post: self.post.clone(),
        };
        let carried = async move { relay.carry(from, word).await };
        ctx.spawn(carried.into_actor(self).map(move |carried, hub, ctx| {
            if let Err(error) = carried {
                tracing::warn!(party = %from, %error, "a word to other parties was lost");
            }
            match hub.words.get_mut(&from).and_then(VecDeque::pop_front) {
                Some(next) => hub.carry(from, next, ctx),
                None => {
                    hub.words.remove(&from);
                }
            }
        }));
    }
}
