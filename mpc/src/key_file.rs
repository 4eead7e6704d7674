//! Files that hold one key as text, for their owner only.

use crate::secret::Secret;
use anyhow::Context;
use party_runtime::vault::private_file;
use std::path::Path;
use zeroize::Zeroizing;

/// Something that a node needs to know. What is not there is made in its data folder, but not before
/// everything else that can keep the node from starting was looked at.
pub(crate) enum Planned<T> {
    Found(T),
    /// Reads it from its file in this data folder, if somebody was quicker, or makes it there.
    ToMake(fn(&Path) -> anyhow::Result<T>),
}

impl<T> Planned<T> {
    /// Makes it in this data folder, if it was not found.
    pub(crate) fn carry_out(self, data: &Path) -> anyhow::Result<T> {
        match self {
            Self::Found(found) => Ok(found),
            Self::ToMake(make) => make(data),
        }
    }
}

/// A random key of 64 hexadecimal digits.
pub(crate) fn generate() -> anyhow::Result<Secret> {
    let mut bytes = Zeroizing::new([0_u8; 32]);
    getrandom::fill(bytes.as_mut_slice()).context("the operating system gives no randomness")?;
    Ok(Secret::new(Zeroizing::new(hex::encode(bytes.as_slice()))))
}

/// Makes a random key in this file; `what` it is stands in errors.
pub(crate) fn make(file: &Path, what: &str) -> anyhow::Result<Secret> {
    let key = generate()?;
    private_file::write(file, key.expose().as_bytes())
        .with_context(|| format!("cannot write the {what}"))?;
    Ok(key)
}

/// Reads the key of a file that nobody but its owner can read.
pub(crate) fn read_private(file: &Path, what: &str) -> anyhow::Result<Secret> {
    text(&private_file::read(file).with_context(|| format!("cannot read the {what}"))?, file, what)
}

/// Reads the key of a file that several people may have been given.
pub(crate) fn read_shared(file: &Path, what: &str) -> anyhow::Result<Secret> {
    let bytes = private_file::read_shared(file);
    text(&bytes.with_context(|| format!("cannot read the {what}"))?, file, what)
}

/// The text of a file, without the line end behind it.
fn text(bytes: &[u8], file: &Path, what: &str) -> anyhow::Result<Secret> {
    // What is wrong with the bytes is not told: they are secret.
    let text = str::from_utf8(bytes).ok();
    let text = text.with_context(|| format!("the {what} in {} is no text", file.display()))?;
    Ok(Secret::new(Zeroizing::new(text.trim().to_owned())))
}
