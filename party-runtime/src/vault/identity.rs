//! The party's identity, and how its key is rotated.

use super::records::IdentityRecord;
use super::{Kind, Shared, Vault, VaultError};
use crate::audit::notes;
use mpc_engine::SecretBytes;
use mpc_wire::identity::RotatedTooOften;
use mpc_wire::{Epoch, Identity};
use std::sync::PoisonError;

/// Why the party's key was not rotated. It has its old one then.
#[derive(Debug, thiserror::Error)]
pub enum RotateIdentityError {
    /// It has no rotation left.
    #[error(transparent)]
    TooOften(#[from] RotatedTooOften),
    /// The new key cannot be stored.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

impl Shared {
    pub(super) fn identity(&self) -> Identity {
        self.identity.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Vault {
    /// The party's identity, with its newest key.
    pub fn identity(&self) -> Identity {
        self.shared.identity()
    }

    /// Gives the party a new key, which the present one vouches for. The new key is durable before
    /// anything is signed with it: from here on [`Vault::identity`] has it, for all clones.
    ///
    /// # Errors
    /// [`RotateIdentityError`] if the key cannot be rotated or not be stored.
    pub async fn rotate_identity(&self) -> Result<Identity, RotateIdentityError> {
        // Two rotations at once would make two keys of the same number.
        let _rotating = self.shared.rotating.lock().await;
        let newer = self.identity().rotate()?;
        let mut transaction = self.begin().await?;
        transaction.put(Kind::Identity, "", Epoch(0), &record_of(&newer)).await?;
        transaction.enter(notes::identity_stored(self.party(), newer.proven_key().number));
        transaction.commit().await?;
        *self.shared.identity.lock().unwrap_or_else(PoisonError::into_inner) = newer.clone();
        Ok(newer)
    }
}

/// An identity as it is stored.
pub(super) fn record_of(identity: &Identity) -> IdentityRecord {
    IdentityRecord {
        seed: SecretBytes::new(identity.seed().to_vec()),
        rotations: identity.rotations(),
    }
}
