//! Fault row 20 for the used requests: rows deleted, altered, put back or rolled back at rest.

use super::tests::{Party, REUSED, admission, reason};
use super::*;
use crate::vault::Kind;
use futures_util::future::join_all;
use mpc_wire::Epoch;

const DAMAGED: Option<DeclineReason> = Some(DeclineReason::LedgerDamaged);

/// Far longer than anything here takes, unless it waits for ever.
const PATIENCE: Duration = Duration::from_secs(60);

/// A ledger with some requests in it, and the first of them.
async fn filled(ledger: &Ledger) -> Admission {
    let first = admission(1000, &[]);
    for request in [&first, &admission(1001, &[]), &admission(1002, &[])] {
        assert_eq!(reason(ledger, request).await, None);
    }
    first
}

/// The same request for another session: what a tampered ledger would let in.
fn again(request: &Admission) -> Admission {
    Admission { session: SessionId::generate(), ..request.clone() }
}

/// Changes the file as who can write it does, with all that SQLite allows him.
async fn tamper(party: &Party, sql: &str) {
    let other = party.other().await;
    other.execute_unprepared("PRAGMA writable_schema = ON").await.unwrap();
    other.execute_unprepared(sql).await.unwrap();
    other.close().await.unwrap();
}

async fn stop(vault: Vault, ledger: Ledger) {
    drop(ledger);
    vault.close().await.unwrap();
}

fn row_of(request: &Admission) -> String {
    format!("request_id = x'{}'", hex::encode(request.request.as_bytes()))
}

#[tokio::test]
async fn row_20_a_used_request_that_is_deleted_is_missed() {
    let party = Party::new();
    let (vault, ledger) = party.open().await;
    let first = filled(&ledger).await;
    tamper(&party, "CREATE TABLE kept AS SELECT * FROM used_requests").await;
    let delete = format!("DELETE FROM used_requests WHERE {}", row_of(&first));

    // While the party runs: not even another request is admitted.
    tamper(&party, &delete).await;
    assert_eq!(reason(&ledger, &again(&first)).await, DAMAGED);
    assert_eq!(reason(&ledger, &admission(1003, &[])).await, DAMAGED);
    let fault = LedgerFault::Count { stored: 3, found: 2 };
    assert_eq!(inspected(&vault).await, Some(fault));
    let put_back = format!("INSERT INTO used_requests SELECT * FROM kept WHERE {}", row_of(&first));
    tamper(&party, &put_back).await;
    assert_eq!(reason(&ledger, &again(&first)).await, REUSED);
    assert_eq!(reason(&ledger, &admission(1003, &[])).await, None);

    // While it does not.
    stop(vault, ledger).await;
    tamper(&party, &delete).await;
    for _ in 0..2 {
        let (vault, ledger) = party.open().await;
        assert_eq!(inspected(&vault).await, Some(LedgerFault::Count { stored: 4, found: 3 }));
        assert_eq!(reason(&ledger, &again(&first)).await, DAMAGED);
        stop(vault, ledger).await;
    }
}

/// What the comparison says of the rows, if they are not right.
async fn inspected(vault: &Vault) -> Option<LedgerFault> {
    match inspect(vault).await {
        Ok(()) => None,
        Err(VaultError::Ledger(fault)) => Some(fault),
        Err(error) => panic!("{error}"),
    }
}

/// Statements that make the ledger say something else, or will, and what is found.
fn attacks(first: &Admission) -> Vec<(String, LedgerFault)> {
    use LedgerFault::{Count, Index, Rows, Schema};
    let row = row_of(first);
    let other = "SELECT request_id FROM used_requests ORDER BY admitted_at DESC LIMIT 1";
    let altered = [
        "request_id = randomblob(16)",
        "request_id = CAST('sixteen letters!' AS TEXT)",
        "request_id = CAST(request_id AS TEXT)",
        "session_id = randomblob(16)",
        "session_id = CAST(session_id AS TEXT)",
        "intent_hash = randomblob(32)",
        "kind = 'aux'",
        "kind = CAST(kind AS BLOB)",
        "account_id = randomblob(16)",
        "account_id = NULL",
        "account_id = CAST(account_id AS TEXT)",
        "requester = 'another'",
        "requester = NULL",
        "requester = ''",
        "admitted_at = admitted_at - 1",
        "admitted_at = 1000.5",
        "forget_at = 0",
        "forget_at = forget_at + 1",
    ];
    let altered = altered.map(|to| (format!("UPDATE used_requests SET {to} WHERE {row}"), Rows));
    let columns = "session_id, intent_hash, kind, account_id, requester, admitted_at, forget_at";
    let insert = format!(
        "INSERT INTO used_requests SELECT randomblob(16), {columns} FROM used_requests WHERE {row}"
    );
    let whole = "CREATE TABLE other AS SELECT * FROM used_requests; DROP TABLE used_requests;";
    let table = LEDGER_TABLE.replace(
        "\"kind\" varchar(16) NOT NULL",
        "\"kind\" varchar(16) NOT NULL UNIQUE ON CONFLICT REPLACE",
    );
    let mut attacks = Vec::from(altered);
    attacks.extend([
        (insert.clone(), Count { stored: 3, found: 4 }),
        ("DELETE FROM used_requests".into(), Count { stored: 3, found: 0 }),
        // As many as before.
        (format!("{insert}; DELETE FROM used_requests WHERE request_id = ({other})"), Rows),
        // Each takes the party's own next request away again, or hides it.
        (trigger("used_requests", "INSERT"), Schema),
        (trigger("sealed_records", "UPDATE"), Schema),
        (trigger("audit_log", "INSERT"), Schema),
        (
            format!("{whole} {table}; INSERT OR IGNORE INTO used_requests SELECT * FROM other"),
            Schema,
        ),
        ("DROP TABLE used_requests".into(), Schema),
        ("DROP INDEX used_requests_to_forget".into(), Schema),
        (
            "DROP INDEX used_requests_of_party; CREATE INDEX used_requests_of_party ON \
             used_requests (kind, admitted_at) WHERE kind = 'none'"
                .into(),
            Schema,
        ),
        // An empty index under the text of a full one.
        (
            format!(
                "CREATE TABLE text AS SELECT sql FROM sqlite_schema WHERE name = '{LIMITS}'; \
                 DROP INDEX {LIMITS}; CREATE INDEX {LIMITS} ON used_requests (kind, admitted_at) \
                 WHERE kind = 'none'; UPDATE sqlite_schema SET sql = (SELECT sql FROM text) \
                 WHERE name = '{LIMITS}'"
            ),
            Index,
        ),
    ]);
    attacks
}

const LIMITS: &str = "used_requests_of_party";

const LEDGER_TABLE: &str = migrations::party::LEDGER_SCHEMA[0];

fn trigger(table: &str, event: &str) -> String {
    format!("CREATE TRIGGER forgets AFTER {event} ON {table} BEGIN DELETE FROM used_requests; END")
}

#[tokio::test]
async fn row_20_whatever_is_changed_of_the_used_requests_is_seen() {
    let count = attacks(&admission(1, &[])).len();
    for at in 0..count {
        let party = Party::new();
        let (vault, ledger) = party.open().await;
        let first = filled(&ledger).await;
        let (sql, fault) = attacks(&first).swap_remove(at);
        tamper(&party, &sql).await;
        assert_eq!(inspected(&vault).await, Some(fault), "running: {sql}");
        assert_eq!(reason(&ledger, &again(&first)).await, DAMAGED, "running: {sql}");
        stop(vault, ledger).await;
        let (vault, ledger) = party.open().await;
        assert_eq!(reason(&ledger, &again(&first)).await, DAMAGED, "opened: {sql}");
        assert_eq!(inspected(&vault).await, Some(fault), "opened: {sql}");
        stop(vault, ledger).await;
    }
}

#[tokio::test]
async fn row_20_a_forgotten_request_that_is_put_back_is_seen() {
    let party = Party::new();
    let (vault, ledger) = party.open().await;
    let early = admission(1000, &[]);
    let late = admission(5000, &[]);
    assert_eq!(reason(&ledger, &early).await, None);
    assert_eq!(reason(&ledger, &late).await, None);
    tamper(&party, "CREATE TABLE kept AS SELECT * FROM used_requests").await;
    assert_eq!(prune(&vault, UnixMillis(61_001 + AFTER_EXPIRY)).await.unwrap(), 1);
    // What was forgotten is out of the tally as well.
    tamper(&party, "CREATE TABLE another (x)").await;
    assert_eq!(inspected(&vault).await, None);

    let put_back = format!("INSERT INTO used_requests SELECT * FROM kept WHERE {}", row_of(&early));
    tamper(&party, &put_back).await;
    assert_eq!(inspected(&vault).await, Some(LedgerFault::Count { stored: 1, found: 2 }));
    // In the place of one that still matters: every row is one that the party once wrote.
    tamper(&party, &format!("DELETE FROM used_requests WHERE {}", row_of(&late))).await;
    assert_eq!(inspected(&vault).await, Some(LedgerFault::Rows));
    assert_eq!(reason(&ledger, &again(&late)).await, DAMAGED);
    // Nothing is forgotten of what is not believed.
    let refused = prune(&vault, UnixMillis(u64::MAX)).await;
    assert!(matches!(refused, Err(VaultError::Ledger(LedgerFault::Rows))), "{refused:?}");
}

/// Rows and their sealed tally, put back together from an older copy of both.
#[tokio::test]
async fn row_20_used_requests_that_are_rolled_back_with_their_tally_are_refused() {
    for records in ["kind = 'ledger'", "kind IN ('ledger', 'manifest', 'manifest-page')"] {
        let party = Party::new();
        let (vault, ledger) = party.open().await;
        filled(&ledger).await;
        let copy = format!(
            "CREATE TABLE old_rows AS SELECT * FROM used_requests; \
             CREATE TABLE old_records AS SELECT * FROM sealed_records WHERE {records}"
        );
        tamper(&party, &copy).await;
        let used = admission(2000, &[]);
        assert_eq!(reason(&ledger, &used).await, None);
        let back = format!(
            "DELETE FROM used_requests; INSERT INTO used_requests SELECT * FROM old_rows; \
             DELETE FROM sealed_records WHERE {records}; \
             INSERT INTO sealed_records SELECT * FROM old_records"
        );
        tamper(&party, &back).await;
        let refused = inspect(&vault).await;
        assert!(matches!(refused, Err(VaultError::RolledBack(_))), "{records}: {refused:?}");
        assert_eq!(reason(&ledger, &again(&used)).await, DAMAGED, "{records}");
    }
}

#[tokio::test]
async fn row_20_a_tally_that_is_removed_is_missed() {
    let party = Party::new();
    let (vault, ledger) = party.open().await;
    let first = filled(&ledger).await;
    tamper(&party, "DELETE FROM used_requests; DELETE FROM sealed_records WHERE kind = 'ledger'")
        .await;
    assert_eq!(reason(&ledger, &again(&first)).await, DAMAGED);
    stop(vault, ledger).await;
    let (vault, ledger) = party.open().await;
    assert_eq!(reason(&ledger, &again(&first)).await, DAMAGED);
    assert!(matches!(inspect(&vault).await, Err(VaultError::Missing(_))));
}

#[tokio::test]
async fn rows_without_a_tally_are_not_believed() {
    let party = Party::new();
    let (vault, _ledger) = party.open().await;
    let row = "INSERT INTO used_requests VALUES (x'01', x'02', x'03', 'sign', NULL, NULL, 1, 2)";
    tamper(&party, row).await;
    assert_eq!(inspected(&vault).await, Some(LedgerFault::Count { stored: 0, found: 1 }));
}

/// What costs as much as reading everything is done when somebody else has written, not each time.
#[tokio::test]
async fn the_whole_is_compared_when_the_file_was_changed_by_others() {
    let party = Party::new();
    let (vault, ledger) = party.open().await;
    filled(&ledger).await;
    // In the party's own name there is nobody to change it: this stands for what goes past SQLite.
    vault.database().execute_unprepared("DELETE FROM used_requests").await.unwrap();
    assert_eq!(reason(&ledger, &admission(1003, &[])).await, None);
    tamper(&party, "CREATE TABLE another (x)").await;
    assert_eq!(reason(&ledger, &admission(1004, &[])).await, DAMAGED);
}

/// Another handle that changes something else, as a backup does, changes nothing here.
#[tokio::test]
async fn another_handle_of_the_vault_does_no_harm() {
    let party = Party::new();
    let (vault, ledger) = party.open().await;
    let first = filled(&ledger).await;
    let other = Vault::open(&party.path(), &party.key()).await.unwrap();
    let also = Ledger::start(other.clone());
    for at in 0..5 {
        other.put_record(Kind::Ban, "x", Epoch(0), &at).await.unwrap();
        let (a, b) = (admission(2000 + at, &[]), admission(3000 + at, &[]));
        assert_eq!(reason(&ledger, &a).await, None);
        assert_eq!(reason(&also, &b).await, None);
        for (ledger, request) in [(&ledger, &b), (&also, &a), (&also, &first)] {
            assert_eq!(reason(ledger, &again(request)).await, REUSED);
        }
    }
    assert_eq!(inspected(&vault).await, None);
}

/// The ledger's commits are the vault's: they wait for each other, never for ever.
#[tokio::test(flavor = "multi_thread")]
async fn admissions_and_the_vaults_own_writers_do_not_stop_each_other() {
    let party = Party::new();
    let (vault, ledger) = party.open().await;
    let admitting = join_all((0..400).map(|at| {
        let ledger = ledger.clone();
        async move { reason(&ledger, &admission(at, &[])).await }
    }));
    let writing = join_all((0..100_u64).map(|at| {
        let vault = vault.clone();
        async move {
            let name = at.to_string();
            vault.put_record(Kind::Ban, &name, Epoch(0), &at).await?;
            vault.read_record::<u64>(Kind::Ban, &name, Epoch(0)).await
        }
    }));
    let rotating = async {
        for digit in ['1', '2', '3'] {
            let key = zeroize::Zeroizing::new(digit.to_string().repeat(64));
            vault.rotate(std::sync::Arc::new(crate::vault::KeySource::Hex(key))).await.unwrap();
        }
    };
    let all = futures_util::future::join3(admitting, writing, rotating);
    let (admitted, written, ()) = tokio::time::timeout(PATIENCE, all).await.unwrap();
    assert!(admitted.iter().all(Option::is_none), "{admitted:?}");
    assert!(written.iter().all(|written| matches!(written, Ok(Some(_)))), "{written:?}");
    assert_eq!(Entity::find().all(vault.database()).await.unwrap().len(), 400);
    tamper(&party, "CREATE TABLE another (x)").await;
    assert_eq!(inspected(&vault).await, None);
}
