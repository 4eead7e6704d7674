//! The manifest: which records must exist, and which write of each was the last.
//!
//! A sealed record proves that it belongs to its place, not that it is the newest of its place, nor
//! that none is missing. So a root record and [`PAGES`] pages, sealed themselves, list the data key
//! id of the last write of every record; they change in the same transaction as it. The root pins
//! the pages and where the audit log ends, and carries a counter that only grows.
//!
//! What this sees: a record that was removed, put back after it was replaced or deleted, or any part
//! of the manifest that is older than the rest; while the vault is open, also all of them rolled
//! back together, since the open vault remembers the counter.
//!
//! What it cannot see: the whole file replaced by an older copy of itself while the party is
//! stopped, or all of it that has changed since. Nothing inside of a file can; the peers' floors and
//! bans and the heads of the audit logs do.

use super::VaultError;
use super::kek::Keyring;
use super::records::{Kind, Place, Protection};
use super::row_seal::{open_row, place_of, seal_row};
use super::rows::record;
use super::sealed::DataKeyId;
use mpc_wire::audit::Head;
use mpc_wire::{Epoch, PartyId};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Pages of the manifest. A write seals one page and the root anew, so its cost grows with the
/// records by a 64th: some 10 kB for ten thousand records.
const PAGES: u8 = 64;

/// The stored kind of the root.
const ROOT_KIND: &str = "manifest";

/// The stored kind of a page, which is named by its number.
const PAGE_KIND: &str = "manifest-page";

/// What was written last to a place; none if it was deleted.
pub(super) type Changes = BTreeMap<Place, Option<DataKeyId>>;

/// The manifest as it is stored.
#[derive(Debug, Clone)]
pub(super) struct Manifest {
    /// Which write of the root this is.
    root: DataKeyId,
    counter: u64,
    /// Where the audit log ends.
    audit_head: Head,
    pages: BTreeMap<u8, Arc<Page>>,
}

#[derive(Debug, Clone)]
struct Page {
    id: DataKeyId,
    entries: BTreeMap<Place, DataKeyId>,
}

#[derive(Serialize, Deserialize)]
struct RootRecord {
    counter: u64,
    audit_head: Head,
    pages: BTreeMap<u8, DataKeyId>,
}

#[derive(Serialize, Deserialize)]
struct PageRecord {
    entries: Vec<(Place, DataKeyId)>,
}

impl Manifest {
    /// The manifest of a vault that is being made, with what it holds from the start.
    pub(super) async fn create(
        db: &impl ConnectionTrait,
        keys: &Keyring,
        party: PartyId,
        first: &Changes,
    ) -> Result<Self, VaultError> {
        // The root's id is that of the write below.
        let root = DataKeyId::generate()?;
        let empty = Self { root, counter: 0, audit_head: Head::EMPTY, pages: BTreeMap::new() };
        empty.write(db, keys, party, first, Head::EMPTY).await
    }

    /// Reads the stored manifest.
    pub(super) async fn read(
        db: &impl ConnectionTrait,
        keys: &Keyring,
        party: PartyId,
    ) -> Result<Self, VaultError> {
        let place = root_place();
        let row = find(db, &place).await?.ok_or_else(|| VaultError::Missing(place.clone()))?;
        let root: RootRecord = open_row(keys, party, &row)?;
        let rows =
            record::Entity::find().filter(record::Column::Kind.eq(PAGE_KIND)).all(db).await?;
        let mut pages = BTreeMap::new();
        for row in rows {
            let place = place_of(&row)?;
            let PageRecord { entries } = open_row(keys, party, &row)?;
            let number: Option<u8> = place.name().parse().ok();
            let listed = number.and_then(|number| Some((number, root.pages.get(&number)?)));
            match listed {
                Some((number, id)) if Some(*id) == id_of(&row) => {
                    pages.insert(
                        number,
                        Arc::new(Page { id: *id, entries: entries.into_iter().collect() }),
                    );
                }
                Some(_) | None => return Err(VaultError::RolledBack(place)),
            }
        }
        if let Some(number) = root.pages.keys().find(|number| !pages.contains_key(number)) {
            return Err(VaultError::Missing(page_place(*number)));
        }
        let id = id_of(&row).ok_or(VaultError::Altered(place))?;
        Ok(Self { root: id, counter: root.counter, audit_head: root.audit_head, pages })
    }

    /// The stored manifest: this one if it is still the newest, else what another handle of the same
    /// vault has written since.
    pub(super) async fn refresh(
        self: &Arc<Self>,
        db: &impl ConnectionTrait,
        keys: &Keyring,
        party: PartyId,
    ) -> Result<Arc<Self>, VaultError> {
        let place = root_place();
        let id: Option<Option<Vec<u8>>> = record::Entity::find_by_id(key_of(&place))
            .select_only()
            .column(record::Column::DataKeyId)
            .into_tuple()
            .one(db)
            .await?;
        let id = id.ok_or_else(|| VaultError::Missing(place.clone()))?;
        if DataKeyId::from_row(id.as_deref()) == Some(self.root) {
            return Ok(Arc::clone(self));
        }
        let stored = Self::read(db, keys, party).await?;
        if stored.is_newer_than(self) {
            Ok(Arc::new(stored))
        } else {
            Err(VaultError::RolledBack(place))
        }
    }

    pub(super) fn is_newer_than(&self, other: &Self) -> bool {
        self.counter > other.counter
    }

    /// Where the audit log ends.
    pub(super) fn audit_head(&self) -> Head {
        self.audit_head
    }

    /// Writes the manifest with these changes and the audit log's end; the result is the one to keep
    /// after the commit.
    pub(super) async fn write(
        &self,
        db: &impl ConnectionTrait,
        keys: &Keyring,
        party: PartyId,
        changes: &Changes,
        audit_head: Head,
    ) -> Result<Self, VaultError> {
        let mut next = Self { audit_head, ..self.clone() };
        let touched: BTreeSet<u8> = changes.keys().map(page_of).collect();
        for number in touched {
            let mut entries =
                next.pages.get(&number).map_or_else(BTreeMap::new, |page| page.entries.clone());
            for (place, id) in changes.iter().filter(|(place, _)| page_of(place) == number) {
                match id {
                    Some(id) => entries.insert(place.clone(), *id),
                    None => entries.remove(place),
                };
            }
            let list = PageRecord {
                entries: entries.iter().map(|(place, id)| (place.clone(), *id)).collect(),
            };
            let (row, id) = seal_row(keys, party, &page_place(number), &list)?;
            upsert(db, row).await?;
            next.pages.insert(number, Arc::new(Page { id, entries }));
        }
        next.counter += 1;
        let root = RootRecord {
            counter: next.counter,
            audit_head,
            pages: next.pages.iter().map(|(number, page)| (*number, page.id)).collect(),
        };
        let (row, id) = seal_row(keys, party, &root_place(), &root)?;
        upsert(db, row).await?;
        next.root = id;
        Ok(next)
    }

    /// Which write of a place was the last.
    pub(super) fn listed(&self, place: &Place) -> Option<DataKeyId> {
        self.pages.get(&page_of(place))?.entries.get(place).copied()
    }

    /// Every place that must exist.
    pub(super) fn places(&self) -> impl Iterator<Item = &Place> {
        self.pages.values().flat_map(|page| page.entries.keys())
    }

    /// Compares what the vault's rows claim with what they must be. Damage to a vital record is
    /// refused; other damage goes to the log, and is refused when the record is read.
    pub(super) async fn verify_rows(&self, db: &impl ConnectionTrait) -> Result<(), VaultError> {
        type Claim = (String, String, i64, Option<Vec<u8>>);
        let claims: Vec<Claim> = record::Entity::find()
            .select_only()
            .columns([record::Column::Kind, record::Column::Name, record::Column::Epoch])
            .column(record::Column::DataKeyId)
            .into_tuple()
            .all(db)
            .await?;
        let mut found = BTreeSet::new();
        for (kind, name, epoch, id) in claims {
            if Kind::named(&kind).is_none() {
                continue;
            }
            let place = Place::new(&kind, &name, Epoch(u32::try_from(epoch).unwrap_or(u32::MAX)));
            let id = DataKeyId::from_row(id.as_deref());
            judge(compare(&place, self.listed(&place), true, id))?;
            found.insert(place);
        }
        for place in self.places().filter(|place| !found.contains(place)) {
            judge(Err(VaultError::Missing(place.clone())))?;
        }
        Ok(())
    }
}

/// Compares what the manifest lists for a place with what lies there.
pub(super) fn compare(
    place: &Place,
    listed: Option<DataKeyId>,
    is_there: bool,
    found: Option<DataKeyId>,
) -> Result<(), VaultError> {
    match (listed, is_there) {
        (None, false) => Ok(()),
        (Some(_), false) => Err(VaultError::Missing(place.clone())),
        (Some(listed), true) if Some(listed) == found => Ok(()),
        (Some(_) | None, true) => Err(VaultError::RolledBack(place.clone())),
    }
}

fn judge(result: Result<(), VaultError>) -> Result<(), VaultError> {
    let Err(error) = result else { return Ok(()) };
    let (VaultError::Missing(place) | VaultError::RolledBack(place)) = &error else {
        return Err(error);
    };
    match Kind::protection_of(place.kind()) {
        Some(Protection::Durable) => {
            tracing::error!(%place, %error, "a stored record cannot be used");
            Ok(())
        }
        Some(Protection::Vital) | None => Err(error),
    }
}

fn root_place() -> Place {
    Place::new(ROOT_KIND, "", Epoch(0))
}

fn page_place(number: u8) -> Place {
    Place::new(PAGE_KIND, &number.to_string(), Epoch(0))
}

/// The page that lists a place: by hash, so that pages fill evenly.
fn page_of(place: &Place) -> u8 {
    let mut hash = Sha256::new();
    for part in [place.kind(), place.name()] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    hash.update(place.epoch().0.to_be_bytes());
    hash.finalize().first().map_or(0, |byte| byte % PAGES)
}

/// The data key id that a row claims.
pub(super) fn id_of(row: &record::Model) -> Option<DataKeyId> {
    DataKeyId::from_row(row.data_key_id.as_deref())
}

/// The primary key of a place's row.
pub(super) fn key_of(place: &Place) -> (String, String, i64) {
    (place.kind().to_owned(), place.name().to_owned(), place.epoch().0.into())
}

/// The row at a place.
pub(super) async fn find(
    db: &impl ConnectionTrait,
    place: &Place,
) -> Result<Option<record::Model>, VaultError> {
    Ok(record::Entity::find_by_id(key_of(place)).one(db).await?)
}

/// Stores a row, in place of the one of the same place.
pub(super) async fn upsert(
    db: &impl ConnectionTrait,
    row: record::Model,
) -> Result<(), VaultError> {
    use sea_orm::{IntoActiveModel, sea_query::OnConflict};
    let place = [record::Column::Kind, record::Column::Name, record::Column::Epoch];
    let content = [
        record::Column::Format,
        record::Column::KeyId,
        record::Column::DataKeyId,
        record::Column::WrappedKey,
        record::Column::Sealed,
    ];
    record::Entity::insert(row.into_active_model())
        .on_conflict(OnConflict::columns(place).update_columns(content).to_owned())
        .exec_without_returning(db)
        .await?;
    Ok(())
}
