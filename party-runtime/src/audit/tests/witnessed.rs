//! Heads of the coordinator's log.

use super::*;

#[tokio::test]
async fn the_coordinators_newest_head_is_kept_and_what_contradicts_it() {
    let folder = Folder::new();
    let vault = folder.open().await;
    let (keeper, other) = (Identity::generate(), Identity::generate());
    let sign = |head| SignedHead::sign(&keeper, head);
    let mut auditor = Auditor::default();
    let mut show = |shown| {
        auditor.witness(vault.party(), shown);
        auditor.take(&VecDeque::new())
    };
    // The first one pins its keeper; a count that jumps is fine, and so is the same one again.
    for shown in [head(5, 1), head(5, 1), head(90, 2)] {
        let unstored = show(sign(shown));
        assert!(unstored.doubted.is_empty());
        store(&vault, &[], &[], unstored).await.unwrap();
    }
    let altered = SignedHead { signature: PartySignature::from([1; 64]), ..sign(head(91, 1)) };
    let unstored = show(altered);
    assert!(unstored.newest.is_none() && unstored.doubted.is_empty());
    let wrong = [
        sign(head(89, 2)),
        sign(head(90, 3)),
        SignedHead::sign(&other, head(100, 1)),
        sign(head(89, 2)),
    ];
    for shown in wrong {
        let unstored = show(shown);
        assert_eq!((unstored.newest.is_none(), unstored.doubted.len()), (true, 1));
        store(&vault, &[], &[], unstored).await.unwrap();
    }
    let unstored = show(sign(head(91, 4)));
    store(&vault, &[], &[], unstored).await.unwrap();
    let kept = "SELECT CAST(count AS TEXT) FROM witnessed_heads ORDER BY place, count";
    assert_eq!(folder.rows(kept).await.concat(), ["91", "89", "100", "90"]);
    let entries = folder.entries().await;
    assert_eq!(events(&entries), ["audit_head_contradicts"; 3], "each once");

    // Remembered after a restart: the keeper, and how far its log was.
    let mut auditor = Auditor::default();
    auditor.restore(Witness::load(vault.database()).await.unwrap(), &[]);
    for (shown, is_doubted) in [
        (sign(head(90, 2)), true),
        (SignedHead::sign(&other, head(200, 1)), true),
        (sign(head(92, 5)), false),
    ] {
        auditor.witness(vault.party(), shown);
        assert_eq!(auditor.take(&VecDeque::new()).doubted.len(), usize::from(is_doubted));
    }
}

#[test]
fn a_head_waits_for_another_commit_and_not_for_ever() {
    let keeper = Identity::generate();
    let mut auditor = Auditor::default();
    let party = Identity::generate().party();
    auditor.waited();
    assert!(!auditor.must_store(), "there is nothing");
    for shown in [head(5, 1), head(6, 2)] {
        auditor.witness(party, SignedHead::sign(&keeper, shown));
        assert!(!auditor.must_store(), "what is written next takes it along");
        auditor.waited();
        assert!(auditor.must_store());
        let stored = auditor.take(&VecDeque::new());
        assert_eq!(stored.newest.unwrap().head, shown);
        // The same once more is no news.
        auditor.witness(party, SignedHead::sign(&keeper, shown));
        auditor.waited();
        assert!(!auditor.must_store());
    }
}

#[tokio::test]
async fn forged_heads_without_end_do_not_fill_the_database() {
    let folder = Folder::new();
    let vault = folder.open().await;
    let keeper = Identity::generate();
    let mut auditor = Auditor::default();
    auditor.witness(vault.party(), SignedHead::sign(&keeper, head(9, 9)));
    for n in 0..400_u32 {
        // Those of the keeper, and those of as many strangers.
        let strangers = Identity::generate();
        let by = if n % 2 == 0 { &keeper } else { &strangers };
        let hash = EntryHash::new([u8::try_from(n % 251).unwrap(); 32]);
        auditor.witness(vault.party(), SignedHead::sign(by, Head { count: 1, hash }));
        let unstored = auditor.take(&VecDeque::new());
        store(&vault, &[], &[], unstored).await.unwrap();
    }
    let kept = folder.rows("SELECT keeper FROM witnessed_heads").await.len();
    assert!((17..=300).contains(&kept), "{kept}");
    assert_eq!(folder.entries().await.len(), kept - 1);
}

#[tokio::test]
async fn what_an_earlier_connection_brought_is_kept_beside_the_newest() {
    let folder = Folder::new();
    let vault = folder.open().await;
    let keeper = Identity::generate();
    let kept = "SELECT CAST(place AS TEXT), CAST(count AS TEXT) FROM witnessed_heads \
                ORDER BY place DESC";
    let of = async || -> Vec<String> {
        folder.rows(kept).await.into_iter().map(|row| row.join(": ")).collect()
    };
    let mut auditor = Auditor::default();
    let show = |auditor: &mut Auditor, count| {
        auditor.witness(vault.party(), SignedHead::sign(&keeper, head(count, 1)));
        auditor.must_store()
    };
    let commit = async |auditor: &mut Auditor| {
        let unstored = auditor.take(&VecDeque::new());
        store(&vault, &[], &[], unstored).await.unwrap();
    };
    assert!(!show(&mut auditor, 5));
    assert!(!show(&mut auditor, 6));
    // Not stored yet, and not lost for that.
    auditor.reconnected();
    assert!(!show(&mut auditor, 6));
    assert!(show(&mut auditor, 9), "nobody else may take its place before it is stored");
    commit(&mut auditor).await;
    show(&mut auditor, 10);
    commit(&mut auditor).await;
    assert_eq!(of().await, ["0: 10", "-1: 6"]);

    // A party that starts has another connection.
    let mut auditor = Auditor::default();
    auditor.restore(Witness::load(vault.database()).await.unwrap(), &[]);
    show(&mut auditor, 11);
    commit(&mut auditor).await;
    assert_eq!(of().await, ["0: 11", "-1: 6", "-2: 10"]);
    // Connections without end do not fill the database, and what is kept reaches back.
    for count in 12..1000 {
        auditor.reconnected();
        show(&mut auditor, count);
        commit(&mut auditor).await;
    }
    let counts = "SELECT CAST(count AS TEXT) FROM witnessed_heads ORDER BY count";
    let counts: Vec<u64> =
        folder.rows(counts).await.concat().iter().map(|count| count.parse().unwrap()).collect();
    assert!((128..=257).contains(&counts.len()), "{}", counts.len());
    assert_eq!((counts.first(), counts.last()), (Some(&6), Some(&999)));
    let widest = counts.windows(2).map(|pair| pair[1] - pair[0]).max();
    assert!(widest <= Some(256), "{widest:?}: {counts:?}");
}
