//! Rows 15, 16 and 17: the guard refuses each finding by its round and field, names who said it, and
//! nothing panics.

use super::findings::{self, Trial};
use super::harness::forge::Kind::{Direct, Echo};
use super::harness::lies::{Lie, telling};
use super::harness::network::Guard::On;
use super::harness::network::run_together;
use super::{assert_all_name, cast, keygen, pair, sign};
use mpc_wire::{FailureKind, Round, Stage};

#[test]
fn row_16_keygen_polynomials_that_are_too_short() {
    for length in [0, 1] {
        findings::short_polynomial(On, length).is_refused("round 1: public_polynomial");
    }
}

#[test]
fn row_16_keygen_wrong_subshare() {
    findings::wrong_subshare(On).is_refused("round 1: subshare");
}

#[test]
fn row_16_keygen_wrong_share_id() {
    findings::wrong_share_id(On).is_refused("round 1: old_share_id");
}

#[test]
fn row_16_keygen_another_secret_than_the_share() {
    findings::another_secret(On).is_refused("round 1: public_polynomial");
}

#[test]
fn row_17_keygen_raised_threshold() {
    findings::raised_threshold(On).is_refused("round 1: public_polynomial: 3 entries instead of 2");
}

#[test]
fn row_16_keygen_common_randomness_of_another_length() {
    for bytes in [0, 31, 33] {
        findings::keygen_randomness_of(On, bytes).is_refused("round 2: rho");
    }
}

/// Of the right length it is taken, and the founder is found out when it has to prove something.
#[test]
fn row_13_keygen_a_founder_that_makes_everything_up() {
    let trial = findings::keygen_randomness_of(On, 32);
    trial.fails_as(FailureKind::PeerMisbehaved, true);
    assert_eq!(trial.network.last_round[&Stage(1)], Round(5));
}

#[test]
fn row_16_aux_even_moduli() {
    findings::even_paillier_modulus(On).is_refused("round 2: a modulus is even");
    findings::even_ring_pedersen_modulus(On).is_refused("round 2: a modulus is even");
}

#[test]
fn row_15_aux_a_modulus_that_is_a_square() {
    findings::square_modulus(On).is_refused("round 2: a modulus is a perfect power");
}

#[test]
fn row_15_aux_a_modulus_for_two_purposes() {
    findings::modulus_twice(On).is_refused("round 2: a modulus is used twice");
}

#[test]
fn row_16_aux_common_randomness_of_another_length() {
    findings::aux_randomness_of_another_length(On).is_refused("round 2: rid");
}

#[test]
fn row_16_aux_bases_of_zero() {
    findings::bases_of_zero(On).is_refused("round 2: the ring-Pedersen bases are no two bases");
}

#[test]
fn row_15_aux_bases_of_one() {
    findings::bases_of_one(On).is_refused("round 2: the ring-Pedersen bases are no two bases");
}

#[test]
fn row_15_aux_proof_of_bases_without_a_repetition() {
    let trial = findings::empty_prm_proof(On);
    trial.is_refused("round 2: psi.commitment: 0 entries instead of 112");
}

#[test]
fn row_15_aux_proof_of_the_modulus_without_a_repetition() {
    let trial = findings::empty_mod_proof(On);
    trial.is_refused("round 3: psi_prime.proof: 0 entries instead of 112");
}

#[test]
fn row_16_aux_zero_with_a_negative_exponent() {
    findings::zero_with_a_negative_exponent(On).is_refused("round 3: psi.cap_p: no unit");
}

/// The forged range proofs consist of zeros. Nothing that depends on a share is said before the second
/// round, which is the third step.
#[test]
fn row_15_signing_elements_that_are_no_units() {
    let elements = [
        (Direct, "psi0.cap_d.ciphertext"),
        (Direct, "psi0.z2"),
        (Direct, "psi0.cap_s"),
        (Direct, "psi1.cap_t"),
        (Echo, "cap_k.ciphertext"),
        (Echo, "cap_g.ciphertext"),
    ];
    for (part, path) in elements {
        let trial = findings::zero_in_signing(On, part, path);
        trial.is_refused(&format!("round 1: {path}: no unit"));
        assert!(trial.network.last_round[&Stage(1)] < Round(3));
    }
}

#[test]
fn row_16_signing_bounds_and_lengths_that_are_off() {
    for path in ["psi0.z1", "psi1.z3"] {
        for off in [(0, 256), (1, 2), (2047, 0), (4096, 512), (4095, 600), (u32::MAX, 8)] {
            findings::number_in_signing(On, path, off).is_refused(&format!("round 1: {path}: "));
        }
    }
    findings::wider_bound(On).is_refused("round 1: psi0.z1: ");
}

/// The same party signs while its keygen fails: each of them is an engine of its own.
#[test]
fn row_16_another_session_completes_beside_one_that_fails() {
    let (liar, honest) = pair();
    let beside = sign(&liar, &honest);
    let lie = Lie::leaf(&cast(3).0, (2, 1), Direct, "subshare");
    let (spoilt, _) = telling(keygen(2, 3), vec![lie]);
    let (spoilt, signed) = run_together(spoilt, beside);
    assert_all_name(&spoilt, &honest, FailureKind::PeerMisbehaved, &[liar.party()]);
    assert_eq!(signed.products().len(), 2);
}

/// A trial is of a liar: who says nothing wrong is refused nothing.
#[test]
fn an_honest_number_passes() {
    let (liar, honest) = pair();
    let Trial { network, .. } = findings::same_number(On, &liar, &honest);
    assert_eq!(network.products().len(), 2);
}
