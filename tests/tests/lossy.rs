//! Connections that lose, repeat or hold back what they carry: every signing completes, in its first
//! attempt, and nothing reaches a runner twice.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use coordinator::Role;
use futures_util::future::join_all;
use k256::ecdsa::SigningKey;
use mpc_tests::cluster::{Cluster, Engine, PartySpec};
use mpc_tests::proxy::{Direction, Interceptor, Wire};
use mpc_tests::stub::Log;
use mpc_wire::{ToCoordinator, ToParty, codec};
use party_runtime::CpuPool;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// What a connection does to the messages of sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// Brings each once.
    Faithful,
    /// Brings each twice.
    Twice,
    /// Loses each the first time that it comes, byte for byte.
    LosesFirst,
    /// Loses each start of an attempt the first time that it comes.
    LosesStarts,
    /// Brings each start of an attempt late the first time that it comes, by up to three seconds: some
    /// before it is said again, some after that.
    DelaysStarts,
    /// Brings the start of an attempt, and is dead from then on.
    DiesWithTheStart,
    /// Brings nothing, either way, whatever it is.
    Dead,
}

#[derive(Debug)]
struct Connection {
    manner: Manner,
    seen: BTreeSet<Vec<u8>>,
    /// How many messages were lost, late or repeated.
    troubled: usize,
    /// The way back in for what is late.
    wire: Option<Wire>,
}

impl Connection {
    fn faithful() -> Rc<RefCell<Self>> {
        Rc::new(RefCell::new(Self {
            manner: Manner::Faithful,
            seen: BTreeSet::new(),
            troubled: 0,
            wire: None,
        }))
    }

    fn delay(&self, message: Vec<u8>) {
        let wire = self.wire.clone().unwrap();
        let delay = Duration::from_millis(100) * (self.troubled as u32 % 30 + 1);
        actix_rt::spawn(async move {
            // The delay itself.
            actix_rt::time::sleep(delay).await;
            // If the connection has ended meanwhile the message is lost.
            wire.insert(Direction::Down, message);
        });
    }
}

/// Whether a message belongs to a session, and whether it is the start of an attempt.
fn is_of_session(direction: Direction, message: &[u8]) -> (bool, bool) {
    match direction {
        Direction::Up => {
            let message: ToCoordinator = codec::decode(message).unwrap();
            let is_other = matches!(
                message,
                ToCoordinator::Prove { .. } | ToCoordinator::AuditHead(_) | ToCoordinator::Ack(_)
            );
            (!is_other, false)
        }
        Direction::Down => {
            let message: ToParty = codec::decode(message).unwrap();
            let is_other = matches!(
                message,
                ToParty::Challenge(_)
                    | ToParty::Welcome { .. }
                    | ToParty::AuditHead(_)
                    | ToParty::Ack(_)
            );
            (!is_other, matches!(message, ToParty::Started { .. }))
        }
    }
}

impl Interceptor for Connection {
    fn connected(&mut self, wire: Wire) {
        self.wire = Some(wire);
    }

    fn pass(&mut self, direction: Direction, message: Vec<u8>) -> Vec<Vec<u8>> {
        let (is_of_session, is_start) = is_of_session(direction, &message);
        let passed = match self.manner {
            Manner::Faithful => return vec![message],
            Manner::Dead => Vec::new(),
            Manner::DiesWithTheStart => {
                if is_start {
                    self.manner = Manner::Dead;
                }
                return vec![message];
            }
            Manner::Twice if is_of_session => vec![message.clone(), message],
            Manner::LosesFirst if is_of_session && self.seen.insert(message.clone()) => Vec::new(),
            Manner::LosesStarts if is_start && self.seen.insert(message.clone()) => Vec::new(),
            Manner::DelaysStarts if is_start && self.seen.insert(message.clone()) => {
                self.delay(message);
                Vec::new()
            }
            Manner::Twice | Manner::LosesFirst | Manner::LosesStarts | Manner::DelaysStarts => {
                return vec![message];
            }
        };
        self.troubled += 1;
        passed
    }
}

/// A cluster with an account of some of its parties, each behind a connection of its own.
struct House {
    cluster: Cluster,
    connections: Vec<Rc<RefCell<Connection>>>,
    path: String,
    _folder: TempDir,
}

impl House {
    async fn build(threshold: u16, parties: &[usize]) -> Self {
        let key = SigningKey::from_slice(&[0x42; 32]).unwrap();
        Self::build_with(Engine::Stub(key, Log::default()), threshold, parties).await
    }

    async fn build_with(engine: Engine, threshold: u16, parties: &[usize]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let connections: Vec<_> = parties.iter().map(|_| Connection::faithful()).collect();
        let specs = connections.iter().map(|connection| {
            PartySpec::new(Role::Server, engine.clone()).behind(Rc::clone(connection) as _)
        });
        let cluster = Cluster::start(folder.path(), specs.collect()).await.unwrap();
        let account = cluster.create_account(threshold, parties).await.unwrap();
        let path = format!("/api/v1/accounts/{}/sign", account["account_id"].as_str().unwrap());
        Self { cluster, connections, path, _folder: folder }
    }

    fn behave(&self, manner: Manner) {
        for connection in &self.connections {
            connection.borrow_mut().manner = manner;
        }
    }

    fn troubled(&self) -> usize {
        self.connections.iter().map(|connection| connection.borrow().troubled).sum()
    }

    /// Signs as often at once, and says how long the slowest took.
    async fn sign(&self, count: u8) -> Duration {
        let mut slowest = Duration::ZERO;
        self.sign_in_turns(u32::from(count), count.into(), |took| slowest = slowest.max(took))
            .await;
        slowest
    }

    /// Signs as often, so many at once, and says of each how long it took.
    async fn sign_in_turns(&self, count: u32, at_once: u32, mut took: impl FnMut(Duration)) {
        let numbers: Vec<_> = (0..count).collect();
        let sign = async |number: u32| {
            let started = Instant::now();
            let digest = [&[7; 28][..], &number.to_be_bytes()].concat();
            let body = json!({ "message": hex::encode(digest) });
            let (status, session) = self.cluster.post(&self.path, &body).await.unwrap();
            is_signed(status, &session);
            started.elapsed()
        };
        for turn in numbers.chunks(at_once as usize) {
            join_all(turn.iter().map(|number| sign(*number))).await.into_iter().for_each(&mut took);
        }
    }
}

fn is_signed(status: u16, session: &Value) {
    assert_eq!((status, &session["state"]), (200, &json!("completed")), "{session}");
    assert_eq!((&session["attempt"], &session["past_attempts"]), (&json!(1), &json!([])));
}

#[actix_rt::test]
async fn row_08_every_message_delivered_twice() {
    let house = House::build(2, &[0, 1, 2]).await;
    house.behave(Manner::Twice);
    for _ in 0..5 {
        house.sign(20).await;
    }
    assert!(house.troubled() >= 100 * 8, "{}", house.troubled());
    house.cluster.stop().await;
}

#[ignore = "takes minutes"]
#[actix_rt::test]
async fn row_08_a_hundred_real_signings_with_every_message_delivered_twice() {
    let cpu = CpuPool::for_this_machine().unwrap();
    let house = House::build_with(Engine::Real(cpu), 2, &[0, 1, 2]).await;
    house.behave(Manner::Twice);
    let mut times = Vec::new();
    house.sign_in_turns(100, 1, |took| times.push(took)).await;
    times.sort_unstable();
    println!(
        "a hundred real signings, {} messages twice: half of them within {:?}, all within {:?}",
        house.troubled(),
        times[50],
        times[99]
    );
    assert!(house.troubled() >= 100 * 8, "{}", house.troubled());
    house.cluster.stop().await;
}

#[actix_rt::test]
async fn every_message_lost_once() {
    let house = House::build(2, &[0, 1, 2]).await;
    house.behave(Manner::LosesFirst);
    let slowest = house.sign(10).await;
    println!("ten signings, each message lost once: {slowest:?}, {} lost", house.troubled());
    assert!(house.troubled() >= 10 * 8, "{}", house.troubled());
    house.cluster.stop().await;
}

/// Signs as often, so many at once, with each start lost, then with each late.
async fn lose_starts(count: u32, at_once: u32) {
    let house = House::build(2, &[0, 1, 2]).await;
    for manner in [Manner::LosesStarts, Manner::DelaysStarts] {
        house.behave(manner);
        let before = house.troubled();
        let mut times = Vec::new();
        house.sign_in_turns(count, at_once, |took| times.push(took)).await;
        let troubled = house.troubled() - before;
        times.sort_unstable();
        let (median, slowest) = (times[times.len() / 2], times[times.len() - 1]);
        println!(
            "{manner:?}: {count} signings, {at_once} at once, {troubled} starts: half of them within \
             {median:?}, all within {slowest:?}"
        );
        assert!(troubled >= 2 * count as usize, "{troubled}");
        assert!(slowest < Duration::from_secs(5), "{slowest:?}");
    }
    house.cluster.stop().await;
}

#[actix_rt::test]
async fn row_23_a_start_that_is_lost_or_late_is_made_good_within_five_seconds() {
    lose_starts(50, 25).await;
}

#[ignore = "takes some ten minutes"]
#[actix_rt::test]
async fn row_23_ten_thousand_starts_that_are_lost_or_late() {
    lose_starts(2_500, 25).await;
}

/// Nobody notices, since pings go on, and nobody could take the party's place.
#[actix_rt::test]
async fn row_03_a_party_that_hears_nothing_for_a_while_goes_on_in_the_same_attempt() {
    let house = House::build(2, &[0, 1]).await;
    let connection = &house.connections[0];
    connection.borrow_mut().manner = Manner::DiesWithTheStart;
    let back = async {
        // Time itself is what is tested.
        actix_rt::time::sleep(Duration::from_secs(14)).await;
        assert!(connection.borrow().troubled > 0);
        connection.borrow_mut().manner = Manner::Faithful;
    };
    let (slowest, ()) = futures_util::future::join(house.sign(1), back).await;
    assert!(slowest > Duration::from_secs(14), "{slowest:?}");
    println!("a signing with a party that heard nothing for 14 s: {slowest:?}");
    house.cluster.stop().await;
}
