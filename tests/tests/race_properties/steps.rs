//! Steps at random, so weighted that attempts get as far as running.

use mpc_tests::race::cast::{Layout, Member, Purpose};
use mpc_tests::race::stimulus::{End, Joins, Letter, Step, Stimulus};
use mpc_wire::Attempt;
use proptest::prelude::*;

/// Races of three sessions that may get in each other's way.
pub(crate) fn races() -> impl Strategy<Value = Vec<Step>> {
    let noise = prop::collection::vec(step(stimulus(purpose().boxed(), size().boxed())), 0..30);
    (prop::collection::vec(plot(), 1..4), noise).prop_flat_map(shuffled)
}

/// Races of three sessions that share neither request nor room. There is no crash behind a number
/// of effects: where the event is one for all sessions it would cut each at another point.
pub(crate) fn separate_races() -> impl Strategy<Value = Vec<Step>> {
    let purpose = prop_oneof![9 => Just(Purpose::Real), 1 => Just(Purpose::Rival)];
    let happens = stimulus(purpose.boxed(), Just(1).boxed()).prop_map(Step::Happen);
    let noise = prop::collection::vec(prop_oneof![20 => happens, 1 => Just(Step::Crash)], 0..30);
    (prop::collection::vec(plot(), 2..5), noise).prop_flat_map(shuffled)
}

/// All that an attempt needs to get as far as running, and its first messages; beside them, now
/// and then, a number of wrong starts.
fn plot() -> impl Strategy<Value = Vec<Step>> {
    let all_wrong = vec![
        Joins::Rival,
        Joins::Missing,
        Joins::WithStranger,
        Joins::Doubled,
        Joins::OtherAttempt,
        Joins::StaleOwn,
    ];
    let some_wrong = prop::sample::subsequence(all_wrong, 4..=6);
    let wrong = prop_oneof![4 => Just(Vec::new()), 1 => some_wrong];
    (session(), attempt(), any::<bool>(), wrong).prop_map(
        |(session, attempt, is_initiator, wrong)| {
            let peer = if attempt.0.is_multiple_of(2) { Member::Bob } else { Member::Alice };
            let letter = |seq| Stimulus::Round(Letter::new(session, attempt, peer, seq));
            let (wish, consent) = if is_initiator {
                let intend = Stimulus::Intend(session, Purpose::Real);
                (intend.clone(), intend)
            } else {
                (Stimulus::Pondering(session), Stimulus::Approved(session))
            };
            let invited = Stimulus::Invited(session, attempt, Purpose::Real, Layout::Real);
            let started = Stimulus::Started(session, attempt, Joins::Real);
            let steps = [wish, consent, invited, started, letter(0), letter(1)];
            let wrong = wrong.into_iter().map(|joins| Stimulus::Started(session, attempt, joins));
            steps.into_iter().chain(wrong).map(Step::Happen).collect()
        },
    )
}

fn shuffled((plots, noise): (Vec<Vec<Step>>, Vec<Step>)) -> impl Strategy<Value = Vec<Step>> {
    let steps: Vec<_> = plots.into_iter().flatten().chain(noise).collect();
    Just(steps).prop_shuffle()
}

fn step(stimulus: impl Strategy<Value = Stimulus> + Clone) -> impl Strategy<Value = Step> {
    prop_oneof![
        40 => stimulus.clone().prop_map(Step::Happen),
        3 => (stimulus, 0..5usize).prop_map(|(stimulus, cut)| Step::CutShort(stimulus, cut)),
        2 => Just(Step::Crash),
    ]
}

fn stimulus(
    purpose: BoxedStrategy<Purpose>,
    size: BoxedStrategy<usize>,
) -> impl Strategy<Value = Stimulus> + Clone {
    let of = || (session(), attempt());
    prop_oneof![
        8 => (session(), purpose.clone()).prop_map(|(s, p)| Stimulus::Intend(s, p)),
        16 => (of(), purpose, layout()).prop_map(|((s, a), p, l)| Stimulus::Invited(s, a, p, l)),
        4 => session().prop_map(Stimulus::Pondering),
        8 => session().prop_map(Stimulus::Approved),
        1 => session().prop_map(Stimulus::Refused),
        16 => (of(), joins()).prop_map(|((s, a), j)| Stimulus::Started(s, a, j)),
        2 => of().prop_map(|(s, a)| Stimulus::Unverified(s, a)),
        20 => letter(size).prop_map(Stimulus::Round),
        3 => (of(), end()).prop_map(|((s, a), end)| Stimulus::RunnerEnded(s, a, end)),
        2 => of().prop_map(|(s, a)| Stimulus::Aborted(s, a)),
        1 => session().prop_map(Stimulus::Finished),
        4 => Just(Stimulus::Connected),
        3 => passed().prop_map(Stimulus::Tick),
        2 => Just(Stimulus::Restored),
    ]
    .boxed()
}

fn session() -> impl Strategy<Value = u16> + Clone {
    prop_oneof![6 => Just(0), 2 => Just(1), 1 => Just(2)]
}

/// Mostly the first three; more than are kept at once; the highest that there can be, and none.
fn attempt() -> impl Strategy<Value = Attempt> + Clone {
    prop_oneof![
        12 => Just(1),
        8 => Just(2),
        4 => Just(3),
        1 => 4..6u32,
        1 => Just(u32::MAX),
        1 => Just(0),
    ]
    .prop_map(Attempt)
}

fn purpose() -> impl Strategy<Value = Purpose> + Clone {
    prop_oneof![
        20 => Just(Purpose::Real),
        1 => Just(Purpose::Rival),
        1 => Just(Purpose::ReusedRequest),
        1 => Just(Purpose::Expired),
    ]
}

fn layout() -> impl Strategy<Value = Layout> + Clone {
    prop_oneof![
        20 => Just(Layout::Real),
        2 => Just(Layout::Rival),
        1 => Just(Layout::TooSmall),
        1 => Just(Layout::WithoutMe),
        1 => Just(Layout::OtherIntent),
        1 => Just(Layout::OtherSession),
    ]
}

fn joins() -> impl Strategy<Value = Joins> + Clone {
    prop_oneof![
        8 => Just(Joins::Real),
        1 => Just(Joins::Rival),
        1 => Just(Joins::OtherNonce),
        1 => Just(Joins::Missing),
        1 => Just(Joins::WithStranger),
        1 => Just(Joins::Doubled),
        1 => Just(Joins::OtherAttempt),
        1 => Just(Joins::StaleOwn),
    ]
}

fn end() -> impl Strategy<Value = End> + Clone {
    prop_oneof![Just(End::Failed), Just(End::Panicked)]
}

fn member() -> impl Strategy<Value = Member> + Clone {
    prop_oneof![
        8 => Just(Member::Alice),
        4 => Just(Member::Bob),
        1 => Just(Member::Stranger),
        1 => Just(Member::Me),
    ]
}

fn letter(size: BoxedStrategy<usize>) -> impl Strategy<Value = Letter> + Clone {
    let to = prop_oneof![15 => Just(Member::Me), 1 => Just(Member::Bob)];
    let seq = prop_oneof![6 => Just(0), 3 => Just(1), 2 => Just(2), 1 => 3..200u64];
    (session(), attempt(), member(), to, seq, size).prop_map(
        |(session, attempt, from, to, seq, size)| Letter { session, attempt, from, to, seq, size },
    )
}

/// Mostly small; some so large that a few of them are more than a session may hold.
fn size() -> impl Strategy<Value = usize> + Clone {
    prop_oneof![30 => 0..3usize, 1 => Just(1 << 20), 1 => Just((2 << 20) + 1)]
}

/// From nothing to beyond every patience, life and grace.
fn passed() -> impl Strategy<Value = u64> + Clone {
    prop_oneof![
        4 => Just(0),
        4 => Just(1_000),
        2 => Just(19_000),
        2 => Just(31_000),
        1 => Just(61_000),
        1 => Just(300_000),
    ]
}
