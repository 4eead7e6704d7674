//! Row 14: a member that tells others different things where all have to be told the same. In the
//! report of who noticed it, the library files it under the one who told of it: that one is not to
//! blame.

use super::findings::{add_to_point, add_to_scalar};
use super::harness::forge::Kind::{Direct, Echo};
use super::harness::lies::{At, Lie, run_with};
use super::harness::network::{Network, contexts, identities};
use super::{assert_all_name, assert_liar_is_named, cast, keygen, sign, trio};
use k256::Scalar;
use mpc_engine::Task;
use mpc_wire::FailureKind;

/// Tells the first honest member of three something else than the second; both find out.
fn found_out_by_both(network: Network, at: At, leaf: &str) {
    let (liar, honest) = cast(3);
    let lie = Lie::leaf(&liar, at, Echo, leaf).to(honest[0].party());
    let network = run_with(network, vec![lie]);
    assert_all_name(&network, &honest, FailureKind::PeerMisbehaved, &[liar.party()]);
    for member in honest {
        let failure = network.failure(member.party());
        assert!(failure.detail.contains("different from the originally received"), "{failure:?}");
    }
}

/// The same where a check of its own finds one of the versions wrong before they are compared.
fn found_out_by_one(network: Network, at: At, leaf: &str) {
    let (liar, honest) = cast(3);
    let lie = Lie::leaf(&liar, at, Echo, leaf).to(honest[0].party());
    let network = run_with(network, vec![lie]);
    assert_liar_is_named(&network, &honest, &liar);
}

#[test]
fn row_14_keygen_of_three_founders() {
    found_out_by_both(keygen(3, 3), (1, 1), "cap_v");
    found_out_by_one(keygen(3, 3), (1, 3), "rho.byte_vec");
}

/// Two founders of one key: the one redistributes with a polynomial for each of the others, both of
/// the share that it has, and gives each a sub-share that fits. One of the others is a newcomer, who
/// speaks in the echo alone.
#[test]
fn row_14_keygen_two_polynomials() {
    let (liar, honest) = cast(3);
    let told = honest[0].party();
    let steeper = Scalar::from(7_u64);
    let polynomial = Lie::part(&liar, (2, 1), Echo, move |echo| {
        add_to_point(echo.at("public_polynomial.1").bytes_mut(), steeper);
    });
    // The value at the second position.
    let fits = Lie::part(&liar, (2, 1), Direct, move |direct| {
        add_to_scalar(direct.at("subshare").bytes_mut(), steeper * Scalar::from(2_u64));
    });
    let network = run_with(keygen(2, 3), vec![polynomial.to(told), fits.to(told)]);
    assert_all_name(&network, &honest, FailureKind::PeerMisbehaved, &[liar.party()]);
}

#[test]
fn row_14_aux_set_of_three() {
    let network = Network::new(contexts(&identities(3)), |_| Task::Aux, 5);
    found_out_by_both(network, (1, 1), "cap_v");
}

#[test]
fn row_14_signing_of_three() {
    let (liar, honest) = trio();
    found_out_by_one(sign(&liar, &honest), (1, 1), "cap_y");
    found_out_by_one(sign(&liar, &honest), (1, 3), "cap_gamma");
    found_out_by_both(sign(&liar, &honest), (1, 5), "delta");
}

/// Whoever quotes another as having said what it did not is to blame itself.
#[test]
fn row_14_a_false_quotation_names_who_quotes() {
    let (liar, honest) = cast(3);
    for leaf in ["message_hashes.0.1.signature", "message_hashes.1.1.message_part_hash"] {
        let lie = Lie::leaf(&liar, (1, 2), super::harness::forge::Kind::Normal, leaf);
        let network = run_with(keygen(3, 3), vec![lie]);
        assert_all_name(&network, &honest, FailureKind::PeerMisbehaved, &[liar.party()]);
    }
}
