//! Performs the machine's effects as the coordinator does, and checks each.

use crate::events::failed;
use crate::ops::Op;
use itertools::Itertools;
use mpc_session::{
    ABSENCE_PATIENCE, Effect, Event, JOIN_PATIENCE, MAX_DETOURS, MAX_FAULTS, MAX_OBJECTIONS,
    Millis, Order, Phase, Record, Session, SessionEnd, Status,
};
use mpc_wire::{
    AccountId, Attempt, AttemptPlan, AuxId, DeclineReason, DerivationPath, Epoch, Identity, Intent,
    IntentKind, PartyId, Payload, PlanHash, PublicKey, RequestId, RoundHeader, Scheme, SessionId,
    Threshold, ToParty, UnixMillis,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

pub(crate) const PARTIES: usize = 3;
pub(crate) const KINDS: &[Purpose] =
    &[Purpose::Sign, Purpose::Keygen, Purpose::Aux, Purpose::Canary];
/// The plan of the shares that canaries are for.
pub(crate) const CANARY_PLAN: PlanHash = PlanHash::new([9; 32]);
pub(crate) const DEADLINE: Millis = Millis(100_000);

pub(crate) static IDENTITIES: LazyLock<Vec<Identity>> =
    LazyLock::new(|| (0..PARTIES).map(|n| Identity::from_seed(&[n as u8 + 1; 32])).collect());

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Sign,
    Keygen,
    Aux,
    Canary,
}

/// The machine and all that the world outside knows of it.
pub(crate) struct Harness {
    pub(crate) purpose: Purpose,
    pub(crate) session: Session,
    pub(crate) now: Millis,
    /// What a crash leaves.
    pub(crate) durable: Record,
    /// Who can be reached: a restart finds them as they are.
    pub(crate) online: BTreeSet<PartyId>,
    /// When each of the others went away, or the process that could have seen it was started.
    pub(crate) away: BTreeMap<PartyId, Millis>,
    /// Every plan that anybody was invited to.
    pub(crate) plans: BTreeMap<Attempt, AttemptPlan>,
    /// When the newest of them was told, or taken up again after a restart.
    planned_at: Millis,
    /// The attempts that were started, and when last; and those that were aborted.
    started: BTreeMap<Attempt, Millis>,
    aborted: BTreeSet<Attempt>,
    /// The attempts that were under way in a crash.
    taken_up: BTreeSet<Attempt>,
    pub(crate) reported: BTreeSet<(Attempt, PartyId)>,
    /// Who has said of which attempt that a person is to approve it.
    pub(crate) awaiting: BTreeSet<(Attempt, PartyId)>,
    ends: Vec<SessionEnd>,
    /// What parties were told since this was last cleared.
    told: Vec<(PartyId, ToParty)>,
    crash_after: Option<usize>,
}

impl Harness {
    pub(crate) fn open(purpose: Purpose, online: &[usize]) -> Self {
        let intent = intent(purpose);
        let online: Vec<_> = online.iter().map(|n| IDENTITIES[*n].party()).collect();
        let signs = matches!(purpose, Purpose::Sign | Purpose::Canary);
        let aux_id = signs.then(|| AuxId::new([4; 32]));
        let order = Order { intent, aux_id, deadline: DEADLINE, online: online.clone() };
        let (session, effects) = Session::open(order, Millis(0));
        let Some(Effect::Persist(record)) = effects.first() else {
            panic!("the first effect must store the session: {effects:?}");
        };
        let mut harness = Self {
            purpose,
            durable: (**record).clone(),
            session,
            now: Millis(0),
            online: online.into_iter().collect(),
            away: BTreeMap::new(),
            plans: BTreeMap::new(),
            planned_at: Millis(0),
            started: BTreeMap::new(),
            aborted: BTreeSet::new(),
            taken_up: BTreeSet::new(),
            reported: BTreeSet::new(),
            awaiting: BTreeSet::new(),
            ends: Vec::new(),
            told: Vec::new(),
            crash_after: None,
        };
        harness.perform(effects);
        harness.check();
        harness
    }

    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    pub(crate) fn party(&self, n: usize) -> PartyId {
        IDENTITIES[n].party()
    }

    /// Forgets what was told so far.
    pub(crate) fn clear_told(&mut self) {
        self.told.clear();
    }

    /// What the party was told since.
    pub(crate) fn told_to(&self, n: usize) -> Vec<ToParty> {
        let to = self.party(n);
        self.told.iter().filter(|(party, _)| *party == to).map(|(_, what)| what.clone()).collect()
    }

    /// What a crash would leave.
    pub(crate) fn durable(&self) -> &Record {
        &self.durable
    }

    /// The number of the `n`th member of the newest attempt.
    pub(crate) fn member(&self, n: usize) -> usize {
        let member = *self.session.status().quorum.iter().nth(n).unwrap();
        IDENTITIES.iter().position(|identity| identity.party() == member).unwrap()
    }

    pub(crate) fn step(&mut self, op: &Op) {
        if let Op::CrashAfter(effects) = op {
            self.crash_after = Some(*effects);
            return;
        }
        self.events(op).into_iter().for_each(|event| self.take(event));
    }

    /// Gives the machine an event, performs what follows, and checks what must hold then.
    pub(crate) fn take(&mut self, event: Event) {
        let is_tick = event == Event::Tick;
        let is_crash = self.crash_after.is_some();
        let failed_before = self.durable.past.len();
        let was_ended = self.session.ended().is_some();
        let effects = self.session.handle(event, self.now);
        assert!(
            !was_ended || effects.iter().all(is_answer),
            "an ended session does more than answer: {effects:?}"
        );
        let is_stale =
            |effect: &Effect| matches!(effect, Effect::Persist(record) if **record == self.durable);
        assert!(!effects.iter().any(is_stale), "stored again without news: {effects:?}");
        match self.crash_after.take() {
            Some(crash) => self.crash(effects, crash),
            None => self.perform(effects),
        }
        self.check();
        if is_tick && !is_crash {
            self.check_after_tick(failed_before);
        }
    }

    /// All members join and report until the session is over.
    pub(crate) fn run_honestly(&mut self) {
        self.crash_after = None;
        self.step(&Op::JoinAll);
        let quorum = self.session.status().quorum;
        for (n, identity) in IDENTITIES.iter().enumerate() {
            if quorum.contains(&identity.party()) && self.session.ended().is_none() {
                self.step(&Op::Product { from: n, valid: true, stale: false });
            }
        }
    }

    /// How many effects of a failure reported by `from` come before the next plan is told.
    pub(crate) fn effects_until_durable_of_failure(&self, from: usize) -> usize {
        let mut twin = self.session.clone();
        let outcome = failed(None);
        let event = self.outcome(from, self.session.status().attempt, outcome, true);
        let effects = twin.handle(event, self.now);
        1 + effects.iter().position(|effect| matches!(effect, Effect::Persist(_))).unwrap()
    }

    fn crash(&mut self, mut effects: Vec<Effect>, after: usize) {
        effects.truncate(after);
        self.perform(effects);
        self.planned_at = self.now;
        self.taken_up.insert(self.durable.attempt);
        // The parties say it again.
        self.awaiting.retain(|(attempt, _)| *attempt != self.durable.attempt);
        self.away.values_mut().for_each(|since| *since = self.now);
        let online = self.online.iter().copied().collect();
        let (session, effects) = Session::restore(self.durable.clone(), DEADLINE, online, self.now);
        self.session = session;
        self.perform(effects);
    }

    /// The process dies between events and finds its record, or a changed one.
    pub(crate) fn restart_with(&mut self, change: impl FnOnce(&mut Record)) {
        change(&mut self.durable);
        self.crash(Vec::new(), 0);
        self.check();
    }

    /// Performs effects in order, and checks that each may be performed there.
    fn perform(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Persist(record) => {
                    assert!(record.attempt >= self.durable.attempt);
                    assert!(self.durable.end.is_none() || record.end == self.durable.end);
                    // What was said once stays said.
                    assert!(record.objections.is_superset(&self.durable.objections));
                    assert!(record.objections.len() <= MAX_OBJECTIONS);
                    assert!(
                        self.durable
                            .declines
                            .iter()
                            .all(|(party, reason)| { record.declines.get(party) == Some(reason) })
                    );
                    self.durable = *record;
                }
                Effect::Send { to, message } => self.told(to, *message),
                Effect::End(end) => {
                    assert_eq!(self.durable.end.as_ref(), Some(&end), "told before stored");
                    self.ends.push(end);
                    assert_eq!(self.ends.len(), 1, "ended twice");
                }
                Effect::Drop { .. } => {}
            }
        }
    }

    fn told(&mut self, to: PartyId, message: ToParty) {
        self.told.push((to, message.clone()));
        match message {
            ToParty::Invite { intent, plan } => {
                assert_eq!(intent, self.durable.intent);
                assert_eq!(plan.intent_hash, intent.hash());
                assert_eq!(plan.quorum.len(), intent.quorum_size());
                assert!(plan.quorum.contains(&to) && plan.quorum.is_subset(&intent.eligible));
                // Stored before it is told.
                assert_eq!(self.durable.attempt, plan.attempt);
                assert_eq!(self.durable.quorum, plan.quorum);
                assert!(self.durable.end.is_none());
                // One number, one plan; and numbers only grow.
                let newest = self.plans.last_key_value().map(|(attempt, _)| *attempt);
                if newest != Some(plan.attempt) {
                    self.planned_at = self.now;
                }
                let known = self.plans.entry(plan.attempt).or_insert_with(|| plan.clone());
                assert_eq!(*known, plan, "an attempt's number was used again");
                assert!(newest.is_none_or(|newest| plan.attempt >= newest));
            }
            ToParty::Started { attempt, joins, .. } => {
                let plan = &self.plans[&attempt];
                let members: BTreeSet<_> = joins.iter().map(|join| join.member).collect();
                assert_eq!(members, plan.quorum, "started without the joins of its quorum");
                assert_eq!(joins.len(), plan.quorum.len());
                for join in &joins {
                    assert_eq!(join.verify().unwrap().plan_hash(), plan.hash());
                }
                assert!(plan.quorum.contains(&to));
                assert_eq!(Some(&attempt), self.plans.last_key_value().map(|(k, _)| k));
                assert!(!self.aborted.contains(&attempt));
                self.started.insert(attempt, self.now);
            }
            ToParty::Round(envelope) => {
                let RoundHeader { from, to: recipient, attempt, .. } = envelope.header;
                let plan = &self.plans[&attempt];
                assert!(
                    to == recipient && plan.quorum.contains(&to) && plan.quorum.contains(&from)
                );
                let is_started =
                    self.started.contains_key(&attempt) || self.taken_up.contains(&attempt);
                assert!(is_started && !self.aborted.contains(&attempt));
            }
            ToParty::Ack(ack) => {
                let plan = &self.plans[&ack.attempt];
                assert!(to == ack.to && plan.quorum.contains(&to));
                assert!(plan.quorum.contains(&ack.from) && !self.aborted.contains(&ack.attempt));
            }
            ToParty::Abort { attempt, .. } => {
                let is_over = self.durable.attempt != attempt || self.durable.quorum.is_empty();
                assert!(is_over, "a crash would invite to it again");
                assert!(self.plans[&attempt].quorum.contains(&to));
                self.aborted.insert(attempt);
            }
            ToParty::Finished { .. } => {
                assert!(self.durable.end.is_some(), "told to forget before the end was stored");
            }
            ToParty::Challenge(_)
            | ToParty::Welcome { .. }
            | ToParty::AuditHead(_)
            | ToParty::Inquiry(_)
            | ToParty::Testimony(_)
            | ToParty::Ban(_)
            | ToParty::SessionRequested { .. }
            | ToParty::Activate { .. }
            | ToParty::Attest { .. }
            | ToParty::Discard(_)
            | ToParty::Error { .. } => panic!("not the machine's to say: {message:?}"),
        }
    }

    /// What must hold between events.
    fn check(&self) {
        let status = self.session.status();
        assert_eq!(self.durable, self.session.record(), "a crash would lose something");
        assert!(status.attempt.0 <= mpc_session::MAX_ATTEMPTS);
        assert_eq!(self.session.ended().is_some(), status.phase == Phase::Ended);
        match self.session.wake_at() {
            None => assert_eq!(status.phase, Phase::Ended),
            Some(at) => assert!(at <= DEADLINE && status.phase != Phase::Ended),
        }
        match status.phase {
            // Whoever could be asked has declined or is away.
            Phase::WaitingForParties => assert!(!status.waiting_for.is_empty()),
            Phase::Joining | Phase::WaitingForApproval => {
                let is_away = |party: &PartyId| !self.online.contains(party);
                let is_missed = |party: &PartyId| {
                    is_away(party) && !self.awaiting.contains(&(status.attempt, *party))
                };
                assert!(!status.waiting_for.iter().any(is_missed));
                let awaits = |party: &PartyId| self.awaiting.contains(&(status.attempt, *party));
                let is_patient = status.waiting_for.iter().all(awaits);
                assert_eq!(status.phase == Phase::WaitingForApproval, is_patient);
                // Patience with the others ends before the deadline.
                let patience_ends = self.planned_at.after(JOIN_PATIENCE).min(DEADLINE);
                let wake_at = self.session.wake_at();
                assert!(wake_at <= Some(patience_ends) || is_patient);
            }
            Phase::Running | Phase::Ended => {}
        }
    }

    /// What must hold once the machine has been told the time.
    fn check_after_tick(&self, failed_before: usize) {
        assert!(self.session.wake_at().is_none_or(|at| at > self.now), "woken for nothing");
        let failed = self.durable.past.iter().skip(failed_before);
        // Behind the start nobody waits for a person any more.
        for past in failed.filter(|past| !self.started.contains_key(&past.attempt)) {
            let blamed = past.parties.iter().map(|party| (past.attempt, *party));
            assert!(
                blamed.into_iter().all(|member| !self.awaiting.contains(&member)),
                "a person's time was held against the party: {past:?}"
            );
        }
        let Status { phase, attempt, quorum, .. } = self.session.status();
        if phase == Phase::Running {
            // Who has reported is no longer needed.
            let is_missed = |party: &&PartyId| !self.reported.contains(&(attempt, **party));
            let is_long = |party: &PartyId| {
                let since = self.away.get(party).copied();
                since
                    .max(since.and(self.started.get(&attempt).copied()))
                    .is_some_and(|since| self.now >= since.after(ABSENCE_PATIENCE))
            };
            assert!(
                !quorum.iter().filter(is_missed).any(is_long) || !self.is_possible(&self.online),
                "waits for somebody who is away although others would do"
            );
        }
        let is_joining = matches!(phase, Phase::Joining | Phase::WaitingForApproval);
        if is_joining && self.now >= self.planned_at.after(JOIN_PATIENCE) {
            assert_eq!(phase, Phase::WaitingForApproval, "waits for more than persons");
            let mut prompt = self.online.clone();
            prompt.retain(|party| !self.awaiting.iter().any(|(_, awaiting)| awaiting == party));
            let past = &self.durable.past;
            let is_spent = past.iter().filter(|past| past.made_way()).count() >= MAX_DETOURS
                || past.iter().filter(|past| !past.kind.is_passing()).count() + 1 >= MAX_FAULTS;
            assert!(
                !self.is_possible(&prompt) || is_spent,
                "waits for a person although others would do"
            );
        }
    }

    /// Whether a quorum of these parties would do: none that somebody has refused as a whole, and
    /// of nobody who refuses, or may be left alone for a while because it has declined before.
    fn is_possible(&self, parties: &BTreeSet<PartyId>) -> bool {
        let past = &self.durable.past;
        let may_rest = |party: &PartyId| {
            past.iter().any(|past| past.declined.is_some() && past.suspects.contains(party))
        };
        let is_willing =
            |party: &&PartyId| !self.durable.declines.contains_key(party) && !may_rest(party);
        let willing: Vec<_> = parties.iter().filter(is_willing).copied().collect();
        let size = self.durable.intent.quorum_size();
        let is_refused = |quorum: &BTreeSet<PartyId>| {
            past.iter()
                .any(|past| past.declined == Some(DeclineReason::Banned) && past.quorum == *quorum)
        };
        willing
            .into_iter()
            .combinations(size)
            .any(|quorum| !is_refused(&quorum.into_iter().collect()))
    }
}

/// Whether an ended session may still do it.
fn is_answer(effect: &Effect) -> bool {
    match effect {
        Effect::Drop { .. } => true,
        Effect::Send { message, .. } => {
            matches!(**message, ToParty::Finished { .. } | ToParty::Abort { .. })
        }
        Effect::Persist(_) | Effect::End(_) => false,
    }
}

fn intent(purpose: Purpose) -> Intent {
    let (scheme, account) = (Scheme::EcdsaCggmp24, AccountId::generate());
    let kind = match purpose {
        Purpose::Sign | Purpose::Canary => IntentKind::Sign {
            account,
            epoch: Epoch(1),
            scheme,
            threshold: Threshold(2),
            public_key: PublicKey::new([2; 33]),
            path: DerivationPath::default(),
            payload: match purpose {
                Purpose::Canary => Payload::Canary { plan: CANARY_PLAN },
                Purpose::Sign | Purpose::Keygen | Purpose::Aux => Payload::Digest([3; 32]),
            },
            authorization: None,
        },
        Purpose::Keygen => IntentKind::Keygen { account, scheme, threshold: Threshold(2) },
        Purpose::Aux => IntentKind::Aux { scheme },
    };
    Intent {
        session: SessionId::generate(),
        request: RequestId::generate(),
        eligible: IDENTITIES.iter().map(Identity::party).collect(),
        expires_at: UnixMillis(1),
        kind,
    }
}
