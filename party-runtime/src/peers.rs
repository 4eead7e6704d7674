//! What parties tell each other apart from sessions: inquiries, testimonies, bans.
//!
//! The coordinator carries them and is believed in nothing: each is signed, and an answer names the
//! fresh nonce of the question. All it can do is to keep them back.

use crate::audit::notes;
use crate::bans;
use crate::policy::FIRST_EPOCH;
use crate::quarantine::{Heard, Quarantine, Restoration};
use crate::vault::{Kind, ShareRecord, Vault, VaultError};
use mpc_wire::limits::MAX_INQUIRY;
use mpc_wire::{AccountId, Epoch, Inquiry, Nonce, PartyId, SignedBan, Testimony};
use std::collections::{BTreeMap, BTreeSet};

/// Reads what the vault says of a restoration.
pub(crate) async fn restoration(vault: &Vault) -> Result<Option<Restoration>, VaultError> {
    vault.read_record(Kind::Restoration, "", Epoch(0)).await
}

/// The questions that a restored party has: one for each so many accounts.
pub(crate) fn inquiries(vault: &Vault, restoration: &Restoration) -> Vec<Inquiry> {
    let accounts: Vec<AccountId> = restoration.confined().into_iter().collect();
    accounts
        .chunks(MAX_INQUIRY)
        .map(|some| {
            let accounts = some.iter().copied().collect();
            Inquiry::sign(&vault.identity(), Nonce::generate(), accounts)
        })
        .collect()
}

/// Answers another party: the newest epoch of each account of which both are holders by this
/// party's own records, and the bans that the asker has made. None if the question is not the
/// asker's own, or there is nothing to say.
pub(crate) async fn testify(
    vault: &Vault,
    inquiry: &Inquiry,
) -> Result<Option<Testimony>, VaultError> {
    let me = vault.party();
    if inquiry.by == me || inquiry.verify().is_err() {
        return Ok(None);
    }
    let mut floors = BTreeMap::new();
    for account in &inquiry.accounts {
        // What is testified is what is held: the floor is that of the newest share here.
        let (floor, is_held) = match vault.floor(*account).await? {
            Some(floor) => {
                let newest = vault.share(*account, floor).await?;
                (floor, newest.is_some_and(|share| share.holders.contains(&inquiry.by)))
            }
            // No epoch is active here, so none can be elsewhere but the one that is prepared.
            None => {
                let waiting = vault.epoch(*account, FIRST_EPOCH).await?;
                (FIRST_EPOCH, waiting.shares().any(|share| share.holders.contains(&inquiry.by)))
            }
        };
        if is_held {
            floors.insert(*account, floor);
        }
    }
    let bans = bans::made_by(vault, inquiry.by).await?;
    if floors.is_empty() && bans.is_empty() {
        return Ok(None);
    }
    Ok(Some(Testimony::sign(&vault.identity(), inquiry, floors, bans)))
}

/// An answer to a question of this party, by somebody whose word counts: only [`Answer::check`]
/// makes one, before anything is read for its sake.
#[derive(Debug)]
pub(crate) struct Answer(Testimony);

impl Answer {
    /// Checks a testimony against the questions whose nonces are `asked`.
    pub(crate) fn check(
        me: PartyId,
        quarantine: &Quarantine,
        asked: &BTreeSet<Nonce>,
        testimony: Testimony,
    ) -> Option<Self> {
        let is_awaited = testimony.to == me
            && asked.contains(&testimony.nonce)
            && quarantine.awaits(testimony.by)
            && testimony.verify().is_ok();
        is_awaited.then_some(Self(testimony))
    }

    /// Who answers.
    pub(crate) fn by(&self) -> PartyId {
        self.0.by
    }
}

/// Takes an answer. What it changes is durable when this returns; so are the bans of this party
/// that it had forgotten, which are returned as well.
pub(crate) async fn hear(
    vault: &Vault,
    quarantine: &Quarantine,
    Answer(testimony): &Answer,
) -> Result<(Heard, Vec<PartyId>), VaultError> {
    let _changing = quarantine.change().await;
    let Some(mut restoration) = quarantine.current() else { return Ok(Default::default()) };
    let heard = restoration.hear(testimony);
    let known = bans::banned(&bans::own(vault).await?);
    let own = |ban: &&SignedBan| ban.by == vault.party() && !known.contains(&ban.banned);
    let forgotten: Vec<_> =
        testimony.bans.iter().filter(own).filter(|ban| ban.verify().is_ok()).collect();
    if !heard.is_news && forgotten.is_empty() {
        return Ok((heard, Vec::new()));
    }
    let recovered = forgotten.iter().map(|ban| ban.banned).collect();
    let mut transaction = vault.begin().await?;
    transaction.put(Kind::Restoration, "", Epoch(0), &restoration).await?;
    for (account, newest) in &heard.stale {
        transaction.enter(notes::share_stale(*account, *newest, testimony.by));
    }
    for account in &heard.released {
        transaction.enter(notes::account_released(*account));
    }
    for ban in forgotten {
        bans::put(&mut transaction, ban).await?;
        transaction.enter(notes::ban_recovered(ban.banned, testimony.by));
    }
    transaction.commit().await?;
    quarantine.set(Some(restoration));
    Ok((heard, recovered))
}

/// Keeps another party's ban, if it is its own.
pub(crate) async fn keep_ban(vault: &Vault, ban: &SignedBan) -> Result<(), VaultError> {
    if ban.by == vault.party() || ban.verify().is_err() {
        tracing::warn!(by = %ban.by, "a ban that is not signed by who makes it");
        return Ok(());
    }
    if bans::keep(vault, ban).await? {
        tracing::info!(by = %ban.by, banned = %ban.banned, "a peer's ban is kept");
    }
    Ok(())
}

/// Everybody with whom this party holds shares of an account.
pub(crate) async fn fellow_holders(vault: &Vault) -> Result<BTreeSet<PartyId>, VaultError> {
    let shares = vault.list_records::<ShareRecord>(Kind::Share).await?;
    let mut fellows: BTreeSet<_> =
        shares.into_iter().flat_map(|(_, share)| share.holders).collect();
    for (_, waiting) in vault.epochs().await? {
        fellows.extend(waiting.shares().flat_map(|share| &share.holders));
    }
    Ok(fellows)
}

#[cfg(test)]
#[path = "peers/tests.rs"]
mod tests;
