//! Backups: `age` files that the standard `age` command opens, and vaults restored from them.
//!
//! Inside is one JSON document: `format` (`mpc-party-backup`), `version` (1), `party_id`, `made_at`
//! (milliseconds since the Unix epoch) and `records`, each with `kind`, `name`, `epoch` and
//! `content`, the hexadecimal form of the record's MessagePack. It holds the identity, every share
//! (also those that wait for their activation) and aux part, epoch floors, the longest life that a
//! policy has let a requester's signature have, bans and peers' keys, all of one moment; no session,
//! since a restored party must not go on with an attempt. Used requests are left out, too: those of
//! a backup are never all of them, so the restored party begins a new list behind a time of waiting
//! (see [`crate::quarantine`]).

use crate::audit::notes;
use crate::epochs::EpochRecord;
use crate::quarantine::{BackedUpShare, Restoration, RestoreMode};
use crate::vault::{KekProvider, Kind, PlainRecord, ShareRecord, Vault, VaultError};
use age::x25519;
use mpc_wire::{AccountId, Epoch, PartyId, UnixMillis};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::path::Path;
use zeroize::Zeroizing;

/// What the document calls itself.
const FORMAT: &str = "mpc-party-backup";

/// The version that is written, and the only one that is read.
const VERSION: u32 = 1;

/// Longest document, in bytes: some tens of thousands of shares, far above what one party holds.
/// What is longer is none of ours, and must not fill the memory.
const MAX_DOCUMENT: u64 = 1 << 30;

/// Room that a record takes in the document besides its content.
const RECORD_OVERHEAD: usize = 512;

/// Why there is no backup, or none can be restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The vault cannot be read or made.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// A recipient is none. What was given is not told: it may be the identity that opens backups.
    #[error("recipient {0} is no age recipient: give one that begins with age1")]
    Recipient(usize),
    /// There is no recipient.
    #[error("give at least one recipient: who could open the backup otherwise?")]
    NoRecipient,
    /// The identity file holds none.
    #[error("the identity file holds no age identity: give a file that `age-keygen` has made")]
    Identity,
    /// None of the identities opens the file.
    #[error("none of the given identities opens the backup")]
    NotForThisIdentity,
    /// The file is no age file, or was altered or cut.
    #[error("the file is no age file, or was altered or cut short: use another copy")]
    Damaged,
    /// The content is not a backup of this kind.
    #[error("the file holds no party's backup of version {VERSION}")]
    Form,
    /// The output cannot be written.
    #[error("cannot write the backup: {0}")]
    Output(#[source] std::io::Error),
}

/// Who can open a backup.
#[derive(Clone)]
pub struct Recipients(Vec<x25519::Recipient>);

impl Recipients {
    /// Reads recipients, each of the form `age1…`.
    ///
    /// # Errors
    /// [`BackupError::Recipient`] and [`BackupError::NoRecipient`].
    pub fn parse(texts: &[String]) -> Result<Self, BackupError> {
        if texts.is_empty() {
            return Err(BackupError::NoRecipient);
        }
        let parse = |(number, text): (usize, &String)| {
            text.trim().parse().map_err(|_| BackupError::Recipient(number))
        };
        (1..).zip(texts).map(parse).collect::<Result<_, _>>().map(Self)
    }
}

/// What opens a backup. Never formatted.
pub struct Identities(Vec<x25519::Identity>);

impl Identities {
    /// Reads the lines of an identity file, as `age-keygen` writes them.
    ///
    /// # Errors
    /// [`BackupError::Identity`] if there is none in it.
    pub fn parse(text: &str) -> Result<Self, BackupError> {
        let is_identity = |line: &&str| !line.is_empty() && !line.starts_with('#');
        let identities: Result<Vec<_>, _> =
            text.lines().map(str::trim).filter(is_identity).map(str::parse).collect();
        match identities {
            Ok(identities) if !identities.is_empty() => Ok(Self(identities)),
            Ok(_) | Err(_) => Err(BackupError::Identity),
        }
    }
}

/// The document.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    format: String,
    version: u32,
    party_id: PartyId,
    made_at: UnixMillis,
    records: Vec<DocumentRecord>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DocumentRecord {
    kind: String,
    name: String,
    epoch: Epoch,
    content: SecretHex,
}

/// Secret bytes in hexadecimal.
struct SecretHex(Zeroizing<Vec<u8>>);

impl Serialize for SecretHex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&Zeroizing::new(hex::encode(self.0.as_slice())))
    }
}

impl<'de> Deserialize<'de> for SecretHex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        hex::decode(text.as_bytes())
            .map(|bytes| Self(Zeroizing::new(bytes)))
            .map_err(|_| serde::de::Error::custom("not hexadecimal digits"))
    }
}

/// What a backup holds, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BackupSummary {
    /// Whose it is.
    pub party_id: PartyId,
    /// When it was made.
    pub made_at: UnixMillis,
    /// How many records it holds.
    pub records: usize,
    /// How many shares are among them.
    pub shares: usize,
}

/// Writes a backup of the vault, whether its party runs or not, to `output`.
///
/// # Errors
/// [`BackupError`] if the vault cannot be read or the output not be written.
pub async fn write(
    vault: &Vault,
    recipients: &Recipients,
    made_at: UnixMillis,
    output: impl Write,
) -> Result<BackupSummary, BackupError> {
    let records = vault.plain_records().await?;
    let summary = BackupSummary {
        party_id: vault.party(),
        made_at,
        records: records.len(),
        shares: shares(&records)?.len(),
    };
    let room = records.iter().map(|record| 2 * record.content.len() + RECORD_OVERHEAD).sum();
    let document = Document {
        format: FORMAT.to_owned(),
        version: VERSION,
        party_id: vault.party(),
        made_at,
        records: records
            .into_iter()
            .map(|PlainRecord { place, content }| DocumentRecord {
                kind: place.kind().to_owned(),
                name: place.name().to_owned(),
                epoch: place.epoch(),
                content: SecretHex(content),
            })
            .collect(),
    };
    // Room for all of it at once: a buffer that grows leaves copies behind.
    let mut text = Zeroizing::new(Vec::<u8>::with_capacity(room));
    serde_json::to_writer(&mut *text, &document)
        .map_err(|error| BackupError::Output(error.into()))?;
    // No secret leaves before the log says so.
    vault.enter(notes::backed_up(summary.records)).await?;
    seal(recipients, &text, output)?;
    Ok(summary)
}

fn seal(recipients: &Recipients, text: &[u8], output: impl Write) -> Result<(), BackupError> {
    let recipients = recipients.0.iter().map(|recipient| recipient as &dyn age::Recipient);
    let encryptor =
        age::Encryptor::with_recipients(recipients).map_err(|_| BackupError::NoRecipient)?;
    let mut sealed = encryptor.wrap_output(output).map_err(BackupError::Output)?;
    sealed.write_all(text).map_err(BackupError::Output)?;
    sealed.finish().and_then(|mut output| output.flush()).map_err(BackupError::Output)
}

/// A backup that was opened.
pub struct OpenedBackup {
    party: PartyId,
    made_at: UnixMillis,
    records: Vec<PlainRecord>,
    shares: Vec<BackedUpShare>,
}

impl OpenedBackup {
    /// Opens a backup.
    ///
    /// # Errors
    /// [`BackupError`] if it is not for these identities, damaged, or no backup.
    pub fn read(identities: &Identities, input: impl Read) -> Result<Self, BackupError> {
        let text = open(identities, input)?;
        let document: Document = serde_json::from_slice(&text).map_err(|_| BackupError::Form)?;
        if document.format != FORMAT || document.version != VERSION {
            return Err(BackupError::Form);
        }
        let records: Option<Vec<_>> = document
            .records
            .into_iter()
            .map(|DocumentRecord { kind, name, epoch, content }| {
                PlainRecord::new(&kind, &name, epoch, content.0)
            })
            .collect();
        let records = records.ok_or(BackupError::Form)?;
        let (party, made_at) = (document.party_id, document.made_at);
        let shares = confined(party, shares(&records)?);
        Ok(Self { party, made_at, records, shares })
    }

    /// What it holds.
    pub fn summary(&self) -> BackupSummary {
        BackupSummary {
            party_id: self.party,
            made_at: self.made_at,
            records: self.records.len(),
            shares: self.shares.len(),
        }
    }

    /// Makes a vault from it in the SQLite file at `path`, sealed with the provider's key.
    ///
    /// # Errors
    /// [`BackupError::Vault`] if there is a vault, or another party's, or it cannot be made.
    pub async fn restore(
        self,
        path: &Path,
        provider: &dyn KekProvider,
        mode: RestoreMode,
        now: UnixMillis,
    ) -> Result<Vault, BackupError> {
        let Self { party, made_at, records, shares } = self;
        let restoration = Restoration::new(mode, made_at, now, shares);
        let vault = Vault::restore(path, provider, party, records, &restoration).await?;
        vault.enter(notes::restored(mode, made_at)).await?;
        Ok(vault)
    }
}

/// A share of a backup, with its place.
struct HeldShare {
    account: AccountId,
    epoch: Epoch,
    is_active: bool,
    share: ShareRecord,
}

fn shares(records: &[PlainRecord]) -> Result<Vec<HeldShare>, BackupError> {
    let mut shares = Vec::new();
    for record in records.iter().filter(|record| record.is_a(Kind::Share)) {
        shares.push(held(record, true, read(record)?)?);
    }
    for record in records.iter().filter(|record| record.is_a(Kind::Prepared)) {
        for share in read::<EpochRecord>(record)?.shares() {
            shares.push(held(record, false, share.clone())?);
        }
    }
    Ok(shares)
}

fn read<T: DeserializeOwned>(record: &PlainRecord) -> Result<T, BackupError> {
    rmp_serde::from_slice(&record.content).map_err(|_| BackupError::Form)
}

fn held(
    record: &PlainRecord,
    is_active: bool,
    share: ShareRecord,
) -> Result<HeldShare, BackupError> {
    let account = record.place.name().parse().map_err(|_| BackupError::Form)?;
    Ok(HeldShare { account, epoch: record.place.epoch(), is_active, share })
}

/// What a restored party may not use until its peers have spoken: the active share of each account,
/// or those that wait where there is none.
fn confined(party: PartyId, shares: Vec<HeldShare>) -> Vec<BackedUpShare> {
    let active: BTreeSet<_> =
        shares.iter().filter(|held| held.is_active).map(|held| held.account).collect();
    shares
        .into_iter()
        .filter(|held| held.is_active || !active.contains(&held.account))
        .map(|HeldShare { account, epoch, share, .. }| BackedUpShare {
            account,
            epoch,
            threshold: usize::from(share.threshold.0),
            others: share.holders.into_iter().filter(|other| *other != party).collect(),
        })
        .collect()
}

fn open(identities: &Identities, input: impl Read) -> Result<Zeroizing<Vec<u8>>, BackupError> {
    let decryptor = age::Decryptor::new(input).map_err(|_| BackupError::Damaged)?;
    let identities = identities.0.iter().map(|identity| identity as &dyn age::Identity);
    let opened = decryptor.decrypt(identities).map_err(|error| match error {
        age::DecryptError::NoMatchingKeys => BackupError::NotForThisIdentity,
        age::DecryptError::DecryptionFailed
        | age::DecryptError::ExcessiveWork { .. }
        | age::DecryptError::InvalidHeader
        | age::DecryptError::InvalidMac
        | age::DecryptError::Io(_)
        | age::DecryptError::KeyDecryptionFailed
        | age::DecryptError::UnknownFormat
        | _ => BackupError::Damaged,
    })?;
    let mut text = Zeroizing::new(Vec::new());
    let length =
        opened.take(MAX_DOCUMENT + 1).read_to_end(&mut text).map_err(|_| BackupError::Damaged)?;
    if u64::try_from(length).is_ok_and(|length| length <= MAX_DOCUMENT) {
        Ok(text)
    } else {
        Err(BackupError::Form)
    }
}
