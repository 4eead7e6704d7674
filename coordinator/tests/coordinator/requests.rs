use crate::world::World;
use coordinator::Role;
use mpc_wire::{
    AccountId, DerivationPath, Epoch, Identity, Intent, IntentKind, PartyId, Payload, PublicKey,
    RequestId, Scheme, SessionId, SessionRefusal, Threshold, ToCoordinator, ToParty, UnixMillis,
};
use serde_json::json;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Two servers and a device, all online, with an account of all three.
async fn world_with_device() -> (World, AccountId) {
    let world = World::offline(&[Role::Server, Role::Server, Role::Device]).await;
    world.all_online().await;
    let parties: Vec<_> = world.ids.iter().map(PartyId::to_string).collect();
    let body = json!({"user_id": "alice", "parties": parties});
    let reply = world.post("/api/v1/accounts", &[], &body).await.expect(201);
    let account = reply.text("account_id").parse().unwrap();
    (world, account)
}

fn in_future(life: Duration) -> UnixMillis {
    let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + life;
    UnixMillis(u64::try_from(at.as_millis()).unwrap())
}

fn intent(world: &World, account: AccountId) -> Intent {
    Intent {
        session: SessionId::generate(),
        request: RequestId::generate(),
        eligible: world.ids.iter().copied().collect(),
        expires_at: in_future(Duration::from_secs(60)),
        kind: IntentKind::Sign {
            account,
            epoch: Epoch(1),
            scheme: Scheme::EcdsaCggmp24,
            threshold: Threshold(2),
            public_key: crate::parties::public_key(account),
            path: DerivationPath::default(),
            payload: Payload::Digest([5; 32]),
            authorization: None,
        },
    }
}

/// Asks for a session and gives the answer, the `n`th that this session gets.
async fn ask_again(
    world: &World,
    from: PartyId,
    intent: &Intent,
    n: usize,
) -> Result<(), SessionRefusal> {
    world.say(from, ToCoordinator::RequestSession { intent: intent.clone() }).await;
    world
        .parties
        .told(|told| {
            let mut answers = told.iter().filter_map(|(to, message)| match message {
                ToParty::SessionRequested { session, request, result }
                    if *session == intent.session =>
                {
                    assert_eq!((*request, *to), (intent.request, from));
                    Some(*result)
                }
                _ => None,
            });
            answers.nth(n)
        })
        .await
}

async fn ask(world: &World, from: PartyId, intent: &Intent) -> Result<(), SessionRefusal> {
    ask_again(world, from, intent, 0).await
}

fn with_sign(mut intent: Intent, change: impl FnOnce(&mut IntentKind)) -> Intent {
    change(&mut intent.kind);
    intent
}

#[actix_web::test]
async fn a_device_asks_for_a_signature_and_gets_it() {
    let (world, account) = world_with_device().await;
    let device = world.ids[2];
    let intent = intent(&world, account);
    assert_eq!(ask(&world, device, &intent).await, Ok(()));
    let path = format!("/api/v1/sessions/{}", intent.session);
    let done = world.until(&path, |reply| reply.json["state"] == "completed").await;
    assert_eq!(done.text("message"), "05".repeat(32));
    // Asked again, it is the same session.
    let before = world.rows().await;
    assert_eq!(ask_again(&world, device, &intent, 1).await, Ok(()));
    assert_eq!(world.rows().await, before);
    // The same ids for something else.
    let mut other = intent.clone();
    other.expires_at.0 += 1;
    assert_eq!(ask_again(&world, device, &other, 2).await, Err(SessionRefusal::Duplicate));
    let other = Intent { session: SessionId::generate(), ..intent };
    assert_eq!(ask(&world, device, &other).await, Err(SessionRefusal::Duplicate));
    assert_eq!(world.rows().await, before);
}

#[actix_web::test]
async fn requests_that_are_refused_store_nothing() {
    let (world, account) = world_with_device().await;
    let device = world.ids[2];
    let before = world.rows().await;
    let fresh = || intent(&world, account);
    let set = |change: fn(&mut IntentKind)| with_sign(intent(&world, account), change);
    let mut few = fresh();
    few.eligible.remove(&world.ids[0]);
    let mut stranger = fresh();
    stranger.eligible.insert(Identity::generate().party());
    let cases = [
        (few, SessionRefusal::IntentMismatch),
        (stranger, SessionRefusal::IntentMismatch),
        (
            Intent { expires_at: in_future(Duration::ZERO), ..fresh() },
            SessionRefusal::IntentMismatch,
        ),
        (
            Intent { expires_at: in_future(Duration::from_secs(7200)), ..fresh() },
            SessionRefusal::IntentMismatch,
        ),
        (
            set(|kind| {
                if let IntentKind::Sign { epoch, .. } = kind {
                    *epoch = Epoch(2);
                }
            }),
            SessionRefusal::IntentMismatch,
        ),
        (
            set(|kind| {
                if let IntentKind::Sign { threshold, .. } = kind {
                    *threshold = Threshold(3);
                }
            }),
            SessionRefusal::IntentMismatch,
        ),
        (
            set(|kind| {
                if let IntentKind::Sign { public_key, .. } = kind {
                    *public_key = PublicKey::new([3; 33]);
                }
            }),
            SessionRefusal::IntentMismatch,
        ),
        (
            set(|kind| {
                if let IntentKind::Sign { payload, .. } = kind {
                    *payload = Payload::Canary { plan: mpc_wire::PlanHash::new([1; 32]) };
                }
            }),
            SessionRefusal::NotAllowed,
        ),
        (
            set(|kind| {
                if let IntentKind::Sign { account, .. } = kind {
                    *account = AccountId::generate();
                }
            }),
            SessionRefusal::UnknownAccount,
        ),
        (
            set(|kind| *kind = IntentKind::Aux { scheme: Scheme::EcdsaCggmp24 }),
            SessionRefusal::NotAllowed,
        ),
    ];
    for (intent, refusal) in cases {
        assert_eq!(ask(&world, device, &intent).await, Err(refusal), "{intent:?}");
    }
    // A server, and a device that holds no share, may not ask.
    assert_eq!(ask(&world, world.ids[0], &fresh()).await, Err(SessionRefusal::NotAllowed));
    let outsider = Identity::generate().party();
    assert_eq!(ask(&world, outsider, &fresh()).await, Err(SessionRefusal::NotAllowed));
    world.offline_now(world.ids[0]).await;
    world.offline_now(world.ids[1]).await;
    let refusal = Err(SessionRefusal::NotEnoughParties);
    assert_eq!(ask(&world, device, &fresh()).await, refusal);
    assert_eq!(world.rows().await, before);
}
