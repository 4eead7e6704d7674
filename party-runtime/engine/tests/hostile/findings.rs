//! What the released library lets pass, or panics over: each finding as an attempt in which one member
//! does it, with the guard or without.

use super::aux::{self, Prover, REPETITIONS, as_it_was, odd_power, power, puppet_with, small};
use super::harness::forge::Kind::{Direct, Echo, Normal};
use super::harness::lies::{At, Lie, puppet, run_with};
use super::harness::network::{Guard, Network, contexts, identities};
use super::harness::oracle::Oracle;
use super::harness::value::Value;
use super::{assert_all_name, cast, keygen_with, pair, sign_with};
use k256::elliptic_curve::PrimeField;
use k256::elliptic_curve::sec1::{FromEncodedPoint, ToEncodedPoint};
use k256::{AffinePoint, EncodedPoint, ProjectivePoint, Scalar};
use mpc_engine::Task;
use mpc_wire::{FailureKind, Identity, Threshold};

const RESHARING: At = (2, 1);

/// An attempt that is over, and who lied in it.
pub(crate) struct Trial {
    pub(crate) network: Network,
    liar: Identity,
    honest: Vec<Identity>,
}

impl Trial {
    fn new((network, liar, honest): (Network, Identity, Vec<Identity>)) -> Self {
        Self { network, liar, honest }
    }

    /// The guard has refused this field, and every honest member names the liar.
    pub(crate) fn is_refused(&self, field: &str) {
        self.fails_as(FailureKind::PeerMisbehaved, true);
        for member in &self.honest {
            let detail = self.network.failure(member.party()).detail;
            assert!(detail.starts_with("the guard refuses") && detail.contains(field), "{detail}");
        }
    }

    /// The attempt of every honest member fails so, and names the liar or nobody.
    pub(crate) fn fails_as(&self, kind: FailureKind, liar_is_named: bool) {
        let named = liar_is_named.then(|| self.liar.party());
        assert_all_name(&self.network, &self.honest, kind, named.as_slice());
    }
}

pub(crate) fn add_to_scalar(bytes: &mut Vec<u8>, more: Scalar) {
    let scalar: [u8; 32] = bytes[..].try_into().unwrap();
    let scalar = Scalar::from_repr(scalar.into()).unwrap() + more;
    *bytes = scalar.to_bytes().to_vec();
}

pub(crate) fn add_to_point(bytes: &mut Vec<u8>, more: Scalar) {
    let point = EncodedPoint::from_bytes(&bytes).unwrap();
    let point = ProjectivePoint::from(AffinePoint::from_encoded_point(&point).unwrap());
    let point = (point + ProjectivePoint::GENERATOR * more).to_affine();
    *bytes = point.to_encoded_point(true).as_bytes().to_vec();
}

fn in_keygen(guard: Guard, lies: impl FnOnce(&Identity, &[Identity]) -> Vec<Lie>) -> Trial {
    let (liar, honest) = cast(3);
    let lies = lies(&liar, &honest);
    Trial::new((run_with(keygen_with(guard, 2, 3), lies), liar, honest))
}

pub(crate) fn short_polynomial(guard: Guard, length: usize) -> Trial {
    in_keygen(guard, |liar, _| {
        vec![Lie::part(liar, RESHARING, Echo, move |echo| {
            echo.at("public_polynomial").list_mut().truncate(length);
        })]
    })
}

pub(crate) fn wrong_subshare(guard: Guard) -> Trial {
    in_keygen(guard, |liar, _| vec![Lie::leaf(liar, RESHARING, Direct, "subshare")])
}

pub(crate) fn wrong_share_id(guard: Guard) -> Trial {
    in_keygen(guard, |liar, _| vec![Lie::leaf(liar, RESHARING, Echo, "old_share_id")])
}

/// A constant term that is one more, and sub-shares that fit it: only the sum over all founders is
/// wrong.
pub(crate) fn another_secret(guard: Guard) -> Trial {
    in_keygen(guard, |liar, _| {
        vec![
            Lie::part(liar, RESHARING, Direct, |direct| {
                add_to_scalar(direct.at("subshare").bytes_mut(), Scalar::ONE);
            }),
            Lie::part(liar, RESHARING, Echo, |echo| {
                add_to_point(echo.at("public_polynomial.0").bytes_mut(), Scalar::ONE);
            }),
        ]
    })
}

/// One coefficient more, and sub-shares that fit: who signs would have to be one more.
pub(crate) fn raised_threshold(guard: Guard) -> Trial {
    in_keygen(guard, |liar, honest| {
        let mut lies = vec![Lie::part(liar, RESHARING, Echo, |echo| {
            let term = AffinePoint::GENERATOR.to_encoded_point(true);
            echo.at("public_polynomial").list_mut().push(Value::bytes(term.as_bytes()));
        })];
        for (position, member) in (2_u64..).zip(honest) {
            let more = Scalar::from(position * position);
            let fits = Lie::part(liar, RESHARING, Direct, move |direct| {
                add_to_scalar(direct.at("subshare").bytes_mut(), more);
            });
            lies.push(fits.to(member.party()));
        }
        lies
    })
}

/// A founder without an engine, that commits to common randomness of so many bytes.
pub(crate) fn keygen_randomness_of(guard: Guard, bytes: usize) -> Trial {
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
    let network = Network::with(guard, vec![contexts(&everybody).remove(1)], task, 5);
    Trial::new((network.tampered(puppet(&liar, script)).run(), liar, vec![honest]))
}

/// In the making of an aux set, with one member that makes up what it says.
fn in_aux(guard: Guard, said: aux::Change) -> Trial {
    let (network, liar, honest) = puppet_with(guard, said, as_it_was);
    Trial::new((network, liar, vec![honest]))
}

pub(crate) fn even_paillier_modulus(guard: Guard) -> Trial {
    in_aux(guard, |_, data| *data.at("paillier_pk.modulus") = power(2047))
}

pub(crate) fn even_ring_pedersen_modulus(guard: Guard) -> Trial {
    in_aux(guard, |_, data| *data.at("rp_params.modulus") = power(2047))
}

/// The square of a number of half its size.
pub(crate) fn square_modulus(guard: Guard) -> Trial {
    in_aux(guard, |prover, data| {
        let root = num_bigint::BigUint::from(3_u8) << 1022_u32;
        let square = (root + 1_u8).pow(2).to_bytes_le();
        assert_eq!(square.len(), 256);
        *data.at("rp_params.modulus") = Value::Bytes(square);
        *data.at("psi") = prover.psi(data.at("rp_params"));
    })
}

/// One modulus for two purposes.
pub(crate) fn modulus_twice(guard: Guard) -> Trial {
    in_aux(guard, |_, data| *data.at("paillier_pk.modulus") = odd_power(2047))
}

pub(crate) fn aux_randomness_of_another_length(guard: Guard) -> Trial {
    in_aux(guard, |_, data| *data.at("rid") = Value::bits(vec![7; 31]))
}

/// The proof of it reads 0 = 0. What is then made for its owner cannot be.
pub(crate) fn bases_of_zero(guard: Guard) -> Trial {
    in_aux(guard, |prover, data| {
        *data.at("rp_params.base_randomizer") = small(0);
        *data.at("rp_params.base_value") = small(0);
        *data.at("psi.commitment") = Value::List(vec![small(0); REPETITIONS]);
        *data.at("psi.proof") = Value::List(vec![small(1); REPETITIONS]);
        prove_again(prover, data);
    })
}

/// Bases of which one is one: whatever is committed to with them is known to everybody.
pub(crate) fn bases_of_one(guard: Guard) -> Trial {
    in_aux(guard, |prover, data| {
        *data.at("rp_params.base_randomizer") = small(1);
        *data.at("rp_params.base_value") = small(1);
        *data.at("psi.commitment") = Value::List(vec![small(1); REPETITIONS]);
        prove_again(prover, data);
    })
}

/// Π^prm without a repetition: bases that nobody knows a relation of.
pub(crate) fn empty_prm_proof(guard: Guard) -> Trial {
    in_aux(guard, |prover, data| {
        *data.at("rp_params.base_value") = small(5);
        *data.at("psi.commitment") = Value::List(Vec::new());
        *data.at("psi.proof") = Value::List(Vec::new());
        prove_again(prover, data);
    })
}

/// Has the challenge of Π^prm fit what is said.
fn prove_again(prover: &Prover, data: &mut Value) {
    let commitment = data.at("psi.commitment").clone();
    let challenge = prover.challenge(&commitment, data.at("rp_params"));
    *data.at("psi.challenge") = Value::bits(challenge);
}

/// Π^mod without a repetition: any modulus would do.
pub(crate) fn empty_mod_proof(guard: Guard) -> Trial {
    let (liar, honest) = cast(2);
    let lie = Lie::part(&liar, aux::PROVING, Normal, |normal| {
        normal.at("psi_prime.proof").list_mut().clear();
    });
    let network = Network::with(guard, contexts(&identities(2)), |_| Task::Aux, 5);
    Trial::new((run_with(network, vec![lie]), liar, honest))
}

/// Zero has no inverse.
pub(crate) fn zero_with_a_negative_exponent(guard: Guard) -> Trial {
    Trial::new(aux::zero_with_a_negative_exponent(guard))
}

/// A signed number of a proof that declares this bound, in so many bytes.
pub(crate) fn number_in_signing(
    guard: Guard,
    path: &'static str,
    (bound, bytes): (u32, usize),
) -> Trial {
    in_signing(guard, path, move |value| {
        *value = Value::fields([
            ("bound", Value::Number(bound)),
            ("is_negative", Value::Bool(true)),
            ("abs_bytes", Value::bytes(vec![1; bytes])),
        ]);
    })
}

/// The same number with a wider bound.
pub(crate) fn wider_bound(guard: Guard) -> Trial {
    in_signing(guard, "psi0.z1.bound", |bound| *bound = Value::Number(2047))
}

/// The number as it is.
pub(crate) fn same_number(guard: Guard, liar: &Identity, honest: &[Identity]) -> Trial {
    let lie = Lie::part(liar, (1, 1), Direct, |_| {});
    let network = run_with(sign_with(guard, liar, honest), vec![lie]);
    Trial::new((network, liar.clone(), honest.to_vec()))
}

fn in_signing(
    guard: Guard,
    path: &'static str,
    mut change: impl FnMut(&mut Value) + 'static,
) -> Trial {
    let (liar, honest) = pair();
    let lie = Lie::part(&liar, (1, 1), Direct, move |direct| change(direct.at(path)));
    Trial::new((run_with(sign_with(guard, &liar, &honest), vec![lie]), liar, honest))
}

/// A ring element of the first message of a signing that is no unit.
pub(crate) fn zero_in_signing(
    guard: Guard,
    kind: super::harness::forge::Kind,
    path: &str,
) -> Trial {
    let (liar, honest) = pair();
    let path = path.to_owned();
    let lie = Lie::part(&liar, (1, 1), kind, move |part| part.at(&path).bytes_mut().fill(0));
    Trial::new((run_with(sign_with(guard, &liar, &honest), vec![lie]), liar, honest))
}
