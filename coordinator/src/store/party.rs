//! Registered parties.

use super::enrolment::{self, Consumed};
use super::{Store, StoreError, parse, to_i64, to_u64};
use crate::audit::{self, Asker};
use crate::clock::Clock;
use crate::enrolment::{Arrival, Judgement, Ticket, Verdict};
use crate::names::{PartyState, Role};
use mpc_wire::limits::MAX_LABEL;
use mpc_wire::{KeyNumber, PartyId, PartySignature, ProvenKey, UnixMillis};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use std::collections::BTreeSet;

#[expect(unreachable_pub, reason = "sea-orm's derives make public items")]
mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Debug, Clone, DeriveEntityModel)]
    #[sea_orm(table_name = "parties")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub party_id: String,
        pub label: String,
        pub role: String,
        pub registered_at: i64,
        pub key_number: i32,
        pub party_key: Option<String>,
        pub revoked_at: Option<i64>,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// A party that was registered once; it may have been revoked since.
#[derive(Debug, Clone)]
pub(crate) struct Party {
    pub(crate) id: PartyId,
    pub(crate) label: String,
    pub(crate) role: Role,
    pub(crate) registered_at: UnixMillis,
    /// The newest key that it has proven.
    pub(crate) key: ProvenKey,
    pub(crate) revoked_at: Option<UnixMillis>,
}

impl Party {
    pub(crate) fn is_revoked(&self) -> bool {
        self.revoked_at.is_some()
    }

    pub(crate) fn state(&self) -> PartyState {
        if self.is_revoked() { PartyState::Revoked } else { PartyState::Registered }
    }

    /// How a key that the party has proven by this signature stands to what is known.
    pub(crate) fn judge(&self, key: ProvenKey, signature: &PartySignature) -> Judgement {
        if self.is_revoked() {
            Judgement::Revoked
        } else if key == self.key {
            Judgement::Same
        } else if signature.descends_from(self.id, self.key) {
            Judgement::Newer
        } else {
            Judgement::Superseded
        }
    }
}

/// Why a party is not registered.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// The label exceeds its bound.
    #[error("label of {0} bytes; at most {MAX_LABEL} are allowed")]
    LabelTooLong(usize),
    /// The id could appear under another name.
    #[error("the party's id is not the one encoding of a usable Ed25519 key")]
    NoIdentity,
    /// The party was revoked, which is for good.
    #[error("the party was revoked: a revoked identity does not come back, make a new one")]
    Revoked,
    /// The store cannot take it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What became of a registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Registered {
    /// The party is new.
    New,
    /// It was registered before, and has this role and label now.
    Before,
}

impl Store {
    /// Registers a party, or gives a registered one another role and label.
    ///
    /// # Errors
    /// [`RegisterError`] if the party may not be registered or the store cannot take it.
    pub async fn register_party(
        &self,
        party: PartyId,
        role: Role,
        label: &str,
    ) -> Result<(), RegisterError> {
        self.register(party, role, label, &Asker::Operator).await.map(|_| ())
    }

    /// The same, and says who asked for it.
    pub(crate) async fn register(
        &self,
        party: PartyId,
        role: Role,
        label: &str,
        asker: &Asker,
    ) -> Result<Registered, RegisterError> {
        if label.len() > MAX_LABEL {
            return Err(RegisterError::LabelTooLong(label.len()));
        }
        if !party.is_canonical() {
            return Err(RegisterError::NoIdentity);
        }
        let mut writing = self.begin().await?;
        let known = find(writing.txn(), party).await?;
        match &known {
            Some(known) if known.is_revoked() => {
                writing.rollback().await?;
                return Err(RegisterError::Revoked);
            }
            // A node registers its own parties at every start.
            Some(known) if known.role == role && known.label == label => {
                writing.rollback().await?;
                return Ok(Registered::Before);
            }
            Some(_) => {
                row::Entity::update_many()
                    .col_expr(row::Column::Label, Expr::value(label))
                    .col_expr(row::Column::Role, Expr::value(role.name()))
                    .filter(row::Column::PartyId.eq(party.to_string()))
                    .exec(writing.txn())
                    .await
                    .map_err(StoreError::from)?;
            }
            None => {
                let key = ProvenKey::founding(party);
                insert(writing.txn(), party, role, label, key, Clock::start().wall()).await?;
            }
        }
        writing.enter(audit::party_registered(party, role, asker));
        writing.commit().await?;
        Ok(if known.is_some() { Registered::Before } else { Registered::New })
    }

    /// Decides on an arrival whose party is not known, with its ticket, or whose key is not. What
    /// is remembered of it, a used token, a new party or a newer key, is one commit, and durable
    /// when this returns.
    pub(crate) async fn admit(
        &self,
        arrival: &Arrival,
        ticket: Option<&Ticket>,
        now: UnixMillis,
    ) -> Result<Verdict, StoreError> {
        let mut writing = self.begin().await?;
        // Looked at again: whatever was known before this transaction may be known no more.
        let known = find(writing.txn(), arrival.party).await?;
        let note = match (known, ticket) {
            (Some(known), _) => match known.judge(arrival.key, &arrival.signature) {
                Judgement::Same => Err(Verdict::Admitted),
                Judgement::Revoked => Err(Verdict::Revoked),
                Judgement::Superseded => Err(Verdict::KeySuperseded),
                Judgement::Newer => {
                    set_key(writing.txn(), arrival.party, arrival.key).await?;
                    Ok(audit::party_key_rotated(arrival.party, arrival.key))
                }
            },
            (None, None) => Err(Verdict::NotEnrolled),
            (None, Some(ticket)) => {
                match enrolment::consume(writing.txn(), ticket.id, arrival.party, now).await? {
                    Consumed::Now => {
                        let label = ticket.label.as_deref().unwrap_or(&arrival.label);
                        let (txn, Arrival { party, key, .. }) = (writing.txn(), arrival);
                        insert(txn, *party, ticket.role, label, *key, now).await?;
                        Ok(audit::party_enrolled(*party, *key, ticket))
                    }
                    Consumed::NotThere => {
                        tracing::warn!(party = %arrival.party, token = %ticket.id,
                            "an enrolment token is refused: it was used or cancelled");
                        Err(Verdict::TokenRefused)
                    }
                }
            }
        };
        match note {
            Ok(note) => {
                tracing::info!(party = %arrival.party, number = %arrival.key.number, event = note.event,
                    "what is known of a party has changed");
                writing.enter(note);
                writing.commit().await?;
                Ok(Verdict::Admitted)
            }
            Err(verdict) => {
                writing.rollback().await?;
                Ok(verdict)
            }
        }
    }

    /// Revokes a party for good, if it is not revoked yet, and shows it. None if it is not known.
    pub(crate) async fn revoke_party(
        &self,
        party: PartyId,
        now: UnixMillis,
        asker: &Asker,
    ) -> Result<Option<Party>, StoreError> {
        let mut writing = self.begin().await?;
        let revoked = row::Entity::update_many()
            .col_expr(row::Column::RevokedAt, Expr::value(to_i64(now.0)))
            .filter(row::Column::PartyId.eq(party.to_string()))
            // When it was first: a second time changes nothing.
            .filter(row::Column::RevokedAt.is_null())
            .exec(writing.txn())
            .await?;
        if revoked.rows_affected > 0 {
            writing.enter(audit::party_revoked(party, asker));
        }
        writing.commit().await?;
        self.party(party).await
    }

    /// Whether a party is registered, and not revoked.
    ///
    /// # Errors
    /// [`StoreError`] if the database does not answer.
    pub async fn is_registered(&self, party: PartyId) -> Result<bool, StoreError> {
        Ok(self.party(party).await?.is_some_and(|party| !party.is_revoked()))
    }

    /// The party, if it was ever registered.
    pub(crate) async fn party(&self, party: PartyId) -> Result<Option<Party>, StoreError> {
        find(&*self.readers.turn().await?, party).await
    }

    /// The role of a party, if it is registered and not revoked.
    pub(crate) async fn role(&self, party: PartyId) -> Result<Option<Role>, StoreError> {
        let party = self.party(party).await?.filter(|party| !party.is_revoked());
        Ok(party.map(|party| party.role))
    }

    /// All parties that were ever registered, the revoked ones among them, by their id.
    pub(crate) async fn parties(&self) -> Result<Vec<Party>, StoreError> {
        let rows = row::Entity::find()
            .order_by_asc(row::Column::PartyId)
            .all(&*self.readers.turn().await?)
            .await?;
        rows.into_iter().map(Party::try_from).collect()
    }

    /// The parties that were revoked.
    pub(crate) async fn revoked_parties(&self) -> Result<BTreeSet<PartyId>, StoreError> {
        let ids: Vec<String> = row::Entity::find()
            .select_only()
            .column(row::Column::PartyId)
            .filter(row::Column::RevokedAt.is_not_null())
            .into_tuple()
            .all(&*self.readers.turn().await?)
            .await?;
        ids.iter().map(|id| parse("party", id)).collect()
    }
}

async fn find(db: &impl ConnectionTrait, party: PartyId) -> Result<Option<Party>, StoreError> {
    let row = row::Entity::find_by_id(party.to_string()).one(db).await?;
    row.map(Party::try_from).transpose()
}

async fn insert(
    db: &impl ConnectionTrait,
    party: PartyId,
    role: Role,
    label: &str,
    key: ProvenKey,
    now: UnixMillis,
) -> Result<(), StoreError> {
    let (key_number, party_key) = columns(party, key);
    let row = row::ActiveModel {
        party_id: Set(party.to_string()),
        label: Set(label.to_owned()),
        role: Set(role.name().to_owned()),
        registered_at: Set(to_i64(now.0)),
        key_number: Set(key_number),
        party_key: Set(party_key),
        revoked_at: Set(None),
    };
    row::Entity::insert(row).exec_without_returning(db).await?;
    Ok(())
}

async fn set_key(
    db: &impl ConnectionTrait,
    party: PartyId,
    key: ProvenKey,
) -> Result<(), StoreError> {
    let (key_number, party_key) = columns(party, key);
    row::Entity::update_many()
        .col_expr(row::Column::KeyNumber, Expr::value(key_number))
        .col_expr(row::Column::PartyKey, Expr::value(party_key))
        .filter(row::Column::PartyId.eq(party.to_string()))
        .exec(db)
        .await?;
    Ok(())
}

/// A key as it is stored: the founding key is the party's id already.
fn columns(party: PartyId, key: ProvenKey) -> (i32, Option<String>) {
    // A key has at most `mpc_wire::limits::MAX_KEY_ROTATIONS` before it.
    let number = i32::try_from(key.number.0).unwrap_or(i32::MAX);
    (number, (key != ProvenKey::founding(party)).then(|| key.key.to_string()))
}

impl TryFrom<row::Model> for Party {
    type Error = StoreError;

    fn try_from(row: row::Model) -> Result<Self, StoreError> {
        let id = parse("party", &row.party_id)?;
        let key = match &row.party_key {
            None => ProvenKey::founding(id),
            Some(key) => {
                let number = u32::try_from(row.key_number).map_err(|_| StoreError::Corrupt {
                    what: "number of a party's key",
                    detail: "out of range".into(),
                })?;
                ProvenKey { number: KeyNumber(number), key: parse("key of a party", key)? }
            }
        };
        Ok(Self {
            id,
            role: parse("role", &row.role)?,
            label: row.label,
            registered_at: UnixMillis(to_u64(row.registered_at)),
            key,
            revoked_at: row.revoked_at.map(|at| UnixMillis(to_u64(at))),
        })
    }
}
