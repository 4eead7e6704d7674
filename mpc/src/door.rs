//! What the arguments say about the door of the backend API: who may come from where, and the
//! coordinator's secret, which its API keys depend on.

use crate::cli::Environment;
use crate::key_file::{self, Planned};
use crate::secret::{self, Secret};
use anyhow::{Context, bail};
use clap::Args;
use coordinator::{CoordinatorSecret, Networks};
use mpc::node::NodeDoor;
use std::path::{Path, PathBuf};

/// The file of the coordinator's secret in the data folder.
const FILE: &str = "coordinator.key";

/// What that file holds, in errors.
const WHAT: &str = "coordinator's secret";

/// Arguments of the door.
#[derive(Debug, Args)]
pub(crate) struct DoorArgs {
    /// Addresses and networks (CIDR) that may use the API, with commas between; without it, all.
    /// A probe of /health from this host needs no place on the list.
    #[arg(
        long,
        env = "ALLOWED_IPS",
        value_name = "LIST",
        default_value = "",
        hide_default_value = true
    )]
    pub(crate) allowed_ips: Networks,
    /// Addresses and networks (CIDR) of proxies whose X-Forwarded-For is believed, with commas
    /// between; without it, none: every request comes from whoever holds the connection.
    #[arg(
        long,
        env = "TRUSTED_PROXIES",
        value_name = "LIST",
        default_value = "",
        hide_default_value = true
    )]
    pub(crate) trusted_proxies: Networks,
    #[arg(skip = Secret::of_environment(secret::COORDINATOR_KEY))]
    pub(crate) coordinator_key: Option<Secret>,
    /// A file of mode 0600 with the coordinator's secret; goes before the secret itself in the
    /// variable MPC_COORDINATOR_KEY. Without both it is `coordinator.key` in the data folder, made
    /// if missing except in production.
    #[arg(long, env = "MPC_COORDINATOR_KEY_FILE", value_name = "FILE")]
    pub(crate) coordinator_key_file: Option<PathBuf>,
}

impl DoorArgs {
    /// The door of a node with its data in this folder.
    pub(crate) fn plan(self, environment: Environment, data: &Path) -> anyhow::Result<PlannedDoor> {
        let Self { allowed_ips, trusted_proxies, coordinator_key, coordinator_key_file } = self;
        let secret = plan(coordinator_key, coordinator_key_file, environment, data)?;
        Ok(PlannedDoor { secret, allowed: allowed_ips, trusted_proxies })
    }
}

/// A door whose secret is perhaps yet to be made.
pub(crate) struct PlannedDoor {
    secret: Planned<CoordinatorSecret>,
    allowed: Networks,
    trusted_proxies: Networks,
}

impl PlannedDoor {
    /// Makes the secret in this data folder, if there is none.
    pub(crate) fn carry_out(self, data: &Path) -> anyhow::Result<NodeDoor> {
        let Self { secret, allowed, trusted_proxies } = self;
        Ok(NodeDoor { secret: secret.carry_out(data)?, allowed, trusted_proxies })
    }
}

/// The door of a node that a command runs for itself: nobody but this host, which is all that it
/// listens to.
pub(crate) fn of_own_node(data: &Path) -> anyhow::Result<NodeDoor> {
    Ok(NodeDoor {
        secret: of_folder(data)?,
        allowed: Networks::default(),
        trusted_proxies: Networks::default(),
    })
}

fn plan(
    value: Option<Secret>,
    file: Option<PathBuf>,
    environment: Environment,
    data: &Path,
) -> anyhow::Result<Planned<CoordinatorSecret>> {
    match (known_secret(value, file, Some(data))?, environment) {
        (Some(known), _) => Ok(Planned::Found(known)),
        (None, Environment::Production) => bail!(
            "in production the coordinator's secret must be given: set MPC_COORDINATOR_KEY or \
             MPC_COORDINATOR_KEY_FILE to 64 hexadecimal digits, as `openssl rand -hex 32` makes \
             them, and keep it: without it no stored API key works"
        ),
        (None, Environment::Development) => Ok(Planned::ToMake(of_folder)),
    }
}

/// The secret in a data folder, made if missing.
fn of_folder(data: &Path) -> anyhow::Result<CoordinatorSecret> {
    let file = data.join(FILE);
    if file.exists() { read(&file) } else { parse(&key_file::make(&file, WHAT)?) }
}

/// The secret that is given or lies in the data folder, if there is one; none is made. Empty
/// values are none: compose files pass variables that are not set so.
pub(crate) fn known_secret(
    value: Option<Secret>,
    file: Option<PathBuf>,
    data: Option<&Path>,
) -> anyhow::Result<Option<CoordinatorSecret>> {
    if let Some(file) = file.filter(|file| !file.as_os_str().is_empty()) {
        return read(&file).map(Some);
    }
    if let Some(value) = value.filter(|value| !value.expose().is_empty()) {
        return parse(&value).map(Some).context("MPC_COORDINATOR_KEY");
    }
    data.map(|data| data.join(FILE))
        .filter(|file| file.exists())
        .map(|file| read(&file))
        .transpose()
}

fn read(file: &Path) -> anyhow::Result<CoordinatorSecret> {
    let text = key_file::read_private(file, WHAT)?;
    parse(&text).with_context(|| file.display().to_string())
}

fn parse(text: &Secret) -> anyhow::Result<CoordinatorSecret> {
    Ok(text.expose().trim().parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// Secrets are not formatted or compared: what comes of them is.
    fn told(secret: &CoordinatorSecret) -> String {
        hex::encode(secret.subkey("test").as_slice())
    }

    fn of(
        value: Option<&str>,
        file: Option<&Path>,
        environment: Environment,
        data: &Path,
    ) -> Result<String, String> {
        let value = value.map(|value| value.parse().unwrap());
        let secret = plan(value, file.map(Path::to_owned), environment, data)
            .and_then(|planned| planned.carry_out(data));
        secret.as_ref().map(told).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn in_development_a_secret_is_made_once_and_for_its_owner_only() {
        let data = tempfile::tempdir().unwrap();
        let made = of(None, None, Environment::Development, data.path()).unwrap();
        let file = data.path().join(FILE);
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        for environment in [Environment::Development, Environment::Production] {
            assert_eq!(of(None, None, environment, data.path()).unwrap(), made);
            let empty = Some(Path::new(""));
            assert_eq!(of(Some(""), empty, environment, data.path()).unwrap(), made);
        }
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o640)).unwrap();
        let error = of(None, None, Environment::Development, data.path()).unwrap_err();
        assert!(error.contains("chmod 600"), "{error}");
    }

    #[test]
    fn in_production_it_must_be_given() {
        let data = tempfile::tempdir().unwrap();
        let error = of(None, None, Environment::Production, data.path()).unwrap_err();
        assert!(error.contains("MPC_COORDINATOR_KEY"), "{error}");
        assert_eq!(std::fs::read_dir(data.path()).unwrap().count(), 0);
        let given = "0d".repeat(32);
        let secret = of(Some(&given), None, Environment::Production, data.path()).unwrap();
        let file = data.path().join("elsewhere");
        std::fs::write(&file, format!("{given}\n")).unwrap();
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
        let other = "0e".repeat(32);
        let read = of(Some(&other), Some(&file), Environment::Production, data.path());
        assert_eq!(read.unwrap(), secret);
    }

    #[test]
    fn a_secret_that_is_none_is_refused_and_not_told() {
        let data = tempfile::tempdir().unwrap();
        let file = data.path().join(FILE);
        std::fs::write(&file, "battery-staple").unwrap();
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
        for value in [Some("correct-horse"), None] {
            let error = of(value, None, Environment::Development, data.path()).unwrap_err();
            assert!(error.contains("64 hexadecimal digits"), "{error}");
            assert!(!error.contains("horse") && !error.contains("staple"), "{error}");
        }
    }
}
