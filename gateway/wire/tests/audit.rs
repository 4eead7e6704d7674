//! A log cannot be changed behind a head that others hold.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "arbitrary/statements.rs"]
mod statements;
#[path = "arbitrary/values.rs"]
mod values;

use mpc_wire::audit::{Entry, Head};
use mpc_wire::codec::decode;
use mpc_wire::identity::InvalidSignature;
use mpc_wire::{EntryHash, Identity, SignedHead};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

/// The head of a log of these entries.
fn head(entries: &[Entry]) -> Head {
    let hash = entries.iter().fold(Head::EMPTY.hash, |before, entry| entry.hash(&before));
    Head { count: u64::try_from(entries.len()).unwrap(), hash }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_changed_entry_changes_the_head(
        entries in vec(statements::entry(), 1..8), other in statements::entry(), at in any::<Index>(),
    ) {
        let mut changed = entries.clone();
        changed[at.index(entries.len())] = other;
        prop_assert_eq!(changed == entries, head(&changed).hash == head(&entries).hash);
    }

    #[test]
    fn a_dropped_entry_changes_the_head(
        entries in vec(statements::entry(), 1..8), at in any::<Index>(),
    ) {
        let mut fewer = entries.clone();
        fewer.remove(at.index(entries.len()));
        prop_assert_ne!(head(&fewer).hash, head(&entries).hash);
        prop_assert_ne!(head(&fewer).count, head(&entries).count);
    }

    #[test]
    fn swapped_entries_change_the_head(
        entries in vec(statements::entry(), 2..8), one in any::<Index>(), two in any::<Index>(),
    ) {
        let mut swapped = entries.clone();
        swapped.swap(one.index(entries.len()), two.index(entries.len()));
        prop_assert_eq!(swapped == entries, head(&swapped).hash == head(&entries).hash);
    }

    #[test]
    fn an_entry_put_in_between_changes_the_head(
        entries in vec(statements::entry(), 1..8), more in statements::entry(), at in any::<Index>(),
    ) {
        let mut longer = entries.clone();
        longer.insert(at.index(entries.len() + 1), more);
        prop_assert_ne!(head(&longer).hash, head(&entries).hash);
    }

    #[test]
    fn a_head_is_its_keepers(
        seed in any::<[u8; 32]>(), count in any::<u64>(), hash in any::<[u8; 32]>(),
    ) {
        let keeper = Identity::from_seed(&seed);
        let other = Identity::generate();
        let head = Head { count, hash: EntryHash::new(hash) };
        let signed = SignedHead::sign(&keeper, head);
        prop_assert_eq!(signed.keeper, keeper.party());
        prop_assert_eq!(signed.verify(), Ok(keeper.proven_key()));
        let mut other_hash = hash;
        other_hash[31] ^= 1;
        let forged = [
            SignedHead { head: Head { count: count ^ 1, ..head }, ..signed.clone() },
            SignedHead { head: Head { hash: EntryHash::new(other_hash), ..head }, ..signed.clone() },
            SignedHead { keeper: other.party(), ..signed.clone() },
            SignedHead { signature: SignedHead::sign(&other, head).signature, ..signed },
        ];
        for forged in forged {
            prop_assert_eq!(forged.verify(), Err(InvalidSignature));
        }
    }
}

#[test]
fn the_head_of_no_entries_is_no_entrys_hash() {
    assert_eq!(head(&[]), Head::EMPTY);
    let entry = Entry {
        number: 1,
        at: mpc_wire::UnixMillis(0),
        event: String::new(),
        actor: String::new(),
        subject: String::new(),
        decision: String::new(),
        policy: String::new(),
        detail: String::new(),
    };
    assert_ne!(entry.hash(&Head::EMPTY.hash), Head::EMPTY.hash);
}

/// What is hashed or signed has no fields that this version does not know.
#[test]
fn unknown_fields_are_refused() {
    #[derive(serde::Serialize)]
    struct Later {
        count: u64,
        hash: EntryHash,
        tail: u8,
    }
    let later = Later { count: 0, hash: Head::EMPTY.hash, tail: 1 };
    let bytes = rmp_serde::to_vec_named(&later).unwrap();
    assert!(decode::<Head>(&bytes).unwrap_err().to_string().contains("unknown field `tail`"));
}
