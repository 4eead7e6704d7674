//! What the API shows: the only place where its JSON is spelled out.

use super::time::rfc3339;
use crate::api_key::{Key, KeyId, Scopes};
use crate::decode::is_valid;
use crate::enrolment::{Ticket, TokenId};
use crate::failure::Failure;
use crate::names::{AccountState, AuxState, PartyState, Purpose, Role};
use crate::session_actor::Standing;
use crate::store::StoreError;
use crate::store::account::{Account, Timings};
use crate::store::api_key::StoredKey;
use crate::store::aux_set::AuxSet;
use crate::store::party::Party;
use crate::store::session::StoredSession;
use mpc_engine::encode::{compact, der, ethereum};
use mpc_session::{
    PastAttempt, Phase, RaisedObjection, Record, SessionEnd, SessionProduct, Status,
};
use mpc_wire::{
    AccountId, Attempt, AuxId, DeclineReason, Epoch, Intent, IntentKind, KeyNumber, Objection,
    PartyId, PublicKey, RequestId, RequesterName, Round, Scheme, SessionId, Signature, Stage,
    Threshold, UnixMillis,
};
use serde::{Serialize, Serializer};
use std::collections::{BTreeMap, BTreeSet};
use zeroize::Zeroizing;

/// An account.
#[derive(Debug, Serialize)]
pub(crate) struct AccountView {
    account_id: AccountId,
    user_id: String,
    scheme: Scheme,
    threshold: Threshold,
    parties: Vec<HolderView>,
    epoch: Epoch,
    state: AccountState,
    #[serde(skip_serializing_if = "Option::is_none")]
    public_key: Option<PublicKey>,
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<Failure>,
    sessions: AccountSessionsView,
    #[serde(skip_serializing_if = "Option::is_none")]
    timings_ms: Option<TimingsView>,
}

#[derive(Debug, Serialize)]
struct HolderView {
    party_id: PartyId,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
}

#[derive(Debug, Serialize)]
struct AccountSessionsView {
    keygen: SessionId,
    canaries: Vec<SessionId>,
}

#[derive(Debug, Serialize)]
struct TimingsView {
    #[serde(skip_serializing_if = "Option::is_none")]
    keygen: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aux_wait: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    canary: Option<u64>,
}

impl AccountView {
    pub(crate) fn new(
        account: Account,
        canaries: Vec<SessionId>,
        labels: &BTreeMap<PartyId, String>,
    ) -> Self {
        let parties = account.holders.iter().map(|party| HolderView {
            party_id: *party,
            label: labels.get(party).filter(|label| !label.is_empty()).cloned(),
        });
        let Timings { keygen, aux_wait, canary } = account.timings;
        Self {
            account_id: account.id,
            user_id: account.user_id,
            scheme: account.scheme,
            threshold: account.threshold,
            parties: parties.collect(),
            epoch: account.epoch,
            state: account.state,
            public_key: account.public_key,
            created_at: rfc3339(account.created_at),
            failure: account.failure,
            sessions: AccountSessionsView { keygen: account.keygen, canaries },
            timings_ms: keygen.is_some().then_some(TimingsView { keygen, aux_wait, canary }),
        }
    }
}

/// A session.
#[derive(Debug, Serialize)]
pub(crate) struct SessionView {
    session_id: SessionId,
    kind: Purpose,
    #[serde(skip_serializing_if = "Option::is_none")]
    account_id: Option<AccountId>,
    request_id: RequestId,
    #[serde(skip_serializing_if = "Option::is_none")]
    authorization: Option<AuthorizationView>,
    state: &'static str,
    attempt: Attempt,
    quorum: BTreeSet<PartyId>,
    waiting_for: BTreeSet<PartyId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<PositionView>,
    created_at: String,
    deadline: String,
    past_attempts: Vec<PastAttemptView>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    declines: Vec<DeclineView>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    objections: Vec<ObjectionView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<Failure>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<SignatureView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    public_key: Option<PublicKey>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signers: Option<BTreeSet<PartyId>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aux_id: Option<AuxId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ms: Option<u64>,
}

#[derive(Debug, Serialize)]
struct PositionView {
    stage: Stage,
    round: Round,
}

#[derive(Debug, Serialize)]
struct PastAttemptView {
    attempt: Attempt,
    quorum: BTreeSet<PartyId>,
    reason: &'static str,
    parties: BTreeSet<PartyId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reported_by: Option<PartyId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    declined: Option<DeclineReason>,
    detail: String,
}

/// Who has signed a request, as it says: the parties judge whether that is so.
#[derive(Debug, Serialize)]
struct AuthorizationView {
    requester: RequesterName,
    expires_at: String,
}

/// A party that does not take part.
#[derive(Debug, Serialize)]
pub(crate) struct DeclineView {
    party_id: PartyId,
    reason: DeclineReason,
    detail: String,
}

impl DeclineView {
    /// Every party that does not take part in a session.
    pub(crate) fn all(record: &Record) -> Vec<Self> {
        let view = |(party, reason): (&PartyId, &DeclineReason)| Self {
            party_id: *party,
            reason: *reason,
            detail: reason.to_string(),
        };
        record.declined().iter().map(view).collect()
    }
}

/// What a party refused because somebody on the way forged or mixed it up. Nobody is blamed by it.
#[derive(Debug, Serialize)]
struct ObjectionView {
    attempt: Attempt,
    party_id: PartyId,
    objection: Objection,
    detail: String,
}

impl ObjectionView {
    fn new(raised: &RaisedObjection) -> Self {
        let RaisedObjection { attempt, by, objection } = *raised;
        Self { attempt, party_id: by, objection, detail: objection.to_string() }
    }
}

impl SessionView {
    /// A running session, as its actor sees it.
    pub(crate) fn of_running(Standing { stored, status }: &Standing) -> Result<Self, StoreError> {
        let Status { phase, quorum, waiting_for, position, .. } = status;
        let state = match phase {
            Phase::WaitingForParties => "waiting_for_parties",
            Phase::Joining => "joining",
            Phase::WaitingForApproval => "waiting_for_approval",
            Phase::Running => "running",
            // Its last record is on its way to the disk: until then it counts as running.
            Phase::Ended => "running",
        };
        let view = Self::of_stored(stored)?;
        Ok(Self {
            state,
            quorum: quorum.clone(),
            waiting_for: waiting_for.clone(),
            position: position.map(|(stage, round)| PositionView { stage, round }),
            ..view
        })
    }

    /// A session as it is stored. One that has not ended then waits to be taken up again.
    pub(crate) fn of_stored(stored: &StoredSession) -> Result<Self, StoreError> {
        let record = &stored.record;
        let intent = &record.intent;
        let failure = Failure::of_record(record);
        let waiting_for = match &record.end {
            Some(SessionEnd::Expired { waiting_for }) => waiting_for.clone(),
            Some(SessionEnd::Completed(_) | SessionEnd::Failed(_) | SessionEnd::Cancelled)
            | None => BTreeSet::new(),
        };
        let state =
            if record.end.is_some() { stored.state().name() } else { "waiting_for_parties" };
        let mut view = Self {
            session_id: intent.session,
            kind: stored.purpose(),
            account_id: intent.kind.account(),
            request_id: intent.request,
            authorization: None,
            state,
            attempt: record.attempt,
            quorum: BTreeSet::new(),
            waiting_for,
            position: None,
            created_at: rfc3339(stored.created_at),
            deadline: rfc3339(intent.expires_at),
            past_attempts: record.past.iter().map(PastAttemptView::new).collect(),
            declines: DeclineView::all(record),
            objections: record.objections.iter().map(ObjectionView::new).collect(),
            failure,
            signature: None,
            public_key: None,
            signers: None,
            aux_id: record.aux_id,
            message: None,
            duration_ms: stored.duration_ms(),
        };
        if let IntentKind::Sign { account, epoch, public_key, payload, authorization, .. } =
            &intent.kind
        {
            view.authorization = authorization.as_ref().map(|given| AuthorizationView {
                requester: given.requester.clone(),
                expires_at: rfc3339(given.expires_at),
            });
            view.message = Some(hex::encode(payload.message(*account, *epoch, public_key)));
            view.public_key = Some(public_key.clone());
        }
        match &record.end {
            Some(SessionEnd::Completed(SessionProduct::Signature { signature, signers })) => {
                view.signature = Some(SignatureView::of(intent, signature)?);
                view.signers = Some(signers.clone());
                view.quorum.clone_from(signers);
            }
            Some(SessionEnd::Completed(SessionProduct::Canary { signature, proven })) => {
                let signers: BTreeSet<_> = proven.keys().copied().collect();
                view.signature = Some(SignatureView::of(intent, signature)?);
                view.quorum.clone_from(&signers);
                view.signers = Some(signers);
            }
            Some(SessionEnd::Completed(SessionProduct::Key { public_key, .. })) => {
                view.public_key = Some(public_key.clone());
            }
            Some(SessionEnd::Completed(SessionProduct::Aux { aux_id })) => {
                view.aux_id = Some(*aux_id);
            }
            Some(SessionEnd::Failed(_) | SessionEnd::Cancelled | SessionEnd::Expired { .. })
            | None => {}
        }
        Ok(view)
    }
}

impl PastAttemptView {
    fn new(past: &PastAttempt) -> Self {
        Self {
            attempt: past.attempt,
            quorum: past.quorum.clone(),
            reason: past.kind.name(),
            parties: past.parties.clone(),
            reported_by: past.reported_by,
            declined: past.declined,
            detail: past.detail.clone(),
        }
    }
}

/// A signature in the encodings that the world takes: `r` and `s` one behind the other, and for ECDSA
/// what its users take besides.
#[derive(Debug, Serialize)]
struct SignatureView {
    r: String,
    s: String,
    compact: String,
    #[serde(flatten)]
    ecdsa: Option<EcdsaView>,
}

#[derive(Debug, Serialize)]
struct EcdsaView {
    recovery_id: u8,
    der: String,
    ethereum: String,
}

impl SignatureView {
    /// The signature of an intent's session. It was verified before it was stored, and is once more
    /// before it leaves: what lies in a database may have been altered there.
    fn of(intent: &Intent, signature: &Signature) -> Result<Self, StoreError> {
        let corrupt = |detail| StoreError::Corrupt { what: "signature", detail };
        if !is_valid(intent, signature) {
            return Err(corrupt(format!("session {} has not made it", intent.session)));
        }
        let (compact, ecdsa) = match signature {
            Signature::Eddsa(bytes) | Signature::Schnorr(bytes) => (*bytes, None),
            Signature::Ecdsa(signature) => {
                let der = der(signature).map_err(|error| corrupt(error.to_string()))?;
                let view = EcdsaView {
                    recovery_id: signature.recovery_id,
                    der: hex::encode(der),
                    ethereum: hex::encode(ethereum(signature)),
                };
                (compact(signature), Some(view))
            }
        };
        let (r, s) = compact.split_at(32);
        Ok(Self { r: hex::encode(r), s: hex::encode(s), compact: hex::encode(compact), ecdsa })
    }
}

/// A party.
#[derive(Debug, Serialize)]
pub(crate) struct PartyView {
    party_id: PartyId,
    label: String,
    role: Role,
    state: PartyState,
    online: bool,
    /// How often its key was rotated.
    key_number: KeyNumber,
    registered_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_at: Option<String>,
}

impl PartyView {
    pub(crate) fn new(party: Party, online: bool) -> Self {
        Self {
            party_id: party.id,
            state: party.state(),
            label: party.label,
            role: party.role,
            online,
            key_number: party.key.number,
            registered_at: rfc3339(party.registered_at),
            revoked_at: party.revoked_at.map(rfc3339),
        }
    }
}

/// An aux set.
#[derive(Debug, Serialize)]
pub(crate) struct AuxSetView {
    #[serde(skip_serializing_if = "Option::is_none")]
    aux_id: Option<AuxId>,
    scheme: Scheme,
    parties: BTreeSet<PartyId>,
    state: AuxState,
    session_id: SessionId,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ms: Option<u64>,
}

impl AuxSetView {
    pub(crate) fn new(set: AuxSet) -> Self {
        Self {
            state: set.state(),
            aux_id: set.aux_id,
            scheme: set.scheme,
            parties: set.parties,
            session_id: set.session,
            duration_ms: set.duration_ms,
        }
    }
}

/// An API key, without its text unless it has just been made.
#[derive(Serialize)]
pub(crate) struct ApiKeyView {
    id: KeyId,
    name: String,
    scopes: Scopes,
    state: &'static str,
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<KeyText>,
}

/// The text of a new key or token. It is never formatted, only told in this one answer.
struct KeyText(Zeroizing<String>);

impl Serialize for KeyText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl ApiKeyView {
    pub(crate) fn new(key: StoredKey, now: UnixMillis) -> Self {
        let state = match key.revoked_at {
            Some(_) => "revoked",
            None if key.is_valid(now) => "active",
            None => "expired",
        };
        Self {
            id: key.id,
            name: key.name,
            scopes: key.scopes,
            state,
            created_at: rfc3339(key.created_at),
            expires_at: key.expires_at.map(rfc3339),
            revoked_at: key.revoked_at.map(rfc3339),
            key: None,
        }
    }

    pub(crate) fn of_new(stored: StoredKey, key: &Key, now: UnixMillis) -> Self {
        Self { key: Some(KeyText(key.text())), ..Self::new(stored, now) }
    }
}

/// An enrolment token that has just been made.
#[derive(Serialize)]
pub(crate) struct EnrolmentTokenView {
    token: KeyText,
    token_id: TokenId,
    role: Role,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    expires_at: String,
}

impl EnrolmentTokenView {
    pub(crate) fn new(ticket: Ticket, token: Zeroizing<String>) -> Self {
        Self {
            token: KeyText(token),
            token_id: ticket.id,
            role: ticket.role,
            label: ticket.label,
            expires_at: rfc3339(ticket.expires_at),
        }
    }
}
