//! How the party stands to its gateway, and the token that lets it in once.

use mpc_wire::{EnrolmentToken, ErrorCode};
use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

/// How the party stands to its gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkStatus {
    /// It is not connected, and tries to be.
    Down,
    /// It is connected and was welcomed.
    Up,
    /// It is not let in. It goes on trying, seldom: whoever lets it in need not restart it.
    Refused(Refusal),
}

/// Why a gateway does not let the party in, until a person does something about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What kind of refusal it is.
    pub reason: RefusalReason,
    /// The gateway's own words.
    pub detail: String,
}

/// What a person must do something about: a closed list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalReason {
    /// The party is not registered, and has shown no token.
    NotEnrolled,
    /// Its token is wrong, expired or used.
    TokenRefused,
    /// It was revoked.
    Revoked,
    /// Its key was replaced by a newer one, which this process does not have.
    KeySuperseded,
}

impl RefusalReason {
    /// The reason that a gateway's error stands for; none for those that pass.
    pub(crate) fn of(code: ErrorCode) -> Option<Self> {
        match code {
            ErrorCode::NotEnrolled => Some(Self::NotEnrolled),
            ErrorCode::TokenRefused => Some(Self::TokenRefused),
            ErrorCode::Revoked => Some(Self::Revoked),
            ErrorCode::KeySuperseded => Some(Self::KeySuperseded),
            ErrorCode::UnsupportedVersion
            | ErrorCode::Malformed
            | ErrorCode::TooLarge
            | ErrorCode::NotAuthenticated
            | ErrorCode::WrongSender
            | ErrorCode::Replaced
            | ErrorCode::Overloaded
            | ErrorCode::GoingAway => None,
        }
    }

    /// What to do about it.
    pub fn advice(self) -> &'static str {
        match self {
            Self::NotEnrolled => {
                "give it an enrolment token (mpc party token), or register its id (mpc party \
                 register)"
            }
            Self::TokenRefused => "ask for a new enrolment token (mpc party token)",
            Self::Revoked => "a revoked identity does not come back: make a new party",
            Self::KeySuperseded => {
                "this vault is older than the party's newest key: bring the newest vault or \
                 backup back; if nobody here has rotated the key, somebody else has: revoke the \
                 party"
            }
        }
    }
}

impl fmt::Display for RefusalReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotEnrolled => "the party is not enrolled",
            Self::TokenRefused => "the party's enrolment token is refused",
            Self::Revoked => "the party was revoked",
            Self::KeySuperseded => "a newer key of the party is known",
        })
    }
}

/// The token that a party shows until it is welcomed for the first time; after that it is gone from
/// memory. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pass(Rc<RefCell<Option<EnrolmentToken>>>);

impl Pass {
    pub(crate) fn new(token: Option<EnrolmentToken>) -> Self {
        Self(Rc::new(RefCell::new(token)))
    }

    /// The token, as long as it is of use.
    pub(crate) fn shown(&self) -> Option<EnrolmentToken> {
        self.0.borrow().clone()
    }

    /// Forgets the token, which zeroizes.
    pub(crate) fn forget(&self) {
        self.0.borrow_mut().take();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_is_forgotten_by_all_and_never_formatted() {
        let token = EnrolmentToken::try_from("horse.battery.staple".to_owned()).unwrap();
        let pass = Pass::new(Some(token.clone()));
        let clone = pass.clone();
        assert_eq!(clone.shown(), Some(token));
        assert!(!format!("{pass:?}").contains("horse"));
        pass.forget();
        assert_eq!(clone.shown(), None);
    }
}
