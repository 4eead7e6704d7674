//! Another master key, while the vault is in use and whenever it is interrupted.

use super::*;
use party_runtime::vault::VaultStatus;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

/// More shares than fit one batch.
const SHARES: usize = 70;

/// A future that is dropped after so many polls: a rotation that ends anywhere.
struct Interrupted<F> {
    inner: F,
    polls_left: usize,
}

impl<F: Future + Unpin> Future for Interrupted<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.polls_left == 0 {
            return Poll::Ready(None);
        }
        self.polls_left -= 1;
        Pin::new(&mut self.inner).poll(cx).map(Some)
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// A closed vault with more records than one batch, and the accounts of its shares.
fn large() -> (Folder, Vec<AccountId>) {
    let folder = Folder::new();
    let accounts: Vec<_> = (0..SHARES).map(|_| AccountId::generate()).collect();
    block_on(async {
        let vault = folder.create('a').await;
        let mut transaction = vault.begin().await.unwrap();
        for account in &accounts {
            let name = account.to_string();
            transaction.put(Kind::Share, &name, Epoch(1), &share(&vault)).await.unwrap();
        }
        transaction.commit().await.unwrap();
        vault.close().await.unwrap();
    });
    (folder, accounts)
}

async fn check(vault: &Vault, accounts: &[AccountId]) {
    for account in accounts {
        let share = vault.share(*account, Epoch(1)).await.unwrap().expect("the share is there");
        assert_eq!(share.share.expose(), SECRET);
    }
}

/// How far a rotation came before it was interrupted.
#[derive(Debug, Default)]
struct Seen {
    before: usize,
    between: usize,
    after: usize,
}

#[test]
fn a_rotation_can_be_interrupted_anywhere() {
    let (base, accounts) = large();
    let mut seen = Seen::default();
    let mut polls = 1;
    loop {
        let folder = base.copy();
        let is_done = block_on(async {
            let vault = folder.open('a').await.unwrap();
            let rotation = pin!(vault.rotate(Arc::new(key('b'))));
            Interrupted { inner: rotation, polls_left: polls }.await.is_some()
        });
        block_on(reopen(&folder, &accounts, &mut seen));
        if is_done {
            break;
        }
        // Closely around the first commit, then in strides through the many that are alike.
        polls += if polls < 40 { 1 } else { 9 };
    }
    assert!(seen.before >= 1 && seen.between >= 3 && seen.after >= 1, "{seen:?}");
}

async fn reopen(folder: &Folder, accounts: &[AccountId], seen: &mut Seen) {
    let found = VaultStatus::read(&folder.vault()).await.unwrap();
    let (old, new) = match folder.open('b').await {
        Ok(vault) => (folder.open('a').await, vault),
        Err(VaultError::WrongKey { .. }) => {
            // It had not begun: the vault is as it was.
            seen.before += 1;
            assert!(found.rotating_from.is_none());
            return check(&folder.open('a').await.unwrap(), accounts).await;
        }
        Err(error) => panic!("{error}"),
    };
    match found.rotating_from {
        Some(_) => seen.between += 1,
        None => seen.after += 1,
    }
    check(&new, accounts).await;
    // Opening it has ended the rotation.
    let status = new.status().await.unwrap();
    assert!(status.rotating_from.is_none(), "{status:?}");
    assert_eq!(status.records_by_key.keys().collect::<Vec<_>>(), [&new.key_id().await]);
    let refused = old.unwrap_err();
    let VaultError::WrongKey { expected, given } = &refused else { panic!("{refused:?}") };
    assert!(*expected == new.key_id().await && expected != given);
    assert!(refused.to_string().contains("rotated"), "{refused}");
}

#[test]
fn a_vault_whose_rotation_was_dropped_goes_on_and_can_finish_it() {
    let (base, accounts) = large();
    for polls in (1..240).step_by(17) {
        let folder = base.copy();
        let account = AccountId::generate();
        block_on(async {
            let vault = folder.open('a').await.unwrap();
            {
                let rotation = pin!(vault.rotate(Arc::new(key('b'))));
                Interrupted { inner: rotation, polls_left: polls }.await;
            }
            vault.store_share(account, Epoch(1), &share(&vault)).await.unwrap();
            check(&vault, &accounts).await;
            match vault.rotate(Arc::new(key('b'))).await {
                // The second: it was done before it was dropped.
                Ok(_) | Err(VaultError::SameKey(_)) => {}
                Err(error) => panic!("after {polls} polls: {error}"),
            }
            check(&vault, &accounts).await;
        });
        block_on(async {
            let vault = folder.open('b').await.unwrap();
            check(&vault, &accounts).await;
            check(&vault, &[account]).await;
            assert!(vault.status().await.unwrap().rotating_from.is_none());
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vault_is_used_while_it_is_rotated() {
    let folder = Folder::new();
    let vault = folder.create('a').await;
    let names = fill(&vault).await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let users = (0..4).map(|user| {
        let (vault, stopped) = (vault.clone(), stopped.clone());
        tokio::spawn(async move {
            let mut written = Vec::new();
            while !*stopped.borrow() || written.len() < 20 {
                let account = AccountId::generate();
                vault.store_share(account, Epoch(1), &share(&vault)).await.unwrap();
                written.push(account);
                if user == 0 {
                    read_all(&vault, &names).await.unwrap();
                }
                check(&vault, &written[written.len().saturating_sub(3)..]).await;
            }
            written
        })
    });
    let users: Vec<_> = users.collect();
    for digit in ['b', 'c', 'd', 'e'] {
        vault.rotate(Arc::new(key(digit))).await.unwrap();
    }
    stop.send(true).unwrap();
    let mut accounts = Vec::new();
    for user in users {
        accounts.extend(user.await.unwrap());
    }
    vault.close().await.unwrap();
    let vault = folder.open('e').await.unwrap();
    check(&vault, &accounts).await;
    read_all(&vault, &names).await.unwrap();
    let status = vault.status().await.unwrap();
    assert_eq!(status.records_by_key.len(), 1, "{status:?}");
}

#[tokio::test]
async fn records_stay_as_they_are_and_the_same_key_is_refused() {
    let folder = Folder::new();
    let vault = folder.create('a').await;
    fill(&vault).await;
    // All but the manifest's root, which holds the audit log's head, which tells of the rotation.
    let sealed = "select hex(sealed) from sealed_records where kind <> 'manifest' order by kind, \
                  name, epoch";
    let before = query(&folder.vault(), sealed).await;
    vault.rotate(Arc::new(key('b'))).await.unwrap();
    assert_eq!(query(&folder.vault(), sealed).await, before);
    let refused = vault.rotate(Arc::new(key('b'))).await;
    assert!(matches!(refused, Err(VaultError::SameKey(_))));
}

#[tokio::test]
async fn a_key_file_is_replaced_in_its_place_wherever_that_is_interrupted() {
    let folder = Folder::new();
    let key_file = folder.path().join("master.key");
    let next = folder.path().join("master.key.next");
    let source = KeySource::File(key_file.clone());
    let vault = Vault::open_or_create(&folder.vault(), &source).await.unwrap();
    let names = fill(&vault).await;
    let old = std::fs::read(&key_file).unwrap();
    vault.rotate(Arc::new(source.clone())).await.unwrap();
    let new = std::fs::read(&key_file).unwrap();
    assert!(old != new && !next.exists());
    vault.close().await.unwrap();

    // A crash after the first commit: the vault wants the next key.
    std::fs::rename(&key_file, &next).unwrap();
    write_private(&key_file, &old);
    let vault = Vault::open(&folder.vault(), &source).await.unwrap();
    read_all(&vault, &names).await.unwrap();
    assert!(std::fs::read(&key_file).unwrap() == new && !next.exists());
    vault.close().await.unwrap();

    // A crash before it: the next key is there, the vault wants the present one; the next rotation
    // takes the one that is there.
    let prepared = "cd".repeat(32);
    write_private(&next, prepared.as_bytes());
    let vault = Vault::open(&folder.vault(), &source).await.unwrap();
    assert_eq!(std::fs::read(&key_file).unwrap(), new);
    vault.rotate(Arc::new(source)).await.unwrap();
    assert!(std::fs::read_to_string(&key_file).unwrap() == prepared && !next.exists());
    read_all(&vault, &names).await.unwrap();
}

fn write_private(path: &Path, bytes: &[u8]) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, bytes).unwrap();
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o600)).unwrap();
}

#[tokio::test]
async fn a_damaged_record_keeps_the_old_key_but_the_vault_serves() {
    let folder = Folder::new();
    let vault = folder.create('a').await;
    let names = fill(&vault).await;
    let [damaged, other] = names.accounts;
    let sql = format!(
        "update sealed_records set wrapped_key = x'00' where kind = 'share' and name = \
         '{damaged}'"
    );
    tamper(&folder.vault(), &sql).await;
    let refused = vault.rotate(Arc::new(key('b'))).await;
    assert!(matches!(refused, Err(VaultError::RotationBlocked { damaged: 1 })), "{refused:?}");
    vault.close().await.unwrap();

    let vault = folder.open('b').await.unwrap();
    assert!(vault.status().await.unwrap().rotating_from.is_some());
    vault.share(other, Epoch(1)).await.unwrap().expect("the other share serves");
    // Restored from a backup, it is wrapped by the new key; then the old one can go.
    vault.store_share(damaged, Epoch(1), &share(&vault)).await.unwrap();
    vault.resume_rotation().await.unwrap();
    assert!(vault.status().await.unwrap().rotating_from.is_none());
    read_all(&vault, &names).await.unwrap();
}
