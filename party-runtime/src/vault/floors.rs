//! Floors: the newest epoch of an account that the party has stored or reliably heard of, since an
//! older share must neither sign nor be stored again; and the longest that a requester's signature
//! was ever allowed to live. They only rise.

use super::{Kind, Vault, VaultError, VaultTransaction};
use mpc_wire::{AccountId, Epoch};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// The name of the floor that is no account's.
const AUTHORIZATION_LIFE: &str = "authorization-life";

impl Vault {
    /// The account's floor; none if the party knows nothing of it.
    ///
    /// # Errors
    /// [`VaultError`] if it cannot be read.
    pub async fn floor(&self, account: AccountId) -> Result<Option<Epoch>, VaultError> {
        self.read_record(Kind::Floor, &account.to_string(), Epoch(0)).await
    }

    /// The longest life of a requester's signature that a policy in force has ever allowed; none if
    /// there was no policy yet.
    ///
    /// # Errors
    /// [`VaultError`] if it cannot be read.
    pub async fn authorization_life(&self) -> Result<Option<Duration>, VaultError> {
        self.read_record(Kind::Floor, AUTHORIZATION_LIFE, Epoch(0)).await
    }

    /// As [`VaultTransaction::raise_authorization_life`], by itself.
    ///
    /// # Errors
    /// [`VaultError`] if it cannot be read or stored.
    pub(crate) async fn raise_authorization_life(&self, life: Duration) -> Result<(), VaultError> {
        let mut transaction = self.begin().await?;
        transaction.raise_authorization_life(life).await?;
        transaction.commit().await
    }
}

impl VaultTransaction {
    /// Raises the account's floor to `epoch`; what is higher stays. Says where it is then.
    ///
    /// # Errors
    /// [`VaultError`] if it cannot be read or stored.
    pub async fn raise_floor(
        &mut self,
        account: AccountId,
        epoch: Epoch,
    ) -> Result<Epoch, VaultError> {
        self.raise(&account.to_string(), epoch).await
    }

    /// Takes note that a policy is in force which lets a requester's signature live for so long.
    pub(crate) async fn raise_authorization_life(
        &mut self,
        life: Duration,
    ) -> Result<Duration, VaultError> {
        self.raise(AUTHORIZATION_LIFE, life).await
    }

    async fn raise<T>(&mut self, name: &str, value: T) -> Result<T, VaultError>
    where
        T: Ord + Serialize + DeserializeOwned,
    {
        match self.read::<T>(Kind::Floor, name, Epoch(0)).await? {
            Some(floor) if floor >= value => Ok(floor),
            Some(_) | None => {
                self.put(Kind::Floor, name, Epoch(0), &value).await?;
                Ok(value)
            }
        }
    }
}
