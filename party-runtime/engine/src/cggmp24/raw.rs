//! The bare protocol: two manul sessions in two threads, with nothing between them but channels.
//! A benchmark compares the whole road with it.

use super::ONLY_STAGE;
use super::dealer::deal;
use super::session::{
    AuxInfo, Parameters, Seat, ThresholdKeyShare, Verifier, local_failure, verifiers,
};
use super::sign::SigningProtocol;
use super::stored::{load_aux, load_share};
use crate::engine::RunContext;
use crate::failure::EngineFailure;
use manul::session::{
    CanFinalize, Message, PreprocessOutcome, RoundOutcome, Session, SessionOutcome,
};
use mpc_wire::{Identity, Nonce, PartyId, PlanHash, SignedJoin, Threshold, VerifiedJoin};
use rand_core_06::{OsRng, RngCore};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};
use synedrion::InteractiveSigning;

/// Messages in flight: neither side is ever more than one round ahead of the other.
const IN_FLIGHT: usize = 2;

/// Two parties of a dealt key, ready to sign.
pub struct RawSigner {
    parties: Vec<RawParty>,
}

struct RawParty {
    identity: Identity,
    share: ThresholdKeyShare,
    aux: AuxInfo,
}

impl RawSigner {
    /// Deals a 2-of-2 key and an aux set. Takes seconds.
    ///
    /// # Errors
    /// [`EngineFailure`] if the identities are one and the same, or the library fails.
    pub fn deal(identities: [Identity; 2]) -> Result<Self, EngineFailure> {
        let ids: BTreeSet<PartyId> = identities.iter().map(Identity::party).collect();
        let mut dealt = deal(&ids, Threshold(2))?;
        let parties = identities
            .into_iter()
            .map(|identity| {
                let dealt = dealt
                    .remove(&identity.party())
                    .ok_or_else(|| EngineFailure::internal("the two parties are one"))?;
                let (share, aux) = (load_share(&dealt.share)?, load_aux(&dealt.aux)?);
                Ok(RawParty { identity, share, aux })
            })
            .collect::<Result<_, EngineFailure>>()?;
        Ok(Self { parties })
    }

    /// Signs once and returns the time from opening the sessions to the later of the two results.
    ///
    /// # Errors
    /// [`EngineFailure`] if a session fails.
    pub fn sign(&self, digest: [u8; 32]) -> Result<Duration, EngineFailure> {
        let contexts = self.contexts()?;
        let ids = verifiers(&self.parties.iter().map(|p| p.identity.party()).collect::<Vec<_>>());
        let entries = self
            .parties
            .iter()
            .map(|party| {
                let key_share = party.share.to_key_share(&ids).map_err(local_failure)?;
                InteractiveSigning::new(digest.into(), key_share, party.aux.clone())
                    .map_err(local_failure)
            })
            .collect::<Result<Vec<_>, EngineFailure>>()?;

        let (to_first, from_second) = sync_channel(IN_FLIGHT);
        let (to_second, from_first) = sync_channel(IN_FLIGHT);
        let channels = [(to_second, from_second), (to_first, from_first)];
        let began = Instant::now();
        thread::scope(|scope| {
            let threads: Vec<_> = contexts
                .iter()
                .zip(entries)
                .zip(channels)
                .map(|((context, entry), (out, inbox))| {
                    scope.spawn(move || {
                        run(Seat::new(context, ONLY_STAGE).open(entry)?, &out, &inbox)
                    })
                })
                .collect();
            threads.into_iter().try_for_each(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|_| Err(EngineFailure::panicked(None, "a session panicked")))
            })
        })?;
        Ok(began.elapsed())
    }

    /// A context for each party, for a plan that never was.
    fn contexts(&self) -> Result<Vec<RunContext>, EngineFailure> {
        let plan_hash = PlanHash::new([0; 32]);
        let joins = self
            .parties
            .iter()
            .map(|party| {
                let mut nonce = [0; 32];
                OsRng.fill_bytes(&mut nonce);
                SignedJoin::sign(&party.identity, plan_hash, Nonce::new(nonce), [0; 32])
                    .verify()
                    .map(|join| (party.identity.party(), join))
                    .map_err(|error| EngineFailure::internal(error.to_string()))
            })
            .collect::<Result<BTreeMap<PartyId, VerifiedJoin>, EngineFailure>>()?;
        Ok(self
            .parties
            .iter()
            .map(|party| RunContext {
                identity: party.identity.clone(),
                plan_hash,
                joins: joins.clone(),
            })
            .collect())
    }
}

/// A message and its sender.
type Sent = (Verifier, Message<Verifier>);

fn run(
    mut session: Session<SigningProtocol, Parameters>,
    out: &SyncSender<Sent>,
    inbox: &Receiver<Sent>,
) -> Result<(), EngineFailure> {
    let lost = || EngineFailure::internal("the other session is gone");
    loop {
        let mut accumulator = session.make_accumulator();
        for to in session.message_destinations() {
            let (message, artifact) =
                session.make_message(&mut OsRng, to).map_err(local_failure)?;
            out.send((session.verifier(), message)).map_err(|_| lost())?;
            session.add_artifact(&mut accumulator, artifact).map_err(local_failure)?;
        }
        while session.can_finalize(&accumulator) == CanFinalize::NotYet {
            let (from, message) = inbox.recv().map_err(|_| lost())?;
            let outcome = session
                .preprocess_message(&mut accumulator, &from, message)
                .map_err(local_failure)?;
            match outcome {
                PreprocessOutcome::ToProcess(message) => {
                    let processed = session.process_message(*message);
                    session
                        .add_processed_message(&mut accumulator, processed)
                        .map_err(local_failure)?;
                }
                PreprocessOutcome::Cached | PreprocessOutcome::Error(_) => {
                    return Err(EngineFailure::internal("the sessions fell out of step"));
                }
            }
        }
        match session.finalize_round(&mut OsRng, accumulator).map_err(local_failure)? {
            RoundOutcome::AnotherRound { session: next, .. } => session = next,
            RoundOutcome::Finished(report) => {
                return match report.outcome {
                    SessionOutcome::Result(_) => Ok(()),
                    SessionOutcome::NotEnoughMessages | SessionOutcome::Terminated => {
                        Err(EngineFailure::internal("the session ended without a signature"))
                    }
                };
            }
        }
    }
}
