#![allow(clippy::wildcard_enum_match_arm, reason = "test code fails by panicking")]

use super::*;
use crate::activation::Activation;
use crate::clock::Clock;
use crate::config::Limits;
use crate::herald::Heads;
use crate::hub::Hub;
use crate::post::Post;
use crate::requests::Requests;
use crate::roster::Roster;
use crate::store::Store;
use mpc_wire::{
    Attempt, AttemptOutcome, Downlink, FailureKind, Identity, Intent, IntentKind, Nonce, PartyId,
    PlanHash, RequestId, Round, RoundEnvelope, RoundHeader, Scheme, Seq, SignedJoin, Stage,
    ToCoordinator, Uplink,
};
use tempfile::TempDir;
use tokio::sync::mpsc;

struct World {
    supervisor: Addr<Supervisor>,
    store: Store,
    roster: Roster,
    clock: Clock,
    identities: Vec<Identity>,
    parties: BTreeSet<PartyId>,
    downlink: mpsc::Receiver<Downlink>,
    uplink: mpsc::Sender<Uplink>,
    _dir: TempDir,
}

impl World {
    async fn new(max_running: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}?mode=rwc", dir.path().join("c.db").display());
        let store = Store::open(&url).await.unwrap();
        let (uplink, from_gateway) = mpsc::channel(64);
        let (to_gateway, downlink) = mpsc::channel(64);
        let (clock, post) = (Clock::start(), Post::new(to_gateway));
        let roster = Roster::new(BTreeSet::new());
        let hub = Context::<Hub>::new();
        let heads = Heads::new(store.clone(), post.clone(), roster.clone());
        let around = Surroundings {
            store: store.clone(),
            post: post.clone(),
            roster: roster.clone(),
            heads,
            hub: hub.address(),
            clock,
        };
        let supervisor =
            Supervisor::new(around.clone(), max_running, DeathNotice::unread()).start();
        let requests = Requests::new(store.clone(), supervisor.clone(), clock, &Limits::default());
        let activation = Activation::new(store.clone(), roster.clone(), post.clone());
        let from_gateway = Arc::new(tokio::sync::Mutex::new(from_gateway));
        let notice = DeathNotice::unread();
        hub.run(Hub::new(from_gateway, around, requests, activation, notice));
        let identities: Vec<_> = (0..2).map(|_| Identity::generate()).collect();
        let parties: BTreeSet<_> = identities.iter().map(Identity::party).collect();
        parties.iter().for_each(|party| roster.set_online(*party));
        Self { supervisor, store, roster, clock, identities, parties, downlink, uplink, _dir: dir }
    }

    async fn open(&self) -> Result<EndWatch, OpenError> {
        let intent = Intent {
            session: SessionId::generate(),
            request: RequestId::generate(),
            eligible: self.parties.clone(),
            expires_at: self.clock.wall_after(Duration::from_secs(60)),
            kind: IntentKind::Aux { scheme: Scheme::EcdsaCggmp24 },
        };
        self.supervisor.send(Open(Opening::plain(intent, None))).await.unwrap()
    }

    async fn told(&mut self) -> ToParty {
        match self.downlink.recv().await.unwrap() {
            Downlink::Deliver { message, .. } => *message,
            other => panic!("{other:?}"),
        }
    }

    async fn invited_to(&mut self, attempt: u32) -> PlanHash {
        let mut plans = BTreeSet::new();
        for _ in 0..self.parties.len() {
            match self.told().await {
                ToParty::Invite { plan, .. } => {
                    assert_eq!(plan.attempt, Attempt(attempt));
                    plans.insert(plan.hash());
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(plans.len(), 1);
        plans.pop_first().unwrap()
    }

    async fn say(&self, from: PartyId, message: ToCoordinator) {
        self.uplink.send(Uplink::Message { from, message: Box::new(message) }).await.unwrap();
    }

    /// All join the attempt, and it starts.
    async fn join(&mut self, session: SessionId, attempt: Attempt, plan: PlanHash) {
        for identity in &self.identities {
            let join = SignedJoin::sign(identity, plan, Nonce::new([1; 32]), [2; 32]);
            self.say(identity.party(), ToCoordinator::Join { session, attempt, join }).await;
        }
        for _ in 0..self.parties.len() {
            assert!(matches!(self.told().await, ToParty::Started { .. }));
        }
    }

    async fn kill(&self, session: SessionId) {
        let running = self.supervisor.send(Find(session)).await.unwrap().unwrap();
        let actor = running.actor.unwrap();
        actor.send(ToSession::Poison).await.unwrap_err();
    }
}

#[actix_web::test]
async fn a_dead_actor_is_replaced_and_its_attempt_taken_up() {
    let mut world = World::new(8).await;
    let session = world.open().await.unwrap().session;
    let plan = world.invited_to(1).await;
    world.kill(session).await;
    assert_eq!(world.invited_to(1).await, plan);
    let stored = world.store.session(session).await.unwrap().unwrap();
    assert_eq!((stored.record.attempt, stored.record.past.len()), (Attempt(1), 0));
    world.join(session, Attempt(1), plan).await;
    // The dead actor's members are no longer counted as busy: only the second attempt is.
    drop(world.roster.engage(world.parties.clone()));
    let found = world.supervisor.send(Find(session)).await.unwrap().unwrap();
    assert!(found.actor.is_some());
}

#[actix_web::test]
async fn a_session_that_keeps_killing_its_actors_is_given_up() {
    let mut world = World::new(8).await;
    let mut end = world.open().await.unwrap();
    for _ in 0..MAX_DEATHS {
        world.invited_to(1).await;
        world.kill(end.session).await;
    }
    let ended = end.ended().await.unwrap();
    let Some(SessionEnd::Failed(failure)) = &ended.record.end else { panic!("{ended:?}") };
    assert_eq!(failure.reason, FailureReason::AttemptsExhausted(FailureKind::Panicked));
    for _ in 0..world.parties.len() {
        assert!(matches!(world.told().await, ToParty::Abort { .. }));
        assert!(matches!(world.told().await, ToParty::Finished { .. }));
    }
    assert!(world.supervisor.send(Find(end.session)).await.unwrap().is_none());
    assert!(world.store.aux_sets().await.unwrap().is_empty());
}

#[actix_web::test]
async fn only_so_many_sessions_run_at_a_time() {
    let mut world = World::new(1).await;
    let mut first = world.open().await.unwrap();
    world.invited_to(1).await;
    assert!(matches!(world.open().await, Err(OpenError::Overloaded)));
    assert_eq!(world.store.running_sessions().await.unwrap().len(), 1);
    let running = world.supervisor.send(Find(first.session)).await.unwrap().unwrap();
    running.actor.unwrap().send(ToSession::Cancel).await.unwrap();
    first.ended().await.unwrap();
    // The place is free once the actor has gone.
    while world.supervisor.send(Find(first.session)).await.unwrap().is_some() {
        tokio::task::yield_now().await;
    }
    world.open().await.unwrap();
}

#[actix_web::test]
async fn nothing_is_stored_of_a_session_with_too_few_parties() {
    let world = World::new(8).await;
    let away = *world.parties.first().unwrap();
    world.roster.set_offline(away);
    match world.open().await {
        Err(OpenError::NotEnoughParties { online: 1, needed: 2, missing }) => {
            assert_eq!(missing, [away].into());
        }
        other => panic!("{other:?}"),
    }
    assert!(world.store.running_sessions().await.unwrap().is_empty());
    assert!(world.store.aux_sets().await.unwrap().is_empty());
}

#[actix_web::test]
async fn a_message_without_room_costs_neither_session_nor_attempt() {
    let mut world = World::new(8).await;
    let session = world.open().await.unwrap().session;
    let plan = world.invited_to(1).await;
    world.join(session, Attempt(1), plan).await;
    let [from, to] = [world.identities[0].party(), world.identities[1].party()];
    // Nobody takes what is sent, so the session's mailbox fills, and then overflows.
    for seq in 0..2000 {
        let header = RoundHeader {
            session,
            attempt: Attempt(1),
            from,
            to,
            stage: Stage(1),
            round: Round(1),
            seq: Seq(seq),
        };
        let envelope = RoundEnvelope { header, sealed: vec![0; 8] };
        world.say(from, ToCoordinator::Round(envelope)).await;
    }
    let mut passed = 0;
    loop {
        match world.told().await {
            ToParty::Round(envelope) => {
                assert_eq!(envelope.header.seq, Seq(passed));
                passed += 1;
            }
            // It counts as away for a moment, and hears what it may have missed; what it has lost of
            // its own it sends again.
            ToParty::Started { attempt, .. } => {
                assert_eq!(attempt, Attempt(1));
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(passed < 2000);
    let stored = world.store.session(session).await.unwrap().unwrap();
    assert!(stored.record.past.is_empty());
}

#[actix_web::test]
async fn joins_that_are_not_their_senders_are_dropped_and_broken_ones_asked_for_again() {
    let mut world = World::new(8).await;
    let session = world.open().await.unwrap().session;
    let plan = world.invited_to(1).await;
    let attempt = Attempt(1);
    let [a, b] = [&world.identities[0], &world.identities[1]];
    let of_a = SignedJoin::sign(a, plan, Nonce::new([1; 32]), [2; 32]);
    // Said by another party, signed by another key, and altered.
    let mut forged = SignedJoin::sign(b, plan, Nonce::new([1; 32]), [2; 32]);
    forged.member = a.party();
    let altered = SignedJoin { hpke_key: [3; 32], ..of_a.clone() };
    for (from, join) in [(b.party(), of_a), (a.party(), forged), (a.party(), altered)] {
        world.say(from, ToCoordinator::Join { session, attempt, join }).await;
    }
    let of_b = SignedJoin::sign(b, plan, Nonce::new([1; 32]), [2; 32]);
    world.say(b.party(), ToCoordinator::Join { session, attempt, join: of_b }).await;
    let found = world.supervisor.send(Find(session)).await.unwrap().unwrap();
    let actor = found.actor.unwrap();
    loop {
        let standing = actor.send(crate::session_actor::Ask).await.unwrap();
        assert_eq!(standing.status.phase, mpc_session::Phase::Joining);
        if standing.status.waiting_for == [a.party()].into() {
            break;
        }
        tokio::task::yield_now().await;
    }
    for _ in ["forged", "altered"] {
        assert!(
            matches!(world.told().await, ToParty::Invite { plan: of, .. } if of.hash() == plan)
        );
    }
    world.join(session, attempt, plan).await;
}

/// A member that was shown another plan on the way says so by its join, which is answered at once.
#[actix_web::test]
async fn a_join_to_another_plan_ends_the_attempt_and_an_old_one_does_not() {
    let mut world = World::new(8).await;
    let session = world.open().await.unwrap().session;
    let first = world.invited_to(1).await;
    let a = world.identities[0].clone();
    let say_join = async |world: &World, attempt, plan| {
        let join = SignedJoin::sign(&a, plan, Nonce::new([1; 32]), [2; 32]);
        world.say(a.party(), ToCoordinator::Join { session, attempt, join }).await;
    };
    say_join(&world, Attempt(1), PlanHash::new([0; 32])).await;
    let second = world.invited_to(2).await;
    for _ in 0..world.parties.len() {
        assert!(matches!(world.told().await, ToParty::Abort { attempt: Attempt(1), .. }));
    }
    let stored = world.store.session(session).await.unwrap().unwrap();
    let [past] = &stored.record.past[..] else { panic!("{stored:?}") };
    assert_eq!((past.kind, &past.parties), (FailureKind::Transport, &BTreeSet::new()));
    // Replayed under the number of the second attempt.
    say_join(&world, Attempt(2), first).await;
    world.join(session, Attempt(2), second).await;
}

/// Should a session ever have two actors, the one that has fallen behind must not tell anybody of a
/// plan under a number that another plan may have.
#[actix_web::test]
async fn an_actor_that_was_overtaken_tells_nobody_and_makes_way() {
    let mut world = World::new(8).await;
    let session = world.open().await.unwrap().session;
    world.invited_to(1).await;
    let StoredSession { record, created_at, .. } =
        world.store.session(session).await.unwrap().unwrap();
    let save = async |world: &World, record| {
        let at = world.clock.wall();
        world.store.save_session(Saving { record, created_at, at }).await
    };
    // One number, one plan; and numbers only grow.
    let other_plan = Record { aux_id: Some(mpc_wire::AuxId::new([1; 32])), ..record.clone() };
    assert!(matches!(save(&world, other_plan).await, Err(StoreError::Superseded)));
    save(&world, Record { attempt: Attempt(7), ..record.clone() }).await.unwrap();
    assert!(matches!(save(&world, record).await, Err(StoreError::Superseded)));
    // The actor would plan its second attempt now.
    let a = world.identities[0].clone();
    let join = SignedJoin::sign(&a, PlanHash::new([0; 32]), Nonce::new([1; 32]), [2; 32]);
    world.say(a.party(), ToCoordinator::Join { session, attempt: Attempt(1), join }).await;
    let plan = world.invited_to(7).await;
    world.join(session, Attempt(7), plan).await;
}

#[actix_web::test]
async fn who_has_missed_an_end_hears_it_and_what_it_stops() {
    for is_cancelled in [true, false] {
        let mut world = World::new(8).await;
        let session = world.open().await.unwrap().session;
        let (attempt, plan) = (Attempt(1), world.invited_to(1).await);
        world.join(session, attempt, plan).await;
        if is_cancelled {
            let running = world.supervisor.send(Find(session)).await.unwrap().unwrap();
            running.actor.unwrap().send(ToSession::Cancel).await.unwrap();
        } else {
            let outcome = || AttemptOutcome::Aux { aux_id: mpc_wire::AuxId::new([1; 32]) };
            for party in world.parties.clone() {
                let said = ToCoordinator::Outcome { session, attempt, outcome: outcome() };
                world.say(party, said).await;
            }
        }
        let is_abort = |told: &ToParty| matches!(told, ToParty::Abort { attempt: Attempt(1), .. });
        let is_finished = |told: &ToParty| matches!(told, ToParty::Finished { .. });
        for _ in world.parties.clone().iter().filter(|_| is_cancelled) {
            assert!(is_abort(&world.told().await));
        }
        for _ in world.parties.clone() {
            assert!(is_finished(&world.told().await));
        }
        // The session has left the hub before it is looked up.
        while world.supervisor.send(Find(session)).await.unwrap().is_some() {
            tokio::task::yield_now().await;
        }
        let party = world.identities[0].party();
        let (stage, round, waiting_for) = (Stage(1), Round(1), BTreeSet::new());
        let progress = ToCoordinator::Progress { session, attempt, stage, round, waiting_for };
        world.say(party, progress).await;
        assert!(!is_cancelled || is_abort(&world.told().await));
        assert!(is_finished(&world.told().await));
    }
}
