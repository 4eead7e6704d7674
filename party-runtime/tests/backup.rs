//! Backups: what is in them, who can open them, and what becomes of them.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use age::secrecy::ExposeSecret;
use mpc_engine::SecretBytes;
use mpc_wire::{
    AccountId, AuxId, Epoch, EpochPlan, PlanHash, PublicKey, Scheme, SessionId, SharesHash,
    Threshold, UnixMillis,
};
use party_runtime::backup::{self, BackupError, Identities, OpenedBackup, Recipients};
use party_runtime::quarantine::{Restoration, RestoreMode};
use party_runtime::vault::{AuxRecord, Kind, ShareRecord};
use party_runtime::{KeySource, Vault, VaultError};
use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;
use zeroize::Zeroizing;

const SECRET: &[u8] = b"a share that must not lie open in a backup";
const AUX: &[u8] = b"an aux part that must not lie open either";
const MADE: UnixMillis = UnixMillis(1_800_000_000_000);
const RESTORED: UnixMillis = UnixMillis(1_800_000_060_000);

struct World {
    folder: TempDir,
    vault: Vault,
    account: AccountId,
    aux: AuxId,
    identity: age::x25519::Identity,
}

fn key(digit: char) -> KeySource {
    KeySource::Hex(Zeroizing::new(digit.to_string().repeat(64)))
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let vault = Vault::create(&folder.path().join("vault.sqlite"), &key('1')).await.unwrap();
        let (account, aux) = (AccountId::generate(), AuxId::new([7; 32]));
        let share = ShareRecord {
            session: SessionId::generate(),
            plan: PlanHash::new([0x91; 32]),
            public_shares: SharesHash::new([0x92; 32]),
            scheme: Scheme::EcdsaCggmp24,
            threshold: Threshold(2),
            holders: BTreeSet::from([vault.party()]),
            public_key: PublicKey::new([2; 33]),
            share: SecretBytes::new(SECRET.to_vec()),
        };
        vault.store_share(account, Epoch(1), &share).await.unwrap();
        let parties = BTreeSet::from([vault.party()]);
        let secret = SecretBytes::new(AUX.to_vec());
        let record = AuxRecord { scheme: Scheme::EcdsaCggmp24, parties, secret };
        vault.store_aux(aux, &record).await.unwrap();
        Self { folder, vault, account, aux, identity: age::x25519::Identity::generate() }
    }

    fn identity_file(&self) -> Zeroizing<String> {
        let secret = self.identity.to_string();
        Zeroizing::new(format!("# made by a test\n{}\n", secret.expose_secret()))
    }

    fn identities(&self) -> Identities {
        Identities::parse(&self.identity_file()).unwrap()
    }

    async fn backup(&self) -> Vec<u8> {
        let recipients = Recipients::parse(&[self.identity.to_public().to_string()]).unwrap();
        let mut sealed = Vec::new();
        let summary = backup::write(&self.vault, &recipients, MADE, &mut sealed).await.unwrap();
        assert_eq!((summary.party_id, summary.shares), (self.vault.party(), 1));
        sealed
    }

    fn other(&self) -> PathBuf {
        let folder = self.folder.path().join("other");
        std::fs::create_dir_all(&folder).unwrap();
        folder.join("vault.sqlite")
    }

    async fn restore(&self, sealed: &[u8], path: &Path) -> Result<Vault, BackupError> {
        let opened = OpenedBackup::read(&self.identities(), sealed)?;
        opened.restore(path, &key('2'), RestoreMode::Quarantined, RESTORED).await
    }
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

/// A share that waits for its activation comes back, as proven as it was, and waits for the peers'
/// word first: the account may have gone on without it.
#[tokio::test]
async fn a_share_that_waits_comes_back_and_is_confined() {
    let world = World::new().await;
    let account = AccountId::generate();
    let share = world.vault.share(world.account, Epoch(1)).await.unwrap().unwrap();
    let of = EpochPlan { account, epoch: Epoch(1), plan: share.plan };
    let stored = world.vault.prepare_share(account, Epoch(1), &share).await.unwrap();
    let proven = world.vault.prove_share(of).await.unwrap();
    let recipients = Recipients::parse(&[world.identity.to_public().to_string()]).unwrap();
    let mut sealed = Vec::new();
    let summary = backup::write(&world.vault, &recipients, MADE, &mut sealed).await.unwrap();
    assert_eq!(summary.shares, 2);

    let restored = world.restore(&sealed, &world.other()).await.unwrap();
    assert_eq!(restored.share_of(of).await.unwrap().unwrap().share.expose(), SECRET);
    assert_eq!(restored.attest_share(of).await.unwrap(), Some(stored));
    assert_eq!(restored.prove_share(of).await.unwrap(), proven);
    let state: Restoration =
        restored.read_record(Kind::Restoration, "", Epoch(0)).await.unwrap().unwrap();
    assert_eq!(state.confined(), BTreeSet::from([world.account, account]));
    // It is as inactive as it was.
    assert!(restored.share(account, Epoch(1)).await.unwrap().is_none());
}

#[tokio::test]
async fn everything_durable_comes_back_under_another_key_and_in_quarantine() {
    let world = World::new().await;
    let sealed = world.backup().await;
    for secret in [SECRET, AUX] {
        assert!(!contains(&sealed, secret) && !contains(&sealed, hex::encode(secret).as_bytes()));
    }
    let path = world.other();
    let restored = world.restore(&sealed, &path).await.unwrap();
    assert_eq!(restored.party(), world.vault.party());
    let share = restored.share(world.account, Epoch(1)).await.unwrap().unwrap();
    assert_eq!(share.share.expose(), SECRET);
    assert_eq!(share.threshold, Threshold(2));
    let aux = restored.aux(world.aux).await.unwrap().unwrap();
    assert_eq!(aux.secret.expose(), AUX);
    assert_eq!(restored.floor(world.account).await.unwrap(), Some(Epoch(1)));
    restored.close().await.unwrap();

    // It survives a restart, knows its state, and is sealed with the new key alone.
    let restored = Vault::open(&path, &key('2')).await.unwrap();
    let state: Restoration =
        restored.read_record(Kind::Restoration, "", Epoch(0)).await.unwrap().unwrap();
    assert_eq!(
        (state.mode, state.made_at, state.restored_at),
        (RestoreMode::Quarantined, MADE, RESTORED)
    );
    assert_eq!(state.confined(), BTreeSet::from([world.account]));
    assert!(matches!(Vault::open(&path, &key('1')).await, Err(VaultError::WrongKey { .. })));
    // What a restored party signs is signed with the same identity.
    let bytes = b"anything";
    let signature = restored.identity().sign(bytes);
    assert!(world.vault.party().verify(bytes, &signature).is_ok());
}

#[tokio::test]
async fn a_backup_of_a_restored_party_does_not_pass_the_quarantine_on() {
    let world = World::new().await;
    let restored = world.restore(&world.backup().await, &world.other()).await.unwrap();
    let recipients = Recipients::parse(&[world.identity.to_public().to_string()]).unwrap();
    let mut sealed = Vec::new();
    backup::write(&restored, &recipients, RESTORED, &mut sealed).await.unwrap();
    let path = world.folder.path().join("third.sqlite");
    let again = world.restore(&sealed, &path).await.unwrap();
    let state: Restoration =
        again.read_record(Kind::Restoration, "", Epoch(0)).await.unwrap().unwrap();
    assert_eq!(state.made_at, RESTORED, "the state is that of the newer restoration");
}

#[tokio::test]
async fn only_the_recipients_open_it() {
    let world = World::new().await;
    let sealed = world.backup().await;
    let stranger = age::x25519::Identity::generate();
    let stranger = Identities::parse(stranger.to_string().expose_secret()).unwrap();
    assert!(matches!(
        OpenedBackup::read(&stranger, sealed.as_slice()).err(),
        Some(BackupError::NotForThisIdentity)
    ));
    for wrong in ["", "# only a comment\n", "AGE-SECRET-KEY-1NOTAKEY"] {
        assert!(matches!(Identities::parse(wrong).err(), Some(BackupError::Identity)), "{wrong}");
    }
    assert!(matches!(Recipients::parse(&[]).err(), Some(BackupError::NoRecipient)));
    assert!(matches!(
        Recipients::parse(&["age1nobody".to_owned()]).err(),
        Some(BackupError::Recipient(_))
    ));
}

#[tokio::test]
async fn a_damaged_backup_is_refused_and_leaves_no_vault() {
    let world = World::new().await;
    let sealed = world.backup().await;
    let path = world.other();
    let mut damaged = Vec::new();
    // A bit in every hundredth byte, in the last one, and some lengths to which it may be cut.
    for at in (0..sealed.len()).step_by(100).chain([sealed.len() - 1]) {
        let mut flipped = sealed.clone();
        flipped[at] ^= 1;
        damaged.push(flipped);
    }
    damaged.extend([0, 1, 100, sealed.len() / 2, sealed.len() - 1].map(|n| sealed[..n].to_vec()));
    damaged.push(b"not an age file at all".to_vec());
    for (number, bytes) in damaged.iter().enumerate() {
        let error = world.restore(bytes, &path).await.err();
        assert!(
            matches!(error, Some(BackupError::Damaged | BackupError::NotForThisIdentity)),
            "{number}: {error:?}"
        );
        assert!(!path.exists(), "{number}");
    }
}

#[tokio::test]
async fn what_is_no_backup_of_this_kind_is_refused() {
    let world = World::new().await;
    let documents = [
        "{}",
        "[]",
        r#"{"format":"other","version":1,"party_id":"00","made_at":1,"records":[]}"#,
        &format!(
            r#"{{"format":"mpc-party-backup","version":2,"party_id":"{}","made_at":1,"records":[]}}"#,
            world.vault.party()
        ),
        &format!(
            r#"{{"format":"mpc-party-backup","version":1,"party_id":"{}","made_at":1,
               "records":[{{"kind":"session","name":"x","epoch":0,"content":"00"}}]}}"#,
            world.vault.party()
        ),
    ];
    for document in documents {
        let recipient = world.identity.to_public();
        let encryptor =
            age::Encryptor::with_recipients([&recipient as &dyn age::Recipient].into_iter());
        let mut sealed = Vec::new();
        let mut writer = encryptor.unwrap().wrap_output(&mut sealed).unwrap();
        writer.write_all(document.as_bytes()).unwrap();
        writer.finish().unwrap();
        let error = OpenedBackup::read(&world.identities(), sealed.as_slice()).err();
        assert!(matches!(error, Some(BackupError::Form)), "{document}: {error:?}");
    }
    // Without an identity of the party there is nothing to restore.
    let document = format!(
        r#"{{"format":"mpc-party-backup","version":1,"party_id":"{}","made_at":1,"records":[]}}"#,
        world.vault.party()
    );
    let recipient = world.identity.to_public();
    let encryptor =
        age::Encryptor::with_recipients([&recipient as &dyn age::Recipient].into_iter());
    let mut sealed = Vec::new();
    let mut writer = encryptor.unwrap().wrap_output(&mut sealed).unwrap();
    writer.write_all(document.as_bytes()).unwrap();
    writer.finish().unwrap();
    let path = world.other();
    let error = world.restore(&sealed, &path).await.err();
    assert!(matches!(error, Some(BackupError::Vault(VaultError::Missing(_)))), "{error:?}");
    assert!(!path.exists());
}

#[tokio::test]
async fn no_vault_is_overwritten_and_a_vanished_one_comes_back() {
    let world = World::new().await;
    let sealed = world.backup().await;
    let path = world.folder.path().join("vault.sqlite");
    let error = world.restore(&sealed, &path).await.err();
    assert!(matches!(error, Some(BackupError::Vault(VaultError::Exists { .. }))), "{error:?}");

    // The vault's file is lost; what is left beside it names the party.
    world.vault.close().await.unwrap();
    for file in ["vault.sqlite", "vault.sqlite-wal", "vault.sqlite-shm"] {
        let _absent = std::fs::remove_file(world.folder.path().join(file));
    }
    let restored = world.restore(&sealed, &path).await.unwrap();
    assert_eq!(restored.party(), world.vault.party());

    // Another party's backup does not take its place.
    restored.close().await.unwrap();
    for file in ["vault.sqlite", "vault.sqlite-wal", "vault.sqlite-shm"] {
        let _absent = std::fs::remove_file(world.folder.path().join(file));
    }
    let stranger = World::new().await;
    let error = stranger.restore(&stranger.backup().await, &path).await.err();
    assert!(matches!(error, Some(BackupError::Vault(VaultError::Vanished { .. }))), "{error:?}");
}

#[tokio::test]
async fn an_old_epoch_is_not_stored_again() {
    let world = World::new().await;
    let share = world.vault.share(world.account, Epoch(1)).await.unwrap().unwrap();
    world.vault.store_share(world.account, Epoch(2), &share).await.unwrap();
    let error = world.vault.store_share(world.account, Epoch(1), &share).await.err();
    assert!(matches!(error, Some(VaultError::BelowFloor { .. })), "{error:?}");
    assert_eq!(world.vault.floor(world.account).await.unwrap(), Some(Epoch(2)));
}

/// The standard command, if it is there: in CI it must be.
fn age(args: &[&str], input: &[u8]) -> Option<Vec<u8>> {
    let child = Command::new("age").args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) if std::env::var_os("CI").is_none() => {
            eprintln!("SKIPPED: the command `age` is not there ({error})");
            return None;
        }
        Err(error) => panic!("the command `age` must be there in CI: {error}"),
    };
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "{args:?}");
    Some(output.stdout)
}

#[tokio::test]
async fn the_standard_age_command_opens_a_backup() {
    let world = World::new().await;
    let sealed = world.backup().await;
    let identity = world.folder.path().join("identity.txt");
    std::fs::write(&identity, world.identity_file().as_bytes()).unwrap();
    let Some(text) = age(&["--decrypt", "--identity", identity.to_str().unwrap()], &sealed) else {
        return;
    };
    let document: serde_json::Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(document["format"], "mpc-party-backup");
    assert_eq!(document["party_id"], world.vault.party().to_string());
    let records = document["records"].as_array().unwrap();
    let kinds: BTreeSet<_> =
        records.iter().map(|record| record["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, BTreeSet::from(["aux", "floor", "identity", "share"]));
    let share = records.iter().find(|record| record["kind"] == "share").unwrap();
    let content = hex::decode(share["content"].as_str().unwrap()).unwrap();
    assert!(contains(&content, SECRET));

    // And what `age` has sealed anew is read here.
    let recipient = world.identity.to_public().to_string();
    let again = age(&["--encrypt", "--recipient", &recipient], &text).unwrap();
    assert!(OpenedBackup::read(&world.identities(), again.as_slice()).is_ok());
}

#[tokio::test]
async fn an_interrupted_restoration_becomes_no_other_identity_and_can_begin_again() {
    let world = World::new().await;
    let sealed = world.backup().await;
    let path = world.other();
    // What a crash leaves: the marker, and a database that is not whole.
    let marker = path.with_extension("making");
    std::fs::write(&marker, format!("{}\n", world.vault.party())).unwrap();
    std::fs::write(&path, b"").unwrap();
    for result in
        [Vault::open_or_create(&path, &key('2')).await, Vault::create(&path, &key('2')).await]
    {
        assert!(matches!(result, Err(VaultError::Interrupted { .. })), "{result:?}");
    }
    let stranger = World::new().await;
    let error = stranger.restore(&stranger.backup().await, &path).await.err();
    assert!(matches!(error, Some(BackupError::Vault(VaultError::Exists { .. }))), "{error:?}");

    let restored = world.restore(&sealed, &path).await.unwrap();
    assert_eq!(restored.party(), world.vault.party());
    assert!(!marker.exists());
}
