//! Running `mpc`, and the one account that all tests share.

use serde_json::Value;
use std::fs::{self, File};
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
    data: PathBuf,
    /// Held as long as this process runs.
    _in_use: File,
    pub(crate) stdout: String,
    /// Its log at TRACE.
    pub(crate) log: Vec<u8>,
}

impl Demo {
    /// The one demo of this run: its aux set takes most of a minute.
    pub(crate) fn shared() -> &'static Self {
        static DEMO: OnceLock<Demo> = OnceLock::new();
        DEMO.get_or_init(|| {
            let (folder, in_use) = demo_folder(Path::new(env!("CARGO_TARGET_TMPDIR")));
            let data = folder.join("data");
            let mut demo = mpc(&["demo", "--json", "--data", data.to_str().unwrap()]);
            let output = demo.env("RUST_LOG", EVERYTHING).output().unwrap();
            let log = output.stderr.clone();
            Self { data, _in_use: in_use, stdout: stdout(output), log }
        })
    }

    pub(crate) fn report(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap()
    }

    /// A copy of the data folder.
    pub(crate) fn copy(&self) -> TempDir {
        let copy = tempfile::tempdir().unwrap();
        copy_folder(&self.data, copy.path());
        copy
    }
}

/// What the names of all demos' folders begin with.
const DEMO: &str = "shared-demo";

/// A new folder for a demo, and the lock that keeps it from being removed by other runs of the tests
/// at the same time. Nobody is left to remove it at the end, so the next run does.
fn demo_folder(within: &Path) -> (PathBuf, File) {
    // Nobody may remove what has been made and not been locked yet.
    let tidying = File::create(within.join(format!("{DEMO}.lock"))).unwrap();
    tidying.lock().unwrap();
    for entry in fs::read_dir(within).unwrap() {
        let folder = entry.unwrap().path();
        let is_demo = folder.file_name().unwrap().to_string_lossy().starts_with(DEMO);
        if is_demo && folder.is_dir() && lock_in(&folder).try_lock().is_ok() {
            fs::remove_dir_all(folder).unwrap();
        }
    }
    let folder = tempfile::Builder::new().prefix(DEMO).tempdir_in(within).unwrap().keep();
    let in_use = lock_in(&folder);
    in_use.lock().unwrap();
    (folder, in_use)
}

fn lock_in(folder: &Path) -> File {
    File::create(folder.join("in-use")).unwrap()
}

#[test]
fn runs_of_the_tests_leave_each_others_demo_alone() {
    let within = tempfile::tempdir().unwrap();
    let (first, in_use) = demo_folder(within.path());
    let (second, _in_use) = demo_folder(within.path());
    assert!(first != second && first.is_dir() && second.is_dir());
    drop(in_use);
    let (third, _in_use) = demo_folder(within.path());
    assert!(!first.exists() && second.is_dir() && third.is_dir());
}

/// Copies a folder and all that is in it.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
