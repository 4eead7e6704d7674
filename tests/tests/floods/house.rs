//! The house under the flood, and its honest caller.

use awc::{Client, Connector};
use k256::ecdsa::signature::hazmat::PrehashVerifier;
use k256::ecdsa::{Signature, SigningKey, VerifyingKey};
use mpc_tests::cluster::API_KEY;
use mpc_wire::Identity;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::sync::{Mutex, MutexGuard, mpsc};
use tokio::time::timeout;

/// Longest that anything here may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// One flood at a time: each measures a machine, and takes all of it.
static MACHINE: Mutex<()> = Mutex::const_new(());

/// A house in a process of its own. Dropped, it ends.
pub(crate) struct House {
    process: Child,
    input: Option<ChildStdin>,
    said: mpsc::Receiver<Value>,
    pub(crate) gateway: SocketAddr,
    api: SocketAddr,
    account: String,
    client: Client,
    _folder: TempDir,
    _machine: MutexGuard<'static, ()>,
}

impl Drop for House {
    fn drop(&mut self) {
        // With its input the house ends by itself; one that does not must not outlive the test.
        drop(self.input.take());
        if std::thread::panicking() {
            let _ = self.process.kill();
        }
        let _ = self.process.wait();
    }
}

impl House {
    /// A house as it is by default, but for what is ordered.
    pub(crate) async fn build(mut order: Value) -> Self {
        let machine = MACHINE.lock().await;
        raise_descriptors();
        let folder = tempfile::tempdir().unwrap();
        order["folder"] = json!(folder.path());
        let mut process = Command::new(env!("CARGO_BIN_EXE_house"))
            .arg(order.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = process.stdin.take();
        let output = BufReader::new(process.stdout.take().unwrap());
        let (sender, mut said) = mpsc::channel(4);
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                match serde_json::from_str::<Value>(&line) {
                    Ok(value) => sender.blocking_send(value).unwrap(),
                    // What the house logs, if RUST_LOG asks for it.
                    Err(_) => println!("{line}"),
                }
            }
        });
        let place: Value = timeout(PATIENCE, said.recv()).await.unwrap().unwrap();
        let text = |name: &str| place[name].as_str().unwrap().to_owned();
        let connector = Connector::new().limit(8192).timeout(PATIENCE);
        Self {
            process,
            input,
            said,
            gateway: text("gateway").parse().unwrap(),
            api: text("api").parse().unwrap(),
            account: text("account"),
            client: Client::builder().timeout(PATIENCE).connector(connector).finish(),
            _folder: folder,
            _machine: machine,
        }
    }

    /// Ends the house, and says what it has counted.
    pub(crate) async fn end(mut self) -> Value {
        drop(self.input.take());
        let counts = timeout(PATIENCE, self.said.recv()).await.unwrap().unwrap();
        assert_eq!(counts["panics"], 0, "{counts}");
        assert!(self.process.wait().unwrap().success());
        counts
    }

    /// Kilobytes of memory that the house has now, and had at most since it was last forgotten.
    pub(crate) fn memory(&self) -> (u64, u64) {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let of = |name: &str| -> u64 {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace().nth(1).unwrap().parse().unwrap()
        };
        (of("VmRSS:"), of("VmHWM:"))
    }

    /// Forgets how much memory the house had at most.
    pub(crate) fn forget_peak(&self) {
        std::fs::write(format!("/proc/{}/clear_refs", self.process.id()), "5").unwrap();
    }

    /// Lets a new identity in.
    pub(crate) async fn enrol(&self) -> Identity {
        let identity = Identity::generate();
        let party = json!({ "party_id": identity.party(), "role": "server" });
        let Answer { status, body, .. } = self.post("/api/v1/parties", &party).await;
        assert_eq!(status, 201, "{body}");
        identity
    }

    /// Signs, however often the house asks to come again; returns how the session ended.
    pub(crate) async fn sign(&self, number: u64) -> Signed {
        let message = message(number);
        let path = format!("/api/v1/accounts/{}/sign", self.account);
        let order = json!({ "message": hex::encode(message) });
        let mut put_off = 0;
        let started = Instant::now();
        loop {
            assert!(started.elapsed() < PATIENCE, "request {number} is put off for ever");
            let Answer { status, retry_after, body } = self.post(&path, &order).await;
            let body = match status {
                200 => body,
                202 => self.ended(body["session_id"].as_str().unwrap()).await,
                429 => {
                    // The store, for one, is not away for being busy.
                    assert_eq!(body["code"], "overloaded", "{body}");
                    let pause = retry_after.unwrap_or_else(|| panic!("no Retry-After: {body}"));
                    put_off += 1;
                    // As a client is asked to do.
                    tokio::time::sleep(Duration::from_secs(pause)).await;
                    continue;
                }
                // The session is over, without a signature.
                403 | 409 | 502 | 504 => {
                    return Signed { state: body["code"].clone(), attempt: Value::Null, put_off };
                }
                other => panic!("{other}: {body}"),
            };
            if body["state"] == "completed" {
                verify(&message, &body);
            }
            return Signed {
                state: body["state"].clone(),
                attempt: body["attempt"].clone(),
                put_off,
            };
        }
    }

    async fn ended(&self, session: &str) -> Value {
        let url = format!("http://{}/api/v1/sessions/{session}", self.api);
        let started = Instant::now();
        loop {
            assert!(started.elapsed() < PATIENCE, "session {session} does not end");
            let request = self.client.get(&url).force_close();
            let request = request.insert_header(("X-API-Key", API_KEY));
            let mut answer = request.send().await.unwrap();
            let body: Value = serde_json::from_slice(&answer.body().await.unwrap()).unwrap();
            let is_over = ["completed", "failed", "cancelled", "expired"];
            if is_over.iter().any(|state| body["state"] == *state) {
                return body;
            }
            // Nothing tells of the end but asking again.
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        let url = format!("http://{}{path}", self.api);
        // A connection that was kept may be closed by the house just as it is used again.
        let request = self.client.post(url).force_close().insert_header(("X-API-Key", API_KEY));
        let mut answer = request.send_json(body).await.unwrap();
        let retry_after = answer
            .headers()
            .get("retry-after")
            .map(|value| value.to_str().unwrap().parse().unwrap());
        let status = answer.status().as_u16();
        let body = answer.body().limit(1 << 20).await.unwrap();
        Answer { status, retry_after, body: serde_json::from_slice(&body).unwrap_or(Value::Null) }
    }
}

struct Answer {
    status: u16,
    retry_after: Option<u64>,
    body: Value,
}

/// How a request to sign ended.
#[derive(Debug)]
pub(crate) struct Signed {
    pub(crate) state: Value,
    /// In which attempt, if it was signed.
    pub(crate) attempt: Value,
    /// How often it was put off before.
    pub(crate) put_off: u32,
}

fn message(number: u64) -> [u8; 32] {
    let mut message = [0x5a; 32];
    message[..8].copy_from_slice(&number.to_be_bytes());
    message
}

/// The signature is that of this request, and of no other.
fn verify(message: &[u8; 32], session: &Value) {
    assert_eq!(session["message"], hex::encode(message), "{session}");
    let compact = session["signature"]["compact"].as_str().unwrap();
    let compact = hex::decode(compact.trim_start_matches("0x")).unwrap();
    let key = VerifyingKey::from(&SigningKey::from_slice(&[0x42; 32]).unwrap());
    let signature = Signature::from_slice(&compact).unwrap();
    assert!(key.verify_prehash(message, &signature).is_ok(), "{session}");
}

/// Floods of sockets need more descriptors than a process has by default; houses inherit them.
fn raise_descriptors() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
}

/// Of these times the one that so many of a hundred do not exceed.
pub(crate) fn percentile(percent: usize, times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[(times.len() * percent).div_ceil(100) - 1]
}

/// Whether a flood is repeated, and with which seed.
pub(crate) fn seed() -> u64 {
    let seed = std::env::var("MPC_SEED").ok().map(|seed| seed.parse().unwrap());
    let seed = seed.unwrap_or_else(|| u64::from(std::process::id()));
    println!("MPC_SEED={seed}");
    seed
}
