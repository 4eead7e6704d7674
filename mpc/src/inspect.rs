//! `mpc audit`: shows and checks audit logs, and takes their heads to be kept elsewhere.

use crate::cli::Output;
use crate::door;
use crate::master_key::MasterKeyArgs;
use crate::secret::{self, Secret};
use anyhow::{Context, bail, ensure};
use clap::{Args, Subcommand};
use mpc::audit::{
    self, CannotCheck, HeadFile, KeptHead, LogKey, LogReport, LogSource, Report, Verdict,
    WitnessedHead,
};
use mpc::node::{KEY_FILE, MasterKey};
use mpc_wire::audit::Entry;
use serde_json::json;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Entries that are shown unless told otherwise: what fits a screen.
const LAST: &str = "20";

/// Verbs of `mpc audit`.
#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Checks every entry, and the logs against the heads that their keepers and others hold.
    ///
    /// Reads only, also while a node runs. Ends with 0 if all was looked at and nothing is wrong, with
    /// 1 if something is, with 2 if it could not be checked, or something of it could not be looked
    /// at: a key was not given, a log lies elsewhere, nobody here holds a head of it.
    Verify {
        #[command(flatten)]
        source: AuditSource,
        /// Ends with 0 also if something could not be looked at; the report names it all the same.
        #[arg(long)]
        allow_unchecked: bool,
        /// Heads that were kept elsewhere, as `mpc audit head` printed them.
        #[arg(long = "head", value_name = "FILE")]
        heads: Vec<PathBuf>,
        /// How the report is printed.
        #[arg(long, value_enum, default_value_t = Output::Table)]
        output: Output,
    },
    /// Shows the last entries.
    Show {
        #[command(flatten)]
        source: AuditSource,
        /// How many.
        #[arg(long, value_name = "N", default_value = LAST)]
        last: u32,
        /// Of this log only: `coordinator`, `party-1` …
        #[arg(long, value_name = "NAME")]
        only: Option<String>,
        /// How they are printed.
        #[arg(long, value_enum, default_value_t = Output::Table)]
        output: Output,
    },
    /// Prints the signed heads as JSON, to be kept where nobody who can write here can write.
    Head {
        #[command(flatten)]
        source: AuditSource,
    },
}

/// Where the logs are, and the keys that open their keepers' own word on them.
#[derive(Debug, Args)]
pub(crate) struct AuditSource {
    /// A node's data folder, or one party's.
    #[arg(long, env = "MPC_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
    /// One database instead, a coordinator's or a party's.
    #[arg(long, value_name = "FILE")]
    database: Option<PathBuf>,
    #[arg(skip = Secret::of_environment(secret::COORDINATOR_KEY))]
    coordinator_key: Option<Secret>,
    /// A file of mode 0600 with the coordinator's secret; goes before the secret itself in the
    /// variable MPC_COORDINATOR_KEY. Without both, `coordinator.key` in the data folder is used if
    /// it is there.
    #[arg(long, env = "MPC_COORDINATOR_KEY_FILE", value_name = "FILE")]
    coordinator_key_file: Option<PathBuf>,
    #[command(flatten)]
    master_key: MasterKeyArgs,
}

/// Something was found.
const FOUND: u8 = 1;

/// Nothing could be said, or not of everything.
const NOT_CHECKED: u8 = 2;

/// The logs were checked, and something is wrong with them.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the audit logs are not as they were written")]
struct Damaged;

/// The logs were checked as far as they could be looked at, and nothing is wrong with that.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error(
    "not everything was looked at: give the keys, the folder or the heads that the report asks for, \
     or accept that with --allow-unchecked"
)]
struct Incomplete;

/// With what the process is to end after this error: scripts tell logs that are damaged from logs
/// that could not be checked.
pub(crate) fn exit_code(error: &anyhow::Error) -> ExitCode {
    if error.is::<Damaged>() {
        ExitCode::from(FOUND)
    } else if error.is::<NotChecked>() || error.is::<Incomplete>() {
        ExitCode::from(NOT_CHECKED)
    } else {
        ExitCode::FAILURE
    }
}

/// The logs could not be checked.
#[derive(Debug, thiserror::Error)]
#[error("{0:#}")]
struct NotChecked(anyhow::Error);

/// Runs `mpc audit`.
pub(crate) async fn run(command: AuditCommand) -> anyhow::Result<()> {
    match command {
        AuditCommand::Verify { source, allow_unchecked, heads, output } => {
            let report = verify(source, &heads).await.map_err(NotChecked)?;
            match output {
                Output::Json => println!("{}", serde_json::to_string_pretty(&report)?),
                Output::Table => print!("{}", told(&report)),
            }
            ensure!(report.is_whole(), Damaged);
            ensure!(allow_unchecked || report.is_complete(), Incomplete);
            Ok(())
        }
        AuditCommand::Show { source, last, only, output } => show(source, last, only, output).await,
        AuditCommand::Head { source } => head(source).await,
    }
}

async fn verify(source: AuditSource, heads: &[PathBuf]) -> anyhow::Result<Report> {
    let logs = sources(source).await?;
    let mut witnessed = Vec::new();
    for file in heads {
        witnessed.extend(kept(file)?);
    }
    Ok(audit::verify(&logs, witnessed).await?)
}

fn kept(file: &Path) -> anyhow::Result<Vec<WitnessedHead>> {
    let name = file.display().to_string();
    let text = std::fs::read(file).with_context(|| format!("cannot read {name}"))?;
    let heads: HeadFile = serde_json::from_slice(&text)
        .with_context(|| format!("{name} holds no heads as `mpc audit head` prints them"))?;
    heads.witnessed(&name).context(name)
}

/// The logs that the arguments name, with the keys that lie where a node has them.
async fn sources(source: AuditSource) -> Result<Vec<LogSource>, anyhow::Error> {
    let AuditSource { data, database, coordinator_key, coordinator_key_file, master_key } = source;
    let mut logs = match (&data, database) {
        (_, Some(database)) => {
            let name = database.display().to_string();
            vec![LogSource::of(name, database)]
        }
        (Some(data), None) => audit::logs_in(data)?,
        (None, None) => bail!("give --data DIR or --database FILE"),
    };
    let secret = door::known_secret(coordinator_key, coordinator_key_file, data.as_deref())?;
    let master_key = master_key.given()?;
    for log in logs.iter_mut().filter(|log| !log.is_lost()) {
        log.key = if audit::is_party(&log.database).await? {
            let folder = log.database.parent().unwrap_or(Path::new("."));
            let lies_there = folder.join(KEY_FILE).exists().then_some(MasterKey::GivenFiles);
            let key = master_key.clone().or(lies_there);
            key.map(|key| LogKey::Party(key.of(folder)))
        } else {
            secret.clone().map(LogKey::Coordinator)
        };
    }
    Ok(logs)
}

/// The logs that are there. Those that must be and are not do not keep the others from being shown.
fn there(logs: Vec<LogSource>) -> Vec<LogSource> {
    let (lost, there): (Vec<_>, Vec<_>) = logs.into_iter().partition(LogSource::is_lost);
    for log in lost {
        eprintln!("{}: its database {} is gone", log.name, log.database.display());
    }
    there
}

async fn show(
    source: AuditSource,
    last: u32,
    wanted: Option<String>,
    output: Output,
) -> anyhow::Result<()> {
    let logs = there(sources(source).await?);
    let names: Vec<_> = logs.iter().map(|log| log.name.clone()).collect();
    let shown: Vec<_> = logs
        .iter()
        .filter(|log| wanted.as_ref().is_none_or(|wanted| *wanted == log.name))
        .collect();
    ensure!(!shown.is_empty(), "no log of this name; there are: {}", names.join(", "));
    let mut all = Vec::new();
    for log in shown {
        all.push((log.name.clone(), audit::last_entries(log, last).await?));
    }
    match output {
        Output::Json => {
            let logs: Vec<_> = all
                .iter()
                .map(|(log, entries)| json!({ "log": log, "entries": entries }))
                .collect();
            println!("{}", serde_json::to_string_pretty(&json!({ "logs": logs }))?);
        }
        Output::Table => {
            for (log, entries) in &all {
                println!("{log}");
                entries.iter().for_each(|entry| println!("{}", line(entry)));
            }
        }
    }
    Ok(())
}

/// An entry in one line. Texts that came from elsewhere must not write on the terminal.
fn line(entry: &Entry) -> String {
    let Entry { number, at, event, actor, subject, decision, policy, detail } = entry;
    let mut line = format!("{number:>8}  {:>14}  {event}", at.0);
    let fields =
        [("by", actor), ("of", subject), ("decision", decision), ("policy", policy), ("", detail)];
    for (name, value) in fields.into_iter().filter(|(_, value)| !value.is_empty()) {
        let value: String = value.chars().flat_map(visible).collect();
        let separator = if name.is_empty() { "" } else { "=" };
        // Writing into a string cannot fail.
        let _ = write!(line, "  {name}{separator}{value}");
    }
    line
}

fn visible(character: char) -> Box<dyn Iterator<Item = char>> {
    if character.is_control() || !character.is_ascii() {
        Box::new(character.escape_default())
    } else {
        Box::new(std::iter::once(character))
    }
}

async fn head(source: AuditSource) -> anyhow::Result<()> {
    let mut heads: Vec<KeptHead> = Vec::new();
    for log in there(sources(source).await?) {
        match audit::signed_head(&log).await? {
            Some(head) => heads.push(head),
            None => eprintln!(
                "{}: no signed head: it has no entries yet, or it is a party's and its master key \
                 was not given",
                log.name
            ),
        }
    }
    ensure!(!heads.is_empty(), "no head can be had");
    println!("{}", serde_json::to_string_pretty(&HeadFile { heads })?);
    Ok(())
}

fn told(report: &Report) -> String {
    let mut text = String::new();
    for log in &report.logs {
        tell(log, &mut text);
    }
    for what in &report.unchecked {
        // Writing into a string cannot fail.
        let _ = writeln!(text, "not looked at: {what}");
    }
    text
}

fn tell(report: &LogReport, text: &mut String) {
    let LogReport { log, entries, head, verdict, findings, agrees_with, unchecked, .. } = report;
    let verdict = match verdict {
        Verdict::Whole => "whole",
        Verdict::Damaged => "DAMAGED",
    };
    let mut add = |line: String| {
        text.push_str(&line);
        text.push('\n');
    };
    add(format!("{log}: {verdict}, {entries} entries, head {}", head.hash));
    for finding in findings {
        let (number, problem) = (finding.number, finding.problem.name());
        add(format!("  entry {number}: {problem}: {}", finding.detail));
    }
    if !agrees_with.is_empty() {
        add(format!("  agrees with {}", agrees_with.join(", ")));
    }
    for what in unchecked {
        add(format!("  not looked at: {what}"));
    }
}

impl From<CannotCheck> for NotChecked {
    fn from(error: CannotCheck) -> Self {
        Self(error.into())
    }
}
