//! The race as a search space.
//!
//! Every event of an alphabet can happen at every moment, any number of times: the facts of a
//! party only grow, so a repetition leads back to the same state, and the space is finite although
//! nothing is counted. A crash can come between events and behind every single effect, as often as
//! the model allows; after it the process reads its store, and messages may slip in before that.

use super::invariants::{Breach, Broken, forgets_after_the_end};
use super::stimulus::{Step, Stimulus};
use super::world::{Done, World};
use mpc_pending::{DropCause, Effect, Event};
use stateright::{Model, Property};
use std::collections::BTreeSet;

/// A search space.
#[derive(Debug, Clone)]
pub struct Race {
    /// What can happen.
    pub alphabet: Vec<Stimulus>,
    /// How often the process can crash.
    pub crashes: u8,
    /// What has to be met somewhere, or the search has proved nothing.
    pub milestones: BTreeSet<Milestone>,
}

/// A state: a world, and what its last step showed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    /// The party.
    pub world: World,
    /// What the last step broke. Nothing is searched behind it.
    pub breach: Option<Breach>,
    /// What the last step was an example of.
    pub reached: BTreeSet<Milestone>,
}

/// Something that a search has to meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Milestone {
    /// The attempt was launched before the initiator's own call had returned.
    LaunchedInsideIntend,
    /// A round message that came before the launch was delivered with it.
    EarlyRoundDelivered,
    /// An attempt that was launched before a crash was started again, and refused.
    RelaunchRefused,
    /// An attempt that a crash took was reported as lost.
    LossReported,
    /// A newer attempt took the place of one that ran.
    RunnerSuperseded,
    /// An attempt was joined in one life and launched in another.
    LaunchedAfterRestart,
    /// The coordinator was told that a person ponders the session.
    PersonPonders,
    /// The party objected to what came.
    Objected,
}

impl Milestone {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::LaunchedInsideIntend,
        Self::EarlyRoundDelivered,
        Self::RelaunchRefused,
        Self::LossReported,
        Self::RunnerSuperseded,
        Self::LaunchedAfterRestart,
        Self::PersonPonders,
        Self::Objected,
    ];

    /// Those that the step is an example of.
    pub fn reached_by(world: &World, done: &Done) -> BTreeSet<Self> {
        let has = |found: fn(&Effect) -> bool| done.acts.iter().any(|act| found(&act.effect));
        let is_launch = has(|effect| matches!(effect, Effect::Launch(_)));
        let is_own_from_before = |act: &super::world::Act| {
            let life = world.joiner.life;
            let join = act.joined.as_ref().map(|(_, join)| join.nonce.as_bytes()[0]);
            matches!(act.effect, Effect::Launch(_)) && join.is_some_and(|born| born < life)
        };
        let is_relaunch = if let Event::Started { session, attempt, .. } = &done.event {
            world.joiner.life > 0
                && world.ledger.recorded.contains_key(&(*session, *attempt))
                && !world.ledger.running.contains_key(session)
        } else {
            false
        };
        let is_stale =
            has(|effect| matches!(effect, Effect::Drop { cause: DropCause::StaleAttempt, .. }));
        let found = [
            (Self::LaunchedInsideIntend, is_launch && matches!(done.event, Event::Intend(_))),
            (
                Self::EarlyRoundDelivered,
                is_launch && has(|effect| matches!(effect, Effect::Deliver { .. })),
            ),
            (Self::RelaunchRefused, is_relaunch && is_stale),
            (
                Self::LossReported,
                matches!(done.event, Event::Restored(_))
                    && has(|effect| matches!(effect, Effect::Report { .. })),
            ),
            (
                Self::RunnerSuperseded,
                has(|effect| matches!(effect, Effect::Kill { .. }))
                    && has(|effect| matches!(effect, Effect::SendJoin { .. })),
            ),
            (Self::LaunchedAfterRestart, done.acts.iter().any(is_own_from_before)),
            (
                Self::PersonPonders,
                has(|effect| matches!(effect, Effect::SendAwaitingApproval { .. })),
            ),
            (Self::Objected, has(|effect| matches!(effect, Effect::Object { .. }))),
        ];
        found.into_iter().filter_map(|(milestone, is_met)| is_met.then_some(milestone)).collect()
    }
}

impl Model for Race {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        vec![State { world: World::default(), breach: None, reached: BTreeSet::new() }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Step>) {
        if state.breach.is_some() {
            return;
        }
        let world = &state.world;
        let can_crash = world.joiner.life < self.crashes;
        let mut possible: Vec<_> = self.alphabet.iter().chain([&Stimulus::Restored]).collect();
        possible.retain(|stimulus| world.can_happen(stimulus));
        for stimulus in possible {
            if can_crash {
                let cuts = world.cuts(stimulus).into_iter();
                actions.extend(cuts.map(|behind| Step::CutShort(stimulus.clone(), behind)));
            }
            actions.push(Step::Happen(stimulus.clone()));
        }
        if can_crash {
            actions.push(Step::Crash);
        }
    }

    fn next_state(&self, last: &State, action: Step) -> Option<State> {
        let mut world = last.world.clone();
        let (breach, reached) = match world.step(&action) {
            Ok(Some(done)) => {
                let mut reached = Milestone::reached_by(&world, &done);
                reached.retain(|milestone| self.milestones.contains(milestone));
                (None, reached)
            }
            Ok(None) => (None, BTreeSet::new()),
            Err(breach) => (Some(breach), BTreeSet::new()),
        };
        let next = State { world, breach, reached };
        (next != *last).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        fn holds(state: &State, broken: Broken) -> bool {
            state.breach.as_ref().is_none_or(|breach| breach.broken != broken)
        }
        fn meets(race: &Race, state: &State, milestone: Milestone) -> bool {
            // What is not asked for counts as met.
            !race.milestones.contains(&milestone) || state.reached.contains(&milestone)
        }
        use Broken as B;
        use Milestone as M;
        vec![
            Property::always("1 launches once", |_, s| holds(s, B::LaunchesOnce)),
            Property::always("2 launches when due", |_, s| holds(s, B::LaunchesWhenDue)),
            Property::always("3 only when due", |_, s| holds(s, B::LaunchesOnlyWhenDue)),
            Property::always("4 loses no message", |_, s| holds(s, B::LosesNoMessage)),
            Property::always("5 answers", |_, s| holds(s, B::AnswersAfterARestart)),
            Property::always("6 forgets", |_, s| {
                holds(s, B::ForgetsAfterTheEnd) && forgets_after_the_end(&s.world).is_ok()
            }),
            Property::always("persists first", |_, s| holds(s, B::PersistsBeforeItSends)),
            Property::always("joins upwards", |_, s| holds(s, B::JoinsOnlyUpwards)),
            Property::always("kills the old", |_, s| holds(s, B::KillsWhatIsSuperseded)),
            Property::always("spends secrets", |_, s| holds(s, B::KeepsNoSpentSecret)),
            Property::always("persons", |_, s| holds(s, B::SaysThatAPersonPonders)),
            Property::always("objects once", |_, s| holds(s, B::ObjectsOnce)),
            Property::sometimes("launch inside intend", |m, s| {
                meets(m, s, M::LaunchedInsideIntend)
            }),
            Property::sometimes("early round", |m, s| meets(m, s, M::EarlyRoundDelivered)),
            Property::sometimes("relaunch refused", |m, s| meets(m, s, M::RelaunchRefused)),
            Property::sometimes("loss reported", |m, s| meets(m, s, M::LossReported)),
            Property::sometimes("runner superseded", |m, s| meets(m, s, M::RunnerSuperseded)),
            Property::sometimes("launch after restart", |m, s| {
                meets(m, s, M::LaunchedAfterRestart)
            }),
            Property::sometimes("person ponders", |m, s| meets(m, s, M::PersonPonders)),
            Property::sometimes("objected", |m, s| meets(m, s, M::Objected)),
        ]
    }
}
