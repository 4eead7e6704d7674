//! Rows of the list of faults, each in a world of its own: one fault, the result that it must have.

use crate::around::Around;
use crate::cast::parties;
use crate::dice::Span;
use crate::happening::Way;
use crate::invariant::{Breach, Invariant};
use crate::ledger::Case;
use crate::profile::{Habits, Profile, Weather};
use crate::run::Tally;
use crate::script::{Mark, Script, Twist, Victim};
use crate::world::{Scene, World};
use mpc_session::{FailureReason, SessionEnd};
use mpc_wire::{DeclineReason, PartyId};
use std::collections::BTreeMap;

/// A row.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Its number in the list; 0 if it is none of those.
    pub number: u16,
    /// What goes wrong.
    pub name: &'static str,
    /// Worlds of the fast form.
    pub fast: u64,
    /// Worlds of the full form.
    pub full: u64,
    trial: fn(u64) -> Trial,
}

/// Every row that is simulated.
pub const ROWS: [Row; 8] = [
    Row { number: 1, name: "coordinator dies", fast: 180, full: 900, trial: coordinator_dies },
    Row { number: 2, name: "party dies", fast: 180, full: 900, trial: party_dies },
    Row { number: 3, name: "party away for 30 s", fast: 60, full: 300, trial: party_is_away },
    Row { number: 4, name: "one way cut for ever", fast: 60, full: 300, trial: one_way_is_cut },
    Row { number: 8, name: "all twice", fast: 5, full: 50, trial: all_comes_twice },
    Row { number: 9, name: "reordered", fast: 1000, full: 1000, trial: all_is_reordered },
    Row { number: 21, name: "clocks apart", fast: 120, full: 600, trial: clocks_are_apart },
    Row {
        number: 23,
        name: "starts lost or late",
        fast: 120,
        full: 150,
        trial: starts_are_spoiled,
    },
];

/// The first word of each kind is lost or late. In no row of the list, but all of them are said again.
pub const FIRST_WORDS: Row = Row {
    number: 0,
    name: "first words lost or late",
    fast: 18,
    full: 120,
    trial: words_are_spoiled,
};

impl Row {
    /// The row with this number.
    pub fn find(number: u16) -> Option<Self> {
        ROWS.into_iter().chain([FIRST_WORDS]).find(|row| row.number == number)
    }

    /// Lets the fault happen in the world of a seed.
    ///
    /// # Errors
    /// The breach, if the result is not what it must be or an invariant does not hold.
    pub fn play(&self, seed: u64) -> Result<Tally, Breach> {
        let Trial { scene, demand } = (self.trial)(seed);
        let mut world = World::new(scene);
        world.run()?;
        let Around { ledger, script, now, .. } = &world.around;
        for (session, case) in ledger.cases() {
            demand(case, script.victim(*session)).map_err(|how| Breach {
                invariant: Invariant::Demanded,
                session: Some(*session),
                how: format!("{how}: {case:?}"),
                step: ledger.steps,
                at: now.0,
            })?;
        }
        Ok(Tally { faults: script.count(), ..Tally::of(ledger) })
    }

    /// The world of a seed, in which nothing has happened yet.
    pub fn world(&self, seed: u64) -> World {
        World::new((self.trial)(seed).scene)
    }
}

/// A scene in which the fault happens, and what is then demanded of each session, given the party
/// that it has happened to.
struct Trial {
    scene: Scene,
    demand: Box<Demand>,
}

type Demand = dyn Fn(&Case, Option<PartyId>) -> Result<(), String>;

fn trial(
    scene: Scene,
    demand: impl Fn(&Case, Option<PartyId>) -> Result<(), String> + 'static,
) -> Trial {
    Trial { scene, demand: Box::new(demand) }
}

/// Signatures of one kind of account, asked for by backends, in calm weather.
fn signings(shape: (usize, u16), life: u64) -> Weather {
    let calm = Profile::Calm.weather();
    let habits = Habits {
        shape: Some(shape),
        life: Span(life, life),
        rounds: Span(4, 4),
        aux: 0,
        initiators: 0,
        ..calm.habits
    };
    Weather { habits, ..calm }
}

/// The points at which somebody may die, with the number of the seed.
fn mark(seed: u64) -> Mark {
    match seed % 9 {
        0 => Mark::Invited,
        1 => Mark::Joined,
        2 => Mark::Started,
        3 => Mark::Reported,
        4 => Mark::Finished,
        5 => Mark::Round(1),
        6 => Mark::Round(2),
        7 => Mark::Round(3),
        _ => Mark::Round(4),
    }
}

fn is_completed(case: &Case) -> Result<(), String> {
    match case.end {
        Some((_, SessionEnd::Completed(_))) => Ok(()),
        Some(_) | None => Err("it has not completed".to_owned()),
    }
}

/// Whether it ended within so many milliseconds.
fn ends_within(case: &Case, millis: u64) -> Result<(), String> {
    match (&case.opened, &case.end) {
        (Some((opened, _)), Some((at, _))) if at.since(*opened) <= millis => Ok(()),
        _ => Err(format!("it has not ended within {millis} ms")),
    }
}

/// Row 1: after the restart the session is taken up within 30 s, and has one end.
fn coordinator_dies(seed: u64) -> Trial {
    let script = Script::new(mark(seed), Twist::Kills(Victim::Coordinator));
    let scene = Scene { script, ..Scene::of(signings((3, 2), 60_000), seed, 1) };
    trial(scene, |case, _| {
        is_completed(case)?;
        ends_within(case, 30_000)
    })
}

/// Row 2: the attempt fails, and another one succeeds. Nobody launches an attempt twice, so no nonce
/// is used twice.
fn party_dies(seed: u64) -> Trial {
    let at = mark(seed);
    let script = Script::new(at, Twist::Kills(Victim::Party));
    let scene = Scene { script, ..Scene::of(signings((3, 2), 60_000), seed, 1) };
    let fails_first = matches!(at, Mark::Round(1..=3));
    trial(scene, move |case, _| {
        is_completed(case)?;
        ends_within(case, 30_000)?;
        if fails_first && case.attempts.0 < 2 {
            return Err("an attempt survived the death of its member".to_owned());
        }
        Ok(())
    })
}

/// Row 3: with time left it completes: in the same attempt if nobody can take the party's place, else
/// with others. Without time the end names whom it waited for.
fn party_is_away(seed: u64) -> Trial {
    const AWAY: u64 = 30_000;
    let twist = Twist::Isolates(&[Way::Up, Way::Down], AWAY);
    let script = Script::new(Mark::Round(1 + (seed / 3 % 4) as u16), twist);
    let (shape, life) = match seed % 3 {
        0 => ((2, 2), 90_000),
        1 => ((3, 2), 90_000),
        _ => ((2, 2), 20_000),
    };
    let scene = Scene { script, ..Scene::of(signings(shape, life), seed, 1) };
    trial(scene, move |case, victim| match (seed % 3, &case.end) {
        (0, Some((_, SessionEnd::Completed(_)))) if case.attempts.0 == 1 => Ok(()),
        (1, Some((_, SessionEnd::Completed(_)))) => ends_within(case, 10_000),
        // Its last message may have gone out before.
        (2, Some((_, SessionEnd::Completed(_)))) => ends_within(case, 1_000),
        (2, Some((_, SessionEnd::Expired { waiting_for })))
            if victim.is_some_and(|victim| waiting_for.contains(&victim)) =>
        {
            Ok(())
        }
        _ => Err("it goes another way".to_owned()),
    })
}

/// Row 4: over by the deadline; completed if there are others, else the end names the party.
fn one_way_is_cut(seed: u64) -> Trial {
    let ways: &[Way] = if seed.is_multiple_of(2) { &[Way::Up] } else { &[Way::Down] };
    let at = mark(seed / 4);
    let script = Script::new(at, Twist::Isolates(ways, u64::MAX));
    let has_others = (seed / 2).is_multiple_of(2);
    let shape = if has_others { (3, 2) } else { (2, 2) };
    let scene = Scene { script, ..Scene::of(signings(shape, 60_000), seed, 1) };
    trial(scene, move |case, victim| match &case.end {
        Some((_, SessionEnd::Completed(_))) => Ok(()),
        Some((_, SessionEnd::Expired { waiting_for }))
            if !has_others && victim.is_some_and(|victim| waiting_for.contains(&victim)) =>
        {
            Ok(())
        }
        Some(_) | None => Err("it goes another way".to_owned()),
    })
}

/// Row 8: all succeed, in their first attempt.
fn all_comes_twice(seed: u64) -> Trial {
    let weather = Weather { twice: 1000, ..Profile::Calm.weather() };
    trial(Scene::of(weather, seed, 100), |case, _| {
        is_completed(case)?;
        if case.attempts.0 == 1 { Ok(()) } else { Err("it took several attempts".to_owned()) }
    })
}

/// Row 9: all succeed.
fn all_is_reordered(seed: u64) -> Trial {
    trial(Scene::new(Profile::Reordering, seed, 3), |case, _| is_completed(case))
}

/// Row 21: a party whose clock is ahead declines what has expired for it, and nobody else cares. A
/// clock that is set while the session runs changes nothing.
fn clocks_are_apart(seed: u64) -> Trial {
    const APART: i64 = 600_000;
    let mut clocks = BTreeMap::new();
    let mut script = Script::nothing();
    let case = seed % 4;
    let some = |count| parties().skip((seed / 4 % 4) as usize).take(count);
    match case {
        0 => clocks.extend(some(1).map(|party| (party, APART))),
        1 => clocks.extend(parties().map(|party| (party, -APART))),
        2 => clocks.extend(parties().map(|party| (party, APART))),
        _ => script = Script::new(mark(seed / 4), Twist::SetsClock(APART)),
    }
    let ahead: Vec<_> = clocks.iter().filter(|(_, error)| **error > 0).map(|(id, _)| *id).collect();
    // Each session sets a clock: of several, more than one party of a session could be ahead.
    let sessions = if case == 3 { 1 } else { 4 };
    let scene = Scene { script, clocks, ..Scene::of(signings((3, 2), 60_000), seed, sessions) };
    trial(scene, move |seen, _| {
        if seen.launched.iter().any(|(_, party)| ahead.contains(party)) {
            return Err("launched by a party for which it had expired".to_owned());
        }
        match (&seen.end, case) {
            (Some((_, SessionEnd::Failed(failure))), 2)
                if failure.reason == FailureReason::Declined(DeclineReason::Expired) =>
            {
                Ok(())
            }
            (Some((_, SessionEnd::Completed(_))), 0 | 1 | 3) => ends_within(seen, 30_000),
            _ => Err("it goes another way".to_owned()),
        }
    })
}

/// Row 23, second half: no stuck session, recovery within 5 s.
fn starts_are_spoiled(seed: u64) -> Trial {
    words_of_a_kind(Mark::Started, seed, 40)
}

fn words_are_spoiled(seed: u64) -> Trial {
    words_of_a_kind(mark(seed), seed, 20)
}

fn words_of_a_kind(mark: Mark, seed: u64, sessions: u32) -> Trial {
    let calm = Profile::Calm.weather();
    let habits = Habits { rounds: Span(4, 4), ..calm.habits };
    let script = Script::new(mark, Twist::Spoils(Span(1_000, 10_000)));
    let scene = Scene { script, ..Scene::of(Weather { habits, ..calm }, seed, sessions) };
    trial(scene, |case, _| {
        is_completed(case)?;
        ends_within(case, 5_000)?;
        if case.attempts.0 == 1 { Ok(()) } else { Err("it took several attempts".to_owned()) }
    })
}
