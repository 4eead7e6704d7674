//! A party that was restored from a backup, and what it may do until its peers have spoken.
//!
//! A backup can be older than an account's epoch: a share that was given up would sign again, and a
//! coordinator could make parties of different epochs meet. So every account is confined until
//! enough of its other holders have testified, with fresh signatures, that they know of no newer
//! epoch. Enough is `t`, or all of them where there are fewer: an adversary has fewer than `t`
//! parties, so one of `t` witnesses is honest, and a new epoch is complete only once every holder
//! has durably stored it. A holder that knows of a newer epoch closes the share with its word, but
//! not for ever: where `t` others contradict it, it is the one that lies.

use mpc_wire::{
    AccountId, DeclineReason, Epoch, Intent, IntentKind, PartyId, Testimony, UnixMillis,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How the party was restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RestoreMode {
    /// It waits for its peers' word.
    Quarantined,
    /// An operator has decided that only old epochs are left anywhere: it takes part at once.
    Disaster,
}

/// What a restored party remembers of its restoration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restoration {
    /// How.
    pub mode: RestoreMode,
    /// When the backup was made.
    pub made_at: UnixMillis,
    /// When it was restored.
    pub restored_at: UnixMillis,
    accounts: BTreeMap<AccountId, Case>,
}

/// An account of the backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Case {
    Confined(Confined),
    Released,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Confined {
    /// The newest epoch of the backup.
    epoch: Epoch,
    /// The other holders.
    others: BTreeSet<PartyId>,
    /// How many of them must testify.
    needed: usize,
    /// The newest epoch that each of them knows of, by its last word.
    words: BTreeMap<PartyId, Epoch>,
}

impl Confined {
    fn confirmed(&self) -> usize {
        self.words.values().filter(|word| **word <= self.epoch).count()
    }

    /// The newest epoch that somebody claims, if it is newer than the backup's.
    fn newer(&self) -> Option<Epoch> {
        self.words.values().max().copied().filter(|word| *word > self.epoch)
    }
}

/// A share of a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackedUpShare {
    /// The account.
    pub account: AccountId,
    /// The share's epoch.
    pub epoch: Epoch,
    /// How many sign together.
    pub threshold: usize,
    /// Every holder but this party.
    pub others: BTreeSet<PartyId>,
}

/// What a testimony has changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Heard {
    /// Accounts that were released.
    pub released: BTreeSet<AccountId>,
    /// Accounts whose share is said to be old, with the epoch that is newer.
    pub stale: BTreeMap<AccountId, Epoch>,
    /// Whether anything is to be stored.
    pub is_news: bool,
}

/// How far a restoration is, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestorationStatus {
    /// How the party was restored.
    pub mode: RestoreMode,
    /// When the backup was made.
    pub made_at: UnixMillis,
    /// When it was restored.
    pub restored_at: UnixMillis,
    /// How many accounts wait for their other holders.
    pub confined: usize,
    /// The accounts of which a holder knows a newer epoch.
    pub stale: BTreeSet<AccountId>,
}

impl Restoration {
    /// The beginning: every account is confined to its newest epoch in the backup.
    pub fn new(
        mode: RestoreMode,
        made_at: UnixMillis,
        restored_at: UnixMillis,
        shares: impl IntoIterator<Item = BackedUpShare>,
    ) -> Self {
        let mut accounts: BTreeMap<AccountId, Case> = BTreeMap::new();
        for BackedUpShare { account, epoch, threshold, others } in shares {
            let is_older = matches!(
                accounts.get(&account),
                Some(Case::Confined(Confined { epoch: newest, .. })) if epoch <= *newest
            );
            if !is_older {
                let needed = threshold.min(others.len());
                let words = BTreeMap::new();
                let confined = Confined { epoch, others, needed, words };
                accounts.insert(account, Case::Confined(confined));
            }
        }
        Self { mode, made_at, restored_at, accounts }
    }

    /// The accounts about which the peers are still to be asked.
    pub fn confined(&self) -> BTreeSet<AccountId> {
        match self.mode {
            RestoreMode::Disaster => BTreeSet::new(),
            RestoreMode::Quarantined => self
                .accounts
                .iter()
                .filter(|(_, case)| matches!(case, Case::Confined(_)))
                .map(|(account, _)| *account)
                .collect(),
        }
    }

    /// Takes a testimony, whose signature and nonce have been checked.
    pub fn hear(&mut self, testimony: &Testimony) -> Heard {
        let mut heard = Heard::default();
        for (account, floor) in &testimony.floors {
            let Some(case) = self.accounts.get_mut(account) else { continue };
            let Case::Confined(confined) = case else { continue };
            if !confined.others.contains(&testimony.by) {
                continue;
            }
            if confined.words.insert(testimony.by, *floor) == Some(*floor) {
                continue;
            }
            heard.is_news = true;
            if *floor > confined.epoch {
                heard.stale.insert(*account, *floor);
            } else if confined.confirmed() >= confined.needed {
                *case = Case::Released;
                heard.released.insert(*account);
            }
        }
        heard
    }

    /// Whether the party may take part. `longest_life` is the longest that a requester's signature
    /// was ever allowed to live, not only by the present policy.
    ///
    /// # Errors
    /// [`DeclineReason::Quarantined`] or [`DeclineReason::StaleEpoch`].
    pub fn judge(
        &self,
        intent: &Intent,
        now: UnixMillis,
        longest_life: Duration,
    ) -> Result<(), DeclineReason> {
        // Nobody says which requests were used before. After the longest life of a requester's
        // signature all of them have expired.
        let life = u64::try_from(longest_life.as_millis()).unwrap_or(u64::MAX);
        let carries_authorization =
            matches!(&intent.kind, IntentKind::Sign { authorization: Some(_), .. });
        if carries_authorization && now.0 < self.restored_at.0.saturating_add(life) {
            return Err(DeclineReason::Quarantined);
        }
        if self.mode == RestoreMode::Disaster {
            return Ok(());
        }
        match intent.kind.account().map(|account| self.accounts.get(&account)) {
            Some(Some(Case::Confined(confined))) => Err(match confined.newer() {
                Some(_) => DeclineReason::StaleEpoch,
                None => DeclineReason::Quarantined,
            }),
            Some(Some(Case::Released)) => Ok(()),
            // What is new needs every member's records to be in order.
            Some(None) | None if self.unheard() == 0 => Ok(()),
            Some(None) | None => Err(DeclineReason::Quarantined),
        }
    }

    /// Whether the account waits for words, or is one of which a holder knows a newer epoch.
    fn confines(&self, account: AccountId) -> bool {
        self.mode == RestoreMode::Quarantined
            && matches!(self.accounts.get(&account), Some(Case::Confined(_)))
    }

    /// How many accounts wait for words.
    fn unheard(&self) -> usize {
        let is_unheard =
            |case: &&Case| matches!(case, Case::Confined(confined) if confined.newer().is_none());
        self.accounts.values().filter(is_unheard).count()
    }

    /// Whether the party is one whose word counts.
    pub fn concerns(&self, party: PartyId) -> bool {
        let counts = |case: &Case| matches!(case, Case::Confined(c) if c.others.contains(&party));
        self.accounts.values().any(counts)
    }

    /// How far it is.
    pub fn status(&self) -> RestorationStatus {
        let is_stale = |case: &Case| matches!(case, Case::Confined(c) if c.newer().is_some());
        RestorationStatus {
            mode: self.mode,
            made_at: self.made_at,
            restored_at: self.restored_at,
            confined: self.unheard(),
            stale: self.accounts.iter().filter(|(_, c)| is_stale(c)).map(|(a, _)| *a).collect(),
        }
    }
}

/// The party's restoration, if it was restored. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Quarantine {
    restoration: Arc<Mutex<Option<Restoration>>>,
    changing: Arc<tokio::sync::Mutex<()>>,
}

impl Quarantine {
    /// Held by who changes and stores the restoration, so that none is stored over a newer one.
    pub(crate) async fn change(&self) -> tokio::sync::OwnedMutexGuard<()> {
        Arc::clone(&self.changing).lock_owned().await
    }

    pub(crate) fn set(&self, restoration: Option<Restoration>) {
        *self.lock() = restoration;
    }

    pub(crate) fn current(&self) -> Option<Restoration> {
        self.lock().clone()
    }

    /// Whether the party's word would change anything.
    pub(crate) fn awaits(&self, party: PartyId) -> bool {
        self.lock().as_ref().is_some_and(|restoration| restoration.concerns(party))
    }

    /// Whether the account waits for the peers' word.
    pub(crate) fn confines(&self, account: AccountId) -> bool {
        self.lock().as_ref().is_some_and(|restoration| restoration.confines(account))
    }

    /// Whether the party was restored from a backup, and may have said what it does not know of.
    pub(crate) fn is_restored(&self) -> bool {
        self.lock().is_some()
    }

    pub(crate) fn judge(
        &self,
        intent: &Intent,
        now: UnixMillis,
        longest_life: Duration,
    ) -> Result<(), DeclineReason> {
        match &*self.lock() {
            Some(restoration) => restoration.judge(intent, now, longest_life),
            None => Ok(()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Restoration>> {
        self.restoration.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[path = "quarantine/tests.rs"]
mod tests;
