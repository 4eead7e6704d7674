//! Shamir's polynomial in the exponent: do public shares belong together, and to a key?
//!
//! The share of the member at position `i` of the sorted members, from 1, is the polynomial's value
//! at `i`; the key is its value at 0.

use k256::{ProjectivePoint, Scalar};

/// Whether `shares`, the values at 1, 2, …, lie on one polynomial of degree below `threshold`
/// whose value at 0 is `key`.
pub(crate) fn shares_belong_to(
    key: &ProjectivePoint,
    shares: &[ProjectivePoint],
    threshold: usize,
) -> bool {
    let Some((basis, rest)) = shares.split_at_checked(threshold) else { return false };
    if basis.is_empty() {
        return false;
    }
    let beyond = (threshold as u64 + 1..).zip(rest);
    std::iter::once((0, key)).chain(beyond).all(|(at, value)| interpolate(basis, at) == *value)
}

/// The value at `at` of the polynomial through `basis`, its values at 1, 2, ….
fn interpolate(basis: &[ProjectivePoint], at: u64) -> ProjectivePoint {
    let positions = 1..=basis.len() as u64;
    positions
        .clone()
        .zip(basis)
        .map(|(own, value)| *value * lagrange(positions.clone(), own, at))
        .sum()
}

/// Lagrange's basis polynomial of `own` among `positions`, at `at`.
fn lagrange(positions: impl Iterator<Item = u64>, own: u64, at: u64) -> Scalar {
    let (own_scalar, at) = (Scalar::from(own), Scalar::from(at));
    let (numerator, denominator) = positions.filter(|other| *other != own).map(Scalar::from).fold(
        (Scalar::ONE, Scalar::ONE),
        |(numerator, denominator), other| {
            (numerator * (at - other), denominator * (own_scalar - other))
        },
    );
    // The positions differ, so no factor of the denominator is zero and the inverse exists.
    numerator * denominator.invert().unwrap_or(Scalar::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Key and shares of the polynomial with these coefficients, lowest first.
    fn dealt(coefficients: &[u64], parties: u64) -> (ProjectivePoint, Vec<ProjectivePoint>) {
        let value = |at: u64| {
            let sum = coefficients
                .iter()
                .rev()
                .fold(Scalar::ZERO, |sum, c| sum * Scalar::from(at) + Scalar::from(*c));
            ProjectivePoint::GENERATOR * sum
        };
        (value(0), (1..=parties).map(value).collect())
    }

    #[test]
    fn honest_shares_belong() {
        for (coefficients, parties) in [(&[5, 7][..], 2), (&[5, 7], 3), (&[5, 7, 11], 5)] {
            let (key, shares) = dealt(coefficients, parties);
            assert!(shares_belong_to(&key, &shares, coefficients.len()));
        }
    }

    #[test]
    fn one_wrong_share_or_key_is_seen() {
        let (key, shares) = dealt(&[5, 7, 11], 5);
        for index in 0..shares.len() {
            let mut wrong = shares.clone();
            wrong[index] += ProjectivePoint::GENERATOR;
            assert!(!shares_belong_to(&key, &wrong, 3), "share {index}");
        }
        assert!(!shares_belong_to(&(key + ProjectivePoint::GENERATOR), &shares, 3));
    }

    #[test]
    fn raised_threshold_is_seen() {
        let (key, shares) = dealt(&[5, 7, 11], 5);
        assert!(!shares_belong_to(&key, &shares, 2));
    }

    #[test]
    fn too_few_shares_belong_to_nothing() {
        let (key, shares) = dealt(&[5, 7], 2);
        assert!(!shares_belong_to(&key, &shares, 3));
        assert!(!shares_belong_to(&key, &[], 0));
    }
}
