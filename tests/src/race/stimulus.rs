//! What can happen to a party, small enough to be printed, shrunk and played again.

use super::cast::{self, Layout, Member, Purpose};
use mpc_wire::{
    Attempt, AttemptFailure, AttemptOutcome, FailureKind, PartyId, Round, RoundEnvelope,
    RoundHeader, Seq, Stage, VerifiedJoin,
};
use std::collections::BTreeSet;

/// One step of a world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// An event, with all that it brings about.
    Happen(Stimulus),
    /// An event, and a crash behind the given number of its effects: the others never happen.
    CutShort(Stimulus, usize),
    /// A crash between events.
    Crash,
}

/// An event. Sessions go by their number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stimulus {
    /// A local caller wants the session.
    Intend(u16, Purpose),
    /// The coordinator invites.
    Invited(u16, Attempt, Purpose, Layout),
    /// A person has been asked.
    Pondering(u16),
    /// Somebody accepts.
    Approved(u16),
    /// Somebody refuses.
    Refused(u16),
    /// An attempt starts.
    Started(u16, Attempt, Joins),
    /// Something comes for an attempt that the shell cannot verify.
    Unverified(u16, Attempt),
    /// A round message comes.
    Round(Letter),
    /// A runner ends, well or not.
    RunnerEnded(u16, Attempt, End),
    /// An attempt is aborted.
    Aborted(u16, Attempt),
    /// A session is over.
    Finished(u16),
    /// The link is up.
    Connected,
    /// So many milliseconds pass.
    Tick(u64),
    /// The process reads its store, the first thing after a crash.
    Restored,
}

/// The joins of a `Started`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Joins {
    /// Those of the right plan, with the very join of this party.
    Real,
    /// Those of the rival plan.
    Rival,
    /// Those of the right plan, of which the peers' ones are other ones: valid as well.
    OtherNonce,
    /// The peers' are missing.
    Missing,
    /// A stranger's is added.
    WithStranger,
    /// One is there twice, another not.
    Doubled,
    /// Those of the attempt after it.
    OtherAttempt,
    /// This party's is one that it never made.
    StaleOwn,
}

/// How a runner ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum End {
    /// With a failure.
    Failed,
    /// By a panic: another failure, so that two reports can be told apart.
    Panicked,
}

/// A round message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// The session's number.
    pub session: u16,
    /// The attempt.
    pub attempt: Attempt,
    /// The sender.
    pub from: Member,
    /// The recipient: not always this party.
    pub to: Member,
    /// The place in the sender's order.
    pub seq: u64,
    /// How many bytes.
    pub size: usize,
}

impl Letter {
    /// A small message to this party.
    pub fn new(session: u16, attempt: Attempt, from: Member, seq: u64) -> Self {
        Self { session, attempt, from, to: Member::Me, seq, size: 1 }
    }

    /// The message as it travels.
    pub fn envelope(&self) -> RoundEnvelope {
        let header = RoundHeader {
            session: cast::session(self.session),
            attempt: self.attempt,
            from: self.from.party(),
            to: self.to.party(),
            stage: Stage(1),
            round: Round(1),
            seq: Seq(self.seq),
        };
        RoundEnvelope { header, sealed: vec![0; self.size] }
    }
}

impl End {
    /// What the runner says.
    pub fn outcome(self) -> AttemptOutcome {
        let kind = match self {
            Self::Failed => FailureKind::Transport,
            Self::Panicked => FailureKind::Panicked,
        };
        AttemptOutcome::Failed(AttemptFailure {
            kind,
            guilty: BTreeSet::new(),
            detail: String::new(),
        })
    }
}

impl Joins {
    /// The joins themselves. `own` says what this party's join of a plan is, or will be.
    pub fn build(
        self,
        session: u16,
        attempt: Attempt,
        own: impl Fn(&mpc_wire::AttemptPlan) -> VerifiedJoin,
    ) -> Vec<VerifiedJoin> {
        let layout = if self == Self::Rival { Layout::Rival } else { Layout::Real };
        let of = if self == Self::OtherAttempt { attempt.next() } else { attempt };
        let plan = cast::plan(session, of, Purpose::Real, layout);
        let hash = plan.hash();
        let me = Member::Me.party();
        let peer_salt = if self == Self::OtherNonce { 101 } else { 100 };
        let join = |party: &PartyId| {
            if *party != me {
                cast::join(*party, hash, peer_salt)
            } else if self == Self::StaleOwn {
                cast::join(me, hash, 200)
            } else {
                own(&plan)
            }
        };
        let mut joins: Vec<_> = plan.quorum.iter().map(join).collect();
        match self {
            Self::Real | Self::Rival | Self::OtherNonce | Self::OtherAttempt | Self::StaleOwn => {}
            Self::Missing => joins.retain(|join| join.member() == me),
            Self::WithStranger => joins.push(cast::join(Member::Stranger.party(), hash, 100)),
            Self::Doubled => {
                joins.pop();
                joins.extend(joins.first().cloned());
            }
        }
        joins
    }
}
