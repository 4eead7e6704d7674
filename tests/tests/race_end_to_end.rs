//! The race on real sockets: a device asks for a session, and `Started` and the first round reach
//! it before its own call has returned. Every time.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use coordinator::Role;
use k256::ecdsa::SigningKey;
use mpc_tests::cluster::{Cluster, Engine, PartySpec};
use mpc_tests::proxy::{Direction, Interceptor};
use mpc_tests::stub::{Log, Seen};
use mpc_wire::{
    AccountId, Attempt, AttemptOutcome, DerivationPath, Epoch, Intent, IntentKind, Payload,
    PublicKey, RequestId, Scheme, SessionId, Threshold, ToParty, UnixMillis, codec,
};
use party_runtime::{CpuPool, Party};
use serde_json::Value;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

/// Holds the answer to the device's own call until the session has started and its first round
/// message has come.
#[derive(Default)]
struct HoldAnswer {
    started: BTreeSet<SessionId>,
    answers: BTreeMap<SessionId, Vec<u8>>,
    in_round: BTreeSet<SessionId>,
    overtaken: usize,
}

impl Interceptor for HoldAnswer {
    fn pass(&mut self, direction: Direction, message: Vec<u8>) -> Vec<Vec<u8>> {
        if direction == Direction::Up {
            return vec![message];
        }
        match codec::decode::<ToParty>(&message) {
            Ok(ToParty::SessionRequested { session, .. }) => {
                if self.in_round.contains(&session) {
                    self.overtaken += 1;
                    return vec![message];
                }
                self.answers.insert(session, message);
                Vec::new()
            }
            Ok(ToParty::Started { session, .. }) => {
                self.started.insert(session);
                vec![message]
            }
            Ok(ToParty::Round(envelope)) => {
                let session = envelope.header.session;
                let mut passed = vec![message];
                if self.started.contains(&session) && self.in_round.insert(session) {
                    let answer = self.answers.remove(&session);
                    self.overtaken += usize::from(answer.is_some());
                    passed.extend(answer);
                }
                passed
            }
            Ok(_) | Err(_) => vec![message],
        }
    }
}

/// What the device knows of the account it signs for.
struct Account {
    id: AccountId,
    public_key: PublicKey,
    holders: BTreeSet<mpc_wire::PartyId>,
}

impl Account {
    fn read(account: &Value, parties: &[Party]) -> Self {
        let public_key = hex::decode(account["public_key"].as_str().unwrap()).unwrap();
        Self {
            id: account["account_id"].as_str().unwrap().parse().unwrap(),
            public_key: PublicKey::new(public_key),
            holders: parties.iter().map(Party::id).collect(),
        }
    }

    fn intent(&self, digest: [u8; 32]) -> Intent {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let expires = now + Duration::from_secs(60);
        Intent {
            session: SessionId::generate(),
            request: RequestId::generate(),
            eligible: self.holders.clone(),
            expires_at: UnixMillis(expires.as_millis().try_into().unwrap()),
            kind: IntentKind::Sign {
                account: self.id,
                epoch: Epoch(1),
                scheme: Scheme::EcdsaCggmp24,
                threshold: Threshold(2),
                public_key: self.public_key.clone(),
                path: DerivationPath::default(),
                payload: Payload::Digest(digest),
                authorization: None,
            },
        }
    }

    /// Asks for a session as the device and waits for the signature.
    async fn sign(&self, device: &Party, number: u32) -> SessionId {
        let mut digest = [7; 32];
        digest[..4].copy_from_slice(&number.to_be_bytes());
        let intent = self.intent(digest);
        let session = intent.session;
        let patience = Duration::from_secs(60);
        let requested =
            tokio::time::timeout(patience, device.request_session(intent)).await.unwrap().unwrap();
        let outcome = tokio::time::timeout(patience, requested.outcome()).await.unwrap().unwrap();
        let AttemptOutcome::Signed(signature) = outcome else { panic!("{outcome:?}") };
        let scheme = Scheme::EcdsaCggmp24;
        mpc_engine::verify::verify_signature(scheme, &self.public_key, &digest, &signature)
            .unwrap();
        session
    }
}

async fn cluster(
    folder: &std::path::Path,
    engine: Engine,
    hold: &Rc<RefCell<HoldAnswer>>,
) -> (Cluster, Account) {
    let device = PartySpec::new(Role::Device, engine.clone()).behind(hold.clone());
    let server = PartySpec::new(Role::Server, engine);
    let cluster = Cluster::start(folder, vec![device, server]).await.unwrap();
    let account = cluster.create_account(2, &[0, 1]).await.unwrap();
    let account = Account::read(&account, &cluster.parties);
    (cluster, account)
}

#[actix_rt::test]
async fn started_overtakes_the_initiators_call_1000_times() {
    const TIMES: u32 = 1_000;
    let folder = tempfile::tempdir().unwrap();
    let log = Log::default();
    let key = SigningKey::from_slice(&[0x42; 32]).unwrap();
    let hold = Rc::default();
    let (cluster, account) = cluster(folder.path(), Engine::Stub(key, log.clone()), &hold).await;
    let device = cluster.parties[0].clone();
    log.borrow_mut().clear();
    let overtaken_before = hold.borrow().overtaken;

    for number in 0..TIMES {
        let session = account.sign(&device, number).await;
        let mut log = log.borrow_mut();
        let seen: Vec<_> =
            log.iter().filter(|(party, _)| *party == device.id()).map(|(_, seen)| seen).collect();
        // Launched once, and the early round message delivered once, behind the launch.
        assert!(
            matches!(seen[..], [Seen::Launched(launched, Attempt::FIRST), Seen::Delivered(_)]
                if *launched == session),
            "{session}: {seen:#?}"
        );
        log.clear();
    }
    assert_eq!(hold.borrow().overtaken - overtaken_before, TIMES as usize);
    cluster.stop().await;
}

#[actix_rt::test]
async fn started_overtakes_the_initiators_call_20_times_with_real_signing() {
    const TIMES: u32 = 20;
    let folder = tempfile::tempdir().unwrap();
    let hold = Rc::default();
    let engine = Engine::Real(CpuPool::for_this_machine().unwrap());
    let (cluster, account) = cluster(folder.path(), engine, &hold).await;
    let device = cluster.parties[0].clone();
    for number in 0..TIMES {
        account.sign(&device, number).await;
    }
    assert_eq!(hold.borrow().overtaken, TIMES as usize);
    cluster.stop().await;
}
