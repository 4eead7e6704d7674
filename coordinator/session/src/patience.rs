//! How long is waited for what. Sessions end by their deadline in any case; all of this is to make an
//! attempt that leads nowhere make way for another one in time.

use crate::Millis;
use crate::attempt::Fault;
use crate::effect::Effect;
use crate::session::Session;
use crate::state::{Joining, Origin, Running, State};
use mpc_wire::{AttemptFailure, FailureKind, PartyId};
use std::collections::{BTreeMap, BTreeSet};

/// How long, in milliseconds, invited parties have to join: a join costs them a signature and one
/// durable write.
pub const JOIN_PATIENCE: u64 = 10_000;

/// How long, in milliseconds, until members that have not answered are invited again.
pub const REMINDER: u64 = 2_000;

/// How long, in milliseconds, a running attempt waits for a member that cannot be reached while
/// others could take its place: a party that has only lost its socket is back within that. Absences
/// add up until the attempt goes on.
pub const ABSENCE_PATIENCE: u64 = 3_000;

/// Shortest time, in milliseconds, after which an attempt in which no member goes on counts as
/// stuck: an AuxGen round takes some ten seconds of CPU time, more on a busy machine.
pub const ROUND_PATIENCE: u64 = 20_000;

impl Session {
    /// When an attempt counts as stuck that has gone on just now: half of the session's time is for
    /// one round, the rest for another attempt. Where many sessions share few CPUs rounds take long
    /// without anything being wrong.
    pub(crate) fn stuck_at(&self, now: Millis) -> Millis {
        let left = self.deadline.0.saturating_sub(now.0);
        now.after(ROUND_PATIENCE.max(left / 2))
    }

    /// Takes note that a member cannot be reached.
    pub(crate) fn offline(&mut self, party: PartyId, now: Millis, effects: &mut Vec<Effect>) {
        self.candidates.set_offline(party);
        match &mut self.state {
            State::Joining(_) => self.replace_absent(now, effects),
            State::Running(running) if running.plan.quorum.contains(&party) => {
                running.away.entry(party).or_insert(now);
            }
            State::Gathering(_) | State::Running(_) | State::Ended(_) => {}
        }
    }

    /// Gives an attempt up that waits for the joins of members that cannot be reached, if there are
    /// others to ask: nothing is lost yet. Else they are invited again when they are back. One that is
    /// taken up may run in members that have not reconnected yet: they have the time of any other.
    pub(crate) fn replace_absent(&mut self, now: Millis, effects: &mut Vec<Effect>) {
        let State::Joining(joining @ Joining { origin: Origin::Planned, .. }) = &self.state else {
            return;
        };
        let is_absent = |party: &PartyId| !self.candidates.is_online(*party);
        let absent: BTreeSet<_> = joining.plan.quorum.iter().copied().filter(is_absent).collect();
        if !absent.is_empty() && self.has_replacement() {
            self.lost(absent, now, effects);
        }
    }

    /// Takes note that a member can be reached again: what it may have missed is said again, and
    /// the attempt goes on.
    pub(crate) fn is_back(
        &mut self,
        party: PartyId,
        could_be_replaced: bool,
        now: Millis,
        effects: &mut Vec<Effect>,
    ) {
        match &mut self.state {
            State::Joining(joining) if joining.missing().contains(&party) => {
                effects.push(self.invitation(party));
            }
            State::Running(running) => {
                if running.is_back(party, now, could_be_replaced) {
                    self.start_again(party, effects);
                }
            }
            State::Gathering(_) | State::Joining(_) | State::Ended(_) => {}
        }
    }

    /// When the machine wants its next [`crate::Event::Tick`], at the latest.
    pub fn wake_at(&self) -> Option<Millis> {
        let next = match &self.state {
            State::Gathering(_) => self.candidates.next_wake(),
            State::Joining(joining) => {
                // Nobody is reminded while only persons are waited for.
                let reminder = (!joining.overdue().is_empty()).then_some(joining.remind_at);
                let others = self.candidates.next_wake();
                joining.patience_ends().into_iter().chain(reminder).chain(others).min()
            }
            State::Running(running) if running.missed().is_empty() => Some(running.stuck_at),
            State::Running(_) if !self.has_replacement() => self.candidates.next_wake(),
            State::Running(running) => running.missed().values().min().copied(),
            State::Ended(_) => return None,
        };
        Some(next.map_or(self.deadline, |next| next.min(self.deadline)))
    }

    /// Gives an attempt up if members do not join in time, if one is away for too long and others can
    /// take its place, or if no member goes on.
    pub(crate) fn lose_patience(&mut self, now: Millis, effects: &mut Vec<Effect>) {
        match &self.state {
            State::Joining(joining) => match joining.patience_ends() {
                Some(end) if now >= end => {
                    let is_broken = |party: &PartyId| joining.broken.contains_key(party);
                    let (broken, silent) = joining.overdue().into_iter().partition(is_broken);
                    self.give_up_joining(broken, silent, now, effects);
                }
                Some(_) | None => {}
            },
            State::Running(running) => {
                let missed = running.missed();
                if missed.is_empty() && now >= running.stuck_at {
                    self.stuck(now, effects);
                } else if missed.values().any(|until| now >= *until) && self.has_replacement() {
                    self.lost(missed.into_keys().collect(), now, effects);
                }
                // Without others the attempt waits for its member until the deadline.
            }
            State::Gathering(_) | State::Ended(_) => {}
        }
        self.remind(now, effects);
    }

    fn give_up_joining(
        &mut self,
        broken: BTreeSet<PartyId>,
        silent: BTreeSet<PartyId>,
        now: Millis,
        effects: &mut Vec<Effect>,
    ) {
        if !silent.is_empty() {
            self.spoilt(silent, "members did not join in time", now, effects);
        } else if !broken.is_empty() {
            // Who altered the joins cannot be told.
            let failure = AttemptFailure {
                kind: FailureKind::Transport,
                guilty: BTreeSet::new(),
                detail: "joins came with broken signatures".into(),
            };
            self.attempt_failed(Fault::suspecting(broken, failure), now, effects);
        } else {
            self.ask_others(now, effects);
        }
    }

    /// Invites those once more that have not answered.
    fn remind(&mut self, now: Millis, effects: &mut Vec<Effect>) {
        let State::Joining(joining) = &mut self.state else { return };
        if now >= joining.remind_at {
            joining.remind_at = now.after(REMINDER);
            let overdue = joining.overdue();
            effects.extend(overdue.into_iter().map(|party| self.invitation(party)));
        }
    }

    /// Gives an attempt up that stands still. That a member waits for another one is its word only:
    /// it may hold the attempt up itself, and is as suspect.
    fn stuck(&mut self, now: Millis, effects: &mut Vec<Effect>) {
        let State::Running(running) = &self.state else { return };
        let guilty = running.stuck_for();
        let suspects = guilty.union(&running.at_odds()).copied().collect();
        let detail = "no member went on with its round in time".to_owned();
        let failure = AttemptFailure { kind: FailureKind::PeerMissing, guilty, detail };
        self.attempt_failed(Fault::suspecting(suspects, failure), now, effects);
    }

    fn lost(&mut self, guilty: BTreeSet<PartyId>, now: Millis, effects: &mut Vec<Effect>) {
        self.spoilt(guilty, "a member lost its connection", now, effects);
    }

    fn spoilt(
        &mut self,
        guilty: BTreeSet<PartyId>,
        how: &str,
        now: Millis,
        effects: &mut Vec<Effect>,
    ) {
        let detail = how.to_owned();
        let failure = AttemptFailure { kind: FailureKind::PeerMissing, guilty, detail };
        self.attempt_failed(Fault::seen(failure), now, effects);
    }

    /// Whether another attempt could begin at once, with those that can be reached.
    pub(crate) fn has_replacement(&self) -> bool {
        self.candidates.quorum(self.intent.quorum_size(), &self.past).is_some()
    }
}

impl Running {
    /// The members that are away and have not reported, and until when they are waited for if others
    /// can take their place.
    fn missed(&self) -> BTreeMap<PartyId, Millis> {
        let away = self.away.iter().filter(|(party, _)| !self.outcomes.contains_key(party));
        let left = |party| {
            let absences = self.absences.get(party).copied().unwrap_or(0);
            ABSENCE_PATIENCE.saturating_sub(absences)
        };
        away.map(|(party, since)| (*party, since.after(left(party)))).collect()
    }

    /// Takes note that a member can be reached again; says whether it was away. The time in which it
    /// was waited for counts as none in which the attempt stood still.
    fn is_back(&mut self, party: PartyId, now: Millis, could_be_replaced: bool) -> bool {
        let Some(since) = self.away.remove(&party) else { return false };
        if self.outcomes.contains_key(&party) {
            // Nobody waits for it.
            return true;
        }
        if could_be_replaced {
            let absence = now.0.saturating_sub(since.0);
            *self.absences.entry(party).or_default() += absence;
        }
        let waited = now.0.saturating_sub(since.max(self.waited_until).0);
        self.stuck_at = self.stuck_at.after(waited);
        self.waited_until = now;
        true
    }
}
