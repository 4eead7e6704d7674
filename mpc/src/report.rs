//! What the demo tells at its end.

use mpc_wire::{AccountId, PartyId, PublicKey, Scheme};
use serde::Serialize;
use std::fmt;

/// The demo's result; its fields are those of `mpc demo --json`.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) account_id: AccountId,
    pub(crate) scheme: Scheme,
    pub(crate) public_key: PublicKey,
    /// The digest that was signed, in hexadecimal digits.
    pub(crate) message: String,
    pub(crate) signature: ReportedSignature,
    pub(crate) signers: Vec<PartyId>,
    /// Whether libsecp256k1 believes the signature.
    pub(crate) verified: bool,
    pub(crate) timings_ms: Timings,
}

#[derive(Debug, Serialize)]
pub(crate) struct ReportedSignature {
    pub(crate) r: String,
    pub(crate) s: String,
    pub(crate) recovery_id: u8,
    pub(crate) compact: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct Timings {
    /// The aux set's generation; 0 if the data folder had one already.
    pub(crate) aux: u64,
    /// The key's generation, without the canary signatures.
    pub(crate) keygen: u64,
    pub(crate) canary: u64,
    /// From the request over HTTP to its answer.
    pub(crate) sign: u64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { account_id, scheme, public_key, message, signature, signers, .. } = self;
        let Timings { aux, keygen, canary, sign } = self.timings_ms;
        writeln!(f, "account     {account_id} (2 of 3, {scheme})")?;
        writeln!(f, "public key  {public_key}")?;
        writeln!(f, "digest      {message}")?;
        writeln!(f, "signature   r {}", signature.r)?;
        writeln!(f, "            s {}", signature.s)?;
        writeln!(f, "            recovery id {}", signature.recovery_id)?;
        for (index, signer) in signers.iter().enumerate() {
            writeln!(f, "{}{signer}", if index == 0 { "signers     " } else { "            " })?;
        }
        let verdict = if self.verified { "yes" } else { "NO" };
        writeln!(f, "verified    {verdict}, by libsecp256k1")?;
        let aux = if aux == 0 { "reused".to_owned() } else { format!("{aux} ms") };
        write!(f, "timings     aux set {aux}, key {keygen} ms, canaries {canary} ms, ")?;
        write!(f, "signature {sign} ms")
    }
}
