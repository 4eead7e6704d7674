//! The vault's header: whose vault it is, which key opens it and where that key comes from.

use super::VaultError;
use super::kek::{Kek, KeyId, Keyring};
use super::passphrase::Derivation;
use super::provider::{ProviderKind, Wanted};
use super::rows::{HEADER_ID, header};
use super::sealed::FORMAT_VERSION;
use mpc_wire::PartyId;
use mpc_wire::canonical::{Canonical, CanonicalWriter};
use sea_orm::{ConnectionTrait, EntityTrait};

/// What the key-check value decrypts to under the right key.
const CHECK_TEXT: &[u8] = b"mpc.v1 key check";

/// The header.
#[derive(Debug, Clone)]
pub(super) struct Header {
    pub(super) party: PartyId,
    pub(super) key_id: KeyId,
    pub(super) provider: ProviderKind,
    pub(super) derivation: Option<Derivation>,
    pub(super) previous: Option<Previous>,
    check: Vec<u8>,
}

/// During a rotation: the key before, wrapped by the present one, which so opens everything alone.
#[derive(Debug, Clone)]
pub(super) struct Previous {
    pub(super) key_id: KeyId,
    wrapped: Vec<u8>,
}

impl Header {
    /// A header for this key.
    pub(super) fn new(
        party: PartyId,
        kek: &Kek,
        provider: ProviderKind,
        derivation: Option<Derivation>,
        previous: Option<&Kek>,
    ) -> Result<Self, VaultError> {
        let previous = match previous {
            Some(before) => Some(Previous::wrap(party, kek, before)?),
            None => None,
        };
        let mut header = Self {
            party,
            key_id: kek.id().clone(),
            provider,
            derivation,
            previous,
            check: Vec::new(),
        };
        header.check = kek.sealer().seal(&header.aad(kek.id()), CHECK_TEXT)?;
        Ok(header)
    }

    /// The stored header.
    pub(super) async fn read(db: &impl ConnectionTrait) -> Result<Option<Self>, VaultError> {
        let Some(row) = header::Entity::find_by_id(HEADER_ID).one(db).await? else {
            return Ok(None);
        };
        if row.format != i32::from(FORMAT_VERSION) {
            return Err(VaultError::OldFormat { found: row.format, expected: FORMAT_VERSION });
        }
        let party = row.party_id.as_slice().try_into().map_err(|_| VaultError::HeaderAltered)?;
        let previous = match (row.previous_key_id, row.previous_key) {
            (Some(id), Some(wrapped)) => Some(Previous { key_id: KeyId::stored(&id), wrapped }),
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => return Err(VaultError::HeaderAltered),
        };
        Ok(Some(Self {
            party: PartyId::new(party),
            key_id: KeyId::stored(&row.key_id),
            provider: ProviderKind::parse(&row.provider).ok_or(VaultError::HeaderAltered)?,
            derivation: row.derivation.as_deref().map(Derivation::parse).transpose()?,
            previous,
            check: row.key_check,
        }))
    }

    /// Writes the header, in place of what there was.
    pub(super) async fn write(&self, db: &impl ConnectionTrait) -> Result<(), VaultError> {
        use sea_orm::{IntoActiveModel, sea_query::OnConflict};
        let row = header::Model {
            id: HEADER_ID,
            party_id: self.party.as_bytes().to_vec(),
            key_id: self.key_id.to_string(),
            key_check: self.check.clone(),
            format: FORMAT_VERSION.into(),
            provider: self.provider.name().to_owned(),
            derivation: self.derivation.as_ref().map(Derivation::to_json),
            previous_key_id: self.previous.as_ref().map(|previous| previous.key_id.to_string()),
            previous_key: self.previous.as_ref().map(|previous| previous.wrapped.clone()),
        };
        header::Entity::insert(row.into_active_model())
            .on_conflict(
                OnConflict::column(header::Column::Id)
                    .update_columns([
                        header::Column::PartyId,
                        header::Column::KeyId,
                        header::Column::KeyCheck,
                        header::Column::Format,
                        header::Column::Provider,
                        header::Column::Derivation,
                        header::Column::PreviousKeyId,
                        header::Column::PreviousKey,
                    ])
                    .to_owned(),
            )
            .exec_without_returning(db)
            .await?;
        Ok(())
    }

    /// What a provider needs to know to give the key.
    pub(super) fn wanted(&self) -> Wanted<'_> {
        Wanted {
            key_id: &self.key_id,
            provider: self.provider,
            derivation: self.derivation.as_ref(),
        }
    }

    /// The keys that open the records, if this is the header's key.
    pub(super) fn keyring(&self, kek: Kek) -> Result<Keyring, VaultError> {
        let text = kek.sealer().open(&self.aad(kek.id()), &self.check);
        let is_right = text.is_some_and(|text| *text == CHECK_TEXT);
        match (is_right, *kek.id() == self.key_id) {
            (true, true) => {}
            // The key or its name fits, so what does not was changed in the file.
            (true, false) | (false, true) => return Err(VaultError::HeaderAltered),
            (false, false) => {
                let (expected, given) = (self.key_id.clone(), kek.id().clone());
                return Err(VaultError::WrongKey { expected, given });
            }
        }
        let previous = match &self.previous {
            Some(previous) => Some(previous.unwrap(self.party, &kek)?),
            None => None,
        };
        Ok(Keyring { current: kek, previous })
    }

    fn aad(&self, key_id: &KeyId) -> Vec<u8> {
        HeaderAad { header: self, key_id }.canonical_bytes()
    }
}

impl Previous {
    fn wrap(party: PartyId, kek: &Kek, before: &Kek) -> Result<Self, VaultError> {
        let aad = PreviousAad { party, key_id: kek.id(), before: before.id() }.canonical_bytes();
        let wrapped = kek.sealer().seal(&aad, before.expose())?;
        Ok(Self { key_id: before.id().clone(), wrapped })
    }

    fn unwrap(&self, party: PartyId, kek: &Kek) -> Result<Kek, VaultError> {
        let aad = PreviousAad { party, key_id: kek.id(), before: &self.key_id }.canonical_bytes();
        let bytes = kek.sealer().open_key(&aad, &self.wrapped).ok_or(VaultError::HeaderAltered)?;
        Ok(Kek::new(&bytes))
    }
}

/// Canonical domain `mpc.v1/vault-header`: party, format version, key id, provider, derivation, the
/// key before.
struct HeaderAad<'a> {
    header: &'a Header,
    key_id: &'a KeyId,
}

impl Canonical for HeaderAad<'_> {
    const DOMAIN: &'static str = "mpc.v1/vault-header";

    fn write_fields(&self, out: &mut CanonicalWriter) {
        let derivation = self.header.derivation.as_ref().map(Derivation::to_json);
        out.fixed(self.header.party.as_bytes())
            .u8(FORMAT_VERSION)
            .text(self.key_id.as_str())
            .text(self.header.provider.name())
            .option(derivation, |out, json| {
                out.text(&json);
            })
            .option(self.header.previous.as_ref(), |out, previous| {
                out.text(previous.key_id.as_str()).bytes(&previous.wrapped);
            });
    }
}

/// Canonical domain `mpc.v1/previous-key`: party, format version, id of the wrapping key, id of the
/// key before.
struct PreviousAad<'a> {
    party: PartyId,
    key_id: &'a KeyId,
    before: &'a KeyId,
}

impl Canonical for PreviousAad<'_> {
    const DOMAIN: &'static str = "mpc.v1/previous-key";

    fn write_fields(&self, out: &mut CanonicalWriter) {
        out.fixed(self.party.as_bytes())
            .u8(FORMAT_VERSION)
            .text(self.key_id.as_str())
            .text(self.before.as_str());
    }
}
