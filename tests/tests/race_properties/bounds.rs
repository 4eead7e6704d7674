//! What a party holds is bounded, and what finds no room is told so.

use mpc_pending::limits::{
    MAX_HELD_BYTES, MAX_HELD_BYTES_IN_ALL, MAX_HELD_MESSAGES, MAX_OPEN_ATTEMPTS, MAX_ORPHANS,
    MAX_SESSIONS,
};
use mpc_pending::{DropCause, Effect, Event};
use mpc_tests::race::cast::{self, Layout, Member, Purpose};
use mpc_tests::race::stimulus::{Joins, Letter, Step, Stimulus};
use mpc_tests::race::world::World;
use mpc_wire::limits::MAX_FRAME;
use mpc_wire::{Attempt, DeclineReason};

/// Takes an event with all checks; gives what it brought about.
#[expect(clippy::unwrap_used, reason = "a breach fails the test")]
fn take(world: &mut World, stimulus: Stimulus) -> Vec<Effect> {
    let done = world.step(&Step::Happen(stimulus)).unwrap().unwrap();
    done.acts.into_iter().map(|act| act.effect).collect()
}

fn is_refused(effects: &[Effect]) -> bool {
    matches!(effects, [Effect::Refuse(_)])
}

fn launch(world: &mut World, session: u16) {
    let attempt = Attempt::FIRST;
    take(world, Stimulus::Intend(session, Purpose::Real));
    take(world, Stimulus::Invited(session, attempt, Purpose::Real, Layout::Real));
    let effects = take(world, Stimulus::Started(session, attempt, Joins::Real));
    assert!(matches!(effects.last(), Some(Effect::Launch(_))));
}

#[test]
fn early_messages_of_too_many_sessions_are_refused() {
    let mut world = World::default();
    let sessions = u16::try_from(MAX_ORPHANS).unwrap();
    for session in 0..sessions {
        let letter = Letter::new(session, Attempt::FIRST, Member::Alice, 0);
        assert!(take(&mut world, Stimulus::Round(letter)).is_empty());
    }
    let letter = Letter::new(sessions, Attempt::FIRST, Member::Alice, 0);
    assert!(is_refused(&take(&mut world, Stimulus::Round(letter.clone()))));
    let started = Stimulus::Started(sessions, Attempt::FIRST, Joins::Real);
    let dropped = take(&mut world, started);
    assert!(matches!(dropped[..], [Effect::Drop { cause: DropCause::Overflow, .. }]));
    // An invitation has room all the same, and a place for early messages comes with it.
    let invited = Stimulus::Invited(sessions, Attempt::FIRST, Purpose::Real, Layout::Real);
    assert!(matches!(take(&mut world, invited)[..], [Effect::Ask(_)]));
    assert!(take(&mut world, Stimulus::Round(letter)).is_empty());
}

#[test]
fn early_messages_of_too_many_attempts_are_refused_and_push_nothing_out() {
    let mut world = World::default();
    let newest = Attempt(u32::try_from(MAX_OPEN_ATTEMPTS).unwrap());
    for attempt in 1..=newest.0 {
        let letter = Letter::new(1, Attempt(attempt), Member::Alice, 0);
        assert!(take(&mut world, Stimulus::Round(letter)).is_empty());
    }
    let beyond = Letter::new(1, newest.next(), Member::Alice, 0);
    assert!(is_refused(&take(&mut world, Stimulus::Round(beyond))));
    // The first attempt is still what it was: it launches, with its early message.
    take(&mut world, Stimulus::Intend(1, Purpose::Real));
    take(&mut world, Stimulus::Invited(1, Attempt::FIRST, Purpose::Real, Layout::Real));
    let effects = take(&mut world, Stimulus::Started(1, Attempt::FIRST, Joins::Real));
    assert!(matches!(effects[..], [Effect::Persist(_), Effect::Launch(_), Effect::Deliver { .. }]));
}

#[test]
fn too_many_messages_of_one_sender_are_refused_but_the_next_is_not() {
    let mut world = World::default();
    launch(&mut world, 0);
    let most = u64::try_from(MAX_HELD_MESSAGES).unwrap();
    let letter = |seq| Stimulus::Round(Letter::new(0, Attempt::FIRST, Member::Alice, seq));
    for seq in 1..=most {
        assert!(take(&mut world, letter(seq)).is_empty());
    }
    assert!(is_refused(&take(&mut world, letter(most + 1))));
    let [Effect::Deliver { messages, .. }] = &take(&mut world, letter(0))[..] else {
        panic!("the next message is what the others wait for");
    };
    assert_eq!(messages.len(), MAX_HELD_MESSAGES + 1);
}

#[test]
fn too_many_bytes_of_one_session_are_refused_over_all_its_attempts() {
    let mut world = World::default();
    let size = MAX_FRAME;
    let letter = |attempt, seq| {
        let letter = Letter::new(1, Attempt(attempt), Member::Alice, seq);
        Stimulus::Round(Letter { size, ..letter })
    };
    let fit = u64::try_from(MAX_HELD_BYTES / size).unwrap();
    for seq in 0..fit {
        assert!(take(&mut world, letter(1 + u32::try_from(seq % 2).unwrap(), seq / 2)).is_empty());
    }
    assert!(is_refused(&take(&mut world, letter(1, fit))));
    assert!(is_refused(&take(&mut world, letter(3, 0))));
}

/// The bound in all holds for what running attempts wait with, too: a peer that leaves out its
/// first message must not fill the memory. What they wait for has room always.
#[test]
fn too_many_bytes_in_all_are_refused_but_what_a_runner_waits_for_is_not() {
    let mut world = World::default();
    let size = MAX_FRAME;
    let letter = |session, seq| {
        let letter = Letter::new(session, Attempt::FIRST, Member::Alice, seq);
        Stimulus::Round(Letter { size, ..letter })
    };
    let of_one = MAX_HELD_BYTES / size;
    let sessions = u16::try_from(MAX_HELD_BYTES_IN_ALL / size / of_one).unwrap();
    for session in 0..=sessions {
        launch(&mut world, session);
        for seq in 1..=u64::try_from(of_one).unwrap() {
            let effects = take(&mut world, letter(session, seq));
            assert_eq!(is_refused(&effects), session == sessions);
            assert_eq!(effects.is_empty(), session != sessions);
        }
    }
    let delivered = take(&mut world, letter(sessions, 0));
    assert!(matches!(delivered[..], [Effect::Deliver { .. }]));
}

#[test]
fn too_many_sessions_are_declined_as_overload() {
    let mut world = World::default();
    let now = world.now();
    let mut tell = |session| {
        let intent = cast::intent(session, Purpose::Real);
        let plan = cast::plan(session, Attempt::FIRST, Purpose::Real, Layout::Real);
        world.machine.handle(Event::Invited { intent, plan }, now, &mut world.joiner)
    };
    let sessions = u16::try_from(MAX_SESSIONS).unwrap();
    for session in 0..sessions {
        assert!(matches!(tell(session)[..], [Effect::Ask(_)]));
    }
    let declined = tell(sessions);
    let [Effect::SendDecline { reason, .. }] = &declined[..] else { panic!("{declined:?}") };
    assert_eq!(*reason, DeclineReason::Overloaded);
}
