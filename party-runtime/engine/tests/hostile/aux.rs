//! Row 13 in the making of an aux set, and what makes the library panic in it (row 16).
//!
//! A set of two takes a party five seconds. A [`puppet`] in place of the other party saves its half:
//! what a member says in the first two rounds asks for no secret, so a test can make it up, honest
//! down to the proof of its ring-Pedersen parameters.

use super::harness::forge::Kind::{Direct, Echo, Normal};
use super::harness::forge::Opened;
use super::harness::lies::{At, Lie, puppet, run_with};
use super::harness::network::{Guard, Network, contexts, identities};
use super::harness::oracle::Oracle;
use super::harness::value::Value;
use super::{assert_all_name, assert_liar_is_named, cast};
use mpc_engine::Task;
use mpc_wire::{FailureKind, Identity, PartyId, Round, Stage};
use std::collections::BTreeMap;

/// The steps in which members commit, open their commitments, and prove.
const OPENING: u16 = 3;
pub(crate) const PROVING: At = (1, 5);

/// Bytes of a number modulo N.
const NUMBER: usize = 256;

/// How often a proof of ring-Pedersen parameters is repeated.
pub(crate) const REPETITIONS: usize = 112;

/// 2^bit, and one more to make it odd, the way the library writes its numbers: lowest byte first.
pub(crate) fn power(bit: usize) -> Value {
    let mut bytes = vec![0; NUMBER];
    bytes[bit / 8] |= 1 << (bit % 8);
    Value::Bytes(bytes)
}

pub(crate) fn odd_power(bit: usize) -> Value {
    let mut value = power(bit);
    value.bytes_mut()[0] |= 1;
    value
}

/// Another number that looks like a modulus.
fn paillier_modulus() -> Value {
    let mut value = odd_power(2047);
    value.bytes_mut()[0] |= 8;
    value
}

pub(crate) fn small(number: u8) -> Value {
    let mut bytes = vec![0; NUMBER];
    bytes[0] = number;
    Value::Bytes(bytes)
}

/// A member that makes up what it says, in one session.
pub(crate) struct Prover {
    sid: Value,
    party: PartyId,
}

impl Prover {
    /// What the proof of ring-Pedersen parameters answers to.
    pub(crate) fn challenge(&self, commitment: &Value, rp_params: &Value) -> Vec<u8> {
        let prover = Value::List(vec![self.sid.clone(), Value::bytes(self.party.as_bytes())]);
        let hash = Oracle::new("P_prm").chain(commitment).chain(rp_params).chain(&prover);
        hash.bytes(REPETITIONS / 8)
    }

    /// What it publishes in the second round: its two moduli, bases 4 and 4³ with a proof that it
    /// knows that 3, and its part of the common randomness. Nothing is wrong with it that the second
    /// round could see.
    fn published(&self) -> Value {
        let rp_params = Value::fields([
            ("modulus", odd_power(2047)),
            ("base_randomizer", power(2)),
            ("base_value", power(6)),
        ]);
        let psi = self.psi(&rp_params);
        Value::fields([
            ("paillier_pk", Value::fields([("modulus", paillier_modulus())])),
            ("rp_params", rp_params),
            ("psi", psi),
            ("rid", Value::bits(vec![7; 32])),
            ("u", Value::bits(vec![9; 32])),
        ])
    }

    /// A proof that of the bases 4 and 4³ it knows that 3.
    pub(crate) fn psi(&self, rp_params: &Value) -> Value {
        let commitment = (1..=REPETITIONS).map(|nonce| power(2 * nonce)).collect();
        let commitment = Value::List(commitment);
        let challenge = self.challenge(&commitment, rp_params);
        let bit = |at: usize| challenge[at / 8] >> (7 - at % 8) & 1;
        let proof = (0..REPETITIONS).map(|at| small(at as u8 + 1 + 3 * bit(at))).collect();
        let proof = Value::List(proof);
        let challenge = Value::bits(challenge);
        Value::fields([("commitment", commitment), ("challenge", challenge), ("proof", proof)])
    }

    /// What it says in the first round of what it publishes in the second.
    fn commitment(&self, published: &Value) -> Value {
        let Value::Fields(fields) = published else { panic!("no struct: {published:?}") };
        let start = Oracle::new("KeyInit").chain(&self.sid).party(self.party);
        let hash = fields.iter().fold(start, |hash, (_, value)| hash.chain(value));
        Value::fields([("cap_v", Value::Bytes(hash.commitment()))])
    }
}

pub(crate) type Change = fn(&Prover, &mut Value);

/// Runs an honest member with a puppet that commits to one thing and opens another.
fn with_puppet(committed: Change, opened: Change) -> (Network, Identity, Identity) {
    puppet_with(Guard::On, committed, opened)
}

pub(crate) fn puppet_with(
    guard: Guard,
    committed: Change,
    opened: Change,
) -> (Network, Identity, Identity) {
    let everybody = identities(2);
    let (liar, honest) = (everybody[0].clone(), everybody[1].clone());
    let members = [liar.party(), honest.party()];
    let script = move |round: u16, session_id: &[u8]| {
        let prover = Prover { sid: Oracle::sid(session_id, &members), party: members[0] };
        let mut data = prover.published();
        committed(&prover, &mut data);
        if round < OPENING {
            return vec![(Echo, prover.commitment(&data))];
        }
        opened(&prover, &mut data);
        let mut part = |names: &[&str]| {
            let fields = names.iter().map(|name| ((*name).to_owned(), data.at(name).clone()));
            Value::Fields(fields.collect())
        };
        vec![(Echo, part(&["rp_params", "rid"])), (Normal, part(&["paillier_pk", "psi", "u"]))]
    };
    let context = contexts(&everybody).remove(1);
    let network = Network::with(guard, vec![context], |_| Task::Aux, 5);
    (network.tampered(puppet(&liar, script)).run(), liar, honest)
}

pub(crate) fn as_it_was(_: &Prover, _: &mut Value) {}

/// Whatever is wrong in these tests, it is nothing else: an honest puppet is believed until it would
/// have to prove something.
#[test]
fn an_honest_puppet_gets_through_the_second_round() {
    let (network, ..) = with_puppet(as_it_was, as_it_was);
    assert_eq!(network.last_round[&Stage(1)], Round(PROVING.1), "{:?}", network.ends);
}

#[test]
fn row_13_aux_round_1_commitment_to_something_else() {
    let openings: [Change; 3] = [
        |_, data| data.at("u.byte_vec").spoil(),
        |_, data| data.at("rid.byte_vec").spoil(),
        |_, data| data.at("psi.proof.7").spoil(),
    ];
    for opening in openings {
        let (network, liar, honest) = with_puppet(as_it_was, opening);
        assert_liar_is_named(&network, &[honest], &liar);
    }
}

#[test]
fn row_13_aux_round_2_each_check() {
    let lies: [(&str, Change); 4] = [
        ("Paillier modulus is not of its size", |_, data| {
            *data.at("paillier_pk.modulus") = odd_power(2040)
        }),
        ("ring-Pedersen modulus is not of its size", |_, data| {
            *data.at("rp_params.modulus") = odd_power(2040)
        }),
        ("prm", |_, data| data.at("psi.proof.7").spoil()),
        ("prm", |_, data| data.at("psi.challenge.byte_vec").spoil()),
    ];
    for (complaint, lie) in lies {
        let (network, liar, honest) = with_puppet(lie, as_it_was);
        let failure = network.failure(honest.party());
        assert!(failure.detail.contains(complaint), "{failure:?}");
        assert_liar_is_named(&network, &[honest], &liar);
    }
}

/// Two members are told different wrong proofs, and prove to each other what they should.
#[test]
fn row_13_aux_round_3_either_proof() {
    let (liar, honest) = cast(3);
    let lies = vec![
        Lie::leaf(&liar, PROVING, Normal, "psi_prime.proof.5.z").to(honest[0].party()),
        Lie::leaf(&liar, PROVING, Direct, "psi.w2.abs_bytes").to(honest[1].party()),
    ];
    let everybody = identities(3);
    let network = run_with(Network::new(contexts(&everybody), |_| Task::Aux, 5), lies);
    assert_all_name(&network, &honest, FailureKind::PeerMisbehaved, &[liar.party()]);
    for (member, complaint) in honest.iter().zip(["mod", "fac"]) {
        let failure = network.failure(member.party());
        assert!(failure.detail.contains(complaint), "{failure:?}");
    }
}

/// What members have said of themselves, as somebody who hears everything knows it.
#[derive(Default)]
struct Overheard {
    rp_params: BTreeMap<PartyId, Value>,
    paillier_pk: BTreeMap<PartyId, Value>,
    rid: Vec<Vec<u8>>,
}

impl Overheard {
    fn note(&mut self, from: PartyId, opened: &Opened) {
        let (mut echo, mut normal) =
            (opened.content(Echo).unwrap(), opened.content(Normal).unwrap());
        self.rp_params.insert(from, echo.at("rp_params").clone());
        self.paillier_pk.insert(from, normal.at("paillier_pk").clone());
        self.rid.push(echo.at("rid.byte_vec").bytes_mut().clone());
    }

    /// The challenge of a proof for `to` that `prover`'s modulus has no small factors, without what
    /// makes it a number: 256 bits, lowest byte first.
    fn challenge(&self, prover: &Prover, to: PartyId, psi: &mut Value) -> Vec<u8> {
        let commitments = ["cap_p", "cap_q", "cap_a", "cap_b", "cap_t"];
        let hash = commitments.iter().fold(Oracle::new("P_fac"), |h, name| h.chain(psi.at(name)));
        let hash = hash.chain(&self.paillier_pk[&prover.party]).chain(&self.rp_params[&to]);
        let rid = self.rid.iter().fold(vec![0; 32], |sum: Vec<u8>, rid| {
            sum.iter().zip(rid).map(|(one, other)| one ^ other).collect()
        });
        let party = Value::bytes(prover.party.as_bytes());
        hash.chain(&Value::List(vec![prover.sid.clone(), party, Value::bits(rid)])).bytes(32)
    }
}

/// Puts a commitment of zero into a proof, and others into it until its challenge is negative: zero
/// has no inverse.
fn commit_to_zero(mut challenge: impl FnMut(&mut Value) -> Vec<u8>, psi: &mut Value) {
    *psi.at("cap_p") = small(0);
    let mut bits = challenge(psi);
    while bits[31] >> 7 == 1 {
        psi.at("cap_q").bytes_mut()[0] = psi.at("cap_q").bytes_mut()[0].wrapping_add(1);
        bits = challenge(psi);
    }
    // The number is that of the bits less 2^255 - 1, so its size is that of their complement.
    let mut size: Vec<u8> = bits.iter().rev().map(|byte| !byte).collect();
    size[0] &= 0x7f;
    *psi.at("e.abs_bytes") = Value::Bytes(size);
    *psi.at("e.is_negative") = Value::Bool(true);
}

/// A set of two in which the one proves with a commitment of zero.
pub(crate) fn zero_with_a_negative_exponent(guard: Guard) -> (Network, Identity, Vec<Identity>) {
    let (liar, honest) = cast(2);
    let members = [liar.party(), honest[0].party()];
    let mut overheard = Overheard::default();
    let network = Network::with(guard, contexts(&identities(2)), |_| Task::Aux, 5);
    let lies = liar.clone();
    let network = network
        .tampered(move |mut letter| {
            let mut opened = Opened::read(&letter.payload);
            if letter.round == Round(OPENING) {
                overheard.note(letter.from, &opened);
            }
            if letter.from == members[0] && letter.round == Round(PROVING.1) {
                let sid = Oracle::sid(opened.session_id(), &members);
                let prover = Prover { sid, party: members[0] };
                opened.forge(Direct, &lies, |direct| {
                    let psi = direct.at("psi");
                    commit_to_zero(|psi| overheard.challenge(&prover, letter.to, psi), psi);
                });
                letter.payload = opened.write();
            }
            vec![letter]
        })
        .run();
    (network, liar, honest)
}
