//! Running `mpc`, and the one account that all tests share.

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use tempfile::TempDir;

/// A filter that asks the log for all there is, and for more than it gives.
pub(crate) const EVERYTHING: &str = "trace,manul=trace,manul::session=trace,synedrion=trace,\
                                     synedrion::protocols=trace,[session]=trace,synedrion::protocols::signing=trace";

/// The command, with none of the environment of whoever runs the tests.
pub(crate) fn mpc(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mpc"));
    command.env_clear().args(args);
    command
}

/// What a run printed to stdout; panics with its stderr if it failed.
pub(crate) fn stdout(output: Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {stderr}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// What a run said when it failed with this exit code.
pub(crate) fn failure(output: Output, code: i32) -> String {
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert!(output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
    stderr
}

/// A demo's data folder and what the demo printed.
#[derive(Debug)]
pub(crate) struct Demo {
    folder: PathBuf,
    pub(crate) stdout: String,
    /// Its log at TRACE.
    pub(crate) log: Vec<u8>,
}

impl Demo {
    /// The one demo of this run: its aux set takes most of a minute.
    pub(crate) fn shared() -> &'static Self {
        static DEMO: OnceLock<Demo> = OnceLock::new();
        DEMO.get_or_init(|| {
            // At a fixed place, since nobody is left to remove it at the end.
            let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("shared-demo");
            if folder.exists() {
                fs::remove_dir_all(&folder).unwrap();
            }
            let data = folder.to_str().unwrap();
            let mut demo = mpc(&["demo", "--json", "--data", data]);
            let output = demo.env("RUST_LOG", EVERYTHING).output().unwrap();
            let log = output.stderr.clone();
            Self { folder, stdout: stdout(output), log }
        })
    }

    pub(crate) fn report(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap()
    }

    /// A copy of the data folder.
    pub(crate) fn copy(&self) -> TempDir {
        let copy = tempfile::tempdir().unwrap();
        copy_folder(&self.folder, copy.path());
        copy
    }
}

/// Copies a folder and all that is in it.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir(&target).unwrap();
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
