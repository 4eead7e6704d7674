//! Bans: a party's lasting refusal to work with another.
//!
//! A ban is signed by who makes it and told to its peers, who keep it: a party that is restored from
//! a backup of before gets it back from them, and believes it because the signature is its own.

use crate::vault::{Kind, Vault, VaultError, VaultTransaction};
use mpc_wire::limits::MAX_BANS;
use mpc_wire::{Epoch, PartyId, SignedBan};
use std::collections::BTreeSet;

/// Every ban that the vault holds: the party's own, and those of others that it keeps.
async fn all(vault: &Vault) -> Result<Vec<SignedBan>, VaultError> {
    Ok(vault.list_records(Kind::Ban).await?.into_iter().map(|(_, ban)| ban).collect())
}

/// The party's own bans.
pub(crate) async fn own(vault: &Vault) -> Result<Vec<SignedBan>, VaultError> {
    made_by(vault, vault.party()).await
}

/// The bans of one party.
pub(crate) async fn made_by(vault: &Vault, by: PartyId) -> Result<Vec<SignedBan>, VaultError> {
    Ok(all(vault).await?.into_iter().filter(|ban| ban.by == by).take(MAX_BANS).collect())
}

/// Whom a set of bans keeps away.
pub(crate) fn banned(bans: &[SignedBan]) -> BTreeSet<PartyId> {
    bans.iter().map(|ban| ban.banned).collect()
}

/// Stores a ban. Its signature has been checked.
pub(crate) async fn put(
    transaction: &mut VaultTransaction,
    ban: &SignedBan,
) -> Result<(), VaultError> {
    let name = format!("{}/{}", ban.by, ban.banned);
    transaction.put(Kind::Ban, &name, Epoch(0), ban).await
}

/// Keeps a ban of another party, unless it has made more than are kept. Says whether it is new.
pub(crate) async fn keep(vault: &Vault, ban: &SignedBan) -> Result<bool, VaultError> {
    let known = made_by(vault, ban.by).await?;
    let is_known = known.iter().any(|other| other.banned == ban.banned);
    if is_known || known.len() >= MAX_BANS {
        return Ok(false);
    }
    let mut transaction = vault.begin().await?;
    put(&mut transaction, ban).await?;
    transaction.commit().await?;
    Ok(true)
}
