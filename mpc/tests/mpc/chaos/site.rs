//! A site of real processes: gateway and coordinator in one, each party in its own.

use super::backend::{Backend, Request};
use super::link::Link;
use crate::command::{Demo, copy_folder, mpc};
use crate::running::{KEY, RunningNode, signal};
use mpc::node::parties_in;
use mpc_wire::PartyId;
use std::collections::BTreeMap;
use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use uuid::Uuid;

/// How long a process may take to be up and connected.
pub(crate) const UP: Duration = Duration::from_secs(60);

/// The office's folder at a site.
pub(crate) const OFFICE: &str = "office";

/// A site of one office and the parties of the demo's account.
pub(crate) struct Site {
    pub(crate) data: TempDir,
    pub(crate) account: String,
    api: SocketAddr,
    gateway: SocketAddr,
    setting: Setting,
    office: Option<RunningNode>,
    parties: Vec<Seat>,
    pub(crate) backend: Backend,
}

/// A party's place at the site.
struct Seat {
    id: PartyId,
    link: Link,
    process: Option<Process>,
}

/// A process that is killed when dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail if the process has ended already.
        let _killed = self.0.kill();
        let _ended = self.0.wait();
    }
}

/// How a site is set up.
#[derive(Debug, Clone, Default)]
pub(crate) struct Setting {
    pub(crate) office_disk: Disk,
    pub(crate) party_disks: [Disk; 3],
    /// By how many minutes the clocks are wrong.
    pub(crate) office_clock: i32,
    pub(crate) party_clocks: [i32; 3],
    /// The parties' policy.
    pub(crate) policy: Option<String>,
}

/// The library that gives a process another time of day; the monotonic clock stays as it is.
const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";

/// Whether clocks can be made wrong here. Where not it is told, and is a failure in CI.
pub(crate) fn clocks_can_differ() -> bool {
    let is_there = Path::new(FAKETIME).exists();
    if !is_there {
        println!("SKIPPED: the clocks stay right, for want of libfaketime");
        assert!(std::env::var_os("CI").is_none(), "which CI must not do");
    }
    is_there
}

/// Whether a process can be given a small disk here: that takes a kernel that lets it have mounts of
/// its own, which no package brings. Where not it is told.
pub(crate) fn disks_can_be_small() -> bool {
    let tried = Command::new("unshare").args(UNSHARED).arg("true").output();
    let can = tried.is_ok_and(|tried| tried.status.success());
    if !can {
        println!("SKIPPED: the disks stay large, for want of mount namespaces");
    }
    can
}

/// The environment of a process whose clock is wrong by so many minutes.
pub(crate) fn clock(minutes: i32) -> Vec<(&'static str, String)> {
    if minutes == 0 {
        return Vec::new();
    }
    vec![
        ("LD_PRELOAD", FAKETIME.to_owned()),
        ("FAKETIME", format!("{minutes:+}m")),
        ("DONT_FAKE_MONOTONIC", "1".to_owned()),
    ]
}

/// What the office's folder lies on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Disk {
    #[default]
    Large,
    /// A file system in memory that only this process sees; it is gone with it.
    Small,
}

/// How `unshare` gives a process mounts of its own.
const UNSHARED: [&str; 2] = ["--mount", "--map-root-user"];

/// Puts a small file system over a folder, with what was in it, and runs what is behind it.
const ON_SMALL_DISK: &str = r#"
    set -e
    folder=$1; shift
    kept=$(mktemp -d)
    cp -a "$folder/." "$kept"
    mount -t tmpfs -o size=8m,mode=700 none "$folder"
    cp -a "$kept/." "$folder"
    rm -r "$kept"
    exec "$@"
"#;

impl Disk {
    /// The command `mpc`, for a folder on such a disk.
    fn mpc(self, folder: &Path) -> Command {
        let mpc = mpc(&[]);
        match self {
            Self::Large => mpc,
            Self::Small => {
                let mut command = Command::new("unshare");
                command.env_clear().env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin").args(UNSHARED);
                command.args(["sh", "-c", ON_SMALL_DISK, "sh"]).arg(folder).arg(mpc.get_program());
                command
            }
        }
    }
}

impl Site {
    /// Starts the office and so many of the parties, and waits until they are online. Must be
    /// called inside an actix system.
    pub(crate) async fn start(parties: usize) -> Self {
        Self::start_as(Setting::default(), parties).await
    }

    /// The same, with disks, clocks and a policy of a test's own.
    pub(crate) async fn start_as(setting: Setting, parties: usize) -> Self {
        let demo = Demo::shared();
        let data = apart(demo);
        let account = demo.report()["account_id"].as_str().unwrap().to_owned();
        let [api, gateway] = free_ports();
        let ids = ids_of(data.path());
        let seats = ids.into_iter().map(|id| Seat { id, link: Link::to(gateway), process: None });
        let parties_of_account = seats.collect();
        let backend = Backend::new(format!("http://{api}"));
        let mut site = Self {
            data,
            account,
            api,
            gateway,
            setting,
            office: None,
            parties: parties_of_account,
            backend,
        };
        site.open_office();
        for number in 0..parties {
            site.start_party(number);
        }
        site.backend.await_parties(parties, UP).await;
        site
    }

    /// Starts gateway and coordinator at their addresses.
    pub(crate) fn open_office(&mut self) {
        let mut command = self.setting.office_disk.mpc(&self.data.path().join(OFFICE));
        command.args(["node", "--parties", "0", "--log", "warn"]);
        command.arg("--api").arg(self.api.to_string());
        command.arg("--gateway").arg(self.gateway.to_string());
        command.arg("--data").arg(self.data.path().join(OFFICE)).env("MPC_API_KEY", KEY);
        command.envs(clock(self.setting.office_clock)).stderr(self.log("office"));
        self.office = Some(RunningNode::spawn(&mut command));
    }

    /// Ends the office as a power failure would.
    pub(crate) fn kill_office(&mut self) {
        self.office.take().expect("the office runs").kill();
    }

    /// The office's process.
    pub(crate) fn office_id(&self) -> u32 {
        self.office.as_ref().expect("the office runs").id()
    }

    /// Sends the office a signal.
    pub(crate) fn signal_office(&self, name: &str) {
        self.office.as_ref().expect("the office runs").signal(name);
    }

    /// Waits for the office's own end; its exit code.
    pub(crate) fn office_ends(&mut self) -> Option<i32> {
        self.office.take().expect("the office runs").ended().code()
    }

    /// A party's process.
    pub(crate) fn party_process(&self, number: usize) -> u32 {
        self.parties[number].process.as_ref().expect("the party runs").0.id()
    }

    /// The office's folder as the office sees it.
    pub(crate) fn office_disk(&self) -> PathBuf {
        as_seen_by(self.office_id(), &self.data.path().join(OFFICE))
    }

    /// A party's folder as the party sees it.
    pub(crate) fn party_disk(&self, number: usize) -> PathBuf {
        as_seen_by(self.party_process(number), &self.party_folder(number))
    }

    fn party_folder(&self, number: usize) -> PathBuf {
        self.data.path().join(format!("party-{}", number + 1))
    }

    /// Starts a party, by its number from 0.
    pub(crate) fn start_party(&mut self, number: usize) {
        let log = self.log(&format!("party-{}", number + 1));
        let folder = self.party_folder(number);
        let mut command = self.setting.party_disks[number].mpc(&folder);
        command.args(["party", "run", "--log", "warn", "--gateway"]);
        command.arg(format!("ws://{}/v1/connect", self.parties[number].link.at));
        command.arg("--data").arg(folder);
        command.envs(clock(self.setting.party_clocks[number]));
        if let Some(policy) = &self.setting.policy {
            let file = self.data.path().join("policy.toml");
            std::fs::write(&file, policy).unwrap();
            command.arg("--policy").arg(file);
        }
        let child = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        self.parties[number].process = Some(Process(child));
    }

    /// Ends a party as a power failure would.
    pub(crate) fn kill_party(&mut self, number: usize) {
        drop(self.parties[number].process.take().expect("the party runs"));
    }

    /// Sends a party a signal.
    pub(crate) fn signal_party(&self, number: usize, name: &str) {
        signal(name, &self.parties[number].process.as_ref().expect("the party runs").0);
    }

    /// Waits for a party's own end; its exit code.
    pub(crate) fn party_ends(&mut self, number: usize) -> Option<i32> {
        let mut process = self.parties[number].process.take().expect("the party runs");
        process.0.wait().unwrap().code()
    }

    /// Where the API is.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.api)
    }

    pub(crate) fn link(&self, number: usize) -> &Link {
        &self.parties[number].link
    }

    pub(crate) fn party(&self, number: usize) -> PartyId {
        self.parties[number].id
    }

    /// The number of a party.
    pub(crate) fn number(&self, id: PartyId) -> usize {
        self.parties.iter().position(|seat| seat.id == id).expect("a party of the site")
    }

    /// A new request to sign something that nothing else signs.
    pub(crate) fn request(&self, life: u64) -> Request {
        let (half, rest) = (Uuid::now_v7().simple().to_string(), Uuid::now_v7().simple());
        Request {
            account: self.account.clone(),
            digest: format!("{half}{rest}"),
            key: Uuid::now_v7().to_string(),
            life,
        }
    }

    fn log(&self, name: &str) -> File {
        let file = self.data.path().join(format!("{name}.log"));
        File::options().create(true).append(true).open(file).unwrap()
    }

    /// What the processes have logged, for a test that fails.
    pub(crate) fn logs(&self) -> BTreeMap<String, String> {
        let files = std::fs::read_dir(self.data.path()).unwrap().map(|entry| entry.unwrap().path());
        let logs = files.filter(|file| file.extension().is_some_and(|ending| ending == "log"));
        logs.map(|file| {
            let name = file.file_name().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read_to_string(file).unwrap())
        })
        .collect()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for (name, log) in self.logs() {
                eprintln!("---- {name}\n{log}");
            }
        }
    }
}

/// A folder as a process sees it that may have mounts of its own.
fn as_seen_by(process: u32, folder: &Path) -> PathBuf {
    let inside = folder.strip_prefix("/").expect("temporary folders are absolute");
    PathBuf::from(format!("/proc/{process}/root")).join(inside)
}

/// A copy of the demo's folder, with each party's folder beside the office's: one process runs what
/// is in a folder.
fn apart(demo: &Demo) -> TempDir {
    let data = tempfile::tempdir().unwrap();
    let office = data.path().join(OFFICE);
    copy_folder(demo.copy().path(), &office);
    for number in 1..=parties_in(&office).unwrap() {
        let name = format!("party-{number}");
        std::fs::rename(office.join(&name), data.path().join(name)).unwrap();
    }
    data
}

/// The parties of a site, in the order of their numbers.
fn ids_of(data: &Path) -> Vec<PartyId> {
    (1..=parties_in(data).unwrap())
        .map(|number| {
            let mut id = mpc(&["party", "id", "--data"]);
            let output = id.arg(data.join(format!("party-{number}"))).output().unwrap();
            crate::command::stdout(output).trim().parse().unwrap()
        })
        .collect()
}

/// Ports that were free a moment ago, so that an office can come back to its own.
fn free_ports() -> [SocketAddr; 2] {
    let taken = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    taken.map(|listener| listener.local_addr().unwrap())
}
