//! Row 12: single bits that flip in transit, in every part of a message and in each step. The seed
//! is printed; `MPC_SEED` sets it.

use mpc_tests::malicious_gateway::{Crossing, MaliciousGateway, duo};
use mpc_tests::transcript::PARTIAL_SIGNATURE;
use mpc_wire::{Attempt, PartyId, Round, RoundEnvelope, RoundHeader, Seq, Stage};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::SystemTime;

/// Length of HPKE's encapsulated key, before the first message of each sender.
const ENCAPPED: usize = 32;
/// Length of the authentication tag behind each message.
const TAG: usize = 16;

/// Small random numbers from a seed (SplitMix64): which bit flips is for a seed to say.
#[derive(Clone)]
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

    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
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

/// One flip an attempt, three attempts a session, the fourth signs: each flip ends its attempt, none
/// is anybody's fault.
#[actix_rt::test]
async fn row_12_one_bit_of_the_sealed_bytes_in_each_step() {
    const SPOILT_ATTEMPTS: usize = 3;
    let mut dice = Dice::new("row_12_one_bit_of_the_sealed_bytes_in_each_step");
    let gateway = MaliciousGateway::start().await;
    let mut targets = vec![(Round(1), Part::EncappedKey)];
    for round in 1..=PARTIAL_SIGNATURE.0 {
        targets.extend([(Round(round), Part::Ciphertext), (Round(round), Part::Tag)]);
    }
    for targets in targets.chunks(SPOILT_ATTEMPTS) {
        let (aims, mut dice_of_rule) = (targets.to_vec(), dice.clone());
        dice.below(1);
        let spoilt = Rc::new(RefCell::new(Vec::new()));
        let seen = Rc::clone(&spoilt);
        gateway.cross_by(move |crossing| {
            let Some(mut envelope) = crossing.arriving_round() else { return vec![crossing] };
            let RoundHeader { attempt, round, .. } = envelope.header;
            let mut seen = seen.borrow_mut();
            match aims.get(attempt.0 as usize - 1) {
                Some((at, part)) if *at == round && !seen.contains(&attempt) => {
                    seen.push(attempt);
                    part.flip(&mut envelope, &mut dice_of_rule);
                    vec![crossing.with_round(envelope)]
                }
                Some(_) | None => vec![crossing],
            }
        });
        let signed = gateway.sign(duo()).await;
        assert_eq!(spoilt.borrow().len(), targets.len(), "{targets:?}");
        // A flip in the last step can come when the other member has its signature already.
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

/// A copy of each message with one bit of its header flipped comes before the message itself. What
/// takes the place of a message ends its attempt; everything else has no place.
#[actix_rt::test]
async fn row_12_one_bit_of_the_header() {
    const FIELDS: usize = 7;
    let mut dice = Dice::new("row_12_one_bit_of_the_header");
    let gateway = MaliciousGateway::start().await;
    for field in 0..FIELDS {
        // One message of the first attempt, of a step that the dice choose.
        let at = Round(1 + dice.below(usize::from(PARTIAL_SIGNATURE.0)) as u16);
        let (done, mut dice_of_rule) = (Cell::new(false), dice.clone());
        let is_done = Rc::new(Cell::new(false));
        let tell = Rc::clone(&is_done);
        gateway.cross_by(move |crossing: Crossing| {
            let Some(mut envelope) = crossing.arriving_round() else { return vec![crossing] };
            if envelope.header.round != at || done.replace(true) {
                return vec![crossing];
            }
            tell.set(true);
            flip_header(&mut envelope.header, field, &mut dice_of_rule);
            vec![crossing.with_round(envelope), crossing]
        });
        let signed = gateway.sign(duo()).await;
        assert!(is_done.get());
        signed.assert_attempts_at_most(2);
        gateway.transcript().assert_nobody_is_blamed();
        dice.below(1);
    }
    gateway.assert_all_is_well(duo()).await;
}
