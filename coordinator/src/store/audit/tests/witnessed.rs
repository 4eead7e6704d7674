//! Heads of the parties' logs.

use super::*;

#[actix_web::test]
async fn the_newest_head_of_each_party_is_kept_and_what_contradicts_it() {
    let folder = Folder::new();
    let store = folder.open().await;
    let (party, other) = (Identity::generate(), Identity::generate());
    let show = |store: &Store, head| store.witness(party.party(), &SignedHead::sign(&party, head));
    assert_eq!(show(&store, head(5, 1)), Witnessed::Taken);
    assert_eq!(show(&store, head(5, 1)), Witnessed::Taken);
    assert_eq!(show(&store, head(9, 2)), Witnessed::Taken, "a count that jumps is fine");
    let foreign = SignedHead::sign(&other, head(1, 1));
    assert_eq!(store.witness(party.party(), &foreign), Witnessed::NotItsHead);
    let altered = SignedHead { head: head(10, 1), ..SignedHead::sign(&party, head(9, 2)) };
    assert_eq!(store.witness(party.party(), &altered), Witnessed::NotItsHead);
    // Stored with whatever is written next.
    let kept = "SELECT CAST(count AS TEXT) FROM witnessed_heads ORDER BY place, count";
    assert_eq!(folder.rows(kept).await.concat(), Vec::<String>::new());
    store.open_session(new(aux())).await.unwrap();
    assert_eq!(folder.rows(kept).await.concat(), ["9"]);

    for wrong in [head(8, 2), head(9, 3), head(8, 2)] {
        assert_eq!(show(&store, wrong), Witnessed::Contradicts);
        store.keep_evidence(SignedHead::sign(&party, wrong)).await.unwrap();
    }
    assert_eq!(show(&store, head(11, 4)), Witnessed::Taken);
    store.close().await.unwrap();
    assert_eq!(folder.rows(kept).await.concat(), ["11", "8", "9"], "at the latest when it closes");
    let entries = folder.entries().await;
    assert_eq!(events(&entries)[1..], ["audit_head_contradicts"; 2], "each once");

    let store = folder.open().await;
    assert_eq!(show(&store, head(10, 4)), Witnessed::Contradicts, "remembered");
    assert_eq!(show(&store, head(12, 5)), Witnessed::Taken);
    // Who forges without end does not fill the database.
    for count in 0..100 {
        let wrong = SignedHead::sign(&party, head(1, count));
        assert_eq!(store.witness(party.party(), &wrong), Witnessed::Contradicts);
        store.keep_evidence(wrong).await.unwrap();
    }
    assert_eq!(folder.rows(kept).await.len(), 2 + 16, "with the head from before the restart");
    assert_eq!(folder.entries().await.len(), 1 + 16);
}

/// A party whose head was stored, and what the database says of heads once it was tampered with.
async fn tampered(sql: &str) -> (Folder, Identity) {
    let folder = Folder::new();
    let store = start(&folder).await;
    let (party, other) = (Identity::generate(), Identity::generate());
    for (party, count) in [(&party, 5), (&other, 7)] {
        let shown = SignedHead::sign(party, head(count, 1));
        assert_eq!(store.witness(party.party(), &shown), Witnessed::Taken);
    }
    store.keep_witnessed().await.unwrap();
    store.close().await.unwrap();
    let of_party = format!("WHERE keeper = '{}'", party.party());
    folder.sql(&format!("UPDATE witnessed_heads SET {sql} {of_party}")).await.unwrap();
    (folder, party)
}

#[actix_web::test]
async fn a_kept_head_that_cannot_be_read_is_told_set_aside_and_stops_nobody() {
    let cases = [
        "hash = 'scrawl'",
        "hash = x'ff00fe'",
        "count = 'many'",
        "count = -1",
        "count = 4",
        "signature = '00'",
        "keeper = 'nobody'",
    ];
    for sql in cases {
        let (folder, party) = tampered(sql).await;
        let row = "SELECT CAST(keeper AS TEXT), CAST(count AS TEXT), HEX(hash), signature \
                   FROM witnessed_heads";
        let count_is_not = |count: &str, not: &str| format!("{row} WHERE place {not} 0 {count}");
        let found = folder.rows(&count_is_not("AND count IS NOT 7", "=")).await;
        let store = start(&folder).await;
        assert_eq!(doubts(&folder).await, ["witness_unreadable"], "{sql}");
        assert_eq!(folder.rows(&count_is_not("", "<>")).await, found, "kept as it was: {sql}");
        // Nothing is known of that party any more; of the other all is.
        let untouched = folder.rows(&count_is_not("", "=")).await;
        assert_eq!(untouched.len(), 1, "{sql}");
        let shown = SignedHead::sign(&party, head(2, 9));
        assert_eq!(store.witness(party.party(), &shown), Witnessed::Taken, "{sql}");
        let wrong = SignedHead::sign(&party, head(1, 9));
        assert_eq!(store.witness(party.party(), &wrong), Witnessed::Contradicts, "{sql}");
        store.keep_evidence(wrong).await.unwrap();
        store.close().await.unwrap();
        let kept = folder.rows(&count_is_not("", "<>")).await;
        assert!(kept.len() == 2 && kept.contains(&found[0]), "{sql}: {kept:?}");
        // Told once.
        start(&folder).await;
        assert_eq!(doubts(&folder).await, ["witness_unreadable"], "{sql}");
    }
}

#[actix_web::test]
async fn heads_that_no_other_write_takes_along_are_stored_by_themselves() {
    let folder = Folder::new();
    let store = start(&folder).await;
    let party = Identity::generate();
    let entries = folder.entries().await.len();
    store.witness(party.party(), &SignedHead::sign(&party, head(5, 1)));
    for _ in 0..2 {
        store.keep_witnessed().await.unwrap();
        let kept = folder.rows("SELECT CAST(count AS TEXT) FROM witnessed_heads").await;
        assert_eq!(kept.concat(), ["5"]);
    }
    assert_eq!(folder.entries().await.len(), entries, "witnessing others is no entry of one's own");
}

#[actix_web::test]
async fn what_an_earlier_connection_brought_is_kept_beside_the_newest() {
    let folder = Folder::new();
    let store = start(&folder).await;
    let (party, other) = (Identity::generate(), Identity::generate());
    let show = |store: &Store, count| {
        let shown = SignedHead::sign(&party, head(count, 1));
        assert_eq!(store.witness(party.party(), &shown), Witnessed::Taken);
    };
    let kept = "SELECT CAST(place AS TEXT), CAST(count AS TEXT) FROM witnessed_heads \
                ORDER BY place DESC";
    let of = async || -> Vec<String> {
        let rows = folder.rows(kept).await;
        rows.into_iter().map(|row| row.join(": ")).collect()
    };
    show(&store, 5);
    show(&store, 6);
    // Never stored by itself, and yet kept.
    store.reconnected(party.party());
    store.reconnected(other.party());
    show(&store, 6);
    show(&store, 9);
    show(&store, 10);
    store.keep_witnessed().await.unwrap();
    assert_eq!(of().await, ["0: 10", "-1: 6"]);
    show(&store, 11);
    store.keep_witnessed().await.unwrap();
    assert_eq!(of().await, ["0: 11", "-1: 6"]);
    store.close().await.unwrap();

    // A coordinator that starts has other connections.
    let store = start(&folder).await;
    show(&store, 12);
    store.keep_witnessed().await.unwrap();
    assert_eq!(of().await, ["0: 12", "-1: 6", "-2: 11"]);
    // Who connects without end does not fill the database, and what is kept reaches back.
    for count in 13..1000 {
        store.reconnected(party.party());
        show(&store, count);
        store.keep_witnessed().await.unwrap();
    }
    let counts = "SELECT CAST(count AS TEXT) FROM witnessed_heads ORDER BY count";
    let counts: Vec<u64> =
        folder.rows(counts).await.concat().iter().map(|count| count.parse().unwrap()).collect();
    assert!((128..=257).contains(&counts.len()), "{}", counts.len());
    assert_eq!(counts.last(), Some(&999));
    assert_eq!(counts.first(), Some(&6));
    let widest = counts.windows(2).map(|pair| pair[1] - pair[0]).max();
    assert!(widest <= Some(256), "{widest:?}: {counts:?}");
}
