//! A gateway in a test's hand: a real one, with a real coordinator behind it, whose every frame to
//! and from real parties goes through a rule that may drop, alter, copy, hold or redirect it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use crate::cluster::{Cluster, Engine, PartySpec, open_vault, party_folder, start_party};
use crate::proxy::{Direction, Interceptor, Wire};
use crate::snapshot::Snapshot;
use crate::transcript::{PARTIAL_SIGNATURE, Transcript};
use coordinator::Role;
use mpc_engine::verify::verify_signature;
use mpc_wire::{
    FailureKind, Objection, PartyId, PublicKey, RoundEnvelope, Scheme, SessionId, ToCoordinator,
    ToParty, codec,
};
use party_runtime::{CpuPool, Party};
use serde_json::{Value, json};
use std::cell::{Ref, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::OnceLock;
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::Notify;

/// How many parties there are.
const PARTIES: usize = 3;

/// Longest that a test waits for something to cross.
const PATIENCE: Duration = Duration::from_secs(60);

/// A message on its way through the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crossing {
    /// The party at the other end of the connection.
    pub party: PartyId,
    /// Which way it goes.
    pub direction: Direction,
    /// The message.
    pub bytes: Vec<u8>,
}

impl Crossing {
    /// A message to a party.
    pub fn down(party: PartyId, message: &ToParty) -> Self {
        let bytes = codec::encode(message).unwrap();
        Self { party, direction: Direction::Down, bytes }
    }

    /// What the coordinator says here.
    pub fn told(&self) -> Option<ToParty> {
        (self.direction == Direction::Down).then(|| codec::decode(&self.bytes).ok())?
    }

    /// What the party says here.
    pub fn said(&self) -> Option<ToCoordinator> {
        (self.direction == Direction::Up).then(|| codec::decode(&self.bytes).ok())?
    }

    /// The round message, if this is one, whichever way it goes.
    pub fn round(&self) -> Option<RoundEnvelope> {
        if let Some(ToParty::Round(envelope)) = self.told() {
            Some(envelope)
        } else if let Some(ToCoordinator::Round(envelope)) = self.said() {
            Some(envelope)
        } else {
            None
        }
    }

    /// The round message that is about to reach a party, if this is one.
    pub fn arriving_round(&self) -> Option<RoundEnvelope> {
        self.round().filter(|_| self.direction == Direction::Down)
    }

    /// Another round message in the place of this.
    pub fn with_round(&self, envelope: RoundEnvelope) -> Self {
        let bytes = match self.direction {
            Direction::Up => codec::encode(&ToCoordinator::Round(envelope)),
            Direction::Down => codec::encode(&ToParty::Round(envelope)),
        };
        Self { bytes: bytes.unwrap(), ..self.clone() }
    }

    /// The same message to another party.
    pub fn redirected(&self, party: PartyId) -> Self {
        Self { party, ..self.clone() }
    }
}

/// What becomes of a message: what goes on in its place, wherever to.
pub type Rule = Box<dyn FnMut(Crossing) -> Vec<Crossing>>;

/// What all taps share.
struct Office {
    rule: Rule,
    wires: BTreeMap<PartyId, Wire>,
    transcript: Transcript,
    /// How many messages did not cross as they came, or were put in.
    tampered: usize,
    /// Told after each crossing.
    crossed: Rc<Notify>,
}

impl Office {
    /// Notes a message, applies the rule, sends on what belongs elsewhere and returns the rest.
    fn pass(&mut self, crossing: Crossing) -> Vec<Vec<u8>> {
        let (party, direction) = (crossing.party, crossing.direction);
        if let Some(message) = crossing.said() {
            self.transcript.push(party, message);
        }
        let goes_on = (self.rule)(crossing.clone());
        self.tampered += usize::from(goes_on != [crossing]);
        let (here, elsewhere): (Vec<_>, Vec<_>) = goes_on
            .into_iter()
            .partition(|crossing| crossing.party == party && crossing.direction == direction);
        elsewhere.into_iter().for_each(|crossing| self.insert(crossing));
        self.crossed.notify_waiters();
        here.into_iter().map(|crossing| crossing.bytes).collect()
    }

    fn insert(&self, Crossing { party, direction, bytes }: Crossing) {
        let wire = self.wires.get(&party).unwrap();
        assert!(wire.insert(direction, bytes), "{party:?} is connected");
    }
}

/// The place where the gateway listens in on one party.
struct Tap {
    party: PartyId,
    office: Rc<RefCell<Office>>,
}

impl Interceptor for Tap {
    fn connected(&mut self, wire: Wire) {
        self.office.borrow_mut().wires.insert(self.party, wire);
    }

    fn pass(&mut self, direction: Direction, bytes: Vec<u8>) -> Vec<Vec<u8>> {
        self.office.borrow_mut().pass(Crossing { party: self.party, direction, bytes })
    }
}

/// An account of some of the parties.
#[derive(Debug, Clone)]
pub struct Account {
    id: String,
    public_key: PublicKey,
}

/// An account of the first two parties alone.
pub fn duo() -> &'static Account {
    &Founding::shared().duo
}

/// An account of which any two of the three parties sign.
pub fn pair() -> &'static Account {
    &Founding::shared().pair
}

/// An account of which all three parties sign.
pub fn all() -> &'static Account {
    &Founding::shared().all
}

/// What all tests of a binary begin with.
struct Founding {
    snapshot: Snapshot,
    parties: Vec<PartyId>,
    duo: Account,
    pair: Account,
    all: Account,
}

impl Founding {
    /// Whoever comes first makes it.
    fn shared() -> &'static Self {
        static SHARED: OnceLock<Founding> = OnceLock::new();
        SHARED.get_or_init(|| {
            // An actor system of its own: it ends with the making.
            let making = std::thread::spawn(|| actix_rt::System::new().block_on(Self::make()));
            making.join().unwrap()
        })
    }

    async fn make() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cpu = CpuPool::for_this_machine().unwrap();
        let spec = || PartySpec::new(Role::Server, Engine::Real(cpu.clone()));
        let specs = (0..PARTIES).map(|_| spec()).collect();
        let cluster = Cluster::start(folder.path(), specs).await.unwrap();
        let pair = Account::make(&cluster, 2, &[0, 1, 2]).await;
        let all = Account::make(&cluster, 3, &[0, 1, 2]).await;
        // The set of all three parties serves these two as well.
        let duo = Account::make(&cluster, 2, &[0, 1]).await;
        let parties = cluster.parties.iter().map(Party::id).collect();
        let store = cluster.store.clone();
        cluster.stop().await;
        store.close().await.unwrap();
        let snapshot = Snapshot::take(folder.path()).await.unwrap();
        Self { snapshot, parties, duo, pair, all }
    }
}

impl Account {
    async fn make(cluster: &Cluster, threshold: u16, parties: &[usize]) -> Self {
        let account = cluster.create_account(threshold, parties).await.unwrap();
        let public_key = hex::decode(account["public_key"].as_str().unwrap()).unwrap();
        let id = account["account_id"].as_str().unwrap().to_owned();
        Self { id, public_key: PublicKey::new(public_key) }
    }
}

/// The gateway, with a coordinator that knows nothing of it and parties that cannot do without it.
pub struct MaliciousGateway {
    office: Rc<RefCell<Office>>,
    cluster: Cluster,
    founding: &'static Founding,
    /// Removed last.
    _folder: TempDir,
}

impl MaliciousGateway {
    /// Starts over a copy of the data that all tests of the binary share. It behaves at first.
    pub async fn start() -> Self {
        let founding = Founding::shared();
        let folder = tempfile::tempdir().unwrap();
        founding.snapshot.unpack(folder.path()).unwrap();
        let office = Rc::new(RefCell::new(Office {
            rule: Box::new(|crossing| vec![crossing]),
            wires: BTreeMap::new(),
            transcript: Transcript::default(),
            tampered: 0,
            crossed: Rc::default(),
        }));
        let cpu = CpuPool::for_this_machine().unwrap();
        let specs = founding.parties.iter().map(|party| {
            let tap = Tap { party: *party, office: Rc::clone(&office) };
            let spec = PartySpec::new(Role::Server, Engine::Real(cpu.clone()));
            spec.behind(Rc::new(RefCell::new(tap)))
        });
        let cluster = Cluster::start(folder.path(), specs.collect()).await.unwrap();
        Self { office, cluster, founding, _folder: folder }
    }

    /// The party at this place.
    pub fn party(&self, number: usize) -> PartyId {
        self.founding.parties[number]
    }

    /// From now on messages cross by this rule.
    pub fn cross_by(&self, rule: impl FnMut(Crossing) -> Vec<Crossing> + 'static) {
        self.office.borrow_mut().rule = Box::new(rule);
    }

    /// From now on messages cross as they are.
    pub fn behave(&self) {
        self.cross_by(|crossing| vec![crossing]);
    }

    /// Puts in a message that nobody has sent.
    pub fn insert(&self, crossing: Crossing) {
        self.office.borrow_mut().tampered += 1;
        self.office.borrow().insert(crossing);
    }

    /// What the parties have said so far.
    pub fn transcript(&self) -> Ref<'_, Transcript> {
        Ref::map(self.office.borrow(), |office| &office.transcript)
    }

    /// Waits until this has come true by something that crossed.
    pub async fn until(&self, what: &str, has_come_true: impl Fn() -> bool) {
        let crossed = Rc::clone(&self.office.borrow().crossed);
        while !has_come_true() {
            let next = tokio::time::timeout(PATIENCE, crossed.notified()).await;
            assert!(next.is_ok(), "waited for {what}\n{}", self.transcript());
        }
    }

    /// Waits until every party is online.
    pub async fn wait_online(&self) {
        self.cluster.wait_online(PARTIES).await.unwrap();
    }

    /// How many messages did not cross as they came, or were put in.
    pub fn tampered(&self) -> usize {
        self.office.borrow().tampered
    }

    /// Starts a second process with the identity and the data of a party, as tests began with it.
    pub async fn start_twin(&self, number: usize) -> Twin {
        self.office.borrow_mut().tampered += 1;
        let folder = tempfile::tempdir().unwrap();
        self.founding.snapshot.unpack(folder.path()).unwrap();
        let vault = open_vault(&party_folder(folder.path(), number)).await.unwrap();
        let spec = PartySpec::new(Role::Server, Engine::Real(CpuPool::for_this_machine().unwrap()));
        let party = start_party(self.cluster.gateway.addr(), vault, spec).await.unwrap();
        Twin { party, _folder: folder }
    }

    async fn request(&self, account: &Account, digest: [u8; 32]) -> (u16, Value) {
        let path = format!("/api/v1/accounts/{}/sign", account.id);
        let body = json!({ "message": hex::encode(digest) });
        self.cluster.post(&path, &body).await.unwrap()
    }

    /// Asks for a signature, and cancels the session that is named as soon as one is. Returns the
    /// session as the coordinator then shows it.
    pub async fn sign_and_cancel(
        &self,
        account: &Account,
        named: impl Fn() -> Option<SessionId>,
    ) -> Value {
        let cancelling = async {
            self.until("a session to cancel", || named().is_some()).await;
            let path = format!("/api/v1/sessions/{}", named().unwrap());
            let (status, answer) = self.cluster.delete(&path).await.unwrap();
            assert!(status < 300, "{answer}");
            path
        };
        let request = self.request(account, fresh_digest());
        let (path, (status, answer)) = tokio::join!(cancelling, request);
        assert!(status >= 400, "{answer}");
        self.cluster.get(&path).await.unwrap().1
    }

    /// Has something new signed, and checks the signatures. Returns the session as the coordinator
    /// shows it.
    pub async fn sign(&self, account: &Account) -> Signed {
        let digest = fresh_digest();
        let (status, view) = self.request(account, digest).await;
        // A slow machine may take longer than the coordinator lets a caller wait.
        assert!(status == 200 || status == 202, "{view}\n{}", self.transcript());
        let path = format!("/api/v1/sessions/{}", view["session_id"].as_str().unwrap());
        let view = self.cluster.poll(&path, has_ended).await.unwrap();
        assert_eq!(view["state"], "completed", "{view}\n{}", self.transcript());
        let session = view["session_id"].as_str().unwrap().parse().unwrap();
        let transcript = self.transcript();
        let signatures = transcript.signatures(session);
        assert!(!signatures.is_empty(), "{view}");
        for signature in signatures {
            let scheme = Scheme::EcdsaCggmp24;
            verify_signature(scheme, &account.public_key, &digest, &signature).unwrap();
        }
        assert_eq!(transcript.furthest(session), PARTIAL_SIGNATURE);
        Signed { session, view }
    }

    /// What must hold after every attack: it took place, nobody is blamed, and the parties sign an
    /// honest request in their first attempt, without an objection.
    pub async fn assert_all_is_well(self, account: &Account) {
        let tampered = self.tampered();
        assert!(tampered > 0, "nothing was done to any message");
        self.behave();
        self.wait_online().await;
        let honest = self.sign(account).await;
        honest.assert_attempts(1);
        honest.assert_objections([]);
        assert_eq!(self.tampered(), tampered);
        self.transcript().assert_nobody_is_blamed();
        self.cluster.stop().await;
    }
}

/// A session that was signed.
#[derive(Debug)]
pub struct Signed {
    /// The session.
    pub session: SessionId,
    view: Value,
}

impl Signed {
    /// Checks how many attempts it took, and that those which failed did so in transit, with
    /// nobody named.
    pub fn assert_attempts(&self, count: u32) {
        assert_eq!(self.view["attempt"], count, "{}", self.view);
        self.assert_failed_in_transit();
    }

    /// As [`Self::assert_attempts`], with a bound where luck decides.
    pub fn assert_attempts_at_most(&self, count: u32) {
        assert!(self.view["attempt"].as_u64().unwrap() <= count.into(), "{}", self.view);
        self.assert_failed_in_transit();
    }

    /// Checks which parties objected to what, in any attempt, as the coordinator tells its callers.
    pub fn assert_objections(&self, expected: impl IntoIterator<Item = (PartyId, Objection)>) {
        // Where nobody objected there is no such field.
        let told = self.view.get("objections").and_then(Value::as_array);
        let told = told.into_iter().flatten().map(|told| {
            let [by, what] = ["party_id", "objection"].map(|field| told[field].clone());
            (serde_json::from_value(by).unwrap(), serde_json::from_value(what).unwrap())
        });
        let told: BTreeSet<(PartyId, Objection)> = told.collect();
        assert_eq!(told, expected.into_iter().collect(), "{}", self.view);
    }

    fn assert_failed_in_transit(&self) {
        for past in self.past() {
            assert_eq!(past["reason"], FailureKind::Transport.name(), "{past}");
            assert_eq!(past["parties"], json!([]), "{past}");
        }
    }

    /// Checks that members may have been missed in attempts that failed, but were not accused.
    pub fn assert_nobody_is_accused(&self) {
        let innocent = [FailureKind::Transport, FailureKind::PeerMissing].map(FailureKind::name);
        for past in self.past() {
            assert!(innocent.iter().any(|reason| past["reason"] == *reason), "{past}");
        }
    }

    fn past(&self) -> &[Value] {
        self.view["past_attempts"].as_array().unwrap()
    }
}

/// A second process with the identity of a party.
pub struct Twin {
    party: Party,
    /// Removed last.
    _folder: TempDir,
}

impl Twin {
    /// Ends it.
    pub async fn stop(self) {
        self.party.stop().await;
    }
}

fn has_ended(view: &Value) -> bool {
    ["completed", "failed", "cancelled", "expired"].iter().any(|state| view["state"] == *state)
}

fn fresh_digest() -> [u8; 32] {
    *mpc_wire::Nonce::generate().as_bytes()
}
