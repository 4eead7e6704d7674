//! What may come before the invitation it belongs to: starts and round messages.

use crate::effect::{DropCause, Effect};
use crate::entry::{Entry, Joining, Life};
use crate::event::Now;
use crate::inbox::Taken;
use crate::join::Joiner;
use crate::limits::{
    MAX_EARLY_STARTS, MAX_HELD_BYTES, MAX_HELD_BYTES_IN_ALL, MAX_ORPHANS, ORPHAN_PATIENCE,
};
use crate::pending::Pending;
use crate::settle::settle;
use mpc_wire::{Attempt, Objection, RoundEnvelope, RoundHeader, SessionId, VerifiedJoin};

impl Pending {
    pub(crate) fn started(
        &mut self,
        session: SessionId,
        attempt: Attempt,
        joins: Vec<VerifiedJoin>,
        now: Now,
        joiner: &mut dyn Joiner,
        effects: &mut Vec<Effect>,
    ) {
        let entry = match self.entry_for_early(session, now) {
            Ok(entry) => entry,
            Err(cause) => {
                effects.push(Effect::Drop { session, cause });
                return;
            }
        };
        let facts = match entry.attempt_mut(attempt) {
            Ok(facts) => facts,
            Err(cause) => {
                effects.push(Effect::Drop { session, cause });
                return;
            }
        };
        let cause = match &facts.joining {
            Joining::Launched(_) => Some(DropCause::Repeated),
            // Now only the right one is of use, and it has room however many wrong ones came first.
            Joining::Joined(_) if facts.matching(&joins).is_none() => {
                facts.objectionable.insert(Objection::WrongJoins);
                Some(DropCause::WrongJoins)
            }
            Joining::Joined(_) => None,
            Joining::Not if facts.starts.contains(&joins) => Some(DropCause::Repeated),
            Joining::Not if facts.starts.len() >= MAX_EARLY_STARTS => Some(DropCause::Overflow),
            Joining::Not => None,
        };
        match cause {
            Some(cause) => effects.push(Effect::Drop { session, cause }),
            None => facts.starts.push(joins),
        }
        settle(session, entry, now, joiner, effects);
    }

    pub(crate) fn round_message(
        &mut self,
        envelope: RoundEnvelope,
        now: Now,
        joiner: &mut dyn Joiner,
        effects: &mut Vec<Effect>,
    ) {
        let header = envelope.header;
        let session = header.session;
        if header.to != self.me || header.from == self.me {
            effects.push(Effect::Drop { session, cause: DropCause::NotAMember });
            // It leaves no other trace: the room that is kept for early messages is not for it.
            if let Some(entry) = self.entries.get_mut(&session)
                && entry.find_objectionable(header.attempt, Objection::Misrouted)
            {
                settle(session, entry, now, joiner, effects);
            }
            return;
        }
        let room_in_all = MAX_HELD_BYTES_IN_ALL.saturating_sub(self.held_bytes());
        let entry = match self.entry_for_early(session, now) {
            Ok(entry) => entry,
            Err(cause) => {
                effects.push(without_place(header, cause));
                return;
            }
        };
        // Before anything is said of room: a refusal would end the attempt of the members.
        if entry.is_strange(&header) {
            effects.push(Effect::Drop { session, cause: DropCause::NotAMember });
            entry.find_objectionable(header.attempt, Objection::Misrouted);
            settle(session, entry, now, joiner, effects);
            return;
        }
        let room = room_in_all.min(MAX_HELD_BYTES.saturating_sub(entry.held_bytes()));
        if envelope.sealed.len() > room && !entry.is_awaited(&header) {
            effects.push(Effect::Refuse(header));
            return;
        }
        let facts = match entry.attempt_mut(header.attempt) {
            Ok(facts) => facts,
            Err(cause) => {
                effects.push(without_place(header, cause));
                return;
            }
        };
        match facts.inbox.take(envelope) {
            Taken::Held => settle(session, entry, now, joiner, effects),
            Taken::Repeated => {
                effects.push(Effect::Drop { session, cause: DropCause::Repeated });
            }
            Taken::Full => effects.push(Effect::Refuse(header)),
        }
    }

    /// The entry that an early message belongs to; a new one if there is room.
    fn entry_for_early(&mut self, session: SessionId, now: Now) -> Result<&mut Entry, DropCause> {
        let orphans =
            || self.entries.values().filter(|e| matches!(e.life, Life::Orphan { .. })).count();
        match self.entries.get(&session) {
            Some(Entry { life: Life::Over { .. }, .. }) => return Err(DropCause::NoSession),
            None if orphans() >= MAX_ORPHANS => return Err(DropCause::Overflow),
            Some(_) | None => {}
        }
        let until = now.monotonic.saturating_add(ORPHAN_PATIENCE);
        Ok(self.entries.entry(session).or_insert_with(|| Entry::new(Life::Orphan { until })))
    }
}

/// What is said of a message that has no place: its sender hears of it if only room is wanting.
fn without_place(header: RoundHeader, cause: DropCause) -> Effect {
    match cause {
        DropCause::Overflow => Effect::Refuse(header),
        DropCause::NoSession
        | DropCause::StaleAttempt
        | DropCause::Repeated
        | DropCause::WrongJoins
        | DropCause::NotAMember
        | DropCause::Unverified => Effect::Drop { session: header.session, cause },
    }
}

/// Says of each of so many messages that it was not from a member.
pub(crate) fn drop_strange(session: SessionId, count: usize, effects: &mut Vec<Effect>) {
    let cause = DropCause::NotAMember;
    effects.extend(std::iter::repeat_n(Effect::Drop { session, cause }, count));
}
