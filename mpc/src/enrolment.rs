//! What lets parties in, as operators have it: what tokens are signed with (`mpc node`), and
//! `mpc party token`, `cancel-token`, `register` and `revoke`.

use crate::apikey::Lifetime;
use crate::cli::{ClientArgs, Environment, Output};
use crate::key_file::{self, Planned};
use crate::operate::{open, print};
use crate::secret::{self, Secret};
use anyhow::Context;
use clap::{Args, Subcommand, ValueEnum};
use coordinator::EnrolmentSecret;
use mpc::api::{NewEnrolmentToken, NewParty, PartyRole};
use mpc_wire::PartyId;
use std::io::Write;
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// The file of a generated secret in the data folder.
const FILE: &str = "jwt.key";

/// What that file holds, in errors.
const WHAT: &str = "secret that signs enrolment tokens";

/// Arguments of what signs enrolment tokens.
#[derive(Debug, Args)]
pub(crate) struct EnrolmentArgs {
    #[arg(skip = Secret::of_environment(secret::JWT_SECRET))]
    jwt_secret_key: Option<Secret>,
    /// A file of mode 0600 with what enrolment tokens are signed with; goes before the secret
    /// itself in the variable JWT_SECRET_KEY. Without both it is `jwt.key` in the data folder, made
    /// if missing, except in production: there no token lets a party in then, and parties are
    /// registered by their ids.
    #[arg(long, env = "JWT_SECRET_KEY_FILE", value_name = "FILE")]
    jwt_secret_key_file: Option<PathBuf>,
}

impl EnrolmentArgs {
    /// The secret of a node with its data in this folder, if it is to have one.
    pub(crate) fn plan(
        self,
        environment: Environment,
        data: &Path,
    ) -> anyhow::Result<Planned<Option<EnrolmentSecret>>> {
        // Compose files pass variables that are not set as empty ones.
        if let Some(file) = self.jwt_secret_key_file.filter(|file| !file.as_os_str().is_empty()) {
            return Ok(Planned::Found(Some(read(&file)?)));
        }
        if let Some(given) = self.jwt_secret_key.filter(|secret| !secret.expose().is_empty()) {
            return Ok(Planned::Found(Some(parse(&given)?)));
        }
        match environment {
            Environment::Production => {
                tracing::info!("no enrolment tokens: JWT_SECRET_KEY is not set");
                Ok(Planned::Found(None))
            }
            Environment::Development if !data.join(FILE).exists() => Ok(Planned::ToMake(of_folder)),
            Environment::Development => of_folder(data).map(Planned::Found),
        }
    }
}

/// The secret in a data folder, made if missing.
fn of_folder(data: &Path) -> anyhow::Result<Option<EnrolmentSecret>> {
    let file = data.join(FILE);
    let secret = if file.exists() { read(&file) } else { parse(&key_file::make(&file, WHAT)?) };
    secret.map(Some)
}

fn read(file: &Path) -> anyhow::Result<EnrolmentSecret> {
    let secret = key_file::read_private(file, WHAT)?;
    parse(&secret).with_context(|| file.display().to_string())
}

fn parse(secret: &Secret) -> anyhow::Result<EnrolmentSecret> {
    Ok(secret.expose().to_string().try_into()?)
}

/// Verbs about who is let in; they need an API key with the scope `admin`.
#[derive(Debug, Subcommand)]
pub(crate) enum EnrolmentCommand {
    /// Makes a token that lets one new party in, and prints it, this once.
    Token {
        /// What the party will be there for.
        #[arg(long, value_enum)]
        role: Role,
        /// The party's label; without it, the one that the party gives itself.
        #[arg(long, value_name = "TEXT")]
        label: Option<String>,
        /// How long the token can be used, at most 1h.
        #[arg(long, value_name = "TIME", default_value = "15m")]
        ttl: Lifetime,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Cancels a token that no party has used.
    CancelToken {
        /// Its id, as it was printed with the token.
        // As a secret: who gives the token itself must not see it told again.
        id: Secret,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Lets a party in by its id, without a token.
    Register {
        /// The party's id: `mpc party id` shows it.
        party: PartyId,
        /// What the party is there for.
        #[arg(long, value_enum)]
        role: Role,
        /// A label for people.
        #[arg(long, value_name = "TEXT", default_value = "")]
        label: String,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Puts a party out at once and for ever.
    Revoke {
        /// The party's id.
        party: PartyId,
        #[command(flatten)]
        client: ClientArgs,
    },
}

/// A party's role, by its name on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// A server of the pool.
    Server,
    /// A user's device.
    Device,
    /// Acts for a user whose share it made.
    Delegate,
}

impl From<Role> for PartyRole {
    fn from(role: Role) -> Self {
        match role {
            Role::Server => Self::Server,
            Role::Device => Self::Device,
            Role::Delegate => Self::Delegate,
        }
    }
}

/// Runs such a command.
pub(crate) async fn run(command: EnrolmentCommand) -> anyhow::Result<()> {
    match command {
        EnrolmentCommand::Token { role, label, ttl, client } => {
            let (client, output) = open(client)?;
            let request =
                NewEnrolmentToken { role: role.into(), label, expires_in: Some(ttl.seconds()) };
            let token = client.create_enrolment_token(&request).await?;
            print(&token, output)?;
            match output {
                Output::Table => eprintln!(
                    "the token is told this once: give it to the party in a file, with \
                     --enrolment-token-file"
                ),
                Output::Json => {}
            }
            Ok(())
        }
        EnrolmentCommand::CancelToken { id, client } => {
            let id = Uuid::try_parse(id.expose())
                .ok()
                .context("not the id of a token: give the one that was printed beside the token")?;
            let (client, output) = open(client)?;
            client.cancel_enrolment_token(id).await?;
            match output {
                Output::Table => Ok(writeln!(std::io::stdout(), "cancelled")?),
                Output::Json => {
                    let done = serde_json::json!({ "token_id": id, "state": "cancelled" });
                    Ok(writeln!(std::io::stdout(), "{done:#}")?)
                }
            }
        }
        EnrolmentCommand::Register { party, role, label, client } => {
            let (client, output) = open(client)?;
            let request = NewParty { party_id: party, role: role.into(), label };
            print(&client.register_party(&request).await?, output)
        }
        EnrolmentCommand::Revoke { party, client } => {
            let (client, output) = open(client)?;
            print(&client.revoke_party(party).await?, output)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn args(value: Option<&str>, file: Option<&Path>) -> EnrolmentArgs {
        EnrolmentArgs {
            jwt_secret_key: value.map(|value| value.parse().unwrap()),
            jwt_secret_key_file: file.map(Path::to_owned),
        }
    }

    fn open(
        args: EnrolmentArgs,
        environment: Environment,
        data: &Path,
    ) -> anyhow::Result<Option<EnrolmentSecret>> {
        args.plan(environment, data)?.carry_out(data)
    }

    #[test]
    fn in_development_a_secret_is_made_once_and_for_its_owner_only() {
        let data = tempfile::tempdir().unwrap();
        let file = data.path().join(FILE);
        assert!(open(args(None, None), Environment::Development, data.path()).unwrap().is_some());
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let made = std::fs::read(&file).unwrap();
        let empty = args(Some(""), Some(Path::new("")));
        assert!(open(empty, Environment::Development, data.path()).unwrap().is_some());
        assert_eq!(std::fs::read(&file).unwrap(), made);
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o640)).unwrap();
        let refused = open(args(None, None), Environment::Development, data.path()).unwrap_err();
        assert!(format!("{refused:#}").contains("chmod 600"), "{refused:#}");
    }

    #[test]
    fn in_production_it_is_given_or_there_is_none() {
        let data = tempfile::tempdir().unwrap();
        assert!(open(args(None, None), Environment::Production, data.path()).unwrap().is_none());
        assert_eq!(std::fs::read_dir(data.path()).unwrap().count(), 0);
        let given = args(Some(&"x".repeat(32)), None);
        assert!(open(given, Environment::Production, data.path()).unwrap().is_some());
    }

    #[test]
    fn a_short_secret_is_refused_and_not_told() {
        let data = tempfile::tempdir().unwrap();
        let refused = args(Some("correct-horse"), None);
        let refused = open(refused, Environment::Production, data.path()).unwrap_err();
        let text = format!("{refused:#}");
        assert!(text.contains("JWT_SECRET_KEY") && !text.contains("horse"), "{text}");
        assert!(!format!("{:?}", args(Some("correct-horse"), None)).contains("horse"));
    }
}
