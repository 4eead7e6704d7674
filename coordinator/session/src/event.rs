//! What goes into the machine.

use mpc_wire::{
    Attempt, AttemptFailure, AttemptOutcome, DeclineReason, FailureKind, Objection, PartyId, Round,
    RoundAck, RoundEnvelope, RoundHeader, Signature, Stage, VerifiedJoin,
};
use std::collections::BTreeSet;

/// Something happened. The transport vouches for every sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A party can be reached.
    Online(PartyId),
    /// A party can no longer be reached.
    Offline(PartyId),
    /// A party joined.
    Joined {
        /// The attempt that the message named.
        attempt: Attempt,
        /// The consent.
        join: VerifiedJoin,
    },
    /// A party's join came, and its signature is not the party's.
    JoinBroken {
        /// Who.
        from: PartyId,
        /// The attempt.
        attempt: Attempt,
    },
    /// A party will not join.
    Declined {
        /// Who.
        from: PartyId,
        /// The attempt.
        attempt: Attempt,
        /// Why.
        reason: DeclineReason,
    },
    /// A member's policy asks a person: it will answer, but not soon.
    AwaitingApproval {
        /// Who.
        from: PartyId,
        /// The attempt.
        attempt: Attempt,
    },
    /// A member refuses what somebody on the way forged or mixed up.
    Objected {
        /// Who.
        from: PartyId,
        /// The attempt.
        attempt: Attempt,
        /// To what.
        objection: Objection,
    },
    /// A round message on its way to another member.
    Round(RoundEnvelope),
    /// A member could not take a round message.
    RoundRefused(RoundHeader),
    /// A member says which of another member's round messages it has.
    Acknowledged(RoundAck),
    /// A member says where it stands.
    Progress {
        /// Who.
        from: PartyId,
        /// The attempt.
        attempt: Attempt,
        /// The stage.
        stage: Stage,
        /// The round.
        round: Round,
        /// Whose messages it lacks.
        waiting_for: BTreeSet<PartyId>,
    },
    /// A member's attempt has ended.
    Outcome {
        /// Who.
        from: PartyId,
        /// The attempt.
        attempt: Attempt,
        /// How.
        outcome: CheckedOutcome,
    },
    /// The requester wants no more of it.
    Cancelled,
    /// Time has passed.
    Tick,
}

/// An outcome whose signature, if it has one, stood its verification under the account's public
/// key: only [`CheckedOutcome::check`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedOutcome(AttemptOutcome);

impl CheckedOutcome {
    /// Verifies what a party reports. A signature that `is_valid` refuses becomes a failure that
    /// names the reporter, who should have verified it before.
    pub fn check(
        from: PartyId,
        outcome: AttemptOutcome,
        is_valid: impl Fn(&Signature) -> bool,
    ) -> Self {
        Self(match outcome {
            AttemptOutcome::Signed(signature) | AttemptOutcome::Proven { signature, .. }
                if !is_valid(&signature) =>
            {
                AttemptOutcome::Failed(AttemptFailure {
                    kind: FailureKind::ResultInvalid,
                    guilty: BTreeSet::from([from]),
                    detail: "the reported signature does not verify under the public key".into(),
                })
            }
            outcome @ (AttemptOutcome::Signed(_)
            | AttemptOutcome::Proven { .. }
            | AttemptOutcome::Keygen { .. }
            | AttemptOutcome::Aux { .. }
            | AttemptOutcome::Failed(_)) => outcome,
        })
    }

    pub(crate) fn into_outcome(self) -> AttemptOutcome {
        self.0
    }
}
