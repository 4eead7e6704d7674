//! The vault keeps what it is given, and refuses whatever was tampered with.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use mpc_engine::SecretBytes;
use mpc_wire::{AccountId, Epoch, PublicKey, Scheme, SessionId, Threshold};
use party_runtime::vault::ShareRecord;
use party_runtime::{KeySource, Vault, VaultError};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, Statement};
use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use zeroize::Zeroizing;

const SECRET: &[u8] = b"a share that must not lie open on disk";

fn key(digit: char) -> KeySource {
    KeySource::Hex(Zeroizing::new(digit.to_string().repeat(64)))
}

fn share(vault: &Vault) -> ShareRecord {
    ShareRecord {
        session: SessionId::generate(),
        scheme: Scheme::EcdsaCggmp24,
        threshold: Threshold(2),
        holders: BTreeSet::from([vault.party()]),
        public_key: PublicKey::new([2; 33]),
        share: SecretBytes::new(SECRET.to_vec()),
    }
}

async fn raw(path: &Path) -> DatabaseConnection {
    Database::connect(format!("sqlite://{}", path.display())).await.unwrap()
}

async fn execute(db: &DatabaseConnection, sql: &str) {
    let statement = Statement::from_string(db.get_database_backend(), sql);
    let done = db.execute_raw(statement).await.unwrap();
    assert!(done.rows_affected() > 0, "the test must change something: {sql}");
}

#[tokio::test]
async fn shares_and_identity_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vault.sqlite");
    let account = AccountId::generate();

    let vault = Vault::open(&path, &key('a')).await.unwrap();
    let party = vault.party();
    vault.store_share(account, Epoch(1), &share(&vault)).await.unwrap();
    drop(vault);

    let vault = Vault::open(&path, &key('a')).await.unwrap();
    assert_eq!(vault.party(), party);
    let stored = vault.share(account, Epoch(1)).await.unwrap().unwrap();
    assert_eq!(stored.share.expose(), SECRET);
    assert!(vault.share(account, Epoch(2)).await.unwrap().is_none());
    assert!(vault.share(AccountId::generate(), Epoch(1)).await.unwrap().is_none());
}

#[tokio::test]
async fn a_wrong_key_is_refused_at_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vault.sqlite");
    Vault::open(&path, &key('a')).await.unwrap();
    assert!(matches!(Vault::open(&path, &key('b')).await, Err(VaultError::WrongKey)));
    let malformed = KeySource::Hex(Zeroizing::new("abc".into()));
    assert!(matches!(Vault::open(&path, &malformed).await, Err(VaultError::KeyForm)));
}

#[tokio::test]
async fn nothing_secret_lies_open_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vault.sqlite");
    let vault = Vault::open(&path, &key('a')).await.unwrap();
    vault.store_share(AccountId::generate(), Epoch(1), &share(&vault)).await.unwrap();
    let seed = vault.identity().seed();
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        let contains = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
        assert!(!contains(SECRET) && !contains(seed.as_slice()));
    }
}

#[tokio::test]
async fn a_moved_swapped_or_altered_row_is_refused() {
    let (first, second) = (AccountId::generate(), AccountId::generate());
    let alterations = [
        format!("update sealed_records set epoch = 2 where name = '{first}'"),
        format!(
            "update sealed_records set name = '{}' where name = '{first}'",
            AccountId::generate()
        ),
        "update sealed_records set kind = 'aux' where kind = 'share'".to_owned(),
        format!(
            "update sealed_records set sealed = (select sealed from sealed_records where name = \
             '{second}') where name = '{first}'"
        ),
        format!(
            "update sealed_records set (sealed, wrapped_key) = (select sealed, wrapped_key from \
             sealed_records where name = '{second}') where name = '{first}'"
        ),
        format!("update sealed_records set sealed = substr(sealed, 1, 20) where name = '{first}'"),
        format!("update sealed_records set key_id = '0011223344556677' where name = '{first}'"),
    ];
    for alteration in alterations {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vault.sqlite");
        let vault = Vault::open(&path, &key('a')).await.unwrap();
        for account in [first, second] {
            vault.store_share(account, Epoch(1), &share(&vault)).await.unwrap();
        }
        execute(&raw(&path).await, &alteration).await;
        for (account, epoch) in [(first, Epoch(1)), (first, Epoch(2))] {
            let read = vault.share(account, epoch).await;
            // Gone from its place, or there and refused; never another record's content.
            assert!(
                matches!(read, Ok(None) | Err(VaultError::Altered)),
                "{alteration}: {:?}",
                read.map(|share| share.is_some())
            );
        }
    }
}

#[tokio::test]
async fn a_key_file_is_made_private_and_kept_private() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vault.sqlite");
    let key_file = folder.path().join("master.key");
    let source = KeySource::File(key_file.clone());
    let party = Vault::open(&path, &source).await.unwrap().party();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&key_file), 0o600);
    assert_eq!(Vault::open(&path, &source).await.unwrap().party(), party);

    std::fs::set_permissions(&key_file, PermissionsExt::from_mode(0o640)).unwrap();
    let refused = Vault::open(&path, &source).await;
    assert!(matches!(refused, Err(VaultError::KeyFileOpen { mode: 0o640, .. })));
}

#[tokio::test]
async fn debug_shows_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let vault = Vault::open(&folder.path().join("vault.sqlite"), &key('a')).await.unwrap();
    let texts = [format!("{:?}", share(&vault)), format!("{vault:?}"), format!("{:?}", key('a'))];
    let secret = String::from_utf8_lossy(SECRET);
    for text in texts {
        assert!(!text.contains(&*secret) && !text.contains("aaaa"), "{text}");
    }
}
