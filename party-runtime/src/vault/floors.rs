//! Epoch floors: the newest epoch of an account that the party has stored or reliably heard of. An
//! older share must neither sign nor be stored again.

use super::{Kind, Vault, VaultError, VaultTransaction};
use mpc_wire::{AccountId, Epoch};

impl Vault {
    /// The account's floor; none if the party knows nothing of it.
    ///
    /// # Errors
    /// [`VaultError`] if it cannot be read.
    pub async fn floor(&self, account: AccountId) -> Result<Option<Epoch>, VaultError> {
        self.read_record(Kind::Floor, &account.to_string(), Epoch(0)).await
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
        let name = account.to_string();
        match self.read::<Epoch>(Kind::Floor, &name, Epoch(0)).await? {
            Some(floor) if floor >= epoch => Ok(floor),
            Some(_) | None => {
                self.put(Kind::Floor, &name, Epoch(0), &epoch).await?;
                Ok(epoch)
            }
        }
    }
}
