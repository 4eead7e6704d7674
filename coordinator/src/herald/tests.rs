#![allow(clippy::wildcard_enum_match_arm, reason = "test code fails by panicking")]

use super::*;
use crate::audit::{Asker, audit_keeper, cancel_asked};
use mpc_wire::{Downlink, Identity, SessionId};
use std::collections::BTreeSet;
use tempfile::TempDir;
use tokio::sync::mpsc;

struct World {
    heads: Heads,
    downlink: mpsc::Receiver<Downlink>,
    _dir: TempDir,
}

impl World {
    async fn of(parties: usize, room: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}?mode=rwc", dir.path().join("c.db").display());
        let store = Store::open(&url).await.unwrap();
        store.keep_audit(audit_keeper(&"5a".repeat(32).parse().unwrap())).await.unwrap();
        let (to_gateway, downlink) = mpsc::channel(room);
        let roster = Roster::new(BTreeSet::new());
        (0..parties).for_each(|_| roster.set_online(Identity::generate().party()));
        Self { heads: Heads::new(store, Post::new(to_gateway), roster), downlink, _dir: dir }
    }

    async fn enter(&self) {
        let note = cancel_asked(SessionId::generate(), &Asker::Operator);
        self.heads.store.note(note).await.unwrap();
    }

    /// Who was shown a head of how many entries, since this was asked last.
    fn shown(&mut self) -> Vec<(PartyId, u64)> {
        let downlink = std::iter::from_fn(|| self.downlink.try_recv().ok());
        let shown = downlink.filter_map(|downlink| match downlink {
            Downlink::Deliver { to, message } => match *message {
                ToParty::AuditHead(head) => Some((to, head.head.count)),
                _ => None,
            },
            Downlink::Disconnect { .. } => None,
        });
        shown.collect()
    }
}

#[actix_web::test]
async fn so_many_are_shown_a_head_at_a_time_and_who_has_the_oldest_comes_first() {
    let mut world = World::of(MAX_SHOWN + 6, 256).await;
    let mut newest = 1;
    for expected in [MAX_SHOWN, 6, 0] {
        world.heads.show_all().await.unwrap();
        let shown = world.shown();
        assert_eq!(shown.len(), expected);
        assert!(shown.iter().all(|(_, count)| *count == newest));
    }
    let mut left: BTreeSet<_> = world.heads.roster.online();
    for _ in 0..2 {
        world.enter().await;
        newest += 1;
        world.heads.show_all().await.unwrap();
        let shown = world.shown();
        assert_eq!(shown.len(), MAX_SHOWN);
        for (party, count) in shown {
            assert_eq!(count, newest);
            left.remove(&party);
        }
    }
    assert!(left.is_empty(), "nobody is passed over twice: {left:?}");
}

#[actix_web::test]
async fn a_head_that_had_to_wait_for_room_is_the_newest_when_it_goes() {
    let mut world = World::of(1, 1).await;
    let party = *world.heads.roster.online().first().unwrap();
    world.heads.show(party).await.unwrap();
    world.enter().await;
    let waiting = actix_rt::spawn({
        let heads = world.heads.clone();
        async move { heads.show(party).await }
    });
    // It waits: the room is taken.
    tokio::task::yield_now().await;
    world.enter().await;
    assert_eq!(world.shown(), [(party, 1)]);
    waiting.await.unwrap().unwrap();
    assert_eq!(world.shown(), [(party, 3)]);
    world.heads.show(party).await.unwrap();
    assert_eq!(world.shown(), [], "once");
}
