//! Secrets of the engines and of the PendingSession machine: shares, aux parts, attempts' keys.

use crate::shown::{BYTES, Case, Shown, check_all};
use mpc_engine::{Engine, Product, RunContext, SecretBytes, Step, Task, engine};
use mpc_pending::record::{StoredConsent, StoredProgress};
use mpc_pending::{AttemptSecret, Effect, Event, Launch, PreparedJoin, Record};
use mpc_wire::{
    Attempt, AttemptPlan, AuxId, Identity, Intent, IntentKind, Nonce, PublicKey, RequestId, Round,
    Scheme, SessionId, SignedJoin, Stage, UnixMillis,
};
use serde::Serialize;
use std::collections::BTreeMap;

/// Secret types of `mpc-engine` and `mpc-pending`.
pub(crate) const CASES: &[Case] = &[
    ("SecretBytes", secret_bytes),
    ("Task", task),
    ("Product", product),
    ("Step", step),
    ("RunContext", context),
    ("EngineFailure", failure),
    ("AttemptSecret", attempt_secret),
    ("PreparedJoin", prepared_join),
    ("Record", record),
    ("Launch", launch),
];

#[test]
fn no_secret_of_an_engine_or_of_an_attempt_is_told() {
    check_all(CASES);
}

fn secret() -> SecretBytes {
    SecretBytes::new(BYTES.to_vec())
}

fn sign(share: SecretBytes, aux: SecretBytes) -> Task {
    Task::Sign { share, aux: Some(aux), public_key: PublicKey::new([2; 33]), message: vec![7; 32] }
}

/// An attempt of two, of which the first is this party.
pub(crate) struct Duo {
    pub(crate) me: Identity,
    pub(crate) intent: Intent,
    pub(crate) plan: AttemptPlan,
    pub(crate) prepared: PreparedJoin,
    pub(crate) joins: BTreeMap<mpc_wire::PartyId, mpc_wire::VerifiedJoin>,
}

impl Duo {
    pub(crate) fn new() -> Self {
        let (me, peer) = (Identity::from_seed(&BYTES), Identity::generate());
        let intent = Intent {
            session: SessionId::generate(),
            request: RequestId::generate(),
            eligible: [me.party(), peer.party()].into(),
            expires_at: UnixMillis(1),
            kind: IntentKind::Aux { scheme: Scheme::EcdsaCggmp24 },
        };
        let plan = AttemptPlan {
            session: intent.session,
            intent_hash: intent.hash(),
            attempt: Attempt(1),
            quorum: intent.eligible.clone(),
            aux_id: None,
        };
        let join = |identity: &Identity| {
            SignedJoin::sign(identity, plan.hash(), Nonce::generate(), [9; 32])
        };
        let prepared = PreparedJoin { join: join(&me), secret: AttemptSecret::new(BYTES) };
        let joins = [prepared.join.clone(), join(&peer)]
            .map(|join| (join.member, join.verify().unwrap()))
            .into();
        Self { me, intent, plan, prepared, joins }
    }

    fn context(&self) -> RunContext {
        RunContext {
            identity: self.me.clone(),
            plan_hash: self.plan.hash(),
            joins: self.joins.clone(),
        }
    }
}

fn secret_bytes(shown: &mut Shown) {
    shown.debug(&secret());
    shown.debug(&Some(vec![secret()]));
}

fn task(shown: &mut Shown) {
    shown.debug(&sign(secret(), secret()));
}

fn products() -> [Product; 2] {
    let (public_key, public_shares) = (PublicKey::new([2; 33]), BTreeMap::new());
    [
        Product::Keygen { share: secret(), public_key, public_shares },
        Product::Aux { aux_id: AuxId::new([1; 32]), secret: secret() },
    ]
}

fn product(shown: &mut Shown) {
    products().iter().for_each(|product| shown.debug(product));
}

fn step(shown: &mut Shown) {
    let to = Identity::generate().party();
    let payload = BYTES.to_vec();
    shown.debug(&Step::Send { to, stage: Stage(1), round: Round(1), payload });
    for product in products() {
        shown.debug(&Step::Finished(Ok(product)));
    }
}

fn context(shown: &mut Shown) {
    shown.debug(&Duo::new().context());
}

/// Shares and aux parts that cannot be used.
fn failure(shown: &mut Shown) {
    #[derive(Serialize)]
    struct Share {
        owner: serde_bytes::ByteArray<32>,
        threshold: u32,
        secret_share: serde_bytes::ByteArray<32>,
    }
    let share = Share { owner: [1; 32].into(), threshold: 2, secret_share: BYTES.into() };
    let named = [&[1], rmp_serde::to_vec_named(&share).unwrap().as_slice()].concat();
    let text = [&[1], rmp_serde::to_vec(&hex::encode(BYTES)).unwrap().as_slice()].concat();
    let wrong = [vec![1], BYTES.to_vec(), [&[1], BYTES.as_slice()].concat(), named, text];
    for share in &wrong {
        for aux in &wrong {
            let share = SecretBytes::new(share.clone());
            let aux = SecretBytes::new(aux.clone());
            let made = engine(Scheme::EcdsaCggmp24, sign(share, aux), Duo::new().context());
            match made {
                Err(error) => shown.error(&error),
                Ok(engine) => shown.error(&end(engine)),
            }
        }
    }
}

/// How an attempt fails that cannot begin.
fn end(mut engine: Box<dyn Engine>) -> mpc_engine::EngineFailure {
    let mut steps = engine.start();
    while let Some(step) = steps.pop() {
        match step {
            Step::Finished(result) => return result.unwrap_err(),
            Step::Work(job) => steps.extend(engine.complete(job.run())),
            Step::Send { .. } | Step::Waiting { .. } => {}
        }
    }
    panic!("the attempt goes on with a share that is none");
}

fn attempt_secret(shown: &mut Shown) {
    shown.debug(&AttemptSecret::new(BYTES));
    let json = serde_json::json!(hex::encode(BYTES));
    shown.refused(serde_json::from_value::<AttemptSecret>(json));
    let long = rmp_serde::to_vec(&serde_bytes::Bytes::new(&[BYTES, BYTES].concat())).unwrap();
    shown.refused(rmp_serde::from_slice::<AttemptSecret>(&long));
}

fn prepared_join(shown: &mut Shown) {
    shown.debug(&Duo::new().prepared);
}

fn record(shown: &mut Shown) {
    let Duo { intent, plan, prepared, .. } = Duo::new();
    let progress = StoredProgress::Joined { plan, prepared };
    let (consent, floor) = (StoredConsent::Approved, Attempt(0));
    let record = Record { intent, consent, floor, progress };
    shown.debug(&record);
    shown.debug(&Effect::Persist(Box::new(record.clone())));
    shown.debug(&Event::Restored(vec![record]));
}

fn launch(shown: &mut Shown) {
    let Duo { intent, plan, joins, prepared, .. } = Duo::new();
    let launch = Launch { intent, plan, joins, secret: prepared.secret };
    shown.debug(&launch);
    shown.debug(&Effect::Launch(Box::new(launch)));
}
