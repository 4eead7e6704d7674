//! What is stored is there again.

use super::*;

#[tokio::test]
async fn everything_survives_a_restart() {
    let folder = Folder::new();
    let vault = folder.create('a').await;
    let party = vault.party();
    let names = fill(&vault).await;
    read_all(&vault, &names).await.unwrap();
    drop(vault);

    let vault = folder.open('a').await.unwrap();
    assert_eq!(vault.party(), party);
    read_all(&vault, &names).await.unwrap();
    assert!(vault.share(names.accounts[0], Epoch(2)).await.unwrap().is_none());
    assert!(vault.share(AccountId::generate(), Epoch(1)).await.unwrap().is_none());
}

#[tokio::test]
async fn a_newer_record_takes_the_place_of_the_older_and_can_be_deleted() {
    let folder = Folder::new();
    let vault = folder.create('a').await;
    for floor in [1_u32, 2, 3] {
        vault.put_record(Kind::Floor, "x", Epoch(0), &floor).await.unwrap();
    }
    drop(vault);
    let vault = folder.open('a').await.unwrap();
    assert_eq!(vault.read_record(Kind::Floor, "x", Epoch(0)).await.unwrap(), Some(3_u32));
    vault.delete_record(Kind::Floor, "x", Epoch(0)).await.unwrap();
    vault.delete_record(Kind::Floor, "never there", Epoch(0)).await.unwrap();
    drop(vault);
    let vault = folder.open('a').await.unwrap();
    assert_eq!(vault.read_record::<u32>(Kind::Floor, "x", Epoch(0)).await.unwrap(), None);
    assert!(vault.list_records::<u32>(Kind::Floor).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_transaction_sees_its_own_changes_and_leaves_none_unless_committed() {
    let folder = Folder::new();
    let vault = folder.create('a').await;
    vault.put_record(Kind::Floor, "a", Epoch(0), &1_u32).await.unwrap();

    let mut transaction = vault.begin().await.unwrap();
    transaction.put(Kind::Floor, "a", Epoch(0), &2_u32).await.unwrap();
    transaction.put(Kind::Floor, "b", Epoch(0), &3_u32).await.unwrap();
    transaction.delete(Kind::Floor, "a", Epoch(0)).await.unwrap();
    let floors: Vec<(_, u32)> = transaction.list(Kind::Floor).await.unwrap();
    assert_eq!(floors.iter().map(|(_, floor)| *floor).collect::<Vec<_>>(), [3]);
    assert_eq!(transaction.read::<u32>(Kind::Floor, "a", Epoch(0)).await.unwrap(), None);
    drop(transaction);

    let floors: Vec<(_, u32)> = vault.list_records(Kind::Floor).await.unwrap();
    assert_eq!(floors.iter().map(|(_, floor)| *floor).collect::<Vec<_>>(), [1]);
}

#[tokio::test]
async fn two_handles_of_one_vault_see_each_others_records() {
    let folder = Folder::new();
    let first = folder.create('a').await;
    let second = folder.open('a').await.unwrap();
    for round in 0_u32..3 {
        for (writer, reader) in [(&first, &second), (&second, &first)] {
            let name = format!("{round}");
            writer.put_record(Kind::Floor, &name, Epoch(0), &round).await.unwrap();
            let read = reader.read_record(Kind::Floor, &name, Epoch(0)).await.unwrap();
            assert_eq!(read, Some(round));
            writer.delete_record(Kind::Floor, &name, Epoch(0)).await.unwrap();
            let read: Option<u32> = reader.read_record(Kind::Floor, &name, Epoch(0)).await.unwrap();
            assert_eq!(read, None);
        }
    }
}

#[tokio::test]
async fn writers_at_once_lose_nothing() {
    let folder = Folder::new();
    let vault = folder.create('a').await;
    let writers = (0_u32..40).map(|number| {
        let vault = vault.clone();
        tokio::spawn(async move {
            vault.put_record(Kind::Floor, &number.to_string(), Epoch(0), &number).await.unwrap();
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    drop(vault);
    let vault = folder.open('a').await.unwrap();
    assert_eq!(vault.list_records::<u32>(Kind::Floor).await.unwrap().len(), 40);
}

#[tokio::test]
async fn a_rotated_identity_is_used_at_once_by_all_clones_and_after_a_restart() {
    let folder = Folder::new();
    let vault = folder.create('a').await;
    let (clone, founder) = (vault.clone(), vault.identity());
    let newer = vault.rotate_identity().await.unwrap();
    assert_eq!(newer.party(), founder.party());
    assert_eq!(newer.proven_key().number, founder.proven_key().number.next());
    assert_eq!(clone.identity().proven_key(), newer.proven_key());
    drop((vault, clone));
    let vault = folder.open('a').await.unwrap();
    assert_eq!(vault.party(), newer.party());
    assert_eq!(vault.identity().proven_key(), newer.proven_key());
    assert_eq!(vault.identity().seed(), newer.seed());
}

#[tokio::test]
async fn rotations_at_once_make_one_line_of_keys() {
    let folder = Folder::new();
    let vault = folder.create('a').await;
    let rotations: Vec<_> = (0..6)
        .map(|_| {
            let vault = vault.clone();
            tokio::spawn(async move { vault.rotate_identity().await.unwrap() })
        })
        .collect();
    let newest = vault.clone();
    for rotation in rotations {
        let made = rotation.await.unwrap();
        let signature = newest.identity().sign(b"text");
        assert!(signature.descends_from(made.party(), made.proven_key()));
    }
    assert_eq!(newest.identity().proven_key().number.0, 6);
}

/// A party must not give its actors up for being busy: who waits for the only connection waits for
/// longer than any session lives, however many wait before it.
#[tokio::test]
async fn a_queue_at_the_vault_outlives_every_session() {
    let folder = Folder::new();
    let vault = folder.create('a').await;
    let pool = vault.database().get_sqlite_connection_pool();
    assert_eq!(pool.options().get_max_connections(), 1);
    assert!(pool.options().get_acquire_timeout() > std::time::Duration::from_secs(3600));
}
