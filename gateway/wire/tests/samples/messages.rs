//! One message a variant, with fixed ids.

use mpc_wire::audit::Head;
use mpc_wire::handshake::Challenge;
use mpc_wire::limits::VERSION;
use mpc_wire::{
    AbortReason, AccountId, ActivationRefusal, Attempt, AttemptFailure, AttemptOutcome,
    AttemptPlan, Authorization, AuxId, DeclineReason, DerivationPath, Downlink, EcdsaSignature,
    EnrolmentToken, EntryHash, Epoch, EpochKey, EpochPlan, EpochStatement, ErrorCode, FailureKind,
    HashFunction, Inquiry, Intent, IntentHash, IntentKind, Nonce, Objection, PartyId,
    PartySignature, Payload, PlanHash, PublicKey, RequestId, Round, RoundAck, RoundEnvelope,
    RoundHeader, Scheme, Seq, SessionId, SessionRefusal, SharesHash, Signature, SignedBan,
    SignedHead, SignedJoin, Stage, Testimony, Threshold, ToCoordinator, ToParty, UnixMillis,
    Uplink, Verdict,
};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

const SCHEME: Scheme = Scheme::EcdsaCggmp24;

pub(crate) fn uuid(last: u8) -> Uuid {
    Uuid::from_u128(0x0189_0a5d_ac96_7b3c_8f1e_0000_0000_0000 | u128::from(last))
}

pub(crate) fn session() -> SessionId {
    SessionId::new(uuid(1))
}

pub(crate) fn account() -> AccountId {
    AccountId::new(uuid(2))
}

pub(crate) fn party(byte: u8) -> PartyId {
    PartyId::new([byte; 32])
}

pub(crate) fn key() -> PublicKey {
    PublicKey::new([2; 33])
}

fn parties() -> BTreeSet<PartyId> {
    BTreeSet::from([party(0xa1), party(0xa2)])
}

fn intent(kind: IntentKind) -> Intent {
    Intent {
        session: session(),
        request: RequestId::new(uuid(3)),
        eligible: parties(),
        expires_at: UnixMillis(1_900_000_000_123),
        kind,
    }
}

fn sign(payload: Payload) -> IntentKind {
    IntentKind::Sign {
        account: account(),
        epoch: Epoch(7),
        scheme: SCHEME,
        threshold: Threshold(2),
        public_key: key(),
        path: DerivationPath::default(),
        payload,
        authorization: None,
    }
}

/// Signing as a requester asks for it, below the account's key.
fn sign_authorized() -> IntentKind {
    let mut kind = sign(Payload::Digest([0xd1; 32]));
    if let IntentKind::Sign { path, authorization, .. } = &mut kind {
        *path = DerivationPath::try_from(vec![0, 7]).unwrap();
        *authorization = Some(Authorization {
            requester: "billing".parse().unwrap(),
            expires_at: UnixMillis(1_900_000_000_000),
            signature: [0xd2; 64],
        });
    }
    kind
}

fn kinds() -> Vec<IntentKind> {
    let (account, epoch, scheme, threshold) = (account(), Epoch(7), SCHEME, Threshold(2));
    vec![
        IntentKind::Keygen { account, scheme, threshold },
        IntentKind::Aux { scheme },
        sign(Payload::Digest([0xd1; 32])),
        sign(Payload::Bytes { bytes: b"message".to_vec(), hash: HashFunction::Keccak256 }),
        sign(canary()),
        sign(Payload::Message(b"message".to_vec())),
        sign_authorized(),
        IntentKind::Refresh {
            account,
            epoch,
            scheme,
            threshold,
            aux_id: Some(AuxId::new([0xb1; 32])),
        },
        IntentKind::Reshare {
            account,
            epoch,
            scheme,
            old_threshold: threshold,
            new_threshold: Threshold(3),
            new_holders: BTreeSet::from([party(0xa1), party(0xa3), party(0xa4)]),
        },
        IntentKind::Replace { account, epoch, scheme, threshold, lost: party(0xa2) },
    ]
}

fn plan() -> AttemptPlan {
    AttemptPlan {
        session: session(),
        intent_hash: IntentHash::new([0xc1; 32]),
        attempt: Attempt::FIRST,
        quorum: parties(),
        aux_id: None,
    }
}

fn join() -> SignedJoin {
    SignedJoin {
        member: party(0xa1),
        plan_hash: PlanHash::new([0xc2; 32]),
        nonce: Nonce::new([0xc3; 32]),
        hpke_key: [0xc4; 32],
        signature: signature(),
    }
}

fn signature() -> PartySignature {
    PartySignature::from([0xc5; 64])
}

/// A signature by a key that took the place of another.
fn rotated_signature() -> PartySignature {
    PartySignature::from_bytes(
        &[[0xc7; 32], [0xc8; 32], [0xc8; 32], [0xc5; 32], [0xc5; 32]].concat(),
    )
    .unwrap()
}

fn audit_head() -> SignedHead {
    let head = Head { count: 9, hash: EntryHash::new([0xe2; 32]) };
    SignedHead { keeper: party(0xa1), head, signature: signature() }
}

fn inquiry() -> Inquiry {
    let accounts = BTreeSet::from([account()]);
    Inquiry { by: party(0xa1), nonce: Nonce::new([0xc3; 32]), accounts, signature: signature() }
}

fn ban() -> SignedBan {
    SignedBan { by: party(0xa1), banned: party(0xa3), signature: rotated_signature() }
}

fn testimony() -> Testimony {
    Testimony {
        by: party(0xa2),
        to: party(0xa1),
        nonce: Nonce::new([0xc3; 32]),
        floors: BTreeMap::from([(account(), Epoch(7))]),
        bans: vec![ban()],
        signature: signature(),
    }
}

fn canary() -> Payload {
    Payload::Canary { plan: PlanHash::new([0xc2; 32]) }
}

fn epoch_plan() -> EpochPlan {
    EpochPlan { account: account(), epoch: Epoch(7), plan: PlanHash::new([0xc2; 32]) }
}

fn said(verdict: Verdict) -> EpochStatement {
    EpochStatement { by: party(0xa1), of: epoch_plan(), verdict, signature: signature() }
}

fn epoch_key() -> EpochKey {
    EpochKey { public_key: key(), shares: SharesHash::new([0xc6; 32]) }
}

fn header() -> RoundHeader {
    RoundHeader {
        session: session(),
        attempt: Attempt::FIRST,
        from: party(0xa1),
        to: party(0xa2),
        stage: Stage(1),
        round: Round(2),
        seq: Seq(3),
    }
}

fn ack() -> RoundAck {
    RoundAck {
        session: session(),
        attempt: Attempt::FIRST,
        from: party(0xa2),
        to: party(0xa1),
        next: Seq(4),
    }
}

fn envelope() -> RoundEnvelope {
    RoundEnvelope { header: header(), sealed: vec![0xe1; 5] }
}

pub(crate) fn to_party() -> Vec<ToParty> {
    let (session, request) = (session(), RequestId::new(uuid(3)));
    let mut samples = vec![
        ToParty::Challenge(Challenge {
            version: VERSION,
            server: "gateway".to_owned(),
            nonce: Nonce::new([0xc3; 32]),
        }),
        ToParty::Welcome { party: party(0xa1), heartbeat_ms: 5000 },
        ToParty::Started { session, attempt: Attempt::FIRST, joins: vec![join()] },
        ToParty::Round(envelope()),
        ToParty::Ack(ack()),
        ToParty::Abort { session, attempt: Attempt::FIRST, reason: AbortReason::Superseded },
        ToParty::Finished { session },
        ToParty::AuditHead(audit_head()),
        ToParty::Inquiry(inquiry()),
        ToParty::Testimony(testimony()),
        ToParty::Ban(ban()),
        ToParty::SessionRequested { session, request, result: Ok(()) },
        ToParty::SessionRequested {
            session,
            request,
            result: Err(SessionRefusal::NotEnoughParties),
        },
        ToParty::Error { code: ErrorCode::GoingAway, detail: "reconnect".to_owned() },
        ToParty::Activate {
            of: epoch_plan(),
            statements: vec![
                said(Verdict::Stored(epoch_key())),
                said(Verdict::Proven(epoch_key())),
            ],
        },
        ToParty::Attest { plan: plan() },
        ToParty::Discard(said(Verdict::Refused)),
    ];
    samples.extend(
        kinds().into_iter().map(|kind| ToParty::Invite { intent: intent(kind), plan: plan() }),
    );
    samples.push(ToParty::Invite {
        intent: intent(sign(canary())),
        plan: AttemptPlan { aux_id: Some(AuxId::new([0xb1; 32])), ..plan() },
    });
    samples
}

fn outcomes() -> [AttemptOutcome; 5] {
    [
        AttemptOutcome::Keygen {
            public_key: key(),
            epoch: Epoch(0),
            public_shares: BTreeMap::from([(party(0xa1), PublicKey::new([3; 33]))]),
            stored: said(Verdict::Stored(epoch_key())),
        },
        AttemptOutcome::Aux { aux_id: AuxId::new([0xb1; 32]) },
        AttemptOutcome::Signed(Signature::Ecdsa(EcdsaSignature {
            r: [0xf1; 32],
            s: [0xf2; 32],
            recovery_id: 1,
        })),
        AttemptOutcome::Failed(AttemptFailure {
            kind: FailureKind::PeerMissing,
            guilty: BTreeSet::from([party(0xa2)]),
            detail: "no message of round 2".to_owned(),
        }),
        AttemptOutcome::Proven {
            signature: Signature::Ecdsa(EcdsaSignature {
                r: [0xf1; 32],
                s: [0xf2; 32],
                recovery_id: 1,
            }),
            proven: said(Verdict::Proven(epoch_key())),
        },
    ]
}

pub(crate) fn to_coordinator() -> Vec<ToCoordinator> {
    let (session, attempt) = (session(), Attempt::FIRST);
    let mut samples = vec![
        ToCoordinator::Prove {
            party: party(0xa1),
            label: "phone".to_owned(),
            token: None,
            signature: rotated_signature(),
        },
        ToCoordinator::Prove {
            party: party(0xa1),
            label: "phone".to_owned(),
            token: Some(EnrolmentToken::try_from("token".to_owned()).unwrap()),
            signature: signature(),
        },
        ToCoordinator::Join { session, attempt, join: join() },
        ToCoordinator::Decline { session, attempt, reason: DeclineReason::Refused },
        ToCoordinator::AwaitingApproval { session, attempt },
        ToCoordinator::Objected { session, attempt, objection: Objection::ForgedJoin },
        ToCoordinator::AuditHead(audit_head()),
        ToCoordinator::Inquiry(inquiry()),
        ToCoordinator::Testimony(testimony()),
        ToCoordinator::Ban(ban()),
        ToCoordinator::Round(envelope()),
        ToCoordinator::RoundRefused { header: header() },
        ToCoordinator::Ack(ack()),
        ToCoordinator::Progress {
            session,
            attempt,
            stage: Stage(1),
            round: Round(2),
            waiting_for: BTreeSet::from([party(0xa2)]),
        },
        ToCoordinator::Activated { of: epoch_plan(), result: Ok(()) },
        ToCoordinator::Activated { of: epoch_plan(), result: Err(ActivationRefusal::Incomplete) },
        ToCoordinator::Statement(said(Verdict::Refused)),
        ToCoordinator::RequestSession { intent: intent(sign(Payload::Digest([0xd1; 32]))) },
    ];
    samples.extend(outcomes().map(|outcome| ToCoordinator::Outcome { session, attempt, outcome }));
    samples
}

pub(crate) fn uplink() -> Vec<Uplink> {
    vec![
        Uplink::Online { party: party(0xa1), label: "phone".to_owned() },
        Uplink::Offline { party: party(0xa1) },
        Uplink::Message {
            from: party(0xa1),
            message: Box::new(ToCoordinator::RoundRefused { header: header() }),
        },
    ]
}

pub(crate) fn downlink() -> Vec<Downlink> {
    vec![
        Downlink::Deliver {
            to: party(0xa1),
            message: Box::new(ToParty::Finished { session: session() }),
        },
        Downlink::Disconnect { party: party(0xa1) },
    ]
}
