//! Arbitrary interleavings of all that can happen to a party, right and wrong, with crashes at
//! every point: after each step every invariant holds.

#[path = "race_properties/bounds.rs"]
mod bounds;
#[path = "race_properties/steps.rs"]
mod steps;

use mpc_tests::race::invariants::forgets_after_the_end;
use mpc_tests::race::model::Milestone;
use mpc_tests::race::promises::shows_no_secret;
use mpc_tests::race::stimulus::{Step, Stimulus};
use mpc_tests::race::world::World;
use proptest::test_runner::{Config, FileFailurePersistence, TestCaseError, TestRunner};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Instant;

/// Enough to meet every milestone hundreds of times, in some twenty seconds.
const CASES: u32 = 4_000;

fn runner(cases: u32) -> TestRunner {
    let seeds = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/race_properties.regressions");
    let failure_persistence = Some(Box::new(FileFailurePersistence::Direct(seeds)) as Box<_>);
    // `PROPTEST_CASES` can ask for more.
    let config = Config::default();
    TestRunner::new(Config { cases: cases.max(config.cases), failure_persistence, ..config })
}

fn failed(what: impl std::fmt::Debug) -> TestCaseError {
    TestCaseError::fail(format!("{what:?}"))
}

/// Takes the steps one by one, with all checks after each.
fn play(steps: &[Step], mut seen: impl FnMut(Milestone)) -> Result<(), TestCaseError> {
    let mut world = World::default();
    let mut acts = Vec::new();
    for step in steps {
        for step in starts(&world, step).iter().chain([step]) {
            let done = world.step(step).map_err(failed)?;
            forgets_after_the_end(&world).map_err(failed)?;
            let Some(done) = done else { continue };
            Milestone::reached_by(&world, &done).into_iter().for_each(&mut seen);
            acts.extend(done.acts);
        }
    }
    // Formatting is slow: what was shown is looked at once.
    shows_no_secret(&world, &acts).map_err(failed)
}

/// A process that has died starts again once something comes that it cannot take otherwise.
fn starts(world: &World, step: &Step) -> Vec<Step> {
    let is_needed = match step {
        Step::Happen(Stimulus::Restored) | Step::CutShort(Stimulus::Restored, _) => false,
        Step::Happen(stimulus) | Step::CutShort(stimulus, _) => !world.can_happen(stimulus),
        Step::Crash => !world.is_restored,
    };
    if is_needed {
        [Stimulus::Restored, Stimulus::Connected].map(Step::Happen).into()
    } else {
        Vec::new()
    }
}

#[test]
fn every_invariant_holds_in_every_interleaving() {
    let began = Instant::now();
    let seen = RefCell::new(BTreeMap::<_, u32>::new());
    let taken = Cell::new(0);
    let mut runner = runner(CASES);
    let result = runner.run(&steps::races(), |steps| {
        taken.set(taken.get() + steps.len());
        play(&steps, |milestone| *seen.borrow_mut().entry(milestone).or_default() += 1)
    });
    let seconds = began.elapsed().as_secs_f64();
    let (cases, steps) = (runner.config().cases, taken.get());
    println!("{cases} cases, {steps} steps, {seconds:.1} s; met {:?}", seen.borrow());
    result.unwrap();
    for milestone in Milestone::ALL {
        assert!(seen.borrow().contains_key(&milestone), "never met: {milestone:?}");
    }
}

/// Whether the step concerns this session, or all.
fn concerns(step: &Step, session: u16) -> bool {
    let (Step::Happen(stimulus) | Step::CutShort(stimulus, _)) = step else { return true };
    match stimulus {
        Stimulus::Intend(of, _)
        | Stimulus::Invited(of, ..)
        | Stimulus::Pondering(of)
        | Stimulus::Approved(of)
        | Stimulus::Refused(of)
        | Stimulus::Started(of, ..)
        | Stimulus::Unverified(of, _)
        | Stimulus::RunnerEnded(of, ..)
        | Stimulus::Aborted(of, _)
        | Stimulus::Finished(of) => *of == session,
        Stimulus::Round(letter) => letter.session == session,
        Stimulus::Connected | Stimulus::Tick(_) | Stimulus::Restored => true,
    }
}

/// What a session shows to the outside: its store, what arrived, what was done.
fn outside(world: &World, session: u16) -> impl PartialEq + std::fmt::Debug {
    let id = mpc_tests::race::cast::session(session);
    let of = |(key, _): &(&(mpc_wire::SessionId, mpc_wire::Attempt), &u32)| key.0 == id;
    (
        world.store.get(&id).cloned(),
        world.facts.get(&id).cloned(),
        world.ledger.running.get(&id).cloned(),
        world.ledger.joined.get(&id).cloned(),
        world.ledger.launches.iter().filter(of).map(|(k, v)| (*k, *v)).collect::<Vec<_>>(),
        world.ledger.recorded.iter().filter(of).map(|(k, v)| (*k, *v)).collect::<Vec<_>>(),
    )
}

/// Sessions that share neither request nor room do not feel each other: a party with three of
/// them treats each exactly as a party with that one alone. (So what the model finds for a session
/// of its own holds for it among others.)
#[test]
fn sessions_are_independent() {
    let began = Instant::now();
    let mut runner = runner(CASES / 3);
    let result = runner.run(&steps::separate_races(), |steps| {
        let mut together = World::default();
        let mut alone = [World::default(), World::default(), World::default()];
        for step in &steps {
            for world in alone.iter_mut().chain([&mut together]) {
                for step in starts(world, step) {
                    world.step(&step).map_err(failed)?;
                }
            }
            together.step(step).map_err(failed)?;
            for (session, world) in (0..).zip(&mut alone) {
                if concerns(step, session) {
                    world.step(step).map_err(failed)?;
                }
                let same = outside(&together, session) == outside(world, session);
                let known = world.machine.known();
                proptest::prop_assert!(same, "session {session} ({known} known) felt {step:?}");
            }
            let known: usize = alone.iter().map(|world| world.machine.known()).sum();
            proptest::prop_assert_eq!(together.machine.known(), known);
        }
        Ok(())
    });
    let cases = runner.config().cases;
    println!("{cases} cases, {:.1} s", began.elapsed().as_secs_f64());
    result.unwrap();
}
