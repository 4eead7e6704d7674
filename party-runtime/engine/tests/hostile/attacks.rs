//! What the library alone makes of each finding (`make attacks`): it lets it pass, or panics. A new
//! release of it that mends one shows here.

use super::aux::PROVING;
use super::findings;
use super::harness::network::Guard::Off;
use mpc_wire::FailureKind::{Panicked, ResultInvalid};
use mpc_wire::{Round, Stage};

#[test]
#[ignore = "an attack on the library alone: `make attacks`"]
fn keygen_panics_over_one_message() {
    for length in [0, 1] {
        findings::short_polynomial(Off, length).fails_as(Panicked, true);
    }
    findings::wrong_subshare(Off).fails_as(Panicked, true);
}

/// Nobody can be named: only the sum is wrong.
#[test]
#[ignore = "an attack on the library alone: `make attacks`"]
fn keygen_panics_over_the_sum() {
    findings::another_secret(Off).fails_as(Panicked, false);
    findings::wrong_share_id(Off).fails_as(Panicked, false);
    for bytes in [0, 31, 33] {
        findings::keygen_randomness_of(Off, bytes).fails_as(Panicked, false);
    }
}

/// What is made of it does not stand our own check of the product: the library has taken it.
#[test]
#[ignore = "an attack on the library alone: `make attacks`"]
fn keygen_lets_the_threshold_be_raised() {
    findings::raised_threshold(Off).fails_as(ResultInvalid, false);
}

#[test]
#[ignore = "an attack on the library alone: `make attacks`"]
fn aux_panics() {
    findings::even_paillier_modulus(Off).fails_as(Panicked, true);
    findings::even_ring_pedersen_modulus(Off).fails_as(Panicked, true);
    findings::bases_of_zero(Off).fails_as(Panicked, true);
    findings::aux_randomness_of_another_length(Off).fails_as(Panicked, false);
    findings::zero_with_a_negative_exponent(Off).fails_as(Panicked, true);
}

/// The honest member goes on to prove its own modulus, so it has taken what it was told.
#[test]
#[ignore = "an attack on the library alone: `make attacks`"]
fn aux_takes_parameters_that_nobody_has_proven() {
    let takes = |trial: findings::Trial| {
        assert_eq!(trial.network.last_round[&Stage(1)], Round(PROVING.1));
    };
    takes(findings::empty_prm_proof(Off));
    takes(findings::bases_of_one(Off));
    takes(findings::square_modulus(Off));
    takes(findings::modulus_twice(Off));
}

/// A set is made of a modulus that nothing is proven of.
#[test]
#[ignore = "an attack on the library alone: `make attacks`"]
fn aux_takes_a_modulus_that_nobody_has_proven() {
    assert_eq!(findings::empty_mod_proof(Off).network.products().len(), 2);
}
