//! `mpc account`, `sign`, `session` and `party`: operators' commands over HTTP.

use crate::api_key;
use crate::approvals;
use crate::backup;
use crate::cli::{AccountCommand, ClientArgs, Output, PartyCommand, SessionCommand, SignArgs};
use crate::enrolment;
use crate::party;
use crate::table::Table;
use anyhow::bail;
use mpc::api::{AccountState, NewAccount};
use mpc::client::Client;
use serde::Serialize;
use std::io::Write;

/// Runs `mpc account`.
pub(crate) async fn account(command: AccountCommand) -> anyhow::Result<()> {
    match command {
        AccountCommand::Create { user_id, scheme, threshold, parties, client } => {
            let (client, output) = open(client)?;
            let request = NewAccount { user_id, scheme, threshold, parties };
            let account = client.create_account(&request).await?;
            print(&account, output)?;
            if account.state != AccountState::Active {
                let id = account.account_id;
                eprintln!("not active yet; ask again: mpc account show {id}");
            }
            Ok(())
        }
        AccountCommand::List { client } => {
            let (client, output) = open(client)?;
            print(&client.accounts().await?, output)
        }
        AccountCommand::Show { account, client } => {
            let (client, output) = open(client)?;
            print(&client.account(account).await?, output)
        }
    }
}

/// Runs `mpc sign`.
pub(crate) async fn sign(args: SignArgs) -> anyhow::Result<()> {
    let (client, output) = open(args.client)?;
    let hash = args.hash.map(Into::into);
    let request = args.requester.request(&client, args.account, args.message, hash).await?;
    let session = client.sign(args.account, &request).await?;
    print(&session, output)?;
    if session.signature.is_none() {
        bail!("no signature: the session ended as {}", session.state);
    }
    Ok(())
}

/// Runs `mpc session`.
pub(crate) async fn session(command: SessionCommand) -> anyhow::Result<()> {
    let SessionCommand::Show { session, client } = command;
    let (client, output) = open(client)?;
    print(&client.session(session).await?, output)
}

/// Runs `mpc party`.
pub(crate) async fn run_party(command: PartyCommand) -> anyhow::Result<()> {
    match command {
        PartyCommand::List { client } => {
            let (client, output) = open(client)?;
            print(&client.parties().await?, output)
        }
        PartyCommand::Backup(args) => backup::backup(args).await,
        PartyCommand::Restore(args) => backup::restore(args).await,
        PartyCommand::Enrolment(command) => enrolment::run(command).await,
        PartyCommand::Own(command) => party::run(command).await,
        PartyCommand::Control(command) => approvals::run(command),
    }
}

pub(crate) fn open(args: ClientArgs) -> anyhow::Result<(Client, Output)> {
    let key = api_key::for_client(args.api_key)?;
    let transport = args.tls.transport(&args.url)?;
    Ok((Client::new(&args.url, &transport, key.expose())?, args.output))
}

pub(crate) fn print<T: Table + Serialize>(answer: &T, output: Output) -> anyhow::Result<()> {
    let text = match output {
        Output::Table => answer.table(),
        Output::Json => serde_json::to_string_pretty(answer)?,
    };
    Ok(writeln!(std::io::stdout(), "{}", text.trim_end())?)
}
