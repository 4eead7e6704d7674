//! Where master keys come from.

use super::*;
use party_runtime::vault::Passphrase;
use std::os::unix::fs::PermissionsExt;

fn passphrase(text: &str) -> KeySource {
    KeySource::Passphrase(Passphrase::new(Zeroizing::new(text.to_owned())))
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn a_malformed_key_is_refused() {
    let folder = Folder::new();
    folder.create('a').await;
    for bad in ["abc", "", &"a".repeat(63), &"g".repeat(64)] {
        let malformed = KeySource::Hex(Zeroizing::new((*bad).to_owned()));
        let refused = Vault::open(&folder.vault(), &malformed).await;
        assert!(matches!(refused, Err(VaultError::KeyForm)), "{bad}");
    }
}

#[tokio::test]
async fn a_key_file_is_made_private_and_kept_private() {
    let folder = Folder::new();
    let key_file = folder.path().join("master.key");
    let source = KeySource::File(key_file.clone());
    let party = Vault::open_or_create(&folder.vault(), &source).await.unwrap().party();
    assert_eq!(mode(&key_file), 0o600);
    let existing = KeySource::ExistingFile(key_file.clone());
    assert_eq!(Vault::open(&folder.vault(), &existing).await.unwrap().party(), party);

    std::fs::set_permissions(&key_file, PermissionsExt::from_mode(0o640)).unwrap();
    let refused = Vault::open(&folder.vault(), &source).await;
    assert!(matches!(refused, Err(VaultError::KeyFileOpen { mode: 0o640, .. })));
}

#[tokio::test]
async fn a_link_counts_as_the_file_that_it_leads_to() {
    let folder = Folder::new();
    let (key_file, link) = (folder.path().join("real.key"), folder.path().join("link.key"));
    Vault::create(&folder.vault(), &KeySource::File(key_file.clone())).await.unwrap();
    std::os::unix::fs::symlink(&key_file, &link).unwrap();
    let source = KeySource::ExistingFile(link);
    Vault::open(&folder.vault(), &source).await.unwrap();
    std::fs::set_permissions(&key_file, PermissionsExt::from_mode(0o604)).unwrap();
    let refused = Vault::open(&folder.vault(), &source).await;
    assert!(matches!(refused, Err(VaultError::KeyFileOpen { mode: 0o604, .. })));
}

#[tokio::test]
async fn a_missing_key_file_is_not_made_for_a_vault_that_exists_nor_where_keys_are_given() {
    let folder = Folder::new();
    let key_file = folder.path().join("master.key");
    let given = KeySource::ExistingFile(key_file.clone());
    let refused = Vault::open_or_create(&folder.vault(), &given).await;
    assert!(matches!(refused, Err(VaultError::KeyFileMissing { .. })));
    assert!(!key_file.exists());

    let folder = Folder::new();
    let source = KeySource::File(folder.path().join("master.key"));
    Vault::create(&folder.vault(), &source).await.unwrap();
    std::fs::remove_file(folder.path().join("master.key")).unwrap();
    let refused = Vault::open_or_create(&folder.vault(), &source).await;
    assert!(matches!(refused, Err(VaultError::KeyFileMissing { .. })));
    assert!(!folder.path().join("master.key").exists());
}

#[tokio::test]
async fn a_passphrase_opens_its_vault_and_no_other_one() {
    let folder = Folder::new();
    let right = passphrase("correct horse battery");
    let party = Vault::create(&folder.vault(), &right).await.unwrap().party();
    assert_eq!(Vault::open(&folder.vault(), &right).await.unwrap().party(), party);

    let wrong = passphrase("correct horse batterz");
    let refused = Vault::open(&folder.vault(), &wrong).await;
    assert!(matches!(refused, Err(VaultError::WrongKey { .. })));

    // The same passphrase makes another key for another vault: the salt is its own.
    let other = Folder::new();
    let first = Vault::open(&folder.vault(), &right).await.unwrap().key_id().await;
    let second = Vault::create(&other.vault(), &right).await.unwrap().key_id().await;
    assert_ne!(first, second);

    let hex = Folder::new();
    hex.create('a').await;
    let refused = Vault::open(&hex.vault(), &right).await;
    assert!(matches!(refused, Err(VaultError::NoPassphrase { .. })));
    let refused = folder.open('a').await;
    assert!(matches!(refused, Err(VaultError::WrongKey { .. })));
}

#[tokio::test]
async fn a_passphrase_file_is_private_and_its_line_end_no_part_of_it() {
    let folder = Folder::new();
    let file = folder.path().join("passphrase");
    std::fs::write(&file, "correct horse battery\n").unwrap();
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).unwrap();
    assert!(matches!(Passphrase::read(&file), Err(VaultError::KeyFileOpen { mode: 0o644, .. })));
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
    let source = KeySource::Passphrase(Passphrase::read(&file).unwrap());
    Vault::create(&folder.vault(), &source).await.unwrap();
    Vault::open(&folder.vault(), &passphrase("correct horse battery")).await.unwrap();
}

#[tokio::test]
async fn a_short_passphrase_makes_no_vault() {
    let folder = Folder::new();
    let refused = Vault::create(&folder.vault(), &passphrase("too short")).await;
    assert!(matches!(refused, Err(VaultError::ShortPassphrase { .. })));
}

#[tokio::test]
async fn weak_parameters_in_the_header_are_refused() {
    let folder = Folder::new();
    let right = passphrase("correct horse battery");
    Vault::create(&folder.vault(), &right).await.unwrap().close().await.unwrap();
    for (from, to) in [("65536", "8"), ("65536", "4000000000"), ("argon2id-v19", "argon2i-v19")] {
        let copy = folder.copy();
        let sql =
            format!("update vault_header set derivation = replace(derivation, '{from}', '{to}')");
        tamper(&copy.vault(), &sql).await;
        let refused = Vault::open(&copy.vault(), &right).await;
        assert!(
            matches!(refused, Err(VaultError::Derivation(_) | VaultError::HeaderAltered)),
            "{to}: {refused:?}"
        );
    }
}
