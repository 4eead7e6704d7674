//! Heads in files, as an operator keeps them elsewhere.

use super::WitnessedHead;
use mpc_wire::audit::Head;
use mpc_wire::{EntryHash, PartyId, PartySignature, SignedHead};
use serde::{Deserialize, Serialize};

/// What `mpc audit head` prints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeadFile {
    /// The heads.
    pub heads: Vec<KeptHead>,
}

/// A signed head.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptHead {
    /// The log, by its name in the data folder.
    pub log: String,
    /// Whose log it is.
    pub keeper: PartyId,
    /// How many entries it had.
    pub count: u64,
    /// The hash of the last one.
    pub hash: EntryHash,
    /// The keeper's signature, in hexadecimal digits.
    pub signature: String,
}

/// A kept head that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the kept head of {0} is not signed by its keeper: it was altered")]
pub struct NotAHead(String);

impl KeptHead {
    pub(super) fn new(log: String, head: &SignedHead) -> Self {
        let SignedHead { keeper, head: Head { count, hash }, signature } = head;
        let signature = hex::encode(signature.to_bytes());
        Self { log, keeper: *keeper, count: *count, hash: *hash, signature }
    }
}

impl HeadFile {
    /// The heads, each with its keeper's signature.
    ///
    /// # Errors
    /// [`NotAHead`] if one of them has not.
    pub fn witnessed(self, witness: &str) -> Result<Vec<WitnessedHead>, NotAHead> {
        self.heads.into_iter().map(|kept| kept.witnessed(witness)).collect()
    }
}

impl KeptHead {
    fn witnessed(self, witness: &str) -> Result<WitnessedHead, NotAHead> {
        let Self { log, keeper, count, hash, signature } = self;
        let bytes = hex::decode(signature).map_err(|_| NotAHead(log.clone()))?;
        let signature = PartySignature::from_bytes(&bytes).map_err(|_| NotAHead(log.clone()))?;
        let head = SignedHead { keeper, head: Head { count, hash }, signature };
        head.verify().map_err(|_| NotAHead(log.clone()))?;
        Ok(WitnessedHead { witness: witness.to_owned(), log: Some(log), head })
    }
}
