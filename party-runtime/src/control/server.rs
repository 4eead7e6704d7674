//! The party's side of its control socket.

use super::{ControlAnswer, ControlError, ControlRequest, MAX_ANSWER, MAX_REQUEST};
use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::FuturesUnordered;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener as StdListener;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

/// Connections served at once: people and their scripts. More of them wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 8;

/// How long a connection may take to bring its line, and to take its answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Pause after the operating system refused a connection, so that the log is not flooded.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

/// Longest path of a socket (`sun_path` of Linux, less its end mark).
const MAX_SOCKET_PATH: usize = 107;

/// Why the socket cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ControlSocketError {
    /// The path does not fit into a socket's address.
    #[error(
        "{path} is too long for a socket: at most {MAX_SOCKET_PATH} bytes fit; use a shorter data \
         folder"
    )]
    PathTooLong {
        /// The socket.
        path: PathBuf,
    },
    /// Another process serves it.
    #[error("another process controls a party at {path}: stop it first")]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// The operating system refuses.
    #[error("cannot make the control socket {path}: {detail}")]
    Io {
        /// The socket.
        path: PathBuf,
        /// What it says.
        detail: String,
    },
}

/// A socket that listens. Its file goes with it.
#[derive(Debug)]
pub(crate) struct ControlSocket {
    listener: UnixListener,
    path: PathBuf,
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Person {
    /// The user id at the other end of the socket.
    pub(crate) uid: u32,
}

impl ControlSocket {
    /// Listens at `path`. The file of a process that has died is replaced.
    pub(crate) fn bind(path: &Path) -> Result<Self, ControlSocketError> {
        if path.as_os_str().len() > MAX_SOCKET_PATH {
            return Err(ControlSocketError::PathTooLong { path: path.to_owned() });
        }
        let failed = |error: std::io::Error| ControlSocketError::Io {
            path: path.to_owned(),
            detail: error.to_string(),
        };
        if path.exists() {
            if std::os::unix::net::UnixStream::connect(path).is_ok() {
                return Err(ControlSocketError::InUse { path: path.to_owned() });
            }
            std::fs::remove_file(path).map_err(failed)?;
        }
        let listener = StdListener::bind(path).map_err(failed)?;
        // The folder lets nobody else in either, and each connection's user is looked at besides.
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o600)).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let listener = UnixListener::from_std(listener).map_err(failed)?;
        Ok(Self { listener, path: path.to_owned() })
    }

    /// Serves the socket with `answer` until it is dropped.
    pub(crate) async fn serve<F>(self, answer: F)
    where
        F: Fn(ControlRequest, Person) -> LocalBoxFuture<'static, ControlAnswer>,
    {
        let mut open = FuturesUnordered::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept(), if open.len() < MAX_CONNECTIONS => {
                    match accepted {
                        Ok((stream, _)) => open.push(converse(stream, &answer)),
                        Err(error) => {
                            tracing::warn!(%error, "cannot accept on the control socket");
                            tokio::time::sleep(ACCEPT_PAUSE).await;
                        }
                    }
                }
                Some(ended) = open.next() => {
                    if let Err(error) = ended {
                        let error: std::io::Error = error;
                        tracing::debug!(%error, "a control connection broke off");
                    }
                }
            }
        }
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::debug!(%error, "the control socket's file was gone before");
        }
    }
}

/// One line in, one line out.
async fn converse<F>(stream: UnixStream, answer: &F) -> std::io::Result<()>
where
    F: Fn(ControlRequest, Person) -> LocalBoxFuture<'static, ControlAnswer>,
{
    let person = Person { uid: stream.peer_cred()?.uid() };
    let (input, mut output) = stream.into_split();
    // Read whoever it is: a socket that is closed with something unread loses its answer.
    let at_most = u64::try_from(MAX_REQUEST).unwrap_or(u64::MAX);
    let mut input = BufReader::new(input.take(at_most));
    let mut line = Vec::new();
    tokio::time::timeout(PATIENCE, input.read_until(b'\n', &mut line)).await??;
    let answer = if person.is_allowed() {
        match parse(&line) {
            Ok(request) => answer(request, person).await,
            Err(refusal) => refusal,
        }
    } else {
        tracing::warn!(uid = person.uid, "somebody else tried to control the party");
        ControlAnswer::refused(ControlError::NotAllowed)
    };
    let line = line_of(&answer)?;
    tokio::time::timeout(PATIENCE, output.write_all(&line)).await??;
    output.shutdown().await
}

/// The answer in a line, never longer than the client reads: one that is cut off could not be told
/// from garbage.
fn line_of(answer: &ControlAnswer) -> serde_json::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(answer)?;
    if line.len() >= MAX_ANSWER {
        tracing::warn!(bytes = line.len(), "an answer on the control socket is too long");
        line = serde_json::to_vec(&ControlAnswer::refused(ControlError::AnswerTooLong))?;
    }
    line.push(b'\n');
    Ok(line)
}

/// The request must be an object: serde would also take an array of its fields.
fn parse(line: &[u8]) -> Result<ControlRequest, ControlAnswer> {
    if line.trim_ascii_start().first() != Some(&b'{') {
        return Err(ControlAnswer::refused(ControlError::BadRequest));
    }
    serde_json::from_slice(line)
        .map_err(|error| ControlAnswer::failed(ControlError::BadRequest, error))
}

impl Person {
    /// The party's own user, and who can become it anyway.
    fn is_allowed(self) -> bool {
        self.uid == 0 || self.uid == rustix::process::geteuid().as_raw()
    }
}

#[cfg(test)]
mod tests;
