//! Where the API key comes from.

use crate::cli::{ApiKeyArgs, Environment};
use crate::key_file::{self, Planned};
use crate::secret::Secret;
use anyhow::{Context, bail};
use coordinator::ApiKey;
use std::path::{Path, PathBuf};

/// The file of a generated key in the data folder.
const FILE: &str = "api.key";

/// What that file holds, in errors.
const WHAT: &str = "API key";

/// An API key, and how people get at it.
#[derive(Debug)]
pub(crate) struct FoundKey {
    pub(crate) key: Secret,
    /// The file that holds it; none if it was given as a value.
    pub(crate) file: Option<PathBuf>,
}

/// How a key file is read.
type Read = fn(&Path, &str) -> anyhow::Result<Secret>;

/// The key that the arguments give. An empty value is none: compose files pass unset variables so.
fn given(args: ApiKeyArgs, read: Read) -> anyhow::Result<Option<FoundKey>> {
    if let Some(file) = args.api_key_file.filter(|file| !file.as_os_str().is_empty()) {
        let key = read(&file, WHAT)?;
        return Ok(Some(FoundKey { key, file: Some(file) }));
    }
    let key = args.api_key.filter(|key| !key.expose().is_empty());
    Ok(key.map(|key| FoundKey { key, file: None }))
}

/// The key that a client needs. Its file may be one that several operators share.
pub(crate) fn for_client(args: ApiKeyArgs) -> anyhow::Result<Secret> {
    let found = given(args, key_file::read_shared)?;
    Ok(found.context("no API key: set MPC_API_KEY or give --api-key-file")?.key)
}

/// The key of a node: a given one or, except in production, the one in the data folder, which is to
/// be made if it is missing. It may do everything, so its file is for the node alone.
pub(crate) fn plan_for_node(
    args: ApiKeyArgs,
    environment: Environment,
    data: &Path,
) -> anyhow::Result<Planned<FoundKey>> {
    let found = match (given(args, key_file::read_private)?, environment) {
        (Some(given), _) => given,
        (None, Environment::Production) => {
            bail!("in production the API key must be given: set MPC_API_KEY or MPC_API_KEY_FILE")
        }
        (None, Environment::Development) if !data.join(FILE).exists() => {
            return Ok(Planned::ToMake(of_folder));
        }
        (None, Environment::Development) => of_folder(data)?,
    };
    found.bootstrap()?;
    Ok(Planned::Found(found))
}

/// The key in a data folder, made if missing.
fn of_folder(data: &Path) -> anyhow::Result<FoundKey> {
    let file = data.join(FILE);
    let key = if file.exists() {
        key_file::read_private(&file, WHAT)?
    } else {
        key_file::make(&file, WHAT)?
    };
    Ok(FoundKey { key, file: Some(file) })
}

impl FoundKey {
    /// The key as the API takes it.
    pub(crate) fn bootstrap(&self) -> anyhow::Result<ApiKey> {
        Ok(ApiKey::try_from(self.key.expose().to_string())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn for_node(
        args: ApiKeyArgs,
        environment: Environment,
        data: &Path,
    ) -> anyhow::Result<FoundKey> {
        plan_for_node(args, environment, data)?.carry_out(data)
    }

    fn none() -> ApiKeyArgs {
        ApiKeyArgs { api_key: None, api_key_file: None }
    }

    #[test]
    fn a_key_is_made_once_and_for_its_owner_only() {
        let data = tempfile::tempdir().unwrap();
        let made = for_node(none(), Environment::Development, data.path()).unwrap();
        let file = made.file.unwrap();
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(made.key.expose().len(), 64);
        let again = for_node(none(), Environment::Development, data.path()).unwrap();
        assert_eq!(again.key.expose(), made.key.expose());

        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).unwrap();
        let error = for_node(none(), Environment::Development, data.path()).unwrap_err();
        assert!(format!("{error:#}").contains("chmod 600"), "{error:#}");
    }

    #[test]
    fn production_makes_no_key() {
        let data = tempfile::tempdir().unwrap();
        let error = for_node(none(), Environment::Production, data.path()).unwrap_err();
        assert!(error.to_string().contains("MPC_API_KEY"), "{error}");
        assert_eq!(std::fs::read_dir(data.path()).unwrap().count(), 0);
    }

    #[test]
    fn the_key_file_of_a_node_is_for_its_owner_only() {
        let data = tempfile::tempdir().unwrap();
        let file = data.path().join("key");
        let given = || ApiKeyArgs { api_key: None, api_key_file: Some(file.clone()) };
        std::fs::write(&file, "from-the-file-of-the-node\n").unwrap();
        for mode in [0o644, 0o640, 0o604] {
            std::fs::set_permissions(&file, PermissionsExt::from_mode(mode)).unwrap();
            for environment in [Environment::Development, Environment::Production] {
                let error = for_node(given(), environment, data.path()).unwrap_err();
                assert!(format!("{error:#}").contains("chmod 600"), "{mode:o}: {error:#}");
            }
            assert_eq!(for_client(given()).unwrap().expose().as_str(), "from-the-file-of-the-node");
        }
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
        let found = for_node(given(), Environment::Production, data.path()).unwrap();
        assert_eq!(found.key.expose().as_str(), "from-the-file-of-the-node");
    }

    /// What a crash has left behind may be open to others.
    #[test]
    fn a_draft_that_was_left_does_not_open_the_new_key() {
        let data = tempfile::tempdir().unwrap();
        let file = data.path().join(FILE);
        for draft in ["api.key.draft", "api.key.new"] {
            let draft = data.path().join(draft);
            std::fs::write(&draft, "half a k").unwrap();
            std::fs::set_permissions(&draft, PermissionsExt::from_mode(0o666)).unwrap();
        }
        let made = for_node(none(), Environment::Development, data.path()).unwrap();
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), *made.key.expose().as_str());
    }

    #[test]
    fn a_file_goes_before_a_value_and_loses_its_line_end() {
        let data = tempfile::tempdir().unwrap();
        let file = data.path().join("key");
        std::fs::write(&file, "from-the-file\n").unwrap();
        let args = ApiKeyArgs {
            api_key: Some("from-the-environment".parse().unwrap()),
            api_key_file: Some(file),
        };
        assert_eq!(for_client(args).unwrap().expose().as_str(), "from-the-file");
        assert!(for_client(none()).is_err());
    }
}
