//! A cluster whose parties have policy files and control sockets.

use coordinator::Role;
use k256::ecdsa::SigningKey;
use mpc::requester::RequesterKey;
use mpc_tests::cluster::{Cluster, Engine, PATIENCE, PartySpec, party_folder};
use mpc_tests::stub::Log;
use mpc_wire::{AccountId, PartyId, PublicKey, SessionId};
use party_runtime::control::{
    ControlAnswer, ControlError, ControlRequest, OpenApproval, SOCKET, StatusReport, client,
};
use party_runtime::policy::Profile;
use party_runtime::{LivePolicy, Party};
use serde_json::{Value, json};
use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

/// What every test of requesters begins with.
pub(crate) const RULES: &str = "require_requester_signature = true\n";

/// Parties of the cluster; two of them sign.
const PARTIES: usize = 3;

/// How often something is looked at that has no event of its own.
const GLANCE: Duration = Duration::from_millis(20);

pub(crate) mod requests {
    //! Requests and who signs them.

    use mpc::requester::RequesterKey;

    /// In milliseconds.
    pub(crate) const MINUTE: u64 = 60_000;

    /// A requester's entry in a policy.
    pub(crate) fn requester(name: &str, key: &RequesterKey) -> String {
        let pem = key.public_pem().unwrap();
        format!("[[requester]]\nname = {name:?}\npublic_key = '''{pem}'''\n")
    }
}

pub(crate) struct House {
    pub(crate) cluster: Cluster,
    pub(crate) account: AccountId,
    pub(crate) public_key: PublicKey,
    folder: TempDir,
    key: SigningKey,
}

impl House {
    /// Three parties with this policy, and an account of theirs.
    pub(crate) async fn start(policy: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = SigningKey::from_slice(&[0x42; 32]).unwrap();
        for party in 0..PARTIES {
            std::fs::create_dir_all(party_folder(folder.path(), party)).unwrap();
            std::fs::write(policy_file(folder.path(), party), policy).unwrap();
        }
        let specs = (0..PARTIES).map(|party| spec(folder.path(), party, &key)).collect();
        let cluster = Cluster::start(folder.path(), specs).await.unwrap();
        let account = cluster.create_account(2, &[0, 1, 2]).await.unwrap();
        let (account, public_key) = names(&account);
        Self { cluster, account, public_key, folder, key }
    }

    pub(crate) async fn other_account(&self) -> AccountId {
        names(&self.cluster.create_account(2, &[0, 1, 2]).await.unwrap()).0
    }

    pub(crate) fn ids(&self) -> Vec<PartyId> {
        self.cluster.parties.iter().map(Party::id).collect()
    }

    pub(crate) async fn sign(&self, body: &Value) -> (u16, Value) {
        let path = format!("/api/v1/accounts/{}/sign", self.account);
        self.cluster.post(&path, body).await.unwrap()
    }

    /// A request that the requester has signed, as it should.
    pub(crate) fn authorized(&self, name: &str, key: &RequesterKey) -> Value {
        self.authorized_for(name, key, self.account, "m", 5 * requests::MINUTE)
    }

    /// A request whose signature is over this account and path, and lives for so many
    /// milliseconds.
    pub(crate) fn authorized_for(
        &self,
        name: &str,
        key: &RequesterKey,
        account: AccountId,
        path: &str,
        life: u64,
    ) -> Value {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let expires_at = u64::try_from(now.as_millis()).unwrap() + life;
        let request = mpc_wire::RequestId::generate();
        let authorization = key.authorize(&mpc::requester::Wanted {
            requester: &name.parse().unwrap(),
            request,
            expires_at: mpc_wire::UnixMillis(expires_at),
            account,
            public_key: &self.public_key,
            path: &path.parse().unwrap(),
            payload: &mpc_wire::Payload::Digest([0xab; 32]),
        });
        json!({
            "message": "ab".repeat(32),
            "request_id": request,
            "authorization": authorization,
        })
    }

    pub(crate) async fn restart_party(&mut self, party: usize) {
        let spec = spec(self.folder.path(), party, &self.key);
        self.cluster.restart_party(self.folder.path(), party, spec).await.unwrap();
        self.cluster.wait_online(PARTIES).await.unwrap();
    }

    /// Makes the coordinator's database lose which requests there were.
    pub(crate) async fn coordinator_forgets_requests(&self) {
        let file = self.folder.path().join("coordinator.sqlite");
        alter(&file, "UPDATE sessions SET request_id = session_id").await;
    }

    /// Deletes what a party remembers of used requests, behind its back.
    pub(crate) async fn delete_used_requests(&self, party: usize) {
        alter(&self.party_folder(party).join("vault.sqlite"), "DELETE FROM used_requests").await;
    }

    pub(crate) fn party_folder(&self, party: usize) -> PathBuf {
        party_folder(self.folder.path(), party)
    }

    pub(crate) fn write_policy(&self, party: usize, policy: &str) {
        std::fs::write(policy_file(self.folder.path(), party), policy).unwrap();
    }

    /// Asks a party through its control socket, as another process would.
    pub(crate) async fn control(&self, party: usize, request: ControlRequest) -> ControlAnswer {
        let folder = party_folder(self.folder.path(), party);
        let asked = actix_rt::task::spawn_blocking(move || client::ask(&folder, &request));
        asked.await.unwrap().unwrap()
    }

    /// As [`Self::control`], for what is done or not.
    pub(crate) async fn decide(
        &self,
        party: usize,
        request: ControlRequest,
    ) -> Result<(), ControlError> {
        match self.control(party, request).await {
            ControlAnswer::Done { .. } => Ok(()),
            ControlAnswer::Refused { error, .. } => Err(error),
            ControlAnswer::Status(_) | ControlAnswer::Approvals { .. } => unreachable!("not asked"),
        }
    }

    pub(crate) async fn status(&self, party: usize) -> StatusReport {
        match self.control(party, ControlRequest::Status).await {
            ControlAnswer::Status(status) => status,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn approvals(&self, party: usize) -> Vec<OpenApproval> {
        match self.control(party, ControlRequest::Approvals { session: None }).await {
            ControlAnswer::Approvals { approvals, more: 0 } => approvals,
            other => panic!("{other:?}"),
        }
    }

    /// Asks for a signature and says which session waits for people.
    pub(crate) async fn sign_and_wait_for_approval(&self, body: &Value) -> SessionId {
        let path = format!("/api/v1/accounts/{}/sign", self.account);
        let (status, session) = self.cluster.post_async(&path, body).await.unwrap();
        assert_eq!(status, 202, "{session}");
        let session: SessionId = session["session_id"].as_str().unwrap().parse().unwrap();
        let path = format!("/api/v1/sessions/{session}");
        self.cluster.poll(&path, |body| body["state"] == "waiting_for_approval").await.unwrap();
        session
    }

    /// The parties in which the session waits, once it does in a whole quorum.
    pub(crate) async fn waiting(&self, session: SessionId) -> Vec<usize> {
        until(|| async {
            let open = self.open(session).await;
            (open.len() == 2).then_some(open)
        })
        .await
    }

    /// The parties in which the session waits, once there is one.
    pub(crate) async fn open_somewhere(&self, session: SessionId) -> Vec<usize> {
        until(|| async {
            let open = self.open(session).await;
            (!open.is_empty()).then_some(open)
        })
        .await
    }

    async fn open(&self, session: SessionId) -> Vec<usize> {
        let mut open = Vec::new();
        for party in 0..PARTIES {
            if self.approvals(party).await.iter().any(|open| open.session == session) {
                open.push(party);
            }
        }
        open
    }

    pub(crate) async fn until_nothing_waits(&self, party: usize) {
        until(|| async { self.approvals(party).await.is_empty().then_some(()) }).await;
    }

    /// Refuses the session wherever it waits, until it has ended.
    pub(crate) async fn refuse_everywhere(&self, session: SessionId) -> Value {
        until(|| async {
            for party in self.open(session).await {
                let refused = self.decide(party, ControlRequest::Refuse { session }).await;
                assert!(
                    matches!(refused, Ok(()) | Err(ControlError::ApprovalEnded)),
                    "{refused:?}"
                );
            }
            let session = self.session(session).await;
            (session["state"] == "failed" || session["state"] == "completed").then_some(session)
        })
        .await
    }

    async fn session(&self, session: SessionId) -> Value {
        self.cluster.get(&format!("/api/v1/sessions/{session}")).await.unwrap().1
    }

    pub(crate) async fn state(&self, session: SessionId) -> String {
        self.session(session).await["state"].as_str().unwrap().to_owned()
    }

    /// The session once it has ended.
    pub(crate) async fn ended(&self, session: SessionId) -> Value {
        until(|| async {
            let session = self.session(session).await;
            let has_ended = ["completed", "failed", "expired", "cancelled"]
                .iter()
                .any(|end| session["state"] == *end);
            has_ended.then_some(session)
        })
        .await
    }

    /// Stops everything; the folder goes when what is returned is dropped.
    pub(crate) async fn stop(self) -> TempDir {
        self.cluster.stop().await;
        self.folder
    }
}

/// Changes a database that others have open.
async fn alter(file: &Path, sql: &str) {
    let url = format!("sqlite://{}", file.display());
    let db = sea_orm::Database::connect(url).await.unwrap();
    sea_orm::ConnectionTrait::execute_unprepared(&db, sql).await.unwrap();
    db.close().await.unwrap();
}

/// Looks again and again until there is something: for what has no event of its own.
async fn until<T, F: Future<Output = Option<T>>>(look: impl Fn() -> F) -> T {
    let looking = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            actix_rt::time::sleep(GLANCE).await;
        }
    };
    actix_rt::time::timeout(PATIENCE, looking).await.unwrap()
}

fn policy_file(folder: &Path, party: usize) -> PathBuf {
    party_folder(folder, party).join("policy.toml")
}

fn spec(folder: &Path, party: usize, key: &SigningKey) -> PartySpec {
    let engine = Engine::Stub(key.clone(), Log::default());
    let policy = LivePolicy::load(&policy_file(folder, party), Profile::Development).unwrap();
    let control = Some(party_folder(folder, party).join(SOCKET));
    PartySpec { policy, control, ..PartySpec::new(Role::Server, engine) }
}

fn names(account: &Value) -> (AccountId, PublicKey) {
    let id = account["account_id"].as_str().unwrap().parse().unwrap();
    (id, serde_json::from_value(account["public_key"].clone()).unwrap())
}
