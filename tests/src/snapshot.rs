//! A folder of data held in memory: made once for a test binary, unpacked anew for each test, so
//! that every test begins with the same keys and no two share a file.

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Longest that actors which were stopped may take to close their databases.
const PATIENCE: Duration = Duration::from_secs(30);

/// The files of a folder, by their paths within it.
#[derive(Clone)]
pub struct Snapshot(Vec<(PathBuf, Vec<u8>)>);

impl Snapshot {
    /// Reads every file below `folder`, once nobody has a database open there: the last one to
    /// close a SQLite database moves its write-ahead log into it and removes that.
    pub async fn take(folder: &Path) -> anyhow::Result<Self> {
        let closed = async {
            loop {
                let files = files_below(folder)?;
                if !files.iter().any(|path| path.to_string_lossy().ends_with("-wal")) {
                    return anyhow::Ok(files);
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let files = tokio::time::timeout(PATIENCE, closed).await??.into_iter().map(|path| {
            let bytes = std::fs::read(&path)?;
            Ok((path.strip_prefix(folder)?.to_owned(), bytes))
        });
        Ok(Self(files.collect::<anyhow::Result<_>>()?))
    }

    /// Writes the files below `folder`, for the owner's eyes only, as key files have to be.
    pub fn unpack(&self, folder: &Path) -> anyhow::Result<()> {
        for (path, bytes) in &self.0 {
            let path = folder.join(path);
            if let Some(parent) = path.parent() {
                DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
            }
            let mut options = OpenOptions::new();
            let mut file = options.write(true).create_new(true).mode(0o600).open(path)?;
            file.write_all(bytes)?;
        }
        Ok(())
    }
}

fn files_below(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(within) = folders.pop() {
        for entry in std::fs::read_dir(&within)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.is_file() {
                files.push(path);
            }
        }
    }
    Ok(files)
}
