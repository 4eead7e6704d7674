//! Details are shortened to their bound without breaking a character.

use mpc_wire::limits::{MAX_DETAIL, bounded_detail};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn as_much_as_fits_is_kept(chars in proptest::collection::vec(any::<char>(), 0..700)) {
        let detail: String = chars.into_iter().collect();
        let bounded = bounded_detail(detail.clone());
        prop_assert!(detail.starts_with(&bounded));
        prop_assert!(bounded.len() <= MAX_DETAIL);
        let next = detail[bounded.len()..].chars().next();
        prop_assert!(next.is_none_or(|next| bounded.len() + next.len_utf8() > MAX_DETAIL));
    }
}

#[test]
fn characters_at_the_bound_stay_whole() {
    for last in ['a', 'é', '…', '🔑'] {
        let width = last.len_utf8();
        for before in MAX_DETAIL - 4..=MAX_DETAIL + 1 {
            let detail = format!("{}{last}", "x".repeat(before));
            let expected =
                if before + width <= MAX_DETAIL { before + width } else { before.min(MAX_DETAIL) };
            assert_eq!(bounded_detail(detail).len(), expected, "{before} and {last}");
        }
    }
}

#[test]
fn short_details_are_kept() {
    let longest = "é".repeat(MAX_DETAIL / 2);
    for detail in ["", "a", &longest] {
        assert_eq!(bounded_detail(detail.to_owned()), detail);
    }
}
