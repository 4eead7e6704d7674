//! What has happened to each session, in all lives of all processes, and whether it may.

use crate::cast::{OrderNo, bits, name};
use crate::engine::verified;
use crate::invariant::{Breach, Invariant};
use crate::time::Moment;
use mpc_pending::record::StoredProgress;
use mpc_session::{SessionEnd, SessionProduct};
use mpc_wire::{
    Attempt, AttemptPlan, Intent, Objection, PartyId, PlanHash, SessionId, SignedJoin, ToParty,
};
use std::collections::{BTreeMap, BTreeSet};

/// Time, in milliseconds, that a session needs behind the last fault to complete for certain: an
/// attempt that is dead without anybody having said so counts as stuck after half of what was left,
/// and the other half must do for the next one.
pub const RECOVERY: u64 = 60_000;

/// How long, in milliseconds, a session may take behind the last fault: members have ten seconds to
/// join, and what was lost is said again every few seconds.
pub const PROMPTNESS: u64 = 15_000;

/// How much later than its deadline, in milliseconds, a session may end.
pub const PUNCTUALITY: u64 = 1_000;

/// All that is known of a session from outside.
#[derive(Debug)]
pub struct Case {
    /// Which order it is for.
    pub order: OrderNo,
    /// What it is for; none before it is opened.
    pub intent: Option<Intent>,
    /// When it was opened, and by when it must be over.
    pub opened: Option<(Moment, Moment)>,
    /// When and how it ended.
    pub end: Option<(Moment, SessionEnd)>,
    /// In how many attempts.
    pub attempts: Attempt,
    /// Whether it was asked for, and the coordinator never heard of it.
    pub is_unheard: bool,
    plans: BTreeMap<Attempt, PlanHash>,
    started: BTreeSet<Attempt>,
    consents: BTreeSet<PartyId>,
    /// Who has launched which attempts.
    pub launched: BTreeSet<(Attempt, PartyId)>,
    reported: BTreeSet<(Attempt, PartyId)>,
}

/// The ledger of a world.
#[derive(Debug, Default)]
pub struct Ledger {
    cases: BTreeMap<SessionId, Case>,
    /// How many sessions have not ended.
    pub open: usize,
    /// The last time when something went wrong.
    pub disturbed: Moment,
    /// Whether anything ever has.
    pub is_disturbed: bool,
    breach: Option<Breach>,
    /// How many events there were.
    pub steps: u64,
}

impl Ledger {
    /// Notes that an invariant does not hold. Only the first breach counts: what follows may follow
    /// from it.
    pub fn must(
        &mut self,
        holds: bool,
        invariant: Invariant,
        session: impl Into<Option<SessionId>>,
        now: Moment,
        how: impl FnOnce() -> String,
    ) {
        if !holds && self.breach.is_none() {
            self.breach = Some(Breach {
                invariant,
                session: session.into(),
                how: how(),
                step: self.steps,
                at: now.0,
            });
        }
    }

    /// The first breach.
    pub fn breach(&self) -> Option<&Breach> {
        self.breach.as_ref()
    }

    /// Every session, with what is known of it.
    pub fn cases(&self) -> impl Iterator<Item = (&SessionId, &Case)> {
        self.cases.iter()
    }

    /// What is known of a session.
    pub fn case(&self, session: SessionId) -> Option<&Case> {
        self.cases.get(&session)
    }

    /// Something goes wrong, until then.
    pub fn disturb(&mut self, until: Moment) {
        self.disturbed = self.disturbed.max(until);
        self.is_disturbed = true;
    }

    /// Somebody wants a session.
    pub fn ordered(&mut self, session: SessionId, order: OrderNo) {
        self.open += 1;
        self.cases.insert(
            session,
            Case {
                order,
                intent: None,
                opened: None,
                end: None,
                attempts: Attempt::default(),
                is_unheard: false,
                plans: BTreeMap::new(),
                started: BTreeSet::new(),
                consents: BTreeSet::new(),
                launched: BTreeSet::new(),
                reported: BTreeSet::new(),
            },
        );
    }

    /// The coordinator has stored a new session.
    pub fn opened(&mut self, intent: &Intent, now: Moment, deadline: Moment) {
        if let Some(case) = self.cases.get_mut(&intent.session)
            && case.opened.is_none()
        {
            case.intent = Some(intent.clone());
            case.opened = Some((now, deadline));
            self.open += usize::from(std::mem::take(&mut case.is_unheard));
        }
    }

    /// A party had asked for a session, and the coordinator does not know of it.
    pub fn unheard(&mut self, session: SessionId) {
        if let Some(case) = self.cases.get_mut(&session)
            && !std::mem::replace(&mut case.is_unheard, true)
        {
            self.open = self.open.saturating_sub(1);
        }
    }

    /// The coordinator has stored a record over the one before.
    pub fn stored(
        &mut self,
        before: Option<&mpc_session::Record>,
        record: &mpc_session::Record,
        now: Moment,
    ) {
        let session = record.intent.session;
        if let Some(before) = before {
            let is_kept = before.end.is_none() || record.end == before.end;
            self.must(is_kept, Invariant::OneEnd, session, now, || {
                format!("it ended as {:?} and then as {:?}", before.end, record.end)
            });
            let grows = record.attempt >= before.attempt
                && record.past.len() >= before.past.len()
                && record.declines.len() >= before.declines.len();
            self.must(grows, Invariant::NothingUndone, session, now, || {
                format!("the coordinator forgets: {before:?}, then {record:?}")
            });
        }
        let past_faults = record.past.iter().find(|past| !past.kind.is_passing());
        let blamed = past_faults.map(|past| format!("{past:?}"));
        self.must(blamed.is_none(), Invariant::NobodyBlamed, session, now, || {
            blamed.unwrap_or_default()
        });
        if let Some(end) = &record.end {
            self.ended(session, end, record.attempt, now);
        }
    }

    fn ended(&mut self, session: SessionId, end: &SessionEnd, attempts: Attempt, now: Moment) {
        let disturbed = self.disturbed;
        let Some(case) = self.cases.get_mut(&session) else { return };
        if case.end.is_some() {
            return;
        }
        case.end = Some((now, end.clone()));
        case.attempts = attempts;
        self.open = self.open.saturating_sub(1);
        let Some((opened, deadline)) = case.opened else { return };
        let calm_since = disturbed.max(opened);
        // One member's word is enough for a signature. An aux set needs everybody's, and a member that
        // died behind its end cannot repeat what another one lacks: that takes as long as it takes
        // until the attempt counts as stuck.
        let may_be_prompt = matches!(end, SessionEnd::Completed(SessionProduct::Signature { .. }));
        let had_time = deadline.since(calm_since) >= RECOVERY;
        let fault = match end {
            SessionEnd::Completed(product) => is_untrue(case, product),
            SessionEnd::Failed(_) | SessionEnd::Expired { .. } | SessionEnd::Cancelled => None,
        };
        let may_recover = match end {
            SessionEnd::Expired { .. } => !had_time,
            SessionEnd::Failed(failure) => match failure.reason {
                mpc_session::FailureReason::Declined(_) => true,
                mpc_session::FailureReason::AttemptsExhausted(_) => {
                    now.since(calm_since) < RECOVERY
                }
                mpc_session::FailureReason::ResultsDiffer => false,
            },
            SessionEnd::Completed(_) | SessionEnd::Cancelled => true,
        };
        self.must(fault.is_none(), Invariant::TrueProduct, session, now, || {
            format!("{end:?}: {}", fault.unwrap_or_default())
        });
        let is_slow = may_be_prompt && now.since(calm_since) > PROMPTNESS;
        self.must(!is_slow, Invariant::RecoversSoon, session, now, || {
            format!("the last fault was at {} ms", calm_since.0)
        });
        self.must(may_recover, Invariant::Recovers, session, now, || {
            format!(
                "the last fault was at {} ms, the deadline is at {} ms, and it ends as {end:?}",
                calm_since.0, deadline.0
            )
        });
    }

    /// The coordinator tells a party something, when this is stored of the session.
    pub fn told(
        &mut self,
        to: PartyId,
        message: &ToParty,
        stored: Option<&mpc_session::Record>,
        now: Moment,
    ) {
        match message {
            ToParty::Invite { intent, plan } => self.invited(to, intent, plan, stored, now),
            ToParty::Started { session, attempt, joins } => {
                let hash =
                    self.cases.get(session).and_then(|case| case.plans.get(attempt)).copied();
                let fits = joins.iter().all(|join| Some(join.plan_hash) == hash);
                self.must(fits, Invariant::LaunchedAsAgreed, *session, now, || {
                    format!("attempt {attempt} is started with joins of another plan")
                });
                if let Some(case) = self.cases.get_mut(session) {
                    case.started.insert(*attempt);
                }
            }
            ToParty::Finished { session } => {
                let is_over = stored.is_none_or(|record| record.end.is_some());
                self.must(is_over, Invariant::StoredBeforeTold, *session, now, || {
                    format!("{} is told to forget a session that has not ended", name(to))
                });
            }
            ToParty::Round(_)
            | ToParty::Ack(_)
            | ToParty::Abort { .. }
            | ToParty::SessionRequested { .. }
            | ToParty::Challenge(_)
            | ToParty::Welcome { .. }
            | ToParty::AuditHead(_)
            | ToParty::Inquiry(_)
            | ToParty::Testimony(_)
            | ToParty::Ban(_)
            | ToParty::Error { .. }
            | ToParty::Activate { .. }
            | ToParty::Attest { .. }
            | ToParty::Discard(_) => {}
        }
    }

    fn invited(
        &mut self,
        to: PartyId,
        intent: &Intent,
        plan: &AttemptPlan,
        stored: Option<&mpc_session::Record>,
        now: Moment,
    ) {
        let session = plan.session;
        let is_stored = stored.is_some_and(|record| {
            record.intent == *intent
                && record.attempt == plan.attempt
                && record.quorum == plan.quorum
        });
        self.must(is_stored, Invariant::StoredBeforeTold, session, now, || {
            format!("{} is invited to {plan:?}, and this is stored: {stored:?}", name(to))
        });
        let hash = plan.hash();
        let Some(case) = self.cases.get_mut(&session) else { return };
        let known = *case.plans.entry(plan.attempt).or_insert(hash);
        self.must(known == hash, Invariant::OnePlan, session, now, || {
            format!("attempt {} has two plans", plan.attempt)
        });
    }

    /// The requester hears of the end, when this is stored of the session.
    pub fn heard(
        &mut self,
        session: SessionId,
        end: &SessionEnd,
        stored: Option<&mpc_session::Record>,
        now: Moment,
    ) {
        let is_stored = stored.is_some_and(|record| record.end.as_ref() == Some(end));
        self.must(is_stored, Invariant::StoredBeforeTold, session, now, || {
            format!("the requester hears of {end:?}, and this is stored: {stored:?}")
        });
    }

    /// A party has reported how an attempt ended; says whether it had before.
    pub fn reported(&mut self, session: SessionId, attempt: Attempt, from: PartyId) -> bool {
        self.cases.get_mut(&session).is_some_and(|case| !case.reported.insert((attempt, from)))
    }

    /// A party objects: nobody here has given it cause to.
    pub fn objected(&mut self, by: PartyId, session: SessionId, objection: Objection, now: Moment) {
        self.must(false, Invariant::NobodyBlamed, session, now, || {
            format!("{} objects: {objection}", name(by))
        });
    }

    /// A party's policy, or a person, has agreed.
    pub fn consented(&mut self, party: PartyId, session: SessionId) {
        if let Some(case) = self.cases.get_mut(&session) {
            case.consents.insert(party);
        }
    }

    /// A party launches an attempt.
    pub fn launched<'a>(
        &mut self,
        party: PartyId,
        plan: &AttemptPlan,
        joins: impl Iterator<Item = &'a SignedJoin>,
        now: Moment,
    ) {
        let AttemptPlan { session, attempt, .. } = *plan;
        let hash = plan.hash();
        let Some(case) = self.cases.get_mut(&session) else { return };
        let is_first = case.launched.insert((attempt, party));
        let is_planned = case.plans.get(&attempt) == Some(&hash);
        let is_agreed = is_planned
            && case.consents.contains(&party)
            && case.started.contains(&attempt)
            && joins
                .map(|join| (join.member, join.plan_hash))
                .eq(plan.quorum.iter().map(|member| (*member, hash)));
        self.must(is_first, Invariant::LaunchedOnce, session, now, || {
            format!("{} launches attempt {attempt} once more", name(party))
        });
        self.must(is_agreed, Invariant::LaunchedAsAgreed, session, now, || {
            format!("{} launches attempt {attempt}", name(party))
        });
    }

    /// A party has stored a record over the one before.
    pub fn party_stored(
        &mut self,
        party: PartyId,
        before: Option<&mpc_pending::Record>,
        record: &mpc_pending::Record,
        now: Moment,
    ) {
        let Some(before) = before else { return };
        let is_kept = record.floor >= before.floor
            && reached(record) >= reached(before)
            && may_follow(&before.progress, &record.progress);
        self.must(is_kept, Invariant::NothingUndone, record.intent.session, now, || {
            format!("{} forgets: {:?}, then {:?}", name(party), before.progress, record.progress)
        });
    }

    /// A party tells its coordinator of an attempt, or launches it, when this is stored of the
    /// session: that must say so, or have gone on since.
    pub fn party_told(
        &mut self,
        party: PartyId,
        (session, attempt): (SessionId, Attempt),
        stored: Option<&mpc_pending::Record>,
        says_so: impl FnOnce(&StoredProgress) -> bool,
        now: Moment,
    ) {
        let is_stored = stored.is_some_and(|record| {
            reached(record) > Reached(attempt, Depth::End) || says_so(&record.progress)
        });
        self.must(is_stored, Invariant::StoredBeforeTold, session, now, || {
            let stored = stored.map(|record| &record.progress);
            format!("{} speaks of attempt {attempt}, and this is stored: {stored:?}", name(party))
        });
    }
}

/// Why a product is not what it should be, if it is not.
fn is_untrue(case: &Case, product: &SessionProduct) -> Option<String> {
    let intent = case.intent.as_ref()?;
    match product {
        SessionProduct::Signature { signature, signers } => {
            let Some((attempt, by)) = verified(intent, signature) else {
                return Some("the signature is for something else".to_owned());
            };
            let claimed = bits(&intent.eligible, signers);
            let were_launched =
                signers.iter().all(|party| case.launched.contains(&(attempt, *party)));
            if claimed != by {
                Some(format!("the signature of attempt {attempt} is by others"))
            } else {
                (!were_launched).then(|| format!("not all signers launched attempt {attempt}"))
            }
        }
        SessionProduct::Aux { aux_id } => {
            (*aux_id != crate::cast::AUX).then(|| "another aux set".to_owned())
        }
        SessionProduct::Key { .. } | SessionProduct::Canary { .. } => {
            Some("nobody has asked for this".to_owned())
        }
    }
}

/// How far a party is with a session, as it has stored that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Reached(Attempt, Depth);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Depth {
    Join,
    Launch,
    End,
    Over,
}

fn reached(record: &mpc_pending::Record) -> Reached {
    match &record.progress {
        StoredProgress::Idle => Reached(record.floor, Depth::End),
        StoredProgress::Joined { plan, .. } => Reached(plan.attempt, Depth::Join),
        StoredProgress::Launched { plan, .. } => Reached(plan.attempt, Depth::Launch),
        StoredProgress::Ended { attempt, .. } => Reached(*attempt, Depth::End),
        StoredProgress::Over => Reached(Attempt(u32::MAX), Depth::Over),
    }
}

/// Whether the one may be stored over the other, of which it is known to be no step back.
fn may_follow(before: &StoredProgress, after: &StoredProgress) -> bool {
    match (before, after) {
        (
            StoredProgress::Joined { plan, prepared },
            StoredProgress::Joined { plan: next, prepared: other },
        ) => plan.attempt != next.attempt || prepared == other,
        (
            StoredProgress::Idle
            | StoredProgress::Joined { .. }
            | StoredProgress::Launched { .. }
            | StoredProgress::Ended { .. }
            | StoredProgress::Over,
            _,
        ) => true,
    }
}
