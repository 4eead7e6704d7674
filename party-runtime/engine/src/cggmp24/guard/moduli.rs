//! The moduli of an aux set: what they must be, and whether ring elements are units of them.

use super::shape::Element;
use crate::cggmp24::stored::PublicAux;
use num_bigint::BigUint;

/// Size of a Paillier modulus: two primes of half of it, whose two highest bits are set.
const PAILLIER_BITS: u64 = 2048;

/// Sizes of a ring-Pedersen modulus: of its primes only the highest bit is set.
const RING_PEDERSEN_BITS: [u64; 2] = [2047, 2048];

/// Odd exponents beyond this one would need a base of a single bit.
const MAX_EXPONENT: u32 = 2048;

/// The moduli that a member of an aux set tells of itself, if they and the bases are what they must
/// be.
pub(super) fn check(aux: &PublicAux) -> Result<[BigUint; 2], String> {
    let [paillier, ring_pedersen] = aux.moduli().map(BigUint::from_bytes_le);
    refusal(&paillier, &ring_pedersen, aux.bases().map(BigUint::from_bytes_le))
        .map_or(Ok([paillier, ring_pedersen]), |refusal| Err(refusal.to_owned()))
}

fn refusal(
    paillier: &BigUint,
    ring_pedersen: &BigUint,
    bases: [BigUint; 2],
) -> Option<&'static str> {
    let one = BigUint::from(1_u8);
    let last = ring_pedersen - &one;
    let [randomizer, value] = &bases;
    if paillier.bits() != PAILLIER_BITS {
        Some("the Paillier modulus is not of its size")
    } else if !RING_PEDERSEN_BITS.contains(&ring_pedersen.bits()) {
        Some("the ring-Pedersen modulus is not of its size")
    } else if !paillier.bit(0) || !ring_pedersen.bit(0) {
        Some("a modulus is even")
    } else if is_probably_prime(paillier) || is_probably_prime(ring_pedersen) {
        Some("a modulus is prime")
    } else if is_perfect_power(paillier) || is_perfect_power(ring_pedersen) {
        Some("a modulus is a perfect power")
    } else if randomizer == value || bases.iter().any(|base| *base <= one || *base >= last) {
        Some("the ring-Pedersen bases are no two bases")
    } else {
        None
    }
}

/// Fermat's test to the base 2. What passes it need not be prime, but an honest product of two large
/// primes never does.
fn is_probably_prime(modulus: &BigUint) -> bool {
    let one = BigUint::from(1_u8);
    BigUint::from(2_u8).modpow(&(modulus - &one), modulus) == one
}

/// Whether a number is a power of a smaller one. Prime exponents are enough, and of the others only
/// the even ones are cheap to leave out.
fn is_perfect_power(number: &BigUint) -> bool {
    let exponents = std::iter::once(2).chain((3..MAX_EXPONENT).step_by(2));
    exponents
        .take_while(|exponent| u64::from(*exponent) < number.bits())
        .any(|exponent| number.nth_root(exponent).pow(exponent) == *number)
}

/// A set of moduli.
#[derive(Debug)]
pub(super) struct Moduli(Vec<BigUint>);

impl Moduli {
    pub(super) fn new(moduli: Vec<BigUint>) -> Self {
        Self(moduli)
    }

    /// An element that is no unit of each of the moduli: zero, or with a factor of one of them. Where
    /// the moduli have large factors only, an honest element of any ring is a unit of them all but
    /// with a chance that nobody meets, so it need not be known which ring it is of.
    pub(super) fn no_unit<'a>(&self, elements: &'a [Element]) -> Option<&'a Element> {
        let numbers: Vec<_> = elements.iter().map(|it| BigUint::from_bytes_le(&it.bytes)).collect();
        self.0.iter().find_map(|modulus| {
            // All at once: a product is a unit if each of its factors is.
            let product = numbers.iter().fold(BigUint::from(1_u8), |product, number| {
                (product * (number % modulus)) % modulus
            });
            if is_unit(&product, modulus) {
                return None;
            }
            elements.iter().zip(&numbers).find_map(|(element, number)| {
                (!is_unit(&(number % modulus), modulus)).then_some(element)
            })
        })
    }
}

fn is_unit(number: &BigUint, modulus: &BigUint) -> bool {
    number.modinv(modulus).is_some()
}
