//! What stands between the wire and synedrion: the released verifiers are too trusting.
//!
//! They zip lists of repetitions without counting them, so that a proof without any is a proof
//! (Π^mod, Π^prm); they take what is no unit for a ring element, so that equations of range proofs
//! read 0 = 0; they count no coefficients in a resharing, which raises the threshold; and several
//! messages make them panic. Here each message is read generically and refused by its round and field
//! before the library sees it:
//!
//! - every field, list and byte string is exactly what the protocol has there ([`messages`]);
//! - every ring element is a unit of the moduli of its sender and of its recipient ([`moduli`]): of
//!   these two alone a non-unit shows that the sender lies, since a third member could have told of a
//!   modulus with factors that anybody meets;
//! - moduli and bases of an aux set are what they must be, and nobody's are another's;
//! - a redistributed share is that of its holder, with a polynomial of the key's degree.
//!
//! What is refused ends the attempt and names its sender. Echo rounds are manul's and guarded by it.

mod messages;
mod moduli;
mod redistribution;
mod shape;

pub(crate) use redistribution::Redistribution;

use super::stored::{AuxView, PublicAux};
use crate::failure::EngineFailure;
use crate::secret::SecretBytes;
use manul::protocol::RoundId;
use messages::Parts;
use moduli::Moduli;
use mpc_wire::PartyId;
use num_bigint::BigUint;
use serde::Deserialize;
use shape::{Element, Setting, Shape};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

/// Whether an engine has a guard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guarding {
    /// As it must be.
    On,
    /// To see what the library alone would let pass.
    #[cfg(feature = "attacks")]
    Off,
}

/// What a message says in each of its parts, in MessagePack.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Contents<'a> {
    pub(crate) echo: Option<&'a [u8]>,
    pub(crate) normal: Option<&'a [u8]>,
    pub(crate) direct: Option<&'a [u8]>,
}

/// The guard of one protocol run.
#[derive(Debug)]
pub(crate) struct Guard {
    me: PartyId,
    members: BTreeSet<PartyId>,
    rounds: &'static [Parts],
    rule: Rule,
}

/// What is demanded of messages beyond their shapes.
#[derive(Debug)]
enum Rule {
    Shapes,
    Redistribution(Redistribution),
    /// Ring elements of a set whose moduli come with the messages of its second round.
    NewSet(Mutex<BTreeMap<PartyId, [BigUint; 2]>>),
    /// Ring elements of a set that is known.
    KnownSet(BTreeMap<PartyId, [BigUint; 2]>),
}

/// The round of an aux set's making in which members tell their moduli.
const TELLING: usize = 2;

impl Guard {
    /// For KeyInit.
    pub(crate) fn key_init(guarding: Guarding, me: PartyId, members: BTreeSet<PartyId>) -> Self {
        Self::new(guarding, me, members, messages::KEY_INIT, Rule::Shapes)
    }

    /// For KeyResharing.
    pub(crate) fn key_resharing(
        guarding: Guarding,
        me: PartyId,
        members: BTreeSet<PartyId>,
        redistribution: Redistribution,
    ) -> Self {
        let rule = Rule::Redistribution(redistribution);
        Self::new(guarding, me, members, messages::KEY_RESHARING, rule)
    }

    /// For AuxGen.
    pub(crate) fn aux_gen(guarding: Guarding, me: PartyId, members: BTreeSet<PartyId>) -> Self {
        Self::new(guarding, me, members, messages::AUX_GEN, Rule::NewSet(Mutex::default()))
    }

    /// For a signing with a stored aux part. CPU-heavy: for jobs.
    pub(crate) fn signing(
        guarding: Guarding,
        me: PartyId,
        members: BTreeSet<PartyId>,
        aux: &SecretBytes,
    ) -> Result<Self, EngineFailure> {
        let public = AuxView::of(aux)?.public;
        let of_members = public.iter().filter(|(party, _)| members.contains(party));
        let moduli =
            of_members.map(|(party, aux)| (*party, aux.moduli().map(BigUint::from_bytes_le)));
        let rule = Rule::KnownSet(moduli.collect());
        Ok(Self::new(guarding, me, members, messages::SIGNING, rule))
    }

    fn new(
        guarding: Guarding,
        me: PartyId,
        members: BTreeSet<PartyId>,
        rounds: &'static [Parts],
        rule: Rule,
    ) -> Self {
        let rounds = match guarding {
            Guarding::On => rounds,
            #[cfg(feature = "attacks")]
            Guarding::Off => &[],
        };
        Self { me, members, rounds, rule }
    }

    /// Checks what `from` says in a round. CPU-heavy: for jobs.
    ///
    /// # Errors
    /// [`EngineFailure`] that names the sender, the round and the field.
    pub(crate) fn check(
        &self,
        round: &RoundId,
        from: PartyId,
        contents: Contents<'_>,
    ) -> Result<(), EngineFailure> {
        let Some((number, parts)) = self.parts(round) else { return Ok(()) };
        let refuse = |what: String| {
            EngineFailure::misbehaved(from, format!("the guard refuses round {number}: {what}"))
        };
        let elements = self.read(parts, from, contents).map_err(refuse)?;
        let checked = match &self.rule {
            Rule::Shapes => Ok(()),
            Rule::Redistribution(rule) => rule.check(from, contents),
            Rule::NewSet(told) => {
                if number == TELLING {
                    tell(told, from, contents).map_err(refuse)?;
                }
                let told = told.lock().unwrap_or_else(PoisonError::into_inner);
                units_of(&self.between(from, &told), &elements)
            }
            Rule::KnownSet(moduli) => units_of(&self.between(from, moduli), &elements),
        };
        checked.map_err(refuse)
    }

    /// The moduli of a sender and of this party.
    fn between(&self, from: PartyId, moduli: &BTreeMap<PartyId, [BigUint; 2]>) -> Moduli {
        let both = [from, self.me].into_iter().filter_map(|party| moduli.get(&party));
        Moduli::new(both.flatten().cloned().collect())
    }

    /// Checks a round whose messages were all taken: no two members have a modulus in common. They
    /// had committed themselves to what they told, so none can have copied it from another one alone.
    ///
    /// # Errors
    /// [`EngineFailure`] that names both.
    pub(crate) fn check_round(&self, round: &RoundId) -> Result<(), EngineFailure> {
        let (Rule::NewSet(told), Some((TELLING, _))) = (&self.rule, self.parts(round)) else {
            return Ok(());
        };
        let told = told.lock().unwrap_or_else(PoisonError::into_inner);
        let mut owners = BTreeMap::new();
        for (party, moduli) in &*told {
            for modulus in moduli {
                if let Some(other) = owners.insert(modulus, *party) {
                    let both = BTreeSet::from([*party, other]);
                    let what = "the guard refuses round 2: a modulus is used twice";
                    return Err(EngineFailure::misbehaviour(both, what));
                }
            }
        }
        Ok(())
    }

    /// Takes note of what this party says itself: in an aux set's making, of its moduli.
    pub(crate) fn note_own(
        &self,
        round: &RoundId,
        me: PartyId,
        contents: Contents<'_>,
    ) -> Result<(), EngineFailure> {
        match (&self.rule, self.parts(round)) {
            (Rule::NewSet(told), Some((TELLING, _))) => {
                let is_known =
                    told.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&me);
                if is_known {
                    return Ok(());
                }
                tell(told, me, contents).map_err(EngineFailure::internal)
            }
            (_, Some(_) | None) => Ok(()),
        }
    }

    /// The round's number and the shapes of its parts; none for an echo round.
    fn parts(&self, round: &RoundId) -> Option<(usize, &'static Parts)> {
        let numbered = (1_u8..).zip(self.rounds);
        let (number, parts) = numbered.into_iter().find(|(number, _)| round == number)?;
        Some((usize::from(number), parts))
    }

    fn read(
        &self,
        parts: &Parts,
        from: PartyId,
        contents: Contents<'_>,
    ) -> Result<Vec<Element>, String> {
        let mut others = self.members.clone();
        others.remove(&from);
        let threshold = match &self.rule {
            Rule::Redistribution(rule) => rule.threshold(),
            Rule::Shapes | Rule::NewSet(_) | Rule::KnownSet(_) => 0,
        };
        let setting = Setting { threshold, others: &others };
        let parts = [
            (parts.echo, contents.echo),
            (parts.normal, contents.normal),
            (parts.direct, contents.direct),
        ];
        let mut elements = Vec::new();
        for (shape, content) in parts {
            elements.extend(read_part(shape, content, &setting)?);
        }
        Ok(elements)
    }
}

fn read_part(
    shape: Option<&Shape>,
    content: Option<&[u8]>,
    setting: &Setting<'_>,
) -> Result<Vec<Element>, String> {
    match (shape, content) {
        (Some(shape), Some(content)) => shape::read(shape, setting, content),
        (None, None) => Ok(Vec::new()),
        (Some(_), None) => Err("a part is missing".to_owned()),
        (None, Some(_)) => Err("a part that the round does not have".to_owned()),
    }
}

fn units_of(moduli: &Moduli, elements: &[Element]) -> Result<(), String> {
    match moduli.no_unit(elements) {
        None => Ok(()),
        Some(element) => Err(format!("{}: no unit of the moduli", element.path)),
    }
}

/// What a member tells of itself in the making of an aux set, in two parts of a message.
#[derive(Deserialize)]
struct ToldInEcho {
    rp_params: super::stored::RingPedersen,
}

#[derive(Deserialize)]
struct ToldToAll {
    paillier_pk: super::stored::PaillierKey,
}

/// Notes a member's moduli if they are what they must be.
fn tell(
    told: &Mutex<BTreeMap<PartyId, [BigUint; 2]>>,
    from: PartyId,
    contents: Contents<'_>,
) -> Result<(), String> {
    let undecodable = |_| "it could not be decoded".to_owned();
    let echo = contents.echo.unwrap_or_default();
    let ToldInEcho { rp_params } = rmp_serde::from_slice(echo).map_err(undecodable)?;
    let normal = contents.normal.unwrap_or_default();
    let ToldToAll { paillier_pk } = rmp_serde::from_slice(normal).map_err(undecodable)?;
    let own = moduli::check(&PublicAux { paillier_pk, rp_params })?;
    if own[0] == own[1] {
        return Err("a modulus is used twice".to_owned());
    }
    told.lock().unwrap_or_else(PoisonError::into_inner).insert(from, own);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn party(number: u8) -> PartyId {
        PartyId::new([number; 32])
    }

    const ME: u8 = 1;
    const SENDER: u8 = 2;
    const THIRD: u8 = 3;

    /// Three members with small moduli of their own; the third one's have factors that anybody meets.
    fn guard(third: [u32; 2]) -> Guard {
        let members = [ME, SENDER, THIRD].map(party).into();
        let guard = Guard::aux_gen(Guarding::On, party(ME), members);
        let told = [(ME, [5 * 7, 11 * 13]), (SENDER, [17 * 19, 23 * 29]), (THIRD, third)];
        let told = told.map(|(member, moduli)| (party(member), moduli.map(BigUint::from)));
        let Rule::NewSet(known) = &guard.rule else { panic!("no aux set is made") };
        *known.lock().unwrap() = told.into();
        guard
    }

    fn elements(numbers: &[u8]) -> Vec<Element> {
        let element = |number: &u8| Element { path: number.to_string(), bytes: vec![*number] };
        numbers.iter().map(element).collect()
    }

    /// Else whoever has such a modulus had honest members named for their honest numbers.
    #[test]
    fn what_is_no_unit_of_a_third_members_modulus_is_nobodys_fault() {
        let guard = guard([3 * 31, 2 * 37]);
        let Rule::NewSet(told) = &guard.rule else { panic!("no aux set is made") };
        let told = told.lock().unwrap();
        let judged =
            |numbers: &[u8]| units_of(&guard.between(party(SENDER), &told), &elements(numbers));
        assert_eq!(judged(&[1, 2, 3, 6, 31, 37, 111]), Ok(()));
        for no_unit in [0, 5, 14, 33, 17, 58] {
            let refusal = format!("{no_unit}: no unit of the moduli");
            assert_eq!(judged(&[1, no_unit, 2]), Err(refusal), "{no_unit}");
        }
    }

    #[test]
    fn two_members_with_one_modulus_are_both_named() {
        let round = RoundId::new(2);
        assert_eq!(guard([3 * 31, 2 * 37]).check_round(&round), Ok(()));
        let failure = guard([17 * 19, 2 * 37]).check_round(&round).unwrap_err();
        assert_eq!(failure.guilty, [SENDER, THIRD].map(party).into());
        assert_eq!(guard([17 * 19, 2 * 37]).check_round(&RoundId::new(3)), Ok(()));
    }
}
