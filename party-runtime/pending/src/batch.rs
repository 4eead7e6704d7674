//! Everything that one commit makes durable: a shell may let many sessions share its cost.

use crate::effect::Effect;
use crate::record::Record;
use mpc_wire::SessionId;
use std::collections::{BTreeMap, VecDeque};

/// What is stored at once, and the effects behind it.
#[derive(Debug)]
pub struct Batch {
    /// The records to be stored, one a session.
    pub records: Vec<Record>,
    /// The sessions whose records are to be deleted.
    pub forgotten: Vec<SessionId>,
    /// What is to be performed once all of that is durable, in its order.
    pub behind: Vec<Effect>,
}

impl Batch {
    /// Of several records of one session only the last is stored: it says all that those before
    /// it did.
    pub fn collect(effects: VecDeque<Effect>) -> Self {
        let mut records = BTreeMap::new();
        let mut forgotten = Vec::new();
        let mut behind = Vec::new();
        for effect in effects {
            match effect {
                Effect::Persist(record) => {
                    forgotten.retain(|session| *session != record.intent.session);
                    records.insert(record.intent.session, *record);
                }
                Effect::Forget(session) => {
                    records.remove(&session);
                    forgotten.push(session);
                }
                Effect::SendRequest(_)
                | Effect::Ask(_)
                | Effect::SendJoin { .. }
                | Effect::SendDecline { .. }
                | Effect::SendAwaitingApproval { .. }
                | Effect::Object { .. }
                | Effect::Launch(_)
                | Effect::Kill { .. }
                | Effect::Deliver { .. }
                | Effect::Refuse(_)
                | Effect::Report { .. }
                | Effect::Over(_)
                | Effect::Drop { .. } => behind.push(effect),
            }
        }
        Self { records: records.into_values().collect(), forgotten, behind }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{StoredConsent, StoredProgress};
    use mpc_wire::{Attempt, Intent, IntentKind, RequestId, Scheme, UnixMillis};
    use std::collections::BTreeSet;

    fn record(session: SessionId, floor: u32) -> Effect {
        let intent = Intent {
            session,
            request: RequestId::generate(),
            eligible: BTreeSet::new(),
            expires_at: UnixMillis(0),
            kind: IntentKind::Aux { scheme: Scheme::EcdsaCggmp24 },
        };
        let (consent, floor) = (StoredConsent::Approved, Attempt(floor));
        let progress = StoredProgress::Idle;
        Effect::Persist(Box::new(Record { intent, consent, floor, progress }))
    }

    fn collect(effects: Vec<Effect>) -> Batch {
        Batch::collect(effects.into())
    }

    #[test]
    fn a_batch_stores_the_last_word_on_each_session_and_keeps_the_rest_in_order() {
        let (a, b) = (SessionId::generate(), SessionId::generate());
        let batch = collect(vec![
            record(a, 1),
            Effect::Over(a),
            record(b, 1),
            record(a, 2),
            Effect::Over(b),
        ]);
        let stored: BTreeMap<_, _> =
            batch.records.iter().map(|record| (record.intent.session, record.floor)).collect();
        assert_eq!(stored, BTreeMap::from([(a, Attempt(2)), (b, Attempt(1))]));
        assert!(matches!(batch.behind[..], [Effect::Over(x), Effect::Over(y)] if x == a && y == b));
    }

    #[test]
    fn what_comes_last_decides_whether_a_session_is_stored_or_forgotten() {
        let a = SessionId::generate();
        let batch = collect(vec![record(a, 1), Effect::Forget(a)]);
        assert!(batch.records.is_empty() && batch.forgotten == [a]);
        let batch = collect(vec![Effect::Forget(a), record(a, 1)]);
        assert!(batch.records.len() == 1 && batch.forgotten.is_empty());
    }
}
