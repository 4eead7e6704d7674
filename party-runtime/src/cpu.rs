//! Where CPU-heavy jobs run: a bounded pool with two lanes.

use mpc_engine::{Done, Job};
use std::num::NonZero;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use tokio::sync::oneshot;

/// Jobs that may wait in a lane. A signing attempt has a handful of jobs at once; beyond this
/// the machine is hopelessly behind and an attempt had better fail than wait.
const MAX_WAITING: usize = 1024;

/// What a job is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Somebody waits for it: signing and key generation.
    Interactive,
    /// It may take as long as it likes: aux sets.
    Background,
}

/// Why a job was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{MAX_WAITING} jobs wait for a processor already")]
pub struct PoolFull;

/// The pool. Each lane has a thread for every processor; those of the background lane run at the
/// lowest priority, so they use what the interactive lane leaves and slow it by next to nothing.
#[derive(Debug, Clone)]
pub struct CpuPool {
    interactive: SyncSender<Ticket>,
    background: SyncSender<Ticket>,
}

struct Ticket {
    job: Job,
    reply: oneshot::Sender<Done>,
}

impl CpuPool {
    /// Starts a pool with `threads` threads a lane; they end when the last handle is dropped.
    ///
    /// # Errors
    /// The operating system's, if it refuses a thread.
    pub fn start(threads: NonZero<usize>) -> std::io::Result<Self> {
        Ok(Self {
            interactive: start_lane("mpc-cpu", threads, || {})?,
            background: start_lane("mpc-cpu-bg", threads, lower_priority)?,
        })
    }

    /// Starts a pool as wide as the machine.
    ///
    /// # Errors
    /// As [`CpuPool::start`].
    pub fn for_this_machine() -> std::io::Result<Self> {
        Self::start(thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN))
    }

    /// Queues a job. The receiver yields it back when it has run; dropping the receiver lets a
    /// job that has not begun be skipped.
    ///
    /// # Errors
    /// [`PoolFull`] if too many wait already.
    pub fn submit(&self, lane: Lane, job: Job) -> Result<oneshot::Receiver<Done>, PoolFull> {
        let (reply, done) = oneshot::channel();
        let queue = match lane {
            Lane::Interactive => &self.interactive,
            Lane::Background => &self.background,
        };
        match queue.try_send(Ticket { job, reply }) {
            Ok(()) => Ok(done),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => Err(PoolFull),
        }
    }
}

fn start_lane(
    name: &str,
    threads: NonZero<usize>,
    on_start: impl Fn() + Clone + Send + 'static,
) -> std::io::Result<SyncSender<Ticket>> {
    let (sender, receiver) = sync_channel(MAX_WAITING);
    let receiver = Arc::new(Mutex::new(receiver));
    for _ in 0..threads.get() {
        let receiver = Arc::clone(&receiver);
        let on_start = on_start.clone();
        thread::Builder::new().name(name.into()).spawn(move || {
            on_start();
            work(&receiver);
        })?;
    }
    Ok(sender)
}

fn work(receiver: &Mutex<Receiver<Ticket>>) {
    loop {
        // Jobs catch their own panics, and the lock is only held while waiting: it cannot be
        // poisoned by a job.
        let next = receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Ticket { job, reply }) = next else { return };
        if reply.is_closed() {
            continue;
        }
        if reply.send(job.run()).is_err() {
            tracing::trace!("nobody waits for this job any more");
        }
    }
}

fn lower_priority() {
    // On Linux the nice value belongs to the thread. 19 is the lowest priority there is.
    if let Err(error) = rustix::process::nice(19) {
        tracing::warn!(%error, "cannot lower the priority of a background thread");
    }
}
