//! Who can get at the vault's files, and what happens when some are gone.

use super::*;
use party_runtime::vault::VaultStatus;
use std::os::unix::fs::PermissionsExt;

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

/// The files in a folder, with their permission bits.
fn modes(folder: &Path) -> Vec<(String, u32)> {
    std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
            (entry.file_name().to_string_lossy().into_owned(), mode)
        })
        .collect()
}

#[tokio::test]
async fn every_file_is_its_owners_alone_even_in_a_folder_that_is_not() {
    let folder = Folder::new();
    set_mode(folder.path(), 0o755);
    let source = KeySource::File(folder.path().join("master.key"));
    let vault = Vault::open_or_create(&folder.vault(), &source).await.unwrap();
    fill(&vault).await;
    let files = modes(folder.path());
    for name in
        ["vault.sqlite", "vault.sqlite-wal", "vault.sqlite-shm", "vault.party", "master.key"]
    {
        assert!(files.contains(&(name.to_owned(), 0o600)), "{name}: {files:?}");
    }
    assert!(files.iter().all(|(_, mode)| *mode == 0o600), "{files:?}");
}

#[tokio::test]
async fn a_vault_that_others_can_read_is_closed_and_one_that_they_can_write_refused() {
    let folder = Folder::new();
    drop(folder.create('a').await);
    set_mode(&folder.vault(), 0o644);
    drop(folder.open('a').await.unwrap());
    assert!(modes(folder.path()).contains(&("vault.sqlite".to_owned(), 0o600)));
    for bad in [0o620, 0o602, 0o666] {
        set_mode(&folder.vault(), bad);
        let refused = folder.open('a').await;
        assert!(matches!(refused, Err(VaultError::Writable { mode, .. }) if mode == bad));
    }
}

/// SQLite makes the files beside a vault and takes them away, whoever looks at them just then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vault_is_looked_at_while_it_is_opened_and_closed() {
    let folder = Folder::new();
    folder.create('a').await.close().await.unwrap();
    let path = folder.vault();
    let looking = tokio::spawn(async move {
        for _ in 0..300 {
            VaultStatus::read(&path).await.unwrap();
        }
    });
    let mut opened = 0;
    while !looking.is_finished() {
        folder.open('a').await.unwrap().close().await.unwrap();
        opened += 1;
    }
    looking.await.unwrap();
    assert!(opened > 0);
}

#[tokio::test]
async fn open_makes_nothing_and_create_replaces_nothing() {
    let folder = Folder::new();
    assert!(matches!(folder.open('a').await, Err(VaultError::NoVault { .. })));
    assert!(modes(folder.path()).is_empty());
    let party = folder.create('a').await.party();
    let refused = Vault::create(&folder.vault(), &key('a')).await;
    assert!(matches!(refused, Err(VaultError::Exists { .. })));
    assert_eq!(folder.open('a').await.unwrap().party(), party);
}

#[tokio::test]
async fn a_vanished_vault_is_not_followed_by_another_identity() {
    let with_key_file = |folder: &Folder| KeySource::File(folder.path().join("master.key"));
    // What is left of the folder, and why that is no new party's.
    for left in [&["master.key"][..], &["vault.party"], &["vault.sqlite-wal"]] {
        let folder = Folder::new();
        let source = with_key_file(&folder);
        let vault = Vault::open_or_create(&folder.vault(), &source).await.unwrap();
        let kept: Vec<_> = left
            .iter()
            .map(|name| (name, std::fs::read(folder.path().join(name)).unwrap()))
            .collect();
        drop(vault);
        for (file, _) in modes(folder.path()) {
            std::fs::remove_file(folder.path().join(file)).unwrap();
        }
        for (name, content) in kept {
            std::fs::write(folder.path().join(name), content).unwrap();
            set_mode(&folder.path().join(name), 0o600);
        }
        let refused = Vault::open_or_create(&folder.vault(), &source).await.unwrap_err();
        assert!(matches!(refused, VaultError::Vanished { .. }), "{left:?}: {refused:?}");
        let text = refused.to_string();
        assert!(text.contains("restore") && text.contains("remove the party's folder"), "{text}");
        assert!(!folder.vault().exists());
    }
}

#[tokio::test]
async fn an_emptied_vault_is_refused() {
    let folder = Folder::new();
    folder.create('a').await.close().await.unwrap();
    std::fs::write(folder.vault(), b"").unwrap();
    let refused = Vault::open_or_create(&folder.vault(), &key('a')).await;
    assert!(matches!(refused, Err(VaultError::NoVault { .. })));
}

#[tokio::test]
async fn a_making_that_was_interrupted_is_finished() {
    // Before SQLite wrote anything, and after everything but the last step.
    let folder = Folder::new();
    let key_file = folder.path().join("master.key");
    std::fs::write(folder.path().join("vault.making"), b"").unwrap();
    std::fs::write(folder.vault(), b"").unwrap();
    std::fs::write(&key_file, "ab".repeat(32)).unwrap();
    set_mode(&folder.vault(), 0o600);
    set_mode(&key_file, 0o600);
    let source = KeySource::File(key_file);
    let party = Vault::open_or_create(&folder.vault(), &source).await.unwrap().party();
    assert!(!folder.path().join("vault.making").exists());

    std::fs::write(folder.path().join("vault.making"), b"").unwrap();
    std::fs::remove_file(folder.path().join("vault.party")).unwrap();
    let vault = Vault::open_or_create(&folder.vault(), &source).await.unwrap();
    assert_eq!(vault.party(), party);
    let named = std::fs::read_to_string(folder.path().join("vault.party")).unwrap();
    assert_eq!(named.trim(), party.to_string());
    assert!(!folder.path().join("vault.making").exists());
}

#[tokio::test]
async fn a_vault_of_the_first_format_is_refused_by_name() {
    let folder = Folder::new();
    drop(folder.create('a').await);
    tamper(&folder.vault(), "update vault_header set format = 1").await;
    let refused = folder.open('a').await.unwrap_err();
    assert!(matches!(refused, VaultError::OldFormat { found: 1, expected: 2 }));
    assert!(refused.to_string().contains("format 1"), "{refused}");
}
