//! A node in a process of its own.

use crate::command::{mpc, stdout};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

/// The API key of all nodes here.
pub(crate) const KEY: &str = "a-key-of-the-tests";

/// How long the parties may take to come online.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running `mpc node`; killed when dropped.
pub(crate) struct RunningNode {
    child: Child,
    greeting: String,
    url: String,
    ca: Option<PathBuf>,
}

impl RunningNode {
    /// Starts a node in this folder, on free ports, with [`KEY`].
    pub(crate) fn start(data: &Path) -> Self {
        Self::spawn(node(data).env("MPC_API_KEY", KEY))
    }

    /// Starts a node by this command and reads its greeting.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut greeting = String::new();
        while !greeting.contains("\"user_id\"") {
            let line = lines.next().expect("the node greets before it ends").unwrap();
            greeting += &line;
            greeting.push('\n');
        }
        let url = greeting.split_whitespace().find(|word| word.starts_with("http")).unwrap();
        Self { url: url.to_owned(), child, greeting, ca: None }
    }

    /// The same node, whose clients trust this authority.
    pub(crate) fn trusting(mut self, ca: &Path) -> Self {
        self.ca = Some(ca.to_owned());
        self
    }

    /// The process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Where the API is.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn greeting(&self) -> &str {
        &self.greeting
    }

    /// A client's command for this node.
    pub(crate) fn client(&self, args: &[&str]) -> Command {
        let mut command = mpc(args);
        command.env("MPC_URL", &self.url).env("MPC_API_KEY", KEY);
        command.envs(self.ca.as_ref().map(|ca| ("MPC_TLS_CA", ca)));
        command
    }

    /// Runs a client's command and returns the JSON that it prints.
    pub(crate) fn ask(&self, args: &[&str]) -> Value {
        let output = self.client(args).args(["--output", "json"]).output().unwrap();
        serde_json::from_str(&stdout(output)).unwrap()
    }

    /// Waits until `parties` parties are online.
    pub(crate) fn await_parties(&self, parties: usize) {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let answer = self.ask(&["party", "list"]);
            let listed = answer["parties"].as_array().unwrap();
            if listed.iter().filter(|party| party["online"] == true).count() == parties {
                return;
            }
        }
        panic!("the parties do not come online");
    }

    /// Sends the node a signal.
    pub(crate) fn signal(&self, name: &str) {
        signal(name, &self.child);
    }

    /// Ends the node as a power failure would.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks the node to stop and waits for it.
    pub(crate) fn terminate(self) -> ExitStatus {
        signal("-TERM", &self.child);
        self.ended()
    }

    /// Waits for the node's end.
    pub(crate) fn ended(mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for RunningNode {
    fn drop(&mut self) {
        // Both fail if the node has ended already.
        let _killed = self.child.kill();
        let _ended = self.child.wait();
    }
}

/// The command of a node in this folder, on free ports.
pub(crate) fn node(data: &Path) -> Command {
    node_at(data, "127.0.0.1:0")
}

/// The command of a node whose gateway listens there.
pub(crate) fn node_at(data: &Path, gateway: &str) -> Command {
    let mut command = mpc(&["node", "--api", "127.0.0.1:0", "--gateway", gateway]);
    command.args(["--log", "warn", "--data"]).arg(data);
    command
}

/// Sends a signal to a process that a test has started.
pub(crate) fn signal(name: &str, child: &Child) {
    let Output { status, .. } =
        Command::new("kill").arg(name).arg(child.id().to_string()).output().unwrap();
    assert!(status.success());
}
