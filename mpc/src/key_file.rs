//! Files that hold one key as text, for their owner only.

use crate::secret::Secret;
use anyhow::{Context, ensure};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use zeroize::Zeroizing;

/// A random key of 64 hexadecimal digits.
pub(crate) fn generate() -> anyhow::Result<Secret> {
    let mut bytes = Zeroizing::new([0_u8; 32]);
    getrandom::fill(bytes.as_mut_slice()).context("the operating system gives no randomness")?;
    Ok(Secret::new(Zeroizing::new(hex::encode(bytes.as_slice()))))
}

/// Makes a random key in this file; `what` it is stands in errors.
pub(crate) fn make(file: &Path, what: &str) -> anyhow::Result<Secret> {
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
        .with_context(|| format!("cannot write the {what} to {}", file.display()))?;
    Ok(key)
}

/// Reads the key of a file that nobody but its owner can read.
pub(crate) fn read_private(file: &Path, what: &str) -> anyhow::Result<Secret> {
    let metadata = std::fs::metadata(file)
        .with_context(|| format!("cannot read the {what} in {}", file.display()))?;
    let mode = metadata.permissions().mode() & 0o777;
    ensure!(
        mode & 0o077 == 0,
        "the {what} in {path} has mode {mode:o}; make it 0600: chmod 600 {path}",
        path = file.display()
    );
    read(file, what)
}

/// Reads the key of a file, whatever its mode.
pub(crate) fn read(file: &Path, what: &str) -> anyhow::Result<Secret> {
    let text = std::fs::read_to_string(file)
        .map(Zeroizing::new)
        .with_context(|| format!("cannot read the {what} in {}", file.display()))?;
    Ok(Secret::new(Zeroizing::new(text.trim().to_owned())))
}
