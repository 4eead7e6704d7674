//! Epochs: how the shares that a session made become the account's active ones, and what a party
//! never says, so that no coordinator can have a key lost by telling holders different things.
//!
//! A share is *prepared* first, beside those that other attempts made for the same epoch, and signs
//! nothing but canaries. It is *active* once every holder has said `Stored` and `Proven` of it
//! ([`mpc_wire::epoch`]); then the older epoch is erased. The rules, each kept in one commit:
//!
//! 1. Of one attempt a party says `Stored` or `Refused`, never both.
//! 2. It says `Proven` of one attempt for each account and epoch. So no two attempts of one epoch can
//!    both become active, in whatever party: this party's word would be missing for one of them.
//! 3. A prepared share is erased when its epoch is activated, or on a holder's `Refused`. Not on that
//!    once the party has said `Proven` of it: from then on others may have activated it, and who
//!    refuses what it has stored before is lying.
//!
//! What is durable is the fact; the statement is signed anew from it whenever it is told, with the
//! party's newest key.
//!
//! Reading order: this file (what is kept), `activation` (whether the holders' statements suffice),
//! `keeping` (the commits).

mod activation;
mod keeping;

use crate::vault::ShareRecord;
use mpc_wire::PlanHash;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Most shares of one epoch that lie side by side: one for each attempt of a session, and some for
/// the attempts that restarts of the coordinator add. What is beyond fails its attempt.
pub const MAX_PREPARED: usize = 8;

/// Most attempts of one epoch that are remembered. Of further ones the party stores no share and says
/// nothing, so that nobody erases anything for their sake.
pub const MAX_ATTEMPTS: usize = 32;

/// What a party keeps of an epoch that is not active yet.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct EpochRecord {
    /// How the party stands to each attempt, by its plan. It does not leave the second or the third
    /// standing again.
    attempts: BTreeMap<PlanHash, Standing>,
    /// The attempt that the party has said `Proven` of.
    proven: Option<PlanHash>,
}

/// How a party stands to an attempt that was to make a share.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Standing {
    /// The share is there, and the party says `Stored`.
    Prepared(ShareRecord),
    /// There was never one, and the party says `Refused`.
    Refused,
    /// There was one, and a holder has refused its own. The party says nothing more.
    Discarded,
}

/// Why something is not done with an epoch's shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EpochFault {
    /// The epoch is active, or a newer one is.
    #[error("the account's shares are active at this epoch, or at a newer one")]
    Active,
    /// The party has refused the attempt.
    #[error("the party has refused the shares of this attempt")]
    Refused,
    /// The attempt has a share already.
    #[error("a share of this attempt is stored already")]
    Repeated,
    /// There is no room.
    #[error("as many shares of this epoch wait for their activation as may do so")]
    Full,
    /// What was read back is not what was written.
    #[error("the share that was read back is not the one that was written")]
    ReadBack,
    /// There is no share of this attempt.
    #[error("there is no share of this attempt")]
    NotPrepared,
    /// The party has said `Proven` of another attempt.
    #[error("shares of another attempt are proven at this epoch")]
    OtherProven,
}

impl EpochRecord {
    /// The share that an attempt made.
    pub fn share(&self, plan: PlanHash) -> Option<&ShareRecord> {
        match self.attempts.get(&plan) {
            Some(Standing::Prepared(share)) => Some(share),
            Some(Standing::Refused | Standing::Discarded) | None => None,
        }
    }

    /// All shares that wait.
    pub fn shares(&self) -> impl Iterator<Item = &ShareRecord> {
        self.attempts.keys().filter_map(|plan| self.share(*plan))
    }

    /// The attempt that the party has said `Proven` of.
    pub fn proven(&self) -> Option<PlanHash> {
        self.proven
    }

    /// Whether the party may say `Proven` of an attempt.
    ///
    /// # Errors
    /// [`EpochFault::NotPrepared`] and [`EpochFault::OtherProven`].
    pub fn may_prove(&self, plan: PlanHash) -> Result<(), EpochFault> {
        if self.proven.is_some_and(|proven| proven != plan) {
            Err(EpochFault::OtherProven)
        } else if self.share(plan).is_none() {
            Err(EpochFault::NotPrepared)
        } else {
            Ok(())
        }
    }

    /// Whether there is room for a share of one attempt more.
    pub fn has_room(&self) -> bool {
        self.attempts.len() < MAX_ATTEMPTS && self.shares().count() < MAX_PREPARED
    }

    fn prepare(&mut self, share: &ShareRecord) -> Result<(), EpochFault> {
        match self.attempts.get(&share.plan) {
            Some(Standing::Prepared(_)) => Err(EpochFault::Repeated),
            Some(Standing::Refused | Standing::Discarded) => Err(EpochFault::Refused),
            None if !self.has_room() => Err(EpochFault::Full),
            None => {
                self.attempts.insert(share.plan, Standing::Prepared(share.clone()));
                Ok(())
            }
        }
    }

    /// Says whether that is news.
    fn prove(&mut self, plan: PlanHash) -> Result<bool, EpochFault> {
        self.may_prove(plan)?;
        Ok(self.proven.replace(plan).is_none())
    }

    /// Refuses an attempt of which there was never a share.
    fn refuse(&mut self, plan: PlanHash) -> Refusing {
        match self.attempts.get(&plan) {
            Some(Standing::Refused) => Refusing::Before,
            Some(Standing::Prepared(_) | Standing::Discarded) => Refusing::Never,
            None if self.attempts.len() >= MAX_ATTEMPTS => Refusing::Never,
            None => {
                self.attempts.insert(plan, Standing::Refused);
                Refusing::Now
            }
        }
    }

    /// Erases a share that a holder has refused; false if it is not there, or has to stay.
    fn discard(&mut self, plan: PlanHash) -> bool {
        let is_erased = self.share(plan).is_some() && self.proven != Some(plan);
        if is_erased {
            self.attempts.insert(plan, Standing::Discarded);
        }
        is_erased
    }
}

/// Whether an attempt is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusing {
    /// It was before.
    Before,
    /// From now on.
    Now,
    /// The party cannot.
    Never,
}

#[cfg(test)]
mod tests;
