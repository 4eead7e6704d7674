//! No secret is told: not in a log at TRACE, not in an error, not in an audit log, not by a panic,
//! not in a core dump. What a secret's own type says of itself is in `tests/tests/row_25_*`.

use crate::audit;
use crate::canary::Canaries;
use crate::certificates::{Authority, Validity};
use crate::command::{Demo, EVERYTHING, failure, mpc, stdout};
use crate::running::{KEY, RunningNode, node, signal};
use coordinator::{CoordinatorSecret, audit_keeper};
use ed25519_dalek::pkcs8::DecodePrivateKey;
use party_runtime::vault::{AuxRecord, Kind, Passphrase, ShareRecord};
use party_runtime::{KeySource, Vault};
use serde_json::Value;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// The secrets that are given to the node and its clients.
const MASTER_KEY: &str = "c50fd1e27a88934bb6402e9f7d135cf8016ea9b4c7325df08b1e64a2f93d7056";
const WRONG_MASTER_KEY: &str = "c50fa7b3156ede029847c1fb308d5a62e9741cb05fd8233a96e10c7b84f2ad6d";
const COORDINATOR_KEY: &str = "c50f3c8e91d4276ab05be81d4f72a936cd0a158f63e7b24998fc1d03ae5670b1";
const JWT_SECRET: &str = "canary-jwt-9f31ce-Zebra-Quartz-Violin-0417";
const PASSPHRASE: &str = "canary passphrase Kestrel Obelisk 2281 Juniper";
const WRONG_API_KEY: &str = "canary-of-a-wrong-api-key-Walnut-5530";

/// An age identity, and its public half.
const AGE_IDENTITY: &str =
    "AGE-SECRET-KEY-1E0GXM0SM85KPGK7FTREJJAGFA7YG4DAGR5NKK6GE7GSHNZTWTUFS0ST052";
const AGE_RECIPIENT: &str = "age1l953tz42zqjhrvten5n3w7plrxc8nnq935v7kw83t0kxz09qjf7qt8jg2h";

/// SHA-256 of `hello`.
const HELLO: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(60);

type Secrets = Vec<(String, Vec<u8>)>;

/// All that was told, by whom.
#[derive(Default)]
struct Told(Vec<(String, Vec<u8>)>);

impl Told {
    /// Runs a command that logs all there is, and keeps what it says.
    fn run(&mut self, command: &mut Command) -> Output {
        let output = self.show(command);
        let name = format!("stdout of {:?}", command.get_args().collect::<Vec<_>>());
        self.0.push((name, output.stdout.clone()));
        output
    }

    /// The same for a command whose stdout is for the eyes of a secret's owner.
    fn show(&mut self, command: &mut Command) -> Output {
        let output = command.env("RUST_LOG", EVERYTHING).output().unwrap();
        let name = format!("stderr of {:?}", command.get_args().collect::<Vec<_>>());
        self.0.push((name, output.stderr.clone()));
        output
    }

    fn file(&mut self, path: &Path) {
        self.0.push((path.display().to_string(), fs::read(path).unwrap()));
    }

    /// Nothing of all this holds one of these.
    fn holds_none_of(&self, secrets: Secrets) {
        assert!(secrets.len() > 10, "{}", secrets.len());
        let canaries = Canaries::new(secrets);
        for (name, text) in &self.0 {
            let found = canaries.find(text);
            assert!(found.is_empty(), "{name}: {found:#?}");
        }
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// The key that a file holds in hexadecimal digits.
fn key_in(file: &Path) -> (String, Vec<u8>) {
    let text = fs::read_to_string(file).unwrap();
    (file.display().to_string(), hex::decode(text.trim()).unwrap())
}

/// Every secret of a vault.
fn secrets_of(folder: &Path, key: &KeySource) -> Secrets {
    let name = folder.file_name().unwrap().to_str().unwrap();
    block_on(async {
        let vault = Vault::open(&folder.join("vault.sqlite"), key).await.unwrap();
        let mut secrets = vec![(format!("identity of {name}"), vault.identity().seed().to_vec())];
        for (place, share) in vault.list_records::<ShareRecord>(Kind::Share).await.unwrap() {
            let scalar = field(share.share.expose(), b"\xacsecret_share\xc4\x20", 32);
            secrets.push((format!("share of {name} in {place}"), scalar));
        }
        for (place, waiting) in vault.epochs().await.unwrap() {
            for share in waiting.shares() {
                let scalar = field(share.share.expose(), b"\xacsecret_share\xc4\x20", 32);
                secrets.push((format!("share of {name} in {place}"), scalar));
            }
        }
        for (place, aux) in vault.list_records::<AuxRecord>(Kind::Aux).await.unwrap() {
            for prime in [b"\xa1p\xc4\x80", b"\xa1q\xc4\x80"] {
                let prime = field(aux.secret.expose(), prime, 128);
                secrets.push((format!("prime of {name} in {place}"), prime));
            }
        }
        vault.close().await.unwrap();
        secrets
    })
}

/// The byte string behind a field's name and its length, as MessagePack writes them.
fn field(value: &[u8], name: &[u8], length: usize) -> Vec<u8> {
    let at = value.windows(name.len()).position(|bytes| bytes == name).unwrap() + name.len();
    value[at..at + length].to_vec()
}

/// A requester's key, its public half as PEM, and what is secret of it.
fn requester(told: &mut Told, data: &Path, algorithm: &str) -> (PathBuf, String, Vec<u8>) {
    let file = data.join(format!("requester-{algorithm}.pem"));
    let mut keygen = mpc(&["requester", "keygen", "--algorithm", algorithm, "--out"]);
    let public = stdout(told.run(keygen.arg(&file)));
    let pem = fs::read_to_string(&file).unwrap();
    let secret = match algorithm {
        "ed25519" => ed25519_dalek::SigningKey::from_pkcs8_pem(&pem).unwrap().to_bytes().to_vec(),
        _ => p256::ecdsa::SigningKey::from_pkcs8_pem(&pem).unwrap().to_bytes().to_vec(),
    };
    (file, public, secret)
}

/// A running `mpc party run`; killed when dropped.
struct Apart(Child);

impl Apart {
    fn start(data: &Path, token: &Path, office: &RunningNode, ca: &Path, log: &Path) -> Self {
        let gateway = office.greeting().split_whitespace().find(|word| word.starts_with("wss://"));
        let mut command = mpc(&["party", "run", "--label", "apart", "--data"]);
        command.arg(data).args(["--gateway", gateway.unwrap(), "--enrolment-token-file"]);
        command.arg(token).env("MPC_PASSPHRASE", PASSPHRASE).env("RUST_LOG", EVERYTHING);
        command.env("MPC_TLS_CA", ca);
        let log = File::create(log).unwrap();
        let mut party = Self(command.stdout(Stdio::piped()).stderr(log).spawn().unwrap());
        let mut lines = BufReader::new(party.0.stdout.take().unwrap()).lines();
        lines.next().expect("the party says who it is").unwrap();
        let deadline = Instant::now() + PATIENCE;
        let is_there = |party: &Value| party["label"] == "apart" && party["online"] == true;
        while !office.ask(&["party", "list"])["parties"].as_array().unwrap().iter().any(is_there) {
            assert!(Instant::now() < deadline, "the party does not come online");
        }
        party
    }

    fn terminate(mut self) {
        signal("-TERM", &self.0);
        assert!(self.0.wait().unwrap().success());
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        // Both fail if the party has ended already.
        let _killed = self.0.kill();
        let _ended = self.0.wait();
    }
}

/// What was never to be told, of whom the rest is: `manul` and `synedrion` log their values.
fn says_all_but_the_protocols(name: &str, log: &[u8]) {
    let log = String::from_utf8_lossy(log);
    assert!(log.contains("TRACE"), "{name} logs all there is");
    for line in log.lines().filter(|line| line.contains("manul") || line.contains("synedrion")) {
        let low = ["TRACE", "DEBUG", "INFO"].iter().any(|level| {
            let target = line.split_once(level).map(|(_, rest)| rest.trim_start());
            target.is_some_and(|it| it.starts_with("manul") || it.starts_with("synedrion"))
        });
        assert!(!low, "{name}: {line}");
    }
}

#[test]
fn row_25_a_demo_from_key_generation_to_signature_tells_no_secret_at_trace() {
    let demo = Demo::shared();
    let data = demo.copy();
    let mut secrets = vec![key_in(&data.path().join("coordinator.key"))];
    let audit_key = audit_keeper(&audit::secret(data.path())).seed().to_vec();
    secrets.push(("audit key".to_owned(), audit_key));
    for party in 1..=3 {
        let folder = data.path().join(format!("party-{party}"));
        let file = folder.join("master.key");
        secrets.push(key_in(&file));
        let of_vault = secrets_of(&folder, &KeySource::ExistingFile(file));
        assert_eq!(of_vault.len(), 4, "an identity, a share, two primes");
        secrets.extend(of_vault);
    }
    says_all_but_the_protocols("the demo", &demo.log);
    let told = Told(vec![("the demo".to_owned(), [&demo.log, demo.stdout.as_bytes()].concat())]);
    told.holds_none_of(secrets);

    // What is no secret is found by the same search, so what is one would be too.
    let account = demo.report()["account_id"].as_str().unwrap().to_owned();
    let public = Canaries::new([("account", account.into_bytes())]);
    assert!(!public.find(&demo.log).is_empty());
}

#[test]
fn row_25_nothing_that_a_node_its_parties_and_its_clients_do_tells_a_secret_at_trace() {
    let demo = Demo::shared();
    let data = demo.copy();
    let (folder, account) = (data.path(), demo.report()["account_id"].as_str().unwrap().to_owned());
    let mut told = Told::default();
    let mut secrets: Secrets = [
        ("API key", KEY.into()),
        ("JWT secret", JWT_SECRET.into()),
        ("coordinator's secret", hex::decode(COORDINATOR_KEY).unwrap()),
        ("master key", hex::decode(MASTER_KEY).unwrap()),
        ("wrong master key", hex::decode(WRONG_MASTER_KEY).unwrap()),
        ("passphrase", PASSPHRASE.into()),
        ("wrong API key", WRONG_API_KEY.into()),
        ("age identity", AGE_IDENTITY.into()),
    ]
    .map(|(name, secret): (&str, Vec<u8>)| (name.to_owned(), secret))
    .into();
    let coordinator: CoordinatorSecret = COORDINATOR_KEY.parse().unwrap();
    secrets.push(("audit key".to_owned(), audit_keeper(&coordinator).seed().to_vec()));

    // The vaults' keys: a wrong one, one of a wrong form, and a rotation to a given one.
    for party in 1..=3 {
        let party = folder.join(format!("party-{party}"));
        secrets.push(key_in(&party.join("master.key")));
        let mut rotate = mpc(&["keys", "rotate", "--data"]);
        rotate.arg(&party).env("CRYPTO_NEW_MASTER_KEY", MASTER_KEY);
        for wrong in [WRONG_MASTER_KEY, &WRONG_MASTER_KEY[1..]] {
            failure(told.run(rotate.env("CRYPTO_MASTER_KEY", wrong)), 1);
        }
        stdout(told.run(rotate.env_remove("CRYPTO_MASTER_KEY")));
    }

    let mut policy = String::new();
    let mut requesters = Vec::new();
    for algorithm in ["ed25519", "p256"] {
        let (file, public, secret) = requester(&mut told, folder, algorithm);
        policy += &format!("[[requester]]\nname = \"{algorithm}\"\npublic_key = '''{public}'''\n");
        secrets.push((format!("requester's {algorithm} key"), secret));
        requesters.push((algorithm, file));
    }
    let policy_file = folder.join("policy.toml");
    fs::write(&policy_file, &policy).unwrap();

    // Every link over TLS.
    let authority = Authority::new();
    authority.sign(&["localhost"], Validity::Now);
    let tls_key = fs::read_to_string(authority.key()).unwrap();
    let scalar = p256::ecdsa::SigningKey::from_pkcs8_pem(&tls_key).unwrap().to_bytes().to_vec();
    secrets.push(("TLS key".to_owned(), scalar));
    secrets.push(("TLS key's file".to_owned(), tls_key.lines().nth(1).unwrap().into()));

    let log = folder.join("node.log");
    let mut command = mpc(&["node", "--api", "127.0.0.1:0", "--gateway", "127.0.0.1:0", "--data"]);
    command.arg(folder).env("RUST_LOG", EVERYTHING).env("MPC_POLICY", &policy_file);
    command.env("MPC_API_KEY", KEY).env("JWT_SECRET_KEY", JWT_SECRET);
    command.env("CRYPTO_MASTER_KEY", MASTER_KEY).env("MPC_COORDINATOR_KEY", COORDINATOR_KEY);
    command.arg("--tls-cert").arg(authority.cert()).arg("--tls-key").arg(authority.key());
    command.arg("--tls-ca").arg(authority.ca());
    let node = RunningNode::spawn(command.stderr(File::create(&log).unwrap()));
    let node = node.trusting(&authority.ca());
    told.0.push(("the greeting".to_owned(), node.greeting().as_bytes().to_vec()));
    node.await_parties(3);

    // Keys of the API, right and wrong ones.
    let create = ["apikey", "create", "--name", "n", "--scope", "read", "--output", "json"];
    let made: Value = serde_json::from_str(&stdout(told.show(&mut node.client(&create)))).unwrap();
    let key = made["key"].as_str().unwrap();
    let wrong = format!("{}{}", &key[..84], if key.ends_with('0') { '1' } else { '0' });
    for (shown, code) in [(key, 0), (&wrong, 1), (WRONG_API_KEY, 1)] {
        let mut list = node.client(&["party", "list"]);
        let output = told.run(list.env("MPC_API_KEY", shown));
        assert_eq!(output.status.code(), Some(code));
    }
    let secret = hex::decode(&key[21..]).unwrap();
    // Where it is told on purpose it is found.
    assert!(!Canaries::new([("key", secret.clone())]).find(key.as_bytes()).is_empty());
    secrets.push(("made API key".to_owned(), secret));

    // A new account, and signatures with a requester's word.
    let user = ["account", "create", "--user-id", "alice"];
    stdout(told.run(&mut node.client(&user)));
    for (name, file) in &requesters {
        let mut sign = node.client(&["sign", "--account", &account, "--message", HELLO]);
        sign.args(["--requester", name, "--requester-key"]).arg(file);
        assert!(stdout(told.run(&mut sign)).contains("completed"));
    }
    // A private key in the place of a public one, in a policy that running parties are to load.
    let private = fs::read_to_string(&requesters[0].1).unwrap().replace('\n', "\\n");
    let misplaced = policy.replace("[[requester]]", "[[requester]]\nx = 1\n");
    let key = format!("[[requester]]\nname = \"a\"\npublic_key = \"{private}\"\n");
    let table = format!("requester = \"{private}\"\n");
    let date = format!("[[requester]]\nname = \"a\"\nexpires_at = \"{private}\"\n");
    for wrong in [key, table, date, misplaced] {
        fs::write(&policy_file, wrong).unwrap();
        let mut reload = mpc(&["party", "reload-policy", "--data"]);
        let said = failure(told.run(reload.arg(folder.join("party-1"))), 1);
        assert!(said.contains("line "), "{said}");
    }

    // A party of its own: let in by a token, its key rotated.
    let token = ["party", "token", "--role", "server", "--output", "json"];
    let made: Value = serde_json::from_str(&stdout(told.show(&mut node.client(&token)))).unwrap();
    let token = made["token"].as_str().unwrap();
    secrets.push(("enrolment token".to_owned(), token.into()));
    let token_file = folder.join("token");
    fs::write(&token_file, token).unwrap();
    fs::set_permissions(&token_file, PermissionsExt::from_mode(0o600)).unwrap();
    let apart = folder.join("apart");
    let apart_log = folder.join("apart.log");
    let party = Apart::start(&apart, &token_file, &node, &authority.ca(), &apart_log);
    let passphrase = Passphrase::new(Zeroizing::new(PASSPHRASE.to_owned()));
    let passphrase = KeySource::Passphrase(passphrase);
    secrets.extend(secrets_of(&apart, &passphrase));
    let mut rotate = mpc(&["party", "rotate-identity", "--data"]);
    stdout(told.run(rotate.arg(&apart).env("MPC_PASSPHRASE", PASSPHRASE)));
    // The token in the place of its id.
    let mut cancel = node.client(&["party", "cancel-token", token]);
    failure(told.run(&mut cancel), 1);
    party.terminate();
    secrets.extend(secrets_of(&apart, &passphrase));

    // Backups: with the identity in the place of the recipient, and as it should be.
    let (backup, identity) = (folder.join("backup.age"), folder.join("identity"));
    fs::write(&identity, AGE_IDENTITY).unwrap();
    fs::set_permissions(&identity, PermissionsExt::from_mode(0o600)).unwrap();
    for (recipient, code) in [(AGE_IDENTITY, 1), (AGE_RECIPIENT, 0)] {
        let mut command = mpc(&["party", "backup", "--recipient", recipient, "--data"]);
        command.arg(folder.join("party-1")).arg(&backup).env("CRYPTO_MASTER_KEY", MASTER_KEY);
        let output = told.run(&mut command);
        assert_eq!(output.status.code(), Some(code), "{output:?}");
    }
    let mut restore = mpc(&["party", "restore", "--identity"]);
    restore.arg(&identity).arg("--data").arg(folder.join("restored")).arg(&backup);
    stdout(told.run(restore.env("CRYPTO_MASTER_KEY", MASTER_KEY)));

    assert_eq!(node.terminate().code(), Some(0));
    let mut audit = mpc(&["audit", "show", "--last", "1000000", "--output", "json", "--data"]);
    stdout(told.run(audit.arg(folder)));
    for log in [&log, &apart_log] {
        told.file(log);
        says_all_but_the_protocols(&log.display().to_string(), &fs::read(log).unwrap());
    }
    let given = KeySource::Hex(Zeroizing::new(MASTER_KEY.to_owned()));
    for party in 1..=3 {
        let of_vault = secrets_of(&folder.join(format!("party-{party}")), &given);
        assert_eq!(of_vault.len(), 5, "an identity, two shares, two primes");
        secrets.extend(of_vault);
    }
    // Nor is one in the databases, audit logs included, as they lie there.
    for part in [".", "party-1", "party-2", "party-3", "apart", "restored"] {
        let names = fs::read_dir(folder.join(part)).unwrap().map(|entry| entry.unwrap().path());
        names
            .filter(|name| name.to_string_lossy().contains(".sqlite"))
            .for_each(|name| told.file(&name));
    }
    told.holds_none_of(secrets);
}

/// Nobody reads what this one writes, at which `println!` panics with what went wrong.
#[test]
fn a_panic_tells_where_and_not_why() {
    let data = Demo::shared().copy();
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut head = mpc(&["audit", "head", "--data"]);
    let output = head.arg(data.path()).stdout(full).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(101), "{said}");
    assert!(said.contains("thread main panicked at ") && said.contains(".rs:"), "{said}");
    assert!(!said.contains("stdout") && !said.contains("No space"), "{said}");
}

#[test]
fn row_25_a_node_leaves_no_core_dump() {
    let data = tempfile::tempdir().unwrap();
    // With all that the one who starts it may allow.
    let mut lax = Command::new("sh");
    lax.env_clear().current_dir(data.path());
    lax.args(["-c", "ulimit -S -c \"$(ulimit -H -c)\"; exec \"$@\"", "sh"]);
    let command = node(data.path());
    lax.arg(command.get_program()).args(command.get_args()).args(["--parties", "0"]);
    let node = RunningNode::spawn(lax.env("MPC_API_KEY", KEY));
    let limits = fs::read_to_string(format!("/proc/{}/limits", node.id())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    let limits: Vec<_> = line.split_whitespace().skip(4).take(2).collect();
    assert_eq!(limits, ["0", "0"], "{line}");

    // A signal that else makes one, to a program that a kernel may pipe it to.
    node.signal("-ABRT");
    let status = node.terminate();
    assert_eq!((status.signal(), status.core_dumped()), (Some(6), false), "{status}");
    let core = |name: &str| name.starts_with("core") && !name.starts_with("coordinator");
    let names = fs::read_dir(data.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(!names.map(|name| name.into_string().unwrap()).any(|name| core(&name)));
}
