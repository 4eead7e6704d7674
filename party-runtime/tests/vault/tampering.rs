//! Fault row 20: rows swapped, rolled back, removed or bit-flipped at rest.

use super::*;

/// Whether this is a refusal of what lies in the file, by name.
fn is_refusal(error: &VaultError) -> bool {
    matches!(
        error,
        VaultError::Altered(_)
            | VaultError::RolledBack(_)
            | VaultError::Missing(_)
            | VaultError::HeaderAltered
            | VaultError::OldFormat { .. }
            | VaultError::NoVault { .. }
            | VaultError::WrongKey { .. }
            | VaultError::Derivation(_)
    )
}

/// A filled vault, closed.
async fn filled() -> (Folder, Names) {
    let folder = Folder::new();
    let vault = folder.create('a').await;
    let names = fill(&vault).await;
    vault.close().await.unwrap();
    (folder, names)
}

/// What comes of opening a vault and reading everything.
async fn outcome(folder: &Folder, names: &Names) -> Result<(), VaultError> {
    let vault = folder.open('a').await?;
    let read = read_all_but_sessions(&vault, names).await;
    let usable = vault.sessions().await.unwrap().len();
    let sessions = vault.list_records::<mpc_pending::Record>(Kind::Session).await;
    vault.close().await.unwrap();
    read?;
    // One that was altered is left out and logged: the others must not go with it.
    assert_eq!(usable == 2, sessions.is_ok(), "{usable} usable: {sessions:?}");
    sessions.map(drop)
}

async fn read_all_but_sessions(vault: &Vault, names: &Names) -> Result<(), VaultError> {
    for account in names.accounts {
        vault.share(account, Epoch(1)).await?.expect("listed, so there or refused");
    }
    for id in names.aux {
        vault.aux(id).await?.expect("listed, so there or refused");
    }
    vault.list_records::<String>(Kind::Ban).await?;
    vault.list_records::<u32>(Kind::Floor).await?;
    Ok(())
}

async fn must_refuse(folder: &Folder, names: &Names, what: &str) {
    match outcome(folder, names).await {
        Ok(()) => panic!("not noticed: {what}"),
        Err(error) => assert!(is_refusal(&error), "{what}: {error:?}"),
    }
}

#[tokio::test]
async fn row_20_swapped_rows_are_refused() {
    let (folder, names) = filled().await;
    outcome(&folder, &names).await.unwrap();
    let pairs = [
        ("share", names.accounts.map(|account| account.to_string())),
        ("aux", names.aux.map(|aux| aux.to_string())),
        ("ban", BANS.map(str::to_owned)),
        ("floor", FLOORS.map(str::to_owned)),
        ("session", names.sessions.map(|session| session.to_string())),
    ];
    let contents = [
        "sealed",
        "wrapped_key",
        "data_key_id",
        "sealed, wrapped_key",
        "sealed, data_key_id",
        "wrapped_key, data_key_id",
        "sealed, wrapped_key, data_key_id",
    ];
    for (kind, [first, second]) in &pairs {
        for content in contents {
            let copy = folder.copy();
            let sql = format!(
                "update sealed_records set ({content}) = (select {content} from sealed_records \
                 where kind = '{kind}' and name = '{second}') where kind = '{kind}' and name = \
                 '{first}'"
            );
            tamper(&copy.vault(), &sql).await;
            must_refuse(&copy, &names, &sql).await;
        }
        let moves = [
            format!("kind = 'x', name = '{first}'"),
            format!("kind = '{kind}', name = 'x'"),
            format!("kind = '{kind}', name = '{first}', epoch = 9"),
        ];
        for to in moves {
            let copy = folder.copy();
            let sql = format!(
                "update sealed_records set {to} where kind = '{kind}' and name = '{first}'"
            );
            tamper(&copy.vault(), &sql).await;
            must_refuse(&copy, &names, &sql).await;
        }
    }
    // Between kinds: a whole row in the place of another kind's.
    for (from, to) in [("share", "aux"), ("aux", "share"), ("floor", "ban"), ("ban", "floor")] {
        let copy = folder.copy();
        let sql = format!(
            "update sealed_records set (sealed, wrapped_key, data_key_id) = (select sealed, \
             wrapped_key, data_key_id from sealed_records where kind = '{from}' limit 1) where \
             kind = '{to}'"
        );
        tamper(&copy.vault(), &sql).await;
        must_refuse(&copy, &names, &sql).await;
    }
}

#[tokio::test]
async fn row_20_rows_of_another_party_are_refused() {
    // Same master key, same names: only the party differs.
    let (folder, names) = filled().await;
    let other = Folder::new();
    let vault = other.create('a').await;
    for account in names.accounts {
        vault.store_share(account, Epoch(1), &share(&vault)).await.unwrap();
    }
    vault.close().await.unwrap();
    let foreign = query(
        &other.vault(),
        "select hex(sealed), hex(wrapped_key), hex(data_key_id) from sealed_records where kind = \
         'share' limit 1",
    )
    .await;
    let [Some(sealed), Some(wrapped), Some(id)] = foreign[0].as_slice() else { panic!() };
    let sql = format!(
        "update sealed_records set sealed = x'{sealed}', wrapped_key = x'{wrapped}', data_key_id \
         = x'{id}' where kind = 'share'"
    );
    tamper(&folder.vault(), &sql).await;
    must_refuse(&folder, &names, "a share of another party").await;
}

/// Every row of a vault as (kind, name, epoch), with a statement that puts its content back.
async fn statements(path: &Path, filter: &str) -> Vec<(String, String)> {
    let rows = query(
        path,
        &format!(
            "select kind, name, cast(epoch as text), key_id, hex(data_key_id), hex(wrapped_key), \
             hex(sealed) from sealed_records where {filter}"
        ),
    )
    .await;
    rows.into_iter()
        .map(|row| {
            let row: Vec<String> = row.into_iter().map(Option::unwrap).collect();
            let [kind, name, epoch, key_id, data_key_id, wrapped, sealed] = row.as_slice() else {
                panic!("seven columns were asked for")
            };
            let sql = format!(
                "insert or replace into sealed_records (kind, name, epoch, format, key_id, \
                 data_key_id, wrapped_key, sealed) values ('{kind}', '{name}', {epoch}, 2, \
                 '{key_id}', x'{data_key_id}', x'{wrapped}', x'{sealed}')"
            );
            (format!("{kind} {name}"), sql)
        })
        .collect()
}

#[tokio::test]
async fn row_20_rolled_back_rows_are_refused() {
    let (folder, names) = filled().await;
    let before = statements(&folder.vault(), "true").await;
    // Everything is written once more, with the very same content where it matters most.
    let vault = folder.open('a').await.unwrap();
    vault.rotate_identity().await.unwrap();
    for account in names.accounts {
        vault.store_share(account, Epoch(1), &share(&vault)).await.unwrap();
    }
    for id in names.aux {
        vault.store_aux(id, &aux(&vault)).await.unwrap();
    }
    for ban in BANS {
        vault.put_record(Kind::Ban, ban, Epoch(0), &"cheated").await.unwrap();
    }
    for floor in FLOORS {
        vault.put_record(Kind::Floor, floor, Epoch(0), &7_u32).await.unwrap();
    }
    // As when its attempt is launched: nonce and key of a join must not serve a second time.
    let records = vault.sessions().await.unwrap();
    vault.store_sessions(&records, &[]).await.unwrap();
    vault.close().await.unwrap();
    outcome(&folder, &names).await.unwrap();

    let after = statements(&folder.vault(), "true").await;
    let mut kinds = BTreeSet::new();
    for (row, put_back) in before.into_iter().filter(|row| !after.contains(row)) {
        let copy = folder.copy();
        tamper(&copy.vault(), &put_back).await;
        must_refuse(&copy, &names, &row).await;
        kinds.insert(row.split(' ').next().unwrap().to_owned());
    }
    let expected =
        ["aux", "ban", "floor", "identity", "manifest", "manifest-page", "session", "share"];
    assert_eq!(kinds, expected.map(str::to_owned).into());
}

#[tokio::test]
async fn row_20_a_deleted_row_that_is_put_back_is_refused() {
    let (folder, names) = filled().await;
    let account = names.accounts[0];
    let before =
        statements(&folder.vault(), &format!("kind = 'share' and name = '{account}'")).await;
    let vault = folder.open('a').await.unwrap();
    vault.delete_record(Kind::Share, &account.to_string(), Epoch(1)).await.unwrap();
    assert!(vault.share(account, Epoch(1)).await.unwrap().is_none());
    let [(_, put_back)] = before.as_slice() else { panic!("one row has this name") };
    // While the vault is open, and after it was opened again.
    tamper(&folder.vault(), put_back).await;
    assert!(matches!(vault.share(account, Epoch(1)).await, Err(VaultError::RolledBack(_))));
    vault.close().await.unwrap();
    let vault = folder.open('a').await.unwrap();
    assert!(matches!(vault.share(account, Epoch(1)).await, Err(VaultError::RolledBack(_))));
    vault.share(names.accounts[1], Epoch(1)).await.unwrap().expect("the other share serves");
}

#[tokio::test]
async fn row_20_an_open_vault_notices_when_everything_is_rolled_back_under_it() {
    let (folder, _) = filled().await;
    let vault = folder.open('a').await.unwrap();
    let before = statements(&folder.vault(), "true").await;
    vault.put_record(Kind::Floor, FLOORS[0], Epoch(0), &8_u32).await.unwrap();
    for (_, put_back) in before {
        tamper(&folder.vault(), &put_back).await;
    }
    let refused = vault.read_record::<u32>(Kind::Floor, FLOORS[0], Epoch(0)).await;
    assert!(matches!(refused, Err(VaultError::RolledBack(_))), "{refused:?}");
    let refused = vault.put_record(Kind::Floor, "another", Epoch(0), &1_u32).await;
    assert!(matches!(refused, Err(VaultError::RolledBack(_))), "{refused:?}");
}

#[tokio::test]
async fn row_20_removed_rows_are_missed() {
    let (folder, names) = filled().await;
    let rows = query(&folder.vault(), "select kind, name from sealed_records").await;
    assert!(rows.len() > 10, "{rows:?}");
    for row in rows {
        let [Some(kind), Some(name)] = row.as_slice() else { panic!() };
        let copy = folder.copy();
        let sql = format!("delete from sealed_records where kind = '{kind}' and name = '{name}'");
        tamper(&copy.vault(), &sql).await;
        let missed = outcome(&copy, &names).await;
        assert!(matches!(missed, Err(VaultError::Missing(_))), "{kind} {name}: {missed:?}");
    }
    let copy = folder.copy();
    tamper(&copy.vault(), "delete from vault_header").await;
    must_refuse(&copy, &names, "no header").await;
    let refused = Vault::open_or_create(&copy.vault(), &key('a')).await;
    assert!(refused.is_err(), "no other identity in its place");
}

#[tokio::test]
async fn a_damaged_share_leaves_the_others_usable() {
    let (folder, names) = filled().await;
    let [lost, kept] = names.accounts;
    let sql = format!("delete from sealed_records where kind = 'share' and name = '{lost}'");
    tamper(&folder.vault(), &sql).await;
    let vault = folder.open('a').await.unwrap();
    assert!(matches!(vault.share(lost, Epoch(1)).await, Err(VaultError::Missing(_))));
    vault.share(kept, Epoch(1)).await.unwrap().expect("the other share serves");
    // A backup brings it back.
    vault.store_share(lost, Epoch(1), &share(&vault)).await.unwrap();
    vault.share(lost, Epoch(1)).await.unwrap().expect("it is there again");
    vault.close().await.unwrap();
    outcome(&folder, &names).await.unwrap();
}

/// The columns of a table, with how each is written in SQL.
const HEADER: [(&str, Column); 8] = [
    ("id", Column::Number),
    ("party_id", Column::Bytes),
    ("key_id", Column::Text),
    ("key_check", Column::Bytes),
    ("format", Column::Number),
    ("provider", Column::Text),
    ("previous_key_id", Column::Text),
    ("previous_key", Column::Bytes),
];
const RECORD: [(&str, Column); 8] = [
    ("kind", Column::Text),
    ("name", Column::Text),
    ("epoch", Column::Number),
    ("format", Column::Number),
    ("key_id", Column::Text),
    ("data_key_id", Column::Bytes),
    ("wrapped_key", Column::Bytes),
    ("sealed", Column::Bytes),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Column {
    Number,
    Text,
    Bytes,
}

/// Statements that flip one bit of one column of one row, at its begin, middle and end.
async fn flips(path: &Path, table: &str, filter: &str, columns: &[(&str, Column)]) -> Vec<String> {
    let mut flips = Vec::new();
    for (column, form) in columns {
        let from = format!("update or replace {table} set {column} =");
        if *form == Column::Number {
            flips.push(format!("{from} {column} + 1 where {filter}"));
            continue;
        }
        let sql = format!("select hex({column}) from {table} where {filter}");
        let value = query(path, &sql).await[0][0].clone().unwrap_or_default();
        let bytes = hex::decode(value).unwrap();
        if bytes.is_empty() {
            // No value in this row: any value is one that was put there.
            flips.push(format!("{from} 'x' where {filter}"));
            continue;
        }
        for at in BTreeSet::from([0, bytes.len() / 2, bytes.len() - 1]) {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1;
            let hex = hex::encode(bytes);
            let value = match form {
                Column::Text => format!("cast(x'{hex}' as text)"),
                Column::Bytes | Column::Number => format!("x'{hex}'"),
            };
            flips.push(format!("{from} {value} where {filter}"));
        }
    }
    flips
}

#[tokio::test]
async fn row_20_a_flipped_bit_in_any_column_is_refused() {
    let (folder, names) = filled().await;
    let mut all = flips(&folder.vault(), "vault_header", "true", &HEADER).await;
    let rows = [
        "kind = 'identity'".to_owned(),
        format!("kind = 'share' and name = '{}'", names.accounts[0]),
        format!("kind = 'aux' and name = '{}'", names.aux[0]),
        format!("kind = 'ban' and name = '{}'", BANS[0]),
        format!("kind = 'floor' and name = '{}'", FLOORS[0]),
        format!("kind = 'session' and name = '{}'", names.sessions[0]),
        "kind = 'manifest'".to_owned(),
        "rowid = (select rowid from sealed_records where kind = 'manifest-page' limit 1)"
            .to_owned(),
    ];
    for row in rows {
        all.extend(flips(&folder.vault(), "sealed_records", &row, &RECORD).await);
    }
    assert!(all.len() > 100, "{}", all.len());
    for sql in all {
        // A session under another name is a session of another name's: nothing of it is believed.
        let copy = folder.copy();
        tamper(&copy.vault(), &sql).await;
        must_refuse(&copy, &names, &sql).await;
    }
}
