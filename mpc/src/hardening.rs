//! What the operating system and the log must not keep of this process.

use anyhow::Context;
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use std::io::Write;
use std::panic::{PanicHookInfo, set_hook};

/// Sees to it that no core dump is written, whatever kills the process: its memory holds keys.
///
/// The limit alone is not enough: a kernel that pipes core dumps to a program does not look at it.
/// A process that is not dumpable is neither dumped that way, nor read by others of its user.
pub(crate) fn forbid_core_dumps() -> anyhow::Result<()> {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    setrlimit(Resource::Core, none).context("cannot set RLIMIT_CORE to 0")?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .context("cannot make the process undumpable")
}

/// Has panics tell where they happened, and nothing else: what a library formats when it panics may
/// be a value of its protocol.
pub(crate) fn keep_panics_quiet() {
    set_hook(Box::new(|panic| {
        // Not through the log, which may be what panics. If stderr is gone, nobody is to be told.
        let _told = std::io::stderr().write_all(told(panic).as_bytes());
    }));
}

fn told(panic: &PanicHookInfo<'_>) -> String {
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or("without a name");
    let location =
        panic.location().map_or_else(|| "an unknown place".to_owned(), |at| at.to_string());
    format!("error: thread {thread} panicked at {location}; why is not told, it may be secret\n")
}
