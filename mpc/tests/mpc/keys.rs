//! `mpc keys`, and a node's master keys.

use crate::command::{failure, mpc, stdout};
use crate::running::{KEY, RunningNode, node};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A data folder and its first party's folder.
struct Data(TempDir);

impl Data {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn party(&self) -> PathBuf {
        self.0.path().join("party-1")
    }

    fn key_file(&self) -> PathBuf {
        self.party().join("master.key")
    }

    /// `mpc keys VERB --data PARTY …`
    fn keys(&self, verb: &str, args: &[&str]) -> Command {
        let mut command = mpc(&["keys", verb, "--data"]);
        command.arg(self.party()).args(args);
        command
    }

    fn run(&self, verb: &str, args: &[&str]) -> Value {
        let output = self.keys(verb, args).args(["--output", "json"]).output().unwrap();
        serde_json::from_str(&stdout(output)).unwrap()
    }

    /// A file of mode 0600 beside the party's folder.
    fn private(&self, name: &str, content: &str) -> String {
        let file = self.0.path().join(name);
        fs::write(&file, content).unwrap();
        fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
        file.to_str().unwrap().to_owned()
    }
}

/// A node as people run it in production: everything given.
fn production(data: &Path) -> Command {
    let mut command = node(data);
    command
        .args(["--parties", "2"])
        .env("ENVIRONMENT", "production")
        .env("MPC_API_KEY", KEY)
        .env("MPC_COORDINATOR_KEY", "0c".repeat(32));
    command
}

#[test]
fn a_party_is_made_shown_and_rotated() {
    let data = Data::new();
    let made = data.run("init", &[]);
    assert_eq!(made["provider"], "file");
    assert!(made["rotating_from"].is_null());
    let key = fs::read_to_string(data.key_file()).unwrap();
    assert_eq!(fs::metadata(data.key_file()).unwrap().permissions().mode() & 0o777, 0o600);
    let said = failure(data.keys("init", &[]).output().unwrap(), 1);
    assert!(said.contains("there is a vault"), "{said}");

    let rotated = data.run("rotate", &[]);
    assert_eq!(rotated["party"], made["party"]);
    assert_ne!(rotated["key_id"], made["key_id"]);
    assert_ne!(fs::read_to_string(data.key_file()).unwrap(), key);
    assert_eq!(data.run("status", &[]), rotated);

    // The old key is refused, by name.
    let mut old = data.keys("rotate", &[]);
    let said = failure(old.env("CRYPTO_MASTER_KEY", &key).output().unwrap(), 1);
    for id in [&made["key_id"], &rotated["key_id"]] {
        assert!(said.contains(id.as_str().unwrap()), "{said}");
    }
    assert!(!said.contains(&key), "{said}");

    let table = stdout(data.keys("status", &[]).output().unwrap());
    assert!(
        table.contains(rotated["key_id"].as_str().unwrap()) && table.contains("file"),
        "{table}"
    );
    assert!(!table.contains(&fs::read_to_string(data.key_file()).unwrap()));
}

#[test]
fn keys_go_from_one_source_to_another() {
    let data = Data::new();
    let passphrase = data.private("passphrase", "correct horse battery\n");
    let made = data.run("init", &["--passphrase-file", &passphrase]);
    assert_eq!(made["provider"], "passphrase");
    assert!(!data.key_file().exists());

    // Not where the new key goes, not which key there is, not what opens it.
    let said = failure(data.keys("rotate", &[]).output().unwrap(), 1);
    assert!(said.contains("master.key is missing"), "{said}");
    let both = &["--passphrase-file", &passphrase, "--master-key-file", &passphrase];
    let said = failure(data.keys("rotate", both).output().unwrap(), 1);
    assert!(said.contains("several master keys"), "{said}");
    let mut nowhere = data.keys("rotate", &["--passphrase-file", &passphrase]);
    let said = failure(nowhere.output().unwrap(), 1);
    assert!(said.contains("--to-key-file"), "{said}");
    let mut wrong = data.keys("rotate", &[]);
    let said = failure(wrong.env("MPC_PASSPHRASE", "another passphrase").output().unwrap(), 1);
    assert!(said.contains("wrong master key") && !said.contains("another pass"), "{said}");

    let file = data.0.path().join("elsewhere.key");
    let mut to_file = data.keys("rotate", &["--to-key-file", file.to_str().unwrap()]);
    stdout(to_file.env("MPC_PASSPHRASE", "correct horse battery").output().unwrap());
    assert_eq!(data.run("status", &[])["provider"], "file");

    // A key file outside of the party's folder may be that of others too.
    let from_file = ["--master-key-file", file.to_str().unwrap()];
    let said = failure(data.keys("rotate", &from_file).output().unwrap(), 1);
    assert!(said.contains("other parties"), "{said}");
    let new = "5e".repeat(32);
    let mut two = data.keys("rotate", &[&from_file[..], &["--to-key-file", "other.key"]].concat());
    let said = failure(two.env("CRYPTO_NEW_MASTER_KEY", &new).output().unwrap(), 1);
    assert!(said.contains("several new keys") && !said.contains("5e5e"), "{said}");
    let mut to_hex = data.keys("rotate", &from_file);
    stdout(to_hex.env("CRYPTO_NEW_MASTER_KEY", &new).output().unwrap());
    let status = data.run("status", &[]);
    assert_eq!(status["provider"], "environment");
    assert_eq!(status["party"], made["party"]);
}

#[test]
fn a_running_party_is_left_alone_and_takes_up_its_new_key() {
    let data = Data::new();
    let running = RunningNode::spawn(node(data.0.path()).args(["--parties", "2"]));
    let before = data.run("status", &[]);
    let said = failure(data.keys("rotate", &[]).output().unwrap(), 1);
    assert!(said.contains("another process runs the party"), "{said}");
    assert!(said.contains("stop that first"), "{said}");
    assert_eq!(running.terminate().code(), Some(0));

    let rotated = data.run("rotate", &[]);
    assert_ne!(rotated["key_id"], before["key_id"]);
    let again = RunningNode::spawn(&mut node(data.0.path()));
    assert_eq!(data.run("status", &[])["party"], before["party"]);
    assert_eq!(again.terminate().code(), Some(0));
}

#[test]
fn in_production_master_keys_are_given() {
    let data = Data::new();
    let folder = data.0.path().join("node");
    let said = failure(production(&folder).output().unwrap(), 1);
    assert!(said.contains("mpc keys init"), "{said}");
    assert!(!folder.exists());

    for party in ["party-1", "party-2"] {
        let mut init = mpc(&["keys", "init", "--data"]);
        stdout(init.arg(data.0.path().join(party)).output().unwrap());
    }
    let running = RunningNode::spawn(&mut production(data.0.path()));
    assert_eq!(running.terminate().code(), Some(0));

    let given = Data::new();
    let mut command = production(given.0.path());
    let running = RunningNode::spawn(command.env("CRYPTO_MASTER_KEY", "ab".repeat(32)));
    assert_eq!(running.terminate().code(), Some(0));
    assert!(!given.key_file().exists());
}

#[test]
fn a_vanished_vault_is_told_and_not_replaced() {
    let data = Data::new();
    data.run("init", &[]);
    for file in fs::read_dir(data.party()).unwrap() {
        let file = file.unwrap().path();
        if file.file_name().unwrap().to_str().unwrap().starts_with("vault.sqlite") {
            fs::remove_file(file).unwrap();
        }
    }
    let said = failure(node(data.0.path()).args(["--parties", "2"]).output().unwrap(), 1);
    assert!(said.contains("is gone") && said.contains("restore the vault from a backup"), "{said}");
    assert!(!data.party().join("vault.sqlite").exists());
}

#[test]
fn the_data_folder_is_its_owners_alone_even_if_it_was_not() {
    let data = Data::new();
    fs::create_dir(data.party()).unwrap();
    for folder in [data.0.path(), &data.party()] {
        fs::set_permissions(folder, PermissionsExt::from_mode(0o755)).unwrap();
    }
    let mut lax = Command::new("sh");
    lax.env_clear().args(["-c", "umask 000; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_mpc")]);
    lax.args(["node", "--parties", "2", "--log", "warn", "--api", "127.0.0.1:0"]);
    lax.args(["--gateway", "127.0.0.1:0", "--data"]).arg(data.0.path());
    let running = RunningNode::spawn(&mut lax);
    let mut seen = 0;
    for folder in [data.0.path().to_owned(), data.party()] {
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
        for entry in fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            let metadata = entry.metadata().unwrap();
            if metadata.is_file() {
                let mode = metadata.permissions().mode() & 0o777;
                assert_eq!(mode, 0o600, "{}", entry.path().display());
                seen += 1;
            }
        }
    }
    assert!(seen >= 7, "{seen}");
    assert_eq!(running.terminate().code(), Some(0));
}
