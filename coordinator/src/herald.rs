//! Shows the parties where the audit log stands, so that a log that is cut or rewritten later
//! contradicts what they keep.
//!
//! Whoever is told something of a session is shown the head before it. What is entered apart from
//! sessions, an API key for one, goes to those who are online a moment later, all of it together.

use crate::post::{Post, Undeliverable};
use crate::roster::Roster;
use crate::staff::DeathNotice;
use crate::store::Store;
use actix::prelude::*;
use mpc_wire::audit::Head;
use mpc_wire::{PartyId, ToParty};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// How long what is entered apart from sessions may wait for more of its kind: so long nobody else
/// witnesses it. A shorter time would cost a busy coordinator's idle parties more messages, and each
/// of them a commit.
const HEAD_INTERVAL: Duration = Duration::from_secs(1);

/// Most parties that are shown a head at a time: where thousands of devices are online, a new API key
/// must not have all of them write at once. Those that were shown the oldest heads come first.
const MAX_SHOWN: usize = 64;

/// To whom which head was shown. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Heads {
    store: Store,
    post: Post,
    roster: Roster,
    /// What each connected party was shown last.
    shown: Arc<Mutex<BTreeMap<PartyId, Head>>>,
    due: Arc<Notify>,
}

impl Heads {
    pub(crate) fn new(store: Store, post: Post, roster: Roster) -> Self {
        Self { store, post, roster, shown: Arc::default(), due: Arc::default() }
    }

    /// Shows a party the newest head, unless it was shown this very one over its connection.
    pub(crate) async fn show(&self, to: PartyId) -> Result<(), Undeliverable> {
        if !self.is_due(to) {
            return Ok(());
        }
        let room = self.post.room().await?;
        let mut shown = self.lock();
        // Read with the room in hand: a head from before the wait could come behind a newer one, and
        // would look like a log that was cut.
        if let Some(newest) = self.store.audit_head()
            && shown.get(&to) != Some(&newest.head)
        {
            shown.insert(to, newest.head);
            room.put(to, Box::new(ToParty::AuditHead(newest)));
        }
        Ok(())
    }

    /// A party has another connection than before, or none: what it was shown may be lost.
    pub(crate) fn reconnected(&self, party: PartyId) {
        self.lock().remove(&party);
        self.stir();
    }

    /// Something is to be shown, or a party's head to be stored.
    pub(crate) fn stir(&self) {
        self.due.notify_one();
    }

    fn is_due(&self, party: PartyId) -> bool {
        let newest = self.store.audit_head().map(|newest| newest.head);
        newest.is_some() && self.lock().get(&party) != newest.as_ref()
    }

    /// Shows everybody who is online the newest head, as many as may be at a time.
    async fn show_all(&self) -> Result<(), Undeliverable> {
        let mut due: Vec<_> =
            self.roster.online().into_iter().filter(|party| self.is_due(*party)).collect();
        {
            let shown = self.lock();
            due.sort_by_key(|party| shown.get(party).map(|head| head.count));
        }
        if due.len() > MAX_SHOWN {
            due.truncate(MAX_SHOWN);
            self.stir();
        }
        for party in due {
            self.show(party).await?;
        }
        Ok(())
    }

    /// Shows heads and stores those of the parties, for ever.
    async fn keep_showing(self) {
        let mut newest = self.store.audit_heads();
        loop {
            tokio::select! {
                Ok(()) = newest.changed() => {}
                () = self.due.notified() => {}
            }
            tokio::time::sleep(HEAD_INTERVAL).await;
            newest.mark_unchanged();
            if let Err(error) = self.show_all().await {
                tracing::warn!(%error, "the head of the audit log is shown later");
                self.stir();
            }
            if let Err(error) = self.store.keep_witnessed().await {
                tracing::warn!(%error, "the heads of the parties' audit logs are stored later");
                self.stir();
            }
        }
    }

    /// Each change is one insertion or removal: whatever panicked, the map stays sound.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<PartyId, Head>> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Shows heads to those whom no session tells anything.
pub(crate) struct Herald {
    heads: Heads,
    _notice: DeathNotice,
}

impl Herald {
    pub(crate) fn new(heads: Heads, notice: DeathNotice) -> Self {
        Self { heads, _notice: notice }
    }
}

impl Actor for Herald {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.spawn(self.heads.clone().keep_showing().into_actor(self));
    }
}

/// The coordinator stops.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct StopHerald;

impl Handler<StopHerald> for Herald {
    type Result = ();

    fn handle(&mut self, StopHerald: StopHerald, ctx: &mut Self::Context) {
        ctx.stop();
    }
}

#[cfg(test)]
mod tests;
