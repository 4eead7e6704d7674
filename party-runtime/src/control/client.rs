//! Speaks to a party's control socket.

use super::{ControlAnswer, ControlRequest, MAX_ANSWER, SOCKET};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long an answer may take: a key rotation re-wraps every record.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why no answer came.
#[derive(Debug, thiserror::Error)]
pub enum ControlClientError {
    /// Nobody listens.
    #[error(
        "no party answers at {path} ({source}): give the folder of a running party, as its own user"
    )]
    NoParty {
        /// The socket.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// The conversation broke off.
    #[error("the party's answer broke off: {0}")]
    Broken(#[from] std::io::Error),
    /// What answered does not speak this protocol.
    #[error("the party's answer cannot be read: {0}")]
    Foreign(#[from] serde_json::Error),
}

/// Asks the party whose folder this is. Blocks until the answer is there.
///
/// # Errors
/// [`ControlClientError`] if there is no answer.
pub fn ask(folder: &Path, request: &ControlRequest) -> Result<ControlAnswer, ControlClientError> {
    let path = folder.join(SOCKET);
    let mut stream = UnixStream::connect(&path)
        .map_err(|source| ControlClientError::NoParty { path: path.clone(), source })?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let at_most = u64::try_from(MAX_ANSWER).unwrap_or(u64::MAX);
    let mut answer = String::new();
    BufReader::new(stream.take(at_most)).read_line(&mut answer)?;
    if answer.is_empty() {
        return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
    }
    Ok(serde_json::from_str(&answer)?)
}
