//! What the members of a running attempt say.

use crate::Millis;
use crate::attempt::Fault;
use crate::effect::{DropCause, Effect};
use crate::end::{FailureReason, SessionEnd, SessionFailure, SessionProduct};
use crate::session::Session;
use crate::state::{Joining, Origin, Position, Running, State};
use mpc_wire::{
    AbortReason, Attempt, AttemptFailure, AttemptOutcome, AttemptPlan, FailureKind, IntentKind,
    PartyId, Payload, RoundAck, RoundEnvelope, RoundHeader, Signature, ToParty,
};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

impl Session {
    pub(crate) fn round(
        &mut self,
        envelope: RoundEnvelope,
        now: Millis,
        effects: &mut Vec<Effect>,
    ) {
        let RoundHeader { from, to, attempt, stage, round, .. } = envelope.header;
        let stuck_at = self.stuck_at(now);
        match self.running_as(from, attempt) {
            Ok(running) if running.plan.quorum.contains(&to) => {
                running.has_spoken(from, (stage, round), stuck_at);
                let message = Box::new(ToParty::Round(envelope));
                effects.push(Effect::Send { to, message });
            }
            Ok(_) => effects.push(Effect::Drop { from, cause: DropCause::NotAMember }),
            Err(cause) => effects.push(Effect::Drop { from, cause }),
        }
    }

    /// Brings a member's acknowledgement to the one whose messages it has got.
    pub(crate) fn acknowledged(&mut self, ack: RoundAck, effects: &mut Vec<Effect>) {
        let RoundAck { from, to, attempt, .. } = ack;
        let cause = match self.running_as(from, attempt) {
            Ok(running) if running.plan.quorum.contains(&to) => {
                effects.push(Effect::Send { to, message: Box::new(ToParty::Ack(ack)) });
                return;
            }
            Ok(_) => DropCause::NotAMember,
            Err(cause) => cause,
        };
        effects.push(Effect::Drop { from, cause });
    }

    /// Takes note of where a member stands.
    pub(crate) fn progress(
        &mut self,
        from: PartyId,
        attempt: Attempt,
        position: Position,
        now: Millis,
        effects: &mut Vec<Effect>,
    ) {
        let stuck_at = self.stuck_at(now);
        match self.running_as(from, attempt) {
            Ok(running) => {
                running.stands(from, position, stuck_at);
            }
            Err(cause) => {
                if self.past.iter().any(|it| it.attempt == attempt && it.quorum.contains(&from)) {
                    // It works on what is dead: it has not heard of that.
                    let session = self.intent.session;
                    let reason = AbortReason::Superseded;
                    let message = Box::new(ToParty::Abort { session, attempt, reason });
                    effects.push(Effect::Send { to: from, message });
                }
                effects.push(Effect::Drop { from, cause });
            }
        }
    }

    pub(crate) fn round_refused(
        &mut self,
        header: RoundHeader,
        now: Millis,
        effects: &mut Vec<Effect>,
    ) {
        match self.running_as(header.to, header.attempt) {
            Ok(_) => {
                // Whether it was sent too much, or something on the way left gaps, cannot be told:
                // nobody is named, and both are rather not asked again.
                let failure = AttemptFailure {
                    kind: FailureKind::Transport,
                    guilty: BTreeSet::new(),
                    detail: "a member had no room for a round message".into(),
                };
                let suspects = BTreeSet::from([header.from, header.to]);
                self.attempt_failed(Fault::suspecting(suspects, failure), now, effects);
            }
            Err(cause) => effects.push(Effect::Drop { from: header.to, cause }),
        }
    }

    pub(crate) fn outcome(
        &mut self,
        from: PartyId,
        attempt: Attempt,
        outcome: AttemptOutcome,
        now: Millis,
        effects: &mut Vec<Effect>,
    ) {
        // A verified signature over the intent's payload is what the session is for, whichever
        // attempt made it: a party may report it late, after a restart on either side. Not so for
        // a canary, which is to show that each of its members can sign: all have to report.
        if let AttemptOutcome::Signed(signature) = outcome
            && makes(&self.intent.kind, &outcome)
            && self.ended().is_none()
            && self.candidates.is_eligible(from)
        {
            self.signed(attempt, from, signature, effects);
            return;
        }
        let plan = self.plan(self.attempt, self.status().quorum);
        let is_fitting = makes(&self.intent.kind, &outcome) && is_of(&plan, &outcome);
        let outcomes = match self.outcomes_of(from, attempt) {
            Ok(outcomes) => outcomes,
            Err(cause) => {
                // The party keeps an outcome until it hears that the session is over.
                if self.ended().is_some() {
                    effects.push(self.finished(from));
                }
                effects.push(Effect::Drop { from, cause });
                return;
            }
        };
        match outcome {
            AttemptOutcome::Failed(mut failure) => {
                // Blame is advisory: it decides who is left out of the next attempt, no more.
                let quorum = self.status().quorum;
                failure.guilty.retain(|party| quorum.contains(party));
                if failure.guilty.is_empty() && failure.kind.is_the_reporters_own() {
                    failure.guilty.insert(from);
                }
                self.attempt_failed(Fault::reported(from, failure), now, effects);
            }
            outcome @ (AttemptOutcome::Keygen { .. }
            | AttemptOutcome::Aux { .. }
            | AttemptOutcome::Signed(_)
            | AttemptOutcome::Proven { .. }) => {
                if !is_fitting {
                    let failure = AttemptFailure {
                        kind: FailureKind::ResultInvalid,
                        guilty: BTreeSet::from([from]),
                        detail: "a member reports what the session is not for".into(),
                    };
                    self.attempt_failed(Fault::seen(failure), now, effects);
                    return;
                }
                match outcomes.entry(from) {
                    Entry::Vacant(place) => {
                        place.insert(outcome);
                        self.reported(now, effects);
                    }
                    // The party says so until it hears that the session is over. That is no news:
                    // it must not make an attempt seem to go on that stands still.
                    Entry::Occupied(_) => {
                        effects.push(Effect::Drop { from, cause: DropCause::Repeated });
                    }
                }
            }
        }
    }

    /// Where the outcomes of the attempt's members are kept. They may come before the start if the
    /// attempt was under way when the coordinator lost its memory of it.
    fn outcomes_of(
        &mut self,
        from: PartyId,
        attempt: Attempt,
    ) -> Result<&mut BTreeMap<PartyId, AttemptOutcome>, DropCause> {
        if attempt != self.attempt {
            return Err(DropCause::OtherAttempt);
        }
        let (plan, outcomes) = match &mut self.state {
            State::Joining(Joining { plan, outcomes, origin: Origin::TakenUp, .. })
            | State::Running(Running { plan, outcomes, .. }) => (plan, outcomes),
            State::Gathering(_) | State::Joining(_) | State::Ended(_) => {
                return Err(DropCause::OutOfPhase);
            }
        };
        if plan.quorum.contains(&from) { Ok(outcomes) } else { Err(DropCause::NotAMember) }
    }

    /// A member has reported a product.
    fn reported(&mut self, now: Millis, effects: &mut Vec<Effect>) {
        let stuck_at = self.stuck_at(now);
        self.start_if_all_have_answered(now, effects);
        if let State::Running(running) = &mut self.state {
            running.goes_on(stuck_at);
            if running.unreported().is_empty() {
                self.all_reported(effects);
            }
        }
    }

    pub(crate) fn signed(
        &mut self,
        attempt: Attempt,
        from: PartyId,
        signature: Signature,
        effects: &mut Vec<Effect>,
    ) {
        let signers = match &self.state {
            State::Running(Running { plan, .. }) | State::Joining(Joining { plan, .. })
                if plan.attempt == attempt =>
            {
                // It is still being joined if it was taken up: it ran before the coordinator lost
                // its memory of it.
                plan.quorum.clone()
            }
            State::Gathering(_) | State::Joining(_) | State::Running(_) | State::Ended(_) => self
                .past
                .iter()
                .find(|past| past.attempt == attempt)
                .map_or_else(|| BTreeSet::from([from]), |past| past.quorum.clone()),
        };
        let product = SessionProduct::Signature { signature, signers };
        self.end(SessionEnd::Completed(product), effects);
    }

    /// Every member has reported a product: they must be one.
    pub(crate) fn all_reported(&mut self, effects: &mut Vec<Effect>) {
        let State::Running(running) = &self.state else {
            return;
        };
        let mut outcomes = running.outcomes.values();
        let first = outcomes.next();
        let are_equal = outcomes.all(|outcome| first.is_some_and(|first| agree(first, outcome)));
        let statements = running.outcomes.iter().filter_map(|(by, outcome)| match outcome {
            AttemptOutcome::Keygen { stored: said, .. }
            | AttemptOutcome::Proven { proven: said, .. } => Some((*by, said.clone())),
            AttemptOutcome::Aux { .. } | AttemptOutcome::Signed(_) | AttemptOutcome::Failed(_) => {
                None
            }
        });
        let end = match first {
            Some(AttemptOutcome::Keygen { public_key, epoch, public_shares, .. }) if are_equal => {
                SessionEnd::Completed(SessionProduct::Key {
                    public_key: public_key.clone(),
                    epoch: *epoch,
                    public_shares: public_shares.clone(),
                    stored: statements.collect(),
                })
            }
            Some(AttemptOutcome::Proven { signature, .. }) if are_equal => {
                SessionEnd::Completed(SessionProduct::Canary {
                    signature: *signature,
                    proven: statements.collect(),
                })
            }
            // Signatures of one attempt need not be equal to the letter; each was verified, and
            // every member of the quorum has shown one.
            Some(AttemptOutcome::Signed(signature)) => {
                SessionEnd::Completed(SessionProduct::Signature {
                    signature: *signature,
                    signers: running.plan.quorum.clone(),
                })
            }
            Some(AttemptOutcome::Aux { aux_id }) if are_equal => {
                SessionEnd::Completed(SessionProduct::Aux { aux_id: *aux_id })
            }
            Some(_) | None => SessionEnd::Failed(SessionFailure {
                reason: FailureReason::ResultsDiffer,
                parties: running.plan.quorum.clone(),
                detail: "the members report different results of one attempt".into(),
            }),
        };
        self.end(end, effects);
    }

    /// The running attempt, if `from` is a member of it and names it rightly.
    pub(crate) fn running_as(
        &mut self,
        from: PartyId,
        attempt: Attempt,
    ) -> Result<&mut Running, DropCause> {
        if attempt != self.attempt {
            return Err(DropCause::OtherAttempt);
        }
        match &mut self.state {
            State::Running(running) if running.plan.quorum.contains(&from) => Ok(running),
            State::Running(_) => Err(DropCause::NotAMember),
            State::Gathering(_) | State::Joining(_) | State::Ended(_) => Err(DropCause::OutOfPhase),
        }
    }
}

/// Whether a session of this kind can make this.
fn makes(kind: &IntentKind, outcome: &AttemptOutcome) -> bool {
    match (kind, outcome) {
        (IntentKind::Keygen { .. }, AttemptOutcome::Keygen { .. })
        | (IntentKind::Aux { .. }, AttemptOutcome::Aux { .. })
        | (
            IntentKind::Sign { payload: Payload::Canary { .. }, .. },
            AttemptOutcome::Proven { .. },
        )
        | (
            IntentKind::Sign {
                payload: Payload::Digest(_) | Payload::Bytes { .. } | Payload::Message(_),
                ..
            },
            AttemptOutcome::Signed(_),
        ) => true,
        (
            IntentKind::Keygen { .. }
            | IntentKind::Aux { .. }
            | IntentKind::Sign { .. }
            | IntentKind::Refresh { .. }
            | IntentKind::Reshare { .. }
            | IntentKind::Replace { .. },
            _,
        ) => false,
    }
}

/// Whether a share that was made is one of this attempt.
fn is_of(plan: &AttemptPlan, outcome: &AttemptOutcome) -> bool {
    match outcome {
        AttemptOutcome::Keygen { stored, .. } => stored.of.plan == plan.hash(),
        AttemptOutcome::Aux { .. }
        | AttemptOutcome::Signed(_)
        | AttemptOutcome::Proven { .. }
        | AttemptOutcome::Failed(_) => true,
    }
}

/// Whether two members report one product. What each says of its own share is its own.
fn agree(one: &AttemptOutcome, other: &AttemptOutcome) -> bool {
    match (one, other) {
        (
            AttemptOutcome::Keygen { public_key, epoch, public_shares, .. },
            AttemptOutcome::Keygen {
                public_key: other_key,
                epoch: other_epoch,
                public_shares: other_shares,
                ..
            },
        ) => (public_key, epoch, public_shares) == (other_key, other_epoch, other_shares),
        // Signatures of one attempt need not be equal to the letter; each was verified.
        (AttemptOutcome::Proven { .. }, AttemptOutcome::Proven { .. }) => true,
        (
            AttemptOutcome::Keygen { .. }
            | AttemptOutcome::Aux { .. }
            | AttemptOutcome::Signed(_)
            | AttemptOutcome::Proven { .. }
            | AttemptOutcome::Failed(_),
            _,
        ) => one == other,
    }
}
