//! What else a party promises in every step.

use super::cast;
use super::invariants::{Broken, Checked};
use super::world::{Act, Done, World, session_of};
use mpc_pending::record::StoredProgress;
use mpc_pending::{Effect, Record};
use mpc_wire::SessionId;
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
            Some(StoredProgress::Joined { plan, prepared })
                if plan.attempt == *attempt && prepared.join == **join),
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
