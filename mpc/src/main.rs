//! The command `mpc`.

mod api_key;
mod apikey;
mod approvals;
mod backup;
#[cfg(feature = "bench")]
mod bench;
mod cli;
mod demo;
mod door;
mod encryption;
mod enrolment;
mod hardening;
mod inspect;
mod key_file;
mod keys;
mod logging;
mod master_key;
mod operate;
mod own_node;
mod party;
mod report;
mod requesting;
mod secret;
mod serve;
mod signals;
mod steps;
mod table;
mod verify;

use cli::{Cli, Command, PartyCommand};
use party::OwnPartyCommand;
use std::process::ExitCode;

fn main() -> ExitCode {
    hardening::keep_panics_quiet();
    match run(Cli::of_process()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            inspect::exit_code(&error)
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    hardening::forbid_core_dumps()?;
    secret::check_environment()?;
    logging::start(
        cli.log
            .as_deref()
            .filter(|log| !log.is_empty())
            .unwrap_or_else(|| default_filter(&cli.command)),
    )?;
    actix_rt::System::new().block_on(async {
        match cli.command {
            Command::Demo(args) => demo::run(args).await,
            Command::Node(args) => serve::run(*args).await,
            Command::Account(command) => operate::account(command).await,
            Command::Sign(args) => operate::sign(args).await,
            Command::Session(command) => operate::session(command).await,
            Command::Party(command) => operate::run_party(command).await,
            Command::Requester(command) => requesting::run(command),
            Command::Apikey(command) => apikey::run(command).await,
            Command::Keys(command) => keys::run(command).await,
            Command::Audit(command) => inspect::run(command).await,
            #[cfg(feature = "bench")]
            Command::Bench(command) => bench::run(command).await,
        }
    })
}

/// A node's log is its face, without the small talk of libraries; elsewhere only trouble is worth
/// a line beside the answer.
fn default_filter(command: &Command) -> &'static str {
    match command {
        Command::Node(_) | Command::Party(PartyCommand::Own(OwnPartyCommand::Run(_))) => {
            "info,actix_server=warn,sea_orm_migration=warn"
        }
        Command::Demo(_)
        | Command::Account(_)
        | Command::Sign(_)
        | Command::Session(_)
        | Command::Party(_)
        | Command::Keys(_)
        | Command::Audit(_)
        | Command::Requester(_)
        | Command::Apikey(_) => "warn",
        #[cfg(feature = "bench")]
        Command::Bench(_) => "warn",
    }
}
