//! The six invariants of the race, each a function that runs after every step of every test.

use super::cast::Member;
use super::facts::{Consent, Facts, Fate, is_start_of};
use super::promises;
use super::world::{Act, Done, World, session_of};
use mpc_pending::limits::{GRACE, MAX_HELD_BYTES, MAX_HELD_BYTES_IN_ALL};
use mpc_pending::record::{StoredConsent, StoredProgress};
use mpc_pending::{DropCause, Effect, Event, Launch, Now, Pending, Record};
use mpc_wire::{
    Attempt, AttemptOutcome, FailureKind, PartyId, RoundEnvelope, SessionId, UnixMillis,
    VerifiedJoin,
};

/// Something that must never be.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Breach {
    /// What does not hold.
    pub broken: Broken,
    /// How.
    pub how: &'static str,
    /// Where.
    pub session: Option<SessionId>,
}

/// What may be found not to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Broken {
    /// Invariant 1, [`launches_once`].
    LaunchesOnce,
    /// Invariant 2, [`launches_when_due`].
    LaunchesWhenDue,
    /// Invariant 3, [`launches_only_when_due`].
    LaunchesOnlyWhenDue,
    /// Invariant 4, [`loses_no_message`].
    LosesNoMessage,
    /// Invariant 5, [`answers_after_a_restart`].
    AnswersAfterARestart,
    /// Invariant 6, [`forgets_after_the_end`].
    ForgetsAfterTheEnd,
    /// [`promises::persists_before_it_sends`].
    PersistsBeforeItSends,
    /// [`promises::joins_only_upwards`].
    JoinsOnlyUpwards,
    /// [`promises::kills_what_is_superseded`].
    KillsWhatIsSuperseded,
    /// [`promises::keeps_no_spent_secret`].
    KeepsNoSpentSecret,
    /// [`promises::shows_no_secret`].
    ShowsNoSecret,
    /// [`promises::says_that_a_person_ponders`].
    SaysThatAPersonPonders,
    /// [`promises::objects_once`].
    ObjectsOnce,
}

/// The outcome of a check.
pub type Checked = Result<(), Breach>;

impl Broken {
    /// Demands that something holds of a session.
    pub(crate) fn unless(self, holds: bool, session: SessionId, how: &'static str) -> Checked {
        if holds { Ok(()) } else { Err(Breach { broken: self, how, session: Some(session) }) }
    }
}

/// Checks everything about a step, before its crash if it has one. What a crash leaves behind is
/// the matter of the next step and of [`forgets_after_the_end`].
///
/// # Errors
/// The first breach.
pub fn check(world: &World, done: &Done) -> Checked {
    launches_once(world)?;
    launches_when_due(world, done)?;
    launches_only_when_due(world, done)?;
    loses_no_message(world, done)?;
    answers_after_a_restart(world, done)?;
    promises::check(world, done)
}

/// Invariant 1: `Launch` happens at most once for every (session, attempt), ever, restarts
/// included; so does its recording.
///
/// # Errors
/// The breach.
pub fn launches_once(world: &World) -> Checked {
    let counts = world.ledger.launches.iter().chain(&world.ledger.recorded);
    counts.into_iter().try_for_each(|((session, _), count)| {
        Broken::LaunchesOnce.unless(*count <= 1, *session, "launched twice")
    })
}

/// Invariant 2: once consent and a valid `Started` for the newest attempt have both arrived, and
/// neither abort nor expiry nor an end has, `Launch` has happened: within the step that brought
/// the last of them. A step cut short by a crash has not arrived.
///
/// # Errors
/// The breach.
pub fn launches_when_due(world: &World, done: &Done) -> Checked {
    if done.is_cut {
        return Ok(());
    }
    let asked = done.acts.iter().any(|act| matches!(act.effect, Effect::Ask(_)));
    let in_time = |facts: &Facts| facts.is_live() && facts.deadline > world.monotonic;
    for (session, facts) in world.facts.iter().filter(|(_, facts)| in_time(facts)) {
        let due = |holds, how| Broken::LaunchesWhenDue.unless(holds, *session, how);
        let Some((attempt, plan)) = facts.newest() else { continue };
        match facts.consent {
            Consent::Unasked => due(false, "invited, and nobody was asked")?,
            Consent::Asked | Consent::Pondered => {
                due(!done.due.asks || asked, "invited, and nobody was asked")?
            }
            Consent::Refused => due(false, "refused, and the attempt lives")?,
            Consent::Given => match world.store.get(session).map(|record| &record.progress) {
                Some(StoredProgress::Joined { plan: joined, prepared }) if joined == plan => {
                    let starts = facts.starts.get(&attempt).into_iter().flatten();
                    let fits = |joins: &Vec<VerifiedJoin>| is_start_of(joins, plan, &prepared.join);
                    due(!starts.into_iter().any(fits), "started, and not launched")?;
                }
                Some(StoredProgress::Launched { plan: launched, .. }) if launched == plan => {
                    let is_launched = world.ledger.launches.contains_key(&(*session, attempt));
                    due(is_launched, "recorded as launched, and not launched")?;
                }
                Some(_) | None => due(false, "consented and invited, and not joined")?,
            },
        }
    }
    Ok(())
}

/// Invariant 3: nothing is launched that was not both intended (or approved) and started for the
/// same plan hash, with valid joins of exactly the quorum, this party's own one among them.
///
/// # Errors
/// The breach.
pub fn launches_only_when_due(world: &World, done: &Done) -> Checked {
    for act in &done.acts {
        if let Effect::Launch(launch) = &act.effect {
            is_called_for(world, done, launch, act)?;
        }
    }
    let Event::Invited { intent, plan } = &done.event else { return Ok(()) };
    let declines = |act: &Act| matches!(act.effect, Effect::SendDecline { attempt, .. } if attempt == plan.attempt);
    let is_cut = done.acts.is_empty() && done.is_cut;
    Broken::LaunchesOnlyWhenDue.unless(
        is_cut || !done.due.declines || done.acts.iter().all(declines) && !done.acts.is_empty(),
        intent.session,
        "a wrong invitation is not declined",
    )
}

/// Whether an invitation to the newest attempt, the first or one more, is answered once the party
/// has consented: the coordinator may have lost what was said before, or its memory.
fn answers_invitations(world: &World, done: &Done) -> Checked {
    let Event::Invited { intent, plan } = &done.event else { return Ok(()) };
    let facts = world.facts.get(&intent.session);
    let is_due = facts.is_some_and(|facts| {
        let is_newest = facts.newest() == Some((plan.attempt, plan));
        facts.is_live() && facts.consent == Consent::Given && is_newest
    });
    let joins = |act: &Act| matches!(act.effect, Effect::SendJoin { attempt, .. } if attempt == plan.attempt);
    let in_time = facts.is_some_and(|facts| facts.deadline > world.monotonic);
    Broken::AnswersAfterARestart.unless(
        !is_due || !in_time || done.due.declines || done.is_cut || done.acts.iter().any(joins),
        intent.session,
        "an invitation is not answered",
    )
}

fn is_called_for(world: &World, done: &Done, launch: &Launch, act: &Act) -> Checked {
    let Launch { intent, plan, joins, secret } = launch;
    let session = plan.session;
    let must = |holds, how| Broken::LaunchesOnlyWhenDue.unless(holds, session, how);
    let facts = world.facts.get(&session).cloned().unwrap_or_default();
    must(facts.consent == Consent::Given, "launched without consent")?;
    must(facts.intent.as_ref() == Some(intent), "launched for another intent")?;
    must(intent.hash() == plan.intent_hash, "launched a plan of another intent")?;
    must(facts.newest() == Some((plan.attempt, plan)), "launched what is not the newest plan")?;
    must(joins.keys().eq(plan.quorum.iter()), "launched with joins of others than the quorum")?;
    let hash = plan.hash();
    let fits = |(member, join): (&PartyId, &VerifiedJoin)| {
        join.member() == *member && join.plan_hash() == hash
    };
    must(joins.iter().all(fits), "launched with joins of another plan")?;
    let own = joins.get(&Member::Me.party()).map(VerifiedJoin::as_join);
    let durable = act.joined.as_ref().map(|(_, join)| join);
    must(own.is_some() && own == durable, "launched with a join that is not its own")?;
    let spent = own.map(|own| super::cast::secret(hash, own.nonce.as_bytes()[0]));
    must(spent.as_ref() == Some(secret.expose()), "launched with a secret of another join")?;
    // The start is gone from the facts by now; the joins are its own proof, unless nothing came.
    let came = match &done.event {
        Event::Started { joins: came, .. } => {
            came.iter().all(|join| joins.values().any(|j| j == join))
        }
        Event::Intend(_) | Event::Invited { .. } | Event::Approved(_) | Event::Restored(_) => true,
        Event::Pondering(_)
        | Event::Refused { .. }
        | Event::Unverified { .. }
        | Event::RoundMessage(_)
        | Event::RunnerEnded { .. }
        | Event::Aborted { .. }
        | Event::Finished(_)
        | Event::Connected
        | Event::Tick => false,
    };
    must(came, "launched by an event that calls for nothing")
}

/// Invariant 4: a round message that came early is delivered after `Launch`, exactly once and in
/// its sender's order, or its attempt has ended; what is held is bounded; what finds no room is
/// refused in so many words; nothing vanishes silently.
///
/// # Errors
/// The breach.
pub fn loses_no_message(world: &World, done: &Done) -> Checked {
    for act in &done.acts {
        if let Effect::Deliver { session, attempt, messages } = &act.effect {
            is_in_order(act, *session, *attempt, messages)?;
        }
    }
    let must = |holds, session, how| Broken::LosesNoMessage.unless(holds, session, how);
    let mut in_all = 0;
    for (session, facts) in &world.facts {
        in_all += facts.held_bytes();
        must(facts.held_bytes() <= MAX_HELD_BYTES, *session, "more is held than a session may")?;
        must(in_all <= MAX_HELD_BYTES_IN_ALL, *session, "more is held than a party may")?;
        must(done.is_cut || is_drained(world, *session, facts), *session, "not delivered")?;
    }
    if done.is_cut {
        return Ok(());
    }
    for (session, cause) in &done.due.drops {
        let count = done.due.drops.iter().filter(|drop| *drop == &(*session, *cause)).count();
        let said = |act: &&Act| matches!(&act.effect, Effect::Drop { session: of, cause: why } if (of, why) == (session, cause));
        must(done.acts.iter().filter(said).count() >= count, *session, "vanished silently")?;
    }
    match (&done.event, done.due.fate) {
        (Event::RoundMessage(envelope), Some(fate)) => has_its_fate(done, envelope, fate),
        _ => Ok(()),
    }
}

fn is_in_order(
    act: &Act,
    session: SessionId,
    attempt: Attempt,
    messages: &[RoundEnvelope],
) -> Checked {
    let must = |holds, how| Broken::LosesNoMessage.unless(holds, session, how);
    let running = act.running.as_ref().filter(|running| running.attempt == attempt);
    let Some(running) = running else { return must(false, "delivered to no runner") };
    let mut next = running.next.clone();
    for RoundEnvelope { header, .. } in messages {
        let expected = next.entry(header.from).or_default();
        must(header.session == session && header.attempt == attempt, "delivered elsewhere")?;
        must(header.seq >= *expected, "delivered twice")?;
        must(header.seq == *expected, "delivered out of order")?;
        *expected = expected.next();
    }
    Ok(())
}

/// Whether the runner has all that it can have.
fn is_drained(world: &World, session: SessionId, facts: &Facts) -> bool {
    let Some(running) = world.ledger.running.get(&session) else { return true };
    let held = facts.held.get(&running.attempt).into_iter().flatten();
    held.into_iter().all(|(from, seqs)| {
        let next = running.next.get(from).copied().unwrap_or_default();
        !seqs.contains_key(&next)
    })
}

fn has_its_fate(done: &Done, envelope: &RoundEnvelope, fate: Fate) -> Checked {
    let session = envelope.header.session;
    let must = |holds, how| Broken::LosesNoMessage.unless(holds, session, how);
    let refused = done.acts.iter().any(|act| matches!(act.effect, Effect::Refuse(_)));
    let cause = |act: &Act| {
        if let Effect::Drop { cause, .. } = &act.effect { Some(*cause) } else { None }
    };
    let dropped = done.acts.iter().find_map(cause);
    let delivered = done.acts.iter().any(|act| {
        matches!(&act.effect, Effect::Deliver { messages, .. } if messages.contains(envelope))
    });
    must(!refused || done.due.is_full, "refused although there is room")?;
    match fate {
        Fate::Dropped(cause) => {
            must(refused || dropped == Some(cause), "no place, and not dropped for it")
        }
        Fate::Flows => must(delivered, "the runner waits for it, and has not got it"),
        Fate::Held => {
            must(dropped != Some(DropCause::Overflow), "dropped for want of room, not refused")?;
            must(dropped.is_none(), "dropped although it has a place")
        }
    }
}

/// Invariant 5: after a restart the party answers for every session that it had joined: it sends
/// its stored join again, verbatim, while that attempt has not launched, else it reports the
/// attempt as lost. (Also: an intent whose request nobody has answered is requested again.)
///
/// # Errors
/// The breach.
pub fn answers_after_a_restart(world: &World, done: &Done) -> Checked {
    answers_invitations(world, done)?;
    if done.is_cut || !world.is_restored {
        return Ok(());
    }
    for (session, (attempt, join)) in &world.ledger.joined {
        // An attempt that was aborted, has expired or is over has nobody who waits for an answer.
        let Some(facts) = world.facts.get(session).filter(|facts| facts.is_live()) else {
            continue;
        };
        let progress = world.store.get(session).map(|record| &record.progress);
        let is_kept = match progress {
            Some(StoredProgress::Joined { plan, prepared }) => {
                plan.attempt == *attempt && prepared.join == *join
            }
            Some(StoredProgress::Launched { plan, .. }) => plan.attempt == *attempt,
            Some(StoredProgress::Ended { .. }) => facts.ended.is_some(),
            Some(StoredProgress::Idle | StoredProgress::Over) | None => false,
        };
        let is_dead = *attempt <= facts.dead && facts.ended != Some(*attempt);
        let must = |holds, how| Broken::AnswersAfterARestart.unless(holds, *session, how);
        must(is_dead || is_kept, "joined, and the store does not know it")?;
    }
    world.store.values().try_for_each(|record| is_answered(world, done, record))
}

fn is_answered(world: &World, done: &Done, record: &Record) -> Checked {
    let session = record.intent.session;
    let must = |holds, how| Broken::AnswersAfterARestart.unless(holds, session, how);
    let was_connected = matches!(done.event, Event::Connected);
    let was_restored = matches!(done.event, Event::Restored(_));
    let of_session = || done.acts.iter().filter(|act| session_of(&act.effect) == session);
    match &record.progress {
        StoredProgress::Joined { plan, prepared } => {
            let sent = |act: &Act| {
                matches!(&act.effect, Effect::SendJoin { attempt, join, .. }
                    if *attempt == plan.attempt && **join == prepared.join)
            };
            must(!was_connected || of_session().any(sent), "the join is not sent again")
        }
        StoredProgress::Launched { plan, .. } => {
            let running = world.ledger.running.get(&session).map(|running| running.attempt);
            must(running == Some(plan.attempt), "a lost attempt is not known as lost")
        }
        StoredProgress::Ended { attempt, outcome } => {
            let reported = |act: &Act| {
                matches!(&act.effect, Effect::Report { attempt: of, outcome: how, .. }
                    if of == attempt && **how == *outcome)
            };
            let is_told = !(was_connected || was_restored) || of_session().any(reported);
            must(is_told, "an end is not reported again")?;
            // What the store called launched when the process died can only be lost.
            let was_launched = |record: &Record| {
                record.intent.session == session
                    && matches!(&record.progress, StoredProgress::Launched { plan, .. } if plan.attempt == *attempt)
            };
            let Event::Restored(found) = &done.event else { return Ok(()) };
            let is_lost = matches!(outcome, AttemptOutcome::Failed(why) if why.kind == FailureKind::RunnerLost);
            must(
                is_lost || !found.iter().any(was_launched),
                "a lost attempt is not reported as lost",
            )
        }
        StoredProgress::Idle => {
            let is_untouched = record.floor == Attempt::default()
                && world.facts.get(&session).is_none_or(|facts| facts.open().is_empty());
            let is_wanted = record.consent == StoredConsent::Intended && is_untouched;
            let requested = |act: &Act| matches!(act.effect, Effect::SendRequest(_));
            let is_sent = !was_connected || !is_wanted || of_session().any(requested);
            must(is_sent, "the request is not sent again")
        }
        StoredProgress::Over => Ok(()),
    }
}

/// Invariant 6: state is forgotten after the end plus a grace time: whatever has happened, once
/// all deadlines and the grace are past, machine and store are as empty as at the beginning.
///
/// # Errors
/// The breach.
pub fn forgets_after_the_end(world: &World) -> Checked {
    const LATER: u64 = 1 << 40;
    let mut machine = world.machine.clone();
    let mut store = world.store.clone();
    let mut joiner = world.joiner.clone();
    let mut tell = |event: Event, later: u64| {
        let now = Now { monotonic: world.monotonic + later, wall: UnixMillis(world.wall + later) };
        for effect in machine.handle(event, now, &mut joiner) {
            if let Effect::Forget(session) = &effect {
                store.remove(session);
            }
            if let Effect::Persist(record) = effect {
                store.insert(record.intent.session, (*record).into());
            }
        }
    };
    if !world.is_restored {
        tell(Event::Restored(world.records()), 0);
    }
    tell(Event::Tick, LATER);
    tell(Event::Tick, LATER + GRACE);
    let is_empty = store.is_empty() && machine == Pending::new(Member::Me.party());
    let session = store.keys().next().copied();
    let how = "something is left after the end";
    if is_empty { Ok(()) } else { Err(Breach { broken: Broken::ForgetsAfterTheEnd, how, session }) }
}
