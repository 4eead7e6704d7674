//! A log, or what is kept beside it, that is not as it was left.

use super::*;

/// Lets a test do what the database refuses.
const FREE: &str = "DROP TRIGGER audit_log_is_never_changed; DROP TRIGGER audit_log_is_never_cut;";

/// A log of three entries, tampered with while the coordinator was down; the head of it.
async fn tampered(sql: &str) -> (Folder, Head) {
    let folder = Folder::new();
    let store = start(&folder).await;
    store.open_session(new(aux())).await.unwrap();
    store.open_session(new(aux())).await.unwrap();
    let before = store.audit_head().unwrap().head;
    store.close().await.unwrap();
    folder.sql(&format!("{FREE}{sql}")).await.unwrap();
    (folder, before)
}

#[actix_web::test]
async fn a_log_that_is_not_as_it_was_left_is_told_at_the_next_start() {
    struct Case(&'static str, &'static [&'static str], Evidence);
    #[derive(PartialEq)]
    enum Evidence {
        Kept,
        None,
    }
    let cases = [
        Case("", &[], Evidence::None),
        Case("DELETE FROM audit_log WHERE number = 3;", &["cut"], Evidence::Kept),
        Case("DELETE FROM audit_log;", &["cut"], Evidence::Kept),
        Case(
            "UPDATE audit_log SET hash = substr(hash, 2) || '0' WHERE number = 3;",
            &["rewritten"],
            Evidence::Kept,
        ),
        Case("UPDATE audit_head SET count = 2;", &["head_not_signed"], Evidence::Kept),
        Case("DELETE FROM audit_head;", &["head_lost"], Evidence::None),
        Case("UPDATE audit_head SET hash = 'none';", &["head_unreadable"], Evidence::None),
        Case("UPDATE audit_head SET keeper = 'nobody';", &["head_unreadable"], Evidence::None),
        Case("UPDATE audit_head SET signature = '00';", &["head_unreadable"], Evidence::None),
        Case(
            "UPDATE audit_log SET hash = 'none' WHERE number = 3;",
            &["end_unreadable", "rewritten"],
            Evidence::Kept,
        ),
        Case(
            "UPDATE audit_log SET hash = '' WHERE number = 3; DELETE FROM audit_head;",
            &["end_unreadable", "head_lost"],
            Evidence::None,
        ),
    ];
    for Case(sql, faults, expected) in cases {
        let (folder, before) = tampered(sql).await;
        let store = start(&folder).await;
        assert_eq!(doubts(&folder).await, faults, "{sql}");
        let evidence =
            folder.rows("SELECT hash FROM witnessed_heads WHERE place > 0").await.concat();
        let expected = (expected == Evidence::Kept).then(|| before.hash.to_string());
        assert_eq!(evidence, Vec::from_iter(expected), "{sql}");
        if faults == ["cut"] {
            // The numbers are not given again: the gap stays.
            let numbers = folder.rows("SELECT CAST(number AS TEXT) FROM audit_log").await.concat();
            assert!(
                !numbers.contains(&"3".to_owned()) && numbers.contains(&"4".to_owned()),
                "{numbers:?}"
            );
        }
        // Work goes on, and what was told is not told again.
        store.open_session(new(aux())).await.unwrap();
        store.close().await.unwrap();
        start(&folder).await.audit_head().unwrap().verify().unwrap();
        assert_eq!(doubts(&folder).await, faults, "{sql}");
    }
}

#[actix_web::test]
async fn a_head_that_cannot_be_read_is_entered_as_it_was_found() {
    let (folder, before) = tampered("UPDATE audit_head SET signature = 'scrawl';").await;
    start(&folder).await;
    let details = "SELECT detail FROM audit_log WHERE event = 'audit_log_in_doubt'";
    let detail = folder.rows(details).await.concat().remove(0);
    for found in ["scrawl", &before.hash.to_string(), "\"count\":3"] {
        assert!(detail.contains(found), "{found}: {detail}");
    }
}

/// A node registers its parties before its coordinator starts.
#[actix_web::test]
async fn whoever_writes_first_behind_an_unreadable_end_tells_of_it() {
    let (folder, _) = tampered("UPDATE audit_log SET hash = 'none' WHERE number = 3;").await;
    let store = folder.open().await;
    register(&store, &parties()).await;
    assert_eq!(doubts(&folder).await, ["end_unreadable"]);
    store.keep_audit(Identity::from_seed(&[3; 32])).await.unwrap();
    assert_eq!(doubts(&folder).await, ["end_unreadable", "rewritten"]);
}

#[actix_web::test]
async fn entries_from_before_the_first_start_need_no_head() {
    let folder = Folder::new();
    let store = folder.open().await;
    register(&store, &parties()).await;
    store.close().await.unwrap();
    start(&folder).await;
    assert_eq!(doubts(&folder).await, Vec::<String>::new());
}

#[actix_web::test]
async fn another_secret_is_another_keeper_and_told() {
    let folder = Folder::new();
    let store = folder.open().await;
    store.keep_audit(Identity::generate()).await.unwrap();
    store.keep_audit(Identity::generate()).await.unwrap();
    let entries = folder.entries().await;
    let expected = ["coordinator_started", "audit_log_in_doubt", "coordinator_started"];
    assert_eq!(events(&entries), expected);
    assert_eq!(entries[1].decision, "another_keeper");
}
