//! Who may connect.

use mpc_wire::PartyId;
use std::error::Error;
use std::future::Future;
use std::pin::Pin;

/// Who may connect; the composition implements it over the coordinator's store.
pub trait Roster: Send + Sync + 'static {
    /// Whether this identity is registered.
    ///
    /// # Errors
    /// [`RosterUnavailable`] if nobody can say now; the party is asked to come again.
    fn is_enrolled(
        &self,
        party: PartyId,
    ) -> Pin<Box<dyn Future<Output = Result<bool, RosterUnavailable>> + Send + '_>>;
}

/// The roster could not be read.
#[derive(Debug, thiserror::Error)]
#[error("the roster cannot be read")]
pub struct RosterUnavailable(#[source] Box<dyn Error + Send + Sync>);

impl RosterUnavailable {
    /// Wraps the reason, which goes to the log only.
    pub fn new(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(source.into())
    }
}
