//! Row 16 in key generation and signing: what makes the library panic (`aux` has the rest). The
//! attempt fails with a typed failure, and others go on.

use super::harness::forge::Kind::{Direct, Echo, Normal};
use super::harness::lies::{At, Lie, puppet, run_with, telling};
use super::harness::network::{Network, contexts, identities, run_together};
use super::harness::oracle::Oracle;
use super::harness::value::Value;
use super::{assert_all_name, cast, keygen, pair, sign};
use k256::elliptic_curve::PrimeField;
use k256::elliptic_curve::sec1::{FromEncodedPoint, ToEncodedPoint};
use k256::{AffinePoint, EncodedPoint, ProjectivePoint, Scalar};
use mpc_engine::Task;
use mpc_wire::{FailureKind, Identity, Round, Stage, Threshold};

const RESHARING: At = (2, 1);

/// The lie makes both honest members' attempts panic, with these named.
fn panics(lies: impl FnOnce(&Identity) -> Vec<Lie>, liar_is_named: bool) {
    let (liar, honest) = cast(3);
    let network = run_with(keygen(2, 3), lies(&liar));
    let guilty = if liar_is_named { vec![liar.party()] } else { Vec::new() };
    assert_all_name(&network, &honest, FailureKind::Panicked, &guilty);
}

fn add_to_scalar(bytes: &mut Vec<u8>, more: Scalar) {
    let scalar: [u8; 32] = bytes[..].try_into().unwrap();
    let scalar = Scalar::from_repr(scalar.into()).unwrap() + more;
    *bytes = scalar.to_bytes().to_vec();
}

fn add_to_point(bytes: &mut Vec<u8>, more: Scalar) {
    let point = EncodedPoint::from_bytes(&bytes).unwrap();
    let point = ProjectivePoint::from(AffinePoint::from_encoded_point(&point).unwrap());
    let point = (point + ProjectivePoint::GENERATOR * more).to_affine();
    *bytes = point.to_encoded_point(true).as_bytes().to_vec();
}

#[test]
fn row_16_keygen_polynomials_that_are_too_short() {
    for length in [0, 1] {
        let lie = move |liar: &Identity| {
            vec![Lie::part(liar, RESHARING, Echo, move |echo| {
                echo.at("public_polynomial").list_mut().truncate(length);
            })]
        };
        panics(lie, true);
    }
}

#[test]
fn row_16_keygen_wrong_subshare() {
    panics(|liar| vec![Lie::leaf(liar, RESHARING, Direct, "subshare")], true);
}

/// A constant term that is one more, and sub-shares that fit it. Only the sum over all founders is
/// wrong, and the library has nobody to name.
#[test]
fn row_16_keygen_another_secret_than_the_share_names_nobody() {
    let lies = |liar: &Identity| {
        vec![
            Lie::part(liar, RESHARING, Direct, |direct| {
                add_to_scalar(direct.at("subshare").bytes_mut(), Scalar::ONE);
            }),
            Lie::part(liar, RESHARING, Echo, |echo| {
                add_to_point(echo.at("public_polynomial.0").bytes_mut(), Scalar::ONE);
            }),
        ]
    };
    panics(lies, false);
}

/// No panic, but the same hole: the library counts no coefficients. Whoever gets a share notices.
#[test]
fn row_17_keygen_raised_threshold_is_noticed_by_whoever_gets_a_share() {
    let (liar, honest) = cast(3);
    let mut lies = vec![Lie::part(&liar, RESHARING, Echo, |echo| {
        let term = AffinePoint::GENERATOR.to_encoded_point(true);
        echo.at("public_polynomial").list_mut().push(Value::bytes(term.as_bytes()));
    })];
    for (position, member) in (2_u64..).zip(&honest) {
        let more = Scalar::from(position * position);
        let fits = Lie::part(&liar, RESHARING, Direct, move |direct| {
            add_to_scalar(direct.at("subshare").bytes_mut(), more);
        });
        lies.push(fits.to(member.party()));
    }
    let network = run_with(keygen(2, 3), lies);
    assert_all_name(&network, &honest, FailureKind::ResultInvalid, &[]);
}

/// A founder without an engine, that commits to common randomness of so many bytes.
fn keygen_with_randomness_of(bytes: usize) -> (Network, Identity, Identity) {
    let everybody = identities(2);
    let (liar, honest) = (everybody[0].clone(), everybody[1].clone());
    let members = [liar.party(), honest.party()];
    let script = move |round: u16, session_id: &[u8]| {
        let point = AffinePoint::GENERATOR.to_encoded_point(true);
        let (point, rho) = (Value::bytes(point.as_bytes()), Value::bits(vec![7; bytes]));
        let u = Value::bits(vec![9; 32]);
        let echo = Value::fields([("rho", rho.clone())]);
        let normal =
            Value::fields([("cap_x", point.clone()), ("cap_a", point.clone()), ("u", u.clone())]);
        let hash = Oracle::new("KeyInit").chain(&Oracle::sid(session_id, &members));
        let hash = hash.party(members[0]).chain(&point).chain(&point).chain(&rho).chain(&u);
        match round {
            1 => vec![(Echo, Value::fields([("cap_v", Value::Bytes(hash.commitment()))]))],
            3 => vec![(Echo, echo), (Normal, normal)],
            _ => {
                let psi = Value::fields([
                    ("challenge", Value::bytes(vec![1; 32])),
                    ("proof", Value::bytes(vec![2; 32])),
                ]);
                vec![(Normal, Value::fields([("psi", psi)]))]
            }
        }
    };
    let task = |_| Task::Keygen { threshold: Threshold(2) };
    let network = Network::new(vec![contexts(&everybody).remove(1)], task, 5);
    (network.tampered(puppet(&liar, script)).run(), liar, honest)
}

/// It panics where all parts are put together, and none is named. Of the right length it is taken,
/// and the founder is found out when it has to prove something.
#[test]
fn row_16_keygen_common_randomness_of_another_length_names_nobody() {
    for bytes in [0, 31, 33] {
        let (network, _, honest) = keygen_with_randomness_of(bytes);
        assert_all_name(&network, &[honest], FailureKind::Panicked, &[]);
    }
    let (network, liar, honest) = keygen_with_randomness_of(32);
    assert_eq!(network.last_round[&Stage(1)], Round(5));
    assert_all_name(&network, &[honest], FailureKind::PeerMisbehaved, &[liar.party()]);
}

/// Numbers whose declared bound is far from their size, and challenges of another length, do not
/// panic the released library: they are refused, or they are the same number.
#[test]
fn row_16_signing_bounds_and_lengths_that_are_off() {
    let (liar, honest) = pair();
    let number = |bound: u32, bytes: usize| {
        move |value: &mut Value| {
            *value = Value::fields([
                ("bound", Value::Number(bound)),
                ("is_negative", Value::Bool(true)),
                ("abs_bytes", Value::bytes(vec![1; bytes])),
            ]);
        }
    };
    for path in ["psi0.z1", "psi1.z3"] {
        for (bound, bytes) in [(0, 0), (0, 256), (1, 1), (2047, 0), (4095, 600), (u32::MAX, 8)] {
            let change = number(bound, bytes);
            let lie = Lie::part(&liar, (1, 1), Direct, move |direct| change(direct.at(path)));
            let network = run_with(sign(&liar, &honest), vec![lie]);
            assert_all_name(&network, &honest, FailureKind::PeerMisbehaved, &[liar.party()]);
        }
    }
    let wider = Lie::part(&liar, (1, 1), Direct, |direct| {
        *direct.at("psi0.z1.bound") = Value::Number(2047);
    });
    assert_eq!(run_with(sign(&liar, &honest), vec![wider]).products().len(), 2);
}

/// The same party signs while its keygen panics: each of them is an engine of its own.
#[test]
fn row_16_another_session_completes_beside_one_that_panics() {
    let (liar, honest) = pair();
    let beside = sign(&liar, &honest);
    let lie = Lie::leaf(&cast(3).0, RESHARING, Direct, "subshare");
    let (spoilt, _) = telling(keygen(2, 3), vec![lie]);
    let (spoilt, signed) = run_together(spoilt, beside);
    assert_all_name(&spoilt, &honest, FailureKind::Panicked, &[liar.party()]);
    assert_eq!(signed.products().len(), 2);
}
