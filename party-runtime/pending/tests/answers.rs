//! What the machine tells the coordinator besides joins: that a person is asked, and what somebody
//! on the way has forged or mixed up. (That it does so in every order of events is for the models
//! of the race to show.)

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use mpc_pending::{
    AttemptSecret, DropCause, Effect, Event, Joiner, Now, Pending, PreparedJoin, Record,
};
use mpc_wire::{
    Attempt, AttemptPlan, DeclineReason, Identity, Intent, IntentKind, Nonce, Objection, PartyId,
    Round, RoundEnvelope, RoundHeader, Scheme, Seq, SignedJoin, Stage, UnixMillis, VerifiedJoin,
};

const NOW: Now = Now { monotonic: 0, wall: UnixMillis(1_000) };
const FIRST: Attempt = Attempt::FIRST;
const SECOND: Attempt = Attempt(2);

fn identity(seed: u8) -> Identity {
    Identity::from_seed(&[seed; 32])
}

fn party(seed: u8) -> PartyId {
    identity(seed).party()
}

const ME: u8 = 1;
const PEER: u8 = 2;
const STRANGER: u8 = 3;

fn intent() -> Intent {
    Intent {
        session: "00000000-0000-7000-8000-000000000001".parse().unwrap(),
        request: "00000000-0000-7000-8000-000000000002".parse().unwrap(),
        eligible: [party(ME), party(PEER)].into(),
        expires_at: UnixMillis(100_000),
        kind: IntentKind::Aux { scheme: Scheme::EcdsaCggmp24 },
    }
}

fn plan(attempt: Attempt) -> AttemptPlan {
    let intent = intent();
    AttemptPlan {
        session: intent.session,
        intent_hash: intent.hash(),
        attempt,
        quorum: intent.eligible,
        aux_id: None,
    }
}

fn join(seed: u8, attempt: Attempt, nonce: u8) -> SignedJoin {
    SignedJoin::sign(&identity(seed), plan(attempt).hash(), Nonce::new([nonce; 32]), [4; 32])
}

fn start(own: u8, peers: u8) -> Event {
    let joins = [join(ME, FIRST, own), join(PEER, FIRST, peers)];
    let joins = joins.iter().map(SignedJoin::verify).collect::<Result<Vec<VerifiedJoin>, _>>();
    Event::Started { session: intent().session, attempt: FIRST, joins: joins.unwrap() }
}

/// Makes the same joins always.
struct Fixed;

impl Joiner for Fixed {
    fn join(&mut self, plan: &AttemptPlan) -> PreparedJoin {
        PreparedJoin { join: join(ME, plan.attempt, 9), secret: AttemptSecret::new([5; 32]) }
    }
}

/// A machine, and what it has stored last.
struct Party(Pending, Option<Record>);

impl Party {
    fn new() -> Self {
        Self(Pending::new(party(ME)), None)
    }

    /// A party that has joined the first attempt.
    fn joined() -> Self {
        let mut this = Self::new();
        this.meets(Event::Intend(intent()));
        this.invited(FIRST);
        this
    }

    /// What an event brings about, but for what is stored.
    fn meets(&mut self, event: Event) -> Vec<Effect> {
        self.meets_at(NOW, event)
    }

    fn meets_at(&mut self, now: Now, event: Event) -> Vec<Effect> {
        let mut effects = self.0.handle(event, now, &mut Fixed);
        effects.retain(|effect| {
            if let Effect::Persist(record) = effect {
                self.1 = Some((**record).clone());
            }
            !matches!(effect, Effect::Persist(_))
        });
        effects
    }

    fn invited(&mut self, attempt: Attempt) -> Vec<Effect> {
        self.meets(Event::Invited { intent: intent(), plan: plan(attempt) })
    }

    /// A start with the join of the peer that has this nonce, and with its own.
    fn started(&mut self, own: u8, peers: u8) -> Vec<Effect> {
        self.meets(start(own, peers))
    }

    fn round(&mut self, from: u8, to: u8) -> Vec<Effect> {
        let header = RoundHeader {
            session: intent().session,
            attempt: FIRST,
            from: party(from),
            to: party(to),
            stage: Stage(1),
            round: Round(1),
            seq: Seq(0),
        };
        self.meets(Event::RoundMessage(RoundEnvelope { header, sealed: vec![0] }))
    }

    fn unverified(&mut self, attempt: Attempt) -> Vec<Effect> {
        let (session, objection) = (intent().session, Objection::SupersededKey);
        self.meets(Event::Unverified { session, attempt, objection })
    }
}

/// The attempts of which the effects say that a person is asked, if they say nothing else.
fn awaited(effects: &[Effect]) -> Vec<Attempt> {
    let attempt = |effect: &Effect| {
        if let Effect::SendAwaitingApproval { attempt, .. } = effect {
            *attempt
        } else {
            panic!("{effect:?}")
        }
    };
    effects.iter().map(attempt).collect()
}

/// What the effects drop, then what they object to, if they do nothing else.
fn answers(effects: &[Effect]) -> (Vec<DropCause>, Vec<(Attempt, Objection)>) {
    let (mut drops, mut objections) = (Vec::new(), Vec::new());
    for effect in effects {
        if let Effect::Drop { cause, .. } = effect {
            drops.push(*cause);
        } else if let Effect::Object { attempt, objection, .. } = effect {
            objections.push((*attempt, *objection));
        } else {
            panic!("{effect:?}");
        }
    }
    (drops, objections)
}

#[test]
fn the_coordinator_hears_that_a_person_is_asked() {
    let session = intent().session;
    let mut this = Party::new();
    assert!(matches!(this.invited(FIRST)[..], [Effect::Ask(_)]));
    // Policy alone needs no such word.
    assert!(this.meets(Event::Connected).is_empty());
    assert_eq!(awaited(&this.meets(Event::Pondering(session))), [FIRST]);
    assert_eq!(
        answers(&this.meets(Event::Pondering(session))),
        (vec![DropCause::Repeated], vec![])
    );
    assert_eq!(awaited(&this.meets(Event::Connected)), [FIRST]);
    assert_eq!(awaited(&this.invited(SECOND)), [SECOND]);
    assert_eq!(awaited(&this.meets(Event::Connected)), [SECOND]);
    let approved = this.meets(Event::Approved(session));
    assert!(matches!(approved[..], [Effect::SendJoin { attempt: SECOND, .. }]));
    // The answer is there: nothing is awaited any more.
    assert!(matches!(this.meets(Event::Connected)[..], [Effect::SendJoin { .. }]));
    assert_eq!(
        answers(&this.meets(Event::Pondering(session))),
        (vec![DropCause::Repeated], vec![])
    );
}

#[test]
fn a_person_is_asked_about_the_attempt_that_comes_next() {
    let session = intent().session;
    let mut this = Party::new();
    this.invited(FIRST);
    assert!(this.meets(Event::Aborted { session, attempt: FIRST }).is_empty());
    assert!(this.meets(Event::Pondering(session)).is_empty(), "there is no attempt to wait with");
    assert_eq!(awaited(&this.invited(SECOND)), [SECOND]);
    let reason = DeclineReason::Refused;
    let refused = this.meets(Event::Refused { session, reason });
    assert!(matches!(refused[..], [Effect::SendDecline { attempt: SECOND, .. }]));
    assert!(this.meets(Event::Connected).is_empty());
}

#[test]
fn a_person_is_asked_about_known_sessions_only() {
    let pondering = Event::Pondering(intent().session);
    assert_eq!(answers(&Party::new().meets(pondering)), (vec![DropCause::NoSession], vec![]));
}

#[test]
fn a_wrong_start_is_objected_to_once_and_the_right_one_launches() {
    let mut this = Party::joined();
    let wrong = (vec![DropCause::WrongJoins], vec![(FIRST, Objection::WrongJoins)]);
    assert_eq!(answers(&this.started(8, 7)), wrong);
    for nonce in 0..9 {
        assert_eq!(answers(&this.started(nonce, nonce)), (wrong.0.clone(), vec![]));
    }
    assert!(matches!(this.started(9, 7)[..], [Effect::Launch(_)]));
    assert_eq!(answers(&this.started(8, 7)), (vec![DropCause::Repeated], vec![]));
}

/// The tick that ends the session comes up to a second later: until then nothing begins any more.
#[test]
fn a_start_behind_the_deadline_launches_nothing() {
    let mut this = Party::joined();
    let left = intent().expires_at.0 - NOW.wall.0;
    let late = Now { monotonic: NOW.monotonic + left, wall: intent().expires_at };
    assert!(this.meets_at(late, start(9, 7)).is_empty());
    assert!(matches!(this.meets_at(late, Event::Tick)[..], [Effect::Over(_)]));
    assert_eq!(this.0.live(), 0);
}

/// Before the party has joined it cannot tell: such a start is kept, and judged with the join.
#[test]
fn a_wrong_start_that_came_early_is_objected_to_with_the_join() {
    let mut this = Party::new();
    assert!(this.started(8, 7).is_empty());
    this.meets(Event::Intend(intent()));
    let effects = this.invited(FIRST);
    let [Effect::SendJoin { .. }, Effect::Object { objection, .. }] = &effects[..] else {
        panic!("{effects:?}");
    };
    assert_eq!(*objection, Objection::WrongJoins);
    assert!(matches!(this.started(9, 7)[..], [Effect::Launch(_)]));
}

#[test]
fn misrouted_messages_are_objected_to_once() {
    for (from, to) in [(PEER, STRANGER), (STRANGER, ME), (ME, PEER), (ME, ME)] {
        let mut this = Party::joined();
        let dropped = vec![DropCause::NotAMember];
        let objected = vec![(FIRST, Objection::Misrouted)];
        assert_eq!(answers(&this.round(from, to)), (dropped.clone(), objected));
        assert_eq!(answers(&this.round(from, to)), (dropped, vec![]), "{from} to {to}");
    }
    assert!(Party::joined().round(PEER, ME).is_empty());
}

#[test]
fn messages_of_strangers_that_came_early_are_objected_to_with_the_plan() {
    let mut this = Party::new();
    assert!(this.round(STRANGER, ME).is_empty(), "who the members are is not known yet");
    let effects = this.invited(FIRST);
    let [Effect::Drop { cause, .. }, Effect::Ask(_), Effect::Object { objection, .. }] =
        effects[..]
    else {
        panic!("{effects:?}");
    };
    assert_eq!((cause, objection), (DropCause::NotAMember, Objection::Misrouted));
}

#[test]
fn what_the_shell_cannot_verify_is_objected_to_once_for_each_attempt() {
    let dropped = || vec![DropCause::Unverified];
    let mut this = Party::joined();
    let objected = vec![(FIRST, Objection::SupersededKey)];
    assert_eq!(answers(&this.unverified(FIRST)), (dropped(), objected));
    assert_eq!(answers(&this.unverified(FIRST)), (dropped(), vec![]));
    // Nobody waits for word about an attempt that the party was not invited to.
    assert_eq!(answers(&this.unverified(SECOND)), (dropped(), vec![]));
    assert_eq!(answers(&Party::new().unverified(FIRST)), (dropped(), vec![]));
    this.invited(SECOND);
    let objected = vec![(SECOND, Objection::SupersededKey)];
    assert_eq!(answers(&this.unverified(SECOND)), (dropped(), objected));
    assert_eq!(answers(&this.unverified(FIRST)), (dropped(), vec![]));
}

/// Who has the end may have missed that its attempt was to be stopped, and hears it when it says
/// where it stands.
#[test]
fn an_abort_stops_what_was_left_to_end_by_itself() {
    let session = intent().session;
    let mut this = Party::joined();
    assert!(matches!(this.started(9, 7)[..], [Effect::Launch(_)]));
    assert!(this.meets(Event::Finished(session)).is_empty());
    assert_eq!(this.0.live(), 1);
    let stopped = this.meets(Event::Aborted { session, attempt: FIRST });
    assert!(matches!(stopped[..], [Effect::Kill { attempt: FIRST, .. }, Effect::Over(_)]));
    assert_eq!(this.0.live(), 0);
    let again = this.meets(Event::Aborted { session, attempt: FIRST });
    assert_eq!(answers(&again), (vec![DropCause::StaleAttempt], vec![]));
}

#[test]
fn what_passes_by_itself_is_asked_again_with_the_next_attempt() {
    let session = intent().session;
    for (reason, is_asked) in [
        (DeclineReason::NotActive, true),
        (DeclineReason::Overloaded, true),
        (DeclineReason::NoShare, false),
    ] {
        let mut this = Party::new();
        assert!(matches!(this.invited(FIRST)[..], [Effect::Ask(_)]));
        let refused = this.meets(Event::Refused { session, reason });
        assert!(matches!(refused[..], [Effect::SendDecline { attempt: FIRST, .. }]), "{refused:?}");
        // The decline was lost.
        assert!(matches!(this.invited(FIRST)[..], [Effect::SendDecline { .. }]));
        match (this.invited(SECOND).as_slice(), is_asked) {
            ([Effect::Ask(_)], true) | ([Effect::SendDecline { .. }], false) => {}
            (effects, _) => panic!("{reason}: {effects:?}"),
        }
    }
}

/// What was said is not stored: a coordinator may hear it once in each life of a process.
#[test]
fn a_restarted_party_objects_again() {
    let wrong = (vec![DropCause::WrongJoins], vec![(FIRST, Objection::WrongJoins)]);
    let mut this = Party::joined();
    assert_eq!(answers(&this.started(8, 7)), wrong);
    let mut restarted = Party::new();
    restarted.meets(Event::Restored(this.1.into_iter().collect()));
    assert_eq!(answers(&restarted.started(8, 7)), wrong);
    assert!(matches!(restarted.started(9, 7)[..], [Effect::Launch(_)]));
}
