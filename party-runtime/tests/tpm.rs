//! Master keys that a TPM 2.0 seals, against the emulator `swtpm`.

#![cfg(feature = "tpm")]
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use party_runtime::vault::{
    Kek, KekProvider, PcrSlots, ProviderKind, TpmError, TpmKey, VaultStatus,
};
use party_runtime::{KeySource, Vault, VaultError};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tss_esapi::handles::PcrHandle;
use tss_esapi::interface_types::algorithm::HashingAlgorithm;
use tss_esapi::structures::{Digest, DigestValues};
use tss_esapi::{Context, TctiNameConf};

/// How long the emulator may take to listen. It takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often it is asked for: another program may take a port between its choice and its use.
const TRIES: u32 = 10;

/// An emulated TPM. Its process ends with it; its state stays in its folder.
struct Swtpm {
    child: Child,
    port: u16,
}

impl Drop for Swtpm {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Swtpm {
    fn start(state: &Path) -> Self {
        for _ in 0..TRIES {
            if let Some(swtpm) = Self::try_start(state) {
                return swtpm;
            }
        }
        panic!("swtpm does not start");
    }

    fn try_start(state: &Path) -> Option<Self> {
        let port = two_free_ports();
        let child = Command::new("swtpm")
            .args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear"])
            .arg("--tpmstate")
            .arg(format!("dir={}", state.display()))
            .args(["--server", &format!("type=tcp,port={port},bindaddr=127.0.0.1")])
            .args(["--ctrl", &format!("type=tcp,port={},bindaddr=127.0.0.1", port + 1)])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("swtpm is installed: apt-get install swtpm");
        let mut swtpm = Self { child, port };
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            if swtpm.child.try_wait().unwrap().is_some() {
                return None;
            }
            if TcpStream::connect((Ipv4Addr::LOCALHOST, port + 1)).is_ok() {
                return Some(swtpm);
            }
            std::thread::yield_now();
        }
        None
    }

    fn address(&self) -> String {
        format!("swtpm:host=127.0.0.1,port={}", self.port)
    }

    fn key(&self, blob: &Path, pcrs: &str) -> TpmKey {
        TpmKey::new(self.address(), blob.to_owned(), pcrs.parse().unwrap())
    }

    /// Extends a PCR, as firmware does with what it starts.
    fn extend(&self, pcr: PcrHandle) {
        let mut context = Context::new(TctiNameConf::from_str(&self.address()).unwrap()).unwrap();
        let mut values = DigestValues::new();
        values.set(HashingAlgorithm::Sha256, Digest::try_from(vec![7; 32]).unwrap());
        context.execute_with_nullauth_session(|context| context.pcr_extend(pcr, values)).unwrap();
    }
}

/// A port that is free, as is the next one: the emulator's library expects its control there.
fn two_free_ports() -> u16 {
    for _ in 0..1000 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let next = port.checked_add(1).map(|next| TcpListener::bind((Ipv4Addr::LOCALHOST, next)));
        if matches!(next, Some(Ok(_))) {
            return port;
        }
    }
    panic!("no two free ports in a row");
}

struct Place {
    folder: TempDir,
    state: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), state: tempfile::tempdir().unwrap() }
    }

    fn tpm(&self) -> Swtpm {
        Swtpm::start(self.state.path())
    }

    fn blob(&self) -> PathBuf {
        self.folder.path().join("master.tpm")
    }

    fn vault(&self) -> PathBuf {
        self.folder.path().join("vault.sqlite")
    }
}

fn kek(digit: &str) -> Kek {
    Kek::from_hex(&digit.repeat(64)).unwrap()
}

#[track_caller]
fn refusal<T>(result: Result<T, VaultError>) -> TpmError {
    match result {
        Err(VaultError::Tpm(error)) => error,
        Err(error) => panic!("another refusal: {error}"),
        Ok(_) => panic!("not refused"),
    }
}

#[tokio::test]
async fn a_vault_is_made_and_opened_with_a_sealed_key() {
    let place = Place::new();
    let tpm = place.tpm();
    let source = KeySource::Tpm(tpm.key(&place.blob(), ""));
    let vault = Vault::open_or_create(&place.vault(), &source).await.unwrap();
    let party = vault.party();
    vault.close().await.unwrap();
    let mode = std::fs::metadata(place.blob()).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    let status = VaultStatus::read(&place.vault()).await.unwrap();
    assert_eq!(status.provider, ProviderKind::Tpm);

    // The TPM is switched off and on again; the port is another one.
    drop(tpm);
    let tpm = place.tpm();
    let source = KeySource::Tpm(tpm.key(&place.blob(), ""));
    assert_eq!(Vault::open(&place.vault(), &source).await.unwrap().party(), party);
}

#[test]
fn what_was_sealed_comes_back_from_its_tpm_only() {
    let place = Place::new();
    let tpm = place.tpm();
    let key = tpm.key(&place.blob(), "");
    key.seal(&kek("a")).unwrap();
    assert_eq!(key.unseal().unwrap().id(), kek("a").id());
    assert!(matches!(refusal(key.seal(&kek("b"))), TpmError::BlobExists { .. }));

    let stranger = Place::new();
    let other = stranger.tpm();
    let refused = refusal(other.key(&place.blob(), "").unseal());
    assert!(matches!(refused, TpmError::ForeignBlob), "{refused}");
    // The owner is still served.
    assert_eq!(key.unseal().unwrap().id(), kek("a").id());
}

#[test]
fn a_key_sealed_to_pcrs_is_kept_back_when_they_change() {
    let place = Place::new();
    let tpm = place.tpm();
    let key = tpm.key(&place.blob(), "16,23");
    key.seal(&kek("a")).unwrap();
    assert_eq!(key.unseal().unwrap().id(), kek("a").id());
    tpm.extend(PcrHandle::Pcr8);
    assert_eq!(key.unseal().unwrap().id(), kek("a").id(), "another PCR does not matter");
    tpm.extend(PcrHandle::Pcr16);
    let refused = refusal(key.unseal());
    assert!(matches!(&refused, TpmError::PcrsChanged(slots) if slots.to_string() == "16,23"));
    assert!(refused.to_string().contains("16,23"), "{refused}");
    // A blob knows its PCRs: leaving them out when asking does not help.
    assert!(matches!(refusal(tpm.key(&place.blob(), "").unseal()), TpmError::PcrsChanged(_)));
    // After a restart PCR 16 has its first value again.
    drop(tpm);
    let tpm = place.tpm();
    assert_eq!(tpm.key(&place.blob(), "").unseal().unwrap().id(), kek("a").id());
}

#[test]
fn a_blob_whose_pcrs_were_struck_out_gives_nothing() {
    let place = Place::new();
    let tpm = place.tpm();
    let key = tpm.key(&place.blob(), "16");
    key.seal(&kek("a")).unwrap();
    tpm.extend(PcrHandle::Pcr16);
    let blob = std::fs::read_to_string(place.blob()).unwrap();
    let mut json: serde_json::Value = serde_json::from_str(&blob).unwrap();
    json["pcrs"] = serde_json::json!([]);
    std::fs::write(place.blob(), json.to_string()).unwrap();
    let refused = key.unseal().unwrap_err();
    assert!(matches!(refused, VaultError::Tpm(_)), "{refused:?}");
}

#[test]
fn a_missing_tpm_or_blob_and_a_wrong_address_are_told_apart() {
    let place = Place::new();
    let tpm = place.tpm();
    let key = tpm.key(&place.blob(), "");
    assert!(matches!(refusal(key.unseal()), TpmError::NoBlob { .. }));
    key.seal(&kek("a")).unwrap();
    drop(tpm);
    let refused = refusal(key.unseal());
    assert!(matches!(&refused, TpmError::NoTpm(_)), "{refused}");
    let nowhere = TpmKey::new("a cupboard".into(), place.blob(), PcrSlots::default());
    assert!(matches!(refusal(nowhere.unseal()), TpmError::Address(_)));
}

#[test]
fn an_altered_or_open_blob_is_refused() {
    let place = Place::new();
    let tpm = place.tpm();
    let key = tpm.key(&place.blob(), "");
    key.seal(&kek("a")).unwrap();
    let blob = std::fs::read_to_string(place.blob()).unwrap();
    let json: serde_json::Value = serde_json::from_str(&blob).unwrap();
    for part in ["public", "private"] {
        let hex = json[part].as_str().unwrap();
        for at in [hex.len() / 2, hex.len() - 1] {
            let digit = if hex.as_bytes()[at] == b'0' { "1" } else { "0" };
            let mut altered = json.clone();
            altered[part] = format!("{}{digit}{}", &hex[..at], &hex[at + 1..]).into();
            std::fs::write(place.blob(), altered.to_string()).unwrap();
            let refused = refusal(key.unseal());
            assert!(matches!(refused, TpmError::ForeignBlob), "{part} at {at}: {refused}");
        }
    }
    std::fs::write(place.blob(), "{}").unwrap();
    assert!(matches!(refusal(key.unseal()), TpmError::BlobForm { .. }));
    std::fs::write(place.blob(), &blob).unwrap();
    assert_eq!(key.unseal().unwrap().id(), kek("a").id());
    std::fs::set_permissions(place.blob(), PermissionsExt::from_mode(0o644)).unwrap();
    assert!(matches!(key.unseal(), Err(VaultError::KeyFileOpen { mode: 0o644, .. })));
}

#[test]
fn the_blob_does_not_hold_the_key_and_debug_does_not_show_it() {
    let place = Place::new();
    let tpm = place.tpm();
    let key = tpm.key(&place.blob(), "");
    key.seal(&Kek::from_hex(&"c7".repeat(32)).unwrap()).unwrap();
    let blob = std::fs::read_to_string(place.blob()).unwrap();
    let texts = [blob, format!("{key:?} {:?}", KeySource::Tpm(key.clone()))];
    assert!(texts.iter().all(|text| !text.contains("c7c7c7c7")), "{texts:?}");
}

#[tokio::test]
async fn a_vault_is_rotated_to_a_tpm_within_it_and_away_from_it() {
    let place = Place::new();
    let tpm = place.tpm();
    let sealed = KeySource::Tpm(tpm.key(&place.blob(), ""));
    let hex = |digit: &str| KeySource::Hex(zeroize::Zeroizing::new(digit.repeat(64)));
    let vault = Vault::create(&place.vault(), &hex("a")).await.unwrap();

    // A blob of old is not taken up again, and its PCRs stay asked for.
    tpm.key(&place.blob(), "23").seal(&kek("c")).unwrap();
    let first = vault.rotate(Arc::new(sealed.clone())).await.unwrap();
    assert_ne!(first, *kek("c").id());
    let second = vault.rotate(Arc::new(sealed.clone())).await.unwrap();
    assert_ne!(first, second);
    let blob = std::fs::read_to_string(place.blob()).unwrap();
    let blob: serde_json::Value = serde_json::from_str(&blob).unwrap();
    assert_eq!(blob["pcrs"], serde_json::json!([23]));
    vault.close().await.unwrap();
    let vault = Vault::open(&place.vault(), &sealed).await.unwrap();
    assert_eq!(vault.key_id().await, second);

    // A crash between the first commit and the blob's change of place.
    let next = place.folder.path().join("master.tpm.next");
    std::fs::copy(place.blob(), &next).unwrap();
    std::fs::remove_file(place.blob()).unwrap();
    tpm.key(&place.blob(), "").seal(&kek("d")).unwrap();
    vault.close().await.unwrap();
    let vault = Vault::open(&place.vault(), &sealed).await.unwrap();
    assert_eq!(vault.key_id().await, second);
    assert!(!next.exists());

    vault.rotate(Arc::new(hex("b"))).await.unwrap();
    assert_eq!(vault.status().await.unwrap().provider, hex("b").kind());
    vault.close().await.unwrap();
    Vault::open(&place.vault(), &hex("b")).await.unwrap();
    let refused = Vault::open(&place.vault(), &sealed).await;
    assert!(matches!(refused, Err(VaultError::WrongKey { .. })));
}
