//! A vault's durable records in the clear, for a backup, and a vault made from them.

use super::files::{Found, VaultFiles};
use super::header::Header;
use super::kek::Keyring;
use super::manifest::{Changes, Manifest, upsert};
use super::provider::{KekProvider, NewKey};
use super::records::{IdentityRecord, Kind, Place};
use super::row_seal::{open_bytes, seal_bytes, seal_row};
use super::rows::record;
use super::transaction::begin;
use super::{Vault, VaultError, VaultTransaction, connect};
use crate::quarantine::Restoration;
use migrations::party::Migrator;
use mpc_wire::{Epoch, Identity, PartyId};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use sea_orm_migration::MigratorTrait;
use std::path::Path;
use zeroize::Zeroizing;

/// A durable record: where it lies, and its content in MessagePack.
pub(crate) struct PlainRecord {
    pub(crate) place: Place,
    pub(crate) content: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for PlainRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PlainRecord({}, redacted)", self.place)
    }
}

impl PlainRecord {
    /// A record of a kind that backups hold, at the place with these names.
    pub(crate) fn new(
        kind: &str,
        name: &str,
        epoch: Epoch,
        content: Zeroizing<Vec<u8>>,
    ) -> Option<Self> {
        Kind::named(kind)
            .is_some_and(Kind::is_backed_up)
            .then(|| Self { place: Place::new(kind, name, epoch), content })
    }
}

impl PlainRecord {
    /// Whether it is of this kind.
    pub(crate) fn is_a(&self, kind: Kind) -> bool {
        self.place.kind() == kind.name()
    }
}

impl Vault {
    /// Every record that a backup holds, all of one moment.
    pub(crate) async fn plain_records(&self) -> Result<Vec<PlainRecord>, VaultError> {
        let mut transaction = self.begin().await?;
        let records = transaction.plain_records().await;
        transaction.give_up().await?;
        records
    }

    /// Makes a vault for `party` from records, which must hold its identity, and marks it as
    /// restored. A crash leaves no vault.
    pub(crate) async fn restore(
        path: &Path,
        provider: &dyn KekProvider,
        party: PartyId,
        records: Vec<PlainRecord>,
        restoration: &Restoration,
    ) -> Result<Self, VaultError> {
        let files = VaultFiles::at(path);
        match files.find() {
            Found::Nothing => {}
            Found::Unfinished if files.interrupted_restoration() == Some(party.to_string()) => {
                files.discard_unfinished()?;
            }
            Found::Vault | Found::Unfinished => {
                return Err(VaultError::Exists { path: path.to_owned() });
            }
            // That there was one is why it is restored; what is left of it must be the same party's.
            Found::Witness(witness) => files.expect_party(&witness, party)?,
        }
        let identity = identity_of(party, &records)?;
        files.begin_restoring(party)?;
        let db = connect(path).await?;
        Migrator::up(&db, None).await?;
        let NewKey { kek, derivation } = provider.new_key(None)?;
        let header = Header::new(party, &kek, provider.kind(), derivation, None)?;
        let keys = Keyring { current: kek, previous: None };
        let transaction = begin(&db).await?;
        header.write(&transaction).await?;
        let mut first = Changes::new();
        for PlainRecord { place, content } in records {
            let (row, id) = seal_bytes(&keys, party, &place, &content)?;
            upsert(&transaction, row).await?;
            first.insert(place, Some(id));
        }
        let place = Place::new(Kind::Restoration.name(), "", Epoch(0));
        let (row, id) = seal_row(&keys, party, &place, restoration)?;
        upsert(&transaction, row).await?;
        first.insert(place, Some(id));
        let manifest = Manifest::create(&transaction, &keys, party, &first).await?;
        transaction.commit().await?;
        files.finish_making(party)?;
        Ok(Self::new(db, identity, keys, manifest))
    }
}

impl VaultTransaction {
    async fn plain_records(&mut self) -> Result<Vec<PlainRecord>, VaultError> {
        let mut records = Vec::new();
        for kind in Kind::ALL.into_iter().filter(|kind| kind.is_backed_up()) {
            // Read as values of any form first: this is what finds that one is missing or old.
            let places = self.list::<serde::de::IgnoredAny>(kind).await?;
            let rows = record::Entity::find()
                .filter(record::Column::Kind.eq(kind.name()))
                .all(&self.db)
                .await?;
            debug_assert_eq!(places.len(), rows.len());
            for row in rows {
                let content = open_bytes(self.keys(), self.shared.party(), &row)?;
                let place = super::row_seal::place_of(&row)?;
                records.push(PlainRecord { place, content });
            }
        }
        Ok(records)
    }
}

/// The identity among the records, if it is the party's.
fn identity_of(party: PartyId, records: &[PlainRecord]) -> Result<Identity, VaultError> {
    let place = Place::new(Kind::Identity.name(), "", Epoch(0));
    let record = records
        .iter()
        .find(|record| record.place == place)
        .ok_or_else(|| VaultError::Missing(place.clone()))?;
    let IdentityRecord { seed, rotations } =
        rmp_serde::from_slice(&record.content).map_err(|_| VaultError::Form(place.clone()))?;
    let seed: &[u8; 32] = seed.expose().try_into().map_err(|_| VaultError::Form(place.clone()))?;
    Identity::restore(party, seed, &rotations).map_err(|_| VaultError::Altered(place))
}
