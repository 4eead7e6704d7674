//! Strategies for the messages of every direction.

use crate::statements::{ban, epoch_plan, epoch_statement, head, inquiry, testimony};
use crate::values::{
    ack, attempt, aux_id, epoch, header, intent, join, nonce, parties, party, party_signature,
    plan, public_key, request, session,
};
use mpc_wire::handshake::Challenge;
use mpc_wire::{
    AbortReason, ActivationRefusal, AttemptFailure, AttemptOutcome, DeclineReason, Downlink,
    EcdsaSignature, EnrolmentToken, ErrorCode, FailureKind, Objection, Round, RoundEnvelope,
    SessionRefusal, Signature, Stage, ToCoordinator, ToParty, Uplink,
};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::select;

fn text() -> impl Strategy<Value = String> {
    vec(any::<char>(), 0..20).prop_map(|chars| chars.into_iter().collect())
}

fn token() -> impl Strategy<Value = EnrolmentToken> {
    text().prop_map(|text| EnrolmentToken::try_from(text).unwrap())
}

fn envelope() -> impl Strategy<Value = RoundEnvelope> {
    (header(), vec(any::<u8>(), 0..300))
        .prop_map(|(header, sealed)| RoundEnvelope { header, sealed })
}

fn outcome() -> impl Strategy<Value = AttemptOutcome> {
    let kind = select(vec![
        FailureKind::RunnerLost,
        FailureKind::PeerMisbehaved,
        FailureKind::Transport,
        FailureKind::PeerMissing,
        FailureKind::Panicked,
        FailureKind::ResultInvalid,
        FailureKind::Storage,
        FailureKind::Internal,
    ]);
    prop_oneof![
        (public_key(), epoch(), btree_map(party(), public_key(), 0..4), epoch_statement())
            .prop_map(|(public_key, epoch, public_shares, stored)| AttemptOutcome::Keygen {
                public_key,
                epoch,
                public_shares,
                stored,
            }),
        aux_id().prop_map(|aux_id| AttemptOutcome::Aux { aux_id }),
        any::<([u8; 32], [u8; 32], u8)>().prop_map(|(r, s, recovery_id)| {
            AttemptOutcome::Signed(Signature::Ecdsa(EcdsaSignature { r, s, recovery_id }))
        }),
        (any::<([u8; 32], [u8; 32], u8)>(), epoch_statement()).prop_map(
            |((r, s, recovery_id), proven)| {
                let signature = Signature::Ecdsa(EcdsaSignature { r, s, recovery_id });
                AttemptOutcome::Proven { signature, proven }
            }
        ),
        (kind, parties(), text()).prop_map(|(kind, guilty, detail)| {
            AttemptOutcome::Failed(AttemptFailure { kind, guilty, detail })
        }),
    ]
}

fn refusal() -> impl Strategy<Value = SessionRefusal> {
    select(vec![
        SessionRefusal::UnknownAccount,
        SessionRefusal::IntentMismatch,
        SessionRefusal::NotAllowed,
        SessionRefusal::Duplicate,
        SessionRefusal::NotEnoughParties,
        SessionRefusal::Unavailable,
    ])
}

fn activation_refusal() -> impl Strategy<Value = ActivationRefusal> {
    select(vec![
        ActivationRefusal::NotPrepared,
        ActivationRefusal::OtherActive,
        ActivationRefusal::StaleEpoch,
        ActivationRefusal::Mismatch,
        ActivationRefusal::NotAHolder,
        ActivationRefusal::Forged,
        ActivationRefusal::SupersededKey,
        ActivationRefusal::Refused,
        ActivationRefusal::Incomplete,
        ActivationRefusal::Quarantined,
        ActivationRefusal::Overloaded,
        ActivationRefusal::Storage,
    ])
}

pub(crate) fn to_party() -> impl Strategy<Value = ToParty> {
    let abort = select(vec![
        AbortReason::Cancelled,
        AbortReason::Expired,
        AbortReason::Superseded,
        AbortReason::Failed,
    ]);
    let code = select(vec![
        ErrorCode::UnsupportedVersion,
        ErrorCode::Malformed,
        ErrorCode::TooLarge,
        ErrorCode::NotAuthenticated,
        ErrorCode::NotEnrolled,
        ErrorCode::TokenRefused,
        ErrorCode::Revoked,
        ErrorCode::KeySuperseded,
        ErrorCode::WrongSender,
        ErrorCode::Replaced,
        ErrorCode::Overloaded,
        ErrorCode::GoingAway,
    ]);
    prop_oneof![
        (any::<u16>(), text(), nonce()).prop_map(|(version, server, nonce)| {
            ToParty::Challenge(Challenge { version, server, nonce })
        }),
        (party(), any::<u64>())
            .prop_map(|(party, heartbeat_ms)| ToParty::Welcome { party, heartbeat_ms }),
        (intent(), plan()).prop_map(|(intent, plan)| ToParty::Invite { intent, plan }),
        (session(), attempt(), vec(join(), 0..4))
            .prop_map(|(session, attempt, joins)| { ToParty::Started { session, attempt, joins } }),
        envelope().prop_map(ToParty::Round),
        ack().prop_map(ToParty::Ack),
        (session(), attempt(), abort).prop_map(|(session, attempt, reason)| ToParty::Abort {
            session,
            attempt,
            reason,
        }),
        session().prop_map(|session| ToParty::Finished { session }),
        head().prop_map(ToParty::AuditHead),
        inquiry().prop_map(ToParty::Inquiry),
        testimony().prop_map(ToParty::Testimony),
        ban().prop_map(ToParty::Ban),
        (session(), request(), proptest::option::of(refusal())).prop_map(
            |(session, request, refusal)| ToParty::SessionRequested {
                session,
                request,
                result: refusal.map_or(Ok(()), Err),
            }
        ),
        (code, text()).prop_map(|(code, detail)| ToParty::Error { code, detail }),
        (epoch_plan(), vec(epoch_statement(), 0..4))
            .prop_map(|(of, statements)| ToParty::Activate { of, statements }),
        plan().prop_map(|plan| ToParty::Attest { plan }),
        epoch_statement().prop_map(ToParty::Discard),
    ]
}

pub(crate) fn to_coordinator() -> impl Strategy<Value = ToCoordinator> {
    let reason = select(vec![
        DeclineReason::NoShare,
        DeclineReason::AccountExists,
        DeclineReason::NoAux,
        DeclineReason::IntentMismatch,
        DeclineReason::PlanMismatch,
        DeclineReason::Expired,
        DeclineReason::RequestReused,
        DeclineReason::LedgerDamaged,
        DeclineReason::Refused,
        DeclineReason::AuthorizationMissing,
        DeclineReason::AuthorizationInvalid,
        DeclineReason::AuthorizationExpired,
        DeclineReason::UnknownRequester,
        DeclineReason::NotAllowed,
        DeclineReason::LimitReached,
        DeclineReason::OutsideHours,
        DeclineReason::Banned,
        DeclineReason::Quarantined,
        DeclineReason::StaleEpoch,
        DeclineReason::Unsupported,
        DeclineReason::Overloaded,
        DeclineReason::AttemptOver,
        DeclineReason::NotActive,
    ]);
    let objection = select(vec![
        Objection::ForgedJoin,
        Objection::SupersededKey,
        Objection::WrongJoins,
        Objection::Misrouted,
    ]);
    prop_oneof![
        (party(), text(), proptest::option::of(token()), party_signature()).prop_map(
            |(party, label, token, signature)| ToCoordinator::Prove {
                party,
                label,
                token,
                signature,
            }
        ),
        (session(), attempt())
            .prop_map(|(session, attempt)| ToCoordinator::AwaitingApproval { session, attempt }),
        (session(), attempt(), objection).prop_map(|(session, attempt, objection)| {
            ToCoordinator::Objected { session, attempt, objection }
        }),
        head().prop_map(ToCoordinator::AuditHead),
        inquiry().prop_map(ToCoordinator::Inquiry),
        testimony().prop_map(ToCoordinator::Testimony),
        ban().prop_map(ToCoordinator::Ban),
        (session(), attempt(), join()).prop_map(|(session, attempt, join)| ToCoordinator::Join {
            session,
            attempt,
            join,
        }),
        (session(), attempt(), reason).prop_map(|(session, attempt, reason)| {
            ToCoordinator::Decline { session, attempt, reason }
        }),
        envelope().prop_map(ToCoordinator::Round),
        header().prop_map(|header| ToCoordinator::RoundRefused { header }),
        ack().prop_map(ToCoordinator::Ack),
        (session(), attempt(), any::<(u8, u16)>(), parties()).prop_map(
            |(session, attempt, (stage, round), waiting_for)| ToCoordinator::Progress {
                session,
                attempt,
                stage: Stage(stage),
                round: Round(round),
                waiting_for,
            }
        ),
        (session(), attempt(), outcome()).prop_map(|(session, attempt, outcome)| {
            ToCoordinator::Outcome { session, attempt, outcome }
        }),
        intent().prop_map(|intent| ToCoordinator::RequestSession { intent }),
        (epoch_plan(), proptest::option::of(activation_refusal())).prop_map(|(of, refusal)| {
            ToCoordinator::Activated { of, result: refusal.map_or(Ok(()), Err) }
        }),
        epoch_statement().prop_map(ToCoordinator::Statement),
    ]
}

pub(crate) fn uplink() -> impl Strategy<Value = Uplink> {
    prop_oneof![
        (party(), text()).prop_map(|(party, label)| Uplink::Online { party, label }),
        party().prop_map(|party| Uplink::Offline { party }),
        (party(), to_coordinator())
            .prop_map(|(from, message)| Uplink::Message { from, message: Box::new(message) }),
    ]
}

pub(crate) fn downlink() -> impl Strategy<Value = Downlink> {
    prop_oneof![
        (party(), to_party())
            .prop_map(|(to, message)| Downlink::Deliver { to, message: Box::new(message) }),
        party().prop_map(|party| Downlink::Disconnect { party }),
    ]
}
