//! The engines of a party, and what they send and get.

use super::Party;
use crate::around::Around;
use crate::cast::name;
use crate::engine::{Misdelivered, Step, StubRun};
use crate::happening::AtParty;
use crate::invariant::Invariant;
use mpc_pending::limits::{ACK_DELAY, FIRST_RESEND};
use mpc_pending::record::StoredProgress;
use mpc_pending::{Event, Launch};
use mpc_wire::{Attempt, AttemptOutcome, RoundEnvelope, SessionId, ToCoordinator, VerifiedJoin};

impl Party {
    pub(super) fn launch(&mut self, launch: Launch, around: &mut Around) {
        let key @ (session, attempt) = (launch.plan.session, launch.plan.attempt);
        let says_so = |progress: &StoredProgress| match progress {
            StoredProgress::Launched { plan, .. } => plan.attempt == attempt,
            StoredProgress::Ended { .. } | StoredProgress::Idle | StoredProgress::Over => true,
            StoredProgress::Joined { .. } => false,
        };
        around.ledger.party_told(self.id, key, self.disk.get(&session), says_so, around.now);
        let joins = launch.joins.values().map(VerifiedJoin::as_join);
        around.ledger.launched(self.id, &launch.plan, joins, around.now);
        let (run, steps) = StubRun::start(launch, self.id, around.rounds(session));
        if let Some(process) = &mut self.process {
            process.delivery.launched(session, attempt);
            process.runs.insert(key, run);
        }
        self.take_steps(key, steps, around);
    }

    pub(super) fn deliver(
        &mut self,
        key: (SessionId, Attempt),
        messages: &[RoundEnvelope],
        around: &mut Around,
    ) {
        let now = self.now(around);
        let Some(process) = &mut self.process else { return };
        process.delivery.delivered(messages, now);
        let mut steps = Vec::new();
        if let Some(run) = process.runs.get_mut(&key) {
            for message in messages {
                match run.receive(message) {
                    Ok(step) => steps.extend(step),
                    Err(wrong @ (Misdelivered::OutOfOrder | Misdelivered::Strange)) => {
                        let me = name(self.id);
                        around.ledger.must(
                            false,
                            Invariant::OnceAndInOrder,
                            key.0,
                            around.now,
                            || format!("{wrong:?}: {:?} at {me}", message.header),
                        );
                    }
                }
            }
        }
        self.pulse_by(self.clock.moment(now.monotonic + ACK_DELAY), around);
        self.take_steps(key, steps, around);
    }

    pub(super) fn take_steps(
        &mut self,
        key: (SessionId, Attempt),
        steps: Vec<Step>,
        around: &mut Around,
    ) {
        let (session, attempt) = key;
        for step in steps {
            match step {
                Step::Say(messages) => {
                    messages.into_iter().for_each(|message| self.say_round(message, around));
                }
                Step::Wait(stage, round, waiting_for) => {
                    let standing =
                        ToCoordinator::Progress { session, attempt, stage, round, waiting_for };
                    if let Some(process) = &mut self.process {
                        process.standings.insert(session, standing.clone());
                    }
                    around.send_up(self.id, standing);
                }
                Step::Work => {
                    let wait = around.dice.within(around.weather.habits.work);
                    around.later_at_party(
                        wait,
                        self.id,
                        self.life,
                        AtParty::Worked(session, attempt),
                    );
                }
                Step::End(outcome) => self.ended(key, *outcome, around),
            }
        }
    }

    fn say_round(&mut self, envelope: RoundEnvelope, around: &mut Around) {
        let now = self.now(around);
        let Some(process) = &mut self.process else { return };
        if process.delivery.send(envelope.clone(), now).is_ok() {
            around.send_up(self.id, ToCoordinator::Round(envelope));
            let at = self.clock.moment(now.monotonic + FIRST_RESEND);
            self.pulse_by(at, around);
        }
    }

    fn ended(&mut self, key: (SessionId, Attempt), outcome: AttemptOutcome, around: &mut Around) {
        let (session, attempt) = key;
        let Some(process) = &mut self.process else { return };
        process.runs.remove(&key);
        process.standings.remove(&session);
        self.apply(Event::RunnerEnded { session, attempt, outcome }, around);
    }
}
