//! MessagePack with named fields, one value a WebSocket message.

use crate::limits::{MAX_DEPTH, MAX_FRAME};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Bytes that are no message, or a message that cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// The frame is larger than [`MAX_FRAME`].
    #[error("frame of {0} bytes; at most {MAX_FRAME} are allowed")]
    TooLarge(usize),
    /// The bytes are not the expected value: unknown variant, missing field, wrong type.
    #[error("not a message of this protocol: {0}")]
    Malformed(String),
    /// Bytes follow the value.
    #[error("{0} bytes follow the message")]
    Trailing(usize),
}

/// Encodes a message.
///
/// # Errors
/// [`CodecError::TooLarge`] if the frame would exceed [`MAX_FRAME`].
pub fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, CodecError> {
    let bytes = rmp_serde::to_vec_named(message)
        .map_err(|error| CodecError::Malformed(error.to_string()))?;
    if bytes.len() > MAX_FRAME {
        return Err(CodecError::TooLarge(bytes.len()));
    }
    Ok(bytes)
}

/// Decodes a message: exactly one value and nothing behind it.
///
/// # Errors
/// [`CodecError`] says what is wrong with the bytes.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    if bytes.len() > MAX_FRAME {
        return Err(CodecError::TooLarge(bytes.len()));
    }
    let mut rest = bytes;
    let mut deserializer = rmp_serde::Deserializer::new(&mut rest);
    deserializer.set_max_depth(MAX_DEPTH);
    let value = T::deserialize(&mut deserializer)
        .map_err(|error| CodecError::Malformed(error.to_string()))?;
    if !rest.is_empty() {
        return Err(CodecError::Trailing(rest.len()));
    }
    Ok(value)
}
