//! A share at rest: a format-version byte, then the library's packages and their members in
//! MessagePack.

use super::{Ids, Suite, failed};
use crate::failure::EngineFailure;
use crate::secret::SecretBytes;
use frost_core::keys::{KeyPackage, PublicKeyPackage};
use mpc_wire::PartyId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use zeroize::Zeroizing;

const FORMAT_VERSION: u8 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored<'a> {
    owner: PartyId,
    members: BTreeSet<PartyId>,
    #[serde(borrow, with = "serde_bytes")]
    key: &'a [u8],
    #[serde(borrow, with = "serde_bytes")]
    public: &'a [u8],
}

/// A share as the protocols use it.
pub(super) struct Share<C: Suite> {
    pub(super) owner: PartyId,
    pub(super) ids: Ids<C>,
    pub(super) key: KeyPackage<C>,
    pub(super) public: PublicKeyPackage<C>,
}

/// Stores a share.
pub(super) fn store<C: Suite>(
    owner: PartyId,
    members: &BTreeSet<PartyId>,
    key: &KeyPackage<C>,
    public: &PublicKeyPackage<C>,
) -> Result<SecretBytes, EngineFailure> {
    let key = Zeroizing::new(key.serialize().map_err(failed::<C>)?);
    let public = public.serialize().map_err(failed::<C>)?;
    let stored = Stored { owner, members: members.clone(), key: &key, public: &public };
    // Room for all of it at once: a buffer that grows leaves copies behind.
    let room = 128 + 34 * (members.len() + 1) + key.len() + public.len();
    let mut bytes = Vec::with_capacity(room);
    bytes.push(FORMAT_VERSION);
    let mut writer = rmp_serde::Serializer::new(&mut bytes).with_struct_map();
    let written = stored.serialize(&mut writer);
    let secret = SecretBytes::new(bytes);
    written.map_err(|_| EngineFailure::internal("a share cannot be written"))?;
    debug_assert!(secret.expose().len() <= room, "it has grown");
    Ok(secret)
}

impl<C: Suite> Share<C> {
    /// Reads a stored share.
    pub(super) fn load(stored: &SecretBytes) -> Result<Self, EngineFailure> {
        let unreadable = || EngineFailure::internal("the stored share cannot be read");
        let Some((&FORMAT_VERSION, body)) = stored.expose().split_first() else {
            return Err(unreadable());
        };
        let Stored { owner, members, key, public } =
            rmp_serde::from_slice(body).map_err(|_| unreadable())?;
        Ok(Self {
            owner,
            ids: Ids::of(&members)?,
            key: KeyPackage::deserialize(key).map_err(|_| unreadable())?,
            public: PublicKeyPackage::deserialize(public).map_err(|_| unreadable())?,
        })
    }
}
