//! The command `mpc`.

mod api_key;
#[cfg(feature = "bench")]
mod bench;
mod cli;
mod demo;
mod logging;
mod operate;
mod own_node;
mod report;
mod secret;
mod serve;
mod signals;
mod steps;
mod table;
mod verify;

use clap::Parser;
use cli::{Cli, Command};
use std::process::ExitCode;

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    logging::start(
        cli.log
            .as_deref()
            .filter(|log| !log.is_empty())
            .unwrap_or_else(|| default_filter(&cli.command)),
    )?;
    actix_rt::System::new().block_on(async {
        match cli.command {
            Command::Demo(args) => demo::run(args).await,
            Command::Node(args) => serve::run(args).await,
            Command::Account(command) => operate::account(command).await,
            Command::Sign(args) => operate::sign(args).await,
            Command::Session(command) => operate::session(command).await,
            Command::Party(command) => operate::party(command).await,
            #[cfg(feature = "bench")]
            Command::Bench(command) => bench::run(command).await,
        }
    })
}

/// A node's log is its face, without the small talk of libraries; elsewhere only trouble is worth
/// a line beside the answer.
fn default_filter(command: &Command) -> &'static str {
    match command {
        Command::Node(_) => "info,actix_server=warn,sea_orm_migration=warn",
        Command::Demo(_)
        | Command::Account(_)
        | Command::Sign(_)
        | Command::Session(_)
        | Command::Party(_) => "warn",
        #[cfg(feature = "bench")]
        Command::Bench(_) => "warn",
    }
}
