//! Whether the party takes part: judged by its own records, never by the coordinator's word.

use crate::vault::{ShareRecord, Vault, VaultError};
use mpc_wire::{AccountId, DeclineReason, Epoch, Intent, IntentKind, Payload, SessionId};

/// Judges an intent: does it fit what this party knows?
///
/// # Errors
/// [`VaultError`] if the party cannot read its own records.
pub async fn judge(
    vault: &Vault,
    intent: &Intent,
) -> Result<Result<(), DeclineReason>, VaultError> {
    match &intent.kind {
        IntentKind::Keygen { account, .. } => judge_keygen(vault, intent.session, *account).await,
        IntentKind::Aux { .. } => Ok(Ok(())),
        IntentKind::Sign { account, epoch, .. } => {
            Ok(match vault.share(*account, *epoch).await? {
                Some(share) => judge_sign(intent, &share),
                None => Err(DeclineReason::NoShare),
            })
        }
        IntentKind::Refresh { .. } | IntentKind::Reshare { .. } | IntentKind::Replace { .. } => {
            Ok(Err(DeclineReason::Unsupported))
        }
    }
}

/// The epoch that a key generation makes.
pub(crate) const FIRST_EPOCH: Epoch = Epoch(1);

/// A new account must be new, except to the session that is making it.
async fn judge_keygen(
    vault: &Vault,
    session: SessionId,
    account: AccountId,
) -> Result<Result<(), DeclineReason>, VaultError> {
    Ok(match vault.share(account, FIRST_EPOCH).await? {
        Some(share) if share.session != session => Err(DeclineReason::AccountExists),
        Some(_) | None => Ok(()),
    })
}

/// The account that a signature is asked of must be the account as this party knows it.
fn judge_sign(intent: &Intent, share: &ShareRecord) -> Result<(), DeclineReason> {
    let IntentKind::Sign { scheme, threshold, public_key, payload, .. } = &intent.kind else {
        return Err(DeclineReason::IntentMismatch);
    };
    let fits = *scheme == share.scheme
        && *threshold == share.threshold
        && *public_key == share.public_key
        && intent.eligible == share.holders;
    // Which payloads a party signs is for its policy; without one, every kind is fine.
    match payload {
        _ if !fits => Err(DeclineReason::IntentMismatch),
        Payload::Digest(_) | Payload::Bytes { .. } | Payload::Canary => Ok(()),
    }
}
