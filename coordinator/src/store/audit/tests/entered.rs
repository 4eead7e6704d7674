//! What is entered, and what is not.

use super::*;
use std::time::Instant;

#[actix_web::test]
async fn who_asked_for_what_and_what_came_of_it_is_entered() {
    let folder = Folder::new();
    let store = folder.open().await;
    store.keep_audit(Identity::generate()).await.unwrap();
    let account = AccountId::generate();
    let (scheme, threshold) = (Scheme::EcdsaCggmp24, Threshold(2));
    let keygen = record(IntentKind::Keygen { account, scheme, threshold });
    let user_id = "a name that is nobody's business".to_owned();
    let holders = keygen.intent.eligible.clone();
    register(&store, &holders).await;
    let order = NewSession {
        account: Some(NewAccount { id: account, user_id, scheme, threshold, holders }),
        ..new(keygen.clone())
    };
    assert_eq!(store.open_session(order).await.unwrap(), Written::Stored);
    store.save_session(ended(&keygen)).await.unwrap();
    store.activate_account(account, Timings::default()).await.unwrap();
    store.close().await.unwrap();

    let entries = folder.entries().await;
    let expected = [
        "coordinator_started",
        "party_registered",
        "party_registered",
        "party_registered",
        "account_created",
        "session_opened",
        "account_failed",
        "session_ended",
    ];
    assert_eq!(events(&entries), expected, "an account that failed is not activated");
    let opened = &entries[5];
    assert_eq!(opened.actor, "operator");
    assert_eq!(opened.subject, keygen.intent.session.to_string());
    assert!(opened.detail.contains(&keygen.intent.hash().to_string()), "{opened:?}");
    assert!(opened.detail.contains(&account.to_string()), "{opened:?}");
    assert_eq!(entries[7].decision, "cancelled");
}

#[actix_web::test]
async fn what_was_not_stored_is_not_entered_and_takes_nobody_with_it() {
    let folder = Folder::new();
    let store = folder.open().await;
    let (first, other) = (aux(), aux());
    store.open_session(new(first.clone())).await.unwrap();
    let claim = Claim { key: "once".into(), path: "/".into(), body_hash: [0; 32] };
    let with_claim = |record: Record| NewSession { claim: Some(claim.clone()), ..new(record) };
    store.open_session(with_claim(other)).await.unwrap();
    // In one batch: a session that exists, a key that is taken, and some that are fine.
    let fine: Vec<_> = (0..5).map(|_| aux()).collect();
    let mut writes: Vec<_> = fine.iter().map(|record| new(record.clone())).collect();
    writes.insert(2, new(first));
    writes.push(with_claim(aux()));
    let written = join_all(writes.into_iter().map(|write| store.open_session(write))).await;
    let written: Vec<_> = written.into_iter().map(Result::unwrap).collect();
    assert_eq!(written.iter().filter(|written| **written == Written::Stored).count(), 5);
    assert!(written.contains(&Written::SessionExists) && written.contains(&Written::KeyTaken));
    store.save_session(ended(&fine[0])).await.unwrap();
    assert!(store.save_session(ended(&fine[0])).await.is_err());
    let entries = folder.entries().await;
    assert_eq!(entries.len(), 2 + 5 + 1);
    assert_eq!(facts_without_entries(&folder).await, (0, 0));
}

/// Sessions without their entry, and entries without their session.
async fn facts_without_entries(folder: &Folder) -> (usize, usize) {
    // In one statement, for one view: what was under way when a test's runtime ended may still be
    // committed.
    let compare = async |facts: &str, entries: &str| {
        let sql =
            format!("SELECT 'fact', * FROM ({facts}) UNION ALL SELECT 'entry', * FROM ({entries})");
        let rows = folder.rows(&sql).await;
        let set = |kind: &str| -> BTreeSet<String> {
            rows.iter().filter(|row| row[0] == kind).map(|row| row[1].clone()).collect()
        };
        let (facts, entries) = (set("fact"), set("entry"));
        (facts.difference(&entries).count(), entries.difference(&facts).count())
    };
    let opened = compare(
        "SELECT session_id FROM sessions",
        "SELECT subject FROM audit_log WHERE event = 'session_opened'",
    )
    .await;
    let ended = compare(
        "SELECT session_id FROM sessions WHERE state <> 'running'",
        "SELECT subject FROM audit_log WHERE event = 'session_ended'",
    )
    .await;
    (opened.0 + ended.0, opened.1 + ended.1)
}

#[actix_web::test]
async fn writes_at_once_leave_no_gap_and_heads_that_only_grow() {
    let folder = Folder::new();
    let store = folder.open().await;
    store.keep_audit(Identity::generate()).await.unwrap();
    let session = async |n: usize| {
        let record = aux();
        let before = store.audit_head().unwrap().head.count;
        store.open_session(new(record.clone())).await.unwrap();
        let between = store.audit_head().unwrap().head.count;
        match n % 3 {
            0 => store.save_session(ended(&record)).await.unwrap(),
            1 => store
                .note(audit::cancel_asked(record.intent.session, &Asker::Operator))
                .await
                .unwrap(),
            // Past the writer's queue.
            _ => {
                let mut writing = store.begin().await.unwrap();
                writing.enter(audit::cancel_asked(record.intent.session, &Asker::Coordinator));
                writing.commit().await.unwrap();
            }
        }
        let after = store.audit_head().unwrap().head.count;
        assert!(before < between && between < after, "shown once it is durable");
    };
    join_all((0..300).map(session)).await;
    let newest = store.audit_head().unwrap();
    newest.verify().unwrap();
    let entries = folder.entries().await;
    assert_eq!((entries.len(), newest.head.count), (601, 601));
    assert_eq!(facts_without_entries(&folder).await, (0, 0));
}

/// Ends everything that runs at some moment, as a crash would, and looks what is there.
#[test]
fn a_crash_between_write_and_answer_leaves_entry_and_fact_together() {
    const ROUNDS: u32 = 30;
    let mut sessions = 0;
    // How long it takes undisturbed: the moments are spread over that.
    let mut whole = Duration::from_secs(60);
    for round in 0..=ROUNDS {
        let folder = Folder::new();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let store = folder.open().await;
            let work = async |_: u32| {
                let record = aux();
                store.open_session(new(record.clone())).await.unwrap();
                store.save_session(ended(&record)).await.unwrap();
            };
            let all = join_all((0..50).map(work));
            let moment = if round == 0 { whole } else { whole * (round - 1) / ROUNDS };
            let begun = Instant::now();
            let is_done = tokio::time::timeout(moment, all).await.is_ok();
            if round == 0 {
                assert!(is_done, "undisturbed it takes more than a minute");
                whole = begun.elapsed();
            }
        });
        // Without a word to the tasks: the writer's answers are lost.
        runtime.shutdown_background();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let store = folder.open().await;
            assert_eq!(facts_without_entries(&folder).await, (0, 0), "round {round}");
            if round > 0 {
                sessions += folder.entries().await.len();
            }
            store.open_session(new(aux())).await.unwrap();
            folder.entries().await;
        });
    }
    assert!(sessions > 0, "no write came through before its crash");
}

#[actix_web::test]
async fn rows_are_neither_changed_nor_deleted_by_mistake() {
    let folder = Folder::new();
    let store = folder.open().await;
    store.open_session(new(aux())).await.unwrap();
    let triggers = [
        "UPDATE audit_log SET actor = 'nobody'",
        "DELETE FROM audit_log",
        "DELETE FROM audit_log WHERE number = 1",
    ];
    for sql in triggers {
        let error = folder.sql(sql).await.unwrap_err().to_string();
        assert!(error.contains("append-only"), "{sql}: {error}");
    }
    assert_eq!(folder.entries().await.len(), 1);
}

#[actix_web::test]
async fn entries_are_bounded_and_hold_nothing_of_what_is_signed() {
    const PLANTED: &str = "planted-secret-b1946ac9";
    let folder = Folder::new();
    let store = folder.open().await;
    let account = AccountId::generate();
    let sign = record(IntentKind::Sign {
        account,
        epoch: Epoch(1),
        scheme: Scheme::EcdsaCggmp24,
        threshold: Threshold(2),
        public_key: PublicKey::new([2; 33]),
        path: DerivationPath::default(),
        payload: Payload::Bytes {
            bytes: PLANTED.repeat(100).into_bytes(),
            hash: HashFunction::Sha256,
        },
        authorization: None,
    });
    let user_id = PLANTED.to_owned();
    let (scheme, threshold) = (Scheme::EcdsaCggmp24, Threshold(2));
    let holders = sign.intent.eligible.clone();
    register(&store, &holders).await;
    let order = NewSession {
        account: Some(NewAccount { id: account, user_id, scheme, threshold, holders }),
        ..new(sign.clone())
    };
    store.open_session(order).await.unwrap();
    store.save_session(ended(&sign)).await.unwrap();
    let long = Note { event: "test", detail: "ä".repeat(MAX_AUDIT_TEXT), ..Note::default() };
    store.note(long).await.unwrap();
    let entries = folder.entries().await;
    assert_eq!(entries.len(), 3 + 4);
    let planted = [PLANTED.to_owned(), hex::encode(PLANTED)];
    for entry in &entries {
        let Entry { event, actor, subject, decision, policy, detail, .. } = entry;
        for text in [event, actor, subject, decision, policy, detail] {
            assert!(text.len() <= MAX_AUDIT_TEXT);
            assert!(planted.iter().all(|planted| !text.contains(planted)), "{entry:?}");
        }
    }
    assert_eq!(entries[6].detail.len(), MAX_AUDIT_TEXT);
}
