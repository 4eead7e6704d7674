//! The audit log's end of a vault: entries are appended by its transactions, and each seals the head
//! of the log in the manifest's root.

use super::header::Header;
use super::manifest::{Manifest, compare, find, id_of};
use super::records::{IdentityRecord, Kind, Place};
use super::row_seal::open_row;
use super::{KekProvider, Vault, VaultError, VaultTransaction};
use crate::audit::log;
use crate::audit::notes;
use crate::audit::witness;
use crate::policy::gate::wall_clock;
use mpc_wire::audit::{Head, Note};
use mpc_wire::{Epoch, Identity, SignedHead};
use sea_orm::ConnectionTrait;

impl Vault {
    /// Enters a note about something of which the vault stores nothing else.
    ///
    /// # Errors
    /// [`VaultError`] if it cannot be stored.
    pub async fn enter(&self, note: Note) -> Result<(), VaultError> {
        let mut transaction = self.begin().await?;
        transaction.enter(note);
        transaction.commit().await
    }

    /// The head of the party's audit log as this vault has sealed or read it last.
    pub fn audit_head(&self) -> Head {
        self.shared.manifest().audit_head()
    }
}

impl VaultTransaction {
    /// Enters a note into the party's audit log with this commit.
    pub fn enter(&mut self, note: Note) {
        self.notes.push(note);
    }

    /// Appends what was entered; the new head is to be sealed with the manifest.
    pub(super) async fn append(&mut self) -> Result<Option<Head>, VaultError> {
        if self.notes.is_empty() {
            return Ok(None);
        }
        let mut head = self.end_of_log().await?;
        let at = wall_clock();
        let mut entries = Vec::with_capacity(self.notes.len());
        for note in std::mem::take(&mut self.notes) {
            let (entry, next) = head.append(at, note);
            entries.push((entry, next.hash));
            head = next;
        }
        log::append(&self.db, entries).await?;
        Ok(Some(head))
    }

    /// Where the log goes on. It is asked for each time: another handle of the vault may have
    /// appended. What is not as it was left is told, entered, and kept as evidence.
    async fn end_of_log(&mut self) -> Result<Head, VaultError> {
        let left = self.load().await?.audit_head();
        let rows = log::end(&self.db).await?;
        if left == rows {
            return Ok(rows);
        }
        let fault = match log::hash_of(&self.db, left.count).await? {
            _ if rows.count < left.count => "cut",
            Some(hash) if hash != left.hash => "rewritten",
            Some(_) | None => "appended",
        };
        let (party, count, found) = (self.shared.party(), left.count, rows.count);
        tracing::error!(
            %party, fault, count, found,
            "the party's audit log is not as it was left: see `mpc audit verify`"
        );
        self.notes.insert(0, notes::log_in_doubt(&left, fault));
        let evidence = SignedHead::sign(&self.shared.identity(), left);
        witness::keep_evidence(&self.db, &evidence).await?;
        // Numbers that were given are not given again, so that the gap stays to be seen.
        Ok(if rows.count > left.count { rows } else { left })
    }
}

/// The head of a party's audit log as its vault has sealed it. Reads only, whoever uses the vault
/// meanwhile.
///
/// # Errors
/// [`VaultError::WrongKey`] if the vault is sealed with another key; else if it cannot be read, or
/// was put back without all that has changed since.
pub async fn sealed_audit_head(
    db: &impl ConnectionTrait,
    provider: &dyn KekProvider,
) -> Result<Head, VaultError> {
    let header = Header::read(db).await?.ok_or(VaultError::HeaderAltered)?;
    let keys = header.keyring(provider.key(&header.wanted())?)?;
    Ok(Manifest::read(db, &keys, header.party).await?.audit_head())
}

/// As [`sealed_audit_head`], signed with the party's identity.
///
/// # Errors
/// As [`sealed_audit_head`].
pub async fn signed_audit_head(
    db: &impl ConnectionTrait,
    provider: &dyn KekProvider,
) -> Result<SignedHead, VaultError> {
    let header = Header::read(db).await?.ok_or(VaultError::HeaderAltered)?;
    let keys = header.keyring(provider.key(&header.wanted())?)?;
    let manifest = Manifest::read(db, &keys, header.party).await?;
    let place = Place::new(Kind::Identity.name(), "", Epoch(0));
    let row = find(db, &place).await?;
    compare(&place, manifest.listed(&place), row.is_some(), row.as_ref().and_then(id_of))?;
    let row = row.ok_or_else(|| VaultError::Missing(place.clone()))?;
    let IdentityRecord { seed, rotations } = open_row(&keys, header.party, &row)?;
    let seed: &[u8; 32] = seed.expose().try_into().map_err(|_| VaultError::Form(place.clone()))?;
    let identity = Identity::restore(header.party, seed, &rotations)
        .map_err(|_| VaultError::Altered(place))?;
    Ok(SignedHead::sign(&identity, manifest.audit_head()))
}
