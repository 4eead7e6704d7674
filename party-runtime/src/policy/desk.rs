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

/// Longest piece of a text to sign that a list shows, in characters.
const MAX_SHOWN: usize = 240;

/// How much of what is to be signed is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    Beginning,
    /// At most [`mpc_wire::limits::MAX_PAYLOAD_BYTES`]: an answer has room for one, escaped.
    Whole,
}

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
            None => Err(self.closed_as(session)),
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
        let view = |case: &Case| view(&case.intent, Shown::Beginning);
        self.open.values().take(limit).filter_map(view).collect()
    }

    /// One that waits, with all that is to be signed.
    pub(crate) fn show(&self, session: SessionId) -> Result<OpenApproval, ControlError> {
        match self.open.get(&session) {
            Some(case) => view(&case.intent, Shown::Whole).ok_or(ControlError::NoApproval),
            None => Err(self.closed_as(session)),
        }
    }

    /// Why a session cannot be decided that does not wait.
    fn closed_as(&self, session: SessionId) -> ControlError {
        let known = self.closed.iter().find(|(closed, _)| *closed == session);
        known.map_or(ControlError::NoApproval, |(_, error)| *error)
    }
}

/// What a person is shown. Only signatures wait for one.
fn view(intent: &Intent, shown: Shown) -> Option<OpenApproval> {
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
        digest: match payload {
            Payload::Message(_) => None,
            Payload::Digest(_) | Payload::Bytes { .. } | Payload::Canary { .. } => {
                Some(hex::encode(payload.message(*account, *epoch, public_key)))
            }
        },
        payload: payload_view(payload, shown),
        expires_at: intent.expires_at,
    })
}

fn payload_view(payload: &Payload, shown: Shown) -> PayloadView {
    let (bytes, hash) = match payload {
        Payload::Digest(_) | Payload::Canary { .. } => return PayloadView::Digest,
        Payload::Bytes { bytes, hash } => (bytes, Some(*hash)),
        Payload::Message(bytes) => (bytes, None),
    };
    let most = match shown {
        Shown::Beginning => MAX_SHOWN,
        Shown::Whole => usize::MAX,
    };
    let text = std::str::from_utf8(bytes).ok();
    let is_whole = shown == Shown::Whole;
    PayloadView::Bytes {
        hash,
        length: bytes.len(),
        truncated: !is_whole && text.is_none_or(|text| text.chars().nth(most).is_some()),
        // Escaped: a text must not write on the terminal of who is to judge it.
        text: text.map(|text| text.chars().take(most).flat_map(char::escape_default).collect()),
        hex: (is_whole && text.is_none()).then(|| hex::encode(bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::decision::{SessionKind, Verdict};
    use super::super::{Policy, Profile};
    use super::*;
    use crate::control::{ControlAnswer, MAX_ANSWER};
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
        let shown = view(&case, Shown::Beginning).unwrap();
        let PayloadView::Bytes { text: Some(text), length: 15, .. } = shown.payload else {
            panic!("{shown:?}")
        };
        assert_eq!(text, r"pay 1\u{1b}[2J\r\n\u{202e}9");
    }

    #[test]
    fn what_is_cut_says_so_and_can_be_seen_whole() {
        let hash = HashFunction::Keccak256;
        let shown = |bytes: &[u8], shown| match payload_view(
            &Payload::Bytes { bytes: bytes.to_vec(), hash },
            shown,
        ) {
            PayloadView::Bytes { length, truncated, text, hex, .. } => {
                assert_eq!(length, bytes.len());
                (truncated, text.map(|text| text.len()), hex.map(|hex| hex.len()))
            }
            PayloadView::Digest => panic!("bytes are shown"),
        };
        let fits = vec![b'x'; MAX_SHOWN];
        let long = vec![b'x'; MAX_SHOWN + 1];
        let binary = [0xff; 5];
        assert_eq!(shown(&fits, Shown::Beginning), (false, Some(MAX_SHOWN), None));
        assert_eq!(shown(&long, Shown::Beginning), (true, Some(MAX_SHOWN), None));
        assert_eq!(shown(&binary, Shown::Beginning), (true, None, None));
        assert_eq!(shown(&long, Shown::Whole), (false, Some(MAX_SHOWN + 1), None));
        assert_eq!(shown(&binary, Shown::Whole), (false, None, Some(10)));
    }

    #[test]
    fn one_session_is_shown_whole_and_fits_an_answer() {
        let mut desk = Desk::default();
        // The character that grows most on its way into a line of JSON.
        let bytes = vec![0x1b; mpc_wire::limits::MAX_PAYLOAD_BYTES];
        let case = intent(1000, Payload::Bytes { bytes, hash: HashFunction::Sha256 });
        desk.open(waiting(&case));
        desk.open(waiting(&intent(1000, Payload::Digest([1; 32]))));
        let shown = desk.show(case.session).unwrap();
        assert_eq!(shown.session, case.session);
        let PayloadView::Bytes { truncated: false, text: Some(text), .. } = &shown.payload else {
            panic!("{shown:?}")
        };
        assert_eq!(text.len(), r"\u{1b}".len() * mpc_wire::limits::MAX_PAYLOAD_BYTES);
        let answer = ControlAnswer::Approvals { approvals: vec![shown], more: 0 };
        assert!(serde_json::to_vec(&answer).unwrap().len() < MAX_ANSWER);

        desk.over(case.session, UnixMillis(0));
        assert_eq!(desk.show(case.session), Err(ControlError::ApprovalEnded));
        assert_eq!(desk.show(SessionId::generate()), Err(ControlError::NoApproval));
    }
}
