//! What the operating system must not keep of this process.

use anyhow::Context;
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

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
