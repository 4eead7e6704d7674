//! `mpc party approvals`, `approve`, `refuse`, `status`, `reload-policy`, `rotate-key` and `ban`:
//! how the people of a party's own host speak to it while it runs.

use crate::cli::Output;
use anyhow::bail;
use clap::{Args, Subcommand};
use mpc_wire::{HashFunction, PartyId, SessionId, UnixMillis};
use party_runtime::control::client;
use party_runtime::control::{
    ControlAnswer, ControlRequest, KeyChoice, OpenApproval, PayloadView, StatusReport,
};
use std::io::Write;
use std::path::PathBuf;
use std::time::SystemTime;

/// Which party, and how its answer is printed.
#[derive(Debug, Args)]
pub(crate) struct ControlArgs {
    /// The folder of the running party, such as DATA/party-1 of a node. Only the user that runs
    /// the party, and root, may control it.
    #[arg(long, env = "MPC_DATA", value_name = "DIR")]
    data: PathBuf,
    /// How the answer is printed.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ControlCommand {
    /// Shows how a running party is, and which policy is in force.
    Status {
        #[command(flatten)]
        control: ControlArgs,
    },
    /// Lists what waits for a person.
    Approvals {
        /// Only this session, with all that is to be signed.
        #[arg(long, value_name = "ID")]
        session: Option<SessionId>,
        #[command(flatten)]
        control: ControlArgs,
    },
    /// Lets the party take part in a session that waits.
    Approve {
        /// The session.
        session: SessionId,
        #[command(flatten)]
        control: ControlArgs,
    },
    /// Keeps the party from taking part in a session that waits.
    Refuse {
        /// The session.
        session: SessionId,
        #[command(flatten)]
        control: ControlArgs,
    },
    /// Has a running party read its policy file again.
    ReloadPolicy {
        #[command(flatten)]
        control: ControlArgs,
    },
    /// Seals the vault of a running party with another key.
    RotateKey {
        /// A file with the new key; made if missing.
        #[arg(long, value_name = "FILE", conflicts_with = "to_passphrase_file")]
        to_key_file: Option<PathBuf>,
        /// A file with the new passphrase.
        #[arg(long, value_name = "FILE")]
        to_passphrase_file: Option<PathBuf>,
        #[command(flatten)]
        control: ControlArgs,
    },
    /// Has the party never again work with another one. There is no way back.
    Ban {
        /// The other party's id.
        banned: PartyId,
        #[command(flatten)]
        control: ControlArgs,
    },
}

/// Runs such a command.
pub(crate) fn run(command: ControlCommand) -> anyhow::Result<()> {
    let (args, request) = request(command)?;
    let answer = client::ask(&args.data, &request)?;
    let text = match args.output {
        Output::Table => table(&answer),
        Output::Json => serde_json::to_string_pretty(&answer)?,
    };
    if let (ControlAnswer::Refused { detail, .. }, Output::Table) = (&answer, args.output) {
        bail!("{detail}");
    }
    writeln!(std::io::stdout(), "{}", text.trim_end())?;
    if let ControlAnswer::Refused { .. } = answer {
        bail!("the party refused");
    }
    Ok(())
}

fn request(command: ControlCommand) -> anyhow::Result<(ControlArgs, ControlRequest)> {
    Ok(match command {
        ControlCommand::Status { control } => (control, ControlRequest::Status),
        ControlCommand::Approvals { session, control } => {
            (control, ControlRequest::Approvals { session })
        }
        ControlCommand::Approve { session, control } => {
            (control, ControlRequest::Approve { session })
        }
        ControlCommand::Refuse { session, control } => {
            (control, ControlRequest::Refuse { session })
        }
        ControlCommand::ReloadPolicy { control } => (control, ControlRequest::ReloadPolicy),
        ControlCommand::Ban { banned, control } => (control, ControlRequest::Ban { party: banned }),
        ControlCommand::RotateKey { to_key_file, to_passphrase_file, control } => {
            let to = match (to_key_file, to_passphrase_file) {
                // The party has a working folder of its own.
                (Some(path), None) => KeyChoice::KeyFile { path: std::path::absolute(path)? },
                (None, Some(path)) => {
                    KeyChoice::PassphraseFile { path: std::path::absolute(path)? }
                }
                (None, None) | (Some(_), Some(_)) => {
                    bail!("give one of --to-key-file and --to-passphrase-file")
                }
            };
            (control, ControlRequest::RotateKey { to })
        }
    })
}

fn table(answer: &ControlAnswer) -> String {
    match answer {
        ControlAnswer::Status(status) => status_table(status),
        ControlAnswer::Approvals { approvals, more } => {
            if approvals.is_empty() {
                return "nothing waits for approval".to_owned();
            }
            let mut text: Vec<_> = approvals.iter().map(approval).collect();
            if *more > 0 {
                text.push(format!("and {more} more"));
            }
            text.join("\n")
        }
        ControlAnswer::Done { detail } | ControlAnswer::Refused { detail, .. } => detail.clone(),
    }
}

fn status_table(status: &StatusReport) -> String {
    let StatusReport {
        party,
        sessions,
        open_approvals,
        policy,
        requester_signature_required,
        requesters,
        banned,
    } = status;
    let required = if *requester_signature_required { "required" } else { "optional" };
    let mut text = format!(
        "party       {party}\n\
         sessions    {sessions}\n\
         approvals   {open_approvals} open\n\
         policy      {policy}\n\
         signatures  {required}, {requesters} requester keys known\n"
    );
    for banned in banned {
        text += &format!("banned      {banned}\n");
    }
    text
}

fn approval(approval: &OpenApproval) -> String {
    let OpenApproval { session, request, account, public_key, path, requester, digest, .. } =
        approval;
    let requester =
        requester.as_ref().map_or("nobody has signed the request", |name| name.as_str());
    let payload = match &approval.payload {
        PayloadView::Digest => "computed by the requester".to_owned(),
        PayloadView::Bytes { hash, length, truncated, text, hex } => {
            let shown = match (text, hex) {
                (Some(text), _) => format!("\"{text}\""),
                (None, Some(hex)) => format!("no text: {hex}"),
                (None, None) => "no text".to_owned(),
            };
            // What is cut must look cut: nobody is to approve the end of a text unseen.
            let rest = if *truncated {
                format!("… ({length} bytes in all; --session {session} shows them)")
            } else {
                String::new()
            };
            let hash = match hash {
                Some(HashFunction::Sha256) => "SHA-256 of ",
                Some(HashFunction::Keccak256) => "Keccak-256 of ",
                None => "",
            };
            format!("{hash}{length} bytes, {shown}{rest}")
        }
    };
    let digest = digest.as_deref().unwrap_or("none: the bytes are signed as they are");
    let left = seconds_left(approval.expires_at);
    format!(
        "session     {session}\n  \
         requester   {requester}\n  \
         request     {request}\n  \
         account     {account} ({public_key}, {path})\n  \
         digest      {digest}\n  \
         from        {payload}\n  \
         expires     in {left} s\n"
    )
}

fn seconds_left(at: UnixMillis) -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    at.0.saturating_sub(u64::try_from(now.as_millis()).unwrap_or(u64::MAX)) / 1000
}

#[cfg(test)]
mod tests {
    use super::*;
    use mpc_wire::{AccountId, PublicKey, RequestId};

    fn shown(truncated: bool, text: Option<&str>, hex: Option<&str>) -> (SessionId, String) {
        let session = SessionId::generate();
        let text = approval(&OpenApproval {
            session,
            request: RequestId::generate(),
            account: AccountId::generate(),
            public_key: PublicKey::new([2; 33]),
            path: "m".to_owned(),
            requester: None,
            digest: Some("ab".repeat(32)),
            payload: PayloadView::Bytes {
                hash: Some(HashFunction::Sha256),
                length: 5000,
                truncated,
                text: text.map(ToOwned::to_owned),
                hex: hex.map(ToOwned::to_owned),
            },
            expires_at: UnixMillis(0),
        });
        (session, text)
    }

    #[test]
    fn what_is_cut_looks_cut() {
        let (session, cut) = shown(true, Some("pay 5"), None);
        let rest = format!("\"pay 5\"… (5000 bytes in all; --session {session} shows them)");
        assert!(cut.contains(&rest), "{cut}");
        for (whole, expected) in [
            (shown(false, Some("pay 5"), None).1, "5000 bytes, \"pay 5\"\n"),
            (shown(false, None, Some("ff00")).1, "5000 bytes, no text: ff00\n"),
        ] {
            assert!(whole.contains(expected), "{whole}");
        }
    }
}
