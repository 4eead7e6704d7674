//! Rotation of identities, while the parties work.

use crate::house::{again, audited, refused, sign, stub, until_shown, welcomed};
use coordinator::Role;
use mpc_tests::cluster::{Cluster, Engine, PartySpec, open_vault};
use mpc_tests::proxy::{Direction, Interceptor};
use mpc_wire::{Identity, KeyNumber, SignedJoin, ToCoordinator, ToParty, codec};
use party_runtime::{CpuPool, RefusalReason};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::rc::Rc;

/// With the real protocols: the party's share and its peers' trust outlive its key.
#[actix_rt::test]
async fn a_party_signs_before_and_after_its_key_is_rotated() {
    let folder = tempfile::tempdir().unwrap();
    let cpu = CpuPool::for_this_machine().unwrap();
    let server = || PartySpec::new(Role::Server, Engine::Real(cpu.clone()));
    let cluster = Cluster::start(folder.path(), vec![server(), server(), server()]).await.unwrap();
    let account = cluster.create_account(2, &[0, 1, 2]).await.unwrap();
    let party = &cluster.parties[0];
    let with_party = async |from: u8| {
        // Who signs takes turns.
        for byte in from..from + 20 {
            let (status, session) = sign(&cluster, &account, byte).await;
            assert_eq!((status, &session["state"]), (200, &json!("completed")), "{session}");
            if session["signers"].as_array().unwrap().contains(&json!(party.id())) {
                return;
            }
        }
        panic!("the party never signs");
    };
    with_party(1).await;
    for (number, from) in [(1, 40), (2, 80)] {
        let key = party.rotate_identity().await.unwrap();
        assert_eq!(key.number, KeyNumber(number));
        until_shown(&cluster, party.id(), |shown| shown["online"] == true).await;
        with_party(from).await;
    }
    until_shown(&cluster, party.id(), |shown| shown["key_number"] == 2).await;
    cluster.stop().await;
    audited(folder.path()).await;
}

/// Attempts that the rotation interrupts are tried again; no request notices.
#[actix_rt::test]
async fn rotations_under_traffic_cost_no_signature() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(folder.path(), vec![stub(), stub(), stub()]).await.unwrap();
    let account = cluster.create_account(2, &[0, 1, 2]).await.unwrap();
    let traffic = async {
        for byte in 0..60 {
            let (status, session) = sign(&cluster, &account, byte).await;
            assert_eq!((status, &session["state"]), (200, &json!("completed")), "{session}");
        }
    };
    let rotations = async {
        for number in 1..=4 {
            let party = &cluster.parties[number % 2];
            party.rotate_identity().await.unwrap();
            welcomed(party).await;
        }
    };
    tokio::join!(traffic, rotations);
    for party in &cluster.parties[..2] {
        until_shown(&cluster, party.id(), |shown| shown["key_number"] == 2).await;
    }
    cluster.stop().await;
}

/// An older vault of the party, as a backup or a thief has it, is refused at the gateway.
#[actix_rt::test]
async fn an_older_copy_of_the_party_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(folder.path(), vec![stub()]).await.unwrap();
    let party = &cluster.parties[0];
    let (here, copy) = (folder.path().join("party-1"), folder.path().join("copy"));
    std::fs::create_dir(&copy).unwrap();
    for file in std::fs::read_dir(&here).unwrap() {
        let file = file.unwrap();
        if file.file_type().unwrap().is_file() {
            std::fs::copy(file.path(), copy.join(file.file_name())).unwrap();
        }
    }
    party.rotate_identity().await.unwrap();
    until_shown(&cluster, party.id(), |shown| shown["key_number"] == 1).await;
    let copy = open_vault(&copy).await.unwrap();
    assert_eq!(copy.identity().proven_key().number, KeyNumber(0));
    let older = again(&cluster, &copy, None).await;
    assert_eq!(refused(&older).await, RefusalReason::KeySuperseded);
    // Not even if it goes on from the old key.
    copy.rotate_identity().await.unwrap();
    copy.rotate_identity().await.unwrap();
    let fork = again(&cluster, &copy, None).await;
    assert_eq!(refused(&fork).await, RefusalReason::KeySuperseded);
    welcomed(party).await;
    cluster.stop().await;
}

/// Sits between a party and its gateway and, once it has an old identity of another member, puts
/// joins by that in the place of the member's own.
#[derive(Default)]
struct OldKeys {
    stolen: Option<Identity>,
    objections: Vec<ToCoordinator>,
}

impl Interceptor for OldKeys {
    fn pass(&mut self, direction: Direction, message: Vec<u8>) -> Vec<Vec<u8>> {
        match direction {
            Direction::Up => {
                if let Ok(said @ ToCoordinator::Objected { .. }) = codec::decode(&message) {
                    self.objections.push(said);
                }
                vec![message]
            }
            Direction::Down => {
                let Some(stolen) = &self.stolen else { return vec![message] };
                let Ok(ToParty::Started { session, attempt, mut joins }) = codec::decode(&message)
                else {
                    return vec![message];
                };
                for join in joins.iter_mut().filter(|join| join.member == stolen.party()) {
                    *join = SignedJoin::sign(stolen, join.plan_hash, join.nonce, join.hpke_key);
                }
                vec![codec::encode(&ToParty::Started { session, attempt, joins }).unwrap()]
            }
        }
    }
}

/// Whoever has a key that was rotated away cannot work in the party's name with those who have
/// seen the newer one, whatever stands between them; and they remember it over a restart.
#[actix_rt::test]
async fn peers_remember_the_newest_key_and_refuse_older_ones() {
    let folder = tempfile::tempdir().unwrap();
    let between = Rc::new(RefCell::new(OldKeys::default()));
    let watched = stub().behind(between.clone());
    let mut cluster = Cluster::start(folder.path(), vec![stub(), watched]).await.unwrap();
    let account = cluster.create_account(2, &[0, 1]).await.unwrap();
    let old = open_vault(&folder.path().join("party-1")).await.unwrap().identity();
    let fork = old.rotate().unwrap().rotate().unwrap();
    cluster.parties[0].rotate_identity().await.unwrap();
    until_shown(&cluster, old.party(), |shown| shown["key_number"] == 1).await;
    welcomed(&cluster.parties[0]).await;
    let (status, session) = sign(&cluster, &account, 1).await;
    assert_eq!(status, 200, "{session}");

    // The peer starts anew from its vault.
    let peer = cluster.parties.remove(1);
    peer.stop().await;
    cluster.wait_online(1).await.unwrap();
    let vault = open_vault(&folder.path().join("party-2")).await.unwrap();
    let spec = stub().behind(between.clone());
    let peer = mpc_tests::cluster::start_party(cluster.gateway.addr(), vault, spec).await.unwrap();
    cluster.parties.push(peer);
    cluster.wait_online(2).await.unwrap();
    let (status, session) = sign(&cluster, &account, 2).await;
    assert_eq!(status, 200, "{session}");
    assert!(between.borrow().objections.is_empty());

    for (byte, stolen) in [(3, old), (4, fork)] {
        between.borrow_mut().stolen = Some(stolen);
        let (status, problem) = sign(&cluster, &account, byte).await;
        assert_eq!((status, &problem["code"]), (502, &json!("session_failed")), "{problem}");
        let path = format!("/api/v1/sessions/{}", problem["session_id"].as_str().unwrap());
        let (_, session) = cluster.get(&path).await.unwrap();
        let past = session["past_attempts"].as_array().unwrap();
        assert!(!past.is_empty());
        for attempt in past {
            let detail = attempt["detail"].as_str().unwrap();
            assert!(detail.contains("a key that its member has replaced"), "{attempt}");
            // Nobody is blamed for what somebody on the way has done.
            assert_eq!(attempt["parties"], json!([]), "{attempt}");
        }
    }
    between.borrow_mut().stolen = None;
    let (status, session): (u16, Value) = sign(&cluster, &account, 5).await;
    assert_eq!(status, 200, "{session}");
    cluster.stop().await;
}
