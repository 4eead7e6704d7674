//! A capture of every message that gateway and coordinator handle during key generation, aux
//! generation and signing holds no field of the protocol and no share.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use coordinator::Role;
use mpc_engine::{RunContext, Step, Task};
use mpc_pending::Joiner;
use mpc_tests::cluster::{Cluster, Engine, PartySpec};
use mpc_tests::proxy::Recorder;
use mpc_wire::{
    AccountId, Attempt, AttemptPlan, AuxId, Epoch, Identity, IntentHash, Scheme, SessionId,
    Threshold,
};
use party_runtime::seal::FreshJoiner;
use party_runtime::{CpuPool, KeySource, Vault};
use serde::Deserialize;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

/// Names of fields of every protocol's messages, as they stand in an unsealed one. Names of less
/// than five letters are left out: they are found by chance in some megabytes of random bytes;
/// `challenge` too, because the gateway's handshake has one.
const FIELDS: &[&str] = &[
    "cap_v",
    "cap_x",
    "cap_a",
    "cap_k",
    "cap_g",
    "cap_y",
    "cap_d",
    "cap_s",
    "cap_t",
    "cap_gamma",
    "cap_delta",
    "psi_prime",
    "commitment",
    "public_polynomial",
    "old_share_id",
    "subshare",
    "rp_params",
    "paillier_pk",
    "modulus",
    "base_value",
    "ciphertext",
    "delta",
    "sigma",
    "message_hashes",
    "direct_message",
    "echo_broadcast",
    "normal_broadcast",
    "round_nums",
    "message_with_metadata",
];

fn fields_in(bytes: &[u8]) -> Vec<&'static str> {
    FIELDS.iter().filter(|name| contains(bytes, name.as_bytes())).copied().collect()
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

/// The secret part of a stored share.
#[derive(Deserialize)]
struct Share {
    secret_share: serde_bytes::ByteBuf,
}

/// The secret part of a stored aux set: the factors of the Paillier modulus.
#[derive(Deserialize)]
struct Aux {
    secret: AuxSecret,
}

#[derive(Deserialize)]
struct AuxSecret {
    paillier_sk: PaillierSecret,
}

#[derive(Deserialize)]
struct PaillierSecret {
    primes: Primes,
}

#[derive(Deserialize)]
struct Primes {
    p: serde_bytes::ByteBuf,
    q: serde_bytes::ByteBuf,
}

#[actix_rt::test]
async fn a_capture_holds_nothing_of_the_protocol() {
    let folder = tempfile::tempdir().unwrap();
    let recorders: Vec<Rc<RefCell<Recorder>>> = (0..3).map(|_| Rc::default()).collect();
    let cpu = CpuPool::for_this_machine().unwrap();
    let specs = recorders
        .iter()
        .map(|recorder| {
            PartySpec::new(Role::Server, Engine::Real(cpu.clone())).behind(recorder.clone())
        })
        .collect();
    let cluster = Cluster::start(folder.path(), specs).await.unwrap();
    let account = cluster.create_account(2, &[0, 1, 2]).await.unwrap();
    let id = account["account_id"].as_str().unwrap().to_owned();
    let body = serde_json::json!({ "message": "5a".repeat(32) });
    let (status, session) =
        cluster.post(&format!("/api/v1/accounts/{id}/sign"), &body).await.unwrap();
    assert_eq!(status, 200, "{session}");
    let (_, sets) = cluster.get("/api/v1/aux").await.unwrap();
    let aux: AuxId = sets["aux_sets"][0]["aux_id"].as_str().unwrap().parse().unwrap();
    cluster.stop().await;

    let captured: Vec<u8> =
        recorders.iter().flat_map(|recorder| recorder.borrow().seen.concat()).collect();
    // Key generation with a newcomer, aux generation and three signings: far more than this.
    assert!(captured.len() > 1_000_000, "only {} bytes captured", captured.len());
    assert_eq!(fields_in(&captured), Vec::<&str>::new());

    let secrets = secrets(folder.path(), id.parse().unwrap(), aux).await;
    assert_eq!(secrets.len(), 9);
    let database: Vec<u8> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .flat_map(|path| std::fs::read(path).unwrap())
        .collect();
    for secret in secrets {
        assert!(secret.len() >= 32);
        assert!(!contains(&captured, &secret), "a secret crossed the gateway");
        assert!(!contains(&database, &secret), "a secret lies in the coordinator's database");
    }
}

/// The check can fail: an unsealed message of the same engine shows its fields.
#[test]
fn an_unsealed_message_would_be_found() {
    let identities = [Identity::from_seed(&[1; 32]), Identity::from_seed(&[2; 32])];
    let plan = AttemptPlan {
        session: SessionId::generate(),
        intent_hash: IntentHash::new([0; 32]),
        attempt: Attempt::FIRST,
        quorum: identities.iter().map(Identity::party).collect(),
        aux_id: None,
    };
    let joins: BTreeMap<_, _> = identities
        .iter()
        .map(|identity| FreshJoiner::new(identity.clone()).join(&plan).join)
        .map(|join| (join.member, join.verify().unwrap()))
        .collect();
    let context = RunContext { identity: identities[0].clone(), plan_hash: plan.hash(), joins };
    let task = Task::Keygen { threshold: Threshold(2) };
    let mut engine = mpc_engine::engine(Scheme::EcdsaCggmp24, task, context).unwrap();
    let mut steps = engine.start();
    let payload = loop {
        assert!(!steps.is_empty(), "the engine sends something first");
        let mut next = Vec::new();
        let mut sent = None;
        for step in steps {
            match step {
                Step::Work(job) => next.extend(engine.complete(job.run())),
                Step::Send { payload, .. } => sent = Some(payload),
                Step::Waiting { .. } | Step::Finished(_) => {}
            }
        }
        if let Some(payload) = sent {
            break payload;
        }
        steps = next;
    };
    assert!(fields_in(&payload).contains(&"direct_message"), "{:?}", fields_in(&payload));
}

async fn secrets(folder: &Path, account: AccountId, aux: AuxId) -> Vec<Vec<u8>> {
    let mut secrets = Vec::new();
    for party in ["party-1", "party-2", "party-3"] {
        let folder = folder.join(party);
        let key = KeySource::File(folder.join("master.key"));
        let vault = Vault::open_or_create(&folder.join("vault.sqlite"), &key).await.unwrap();
        let share = vault.share(account, Epoch(1)).await.unwrap().unwrap();
        // Behind one byte of format version stands the engine's MessagePack.
        let share: Share = rmp_serde::from_slice(&share.share.expose()[1..]).unwrap();
        let aux = vault.aux(aux).await.unwrap().unwrap();
        let aux: Aux = rmp_serde::from_slice(&aux.secret.expose()[1..]).unwrap();
        secrets.push(share.secret_share.into_vec());
        secrets.push(aux.secret.paillier_sk.primes.p.into_vec());
        secrets.push(aux.secret.paillier_sk.primes.q.into_vec());
    }
    secrets
}
