//! What else a party promises in every step.

use super::cast;
use super::facts::{Consent, Facts};
use super::invariants::{Broken, Checked};
use super::world::{Act, Done, World, session_of};
use mpc_pending::record::StoredProgress;
use mpc_pending::{Effect, Event, PreparedJoin, Record};
use mpc_wire::{Attempt, Objection, SessionId};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Checks all of them, but for [`shows_no_secret`], which is too slow for a search.
pub(crate) fn check(world: &World, done: &Done) -> Checked {
    for act in &done.acts {
        persists_before_it_sends(act)?;
        joins_only_upwards(act)?;
        kills_what_was_running(act)?;
        forgets_nothing_too_early(world, act)?;
    }
    if !done.is_cut {
        kills_what_is_superseded(world)?;
    }
    says_that_a_person_ponders(world, done)?;
    objects_once(world, done)?;
    keeps_no_spent_secret(world)
}

/// Nothing leaves the party whose reason is not in the store at that moment.
///
/// # Errors
/// The breach.
pub fn persists_before_it_sends(act: &Act) -> Checked {
    let stored = act.stored.as_ref();
    let progress = stored.map(|record| &record.progress);
    let is_stored = match &act.effect {
        Effect::SendRequest(intent) => stored.is_some_and(|record| record.intent == **intent),
        Effect::SendJoin { attempt, join, .. } => matches!(progress,
            Some(StoredProgress::Joined { plan, prepared: PreparedJoin { join: stored, .. } }
                | StoredProgress::Launched { plan, join: stored })
                if plan.attempt == *attempt && *stored == **join),
        Effect::Launch(launch) => matches!(progress,
            Some(StoredProgress::Launched { plan, .. }) if *plan == launch.plan),
        // Once the coordinator is done with the session it needs no second report: that the
        // session is over is all that has to be stored.
        Effect::Report { .. } if matches!(progress, Some(StoredProgress::Over)) => true,
        Effect::Report { attempt, outcome, .. } => matches!(progress,
            Some(StoredProgress::Ended { attempt: of, outcome: how })
                if of == attempt && *how == **outcome),
        Effect::Persist(_)
        | Effect::Ask(_)
        | Effect::SendDecline { .. }
        | Effect::SendAwaitingApproval { .. }
        | Effect::Object { .. }
        | Effect::Kill { .. }
        | Effect::Deliver { .. }
        | Effect::Refuse(_)
        | Effect::Over(_)
        | Effect::Forget(_)
        | Effect::Drop { .. } => true,
    };
    Broken::PersistsBeforeItSends.unless(is_stored, session_of(&act.effect), "sent, not stored")
}

/// A party never joins an attempt that is not above its highest, nor joins one attempt twice: the
/// join of an attempt is one and the same for ever.
///
/// # Errors
/// The breach.
pub fn joins_only_upwards(act: &Act) -> Checked {
    let Effect::Persist(record) = &act.effect else { return Ok(()) };
    let Record { progress: StoredProgress::Joined { plan, prepared }, .. } = &**record else {
        return Ok(());
    };
    let is_upwards = act.joined.as_ref().is_none_or(|(highest, join)| {
        plan.attempt > *highest || (plan.attempt == *highest && prepared.join == *join)
    });
    Broken::JoinsOnlyUpwards.unless(is_upwards, plan.session, "joined again, or below the highest")
}

/// Only what runs is killed, and a runner has to be gone before the next is called for.
fn kills_what_was_running(act: &Act) -> Checked {
    let running = act.running.as_ref().map(|running| running.attempt);
    let mut holds = true;
    if let Effect::Kill { attempt, .. } = &act.effect {
        holds = running == Some(*attempt);
    } else if let Effect::Launch(_) = &act.effect {
        holds = running.is_none();
    } else if let Effect::SendJoin { attempt, .. } = &act.effect {
        holds = running.is_none_or(|running| running >= *attempt);
    }
    let session = session_of(&act.effect);
    Broken::KillsWhatIsSuperseded.unless(holds, session, "the wrong runner, or one too many")
}

/// A runner does not outlive its attempt: not an abort, an end, or the join of a newer one.
///
/// # Errors
/// The breach.
pub fn kills_what_is_superseded(world: &World) -> Checked {
    world.ledger.running.iter().try_for_each(|(session, running)| {
        let facts = world.facts.get(session);
        let lives = facts.is_some_and(|facts| facts.is_under_way() && facts.dead < running.attempt);
        Broken::KillsWhatIsSuperseded.unless(lives, *session, "a runner outlives its attempt")
    })
}

/// What is forgotten too early could be begun anew by a late message.
fn forgets_nothing_too_early(world: &World, act: &Act) -> Checked {
    let Effect::Forget(session) = &act.effect else { return Ok(()) };
    let expires = act.stored.as_ref().map(|record| record.intent.expires_at.0);
    let is_past = expires.is_none_or(|expires| expires <= world.wall);
    Broken::ForgetsAfterTheEnd.unless(is_past, *session, "forgotten before it expired")
}

/// The secret of an attempt is gone from the store once that is launched.
///
/// # Errors
/// The breach.
pub fn keeps_no_spent_secret(world: &World) -> Checked {
    world.store.iter().try_for_each(|(session, record)| {
        let is_spent = match &record.progress {
            StoredProgress::Joined { plan, .. } => {
                let launch = (*session, plan.attempt);
                world.ledger.launches.contains_key(&launch)
                    || world.ledger.recorded.contains_key(&launch)
            }
            StoredProgress::Idle
            | StoredProgress::Launched { .. }
            | StoredProgress::Ended { .. }
            | StoredProgress::Over => false,
        };
        Broken::KeepsNoSpentSecret.unless(!is_spent, *session, "a spent secret is stored")
    })
}

/// Whoever waits for a person's answer says so of its newest attempt, and again to a coordinator
/// that may have missed it; else once. Nobody says so without cause.
///
/// # Errors
/// The breach.
pub fn says_that_a_person_ponders(world: &World, done: &Done) -> Checked {
    let must = |holds, session, how| Broken::SaysThatAPersonPonders.unless(holds, session, how);
    let is_reconnected = matches!(done.event, Event::Connected);
    let ponders = |session| {
        let facts = world.facts.get(&session).filter(|facts| facts.is_live());
        let facts = facts.filter(|facts| facts.consent == Consent::Pondered)?;
        facts.newest().map(|(attempt, _)| attempt)
    };
    for act in &done.acts {
        let Effect::SendAwaitingApproval { session, attempt } = act.effect else { continue };
        must(ponders(session) == Some(attempt), session, "nobody ponders it")?;
        let is_news = act.pondered != Some(attempt);
        must(is_news || is_reconnected, session, "said again, and nobody needs to hear it")?;
    }
    if done.is_cut {
        return Ok(());
    }
    for session in world.facts.keys().copied() {
        let Some(newest) = ponders(session) else { continue };
        let is_said = world.ledger.pondered.get(&session) == Some(&newest);
        must(is_said, session, "a person ponders it, and nobody was told")?;
        let is_told = |act: &Act| matches!(act.effect, Effect::SendAwaitingApproval { session: of, .. } if of == session);
        let is_repeated = !is_reconnected || done.acts.iter().any(is_told);
        must(is_repeated, session, "a person ponders it, and that is not told again")?;
    }
    Ok(())
}

/// What somebody on the way forged or mixed up is objected to, once for each attempt and kind, if
/// the party was invited to the attempt. Nothing else is.
///
/// # Errors
/// The breach.
pub fn objects_once(world: &World, done: &Done) -> Checked {
    let must = |holds, session, how| Broken::ObjectsOnce.unless(holds, session, how);
    let objected = &world.ledger.objected;
    for ((session, ..), count) in objected {
        must(*count <= 1, *session, "objected again")?;
    }
    // A start that came before the join it does not fit: no start that fits is kept for long.
    let has_wrong_start = |session: SessionId, facts: &Facts| {
        let (attempt, plan) = facts.newest()?;
        let is_joined = matches!(
            world.store.get(&session).map(|record| &record.progress),
            Some(StoredProgress::Joined { plan: joined, .. }) if joined == plan
        );
        let has_start = facts.starts.get(&attempt).is_some_and(|starts| !starts.is_empty());
        // Behind the deadline nothing is launched, whatever fits.
        let in_time = facts.deadline > world.monotonic;
        (is_joined && has_start && in_time).then_some((session, attempt, Objection::WrongJoins))
    };
    let live = || world.facts.iter().filter(|(_, facts)| facts.is_live());
    let mut due: BTreeSet<_> =
        live().filter_map(|(id, facts)| has_wrong_start(*id, facts)).collect();
    due.extend(done.due.objections.iter().copied());
    // Who declines an attempt, or sees it end, has nothing more to say about it.
    due.retain(|(session, attempt, _)| {
        let facts = world.facts.get(session).filter(|facts| facts.is_live());
        facts.is_some_and(|facts| facts.plans.contains_key(attempt))
    });
    for act in &done.acts {
        let Effect::Object { session, attempt, objection } = act.effect else { continue };
        must(due.contains(&(session, attempt, objection)), session, "objected to nothing")?;
    }
    let is_said = |key: &(SessionId, Attempt, Objection)| done.is_cut || objected.contains_key(key);
    due.iter().try_for_each(|key| must(is_said(key), key.0, "wrong, and nobody was told"))
}

/// No secret is in any text that a log could take up, nor in the stored bytes of an attempt that
/// has launched.
///
/// # Errors
/// The breach.
pub fn shows_no_secret(world: &World, acts: &[Act]) -> Checked {
    let mut text = format!("{acts:?} {:?} {:?}", world.machine, world.store);
    for record in world.store.values() {
        if !matches!(record.progress, StoredProgress::Joined { .. }) {
            // A record that cannot be written shows nothing.
            text.push_str(&serde_json::to_string(&**record).unwrap_or_default());
        }
    }
    let joins = world.ledger.joined.iter();
    joins.into_iter().try_for_each(|(session, (_, join))| {
        let secret = cast::secret(join.plan_hash, join.nonce.as_bytes()[0]);
        no_form_of(&secret, &text, *session)
    })
}

fn no_form_of(secret: &[u8; 32], text: &str, session: SessionId) -> Checked {
    // Eight bytes tell it well enough, in the forms that formatters have.
    let (mut hex, mut decimal, mut dense) = (String::new(), String::new(), String::new());
    for byte in secret.iter().take(8) {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
        let _ = write!(decimal, "{byte}, ");
        let _ = write!(dense, "{byte},");
    }
    let is_shown = [hex.to_uppercase(), hex, decimal, dense].iter().any(|form| text.contains(form));
    Broken::ShowsNoSecret.unless(!is_shown, session, "a secret is shown")
}
