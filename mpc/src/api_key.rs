//! Where the API key comes from.

use crate::cli::{ApiKeyArgs, Environment};
use crate::secret::Secret;
use anyhow::{Context, bail, ensure};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The file of a generated key in the data folder.
const FILE: &str = "api.key";

/// An API key, and how people get at it.
#[derive(Debug)]
pub(crate) struct FoundKey {
    pub(crate) key: Secret,
    /// The file that holds it; none if it was given as a value.
    pub(crate) file: Option<PathBuf>,
}

/// The key that the arguments give. An empty value is none: compose files pass unset variables so.
fn given(args: ApiKeyArgs) -> anyhow::Result<Option<FoundKey>> {
    if let Some(file) = args.api_key_file.filter(|file| !file.as_os_str().is_empty()) {
        let key = read(&file)?;
        return Ok(Some(FoundKey { key, file: Some(file) }));
    }
    let key = args.api_key.filter(|key| !key.expose().is_empty());
    Ok(key.map(|key| FoundKey { key, file: None }))
}

/// The key that a client needs.
pub(crate) fn for_client(args: ApiKeyArgs) -> anyhow::Result<Secret> {
    let found = given(args)?;
    Ok(found.context("no API key: set MPC_API_KEY or give --api-key-file")?.key)
}

/// The key of a node: a given one or, except in production, the one in the data folder, which is
/// made if missing.
pub(crate) fn for_node(
    args: ApiKeyArgs,
    environment: Environment,
    data: &Path,
) -> anyhow::Result<FoundKey> {
    if let Some(found) = given(args)? {
        return Ok(found);
    }
    match environment {
        Environment::Production => {
            bail!("in production the API key must be given: set MPC_API_KEY or MPC_API_KEY_FILE")
        }
        Environment::Development => {
            let file = data.join(FILE);
            let key = if file.exists() { read_private(&file)? } else { make(&file)? };
            Ok(FoundKey { key, file: Some(file) })
        }
    }
}

/// A random key.
pub(crate) fn generate() -> anyhow::Result<Secret> {
    let mut bytes = Zeroizing::new([0_u8; 32]);
    getrandom::fill(bytes.as_mut_slice()).context("the operating system gives no randomness")?;
    Ok(Secret::new(Zeroizing::new(hex::encode(bytes.as_slice()))))
}

fn make(file: &Path) -> anyhow::Result<Secret> {
    let key = generate()?;
    // Written whole under another name first: a crash half way must not leave half a key.
    let draft = file.with_extension("key.new");
    std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)
        .and_then(|mut out| out.write_all(key.expose().as_bytes()).and_then(|()| out.sync_all()))
        .and_then(|()| std::fs::rename(&draft, file))
        .with_context(|| format!("cannot write the API key to {}", file.display()))?;
    Ok(key)
}

fn read_private(file: &Path) -> anyhow::Result<Secret> {
    let metadata = std::fs::metadata(file)
        .with_context(|| format!("cannot read the API key in {}", file.display()))?;
    let mode = metadata.permissions().mode() & 0o777;
    ensure!(
        mode & 0o077 == 0,
        "the API key in {path} has mode {mode:o}; make it 0600: chmod 600 {path}",
        path = file.display()
    );
    read(file)
}

fn read(file: &Path) -> anyhow::Result<Secret> {
    let text = std::fs::read_to_string(file)
        .map(Zeroizing::new)
        .with_context(|| format!("cannot read the API key in {}", file.display()))?;
    Ok(Secret::new(Zeroizing::new(text.trim().to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }

    #[test]
    fn production_makes_no_key() {
        let data = tempfile::tempdir().unwrap();
        let error = for_node(none(), Environment::Production, data.path()).unwrap_err();
        assert!(error.to_string().contains("MPC_API_KEY"), "{error}");
        assert_eq!(std::fs::read_dir(data.path()).unwrap().count(), 0);
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
