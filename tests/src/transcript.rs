//! What parties say to a coordinator, and what must hold of it whatever was done to them.

use mpc_wire::{
    ActivationRefusal, Attempt, AttemptOutcome, AttemptPlan, DeclineReason, EpochPlan,
    EpochStatement, FailureKind, Objection, PartyId, Round, RoundEnvelope, SessionId, Signature,
    SignedJoin, ToCoordinator,
};
use std::collections::{BTreeMap, BTreeSet};

/// The step of a CGGMP'24 signing in which a member's share of the signature is on the wire: the
/// last one. A party that was never in it has let nothing out that a signature could be made of.
/// That it is the last one is checked of every honest signing that a test runs.
pub const PARTIAL_SIGNATURE: Round = Round(7);

/// One attempt of one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Run {
    /// The session.
    pub session: SessionId,
    /// The attempt.
    pub attempt: Attempt,
}

impl From<&AttemptPlan> for Run {
    fn from(plan: &AttemptPlan) -> Self {
        Self { session: plan.session, attempt: plan.attempt }
    }
}

/// How a party says no: always typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// It does not join.
    Declined(DeclineReason),
    /// It throws away what it was sent.
    Objected(Objection),
    /// Its attempt failed.
    Failed(FailureKind),
}

/// Something that a party said.
#[derive(Debug, Clone)]
pub struct Said {
    /// The party.
    pub by: PartyId,
    /// What.
    pub message: ToCoordinator,
}

impl Said {
    /// The attempt that it is about, if it is about one.
    fn run(&self) -> Option<Run> {
        match &self.message {
            ToCoordinator::Join { session, attempt, .. }
            | ToCoordinator::Decline { session, attempt, .. }
            | ToCoordinator::AwaitingApproval { session, attempt }
            | ToCoordinator::Objected { session, attempt, .. }
            | ToCoordinator::Progress { session, attempt, .. }
            | ToCoordinator::Outcome { session, attempt, .. } => {
                Some(Run { session: *session, attempt: *attempt })
            }
            ToCoordinator::Round(RoundEnvelope { header, .. })
            | ToCoordinator::RoundRefused { header } => {
                Some(Run { session: header.session, attempt: header.attempt })
            }
            ToCoordinator::Ack(ack) => Some(Run { session: ack.session, attempt: ack.attempt }),
            ToCoordinator::Prove { .. }
            | ToCoordinator::AuditHead(_)
            | ToCoordinator::Inquiry(_)
            | ToCoordinator::Testimony(_)
            | ToCoordinator::Ban(_)
            | ToCoordinator::RequestSession { .. }
            | ToCoordinator::Activated { .. }
            | ToCoordinator::Statement(_) => None,
        }
    }

    fn join(&self) -> Option<&SignedJoin> {
        if let ToCoordinator::Join { join, .. } = &self.message { Some(join) } else { None }
    }

    fn outcome(&self) -> Option<&AttemptOutcome> {
        if let ToCoordinator::Outcome { outcome, .. } = &self.message {
            Some(outcome)
        } else {
            None
        }
    }

    fn round(&self) -> Option<&RoundEnvelope> {
        if let ToCoordinator::Round(envelope) = &self.message { Some(envelope) } else { None }
    }

    fn refusal(&self) -> Option<Refusal> {
        if let ToCoordinator::Decline { reason, .. } = &self.message {
            Some(Refusal::Declined(*reason))
        } else if let ToCoordinator::Objected { objection, .. } = &self.message {
            Some(Refusal::Objected(*objection))
        } else if let Some(AttemptOutcome::Failed(failure)) = self.outcome() {
            Some(Refusal::Failed(failure.kind))
        } else {
            None
        }
    }
}

/// Everything that the parties of a test said, in the order in which it was heard.
#[derive(Debug, Default)]
pub struct Transcript(Vec<Said>);

impl Transcript {
    /// Notes one thing more.
    pub fn push(&mut self, by: PartyId, message: ToCoordinator) {
        self.0.push(Said { by, message });
    }

    /// The thing that was said at this place, counted from 0.
    pub fn get(&self, at: usize) -> Option<&Said> {
        self.0.get(at)
    }

    /// How much was said.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing was said.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn of(&self, run: Run) -> impl Iterator<Item = &Said> {
        self.0.iter().filter(move |said| said.run() == Some(run))
    }

    fn of_session(&self, session: SessionId) -> impl Iterator<Item = &Said> {
        self.0.iter().filter(move |said| said.run().is_some_and(|run| run.session == session))
    }

    /// Whether a party has said anything of a session.
    pub fn has_spoken(&self, party: PartyId, session: SessionId) -> bool {
        self.of_session(session).any(|said| said.by == party)
    }

    /// Every join to an attempt, repetitions included.
    pub fn joins(&self, run: Run) -> Vec<&SignedJoin> {
        self.of(run).filter_map(Said::join).collect()
    }

    /// The newest join of a party to an attempt.
    pub fn join_of(&self, party: PartyId, run: Run) -> Option<SignedJoin> {
        self.joins(run).into_iter().rfind(|join| join.member == party).cloned()
    }

    /// How the attempt ended, in each party where it did.
    pub fn outcomes(&self, run: Run) -> BTreeMap<PartyId, AttemptOutcome> {
        self.of(run).filter_map(|said| Some((said.by, said.outcome()?.clone()))).collect()
    }

    /// What a party said when it was told to take an epoch up, behind so many things that were said.
    pub fn activated(
        &self,
        behind: usize,
        party: PartyId,
        of: EpochPlan,
    ) -> Option<Result<(), ActivationRefusal>> {
        let said = self.0.iter().skip(behind).filter(|said| said.by == party);
        said.filter_map(|said| {
            if let ToCoordinator::Activated { of: other, result } = &said.message {
                (*other == of).then_some(*result)
            } else {
                None
            }
        })
        .next()
    }

    /// Every word of a party on shares of an epoch that came by itself.
    pub fn statements(&self, party: PartyId) -> Vec<&EpochStatement> {
        let said = self.0.iter().filter(|said| said.by == party);
        said.filter_map(|said| {
            if let ToCoordinator::Statement(statement) = &said.message {
                Some(statement)
            } else {
                None
            }
        })
        .collect()
    }

    /// How a party refused an attempt, or parts of it.
    pub fn refusals(&self, party: PartyId, run: Run) -> BTreeSet<Refusal> {
        self.of(run).filter(|said| said.by == party).filter_map(Said::refusal).collect()
    }

    /// The sealed messages of an attempt.
    pub fn rounds(&self, run: Run) -> Vec<&RoundEnvelope> {
        let mut seen = BTreeSet::new();
        let mut rounds: Vec<_> = self.of(run).filter_map(Said::round).collect();
        // What nobody acknowledges is sent again, the identical bytes: that is nothing new.
        rounds.retain(|envelope| seen.insert(&envelope.sealed));
        rounds
    }

    /// The last step of a session, in any of its attempts, of which a sealed message left a party;
    /// 0 if none did.
    pub fn furthest(&self, session: SessionId) -> Round {
        let rounds = self.of_session(session).filter_map(Said::round);
        rounds.map(|envelope| envelope.header.round).max().unwrap_or_default()
    }

    /// Every signature that a party reports for a session.
    pub fn signatures(&self, session: SessionId) -> Vec<Signature> {
        let outcomes = self.of_session(session).filter_map(Said::outcome);
        outcomes
            .filter_map(|outcome| {
                if let AttemptOutcome::Signed(signature)
                | AttemptOutcome::Proven { signature, .. } = outcome
                {
                    Some(*signature)
                } else {
                    None
                }
            })
            .collect()
    }

    /// Everybody whom anybody blames for anything.
    pub fn blamed(&self) -> BTreeSet<PartyId> {
        let outcomes = self.0.iter().filter_map(Said::outcome);
        outcomes
            .filter_map(|outcome| {
                if let AttemptOutcome::Failed(failure) = outcome { Some(failure) } else { None }
            })
            .flat_map(|failure| failure.guilty.iter().copied())
            .collect()
    }

    /// Checks that no party blames another.
    pub fn assert_nobody_is_blamed(&self) {
        let blamed = self.blamed();
        assert!(blamed.is_empty(), "blamed for what a relay did: {blamed:?}\n{self}");
    }

    /// Checks that a session came to nothing: no sealed message of a step behind `furthest` left
    /// any party, no party's share of a signature was on the wire, and no party has a signature.
    pub fn assert_nothing_was_signed(&self, session: SessionId, furthest: Round) {
        assert!(furthest < PARTIAL_SIGNATURE);
        let reached = self.furthest(session);
        assert!(reached <= furthest, "{session} went to step {reached}\n{self}");
        assert_eq!(self.signatures(session), Vec::new(), "{session} was signed\n{self}");
    }
}

impl std::fmt::Display for Transcript {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|Said { by, message }| writeln!(f, "{by:?}: {message:?}"))
    }
}
