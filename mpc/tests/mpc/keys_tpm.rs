//! `mpc keys seal` and `unseal`, against the emulator `swtpm`.

#![cfg(feature = "tpm")]

use crate::canary::Canaries;
use crate::command::{EVERYTHING, failure, mpc, stdout};
use serde_json::Value;
use std::cell::RefCell;
use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long the emulator may take to listen. It takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(20);

/// An emulated TPM; killed when dropped.
struct Swtpm(Child, u16);

impl Drop for Swtpm {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Swtpm {
    /// Starts an emulator on two free ports in a row, as its clients expect them. Tried again if
    /// another program takes one of them first.
    fn start(state: &Path) -> Self {
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let port = listener.local_addr().unwrap().port();
            drop(listener);
            let Some(control) = port.checked_add(1) else { continue };
            let child = Command::new("swtpm")
                .args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear"])
                .args(["--tpmstate", &format!("dir={}", state.display())])
                .args(["--server", &format!("type=tcp,port={port},bindaddr=127.0.0.1")])
                .args(["--ctrl", &format!("type=tcp,port={control},bindaddr=127.0.0.1")])
                .stderr(Stdio::null())
                .spawn()
                .expect("swtpm is installed: apt-get install swtpm");
            let mut swtpm = Self(child, port);
            while swtpm.0.try_wait().unwrap().is_none() {
                if TcpStream::connect((Ipv4Addr::LOCALHOST, control)).is_ok() {
                    return swtpm;
                }
                std::thread::yield_now();
            }
        }
        panic!("swtpm does not start");
    }

    fn address(&self) -> String {
        format!("swtpm:host=127.0.0.1,port={}", self.1)
    }
}

#[test]
fn a_key_is_sealed_used_rotated_and_unsealed() {
    let folder = tempfile::tempdir().unwrap();
    let (party, state) = (folder.path().join("party-1"), folder.path().join("tpm"));
    fs::create_dir(&state).unwrap();
    let tpm = Swtpm::start(&state);
    let address = tpm.address();
    let key_file = party.join("master.key");
    let told = RefCell::new(Vec::new());
    let command = |verb: &str, args: &[&str]| {
        let mut command = mpc(&["keys", verb, "--output", "json", "--data"]);
        let output = command.arg(&party).args(args).env("RUST_LOG", EVERYTHING).output().unwrap();
        told.borrow_mut().extend([&output.stdout[..], &output.stderr].concat());
        output
    };
    let key =
        || ("master key", hex::decode(fs::read_to_string(&key_file).unwrap().trim()).unwrap());
    let run = |verb: &str, args: &[&str]| -> Value {
        serde_json::from_str(&stdout(command(verb, args))).unwrap()
    };

    let made = run("init", &[]);
    let sealed = run("seal", &["--to-tpm", &address, "--to-pcrs", "16"]);
    assert_eq!(sealed["key_id"], made["key_id"]);
    assert_eq!(sealed["provider"], "tpm");
    let said = failure(command("seal", &["--to-tpm", &address]), 1);
    assert!(said.contains("there is a TPM blob"), "{said}");

    let mut keys = vec![key()];
    // From here on the TPM alone opens the vault.
    fs::remove_file(&key_file).unwrap();
    let rotated = run("rotate", &["--tpm", &address]);
    assert_ne!(rotated["key_id"], made["key_id"]);
    let said = failure(command("unseal", &[]), 1);
    assert!(said.contains("master.key is missing"), "{said}");
    let unsealed = run("unseal", &["--tpm", &address]);
    assert_eq!(unsealed["key_id"], rotated["key_id"]);
    assert_eq!(unsealed["provider"], "file");
    keys.push(key());
    drop(tpm);
    let said = failure(command("rotate", &["--tpm", &address]), 1);
    assert!(said.contains("no TPM answers"), "{said}");
    assert_ne!(run("rotate", &[])["key_id"], rotated["key_id"]);
    keys.push(key());
    // Row 25: at TRACE nothing tells a key that a TPM has sealed, or opened again.
    let told = told.take();
    assert!(String::from_utf8_lossy(&told).contains("TRACE"));
    let found = Canaries::new(keys).find(&told);
    assert!(found.is_empty(), "{found:#?}");
}
