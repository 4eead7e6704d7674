//! The ledger sees what must not be: each invariant that needs no world to be broken is broken here.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use mpc_pending::record::{StoredConsent, StoredProgress};
use mpc_session::SessionEnd;
use mpc_simulation::cast::{OrderNo, identities, orders, parties};
use mpc_simulation::dice::Dice;
use mpc_simulation::invariant::Invariant;
use mpc_simulation::ledger::Ledger;
use mpc_simulation::profile::Profile;
use mpc_simulation::time::Moment;
use mpc_wire::{Attempt, AttemptPlan, Intent, Nonce, PartyId, SignedJoin, ToParty, UnixMillis};
use std::collections::{BTreeMap, BTreeSet};

const NOW: Moment = Moment(5_000);

/// A session that is wanted, and the plan of its first attempt.
struct Fixture {
    ledger: Ledger,
    intent: Intent,
    plan: AttemptPlan,
    joins: Vec<SignedJoin>,
}

impl Fixture {
    fn new() -> Self {
        let habits = Profile::Calm.weather().habits;
        let order = orders(1, &habits, &mut Dice::new(1)).remove(0);
        let intent = order.intent(UnixMillis(1));
        let quorum: BTreeSet<_> = intent.eligible.iter().take(2).copied().collect();
        let plan = AttemptPlan {
            session: intent.session,
            intent_hash: intent.hash(),
            attempt: Attempt(1),
            quorum: quorum.clone(),
            aux_id: None,
        };
        let nonce = Nonce::new([7; 32]);
        let members = quorum
            .iter()
            .map(|member| identities().find(|identity| identity.party() == *member).unwrap());
        let joins =
            members.map(|member| SignedJoin::sign(member, plan.hash(), nonce, [0; 32])).collect();
        let mut ledger = Ledger::default();
        ledger.ordered(intent.session, OrderNo(0));
        ledger.opened(&intent, NOW, NOW.after(1_000));
        Self { ledger, intent, plan, joins }
    }

    fn member(&self) -> PartyId {
        *self.plan.quorum.first().unwrap()
    }

    fn record(&self, end: Option<SessionEnd>) -> mpc_session::Record {
        mpc_session::Record {
            intent: self.intent.clone(),
            aux_id: None,
            attempt: Attempt(1),
            quorum: self.plan.quorum.clone(),
            past: Vec::new(),
            declines: BTreeMap::new(),
            objections: BTreeSet::new(),
            end,
        }
    }

    fn invite(&mut self, stored: Option<&mpc_session::Record>) {
        let invite = ToParty::Invite { intent: self.intent.clone(), plan: self.plan.clone() };
        self.ledger.told(self.member(), &invite, stored, NOW);
    }

    /// All members join, and are told of the start.
    fn start(&mut self) {
        let record = self.record(None);
        self.invite(Some(&record));
        let (session, attempt) = (self.plan.session, self.plan.attempt);
        let started = ToParty::Started { session, attempt, joins: self.joins.clone() };
        self.ledger.told(self.member(), &started, Some(&record), NOW);
    }

    fn launch(&mut self) {
        let member = self.member();
        self.ledger.launched(member, &self.plan, self.joins.iter(), NOW);
    }

    fn broken(&self) -> Option<Invariant> {
        self.ledger.breach().map(|breach| breach.invariant)
    }
}

#[test]
fn an_attempt_is_launched_once() {
    let mut case = Fixture::new();
    case.start();
    let member = case.member();
    case.ledger.consented(member, case.plan.session);
    case.launch();
    assert_eq!(case.broken(), None);
    case.launch();
    assert_eq!(case.broken(), Some(Invariant::LaunchedOnce));
}

#[test]
fn nothing_is_launched_without_consent_or_start_or_by_other_joins() {
    let mut unasked = Fixture::new();
    unasked.start();
    unasked.launch();
    assert_eq!(unasked.broken(), Some(Invariant::LaunchedAsAgreed));

    let mut unstarted = Fixture::new();
    let (member, record) = (unstarted.member(), unstarted.record(None));
    unstarted.ledger.consented(member, unstarted.plan.session);
    unstarted.invite(Some(&record));
    unstarted.launch();
    assert_eq!(unstarted.broken(), Some(Invariant::LaunchedAsAgreed));

    let mut incomplete = Fixture::new();
    incomplete.ledger.consented(member, incomplete.plan.session);
    incomplete.start();
    incomplete.joins.truncate(1);
    incomplete.launch();
    assert_eq!(incomplete.broken(), Some(Invariant::LaunchedAsAgreed));
}

#[test]
fn an_invitation_is_stored_before_it_is_told() {
    let mut case = Fixture::new();
    let record = case.record(None);
    case.invite(Some(&record));
    assert_eq!(case.broken(), None);
    case.invite(None);
    assert_eq!(case.broken(), Some(Invariant::StoredBeforeTold));
}

#[test]
fn an_attempt_has_one_plan() {
    let mut case = Fixture::new();
    let record = case.record(None);
    case.invite(Some(&record));
    case.plan.quorum =
        parties().filter(|party| case.intent.eligible.contains(party)).skip(1).collect();
    let record = case.record(None);
    case.invite(Some(&record));
    assert_eq!(case.broken(), Some(Invariant::OnePlan));
}

#[test]
fn a_session_ends_once() {
    let mut case = Fixture::new();
    let [open, cancelled] = [None, Some(SessionEnd::Cancelled)].map(|end| case.record(end));
    let expired = case.record(Some(SessionEnd::Expired { waiting_for: BTreeSet::new() }));
    case.ledger.stored(Some(&open), &cancelled, NOW);
    case.ledger.stored(Some(&cancelled), &cancelled, NOW);
    assert_eq!(case.broken(), None);
    case.ledger.stored(Some(&cancelled), &expired, NOW);
    assert_eq!(case.broken(), Some(Invariant::OneEnd));
}

#[test]
fn what_a_party_has_stored_is_not_undone() {
    let mut case = Fixture::new();
    let record = |floor| mpc_pending::Record {
        intent: case.intent.clone(),
        consent: StoredConsent::Approved,
        floor: Attempt(floor),
        progress: StoredProgress::Idle,
    };
    let (older, newer) = (record(1), record(2));
    let member = case.member();
    case.ledger.party_stored(member, Some(&older), &newer, NOW);
    assert_eq!(case.broken(), None);
    case.ledger.party_stored(member, Some(&newer), &older, NOW);
    assert_eq!(case.broken(), Some(Invariant::NothingUndone));
}

#[test]
fn a_party_speaks_of_what_it_has_stored() {
    let mut case = Fixture::new();
    let member = case.member();
    let key = (case.plan.session, Attempt(1));
    let record = mpc_pending::Record {
        intent: case.intent.clone(),
        consent: StoredConsent::Approved,
        floor: Attempt(2),
        progress: StoredProgress::Idle,
    };
    // It has gone on since.
    case.ledger.party_told(member, key, Some(&record), |_| false, NOW);
    assert_eq!(case.broken(), None);
    case.ledger.party_told(member, key, None, |_| true, NOW);
    assert_eq!(case.broken(), Some(Invariant::StoredBeforeTold));
}

/// A session that expires although it had a minute of calm, and one that had none.
#[test]
fn who_has_time_recovers() {
    for (life, broken) in [(59_000, None), (61_000, Some(Invariant::Recovers))] {
        let mut case = Fixture::new();
        case.ledger = Ledger::default();
        case.ledger.ordered(case.intent.session, OrderNo(0));
        case.ledger.opened(&case.intent, NOW, NOW.after(life));
        let expired = case.record(Some(SessionEnd::Expired { waiting_for: BTreeSet::new() }));
        case.ledger.stored(None, &expired, NOW.after(life));
        assert_eq!(case.broken(), broken);
    }
}
