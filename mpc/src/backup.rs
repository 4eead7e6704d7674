//! `mpc party backup` and `mpc party restore`.

use crate::key_file;
use crate::keys::PartyArgs;
use crate::master_key::MasterKeyArgs;
use crate::party::folder_for;
use anyhow::{Context, ensure};
use clap::Args;
use mpc::node::MasterKey;
use mpc_wire::UnixMillis;
use party_runtime::Vault;
use party_runtime::backup::{self, Identities, OpenedBackup, Recipients};
use party_runtime::quarantine::RestoreMode;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Arguments of `mpc party backup`.
#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    #[command(flatten)]
    party: PartyArgs,
    #[command(flatten)]
    key: MasterKeyArgs,
    /// Who can open the backup: an age recipient. Give it again for more.
    #[arg(long = "recipient", value_name = "age1…", required = true)]
    recipients: Vec<String>,
    /// The file to write; there must be none.
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Arguments of `mpc party restore`.
#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    #[command(flatten)]
    party: PartyArgs,
    #[command(flatten)]
    key: MasterKeyArgs,
    /// A file with the age identity that opens the backup, as `age-keygen` writes it.
    #[arg(long, value_name = "FILE")]
    identity: PathBuf,
    /// Lets the party take part at once, without its peers' word that its shares are not old. Only
    /// for when old epochs are all that is left anywhere.
    #[arg(long)]
    disaster: bool,
    /// The backup.
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Runs `mpc party backup`. The party may run meanwhile.
pub(crate) async fn backup(args: BackupArgs) -> anyhow::Result<()> {
    let BackupArgs { party, key, recipients, file } = args;
    let recipients = Recipients::parse(&recipients)?;
    ensure!(!file.exists(), "there is a file at {} already", file.display());
    let (vault, _) = party.open(key).await?;
    let written = write(&vault, &recipients, &file).await;
    vault.close().await?;
    let summary = written?;
    println!(
        "{} records, {} of them shares, of party {} are in {}",
        summary.records,
        summary.shares,
        summary.party_id,
        file.display()
    );
    println!(
        "keep it apart from the vault, and make a new one after each rotation of the identity"
    );
    Ok(())
}

/// Written aside and renamed: a crash leaves no half a backup under its name.
async fn write(
    vault: &Vault,
    recipients: &Recipients,
    file: &Path,
) -> anyhow::Result<backup::BackupSummary> {
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        Some(_) | None => Path::new("."),
    };
    let failed = || format!("cannot write {}", file.display());
    // For its owner only.
    let mut draft = tempfile::NamedTempFile::new_in(folder).with_context(failed)?;
    let summary = backup::write(vault, recipients, now(), &mut draft).await?;
    draft.as_file().sync_all().with_context(failed)?;
    draft.persist_noclobber(file).with_context(failed)?;
    File::open(folder).and_then(|folder| folder.sync_all()).with_context(failed)?;
    Ok(summary)
}

/// Runs `mpc party restore`.
pub(crate) async fn restore(args: RestoreArgs) -> anyhow::Result<()> {
    let RestoreArgs { party, key, identity, disaster, file } = args;
    let text = key_file::read_private(&identity, "age identity")?;
    let identities = Identities::parse(text.expose())?;
    let input = File::open(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let opened = OpenedBackup::read(&identities, BufReader::new(input))?;
    let summary = opened.summary();
    let key = key.given()?.unwrap_or(MasterKey::OwnFiles);
    let _lock = folder_for(party.folder(), &key)?;
    let source = key.of(party.folder());
    let mode = if disaster { RestoreMode::Disaster } else { RestoreMode::Quarantined };
    let vault = opened.restore(&party.vault_file(), &source, mode, now()).await?;
    vault.close().await?;
    println!("party {} is restored with {} shares", summary.party_id, summary.shares);
    println!(
        "it signs nothing that carries a requester's signature before the longest life of one \
         (max_authorization_life) has passed: it cannot know which were used"
    );
    match mode {
        RestoreMode::Quarantined => println!(
            "it declines each account until enough of its other holders, connected to the same \
             coordinator, have confirmed that the share is not old"
        ),
        RestoreMode::Disaster => eprintln!(
            "WARNING: nobody has confirmed these shares. If another holder has a newer epoch of an \
             account, stop this party at once"
        ),
    }
    Ok(())
}

fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
