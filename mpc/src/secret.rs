//! A secret text that the command was given.
//!
//! It comes from the environment or a file, never as an argument: everybody can read arguments in
//! `ps`.

use anyhow::ensure;
use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;
use zeroize::Zeroizing;

/// The variable of the API key.
pub(crate) const API_KEY: &str = "MPC_API_KEY";

/// The variable of the coordinator's secret.
pub(crate) const COORDINATOR_KEY: &str = "MPC_COORDINATOR_KEY";

/// The variable of what enrolment tokens are signed with.
pub(crate) const JWT_SECRET: &str = "JWT_SECRET_KEY";

/// The variable of the vaults' master key.
pub(crate) const MASTER_KEY: &str = "CRYPTO_MASTER_KEY";

/// The variable of the master key that a vault is to have.
pub(crate) const NEW_MASTER_KEY: &str = "CRYPTO_NEW_MASTER_KEY";

/// The variable of the passphrase that a master key is made of.
pub(crate) const PASSPHRASE: &str = "MPC_PASSPHRASE";

/// All of them.
const VARIABLES: [&str; 6] =
    [API_KEY, COORDINATOR_KEY, JWT_SECRET, MASTER_KEY, NEW_MASTER_KEY, PASSPHRASE];

/// What the help of `mpc node` says of them.
pub(crate) const NODE_HELP: &str = "\
Secrets come from the environment or a file, never as arguments, which everybody can read in `ps`. \
An empty variable counts as none:
  MPC_API_KEY          the bootstrap API key
  MPC_COORDINATOR_KEY  the coordinator's secret, 64 hexadecimal digits: what is stored of API keys \
is of no use without it
  JWT_SECRET_KEY       what enrolment tokens are signed with, at least 32 random bytes of text
  CRYPTO_MASTER_KEY    the master key of the parties' vaults, 64 hexadecimal digits
  MPC_PASSPHRASE       the passphrase that the master key is made of, in place of the master key";

/// What the help of `mpc keys rotate` says of them.
pub(crate) const ROTATE_HELP: &str = "\
Keys come from the environment or a file, never as arguments, which everybody can read in `ps`:
  CRYPTO_NEW_MASTER_KEY  the new key itself, 64 hexadecimal digits, in place of the options --to-…
  CRYPTO_MASTER_KEY      the present key, 64 hexadecimal digits
  MPC_PASSPHRASE         the passphrase that the present key is made of";

/// A secret text. Zeroizes on drop and is never formatted.
#[derive(Clone)]
pub(crate) struct Secret(Zeroizing<String>);

impl Secret {
    pub(crate) fn new(text: Zeroizing<String>) -> Self {
        Self(text)
    }

    /// What a variable holds. An empty one is none: compose files pass unset variables so.
    pub(crate) fn of_environment(variable: &str) -> Option<Self> {
        let text = std::env::var(variable).map(Zeroizing::new).ok()?;
        Some(Self(text)).filter(|secret| !secret.0.is_empty())
    }

    pub(crate) fn expose(&self) -> &Zeroizing<String> {
        &self.0
    }
}

/// Refuses a secret that is no text, which [`Secret::of_environment`] would pass over in silence.
pub(crate) fn check_environment() -> anyhow::Result<()> {
    for variable in VARIABLES {
        let value = std::env::var_os(variable).map(|value| value.into_encoded_bytes());
        let is_text = value.is_none_or(|value| str::from_utf8(&Zeroizing::new(value)).is_ok());
        ensure!(is_text, "the variable {variable} is no text in UTF-8: set it to one, or unset it");
    }
    Ok(())
}

impl FromStr for Secret {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(Zeroizing::new(text.to_owned())))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}
