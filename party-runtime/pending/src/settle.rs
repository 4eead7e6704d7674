//! What the facts about a session call for.
//!
//! This is the heart of the machine. It reads facts, never the order in which they came.

use crate::effect::{Effect, Launch};
use crate::entry::{Consent, Entry, Joining, Life};
use crate::event::Now;
use crate::join::Joiner;
use mpc_wire::{Attempt, DeclineScope, Objection, SessionId};

/// Does what the facts call for and has not been done: asks, joins, launches, delivers.
pub(crate) fn settle(
    session: SessionId,
    entry: &mut Entry,
    now: Now,
    joiner: &mut dyn Joiner,
    effects: &mut Vec<Effect>,
) {
    let Some(newest) = entry.newest_invited() else { return };
    match entry.life {
        Life::Live => {}
        Life::Finishing => {
            deliver(session, entry, newest, effects);
            return;
        }
        Life::Orphan { .. } | Life::Over { .. } => return,
    }
    match &mut entry.consent {
        Consent::Unasked => {
            entry.consent = Consent::Asked;
            if let Some(purpose) = &entry.purpose {
                effects.push(Effect::Ask(Box::new(purpose.intent.clone())));
            }
        }
        Consent::Asked => {}
        Consent::Pondered { told } => {
            if *told < newest {
                *told = newest;
                effects.push(Effect::SendAwaitingApproval { session, attempt: newest });
            }
        }
        Consent::Refused(reason) => {
            let reason = *reason;
            if reason.scope() == DeclineScope::Attempt {
                // The next invitation asks again.
                entry.consent = Consent::Unasked;
            }
            entry.kill_up_to(newest);
            effects.push(Effect::SendDecline { session, attempt: newest, reason });
        }
        Consent::Given(_) => {
            // Behind the deadline nothing begins any more, even if the tick that ends the session
            // is still to come.
            if !entry.is_expired(now) {
                join(session, entry, newest, joiner, effects);
                launch(session, entry, newest, effects);
            }
            deliver(session, entry, newest, effects);
        }
    }
    object(session, entry, newest, effects);
}

/// Joins the newest attempt; every older one dies by that.
fn join(
    session: SessionId,
    entry: &mut Entry,
    newest: Attempt,
    joiner: &mut dyn Joiner,
    effects: &mut Vec<Effect>,
) {
    if let Some(facts) = entry.attempts.get_mut(&newest)
        && facts.joining == Joining::Not
        && let Some((plan, _)) = &facts.plan
    {
        let prepared = joiner.join(plan);
        let join = Box::new(prepared.join.clone());
        facts.joining = Joining::Joined(prepared);
        if let Some(attempt) = entry.kill_up_to(Attempt(newest.0.saturating_sub(1))) {
            effects.push(Effect::Kill { session, attempt });
        }
        if let Some((attempt, outcome)) = entry.outcome.take() {
            // The coordinator goes on without having seen it: one more chance, then it is history.
            effects.push(Effect::Report { session, attempt, outcome: Box::new(outcome) });
        }
        // The join is durable before it leaves: after a restart the party sends the same one.
        persist(entry, effects);
        effects.push(Effect::SendJoin { session, attempt: newest, join });
    }
}

/// Launches the joined attempt once its start is known.
fn launch(session: SessionId, entry: &mut Entry, newest: Attempt, effects: &mut Vec<Effect>) {
    let Some(facts) = entry.attempts.get_mut(&newest) else { return };
    let Some(joins) = facts.matching_start() else {
        // What was kept before the party had joined shows now that it is no start of what it has.
        if !facts.starts.is_empty() {
            facts.objectionable.insert(Objection::WrongJoins);
        }
        return;
    };
    let (Some(purpose), Some((plan, _))) = (&entry.purpose, &facts.plan) else { return };
    let intent = purpose.intent.clone();
    let plan = plan.clone();
    let Joining::Joined(prepared) = std::mem::take(&mut facts.joining) else { return };
    facts.joining = Joining::Launched(prepared.join);
    facts.starts.clear();
    debug_assert_eq!(session, plan.session);
    // "Launched" is durable, and the secret gone from the store, before the runner is started: a
    // crash in between costs an attempt, never a second launch.
    persist(entry, effects);
    let secret = prepared.secret;
    effects.push(Effect::Launch(Box::new(Launch { intent, plan, joins, secret })));
}

/// Hands the launched attempt the round messages that are next in order.
fn deliver(session: SessionId, entry: &mut Entry, attempt: Attempt, effects: &mut Vec<Effect>) {
    let Some(facts) = entry.attempts.get_mut(&attempt) else { return };
    let Joining::Launched(_) = &facts.joining else { return };
    let messages = facts.inbox.drain_ready();
    if !messages.is_empty() {
        effects.push(Effect::Deliver { session, attempt, messages });
    }
}

/// Says what is wrong with what came for the attempt, and has not been said.
fn object(session: SessionId, entry: &mut Entry, attempt: Attempt, effects: &mut Vec<Effect>) {
    let Some(facts) = entry.attempts.get_mut(&attempt) else { return };
    for objection in &facts.objectionable {
        if facts.objected.insert(*objection) {
            let objection = *objection;
            effects.push(Effect::Object { session, attempt, objection });
        }
    }
}

/// Stores the session if there is something to store.
pub(crate) fn persist(entry: &Entry, effects: &mut Vec<Effect>) {
    if entry.is_stored()
        && let Some(record) = entry.record()
    {
        effects.push(Effect::Persist(Box::new(record)));
    }
}
