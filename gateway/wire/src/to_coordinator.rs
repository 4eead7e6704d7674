//! What a party sends to its gateway.

use crate::audit::SignedHead;
use crate::epoch::{ActivationRefusal, EpochPlan, EpochStatement};
use crate::handshake::EnrolmentToken;
use crate::ids::{Attempt, PartyId, Round, SessionId, Stage};
use crate::intent::Intent;
use crate::outcome::AttemptOutcome;
use crate::plan::SignedJoin;
use crate::round::{RoundAck, RoundEnvelope, RoundHeader};
use crate::signature::PartySignature;
use crate::testimony::{Inquiry, SignedBan, Testimony};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Messages from a party to the coordinator's side.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToCoordinator {
    /// Answers the challenge. The signature is over [`crate::handshake::Hello`].
    Prove {
        /// Who is connecting.
        party: PartyId,
        /// A free-form label, at most [`crate::limits::MAX_LABEL`] bytes; may be empty.
        label: String,
        /// Lets an identity in that is not registered yet; not looked at otherwise.
        token: Option<EnrolmentToken>,
        /// The party's signature.
        signature: PartySignature,
    },
    /// The party joins an attempt.
    Join {
        /// The session.
        session: SessionId,
        /// The attempt.
        attempt: Attempt,
        /// The signed consent.
        join: SignedJoin,
    },
    /// The party will not join an attempt.
    Decline {
        /// The session.
        session: SessionId,
        /// The attempt.
        attempt: Attempt,
        /// Why.
        reason: DeclineReason,
    },
    /// The party's policy asks a person whether to join: no answer is due before the intent
    /// expires.
    AwaitingApproval {
        /// The session.
        session: SessionId,
        /// The attempt.
        attempt: Attempt,
    },
    /// The party refuses something that it was sent about a session, because somebody on the way
    /// forged or mixed it up. Nobody is to be blamed for it.
    Objected {
        /// The session.
        session: SessionId,
        /// The attempt.
        attempt: Attempt,
        /// To what.
        objection: Objection,
    },
    /// Where the party's audit log stands. Comes before every join, decline, objection and outcome,
    /// and when something else was entered; the coordinator keeps the newest one.
    AuditHead(SignedHead),
    /// The party was restored and asks the other holders of its accounts.
    Inquiry(Inquiry),
    /// The party answers another one's inquiry.
    Testimony(Testimony),
    /// The party has banned another one; the holders of its accounts are to keep that.
    Ban(SignedBan),
    /// A round message to another member.
    Round(RoundEnvelope),
    /// A round message could not be taken: the party's buffers are full.
    RoundRefused {
        /// The message refused.
        header: RoundHeader,
    },
    /// Which round messages of another member have arrived.
    Ack(RoundAck),
    /// Where the party's runner stands.
    Progress {
        /// The session.
        session: SessionId,
        /// The attempt.
        attempt: Attempt,
        /// The stage.
        stage: Stage,
        /// The round.
        round: Round,
        /// From whom it still needs messages.
        waiting_for: BTreeSet<PartyId>,
    },
    /// How the attempt ended in this party.
    Outcome {
        /// The session.
        session: SessionId,
        /// The attempt.
        attempt: Attempt,
        /// The end.
        outcome: AttemptOutcome,
    },
    /// The party asks for a session. It has stored the intent before it sends this.
    RequestSession {
        /// What the session is to be for.
        intent: Intent,
    },
    /// Answers [`crate::ToParty::Activate`], each time it is said.
    Activated {
        /// The shares.
        of: EpochPlan,
        /// Whether they are the party's active ones now.
        result: Result<(), ActivationRefusal>,
    },
    /// The party's word on shares of an epoch: what it was asked for with
    /// [`crate::ToParty::Attest`]; and of each share that waits for its activation, that it is
    /// stored, whenever the party connects and from time to time.
    Statement(EpochStatement),
}

/// Why a party will not join: a closed list.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    thiserror::Error,
)]
#[serde(rename_all = "snake_case")]
pub enum DeclineReason {
    /// The party holds no share of the account at that epoch.
    #[error("the party holds no share of the account at that epoch")]
    NoShare,
    /// The account exists already.
    #[error("the party holds a share of that account already")]
    AccountExists,
    /// The party has no part of the aux set.
    #[error("the party has no part of the aux set")]
    NoAux,
    /// The intent does not fit what the party knows of the account.
    #[error("the intent does not fit what the party knows of the account")]
    IntentMismatch,
    /// The plan does not fit the intent.
    #[error("the plan does not fit the intent")]
    PlanMismatch,
    /// The intent has expired.
    #[error("the intent has expired")]
    Expired,
    /// The request was seen before in another session.
    #[error("the request was seen before in another session")]
    RequestReused,
    /// The party cannot tell any more which requests were used: whoever runs it has to act.
    #[error("the party's list of used requests was tampered with: its operator has to restore it")]
    LedgerDamaged,
    /// A person said no.
    #[error("a person refused it")]
    Refused,
    /// The party signs only what a requester has signed, and nobody has.
    #[error("the party asks for the requester's signature, and the request carries none")]
    AuthorizationMissing,
    /// The requester's signature is not over this request.
    #[error("the requester's signature does not fit the request")]
    AuthorizationInvalid,
    /// The requester's signature has expired, or would live longer than the party allows.
    #[error("the requester's signature has expired, or lives longer than the party allows")]
    AuthorizationExpired,
    /// The requester is not one that the party knows.
    #[error("the party's configuration knows no such requester")]
    UnknownRequester,
    /// The party's policy does not allow the account, the requester or the payload.
    #[error("the party's policy does not allow this account, requester or payload")]
    NotAllowed,
    /// The party's policy allows no more of it now.
    #[error("the party's policy allows no more of it in this window")]
    LimitReached,
    /// The party's policy allows it at other times only.
    #[error("the party's policy allows it at other times only")]
    OutsideHours,
    /// A member of the quorum is banned.
    #[error("the party has banned a member of the quorum")]
    Banned,
    /// The party was restored from a backup and waits for its peers' word on it.
    #[error("the party was restored from a backup, and its peers have not confirmed it yet")]
    Quarantined,
    /// The party's share is older than the account's epoch.
    #[error("the party's share of the account is older than the account's epoch")]
    StaleEpoch,
    /// The party does not support what is asked.
    #[error("the party does not support this kind of session or scheme")]
    Unsupported,
    /// The party has all it can carry.
    #[error("the party has all it can carry")]
    Overloaded,
    /// The account's shares are not active at that epoch, and sign nothing but canaries.
    #[error("the party's share of the account is not active yet")]
    NotActive,
    /// The attempt is dead for the party, which may join a newer one.
    #[error("the attempt is over for the party")]
    AttemptOver,
}

/// What a decline holds for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeclineScope {
    /// The session: the party joins none of its attempts.
    Session,
    /// The quorum: the party may join another one.
    Quorum,
    /// The attempt: what stands against it passes by itself.
    Attempt,
}

impl DeclineReason {
    /// What the decline holds for.
    pub const fn scope(self) -> DeclineScope {
        match self {
            Self::Banned => DeclineScope::Quorum,
            Self::Overloaded | Self::NotActive | Self::AttemptOver | Self::PlanMismatch => {
                DeclineScope::Attempt
            }
            Self::NoShare
            | Self::AccountExists
            | Self::NoAux
            | Self::IntentMismatch
            | Self::Expired
            | Self::RequestReused
            | Self::LedgerDamaged
            | Self::Refused
            | Self::AuthorizationMissing
            | Self::AuthorizationInvalid
            | Self::AuthorizationExpired
            | Self::UnknownRequester
            | Self::NotAllowed
            | Self::LimitReached
            | Self::OutsideHours
            | Self::Quarantined
            | Self::StaleEpoch
            | Self::Unsupported => DeclineScope::Session,
        }
    }
}

/// What a party objects to: a closed list.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    thiserror::Error,
)]
#[serde(rename_all = "snake_case")]
pub enum Objection {
    /// A join in `Started` is not signed by its member.
    #[error("a join is not signed by the member it names")]
    ForgedJoin,
    /// A join in `Started` is signed with a key that the member has rotated away.
    #[error("a join is signed with a key that its member has replaced")]
    SupersededKey,
    /// The joins in `Started` are not those of the quorum to the plan that the party joined.
    #[error("the joins are not those of the quorum to the plan that the party joined")]
    WrongJoins,
    /// A round message for somebody else, or from somebody who is no member.
    #[error("a round message for another party, or from one that is no member")]
    Misrouted,
}
