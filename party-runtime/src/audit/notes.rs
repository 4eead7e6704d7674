//! The entries. Every text here is made of ids, hashes and stable codes: never of a payload, a key
//! or a share.

use crate::policy::{PolicyDecision, Verdict};
use mpc_pending::Launch;
use mpc_wire::audit::{Head, Note};
use mpc_wire::{
    AccountId, Attempt, AttemptOutcome, AuxId, DeclineReason, Epoch, EpochPlan, EpochStatement,
    Intent, KeyNumber, Objection, PartyId, SessionId, SignedHead, SignedJoin, UnixMillis,
};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt::Display;

/// Digits of a party's id in a list: twenty parties must fit an entry, and nobody makes a second
/// party with the same sixteen.
const ID_DIGITS: usize = 16;

const COORDINATOR: &str = "coordinator";
const PARTY: &str = "party";

fn note(event: &'static str, actor: impl Display, subject: impl Display) -> Note {
    Note { event, actor: actor.to_string(), subject: subject.to_string(), ..Note::default() }
}

/// The name of a closed list's member, as the wire writes it.
fn code(member: impl Serialize) -> String {
    json!(member).as_str().unwrap_or_default().to_owned()
}

fn short(parties: &BTreeSet<PartyId>) -> Vec<String> {
    let one = |party: &PartyId| {
        let mut digits = party.to_string();
        digits.truncate(ID_DIGITS);
        digits
    };
    parties.iter().map(one).collect()
}

/// The party has started, or its actors were made again.
pub(crate) fn started(policy: impl Display) -> Note {
    let detail = json!({ "version": env!("CARGO_PKG_VERSION") }).to_string();
    Note { policy: policy.to_string(), detail, ..note("party_started", PARTY, PARTY) }
}

/// What the policy, or a person, decided about a session.
pub(crate) fn decided(decision: &PolicyDecision) -> Note {
    let PolicyDecision { session, request, intent, kind, account, requester, policy, verdict } =
        decision;
    let mut detail = json!({ "kind": kind.name(), "request": request, "intent": intent });
    let actor = match (verdict, requester) {
        (Verdict::ApprovedByPerson { uid } | Verdict::RefusedByPerson { uid }, _) => {
            format!("uid:{uid}")
        }
        (_, Some(requester)) => format!("requester:{requester}"),
        (_, None) => COORDINATOR.to_owned(),
    };
    if let Value::Object(fields) = &mut detail {
        if let Some(account) = account {
            fields.insert("account".into(), json!(account));
        }
        if let Some(requester) = requester {
            fields.insert("requester".into(), json!(requester));
        }
        if let Verdict::Declined { detail, .. } = verdict
            && !detail.is_empty()
        {
            fields.insert("rule".into(), json!(detail));
        }
    }
    let decision = match verdict {
        Verdict::Declined { reason, .. } => format!("declined:{}", code(reason)),
        Verdict::Approved
        | Verdict::AsksPerson
        | Verdict::ApprovedByPerson { .. }
        | Verdict::RefusedByPerson { .. } => verdict.name().to_owned(),
    };
    let (policy, detail) = (policy.to_string(), detail.to_string());
    Note { decision, policy, detail, ..note("intent_judged", actor, session) }
}

/// The party's own records could not be read to judge a session.
pub(crate) fn not_judged(session: SessionId, reason: DeclineReason) -> Note {
    Note { decision: code(reason), ..note("intent_not_judged", COORDINATOR, session) }
}

/// A local caller wants a session.
pub(super) fn requested(intent: &Intent) -> Note {
    let detail = json!({ "intent": intent.hash(), "account": intent.kind.account() }).to_string();
    Note { detail, ..note("session_requested", PARTY, intent.session) }
}

/// The party has refused a local caller.
pub(crate) fn not_requested(session: SessionId, reason: DeclineReason) -> Note {
    Note { decision: code(reason), ..note("session_not_requested", PARTY, session) }
}

/// The party joins an attempt.
pub(super) fn joined(session: SessionId, attempt: Attempt, join: &SignedJoin) -> Note {
    let detail = json!({ "attempt": attempt, "plan": join.plan_hash }).to_string();
    Note { detail, ..note("joined", PARTY, session) }
}

/// The party does not join an attempt.
pub(super) fn declined(session: SessionId, attempt: Attempt, reason: DeclineReason) -> Note {
    let detail = json!({ "attempt": attempt }).to_string();
    Note { decision: code(reason), detail, ..note("declined", PARTY, session) }
}

/// Something about an attempt was forged or mixed up on its way.
pub(super) fn objected(session: SessionId, attempt: Attempt, objection: Objection) -> Note {
    let detail = json!({ "attempt": attempt }).to_string();
    Note { decision: code(objection), detail, ..note("objected", PARTY, session) }
}

/// An attempt was launched.
pub(super) fn launched(launch: &Launch) -> Note {
    let plan = &launch.plan;
    let detail = json!({
        "attempt": plan.attempt,
        "plan": plan.hash(),
        "quorum": short(&plan.quorum),
    });
    Note { detail: detail.to_string(), ..note("launched", PARTY, plan.session) }
}

/// How an attempt ended in this party.
pub(super) fn reported(session: SessionId, attempt: Attempt, outcome: &AttemptOutcome) -> Note {
    let mut detail = json!({ "attempt": attempt });
    let decision = match outcome {
        AttemptOutcome::Keygen { .. } => "key_generated",
        AttemptOutcome::Aux { .. } => "aux_generated",
        AttemptOutcome::Signed(_) => "signed",
        AttemptOutcome::Proven { .. } => "proven",
        AttemptOutcome::Failed(failure) => {
            if let Value::Object(fields) = &mut detail {
                fields.insert("kind".into(), json!(failure.kind.name()));
                fields.insert("guilty".into(), json!(short(&failure.guilty)));
            }
            "failed"
        }
    };
    let (decision, detail) = (decision.to_owned(), detail.to_string());
    Note { decision, detail, ..note("outcome_reported", PARTY, session) }
}

/// A share was stored.
pub(crate) fn share_stored(account: AccountId, epoch: Epoch, session: SessionId) -> Note {
    let detail = json!({ "epoch": epoch, "session": session }).to_string();
    Note { detail, ..note("share_stored", PARTY, account) }
}

fn of_epoch(event: &'static str, actor: impl Display, of: EpochPlan) -> Note {
    let detail = json!({ "epoch": of.epoch, "plan": of.plan }).to_string();
    Note { detail, ..note(event, actor, of.account) }
}

/// A share was stored, and waits for its activation.
pub(crate) fn share_prepared(of: EpochPlan, session: SessionId) -> Note {
    let detail = json!({ "epoch": of.epoch, "plan": of.plan, "session": session }).to_string();
    Note { detail, ..note("share_prepared", PARTY, of.account) }
}

/// A share that waits has signed a canary.
pub(crate) fn share_proven(of: EpochPlan) -> Note {
    of_epoch("share_proven", PARTY, of)
}

/// The party will never store a share of this attempt.
pub(crate) fn share_refused(of: EpochPlan) -> Note {
    of_epoch("share_refused", PARTY, of)
}

/// A share that waited was erased, since a holder has refused its own.
pub(crate) fn share_discarded(refused: &EpochStatement) -> Note {
    of_epoch("share_discarded", format!("party:{}", refused.by), refused.of)
}

/// A share that waited is active now. `older` is the epoch that it replaces.
pub(crate) fn share_activated(of: EpochPlan, older: Option<Epoch>) -> Note {
    let detail = json!({ "epoch": of.epoch, "plan": of.plan, "erased": older }).to_string();
    Note { detail, ..note("share_activated", COORDINATOR, of.account) }
}

/// A part of an aux set was stored.
pub(crate) fn aux_stored(aux: AuxId) -> Note {
    note("aux_stored", PARTY, aux)
}

/// The party's identity has another key.
pub(crate) fn identity_stored(party: PartyId, number: KeyNumber) -> Note {
    let detail = json!({ "key_number": number }).to_string();
    Note { detail, ..note("identity_rotated", PARTY, party) }
}

/// The vault is sealed with another master key.
pub(crate) fn master_key_rotated(key: impl Display) -> Note {
    note("master_key_rotated", PARTY, key)
}

/// The party was made from a backup.
pub(crate) fn restored(mode: impl Serialize, made_at: UnixMillis) -> Note {
    let detail = json!({ "made_at": made_at }).to_string();
    Note { decision: code(mode), detail, ..note("restored", PARTY, PARTY) }
}

/// A backup was made.
pub(crate) fn backed_up(records: usize) -> Note {
    let detail = json!({ "records": records }).to_string();
    Note { detail, ..note("backed_up", PARTY, PARTY) }
}

/// Enough holders have confirmed a restored share.
pub(crate) fn account_released(account: AccountId) -> Note {
    note("account_released", PARTY, account)
}

/// A restored share is older than its account.
pub(crate) fn share_stale(account: AccountId, newest: Epoch, witness: PartyId) -> Note {
    let detail = json!({ "newest": newest }).to_string();
    Note { detail, ..note("share_stale", format!("party:{witness}"), account) }
}

/// A peer has kept a ban that the backup did not know.
pub(crate) fn ban_recovered(banned: PartyId, witness: PartyId) -> Note {
    note("ban_recovered", format!("party:{witness}"), banned)
}

/// Somebody has given a command over the control socket.
pub(crate) fn commanded(command: &'static str, uid: u32, subject: impl Display) -> Note {
    Note { decision: command.to_owned(), ..note("commanded", format!("uid:{uid}"), subject) }
}

/// The coordinator has shown a head that cannot follow one that it showed before, or is another
/// keeper's.
pub(super) fn head_contradicts(head: &SignedHead) -> Note {
    let detail = json!({ "count": head.head.count, "hash": head.head.hash }).to_string();
    Note { detail, ..note("audit_head_contradicts", COORDINATOR, head.keeper) }
}

/// The log was not what its sealed head says.
pub(crate) fn log_in_doubt(sealed: &Head, fault: &'static str) -> Note {
    let detail = json!({ "count": sealed.count, "hash": sealed.hash }).to_string();
    Note { decision: fault.to_owned(), detail, ..note("audit_log_in_doubt", PARTY, PARTY) }
}
