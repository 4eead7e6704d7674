use super::*;
use crate::opening::Opening;
use crate::supervisor::{Find, Open};
use mpc_wire::{
    Downlink, Identity, Intent, IntentKind, PartyId, RequestId, Scheme, SessionId, ToParty,
};
use sea_orm::{ConnectionTrait, Database};
use std::collections::BTreeSet;
use tempfile::TempDir;

/// Makes an actor die as a bug in it would.
#[derive(Message)]
#[rtype(result = "()")]
struct Crash;

macro_rules! can_crash {
    ($($actor:ty),*) => {$(
        impl Handler<Crash> for $actor {
            type Result = ();

            fn handle(&mut self, Crash: Crash, _: &mut Context<Self>) {
                panic!("a bug in an actor");
            }
        }
    )*};
}

can_crash!(Hub, Supervisor, Pool, Accounts, Herald);

struct World {
    keeper: Keeper,
    clock: Clock,
    parties: BTreeSet<PartyId>,
    uplink: mpsc::Sender<Uplink>,
    downlink: mpsc::Receiver<Downlink>,
    dir: TempDir,
}

impl World {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}?mode=rwc", dir.path().join("c.db").display());
        let store = Store::open(&url).await.unwrap();
        let (uplink, from_gateway) = mpsc::channel(64);
        let (to_gateway, downlink) = mpsc::channel(64);
        let (clock, roster) = (Clock::start(), Roster::new(BTreeSet::new()));
        let parties = (0..2).map(|_| Identity::generate().party()).collect::<BTreeSet<_>>();
        parties.iter().for_each(|party| roster.set_online(*party));
        let keeper = Keeper::start(Factory {
            store,
            post: Post::new(to_gateway),
            roster,
            clock,
            limits: Limits::default(),
            uplink: Arc::new(Mutex::new(from_gateway)),
        });
        Self { keeper: keeper.await.unwrap(), clock, parties, uplink, downlink, dir }
    }

    /// Makes what is stored of sessions unreadable, or readable again.
    async fn rename(&self, from: &str, to: &str) {
        let url = format!("sqlite://{}", self.dir.path().join("c.db").display());
        let db = Database::connect(url).await.unwrap();
        db.execute_unprepared(&format!("ALTER TABLE {from} RENAME TO {to}")).await.unwrap();
        db.close().await.unwrap();
    }

    /// The hub hears what the gateway says.
    async fn is_heard(&self) {
        let party = *self.parties.first().unwrap();
        self.uplink.send(Uplink::Offline { party }).await.unwrap();
        self.uplink.send(Uplink::Online { party, label: String::new() }).await.unwrap();
        let started = std::time::Instant::now();
        while self.uplink.capacity() < self.uplink.max_capacity() {
            assert!(started.elapsed() < Duration::from_secs(10), "nobody listens");
            tokio::task::yield_now().await;
        }
    }

    fn staff(&self) -> Arc<Staff> {
        Arc::clone(&self.keeper.current.borrow())
    }

    async fn open(&self) -> SessionId {
        let intent = Intent {
            session: SessionId::generate(),
            request: RequestId::generate(),
            eligible: self.parties.clone(),
            expires_at: self.clock.wall_after(Duration::from_secs(60)),
            kind: IntentKind::Aux { scheme: Scheme::EcdsaCggmp24 },
        };
        let opened = self.staff().supervisor.send(Open(Opening::plain(intent, None))).await;
        opened.unwrap().unwrap().session
    }

    /// Both parties are invited to the session.
    async fn invited_to(&mut self, session: SessionId) {
        let mut invited = BTreeSet::new();
        while invited != self.parties {
            if let Downlink::Deliver { to, message } = self.downlink.recv().await.unwrap()
                && let ToParty::Invite { intent, .. } = *message
            {
                assert_eq!(intent.session, session);
                invited.insert(to);
            }
        }
    }
}

#[actix_web::test]
async fn whichever_actor_dies_a_fresh_staff_goes_on() {
    let mut world = World::new().await;
    let session = world.open().await;
    world.invited_to(session).await;
    let mut current = world.keeper.current();
    for who in ["hub", "supervisor", "pool", "accounts", "herald"] {
        let staff = world.staff();
        let died = match who {
            "hub" => staff.hub.send(Crash).await,
            "supervisor" => staff.supervisor.send(Crash).await,
            "pool" => staff.pool.send(Crash).await,
            "accounts" => staff.accounts.send(Crash).await,
            _ => staff.herald.send(Crash).await,
        };
        died.unwrap_err();
        current.changed().await.unwrap();
        // The session is in the care of the new staff, and in nobody else's.
        world.invited_to(session).await;
        let found = world.staff().supervisor.send(Find(session)).await.unwrap().unwrap();
        assert!(found.actor.is_some());
        assert!(staff.supervisor.send(Find(session)).await.is_err(), "{who}");
        world.is_heard().await;
    }
    world.keeper.stop().await;
}

/// The store is away while the actors are replaced, several times over.
#[actix_web::test]
async fn a_staff_that_could_not_begin_leaves_nobody_behind() {
    let mut world = World::new().await;
    let session = world.open().await;
    world.invited_to(session).await;
    let mut current = world.keeper.current();
    world.rename("sessions", "away").await;
    world.staff().hub.send(Crash).await.unwrap_err();
    // So long as some tries take.
    tokio::time::sleep(4 * RESTART_PAUSE).await;
    assert!(!current.has_changed().unwrap(), "it began without a store");
    world.rename("away", "sessions").await;
    current.changed().await.unwrap();
    world.invited_to(session).await;
    world.is_heard().await;
    let found = world.staff().supervisor.send(Find(session)).await.unwrap().unwrap();
    assert!(found.actor.is_some());

    // Nor does it keep the coordinator from stopping.
    world.rename("sessions", "away").await;
    world.staff().hub.send(Crash).await.unwrap_err();
    tokio::time::sleep(2 * RESTART_PAUSE).await;
    timeout(Duration::from_secs(10), world.keeper.stop()).await.unwrap();
}
