//! One round message on the wire: a manul message in MessagePack.

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

/// Rounds of one step that different members may honestly be in at the same time, because each
/// decides for itself which of them its checks lead to.
pub(crate) type Siblings = &'static [u8];

/// Makes the message for one member. CPU-heavy: for jobs.
pub(crate) fn compose<P: ProtocolOf>(
    session: &Running<P>,
    accumulator: &Mutex<Accumulator<P>>,
    to: PartyId,
) -> Result<Vec<u8>, EngineFailure> {
    let (message, artifact) =
        session.make_message(&mut OsRng, &Verifier(to)).map_err(local_failure)?;
    let payload = MessagePack::serialize(message).map_err(local_failure)?.into_vec();
    session.add_artifact(&mut lock(accumulator), artifact).map_err(local_failure)?;
    Ok(payload)
}

/// Reads, checks and takes one member's message. CPU-heavy: for jobs.
///
/// A message whose proofs are wrong is noted in the accumulator, and shows when the round is
/// finalized; everything else that is wrong with it is an error here.
pub(crate) fn process<P: ProtocolOf>(
    session: &Running<P>,
    accumulator: &Mutex<Accumulator<P>>,
    siblings: Siblings,
    keys: &Keys,
    from: PartyId,
    payload: &Zeroizing<Vec<u8>>,
) -> Result<(), EngineFailure> {
    let peek = Peek::at(from, payload)?;
    let message: Message<Verifier> = MessagePack::deserialize(payload)
        .map_err(|_| EngineFailure::misbehaved(from, "a message could not be decoded"))?;
    if *message.destination() != session.verifier() {
        return Err(EngineFailure::misbehaved(from, "a message was made for another party"));
    }
    check_round(&session.round_id(), peek.round_id(), siblings)?;
    peek.check_keys(from, keys)?;

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
    session.add_processed_message(&mut lock(accumulator), processed).map_err(local_failure)
}

/// Refuses a message from a sibling of our round before manul blames its sender. Members part
/// like this when one of them told them different things, and it cannot be seen here which.
fn check_round(ours: &RoundId, theirs: &RoundId, siblings: Siblings) -> Result<(), EngineFailure> {
    let is_sibling = |id: &RoundId| siblings.iter().any(|sibling| id == sibling);
    if ours != theirs && is_sibling(ours) && is_sibling(theirs) {
        return Err(EngineFailure::misbehaviour(
            BTreeSet::new(),
            "the members' checks came to different ends: one of them told them different things",
        ));
    }
    Ok(())
}

/// Why a session that cannot be finalized ended, with everyone whom its evidence names.
pub(crate) fn report_failure<P: ProtocolOf>(
    report: &SessionReport<P, Parameters>,
) -> EngineFailure {
    // For an equivocation the key of the map is the member who told of it, not the guilty one.
    let proven = report.provable_errors.values().map(|evidence| evidence.guilty_party().0);
    let told = report.unprovable_errors.keys().map(|verifier| verifier.0);
    let guilty: BTreeSet<PartyId> = proven.chain(told).collect();
    let proofs = report.provable_errors.values().map(|evidence| offence(evidence.description()));
    let others = report.unprovable_errors.values().map(ToString::to_string);
    let texts: BTreeSet<String> = proofs.map(str::to_owned).chain(others).collect();
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

    #[test]
    fn siblings_part_without_blame_and_others_are_left_to_manul() {
        let siblings: Siblings = &[4, 5, 6];
        let check = |ours: u8, theirs: u8| {
            check_round(&RoundId::new(ours), &RoundId::new(theirs), siblings)
        };
        assert!(check(4, 4).is_ok());
        assert!(check(3, 2).is_ok());
        assert!(check(4, 3).is_ok());
        for (ours, theirs) in [(4, 5), (5, 4), (5, 6), (6, 4)] {
            assert!(check(ours, theirs).unwrap_err().guilty.is_empty());
        }
    }

    #[test]
    fn quoted_content_does_not_reach_the_detail() {
        assert_eq!(offence("Protocol error: bad proof"), "Protocol error: bad proof");
        assert!(!offence("Direct message error: unexpected string \"s3cret\"").contains("s3cret"));
    }
}
