//! `mpc account`, `sign`, `session` and `party`: operators' commands over HTTP.

use crate::api_key;
use crate::cli::{AccountCommand, ClientArgs, Output, PartyCommand, SessionCommand, SignArgs};
use crate::table::Table;
use anyhow::bail;
use mpc::api::{AccountState, NewAccount, SignRequest};
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
    let request = SignRequest { message: args.message, hash: args.hash.map(Into::into) };
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
pub(crate) async fn party(command: PartyCommand) -> anyhow::Result<()> {
    let PartyCommand::List { client } = command;
    let (client, output) = open(client)?;
    print(&client.parties().await?, output)
}

fn open(args: ClientArgs) -> anyhow::Result<(Client, Output)> {
    let key = api_key::for_client(args.api_key)?;
    Ok((Client::new(&args.url, key.expose())?, args.output))
}

fn print<T: Table + Serialize>(answer: &T, output: Output) -> anyhow::Result<()> {
    let text = match output {
        Output::Table => answer.table(),
        Output::Json => serde_json::to_string_pretty(answer)?,
    };
    Ok(writeln!(std::io::stdout(), "{}", text.trim_end())?)
}
