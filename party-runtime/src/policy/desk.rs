//! Sessions that wait for a person.
//!
//! They lie in memory only. After a restart the coordinator invites to a new attempt, the party
//! judges the same request again, which is admitted as known, and the person is asked again.

use super::decision::PolicyDecision;
use crate::control::{ControlError, OpenApproval, PayloadView};
use mpc_wire::{Intent, IntentKind, Payload, SessionId, UnixMillis};
use std::collections::{BTreeMap, VecDeque};

/// How many closed sessions the desk can still say something about. A person who comes too late
/// comes within hours, not thousands of sessions later.
const MAX_CLOSED: usize = 256;

/// Longest piece of a text to sign that is shown, in characters.
const MAX_SHOWN: usize = 240;

/// What waits for a person, and how the last ones closed.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    open: BTreeMap<SessionId, Case>,
    closed: VecDeque<(SessionId, ControlError)>,
}

/// A session that waits.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) intent: Intent,
    /// That a person is asked.
    pub(crate) decision: PolicyDecision,
}

impl Desk {
    /// Puts a session before people.
    pub(crate) fn open(&mut self, case: Case) {
        let session = case.intent.session;
        self.closed.retain(|(closed, _)| *closed != session);
        self.open.insert(session, case);
    }

    /// Takes a session that a person has decided, if it can still be decided.
    pub(crate) fn take(
        &mut self,
        session: SessionId,
        now: UnixMillis,
    ) -> Result<Case, ControlError> {
        match self.open.remove(&session) {
            Some(case) if case.intent.expires_at <= now => {
                self.close(session, ControlError::ApprovalExpired);
                Err(ControlError::ApprovalExpired)
            }
            Some(case) => {
                self.close(session, ControlError::ApprovalDecided);
                Ok(case)
            }
            None => {
                let known = self.closed.iter().find(|(closed, _)| *closed == session);
                Err(known.map_or(ControlError::NoApproval, |(_, error)| *error))
            }
        }
    }

    /// The session is over for the party: nobody need decide any more.
    pub(crate) fn over(&mut self, session: SessionId, now: UnixMillis) {
        if let Some(case) = self.open.remove(&session) {
            let is_expired = case.intent.expires_at <= now;
            let error = if is_expired {
                ControlError::ApprovalExpired
            } else {
                ControlError::ApprovalEnded
            };
            self.close(session, error);
        }
    }

    fn close(&mut self, session: SessionId, error: ControlError) {
        self.closed.retain(|(closed, _)| *closed != session);
        if self.closed.len() >= MAX_CLOSED {
            self.closed.pop_front();
        }
        self.closed.push_back((session, error));
    }

    /// How many sessions wait.
    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }

    /// What waits, oldest first, at most `limit`.
    pub(crate) fn list(&self, limit: usize) -> Vec<OpenApproval> {
        self.open.values().take(limit).filter_map(|case| view(&case.intent)).collect()
    }
}

/// What a person is shown. Only signatures wait for one.
fn view(intent: &Intent) -> Option<OpenApproval> {
    let IntentKind::Sign { account, epoch, public_key, path, payload, authorization, .. } =
        &intent.kind
    else {
        return None;
    };
    Some(OpenApproval {
        session: intent.session,
        request: intent.request,
        account: *account,
        public_key: public_key.clone(),
        path: path.to_string(),
        requester: authorization.as_ref().map(|given| given.requester.clone()),
        digest: hex::encode(payload.digest(*account, *epoch, public_key)),
        payload: payload_view(payload),
        expires_at: intent.expires_at,
    })
}

fn payload_view(payload: &Payload) -> PayloadView {
    match payload {
        Payload::Digest(_) | Payload::Canary => PayloadView::Digest,
        Payload::Bytes { bytes, hash } => PayloadView::Bytes {
            hash: *hash,
            length: bytes.len(),
            // Escaped: a text must not write on the terminal of who is to judge it.
            text: std::str::from_utf8(bytes)
                .ok()
                .map(|text| text.chars().take(MAX_SHOWN).flat_map(char::escape_default).collect()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::decision::{SessionKind, Verdict};
    use super::super::{Policy, Profile};
    use super::*;
    use mpc_wire::{
        AccountId, DerivationPath, Epoch, HashFunction, PublicKey, RequestId, Scheme, Threshold,
    };
    use std::collections::BTreeSet;

    fn intent(expires_at: u64, payload: Payload) -> Intent {
        Intent {
            session: SessionId::generate(),
            request: RequestId::generate(),
            eligible: BTreeSet::new(),
            expires_at: UnixMillis(expires_at),
            kind: IntentKind::Sign {
                account: AccountId::generate(),
                epoch: Epoch(1),
                scheme: Scheme::EcdsaCggmp24,
                threshold: Threshold(2),
                public_key: PublicKey::new([2; 33]),
                path: DerivationPath::default(),
                payload,
                authorization: None,
            },
        }
    }

    fn waiting(intent: &Intent) -> Case {
        let decision = PolicyDecision {
            session: intent.session,
            request: intent.request,
            intent: intent.hash(),
            kind: SessionKind::Sign,
            account: intent.kind.account(),
            requester: None,
            policy: Policy::of_profile(Profile::Development).unwrap().version().clone(),
            verdict: Verdict::AsksPerson,
        };
        Case { intent: intent.clone(), decision }
    }

    #[test]
    fn a_session_is_decided_once_and_in_time() {
        let mut desk = Desk::default();
        let cases: Vec<_> = (0..3).map(|_| intent(1000, Payload::Digest([1; 32]))).collect();
        for case in &cases {
            desk.open(waiting(case));
        }
        let [a, b, c] = [&cases[0], &cases[1], &cases[2]].map(|case| case.session);
        let now = UnixMillis(999);
        let refused = |desk: &mut Desk, session, at| desk.take(session, at).unwrap_err();
        assert_eq!(desk.take(a, now).unwrap().intent.session, a);
        assert_eq!(refused(&mut desk, a, now), ControlError::ApprovalDecided);
        assert_eq!(refused(&mut desk, b, UnixMillis(1000)), ControlError::ApprovalExpired);
        assert_eq!(refused(&mut desk, b, now), ControlError::ApprovalExpired);
        desk.over(c, now);
        assert_eq!(refused(&mut desk, c, now), ControlError::ApprovalEnded);
        assert_eq!(refused(&mut desk, SessionId::generate(), now), ControlError::NoApproval);
        assert_eq!(desk.len(), 0);

        // Asked again after the attempt before went wrong.
        desk.open(waiting(&cases[2]));
        assert!(desk.take(c, now).is_ok());
    }

    #[test]
    fn what_closed_long_ago_is_forgotten() {
        let mut desk = Desk::default();
        let mut first = None;
        for _ in 0..=MAX_CLOSED {
            let case = intent(1000, Payload::Digest([1; 32]));
            desk.open(waiting(&case));
            desk.over(case.session, UnixMillis(1000));
            first.get_or_insert(case.session);
        }
        assert_eq!(desk.closed.len(), MAX_CLOSED);
        let error = desk.take(first.unwrap(), UnixMillis(0)).unwrap_err();
        assert_eq!(error, ControlError::NoApproval);
    }

    #[test]
    fn a_text_cannot_write_on_the_terminal() {
        let bytes = b"pay 1\x1b[2J\r\n\xe2\x80\xae9".to_vec();
        let case = intent(1000, Payload::Bytes { bytes, hash: HashFunction::Sha256 });
        let shown = view(&case).unwrap();
        let PayloadView::Bytes { text: Some(text), length: 15, .. } = shown.payload else {
            panic!("{shown:?}")
        };
        assert_eq!(text, r"pay 1\u{1b}[2J\r\n\u{202e}9");
        let long = Payload::Bytes { bytes: vec![b'x'; 5000], hash: HashFunction::Keccak256 };
        let PayloadView::Bytes { text: Some(text), .. } = payload_view(&long) else { panic!() };
        assert_eq!(text.len(), MAX_SHOWN);
        let binary = Payload::Bytes { bytes: vec![0xff; 5], hash: HashFunction::Keccak256 };
        assert!(matches!(payload_view(&binary), PayloadView::Bytes { text: None, .. }));
    }
}
