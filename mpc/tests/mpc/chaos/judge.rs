//! What must be true of every session, whatever happened meanwhile.

use super::backend::{Answer, Backend, Request};
use mpc::api::{Session, SessionState, Signature};
use mpc_wire::SessionId;
use secp256k1::Message;
use std::collections::{BTreeMap, BTreeSet};

/// Remembers every outcome that was seen.
#[derive(Debug, Default)]
pub(crate) struct Judge {
    nonces: BTreeSet<String>,
    outcomes: BTreeMap<SessionId, (SessionState, Option<String>)>,
}

impl Judge {
    /// Takes a session that has ended: its signature verifies and is of what was asked for, its
    /// `r` is like no other, and it is no second outcome.
    pub(crate) fn ended(&mut self, request: &Request, session: &Session) {
        assert!(session.state.has_ended(), "{session:#?}");
        let signature = session.signature.as_ref();
        let outcome = (session.state, signature.map(|signature| signature.compact.clone()));
        let before = self.outcomes.insert(session.session_id, outcome.clone());
        assert!(
            before.as_ref().is_none_or(|before| *before == outcome),
            "{before:?}: {session:#?}"
        );
        assert_eq!(signature.is_some(), session.state == SessionState::Completed, "{session:#?}");
        if let (Some(signature), None) = (signature, before) {
            verify(request, session, signature);
            assert!(self.nonces.insert(signature.r.clone()), "an r twice: {session:#?}");
        }
    }

    /// The same, of a session that must have completed.
    pub(crate) fn completed(&mut self, request: &Request, session: &Session) {
        self.ended(request, session);
        assert_eq!(session.state, SessionState::Completed, "{session:#?}");
    }

    /// Asks for the request once more, as a backend that saw no answer does: it is told of the same
    /// session, with the same outcome.
    pub(crate) async fn replayed(&mut self, backend: &Backend, request: &Request, id: SessionId) {
        match backend.ask(request).await {
            Answer::Session(session) => {
                assert_eq!(session.session_id, id);
                self.ended(request, &session);
            }
            Answer::Refused(problem) => assert_eq!(problem.session_id, Some(id), "{problem:?}"),
            Answer::None(error) => panic!("{error}"),
        }
    }

    /// How many sessions were judged, and how many of them have a signature.
    pub(crate) fn count(&self) -> (usize, usize) {
        (self.outcomes.len(), self.nonces.len())
    }
}

fn verify(request: &Request, session: &Session, signature: &Signature) {
    assert_eq!(session.message.as_ref(), Some(&request.digest), "{session:#?}");
    let mut digest = [0; 32];
    hex::decode_to_slice(&request.digest, &mut digest).unwrap();
    let compact = hex::decode(&signature.compact).unwrap();
    let made = secp256k1::ecdsa::Signature::from_compact(&compact).unwrap();
    let key = session.public_key.as_ref().expect("a session that signs has a key");
    let key = secp256k1::PublicKey::from_slice(key.as_bytes()).unwrap();
    made.verify(Message::from_digest(digest), &key).unwrap();
}
