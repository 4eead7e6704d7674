//! Row 12: single bits that flip in transit, in every part of a message and in each step. The seed
//! is printed; `MPC_SEED` sets it.

use mpc_tests::malicious_gateway::{MaliciousGateway, duo};
use mpc_tests::proxy::Direction;
use mpc_tests::transcript::PARTIAL_SIGNATURE;
use mpc_wire::{Attempt, PartyId, Round, RoundEnvelope, RoundHeader, Seq, Stage};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::SystemTime;

/// Length of HPKE's encapsulated key, before the first message of each sender.
const ENCAPPED: usize = 32;
/// Length of the authentication tag behind each message.
const TAG: usize = 16;

/// Small random numbers from a seed (SplitMix64): which bit flips is for a seed to say.
struct Dice(u64);

impl Dice {
    fn new(test: &str) -> Self {
        let seed = std::env::var("MPC_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = seed.unwrap_or_else(|| {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
            now.as_nanos() as u64
        });
        println!("{test}: MPC_SEED={seed}");
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Other dice, for somebody else to throw.
    fn split(&mut self) -> Self {
        Self(self.next())
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn flip(&mut self, bytes: &mut [u8]) {
        let at = self.below(bytes.len());
        bytes[at] ^= 1 << self.below(8);
    }
}

/// The parts of a sealed message.
#[derive(Debug, Clone, Copy)]
enum Part {
    EncappedKey,
    Ciphertext,
    Tag,
}

impl Part {
    fn flip(self, envelope: &mut RoundEnvelope, dice: &mut Dice) {
        let start = if envelope.header.seq == Seq(0) { ENCAPPED } else { 0 };
        let end = envelope.sealed.len() - TAG;
        match self {
            Self::EncappedKey => dice.flip(&mut envelope.sealed[..start]),
            Self::Ciphertext => dice.flip(&mut envelope.sealed[start..end]),
            Self::Tag => dice.flip(&mut envelope.sealed[end..]),
        }
    }
}

/// Where a bit flips.
type Target = (Round, Part);

/// What is to be spoilt in which attempt of which session. A flip in the last step comes too late
/// to spoil its attempt for the other member, who may have the signature: it is a session's last.
fn targets() -> Vec<Vec<Target>> {
    const SPOILT_ATTEMPTS: usize = 3;
    let of = |round| [(round, Part::Ciphertext), (round, Part::Tag)];
    let mut early = vec![(Round(1), Part::EncappedKey)];
    early.extend((1..PARTIAL_SIGNATURE.0).map(Round).flat_map(of));
    let early = early.chunks(SPOILT_ATTEMPTS).map(<[Target]>::to_vec);
    early.chain(of(PARTIAL_SIGNATURE).map(|target| vec![target])).collect()
}

/// One flip an attempt, up to three attempts a session, the next one signs: each flip ends its
/// attempt, none is anybody's fault.
#[actix_rt::test]
async fn row_12_one_bit_of_the_sealed_bytes_in_each_step() {
    let mut dice = Dice::new("row_12_one_bit_of_the_sealed_bytes_in_each_step");
    let gateway = MaliciousGateway::start().await;
    for targets in targets() {
        let (aims, mut dice) = (targets.clone(), dice.split());
        let spoilt = Rc::new(RefCell::new(BTreeSet::new()));
        let spoiling = Rc::clone(&spoilt);
        gateway.cross_by(move |crossing| {
            let Some(mut envelope) = crossing.arriving_round() else { return vec![crossing] };
            let RoundHeader { attempt, round, .. } = envelope.header;
            match aims.get(attempt.0 as usize - 1) {
                Some((at, part)) if *at == round && spoiling.borrow_mut().insert(attempt) => {
                    part.flip(&mut envelope, &mut dice);
                    vec![crossing.with_round(envelope)]
                }
                Some(_) | None => vec![crossing],
            }
        });
        let signed = gateway.sign(duo()).await;
        assert_eq!(spoilt.borrow().len(), targets.len(), "{targets:?}");
        signed.assert_attempts_at_most(targets.len() as u32 + 1);
        gateway.transcript().assert_nobody_is_blamed();
    }
    gateway.assert_all_is_well(duo()).await;
}

/// Flips one bit of a header field.
fn flip_header(header: &mut RoundHeader, field: usize, dice: &mut Dice) {
    let party = |party: PartyId, dice: &mut Dice| {
        let mut bytes = *party.as_bytes();
        dice.flip(&mut bytes);
        PartyId::new(bytes)
    };
    match field {
        0 => {
            let mut bytes = *header.session.as_bytes();
            dice.flip(&mut bytes);
            header.session = hex::encode(bytes).parse().unwrap();
        }
        1 => header.attempt = Attempt(header.attempt.0 ^ (1 << dice.below(32))),
        2 => header.from = party(header.from, dice),
        3 => header.to = party(header.to, dice),
        4 => header.stage = Stage(header.stage.0 ^ (1 << dice.below(8))),
        5 => header.round = Round(header.round.0 ^ (1 << dice.below(16))),
        _seq => header.seq = Seq(header.seq.0 ^ (1 << dice.below(64))),
    }
}

/// The field that names the sender.
const FROM: usize = 2;

/// A copy of a message with one bit of its header flipped comes before the message itself, once on
/// the way up and once on the way down. What takes the place of a message ends its attempt;
/// everything else has no place.
#[actix_rt::test]
async fn row_12_one_bit_of_the_header() {
    const FIELDS: usize = 7;
    let mut dice = Dice::new("row_12_one_bit_of_the_header");
    let gateway = MaliciousGateway::start().await;
    for field in 0..FIELDS {
        // In steps that the dice choose. For another sender's message the gateway would end the
        // connection, which has a test of its own (row 11).
        let step = |dice: &mut Dice| Round(1 + dice.below(PARTIAL_SIGNATURE.0.into()) as u16);
        let mut aims = vec![(Direction::Down, step(&mut dice)), (Direction::Up, step(&mut dice))];
        aims.retain(|(direction, _)| field != FROM || *direction == Direction::Down);
        let flips = aims.len();
        let left = Rc::new(RefCell::new(aims));
        let (aims, mut dice) = (Rc::clone(&left), dice.split());
        gateway.cross_by(move |crossing| {
            let Some(mut envelope) = crossing.round() else { return vec![crossing] };
            let here = (crossing.direction, envelope.header.round);
            let mut aims = aims.borrow_mut();
            let Some(aim) = aims.iter().position(|aim| *aim == here) else {
                return vec![crossing];
            };
            aims.remove(aim);
            flip_header(&mut envelope.header, field, &mut dice);
            vec![crossing.with_round(envelope), crossing]
        });
        let signed = gateway.sign(duo()).await;
        signed.assert_attempts_at_most(flips as u32 + 1);
        gateway.transcript().assert_nobody_is_blamed();
        assert!(left.borrow().is_empty(), "every flip has happened");
    }
    gateway.assert_all_is_well(duo()).await;
}
