//! Every message of synedrion's protocols with the parameters that are used here, by round and part.

use super::shape::{MODULUS_BYTES, Shape};

/// Repetitions of a proof whose verifier is heard once (`SECURITY_BITS` of the parameters).
const REPETITIONS: usize = 112;

/// Repetitions of the proofs of a signing's error rounds, and bits of common randomness
/// (`SECURITY_PARAMETER`).
const MANY: usize = 256;

/// The shapes of the parts of a round's message; none where the round has no such part.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parts {
    pub(super) echo: Option<&'static Shape>,
    pub(super) normal: Option<&'static Shape>,
    pub(super) direct: Option<&'static Shape>,
}

const NONE: Parts = Parts { echo: None, normal: None, direct: None };

const HASH: Shape = Shape::Bytes(28);
const POINT: Shape = Shape::Bytes(33);
const SCALAR: Shape = Shape::Bytes(32);
const RANDOMNESS: Shape = Shape::Bits(256);
/// What is taken modulo a modulus without being an element of its ring: exponents, and the moduli
/// and bases, which have rules of their own.
const NUMBER: Shape = Shape::Bytes(MODULUS_BYTES);
const UNIT: Shape = Shape::Unit(MODULUS_BYTES);
const CIPHERTEXT: Shape =
    Shape::Fields(&[("ciphertext", Shape::Unit(2 * MODULUS_BYTES)), ("phantom", Shape::Nothing)]);
const SIGNED: Shape = Shape::Signed(2047);
const WIDE_SIGNED: Shape = Shape::Signed(4095);
const EXTRA_WIDE_SIGNED: Shape = Shape::Signed(8191);

/// Π^sch (figure 22).
const SCHNORR: Shape = Shape::Fields(&[("challenge", SCALAR), ("proof", SCALAR)]);

/// Π^elog (figure 23).
const ELOG: Shape = Shape::Fields(&[
    ("e", SCALAR),
    ("cap_a", POINT),
    ("cap_n", POINT),
    ("cap_b", POINT),
    ("z", SCALAR),
    ("u", SCALAR),
]);

/// Π^enc-elg (figure 24).
const ENC_ELG: Shape = Shape::Fields(&[
    ("e", SCALAR),
    ("cap_s", UNIT),
    ("cap_d", CIPHERTEXT),
    ("cap_y", POINT),
    ("cap_z", POINT),
    ("cap_t", UNIT),
    ("z1", SIGNED),
    ("w", SCALAR),
    ("z2", UNIT),
    ("z3", WIDE_SIGNED),
]);

/// Π^aff-g (figure 25).
const AFF_G: Shape = Shape::Fields(&[
    ("e", SCALAR),
    ("cap_a", CIPHERTEXT),
    ("cap_b_x", POINT),
    ("cap_b_y", CIPHERTEXT),
    ("cap_e", UNIT),
    ("cap_s", UNIT),
    ("cap_f", UNIT),
    ("cap_t", UNIT),
    ("z1", SIGNED),
    ("z2", SIGNED),
    ("z3", WIDE_SIGNED),
    ("z4", WIDE_SIGNED),
    ("w", UNIT),
    ("w_y", UNIT),
]);

/// Π^aff-g* (figure 27).
const AFF_G_STAR: Shape = Shape::Fields(&[
    ("e", RANDOMNESS),
    (
        "commitments",
        Shape::List(
            MANY,
            &Shape::Fields(&[("cap_a", CIPHERTEXT), ("cap_r", POINT), ("cap_b", CIPHERTEXT)]),
        ),
    ),
    (
        "elements",
        Shape::List(
            MANY,
            &Shape::Fields(&[("z", SIGNED), ("z_prime", SIGNED), ("w", UNIT), ("lambda", UNIT)]),
        ),
    ),
]);

/// Π^dec (figure 28).
const DEC: Shape = Shape::Fields(&[
    ("e", RANDOMNESS),
    (
        "commitments",
        Shape::List(
            MANY,
            &Shape::Fields(&[("cap_a", CIPHERTEXT), ("cap_b", POINT), ("cap_c", POINT)]),
        ),
    ),
    (
        "elements",
        Shape::List(MANY, &Shape::Fields(&[("z", SIGNED), ("w", WIDE_SIGNED), ("nu", UNIT)])),
    ),
]);

/// Π^prm (figure 17). What is proven are exponents.
const PRM: Shape = Shape::Fields(&[
    ("commitment", Shape::List(REPETITIONS, &UNIT)),
    ("challenge", Shape::Bits(112)),
    ("proof", Shape::List(REPETITIONS, &NUMBER)),
]);

/// Π^mod (figure 16).
const MOD: Shape = Shape::Fields(&[
    ("commitment", UNIT),
    ("challenge", Shape::List(REPETITIONS, &UNIT)),
    (
        "proof",
        Shape::List(
            REPETITIONS,
            &Shape::Fields(&[("x", UNIT), ("a", Shape::Bool), ("b", Shape::Bool), ("z", UNIT)]),
        ),
    ),
]);

/// Π^fac (figure 26).
const FAC: Shape = Shape::Fields(&[
    ("e", SIGNED),
    ("cap_p", UNIT),
    ("cap_q", UNIT),
    ("cap_a", UNIT),
    ("cap_b", UNIT),
    ("cap_t", UNIT),
    ("z1", WIDE_SIGNED),
    ("z2", WIDE_SIGNED),
    ("w1", WIDE_SIGNED),
    ("w2", WIDE_SIGNED),
    ("v", EXTRA_WIDE_SIGNED),
]);

/// KeyInit (figure 5).
pub(super) const KEY_INIT: &[Parts] = &[
    Parts { echo: Some(&Shape::Fields(&[("cap_v", HASH)])), ..NONE },
    Parts {
        echo: Some(&Shape::Fields(&[("rho", RANDOMNESS)])),
        normal: Some(&Shape::Fields(&[("cap_x", POINT), ("cap_a", POINT), ("u", RANDOMNESS)])),
        ..NONE
    },
    Parts { normal: Some(&Shape::Fields(&[("psi", SCHNORR)])), ..NONE },
];

/// KeyResharing.
pub(super) const KEY_RESHARING: &[Parts] = &[Parts {
    echo: Some(&Shape::Fields(&[
        ("public_polynomial", Shape::Coefficients(&POINT)),
        ("old_share_id", SCALAR),
    ])),
    direct: Some(&Shape::Fields(&[("subshare", SCALAR)])),
    ..NONE
}];

/// AuxGen (figure 6).
pub(super) const AUX_GEN: &[Parts] = &[
    Parts { echo: Some(&Shape::Fields(&[("cap_v", HASH)])), ..NONE },
    Parts {
        echo: Some(&Shape::Fields(&[
            (
                "rp_params",
                Shape::Fields(&[
                    ("modulus", NUMBER),
                    ("base_randomizer", UNIT),
                    ("base_value", UNIT),
                ]),
            ),
            ("rid", RANDOMNESS),
        ])),
        normal: Some(&Shape::Fields(&[
            ("paillier_pk", Shape::Fields(&[("modulus", NUMBER)])),
            ("psi", PRM),
            ("u", RANDOMNESS),
        ])),
        ..NONE
    },
    Parts {
        normal: Some(&Shape::Fields(&[("psi_prime", MOD)])),
        direct: Some(&Shape::Fields(&[("psi", FAC)])),
        ..NONE
    },
];

/// Signing (figure 8), with its error rounds 5 (figure 9) and 6 (figure 10).
pub(super) const SIGNING: &[Parts] = &[
    Parts {
        echo: Some(&Shape::Fields(&[
            ("cap_k", CIPHERTEXT),
            ("cap_g", CIPHERTEXT),
            ("cap_y", POINT),
            ("cap_a1", POINT),
            ("cap_a2", POINT),
            ("cap_b1", POINT),
            ("cap_b2", POINT),
        ])),
        direct: Some(&Shape::Fields(&[("psi0", ENC_ELG), ("psi1", ENC_ELG)])),
        ..NONE
    },
    Parts {
        echo: Some(&Shape::Fields(&[
            ("cap_gamma", POINT),
            ("cap_fs", Shape::ByParty(&CIPHERTEXT)),
            ("hat_cap_fs", Shape::ByParty(&CIPHERTEXT)),
        ])),
        normal: Some(&Shape::Fields(&[
            ("cap_ds", Shape::ByParty(&CIPHERTEXT)),
            ("hat_cap_ds", Shape::ByParty(&CIPHERTEXT)),
            ("psi_elog", ELOG),
            ("psis", Shape::ByParty(&AFF_G)),
            ("hat_psis", Shape::ByParty(&AFF_G)),
        ])),
        ..NONE
    },
    Parts {
        echo: Some(&Shape::Fields(&[("delta", SCALAR)])),
        normal: Some(&Shape::Fields(&[
            ("cap_delta", POINT),
            ("psi_prime", ELOG),
            ("cap_s", POINT),
        ])),
        ..NONE
    },
    Parts { normal: Some(&Shape::Fields(&[("sigma", SCALAR)])), ..NONE },
    Parts {
        echo: Some(&Shape::Fields(&[("psi_star", DEC), ("psis", Shape::ByParty(&AFF_G_STAR))])),
        ..NONE
    },
    Parts {
        echo: Some(&Shape::Fields(&[
            ("hat_psi_star", DEC),
            ("hat_psis", Shape::ByParty(&AFF_G_STAR)),
        ])),
        ..NONE
    },
];
