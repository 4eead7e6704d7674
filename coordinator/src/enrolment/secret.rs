//! What enrolment tokens are signed with.

use std::fmt;
use zeroize::Zeroizing;

/// Shortest secret, in bytes: as long as the hash of the signature (RFC 7518, 3.2).
pub const MIN_ENROLMENT_SECRET: usize = 32;

/// The secret that signs enrolment tokens and nothing else (`JWT_SECRET_KEY`). Zeroizes on drop and
/// is never formatted.
#[derive(Clone)]
pub struct EnrolmentSecret(Zeroizing<String>);

/// A secret that is too short to sign with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the secret that signs enrolment tokens (JWT_SECRET_KEY) is too short: give at least \
     {MIN_ENROLMENT_SECRET} random bytes"
)]
pub struct EnrolmentSecretTooShort;

impl EnrolmentSecret {
    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl TryFrom<String> for EnrolmentSecret {
    type Error = EnrolmentSecretTooShort;

    fn try_from(secret: String) -> Result<Self, EnrolmentSecretTooShort> {
        let secret = Zeroizing::new(secret);
        if secret.len() < MIN_ENROLMENT_SECRET {
            Err(EnrolmentSecretTooShort)
        } else {
            Ok(Self(secret))
        }
    }
}

impl fmt::Debug for EnrolmentSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EnrolmentSecret(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_secrets_are_refused_and_none_is_formatted() {
        let short = "x".repeat(MIN_ENROLMENT_SECRET - 1);
        assert_eq!(EnrolmentSecret::try_from(short).unwrap_err(), EnrolmentSecretTooShort);
        let secret = EnrolmentSecret::try_from("correct-horse".repeat(3)).unwrap();
        assert_eq!(format!("{secret:?}"), "EnrolmentSecret(redacted)");
    }
}
