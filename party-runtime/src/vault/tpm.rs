//! A master key that a TPM 2.0 seals (TPM 2.0 Library, part 1, "Sealed Data Objects").
//!
//! The key is the secret of a sealed object under a primary key of the storage (owner) hierarchy,
//! which the TPM derives anew each time. Public and private part lie in a blob file, which is worth
//! nothing without that very TPM and, if PCRs were chosen, without their values. The object comes
//! and goes through salted sessions with parameter encryption, so the bus between processor and TPM
//! does not show it to who listens.

mod chip;

use super::VaultError;
use super::kek::{Kek, KeyId};
use super::private_file;
use chip::Chip;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The number of PCRs of a PC client's TPM.
const PCRS: u8 = 24;

/// Why a TPM does not give a key, or takes none.
#[derive(Debug, thiserror::Error)]
pub enum TpmError {
    /// The address has no known form.
    #[error(
        "`{0}` is no address of a TPM: give one as tpm2-tools do, such as device:/dev/tpmrm0 or \
         swtpm:host=127.0.0.1,port=2321"
    )]
    Address(String),
    /// Nothing answers there.
    #[error(
        "no TPM answers at {0}: is it there, and may this user use it (often: members of the group \
         tss)?"
    )]
    NoTpm(String),
    /// The blob file is not there.
    #[error("the TPM blob {path} is missing: restore it, or give the key in another way")]
    NoBlob {
        /// The file.
        path: PathBuf,
    },
    /// The blob has no known form.
    #[error("the TPM blob {path} has an unknown form")]
    BlobForm {
        /// The file.
        path: PathBuf,
    },
    /// There is a blob where one is to be made.
    #[error("there is a TPM blob at {path} already: give another path, or move it away")]
    BlobExists {
        /// The file.
        path: PathBuf,
    },
    /// The PCRs do not have the values that the key was sealed to.
    #[error(
        "the TPM keeps the key back: PCRs {0} have changed since it was sealed (firmware, boot \
         configuration); boot as before, or give the key in another way and seal it again"
    )]
    PcrsChanged(PcrSlots),
    /// The blob does not belong to this TPM.
    #[error("the blob was sealed by another TPM, or before this one was cleared, or was altered")]
    ForeignBlob,
    /// The sealed data is no key.
    #[error("what the TPM has sealed is no master key")]
    NotAKey,
    /// No PCR of this number.
    #[error("PCRs are given as numbers from 0 to 23, such as 0,7")]
    Pcrs,
    /// The TPM refuses for another reason.
    #[error("the TPM refused to {step}: {detail}")]
    Refused {
        /// What it was asked for.
        step: &'static str,
        /// Its response.
        detail: String,
    },
}

/// PCRs of the SHA-256 bank that a key is sealed to; none for a key that only needs its TPM.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PcrSlots(BTreeSet<u8>);

impl FromStr for PcrSlots {
    type Err = TpmError;

    fn from_str(text: &str) -> Result<Self, TpmError> {
        let slot = |part: &str| part.trim().parse().ok().filter(|slot| *slot < PCRS);
        let slots: Option<BTreeSet<u8>> =
            text.split(',').filter(|part| !part.trim().is_empty()).map(slot).collect();
        slots.map(Self).ok_or(TpmError::Pcrs)
    }
}

impl fmt::Display for PcrSlots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slots: Vec<_> = self.0.iter().map(u8::to_string).collect();
        f.write_str(&slots.join(","))
    }
}

/// Where the TPM is, and where the blob lies that it sealed.
#[derive(Debug, Clone)]
pub struct TpmKey {
    address: String,
    blob: PathBuf,
    pcrs: PcrSlots,
}

impl TpmKey {
    /// A key that the TPM at this address (as tpm2-tools' `TCTI`) has sealed, or will, into the
    /// file. The PCRs matter when a key is sealed; a blob knows its own.
    pub fn new(address: String, blob: PathBuf, pcrs: PcrSlots) -> Self {
        Self { address, blob, pcrs }
    }

    /// The blob file.
    pub fn blob(&self) -> &Path {
        &self.blob
    }

    /// Seals a key into a blob file that is not there yet.
    ///
    /// # Errors
    /// [`TpmError`] if the TPM does not, or the file exists.
    pub fn seal(&self, kek: &Kek) -> Result<(), VaultError> {
        if self.blob.exists() {
            return Err(TpmError::BlobExists { path: self.blob.clone() }.into());
        }
        self.seal_to(&self.blob, kek, &self.pcrs)
    }

    /// The key in the blob file.
    ///
    /// # Errors
    /// [`TpmError`] if the TPM does not give it.
    pub fn unseal(&self) -> Result<Kek, VaultError> {
        self.unseal_from(&self.blob)
    }

    pub(super) fn key(&self, wanted: &KeyId) -> Result<Kek, VaultError> {
        let found = self.unseal();
        if !found.as_ref().is_ok_and(|key| key.id() == wanted)
            && self.next().exists()
            && let Ok(next) = self.unseal_from(&self.next())
            && next.id() == wanted
        {
            private_file::rename(&self.next(), &self.blob)?;
            return Ok(next);
        }
        found
    }

    /// A key for a vault that is made: the blob's, if there is one. A vault that has a key gets a
    /// fresh one: whatever the blob holds has been in use, or was left by a rotation that was
    /// interrupted before it began. As with key files, the next blob lies beside until the vault is
    /// sealed with its key.
    pub(super) fn new_key(&self, current: Option<&KeyId>) -> Result<Kek, VaultError> {
        if !self.blob.exists() {
            return self.make(&self.blob, &self.pcrs);
        }
        if current.is_none() {
            return self.unseal();
        }
        let next = self.next();
        if next.exists() {
            return self.unseal_from(&next);
        }
        // A blob is not to be replaced by one that asks for less.
        let before = read(&self.blob)?.pcrs;
        self.make(&next, if self.pcrs == PcrSlots::default() { &before } else { &self.pcrs })
    }

    pub(super) fn settle(&self, key: &KeyId) -> Result<(), VaultError> {
        let next = self.next();
        if next.exists() && self.unseal_from(&next)?.id() == key {
            private_file::rename(&next, &self.blob)?;
        }
        Ok(())
    }

    fn next(&self) -> PathBuf {
        private_file::beside(&self.blob, "next")
    }

    fn make(&self, path: &Path, pcrs: &PcrSlots) -> Result<Kek, VaultError> {
        let kek = Kek::generate()?;
        self.seal_to(path, &kek, pcrs)?;
        Ok(kek)
    }

    fn seal_to(&self, path: &Path, kek: &Kek, pcrs: &PcrSlots) -> Result<(), VaultError> {
        let sealed = Chip::open(&self.address)?.seal(kek.expose(), pcrs)?;
        // A struct of texts and numbers: there is nothing in it that JSON could not hold.
        let json = serde_json::to_string_pretty(&sealed).unwrap_or_default();
        private_file::write(path, json.as_bytes())
    }

    fn unseal_from(&self, path: &Path) -> Result<Kek, VaultError> {
        let blob = read(path)?;
        Ok(Kek::new(&Chip::open(&self.address)?.unseal(&blob)?))
    }
}

fn read(path: &Path) -> Result<Blob, VaultError> {
    if !path.exists() {
        return Err(TpmError::NoBlob { path: path.to_owned() }.into());
    }
    let json = private_file::read(path)?;
    let blob = serde_json::from_slice(&json);
    Ok(blob.map_err(|_| TpmError::BlobForm { path: path.to_owned() })?)
}

/// What the blob file holds, as JSON.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Blob {
    form: BlobForm,
    pcrs: PcrSlots,
    /// `TPM2B_PUBLIC`, in hexadecimal digits.
    public: String,
    /// `TPM2B_PRIVATE`, in hexadecimal digits; encrypted by the TPM.
    private: String,
}

/// The one form of blobs.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
enum BlobForm {
    #[serde(rename = "mpc.v1/tpm-blob")]
    V1,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pcrs_are_numbers_from_0_to_23() {
        assert_eq!("7, 0,23".parse::<PcrSlots>().unwrap().to_string(), "0,7,23");
        assert_eq!("".parse::<PcrSlots>().unwrap(), PcrSlots::default());
        for bad in ["24", "-1", "0;7", "x"] {
            assert!(bad.parse::<PcrSlots>().is_err(), "{bad}");
        }
    }
}
