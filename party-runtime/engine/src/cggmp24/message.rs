//! One round message on the wire: a manul message in MessagePack.

use super::guard::Guard;
use super::peek::Peek;
use super::session::{
    Accumulator, MessagePack, Parameters, ProtocolOf, Running, Verifier, local_failure,
};
use crate::engine::Keys;
use crate::failure::EngineFailure;
use manul::protocol::RoundId;
use manul::session::{Message, PreprocessOutcome, SessionOutcome, SessionReport, WireFormat};
use mpc_wire::PartyId;
use rand_core_06::OsRng;
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use zeroize::Zeroizing;

/// Rounds of one step that different members may be in at the same time, because each decides for
/// itself which of them its checks lead to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Siblings {
    /// All of them, as the library numbers them.
    pub(crate) rounds: &'static [u8],
    /// Those that a member enters by what all members know alike, because it was echoed or proven.
    /// Honest members enter them together or not at all.
    pub(crate) common: &'static [u8],
}

impl Siblings {
    /// For a protocol in which all members are always in the same round.
    pub(crate) const NONE: Self = Self { rounds: &[], common: &[] };

    fn include(&self, id: &RoundId) -> bool {
        self.rounds.iter().any(|sibling| id == sibling)
    }

    fn part(&self, ours: &RoundId, theirs: &RoundId) -> bool {
        ours != theirs && self.include(ours) && self.include(theirs)
    }

    /// Whether honest members cannot have parted into these two.
    fn are_common(&self, ours: &RoundId, theirs: &RoundId) -> bool {
        self.common.iter().any(|common| ours == common || theirs == common)
    }
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Processed {
    /// It was taken. If its proofs are wrong, that shows when the round is finalized.
    Taken,
    /// It shows that a member lies, and not which one. Other messages of the step may tell.
    Unclear(&'static str),
}

const PARTED: &str = "the members' checks came to different ends: one of them lied to another";

const INCOMPLETE: &str = "a message lacks an entry that the protocol needs";

/// Makes the message for one member. CPU-heavy: for jobs.
pub(crate) fn compose<P: ProtocolOf>(
    session: &Running<P>,
    accumulator: &Mutex<Accumulator<P>>,
    guard: &Guard,
    to: PartyId,
) -> Result<Vec<u8>, EngineFailure> {
    let (message, artifact) =
        session.make_message(&mut OsRng, &Verifier(to)).map_err(local_failure)?;
    let payload = MessagePack::serialize(message).map_err(local_failure)?.into_vec();
    let me = session.verifier().0;
    guard.note_own(&session.round_id(), me, Peek::at(me, &payload)?.contents())?;
    session.add_artifact(&mut lock(accumulator), artifact).map_err(local_failure)?;
    Ok(payload)
}

/// What a message has to stand.
#[derive(Clone, Copy)]
pub(crate) struct Rules<'a> {
    pub(crate) guard: &'a Guard,
    pub(crate) siblings: Siblings,
    pub(crate) keys: &'a Keys,
}

/// Reads, checks and takes one member's message. CPU-heavy: for jobs.
///
/// A message whose proofs are wrong is noted in the accumulator; everything else that is wrong
/// with it is an error here.
pub(crate) fn process<P: ProtocolOf>(
    session: &Running<P>,
    accumulator: &Mutex<Accumulator<P>>,
    rules: Rules<'_>,
    from: PartyId,
    payload: &Zeroizing<Vec<u8>>,
) -> Result<Processed, EngineFailure> {
    let Rules { guard, siblings, keys } = rules;
    let peek = Peek::at(from, payload)?;
    let message: Message<Verifier> = MessagePack::deserialize(payload)
        .map_err(|_| EngineFailure::misbehaved(from, "a message could not be decoded"))?;
    if *message.destination() != session.verifier() {
        return Err(EngineFailure::misbehaved(from, "a message was made for another party"));
    }
    let (ours, theirs) = (session.round_id(), peek.round_id());
    let misbehaved = |why: &str| Err(EngineFailure::misbehaved(from, why));
    // Of two members who disagree, the one that is not this party lies.
    let of_two = session.message_destinations().len() == 1;
    if siblings.part(&ours, theirs) {
        return if of_two || siblings.are_common(&ours, theirs) {
            misbehaved(PARTED)
        } else {
            Ok(Processed::Unclear(PARTED))
        };
    }
    peek.check_keys(from, keys)?;
    guard.check(&ours, from, peek.contents())?;

    let outcome = session
        .preprocess_message(&mut lock(accumulator), &Verifier(from), message)
        .map_err(local_failure)?;
    let verified = match outcome {
        PreprocessOutcome::ToProcess(verified) => *verified,
        PreprocessOutcome::Error(error) => {
            return Err(EngineFailure::misbehaved(from, error.to_string()));
        }
        // The envelope's round said that it is of this step; what manul would keep is of a later.
        PreprocessOutcome::Cached => {
            return Err(EngineFailure::misbehaved(from, "a message was made in another round"));
        }
    };
    let processed = session.process_message(verified);
    match session.add_processed_message(&mut lock(accumulator), processed) {
        Ok(()) => Ok(Processed::Taken),
        // The library takes what it misses for a fault of ours. It misses it in this message, or
        // in an error round perhaps in what a third member sent before.
        Err(_) if siblings.include(&ours) && !of_two => Ok(Processed::Unclear(INCOMPLETE)),
        Err(_) => misbehaved(INCOMPLETE),
    }
}

/// Why a session that cannot be finalized ended, with everyone whom its evidence names, and with
/// what was clear of it without evidence.
pub(crate) fn report_failure<P: ProtocolOf>(
    report: &SessionReport<P, Parameters>,
    unclear: Option<&str>,
) -> EngineFailure {
    // For an equivocation the key of the map is the member who told of it, not the guilty one.
    let proven = report.provable_errors.values().map(|evidence| evidence.guilty_party().0);
    let told = report.unprovable_errors.keys().map(|verifier| verifier.0);
    let guilty: BTreeSet<PartyId> = proven.chain(told).collect();
    let proofs = report.provable_errors.values().map(|evidence| offence(evidence.description()));
    let others = report.unprovable_errors.values().map(ToString::to_string);
    let texts = proofs.chain(unclear).map(str::to_owned).chain(others);
    let texts: BTreeSet<String> = texts.collect();
    match report.outcome {
        SessionOutcome::Result(_) => EngineFailure::internal("a result was taken for a failure"),
        SessionOutcome::NotEnoughMessages | SessionOutcome::Terminated => {
            EngineFailure::misbehaviour(guilty, texts.into_iter().collect::<Vec<_>>().join("; "))
        }
    }
}

/// The part of an evidence's description that is made of constants. Of a message that could not
/// be decoded the library may quote, so that is left out.
fn offence(description: &str) -> &str {
    let constant = ["Protocol error: ", "Echo round error: "];
    if constant.iter().any(|prefix| description.starts_with(prefix)) {
        description
    } else {
        "a part of a message could not be decoded"
    }
}

/// Locks the accumulator. A job that panicked with the lock in hand ends the attempt as soon as it
/// comes back, and nothing is finalized before every job is back: poisoning tells nothing new.
fn lock<P: ProtocolOf>(
    accumulator: &Mutex<Accumulator<P>>,
) -> std::sync::MutexGuard<'_, Accumulator<P>> {
    accumulator.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIBLINGS: Siblings = Siblings { rounds: &[4, 5, 6], common: &[5] };

    #[test]
    fn members_part_into_siblings_alone() {
        let part = |ours: u8, theirs: u8| SIBLINGS.part(&RoundId::new(ours), &RoundId::new(theirs));
        for (ours, theirs) in [(4, 5), (5, 4), (5, 6), (6, 4)] {
            assert!(part(ours, theirs));
        }
        for (ours, theirs) in [(4, 4), (3, 2), (4, 3), (3, 6)] {
            assert!(!part(ours, theirs));
        }
        assert!(!Siblings::NONE.part(&RoundId::new(4), &RoundId::new(5)));
    }

    #[test]
    fn who_does_not_enter_a_common_round_lies() {
        let common = |ours, theirs| SIBLINGS.are_common(&RoundId::new(ours), &RoundId::new(theirs));
        assert!(common(5, 4) && common(4, 5) && common(5, 6));
        assert!(!common(4, 6) && !common(6, 4));
    }

    #[test]
    fn quoted_content_does_not_reach_the_detail() {
        assert_eq!(offence("Protocol error: bad proof"), "Protocol error: bad proof");
        assert!(!offence("Direct message error: unexpected string \"s3cret\"").contains("s3cret"));
    }
}
