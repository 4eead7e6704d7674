//! What stands between the wire and synedrion: the released verifiers are too trusting.
//!
//! They zip lists of repetitions without counting them, so that a proof without any is a proof
//! (Π^mod, Π^prm); they take what is no unit for a ring element, so that equations of range proofs
//! read 0 = 0; they count no coefficients in a resharing, which raises the threshold; and several
//! messages make them panic. Here each message is read generically and refused by its round and field
//! before the library sees it:
//!
//! - every field, list and byte string is exactly what the protocol has there ([`messages`]);
//! - every ring element is a unit of *every* modulus of the set ([`moduli`]);
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
    KnownSet(Moduli),
}

/// The round of an aux set's making in which members tell their moduli.
const TELLING: usize = 2;

impl Guard {
    /// For KeyInit.
    pub(crate) fn key_init(guarding: Guarding, members: BTreeSet<PartyId>) -> Self {
        Self::new(guarding, members, messages::KEY_INIT, Rule::Shapes)
    }

    /// For KeyResharing.
    pub(crate) fn key_resharing(
        guarding: Guarding,
        members: BTreeSet<PartyId>,
        redistribution: Redistribution,
    ) -> Self {
        let rule = Rule::Redistribution(redistribution);
        Self::new(guarding, members, messages::KEY_RESHARING, rule)
    }

    /// For AuxGen.
    pub(crate) fn aux_gen(guarding: Guarding, members: BTreeSet<PartyId>) -> Self {
        Self::new(guarding, members, messages::AUX_GEN, Rule::NewSet(Mutex::default()))
    }

    /// For a signing with a stored aux part. CPU-heavy: for jobs.
    pub(crate) fn signing(
        guarding: Guarding,
        members: BTreeSet<PartyId>,
        aux: &SecretBytes,
    ) -> Result<Self, EngineFailure> {
        let public = AuxView::of(aux)?.public;
        let of_members = public.iter().filter(|(party, _)| members.contains(party));
        let moduli = of_members.flat_map(|(_, aux)| aux.moduli().map(BigUint::from_bytes_le));
        let rule = Rule::KnownSet(Moduli::new(moduli.collect()));
        Ok(Self::new(guarding, members, messages::SIGNING, rule))
    }

    fn new(
        guarding: Guarding,
        members: BTreeSet<PartyId>,
        rounds: &'static [Parts],
        rule: Rule,
    ) -> Self {
        let rounds = match guarding {
            Guarding::On => rounds,
            #[cfg(feature = "attacks")]
            Guarding::Off => &[],
        };
        Self { members, rounds, rule }
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
                units_of(&Moduli::new(told.values().flatten().cloned().collect()), &elements)
            }
            Rule::KnownSet(moduli) => units_of(moduli, &elements),
        };
        checked.map_err(refuse)
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

/// Notes a member's moduli if they are what they must be and nobody else's.
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
    let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
    let others = told.iter().filter(|(party, _)| **party != from);
    if own[0] == own[1] || others.flat_map(|(_, moduli)| moduli).any(|other| own.contains(other)) {
        return Err("a modulus is used twice".to_owned());
    }
    told.insert(from, own);
    Ok(())
}
